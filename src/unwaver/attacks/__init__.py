"""Attacks on one's own model: Prompt -> Prompt, so that a defence is measured against more than the bare request.

`none`, `templates`, `prefill` and the fixed rewrites of `pap` change a prompt at once. Generated `pap` and `pair` need
an attacker model; they say what to ask and read what came back, and a stage drives the engine. Pure but for the reading
of a file the user named and of the shipped instructions. docs/attacks.md sets each beside its paper.
"""

from __future__ import annotations

from typing import Any, TypeVar

from unwaver.records import Record

R = TypeVar("R", bound=Record)


def changed(record: R, **changes: Any) -> R:
    """The record with some fields changed. Not `model_copy`, which would carry the old content's cached id along."""
    fields = {name: getattr(record, name) for name in type(record).model_fields}
    return type(record)(**{**fields, **changes})
