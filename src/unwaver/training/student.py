"""The student's encoder, without its weights."""

from __future__ import annotations

from unwaver.errors import RecipeError, pip_install
from unwaver.models.chat import family_for
from unwaver.models.loading import load_config, load_stops, load_tokenizer
from unwaver.models.weights import locate
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
        import transformers  # noqa: F401
    except ImportError as error:
        raise RecipeError(f"{error}; install it with: {pip_install('train')}") from None
    path = locate(student.target)
    tokenizer = load_tokenizer(student.name, path, student.revision)
    family, found = family_for(student, tokenizer)
    return Encoder(
        tokenizer,
        tags=family,
        found=found,
        system=student.system,
        chat_template_kwargs=student.extra_body.get("chat_template_kwargs", {}),
        stops=load_stops(student.name, path, student.revision),
        name=student.name,
    )


def load_shape(student: ModelSettings) -> Shape | None:
    """The sizes of a recipe's student; None where its configuration is not of the Llama kind."""
    config = load_config(student.name, locate(student.target), student.revision)
    try:
        return Shape.of(config.get_text_config().to_dict())
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
