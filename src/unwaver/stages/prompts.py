"""`prompts`: one prompt set from its source, cut to its split, wrapped in templates.

Reads the source; writes `prompts.jsonl` (records.Prompt, one a line, no two with the same text).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from unwaver import sources
from unwaver.attacks.templates import Template, load_templates, wrap
from unwaver.errors import under
from unwaver.recipe import PromptSet, Recipe
from unwaver.records import Prompt
from unwaver.sources import corpus
from unwaver.stages.calls import Workplace
from unwaver.store import PROMPTS, RunDir, Step


def run(step: Step, recipe: Recipe, place: Workplace) -> dict[str, Any]:
    """Write the set and say what is in it."""
    with under(f"prompts.{step.name}"):
        found, repeated = gather(recipe.prompts[step.name])
    with RunDir.open(step, place.root) as out:
        out.write(PROMPTS, found)
        kinds = Counter(prompt.kind for prompt in found)
        attacks = Counter(prompt.attack or "none" for prompt in found)
        behaviours = len({prompt.behaviour or prompt.text for prompt in found})
        return out.finish(
            {
                "written": len(found),
                "repeated": repeated,
                "behaviours": behaviours,
                "kinds": dict(kinds),
                "attacks": dict(attacks),
            },
            sources=sorted({prompt.source for prompt in found}),
        )


def gather(entry: PromptSet) -> tuple[list[Prompt], int]:
    """The prompts of a set, in the source's order, each text once; and how many of the source's rows repeat one."""
    found, repeated = sources.counted(entry)
    if entry.templates is not None:
        found = wrap(found, _templates(entry), entry.per_prompt, entry.bare)
    return list({prompt.text: prompt for prompt in found}.values()), repeated


def _templates(entry: PromptSet) -> list[Template]:
    """The corpus's templates of the set's own split, or all of a file's."""
    if entry.templates != "corpus":
        return load_templates(Path(str(entry.templates)))
    rows = [row for row in corpus.load("templates") if entry.split in ("all", row["split"])]
    return [Template(name=row["name"], text=row["text"]) for row in rows]


def template_count(entry: PromptSet) -> int:
    """How many templates a set's prompts may be put in; 0: none."""
    return len(_templates(entry)) if entry.templates is not None else 0
