"""What transformers makes of a model's files, every way that can go wrong told in one line with the model's name.

The files are somebody else's and may hold anything. No code that comes with them is run and nothing is unpickled.
Weights that leave a part of the model out are refused: the libraries would draw it at random and say so in a log.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError, UnwaverError
from unwaver.plain import some

LAYERS = 2_000
"""More layers than any model has; a million of them keep a library busy for hours before it looks at the weights."""
EXPERTS = 100_000
COUNTED = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size", "n_layer", "n_embd", "n_head")
"""What no model has none of."""


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Whatever a library raises over a model's files, as a RecipeError."""
    try:
        yield
    except UnwaverError:
        raise
    except ImportError as error:
        raise RecipeError(f"{name}: can't be loaded: {_line(error)}") from None
    except BaseException as error:
        # A tokenizer's panic is no Exception; what is neither (Ctrl-C) is not about the files.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise RecipeError(f"{name}: can't be loaded: {_reason(error)}") from None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _reason(error: BaseException) -> str:
    text = str(error)
    if "trust_remote_code" in text:
        return "it needs code of its own, which is not run; expected an architecture that transformers knows"
    if "safetensors" in text and ("does not appear to have" in text or "no file named" in text):
        return f"no weights as safetensors; others (pickles: .bin, .pt) are not read ({_line(error)[:120]})"
    if isinstance(error, KeyError):
        return f"its files lack {_line(error)}"
    return f"{type(error).__name__}: {_line(error)}" if not isinstance(error, OSError) else _line(error)


def without_bars() -> None:
    """The library draws no bars: its loading is told in one line, and stages have bars of their own."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call, unused-ignore]


def load_tokenizer(name: str, path: str, revision: str | None = None) -> Any:
    """A model's tokenizer."""
    if Path(path).is_dir() and not any(file.suffix in (".json", ".model", ".jinja") for file in Path(path).rglob("*")):
        raise RecipeError(
            f"{name}: can't be loaded: the folder holds no model's files (config.json, tokenizer.json ...)"
        )
    from transformers import AutoTokenizer

    without_bars()
    with loading(name):
        return AutoTokenizer.from_pretrained(path, revision=revision)


def load_config(name: str, path: str, revision: str | None = None, **options: Any) -> Any:
    """A model's configuration, of a size that can be."""
    from transformers import AutoConfig

    without_bars()
    with loading(name):
        _check_own(name, path, revision, options.get("subfolder", ""))
        config = AutoConfig.from_pretrained(path, revision=revision, **options)
        _check_sizes(name, config.to_dict())
        return config


def load_weights(name: str, path: str, revision: str | None = None, **options: Any) -> Any:
    """A causal language model with all of its weights."""
    from transformers import AutoModelForCausalLM

    own = {key: value for key, value in options.items() if key in ("trust_remote_code", "subfolder")}
    load_config(name, path, revision, **own)
    auto: Any = AutoModelForCausalLM
    with loading(name):
        model, found = auto.from_pretrained(
            path, revision=revision, **{"use_safetensors": True, **options}, output_loading_info=True
        )
    check_whole(name, found, model)
    return model


def check_files(name: str, folder: Path, config: Any) -> None:
    """RecipeError for a folder of safetensors that `load_weights` would refuse, for a library that loads it by itself.

    Its tensors are read one by one, and what the model lacks is found without memory for it. What is quantised, or of
    an architecture that transformers can't build, is checked for numbers alone.
    """
    from transformers import AutoModelForCausalLM

    with loading(name):
        _tell(name, _no_numbers(pair for file in _weight_files(folder) for pair in _floats(file)), NO_NUMBERS)
        auto: Any = AutoModelForCausalLM
        if type(config) not in auto._model_mapping or getattr(config, "quantization_config", None) is not None:
            return
        model, found = auto.from_pretrained(
            str(folder), use_safetensors=True, device_map="meta", output_loading_info=True
        )
    check_whole(name, found, model)


INDEX = "model.safetensors.index.json"


def _check_own(name: str, path: str, revision: str | None, subfolder: str) -> None:
    """RecipeError for a folder or a hub's repository that has the library read weights which are not its own: it would
    be known by its content, and be another model all the same when those change."""
    if _fetched(path, "adapter_config.json", revision, subfolder):
        raise RecipeError(
            f"{name}: can't be loaded: its adapter_config.json makes it an adapter on weights that lie elsewhere; "
            "expected a whole model: merge the two, or move the adapter's files away where that is done"
        )
    index = _fetched(path, INDEX, revision, subfolder)
    named = _indexed(index) if index else []
    if away := sorted({str(one) for one in named if Path(str(one)).name != one or one.startswith(".")}):
        raise RecipeError(
            f"{name}: can't be loaded: its {INDEX} names what are no files beside it: {some(away, 3)}; expected the "
            "names of files in the same folder"
        )


def _fetched(path: str, file: str, revision: str | None, subfolder: str = "") -> Path | None:
    """A model's file, fetched where the model is a hub's; None where it has none of this name."""
    from transformers.utils.hub import cached_file

    found: str | None = cached_file(
        path, file, revision=revision, subfolder=subfolder, _raise_exceptions_for_missing_entries=False
    )
    return None if found is None else Path(found)


