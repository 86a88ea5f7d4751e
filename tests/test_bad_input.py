"""Bad input, through the command line: one clear message, the right exit code, no traceback, nothing written lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import report_runs

ROOT = Path(__file__).parent.parent

RECIPE = """
name = "bad"
[models]
student = "hf:{student}"
teacher = "replay:corpus"
[prompts.mine]
source = "file"
path = "{path}"
kind = "benign"
[mix]
parts = {{ mine = 1 }}
"""

pytestmark = pytest.mark.real


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "unwaver.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
    )


def write(folder: Path, lines: int = 20, broken: int | None = None, student: str = "none/none") -> Path:
    rows = [json.dumps({"text": f"prompt {n}"}) for n in range(1, lines + 1)]
    if broken:
        rows[broken - 1] = '{"text": "never clo'
    (folder / "prompts.jsonl").write_text("\n".join(rows) + "\n")
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(path=folder / "prompts.jsonl", student=student))
    return recipe


def clear(done: subprocess.CompletedProcess[str], code: int, *pieces: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for piece in pieces:
        assert piece in done.stderr


def test_a_prompts_file_with_a_broken_line_names_the_line(tmp_path: Path) -> None:
    recipe = write(tmp_path, broken=17)
    clear(run("prompts", str(recipe), "--root", str(tmp_path / "runs")), 2, "prompts.jsonl:17")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    recipe = write(tmp_path)
    (tmp_path / "prompts.jsonl").unlink()
    clear(run("prompts", str(recipe), "--root", str(tmp_path / "runs")), 2, "prompts.jsonl", "no such file")


def test_a_wrong_type_names_key_and_value(tmp_path: Path) -> None:
    clear(run("check", str(write(tmp_path)), "--train.epochs", "many"), 2, "train.epochs", "'many'")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("mix.parts.mine", "many", "expected a number of examples"),
        ("mix.parts.mine", "-3", "expected a number of examples"),
        ("evaluate.sets.mine.attack", "charm", "none, pair, pap"),
    ],
)
def test_a_value_that_can_not_be_is_refused_before_anything_is_done(
    tmp_path: Path, key: str, value: str, told: str
) -> None:
    done = run("check", str(write(tmp_path)), f"--{key}", value)
    clear(done, 2, key, told)
    assert "constrained" not in done.stderr


@pytest.mark.parametrize("root", ["recipe.toml", "recipe.toml/runs", "/proc/nowhere"])
def test_a_root_that_can_be_no_folder_is_told(tmp_path: Path, root: str) -> None:
    recipe = write(tmp_path)
    clear(run("prompts", str(recipe), "--root", str(tmp_path / root)), 2, "runs can't be kept here")


def test_a_student_that_is_not_there_is_named(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    recipe = write(tmp_path, student=str(tmp_path / "nowhere"))
    clear(run("check", str(recipe), "--root", str(tmp_path / "runs")), 2, "nowhere")
    # A whole run says so before the teacher is asked.
    clear(run("run", str(recipe), "--root", str(tmp_path / "all")), 2, "nowhere")
    assert not (tmp_path / "all").exists()


def test_a_student_without_a_chat_template_is_told(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, PreTrainedTokenizerFast

    folder = tmp_path / "student"
    words = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "a": 2}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="</s>").save_pretrained(folder)
    LlamaConfig(vocab_size=3, hidden_size=8, num_hidden_layers=1, num_attention_heads=1).save_pretrained(folder)
    recipe = write(tmp_path, student=str(folder))
    root = ("--root", str(tmp_path / "runs"))
    clear(run("check", str(recipe), *root), 2, "replay:corpus holds no reply to 20 of the 20 prompts of mine")
    clear(run("check", str(recipe), *root, "--max_failed", "1"), 2, "chat template")


WITHIN = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, ({0} << 30, {0} << 30));"
    "from unwaver.cli import main; sys.exit(main(sys.argv[1:]))"
)


@pytest.mark.parametrize("gigabytes", [2, 40])
def test_a_limit_on_addresses_that_no_figure_can_be_drawn_within_is_told(gigabytes: int, tmp_path: Path) -> None:
    """The library that draws ends the process where it can't have its 64 GiB of addresses."""
    recipe = report_runs.study(tmp_path)
    command = ["report", str(recipe), "--root", str(tmp_path / "runs")]
    limited = [sys.executable, "-c", WITHIN.format(gigabytes), *command]
    ended = subprocess.run(limited, capture_output=True, text=True, check=False)
    clear(ended, 3, "figures take 80 GiB of address space", f"{gigabytes << 10:,} MiB", "`ulimit -v unlimited`")
    clear(subprocess.run([sys.executable, "-c", WITHIN.format(100), *command], capture_output=True, text=True), 0)


def test_a_full_disk_is_unfinished_and_loses_nothing(tmp_path: Path) -> None:
    """The disk is full from the first reply on: a limit on the size of files stands in for it."""
    recipe = ROOT / "recipes/quickstart.toml"
    root = tmp_path / "runs"
    assert run("prompts", str(recipe), "--root", str(root)).returncode == 0
    before = {path: path.read_bytes() for path in root.rglob("*.json*")}
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "from unwaver.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    full = subprocess.run(
        [sys.executable, "-c", script, "distil", str(recipe), "--root", str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    clear(full, 3, "same command again")
    assert all(path.read_bytes() == content for path, content in before.items())
    done = run("distil", str(recipe), "--root", str(root))
    assert done.returncode == 0, done.stderr
    for path in root.glob("distil-*/manifest.json"):
        counts = json.loads(path.read_text())["counts"]
        assert counts["failed"] == {}
        assert len((path.parent / "traces.jsonl").read_text().splitlines()) == counts["written"]


def test_a_missing_key_names_the_variable(tmp_path: Path) -> None:
    recipe = write(tmp_path)
    root = str(tmp_path / "runs")
    flags = ("--root", root, "--models.teacher", '{ name = "openai:big", key_env = "NO_SUCH_KEY" }')
    assert run("prompts", str(recipe), *flags).returncode == 0
    clear(run("distil", str(recipe), *flags), 3, "NO_SUCH_KEY")
