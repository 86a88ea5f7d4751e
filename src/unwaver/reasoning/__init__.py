"""The only room that knows how models mark their reasoning.

It reads a raw reply into reasoning and answer (`split`, and `read` where a server hands the reasoning over apart),
writes a trace back as a training reply (`render`), and tells whether a chat template opens the block itself
(`opens_block`). The marks are data: `families.toml`. Nothing is guessed: what a reply lacks is None, the pieces of a
split put together again are the raw text, character for character, and marks that nobody knows are told. Pure.
"""

from __future__ import annotations

from typing import Any

from unwaver.reasoning.families import AUTO, FAMILIES, HARMONY, THINK, Family, by_name, named, recognise
from unwaver.reasoning.replies import Reading, begin, headless, opens_block, read, render, trace
from unwaver.reasoning.splitting import Split, split
from unwaver.records import digest

__all__ = [
    "AUTO",
    "FAMILIES",
    "HARMONY",
    "THINK",
    "VERSION",
    "Family",
    "Reading",
    "Split",
    "begin",
    "by_name",
    "headless",
    "identity",
    "named",
    "opens_block",
    "read",
    "recognise",
    "render",
    "split",
    "trace",
]

VERSION = 8
"""Raised whenever any reply is read into other pieces; tests/test_identity.py notices."""


def identity() -> dict[str, Any]:
    """What decides how replies are read: enters the names of runs in which models are asked."""
    return {"version": VERSION, "families": digest([family.identity() for family in FAMILIES.values()], size=8)}
