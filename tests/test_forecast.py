"""`unwaver check` on what is still to come: calls, tokens, GPU-hours, cost and disk by stage, counted by hand here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from unwaver.cli import main
from unwaver.recipe import PromptSet
from unwaver.study import forecast, grid

ROOT = Path(__file__).parent.parent

RECIPE = """
name = "small"
[models]
student = "hf:somebody/Some-Model-7B"
teacher = {{ name = "openai:t", base_url = "http://127.0.0.1:9/v1", price_in = 2.0, price_out = 10.0 }}
judge = {{ name = "openai:j", base_url = "http://127.0.0.1:9/v1" }}
guard = "hf:meta-llama/Llama-Guard-3-1B"
attacker = {{ name = "openai:a", base_url = "http://127.0.0.1:9/v1" }}
[prompts.plain]
source = "file"
path = "plain.jsonl"
kind = "benign"
[prompts.harmful]
source = "file"
path = "harmful.jsonl"
kind = "harmful"
[judge]
refusal = ["judge", "local"]
harm = "guard"
[distil]
samples = 2
[mix]
parts = {{ plain = 10 }}
[train]
epochs = 2
[evaluate.sets.harmful]
[evaluate.sets.pair]
prompts = "harmful"
attack = "pair"
attack_settings = {{ n_streams = 2, n_iterations = 3 }}
[evaluate.sets.pap]
prompts = "harmful"
attack = "pap"
attack_settings = {{ per_prompt = 4 }}
samples = 5
{more}
"""


def small(folder: Path, more: str = "") -> Path:
    """20 benign prompts of 40 characters, 3 harmful ones."""
    (folder / "plain.jsonl").write_text("".join(f'{{"text": "{f"{n} ":x<40}"}}\n' for n in range(20)))
    (folder / "harmful.jsonl").write_text("".join(f'{{"text": "{f"{n} ":y<40}"}}\n' for n in range(3)))
    recipe = folder / "recipe.toml"
    text = RECIPE.format(more=more).replace("[evaluate.sets.harmful]\n", "[evaluate.sets.harmful]\nmax_tokens = 100\n")
    recipe.write_text(
        text.replace("[models]\n", '[models]\npair_judge = { name = "openai:p", base_url = "http://127.0.0.1:9/v1" }\n')
    )
    return recipe


def rows(page: str) -> dict[str, list[str]]:
    """The table's rows by `stage` or `stage/model`: the cells after the name."""
    found: dict[str, list[str]] = {}
    stage = ""
    for line in page.splitlines():
        cells = re.split(r"\s{2,}", line.strip().replace("≤ ", "≤").replace("~ ", "~"))
        if re.match(r"(prompts|distil|judge|mix|overlap|train|evaluate|total)\s", line):
            stage = cells[0]
            found[stage] = cells[1:]
        elif line.startswith("  ") and ":" in cells[0] and len(cells) > 1:
            found[f"{stage}/{cells[0]}"] = cells[1:]
    return found


def check(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["check", *words, "--no-student"]) == 0
    return capsys.readouterr().out


@pytest.mark.real
def test_the_miniature_to_the_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = check(capsys, str(ROOT / "studies/miniature.toml"), "--root", str(tmp_path))
    found = rows(page)
    # 80 behaviours bare and in 4 templates for five recipes (the sixth is a fixed text), and once each of 100
    # borderline and 100 plain prompts in 4 templates and 50 sums.
    assert found["distil"][:2] == ["9", str(f"{5 * 400 + 500 + 500 + 50:,}")]
    # Six sets of 30, 30, 30, 30, 20 and 30 prompts; the raw student, six recipes and one without benign, three seeds.
    assert found["evaluate"][:2] == [str(6 * (1 + 7 * 3)), f"{170 * 22:,}"]
    assert found["judge"][1] == "-"  # readers without a model ask nobody
    assert found["train"][0] == "21"
    assert "≤777.9k" in found["evaluate"]  # 3,740 replies of 208 tokens


def test_every_call_of_a_small_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(check(capsys, str(small(tmp_path)), "--root", str(tmp_path / "runs")))
    # 20 prompts, two samples each, at the paper's 1,428 tokens; 10 tokens of prompt. 2 a million in, 10 out.
    assert found["distil"] == ["1", "40", "~400", "~57.1k", "-", f"{(40 * 10 * 2 + 40 * 1428 * 10) / 1e6:.2f}"]
    assert found["judge"][-1] == "unknown"  # the judge has no price
    # raw and trained, each: the bare set 3; PAIR 3 x 2 x 3 for each of three roles, and the replay 3;
    # PAP 3 x 4 rewrites, each asked 5 times.
    assert found["evaluate/openai:a"][0] == f"≤{2 * (18 + 12)}"
    assert found["evaluate/openai:p"][0] == f"≤{2 * 18}"
    assert found["evaluate/hf:somebody/Some-Model-7B"][0] == f"≤{2 * (3 + 18 + 3 + 60)}"
    # Every reply is read once for refusal, and by the guard in its answer, its reasoning and both.
    assert found["judge/openai:j"][0] == f"{40 + 2 * (3 + 3 + 60)}"
    assert found["judge/hf:meta-llama/Llama-Guard-3-1B"][0] == f"{3 * 2 * (3 + 3 + 60)}"


def test_a_later_fine_tuning_is_counted_by_its_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = str(small(tmp_path, "[afterwards]\nparts = { plain = 5 }\nsteps = 3\n"))
    page = check(capsys, recipe, "--root", str(tmp_path / "runs"), "--training-utilisation", "0.001", "--gpu", "A100")
    tokens = (10 * 2 + 3 * 48) * (10 + 1428)  # two epochs of ten examples; three steps of 48, whatever the epochs
    assert rows(page)["train"][-2] == f"{8 * 7e9 * tokens / 312e12 / 0.001 / 3600:,.2f}"


