"""The six recipes: what the teacher is told (docs/recipes.md), and where it stands.

`default` and `none` tell nothing. `realsafe` and `improved` are put before the prompt in the user's turn; `short` and
`template` are system turns. Each text can be replaced by a file of your own.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

from unwaver.errors import RecipeError
from unwaver.records import Message

Position = Literal["user", "system"]

POSITIONS: dict[str, Position | None] = {
    "default": None,
    "realsafe": "user",
    "improved": "user",
    "short": "system",
    "template": "system",
    "none": None,
}

FIXED_REFUSAL = "I'm sorry, but I can't help with that."
"""The whole answer of the `none` recipe: no reasoning, no teacher, the same sentence for every harmful prompt."""


@cache
def text(instruction: str, file: Path | None = None) -> str:
    """The wording of an instruction, "" for those that have none; `file` replaces the shipped one."""
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{file}: can't be read as an instruction: {error}") from None
    if instruction not in POSITIONS:
        raise RecipeError(f"distil.instruction: no `{instruction}`; there are {', '.join(POSITIONS)}")
    if POSITIONS[instruction] is None:
        return ""
    return resources.files(__package__).joinpath(f"{instruction}.md").read_text(encoding="utf-8").strip()


def ask(
    instruction: str, prompt: str, file: Path | None = None, position: Position | None = None
) -> tuple[Message, ...]:
    """What the teacher is sent. The student never sees more than `prompt`."""
    told = text(instruction, file)
    if not told:
        return (Message(role="user", content=prompt),)
    if (position or POSITIONS.get(instruction) or "user") == "system":
        return (Message(role="system", content=told), Message(role="user", content=prompt))
    return (Message(role="user", content=f"{told}\n\n{prompt}"),)
