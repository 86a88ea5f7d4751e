"""The student's encoder, without its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError
from unwaver.models.weights import locate
from unwaver.reasoning import FAMILIES
from unwaver.recipe import ModelSettings
from unwaver.training.encode import Encoder
from unwaver.training.memory import Shape


def load_encoder(student: ModelSettings) -> Encoder:
    """The encoder of a recipe's student; RecipeError where its tokenizer can't be loaded or used."""
    if student.door not in ("hf", "vllm"):
        raise RecipeError(
            f"models.student: {student.name}: only a model on this machine can be trained (hf:PATH_OR_ID)"
        )
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise RecipeError(f"{error}; install it with: pip install 'unwaver[train]'") from None
    path = locate(student.target)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, revision=student.revision)
    except (OSError, ValueError) as error:
        raise RecipeError(f"{student.name}: can't be loaded: {' '.join(str(error).split())[:300]}") from None
    return Encoder(
        tokenizer,
        tags=FAMILIES[student.tags],
        system=student.system,
        chat_template_kwargs=student.extra_body.get("chat_template_kwargs", {}),
        stops=_stops(path, student.revision),
        name=student.name,
    )


def load_shape(student: ModelSettings) -> Shape | None:
    """The sizes of a recipe's student; None where its configuration is not of the Llama kind."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(locate(student.target), revision=student.revision)
    try:
        return Shape.of(config.get_text_config().to_dict())
    except KeyError:
        return None


def _stops(path: str, revision: str | None) -> frozenset[int]:
    """The token ids at which the model's own generation settings stop."""
    from transformers.utils.hub import cached_file

    found: str | None = cached_file(
        path, "generation_config.json", revision=revision, _raise_exceptions_for_missing_entries=False
    )
    if found is None:
        return frozenset()
    content: dict[str, Any] = json.loads(Path(found).read_text(encoding="utf-8"))
    ends = content.get("eos_token_id")
    return frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])
