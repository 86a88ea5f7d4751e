"""unwaver: make large reasoning models safer by supervised fine-tuning, and prove whether it worked.

What a notebook needs is here by name and loaded when it is used (docs/python.md): `open_runs` of a recipe or a study,
`audit` traces, `read` a text, and the nouns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from unwaver.notebook import Runs, audit, open_runs, read
    from unwaver.recipe import Recipe
    from unwaver.records import Estimate, Example, Prompt, Trace, Verdict

_HOMES = {
    **dict.fromkeys(("Runs", "audit", "open_runs", "read"), "unwaver.notebook"),
    "Recipe": "unwaver.recipe",
    **dict.fromkeys(("Estimate", "Example", "Prompt", "Trace", "Verdict"), "unwaver.records"),
}

__all__ = ["Estimate", "Example", "Prompt", "Recipe", "Runs", "Trace", "Verdict", "audit", "open_runs", "read"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'unwaver' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
