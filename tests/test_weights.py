"""Weights are known by their content: other bytes of one name and size are another model, to the cache and to a step."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny

from unwaver import kept, recipe_file
from unwaver.cli import main
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


@pytest.mark.parametrize("name", ["chat_template.jinja", "below/config.json", "below/model.safetensors"])
def test_a_model_in_a_subfolder_is_known_by_what_is_above_it_too(name: str, tmp_path: Path) -> None:
    """Its tokenizer and the template of that are read from there."""
    model(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    model(tmp_path / "below")
    before = fingerprint(str(tmp_path), "below")
    assert before is not None and before == fingerprint(str(tmp_path), "below")
    (tmp_path / name).write_text("another")
    assert fingerprint(str(tmp_path), "below") != before


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


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    pytest.importorskip("torch", reason="needs the extra `train`")
    return tiny.gguf(tmp_path / "model.gguf")


@pytest.mark.real
def test_two_gguf_files_of_one_name_and_size_are_turned_into_two_models(gguf: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one" / "model.gguf", tmp_path / "other" / "model.gguf"
    for path in (one, other):
        path.parent.mkdir()
        shutil.copy(gguf, path)
    assert locate(str(one)) == locate(str(other))
    with other.open("r+b") as file:  # other weights: zeroes at their end
        file.seek(-1024, os.SEEK_END)
        file.write(bytes(1024))
    assert locate(str(one)) != locate(str(other))


def a_bit(folder: Path) -> None:
    path = folder / "model.safetensors"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        (byte,) = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def cut(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", 1000)


def another_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def an_adapter_beside(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


def no_account(folder: Path) -> None:
    (folder / weights.MADE).unlink()


def an_account_of_another_form(folder: Path) -> None:
    (folder / weights.MADE).write_text('{"model.safetensors": 1}')


DAMAGES = {
    a_bit: "model.safetensors: its content is not what was written",
    cut: "model.safetensors: ",
    another_template: "chat_template.jinja: ",
    no_tokenizer: "tokenizer.json: is gone",
    an_adapter_beside: "adapter_config.json: was put there later",
    no_account: "does not say what its files were",
    an_account_of_another_form: "does not say what its files were",
}


@pytest.mark.real
def test_what_was_turned_and_is_not_what_it_was_is_told_and_made_again(
    gguf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(locate(str(gguf)))
    whole = fingerprint(str(folder))
    capsys.readouterr()
    for damage, told in DAMAGES.items():
        damage(folder)
        left = folder.with_name(f"{folder.name}.1.part")  # by a process that was killed
        left.mkdir()
        assert locate(str(gguf)) == str(folder), damage
        said = capsys.readouterr().err
        assert f"{folder}: {told}" in said.replace(f"{weights.MADE}: ", "") and "it is made again" in said, (
            damage,
            said,
        )
        assert fingerprint(str(folder)) == whole and not left.exists()
        assert locate(str(gguf)) == str(folder) and capsys.readouterr().err == "", damage


@pytest.mark.real
def test_what_was_turned_is_used_where_nothing_can_be_written(
    gguf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = locate(str(gguf))

    def refused(*_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(os, "open", refused)
    assert locate(str(gguf)) == folder


@pytest.mark.real
def test_a_cached_model_that_was_damaged_is_told_by_the_command_and_not_asked(
    gguf: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.jsonl").write_text('{"text": "Hello"}\n')
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'name = "one"\n[models]\nstudent = "hf:{gguf}"\nteacher = "replay:corpus"\n[prompts.mine]\nsource = "file"\n'
        'path = "mine.jsonl"\nkind = "benign"\n[mix]\nparts = {}\n[evaluate]\nmax_tokens = 4\n[evaluate.sets.mine]\n'
    )
    asked = []
    for root in ("one", "two"):
        words = [str(recipe), "--root", str(tmp_path / root)]
        assert main(["prompts", *words]) == main(["evaluate", *words]) == 0
        asked.append([path.read_bytes() for path in sorted((tmp_path / root).rglob("evaluate-*/traces.jsonl"))])
        assert ("it is made again" in capsys.readouterr().err) == (root == "two")
        (folder,) = (path for path in (cache / "weights").iterdir() if path.is_dir())
        with (folder / "model.safetensors").open("r+b") as file:  # no safetensors' header, and no NaN
            file.seek(-4096, os.SEEK_END)
            file.write(bytes(4096))
    assert asked[0] == asked[1] != []
