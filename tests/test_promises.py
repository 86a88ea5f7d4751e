"""What the pages promise: help is fast, the core is light, papers name real files, the recipe page is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from unwaver.cli import VERBS, main

ROOT = Path(__file__).parent.parent


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_command_line_imports_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "trl", "peft", "vllm", "ray", "inspect_ai", "altair", "pandas", "scipy", "openai")
    loaded = python(f"import sys, unwaver.cli; print([m for m in {heavy!r} if m in sys.modules])")
    assert loaded.strip() == "[]"


@pytest.mark.parametrize(
    "module", ["sources", "stages.distil", "stages.judge", "stages.mix", "stages.audit", "study.results"]
)
def test_the_core_needs_no_torch(module: str) -> None:
    loaded = python(
        f"import sys, unwaver.{module}; print([m for m in ('torch', 'transformers', 'ray') if m in sys.modules])"
    )
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


def test_the_recipe_page_is_what_the_settings_say() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/write_recipe_page.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
