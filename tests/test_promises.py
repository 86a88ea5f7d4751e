"""What the pages promise: help is fast, the core is light, papers name real files, the recipe page is true."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from unwaver.cli import VERBS, main
from unwaver.sources import SOURCES

ROOT = Path(__file__).parent.parent


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_command_line_imports_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "trl", "peft", "vllm", "ray", "inspect_ai", "altair", "pandas", "scipy", "openai")
    loaded = python(f"import sys, unwaver.cli; print([m for m in {heavy!r} if m in sys.modules])")
    assert loaded.strip() == "[]"


@pytest.mark.real
def test_the_core_needs_no_torch() -> None:
    rooms = ["sources", "stages.distil", "stages.judge", "stages.mix", "stages.audit", "study.results", "report.write"]
    imports = "; ".join(f"import unwaver.{room}" for room in rooms)
    loaded = python(f"import sys; {imports}; print([m for m in ('torch', 'transformers', 'ray') if m in sys.modules])")
    assert loaded.strip() == "[]"


def test_help_comes_before_anything_is_imported() -> None:
    loaded = python("import sys; from unwaver.cli import main; main(['--help']); print('pydantic' in sys.modules)")
    assert loaded.splitlines()[-1] == "False"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([verb, "--help"])
    assert done.value.code == 0
    assert f"usage: unwaver {verb}" in capsys.readouterr().out


def test_the_help_of_prompts_lists_every_source(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["prompts", "--help"])
    told = capsys.readouterr().out
    assert [name for name in SOURCES if f"  {name}: " not in told] == []


def test_a_mistyped_verb_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distill"]) == 2
    assert "did you mean `distil`" in capsys.readouterr().err


def test_a_stray_argument_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["run", "recipes/quickstart.toml", "stray"])
    assert done.value.code == 2
    assert "stray" in capsys.readouterr().err


def test_a_wrong_recipe_is_one_message_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text((ROOT / "recipes/quickstart.toml").read_text().replace("[mix]", "[mix]\nkep = 1"))
    assert main(["run", str(recipe)]) == 2
    told = capsys.readouterr().err
    assert "mix.kep" in told
    assert "Traceback" not in told


def test_papers_name_real_files() -> None:
    rows = re.findall(r"^\|.*\|$", (ROOT / "PAPERS.md").read_text(), flags=re.M)[2:]
    assert len(rows) >= 5
    for row in rows:
        places = re.findall(r"`([^`]+)`", row.split("|")[3])
        assert places, row
        for place in places:
            assert (ROOT / place).exists(), place


def test_every_paper_the_code_cites_is_listed() -> None:
    listed = (ROOT / "PAPERS.md").read_text()
    cited = {
        number: path.name
        for path in sorted((ROOT / "src").rglob("*.py"))
        for number in re.findall(r"\b(\d{4}\.\d{5})\b", path.read_text(encoding="utf-8"))
    }
    assert len(cited) >= 10
    assert {number: name for number, name in cited.items() if number not in listed} == {}


def test_every_promise_about_security_names_tests_that_are_there() -> None:
    rows = re.findall(r"^\| .*\|$", (ROOT / "docs/security.md").read_text(), flags=re.M)
    tried = [row.split("|")[-2] for row in rows if not row.startswith(("| promised", "| exit", "| 0", "| 2", "| 3"))]
    assert len(tried) >= 40
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    for told in tried:
        for name in re.findall(r"`(tests/\w+\.py)`", told):
            assert (ROOT / name).is_file(), name
        for name in re.findall(r"`(test_\w+)`", told):
            assert f"def {name}(" in written, name


@pytest.mark.real
def test_the_wheel_works_without_the_repository_and_without_torch(tmp_path: Path) -> None:
    def pip(*words: str) -> None:
        done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    # Built from a copy: a build leaves folders behind, and takes what it finds in them the next time.
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(copy))
    (wheel,) = tmp_path.glob("unwaver-*.whl")
    place = tmp_path / "installed"
    pip("install", "--quiet", "--no-deps", "--target", str(place), str(wheel))
    traces = tmp_path / "traces.jsonl"
    traces.write_text(
        '{"prompt": "How do I boil an egg?", "response": "<think>Harmless.</think>Put it in boiling water for nine minutes, then cool it."}\n'
    )
    blocked = "import sys; sys.modules.update(dict.fromkeys(('torch', 'transformers', 'trl', 'peft', 'ray', 'vllm')));"
    script = (
        f"{blocked} from unwaver.cli import main; import unwaver; print(unwaver.__file__); sys.exit(main(sys.argv[1:]))"
    )
    verdicts = tmp_path / "verdicts.jsonl"
    words = ("audit", str(traces), "--rubric", "refusal", "--out", str(verdicts))
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(place)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(place))
    assert '"compliance"' in verdicts.read_text()


def test_the_recipe_page_is_what_the_settings_say() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/write_pages.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
