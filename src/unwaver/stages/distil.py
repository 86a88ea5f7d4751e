"""`distil`: a trace of every prompt by one teaching method (docs/instructions.md).

Reads `prompts.jsonl`; writes `traces.jsonl` (records.Trace), one for every prompt and sample: a trace or a failure with
its reason. The manifest counts the prompts with a trace that can be trained on (`usable`), and what is wrong with the
others. What the models are told on the way is part of the requests and of nothing that is written to a trace.
Prompts are read anew for each pass and traces written as they are made, so that memory does not grow with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from unwaver import progress
from unwaver.dialogue import Dialogue
from unwaver.errors import RecipeError
from unwaver.models.chat import family_of
from unwaver.reasoning import Family, render
from unwaver.recipe import ModelSettings, PromptSet, Recipe
from unwaver.records import Prompt, Reply, Request, Sampling, Trace
from unwaver.sources import files, kind_of
from unwaver.sources.results import labels
from unwaver.sources.traces import load_traces
from unwaver.stages import flips
from unwaver.stages.calls import LEARNED_FROM, Calls, TraceMaker, Workplace, noted
from unwaver.stages.dialogues import in_rounds, results
from unwaver.stages.usable import faults
from unwaver.store import PROMPTS, TRACES, RunDir, Step, read_records
from unwaver.teaching import find
from unwaver.teaching import settings as method_settings
from unwaver.teaching.given import GIVEN
from unwaver.teaching.method import Lesson, Method
from unwaver.teaching.none import FIXED_TEXT

Makers = Mapping[str, TraceMaker]
"""By role, who reads the marks of its model."""


@dataclass
class _Counted:
    """What became of the traces, for the manifest."""

    endings: Counter[str] = field(default_factory=Counter)
    blocks: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    """By what is wrong with them (`stages.usable`); a trace may count for several."""
    usable: int = 0
    """Prompts with a trace that can be trained on, as far as its form goes."""
    last: str = ""
    """The last of these prompts; a prompt's traces follow one another."""

    def add(self, trace: Trace) -> None:
        """Count one trace."""
        self.endings[trace.ending] += 1
        if trace.failure is None:
            self.blocks[trace.block] += 1
        else:
            self.failed[trace.failure] += 1
        wrong = faults(trace)
        self.unusable.update(wrong)
        if not wrong and trace.prompt.id != self.last:
            self.usable, self.last = self.usable + 1, trace.prompt.id

    def summary(self) -> dict[str, Any]:
        """The counts."""
        names = ("endings", "blocks", "failed", "unusable")
        return {name: dict(getattr(self, name)) for name in names} | {"usable": self.usable}


def run(step: Step, recipe: Recipe, place: Workplace) -> dict[str, Any]:
    """Make the calls that are owed, then write every trace in the prompts' order."""
    source = step.inputs["prompts"].directory(place.root) / PROMPTS
    name = str(step.settings["method"]["name"])
    models = {role: _model(recipe, asked, step) for role, asked in step.settings["roles"].items()}
    families = {role: family_of(model) for role, model in models.items()} if _goes_on(name) else {}
    with RunDir.open(step, place.root) as out:
        if warning := find(name).warning:
            progress.say(f"distil {step.name}: {warning}")
        calls = Calls(out, place, recipe.max_failed)
        counted = _Counted()
        given = _given(recipe.prompts[step.name]) if name == GIVEN else {}
        choice: flips.Choice | None = None

        def lessons(makers: Makers) -> Iterator[Dialogue[Trace]]:
            begun = _lessons(read_records(source, Prompt), name, recipe, makers, families, given=given)
            chosen = None if choice is None else choice.wording
            return (find(name).teach(replace(lesson, chosen=chosen)) for lesson in begun)

        def makers() -> dict[str, TraceMaker]:
            return {role: TraceMaker(model) for role, model in models.items()}

        def traces(makers: Makers) -> Iterator[Trace]:
            for made in results(lambda: lessons(makers), models, calls):
                _check(made, name)
                counted.add(made)
                yield made

        try:
            if "choice" in step.settings:
                asking = flips.FlipSettings(recipe, models, calls, f"distil {step.name}")
                choice = _chosen(step, read_records(source, Prompt), makers(), families, asking)
                progress.say(f"distil {step.name}: {choice.told()}")
            in_rounds(lambda: lessons(makers()), models, calls, f"distil {step.name}")
            looked = makers()
            for _ in islice(results(lambda: lessons(looked), models, calls), LEARNED_FROM):
                pass
            readers = {role: maker.learned() for role, maker in looked.items()}
            written = out.write(TRACES, traces(readers))
            for reader in readers.values():
                reader.tell()
            calls.tell()
        finally:
            calls.close()
        counts = {"written": written, **counted.summary()}
        counts |= noted(sum((reader.notes for reader in readers.values()), Counter()))
        labels = ", ".join(model.label for model in models.values()) or next(
            (one.model for one in given.values()), FIXED_TEXT
        )
        more = {} if choice is None else {"choice": choice.table}
        return out.finish(counts, method=name, model=labels, **more, **calls.summary())


