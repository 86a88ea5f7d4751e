"""`overlap`: what the training set shares with what is evaluated (the leak guard).

Reads the mix and every evaluated prompt set; writes what was found into the manifest. Training and the report ask it
through `contaminated` before they go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from unwaver.progress import bar
from unwaver.recipe import Recipe
from unwaver.records import Example, Prompt
from unwaver.sources import overlap
from unwaver.stages.calls import Workplace
from unwaver.store import EXAMPLES, PROMPTS, RunDir, Step, read_records


def run(step: Step, recipe: Recipe, place: Workplace) -> dict[str, Any]:
    """Compare texts and write down what they share."""
    with RunDir.open(step, place.root) as out, bar("overlap, training texts", None) as progress:

        def training() -> Iterator[tuple[str, str]]:
            for example in read_records(step.inputs["mix"].directory(place.root) / EXAMPLES, Example):
                yield example.prompt, example.user
                progress.advance()

        evaluated: dict[str, list[tuple[str, str]]] = {}
        for name, prompts in step.inputs.items():
            if name == "mix":
                continue
            texts = evaluated.setdefault(name, [])
            for prompt in read_records(prompts.directory(place.root) / PROMPTS, Prompt):
                texts.append((prompt.id, prompt.text))
                if prompt.behaviour is not None and prompt.behaviour != prompt.text:
                    texts.append((prompt.id, prompt.behaviour))
        found = overlap.find(training(), evaluated)
        return out.finish(found.model_dump(mode="json"), policy=recipe.mix.overlap)


def contaminated(manifest: dict[str, Any]) -> dict[str, int]:
    """Evaluated sets that share text with the training set, and how many of their prompts do."""
    return {name: entry["prompts"] for name, entry in manifest["counts"]["sets"].items() if entry["prompts"]}
