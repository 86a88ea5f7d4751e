"""A model's folder that is the same model wherever its base was: in transformers 4.5x and 5, vLLM, llama.cpp.

transformers 5 saves under names that older readers don't know and pass over in silence: a rotary base under
`rope_parameters`, of which 4.5x would take its default of 10,000, and a class `TokenizersBackend`, at which it ends. It
writes a tokenizer anew, with what this machine set in it, and a trainer leaves `use_cache` off; safetensors writes
weights that only their owner may read. So: what training doesn't change is the base's own, byte for byte; the rest is
written under both names.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from unwaver.kept import write_whole

OWN = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
)
"""Files of a model that training doesn't change."""
TEMPLATES = "additional_chat_templates"
"""A folder of further chat templates."""
CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
LOCAL_STATE = ("is_local", "local_files_only", "backend")
"""What transformers 5 writes into a tokenizer's settings about the machine that it was loaded on."""


def take_after(folder: Path, base: str, revision: str | None = None) -> None:
    """Give a trained model's `folder` its base's own files in place of those that were written anew.

    `base`: a folder or hub id, as `locate` gives it. Its configuration too, where both are of one architecture; weights
    that were quantised there are not here.
    """
    theirs = {name: path for name in (*OWN, CONFIG) if (path := own_file(base, name, revision)) is not None}
    if "tokenizer.json" in theirs or "tokenizer.model" in theirs or "vocab.json" in theirs:
        for name in OWN:
            (folder / name).unlink(missing_ok=True)
    for name in set(OWN) & set(theirs):
        shutil.copyfile(theirs[name], folder / name)
    if (Path(base) / TEMPLATES).is_dir():
        shutil.rmtree(folder / TEMPLATES, ignore_errors=True)
        shutil.copytree(Path(base) / TEMPLATES, folder / TEMPLATES)
    if CONFIG in theirs:
        _take_config(folder / CONFIG, _read(theirs[CONFIG]))
    make_portable(folder)


def own_file(base: str, name: str, revision: str | None = None) -> Path | None:
    """A file of a folder's or of a hub id's; None where it has none. `base`: as `locate` gives it."""
    if Path(base).is_dir():
        path = Path(base, name)
        return path if path.is_file() else None
    from transformers.utils.hub import cached_file

    found: str | None = cached_file(base, name, revision=revision, _raise_exceptions_for_missing_entries=False)
    return None if found is None else Path(found)


def make_portable(folder: Path) -> None:
    """Write a folder's settings so that older readers find them too, and let everybody read its files."""
    for name, mended in ((CONFIG, _rotary), (TOKENIZER_CONFIG, _tokenizer_class)):
        path = folder / name
        if path.is_file() and (was := _read(path)) != (now := mended(dict(was))):
            _write(path, now)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _take_config(path: Path, theirs: dict[str, Any]) -> None:
    """The base's configuration, with the type of the weights as they were saved."""
    ours = _read(path) if path.is_file() else {}
    if ours.get("architectures") != theirs.get("architectures") or "model_type" not in theirs:
        if "use_cache" in ours:
            _write(path, {**ours, "use_cache": theirs.get("use_cache", True)})
        return
    dtype = ours.get("dtype", ours.get("torch_dtype"))
    kept = {key: value for key, value in theirs.items() if key not in ("quantization_config", "dtype", "torch_dtype")}
    _write(path, kept if dtype is None else {**kept, "dtype": dtype})


def _rotary(config: dict[str, Any]) -> dict[str, Any]:
    """With the rotary embedding and the weights' type under the names of transformers 4 besides those of 5."""
    if "dtype" in config:
        config.setdefault("torch_dtype", config["dtype"])
    given = config.get("rope_parameters")
    if isinstance(given, dict) and "rope_theta" in given:  # one for each kind of layer has no older name
        config.setdefault("rope_theta", given["rope_theta"])
        scaled = {key: value for key, value in given.items() if key != "rope_theta"}
        config.setdefault("rope_scaling", None if scaled.get("rope_type", "default") == "default" else scaled)
    return config


def _tokenizer_class(settings: dict[str, Any]) -> dict[str, Any]:
    """The class by the name that both know it under."""
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    return {key: value for key, value in settings.items() if key not in LOCAL_STATE}


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _write(path: Path, content: dict[str, Any]) -> None:
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