@pytest.mark.parametrize("name", ["pairs/clean", "pairs/perturbed"])
def test_a_packaged_set_is_read_without_the_hub(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(forecast, "offline", lambda: True)
    size = forecast._set_size(PromptSet(source=name))
    assert (size.prompts, size.known) == (12, "") and size.tokens != forecast.PROMPT_TOKENS
    assert forecast._set_size(PromptSet(source="math500")).known == "the hub can't be reached"


def test_gpu_hours_and_disk_by_their_formulas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = str(small(tmp_path))
    words = ("--root", str(tmp_path / "runs"), "--gpu", "A100", "--training-utilisation", "0.001")
    page = check(capsys, recipe, *words)
    tokens = 10 * (10 + 1428) * 2
    assert rows(page)["train"][-2] == f"{8 * 7e9 * tokens / 312e12 / 0.001 / 3600:,.2f}"
    assert "A100 (312 TFLOP/s" in page and "at 0.1% of that" in page
    assert "disk: 14.0GB for 1 trained student, and while the largest trains up to 168.0GB" in page
    light = rows(check(capsys, recipe, *words, "--train.method", "lora", "--train.gradient_checkpointing", "false"))
    assert light["train"][-2] == f"{4 * 7e9 * tokens / 312e12 / 0.001 / 3600:,.2f}"
    unknown = check(capsys, recipe, *words, "--models.student.name", "hf:somebody/else")
    assert rows(unknown)["train"][-2] == "unknown" and "disk: 1 student is of unknown size" in unknown


@pytest.mark.real
def test_the_paper_is_counted_without_a_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    forecast.offline.cache_clear()
    path = ROOT / "studies/paper.toml"
    page = check(capsys, str(path), "--root", str(tmp_path))
    forecast.offline.cache_clear()
    assert "prompts safety: 4,000, by the catalogue" in page  # 200 behaviours in 20 templates
    assert "prompts xstest: 150, by the catalogue" in page
    found = rows(page)
    cells = grid.cells(grid.load(path), path)
    searches = {step.digest for of in grid.plans(cells) for step in of.steps() if step.name == "pair"}
    assert found["evaluate/openai:mistralai/Mixtral-8x7B-Instruct-v0.1"][0] == f"≤{len(searches) * 50 * 25:,}"
    assert found["distil/openai:deepseek-reasoner"][0] == f"{3 * 4000 + 100:,}"  # three long recipes, benign once
    assert found["distil/openai:gpt-4o-2024-11-20"][0] == f"{2 * 4000:,}"
    assert found["distil"][-1] == "unknown" and "no price_in and price_out is given for" in page
    assert float(found["train"][-2].replace(",", "")) > 0


def test_a_set_that_is_gathered_is_read_where_it_lies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = small(tmp_path)
    root = ["--root", str(tmp_path / "runs")]
    assert main(["prompts", str(recipe), *root]) == 0
    capsys.readouterr()
    page = check(capsys, str(recipe), *root)
    assert "prompts plain: 20" in page and not re.search(r"^prompts ", page, re.MULTILINE)


def test_rows_that_repeat_and_prompts_of_a_word_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As where a column was named that holds the prompts' topics."""
    rows = [
        {"topic": topic, "text": f"Tell me about {topic} in {n} words."} for n in (3, 5) for topic in ("tea", "ink")
    ]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.toml").write_text(
        'name = "t"\n[models]\nstudent = "hf:none/none"\nteacher = "openai:t"\n[prompts.own]\nsource = "file"\n'
        'path = "own.jsonl"\nkind = "benign"\ncolumns = { text = "topic" }\n[mix]\nparts = { own = 2 }\n'
    )
    words = [str(tmp_path / "recipe.toml"), "--root", str(tmp_path / "runs")]
    told = (
        "prompts own: 2; 2 rows left out for repeating a text; 2 of them are a word or two; "
        "is `prompts.own.columns` right?"
    )
    main(["check", *words])
    assert told in " ".join(capsys.readouterr().out.split())
    assert main(["prompts", *words]) == 0
    assert "2 prompts (2 benign); 2 rows left out for repeating a text" in capsys.readouterr().err
    main(["check", *words])  # gathered by now
    assert told in " ".join(capsys.readouterr().out.split())
    main(["check", *words, "--prompts.own.columns.text", "text"])
    assert "prompts own: 4\n" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_is_no_guess(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = small(tmp_path)
    (tmp_path / "plain.jsonl").unlink()
    assert main(["check", str(recipe), "--no-student"]) == 2
    assert "plain.jsonl" in capsys.readouterr().err


def test_check_says_how_a_set_is_attacked_and_what_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = small(tmp_path)
    page = check(capsys, str(recipe), "--root", str(tmp_path / "runs"))
    lines = {line.partition(": attack ")[0].strip(): line.partition(": attack ")[2] for line in page.splitlines()}
    assert lines["evaluates harmful"].startswith("none; counts asr, ")
    assert lines["evaluates pair"].startswith("pair; counts asr, ") and "over_refusal" not in lines["evaluates pair"]
    framed = ("--prompts.harmful.templates", "corpus", "--prompts.harmful.per_prompt", "1")
    page = check(capsys, str(recipe), "--root", str(tmp_path / "runs"), *framed)
    assert "evaluates harmful: attack none, in templates; counts asr, " in page