def _indexed(index: Path) -> list[Any]:
    """What a model's index names as the file of each of its weights."""
    return list(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors of a model: those that its index names, or all where there is none."""
    if (index := folder / INDEX).is_file():
        return sorted({folder / name for name in _indexed(index)})
    return sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("*.safetensors"))


def _floats(file: Path) -> Iterator[tuple[str, Any]]:
    """The names and tensors of a file whose numbers may be none; packed ones have no such."""
    from safetensors import safe_open

    opened: Any = safe_open
    with opened(file, "pt") as held:
        for key in held.keys():  # noqa: SIM118 - it is no dictionary
            if held.get_slice(key).get_dtype() in ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"):
                yield key, held.get_tensor(key)


def load_stops(name: str, path: str, revision: str | None) -> frozenset[int]:
    """The token ids at which the model's own generation settings stop."""
    with loading(name):
        found = _fetched(path, "generation_config.json", revision)
    if found is None:
        return frozenset()
    try:
        ends = json.loads(found.read_text(encoding="utf-8")).get("eos_token_id")
        return frozenset(int(end) for end in (ends if isinstance(ends, list) else [] if ends is None else [ends]))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RecipeError(f"{name}: can't be loaded: its generation_config.json: {error}") from None


def check_whole(name: str, found: dict[str, Any], model: Any) -> None:
    """RecipeError where the weights that were found (`output_loading_info`) are not the model's, not all, or no
    numbers, and where the configuration leaves out a part of them."""
    if _sharded():  # the first process alone reads the files, and the others miss everything
        return
    extra = _left_out(found.get("unexpected_keys") or (), model)
    _tell(name, found.get("missing_keys"), "its weights leave out")
    _tell(name, found.get("mismatched_keys"), "its weights are of another shape in")
    _tell(name, extra, "its config.json leaves out what its weights hold:")
    _tell(name, _no_numbers(model.state_dict().items()), NO_NUMBERS)


NO_NUMBERS = "its weights hold what is no number (NaN or infinity) in"


def _tell(name: str, keys: Iterable[Any] | None, sentence: str) -> None:
    """RecipeError that names keys; nothing where there are none."""
    if told := sorted(map(str, keys or ())):
        raise RecipeError(f"{name}: can't be loaded: {sentence} {some(told, 3)}")


def _left_out(keys: Iterable[str], model: Any) -> list[str]:
    """Of weights that the model has no place for, those of one more of its layers, and those of a module it has.

    What else there is (an encoder for images, a head that predicts further tokens) is another model's part.
    """
    here = {_NUMBER.sub("#", key) for key in model.state_dict()}
    config = model.config.get_text_config()
    layers = getattr(config, "num_hidden_layers", 0)
    further = range(layers, layers + (getattr(config, FURTHER, None) or 0))
    modules = {path: getattr(module, "weight", None) is not None for path, module in model.named_modules()}
    quantised = getattr(model, "hf_quantizer", None) is not None  # it brings tensors of its own

    def is_left_out(key: str) -> bool:
        above = key.split(".")
        if any(number in map(str, further) for number in above):
            return False
        paths = [".".join(above[:end]) for end in range(1, len(above))]
        # A layer that is there may lack what its neighbours have: some share it.
        one_more = any(path not in modules for path, name in zip(paths, above, strict=False) if name.isdigit())
        inside = any(modules.get(path) for path in paths) and (above[-1] == "bias" or not quantised)
        return (one_more and _NUMBER.sub("#", key) in here) or inside

    return [key for key in keys if is_left_out(key)]


_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
FURTHER = "num_nextn_predict_layers"
"""What a configuration calls layers behind the last that predict further tokens; nobody here loads them."""


def _no_numbers(tensors: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """The names of weights that hold what is no number."""
    import torch

    for key, tensor in tensors:
        if tensor.is_floating_point() and tensor.numel() and tensor.device.type != "meta":
            held = tensor if tensor.element_size() > 1 else tensor.to(torch.bfloat16)
            if not torch.stack(held.aminmax()).isfinite().all():
                yield key


def check_tokens(name: str, model: Any, ids: Iterable[int]) -> None:
    """RecipeError for token ids that the model has no embedding of: its tokenizer is another model's."""
    if _sharded():  # a process may hold none of the rows
        return
    rows = model.get_input_embeddings().weight.shape[0]
    if (most := max(ids, default=0)) >= rows:
        raise RecipeError(
            f"{name}: its tokenizer gives token {most:,}, and its weights know {rows:,}; expected the tokenizer.json "
            "and config.json of one model"
        )


def _sharded() -> bool:
    integrations: Any = import_module("transformers.integrations")
    return bool(integrations.is_fsdp_enabled() or integrations.is_deepspeed_zero3_enabled())


def _check_sizes(name: str, config: dict[str, Any]) -> None:
    """RecipeError for a number of layers or experts that no model has."""
    for key, value in config.items():
        if isinstance(value, dict):
            _check_sizes(name, value)
        if isinstance(value, float) and math.isnan(value):  # infinity is some models' way to say that there is no limit
            raise RecipeError(f"{name}: can't be loaded: its config.json has {key} = NaN; expected a number")
        if not isinstance(value, int):
            continue
        if key in COUNTED and value < 1:
            raise RecipeError(f"{name}: can't be loaded: its config.json has {key} = {value}; expected 1 or more")
        most = LAYERS if "layer" in key or "depth" in key else EXPERTS if "expert" in key else None
        if most is not None and value > most and not key.endswith(("_id", "_size", "_dim")):
            raise RecipeError(f"{name}: can't be loaded: its config.json has {key} = {value:,}; no model has so many")