def _chosen(
    step: Step, prompts: Iterable[Prompt], makers: Makers, families: Mapping[str, Family], asking: flips.FlipSettings
) -> flips.Choice:
    """The wording that turns most unsafe replies safe."""
    name = str(step.settings["method"]["name"])
    tried = flips.evenly(prompts, int(step.settings["settings"]["tried"]))
    lessons = list(_lessons(tried, name, asking.recipe, makers, families, given={}))
    first = lessons[:: asking.recipe.distil.samples]
    return flips.choose(find(name), step.settings["choice"]["lines"], first, asking)


def taught_by(recipe: Recipe, part: str) -> Method:
    """How the traces of a set of prompts are made."""
    return find(*recipe.method_of(part, kind_of(recipe.prompts[part]) == "harmful"))


def _check(made: object, method: str) -> None:
    """ValueError where a method came to something that is no trace, or to one that couldn't be read again."""
    if not isinstance(made, Trace):
        raise ValueError(f"method {method}: expected `teach` to return a Trace, got {type(made).__name__}")
    try:
        Trace.model_validate({field: getattr(made, field) for field in Trace.model_fields})
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"method {method}: {said}") from None


def _model(recipe: Recipe, name: str, step: Step) -> ModelSettings:
    if name not in recipe.models:
        raise RecipeError(f"models: expected a `{name}` to ask for traces of `{step.name}`")
    return recipe.models[name]


def _goes_on(method: str) -> bool:
    """Whether a method has several calls, so that a model may be made to go on from a reasoning."""
    return sum(find(method).calls.values()) > 1


def _given(prompts: PromptSet) -> dict[str, Trace]:
    """By prompt, the first reply that a set's own file holds; RecipeError where it holds none."""
    columns = {"prompt": prompts.columns["text"]} if "text" in prompts.columns else {}
    where = str(prompts.path)
    label = f"{Path(where).name}@{files.fingerprint(Path(where))[:8]}"
    found: dict[str, Trace] = {}
    replies, words = 0, Counter[str]()
    unread = ""
    for row in load_traces(where, columns):
        unread = unread or row.unread or ""
        if row.unread is None and row.replied:
            replies += 1
            words.update([row.word] if row.word else [])
            found.setdefault(row.prompt.strip(), row.trace(label))
    if not found:
        usual = "`prompt` and `response`, or `prompt`, `reasoning` and `answer`"
        raise RecipeError(
            f"distil.methods: given: {where}: no row holds a reply; expected columns with usual names: {usual}"
            + (f" (the first that can't be read: {unread})" if unread else "")
        )
    if words.total() == replies and (few := labels(words, replies)):
        raise RecipeError(
            f"distil.methods: given: {where}: every reply is one of a few words ({', '.join(few)}), as labels are; "
            "expected the text of the reply in `response`"
        )
    return found


def _lessons(
    prompts: Iterable[Prompt],
    name: str,
    recipe: Recipe,
    makers: Makers,
    families: Mapping[str, Family],
    *,
    given: Mapping[str, Trace],
) -> Iterator[Lesson]:
    settings, method = recipe.distil, find(name)
    own = method_settings(method, settings.method_settings if name == settings.method else {})
    sampling = Sampling(
        temperature=settings.temperature, top_p=settings.top_p, max_tokens=settings.max_tokens, seed=settings.seed
    )
    file = settings.instruction_file if name == settings.method else None

    def begun(role: str, reasoning: str) -> str:
        family = families[role]
        return render(reasoning, "", tags=family).removesuffix(family.render_end)

    for prompt in prompts:

        def heard(role: str, request: Request, reply: Reply, prompt: Prompt = prompt) -> Trace:
            return makers[role].make(prompt, request, reply)

        for sample in range(settings.samples if method.roles else 1):
            trace = given.get(prompt.text.strip())
            yield Lesson(
                prompt,
                sample,
                sampling,
                heard,
                file=file,
                position=settings.position,
                settings=own,
                given=trace,
                begun=begun,
            )
