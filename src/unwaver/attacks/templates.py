"""Jailbreak templates of the user's own: a fixed frame with a slot for the behaviour (the study's first stage).

Reads JSONL of `name` and `text`; no template is shipped here. Which prompt gets which template follows from their
positions alone, so the same files give the same prompts. The paper wraps 200 behaviours in 20 templates, which makes
4,000 prompts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError, field_validator

from unwaver.attacks.none import bare
from unwaver.errors import RecipeError, RecordError
from unwaver.records import Prompt, Record

SLOT = "{behaviour}"
EXPECTED = f'an object a line, {{"name": "frame-1", "text": "... {SLOT} ..."}}'


class Template(Record):
    """A frame to put a behaviour into."""

    name: str
    """Becomes the prompt's `attack`."""
    text: str
    """Holds `{behaviour}` exactly once; any other brace is an ordinary character."""

    @field_validator("name")
    @classmethod
    def _has_a_name(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("expected a name that is not blank")
        return value

    @field_validator("text")
    @classmethod
    def _has_one_slot(cls, value: str) -> str:
        if (found := value.count(SLOT)) != 1:
            raise ValueError(f"expected {SLOT} exactly once, found it {found} times")
        return value

    def wrap(self, prompt: Prompt) -> Prompt:
        """The prompt's behaviour (its text, where nothing harmful is sought) in this frame."""
        return prompt.model_copy(update={"text": self.text.replace(SLOT, bare(prompt).text), "attack": self.name})


def load_templates(path: Path) -> list[Template]:
    """The templates of a JSONL file, in its order; RecordError with `path:line` for the first that is wrong."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: can't be read as templates: {error}") from None
    found: dict[str, Template] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise RecordError(f"{path}:{number}: expected {EXPECTED}, got a {type(row).__name__}")
            template = Template.model_validate(row)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "line"
            raise RecordError(f"{path}:{number}: {field}: {first['msg'].removeprefix('Value error, ')}") from None
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{path}:{number}: expected one JSON object: {error}") from None
        if template.name in found:
            raise RecordError(f"{path}:{number}: name: there is already a template named {template.name!r}")
        found[template.name] = template
    if not found:
        raise RecordError(f"{path}: no template in it; expected {EXPECTED}")
    return list(found.values())


def wrap(
    prompts: Sequence[Prompt], templates: Sequence[Template], per_prompt: int = 0, keep_bare: bool = False
) -> list[Prompt]:
    """Put every prompt in `per_prompt` templates (0: in all), after its unwrapped self where `keep_bare` asks for it.

    Prompt i gets templates (i * per_prompt + k) % len(templates) for k < per_prompt, so that every template is used
    equally often, give or take one. RecipeError when there are fewer templates than each prompt is to get.
    """
    each = per_prompt or len(templates)
    if not 0 < each <= len(templates):
        raise RecipeError(
            f"per_prompt: expected 0 (all) to {len(templates)}, the number of templates, got {per_prompt}"
        )
    wrapped: list[Prompt] = []
    for i, prompt in enumerate(prompts):
        if keep_bare:
            wrapped.append(bare(prompt))
        wrapped += [templates[(i * each + k) % len(templates)].wrap(prompt) for k in range(each)]
    return wrapped
