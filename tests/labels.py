"""Labels as tests write them: `a+b` for several, `none` for none of a rubric's names, None for an unscored verdict."""

from __future__ import annotations

from unwaver.records import NO_PATTERN


def labels(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    return () if text == NO_PATTERN else tuple(text.split("+"))
