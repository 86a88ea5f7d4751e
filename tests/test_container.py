"""The container image, as far as it can be tried without building it: what it copies is there and can be installed."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def steps() -> list[tuple[str, str]]:
    """(instruction, the rest) of each, continued lines put together and comments left out."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Containerfile").read_text(encoding="utf-8"), flags=re.M)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def copied() -> list[str]:
    return [name for step, rest in steps() if step == "COPY" for name in rest.split()[:-1]]


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in copied():
        assert (ROOT / name).exists(), name
        assert f"!{name}" in rules, name
    assert {rule[1:] for rule in rules if rule.startswith("!")} == set(copied())
    assert any(fnmatch("src/unwaver/__pycache__", rule) for rule in rules)


def test_what_an_installation_reads_is_copied() -> None:
    assert {"pyproject.toml", "src", PROJECT["readme"], *PROJECT["license-files"]} <= set(copied())


def test_what_is_installed_exists() -> None:
    commands = [shlex.split(part) for step, rest in steps() if step == "RUN" for part in rest.split("&&")]
    installed = [words for words in commands if words[:2] == ["pip", "install"]]
    assert [words[-1] for words in installed] == ["torch", ".[train]"]
    for words in installed:
        assert words[words.index("--constraint") + 1] in copied()
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert re.search(r"^torch==", pinned, re.M) and "train" in PROJECT["optional-dependencies"]


def test_an_ordinary_user_runs_the_command() -> None:
    last = dict(steps())
    assert last["USER"] not in ("root", "0")
    assert json.loads(last["ENTRYPOINT"])[0] in PROJECT["scripts"]
    order = [step for step, _ in steps()]
    assert "RUN" not in order[order.index("USER") :]
