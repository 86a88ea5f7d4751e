"""Whoever decides a result says so by a version: a change of what decides is noticed here, a comment is not.

Each row of `identities.json` is one identity: its files, its version, and a hash of their code without comments and
docstrings. Where the code changed so that anything comes out differently, raise VERSION (runs then get new names); where
it comes out the same (a rename, a faster way), record the new hash alone. Either way
`python tests/test_identity.py` writes the file anew, with a row for each attack, method and guard that is in none yet.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import io
import json
import tokenize
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parent.parent / "src"
RECORDED = Path(__file__).with_name("identities.json")


def rows() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(RECORDED.read_text())
    return found


def code(text: str) -> str:
    """Python source less comments, docstrings and layout."""
    lines = text.splitlines(keepends=True)
    cuts = [
        (token.start, token.end)
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    ]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            assert node.end_lineno is not None and node.end_col_offset is not None
            start = len(lines[node.lineno - 1].encode()[: node.col_offset].decode())
            end = len(lines[node.end_lineno - 1].encode()[: node.end_col_offset].decode())
            cuts.append(((node.lineno, start), (node.end_lineno, end)))
    for (line, start), (last, end) in sorted(cuts, reverse=True):
        lines[line - 1 : last] = [lines[line - 1][:start] + lines[last - 1][end:]]
    return " ".join("".join(lines).split())


def hashed(patterns: list[str]) -> str:
    files = sorted({path for pattern in patterns for path in SOURCE.glob(pattern)})
    assert files, patterns
    text = "\n".join(code(path.read_text(encoding="utf-8")) for path in files)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def version(where: str) -> int:
    """`MODULE`: its VERSION; `MODULE:NAME`: that of what it offers under the name, one thing or several."""
    module, _, name = where.partition(":")
    found = getattr(importlib.import_module(module), name or "VERSION")
    versions = {getattr(one, "version", one) for one in (found if isinstance(found, tuple) else (found,))}
    assert len(versions) == 1, f"{where}: expected one version, got {versions}"
    return int(versions.pop())


ROOMS = {"attacks": "ATTACK", "teaching": "METHOD", "judging.asked.guards": "GUARD", "judging.asked.further": "RUBRIC"}
"""The rooms whose files decide results, and what a file there offers."""


def in_rooms() -> dict[Path, tuple[str, str]]:
    """Each file of those rooms, with its module and what one may offer there."""
    found = {}
    for room, offers in ROOMS.items():
        package = f"unwaver.{room}"
        for path in sorted((SOURCE / package.replace(".", "/")).glob("*.py")):
            if path.stem != "__init__":
                found[path] = (f"{package}.{path.stem}", offers)
    return found


def offering(path: Path) -> bool:
    module, offers = in_rooms()[path]
    return hasattr(importlib.import_module(module), offers)


def standing_on(path: Path) -> set[Path]:
    """The files of the rooms that a file imports, directly or through others, and that offer nothing themselves."""
    by_module = {module: file for file, (module, _) in in_rooms().items()}
    found: set[Path] = set()
    left = [path]
    while left:
        for node in ast.walk(ast.parse(left.pop().read_text(encoding="utf-8"))):
            names = (
                [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            new = {by_module[name] for name in names if name in by_module} - found
            new = {file for file in new if not offering(file)}
            found |= new
            left += new
    return found


def recorded() -> dict[str, dict[str, Any]]:
    """The rows as they should be: one for each file of the rooms that offers something and that no row names, with what it
    stands on and no row by hand names."""
    known = {name: row for name, row in rows().items() if name.rpartition(".")[0] not in ROOMS}
    named = {path for row in known.values() for pattern in row["files"] for path in SOURCE.glob(pattern)}
    found = dict(known)
    for path, (module, offers) in in_rooms().items():
        if path not in named and offering(path):
            files = [path, *sorted(standing_on(path) - named)]
            name = module.removeprefix("unwaver.")
            found[name] = {"of": f"{module}:{offers}", "files": [str(file.relative_to(SOURCE)) for file in files]}
    return found


def test_every_attack_method_and_guard_is_recorded_with_what_it_stands_on() -> None:
    missing = [name for name, row in recorded().items() if rows().get(name, {}).get("files") != row["files"]]
    assert not missing, f"{', '.join(missing)}: record what is new: python tests/test_identity.py"
    named = {path for row in rows().values() for pattern in row["files"] for path in SOURCE.glob(pattern)}
    # Templates make prompt sets, which are named by the content of their files; no attack stands on them.
    assert {path for path in in_rooms() if path not in named} == {SOURCE / "unwaver/attacks/templates.py"}


@pytest.mark.parametrize("name", rows())
def test_what_decides_is_named_by_a_version(name: str) -> None:
    row = rows()[name]
    now = {"version": version(row["of"]), "hash": hashed(row["files"])}
    recorded = {key: row[key] for key in now}
    assert now == recorded, (
        f"{name}: {', '.join(row['files'])} changed. Does anything come out differently? Raise the version in "
        f"{row['of']}. Either way record it: python tests/test_identity.py"
    )


def test_comments_docstrings_and_layout_decide_nothing() -> None:
    plain = 'VERSION = 1\n\n\ndef read(text: str) -> str:\n    return "# no comment" + text\n'
    told = '"""Module."""\n\nVERSION = 1  # one\n"""What it is."""\n\ndef read(\n    text: str) -> str:\n    """Ä."""\n'
    told += '    # why\n    return "# no comment" + text\n'
    assert code(plain).replace("( ", "(") == code(told).replace("( ", "(")
    assert code(plain) != code(plain.replace("no comment", "comment"))


if __name__ == "__main__":
    found = {
        name: row | {"version": version(row["of"]), "hash": hashed(row["files"])} for name, row in recorded().items()
    }
    RECORDED.write_text(json.dumps(found, indent=1) + "\n")
