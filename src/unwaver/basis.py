"""What a number was measured by: the fields two numbers must share before one is held against the other. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Basis:
    """Who read what of which replies; several readers of one number are joined by ` + `."""

    judge: str
    """Who read the replies, `name@revision`."""
    rubric: str
    """The question, `name@hash`."""
    looked_at: str
    """Which text was read."""
    prompts: str
    """Digest of the prompts."""
    sampling: str
    """How replies were drawn, but for the limit and the seed."""
    limit: int | None
    """The limit on a reply, in tokens; None where it isn't known."""

    def differs(self, other: Basis) -> tuple[str, ...]:
        """The fields that are not the same, in plain words."""
        return tuple(
            _WORDS.get(one.name, one.name)
            for one in fields(self)
            if getattr(self, one.name) != getattr(other, one.name)
        )


_WORDS = {"looked_at": "text looked at", "prompts": "prompt set", "limit": "token limit"}
