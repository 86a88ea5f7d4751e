"""`evaluate`: what one model is asked of one evaluation set, and what it replies (docs/evaluation.md).

Reads the prompts and, for a trained student, its checkpoint; writes `traces.jsonl` (one for every prompt and sample: a
trace or a failure with its reason), and for an attack that asks models of its own `attempts.jsonl` with everything that
was tried. What an attack found is asked as any prompt is: greedily for harmful ones, whatever the search sampled.
What the replies are worth is read afterwards by `judge`, so that another judge never asks the model again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from typing import Any

from unwaver import attacks, registry
from unwaver.attacks.attack import Made
from unwaver.errors import RecipeError, RunError
from unwaver.judging.readers import grader
from unwaver.models.chat import family_of
from unwaver.reasoning import THINK, begin, named, split
from unwaver.recipe import EvaluationSet, ModelSettings, Recipe
from unwaver.records import Message, Prompt, Record, Reply, Request, Trace, digest
from unwaver.stages.calls import (
    LEARNED_FROM,
    REMOTE,
    Asking,
    Calls,
    TraceMaker,
    Workplace,
    ask_together,
    noted,
    student_of,
)
from unwaver.stages.dialogues import search_all
from unwaver.store import ATTEMPTS, PROMPTS, TRACES, RunDir, Step, read_records


def run(step: Step, recipe: Recipe, place: Workplace) -> dict[str, Any]:
    """Ask one set."""
    return run_all([(step, recipe)], place)[0]


def run_all(owed: Sequence[tuple[Step, Recipe]], place: Workplace) -> list[dict[str, Any]]:
    """Ask one model several sets: weights on this machine are loaded once, and small sets share the model's batches.

    Each set is finished when its replies are there. The manifests, in the order of `owed`.
    """
    with ExitStack() as stack:
        sets = [_Evaluation(step, recipe, place, stack) for step, recipe in owed]
        for one in sets:
            one.open()  # all openings first, so that another model on this machine and the student change places once
        _ask_together([one for one in sets if one.batches_with_others], place)
        return [one.ask() for one in sets]


def _ask_together(sets: Sequence[_Evaluation], place: Workplace) -> None:
    """Fill the ledgers of several sets in common batches; each set's own `ask` then finds its replies there."""
    if len(sets) < 2:
        return
    began, student = time.monotonic(), sets[0].student
    askings = [Asking(one.calls, one.requests(), f"ask {student.label} {one.name}") for one in sets]
    # A set too many of whose calls failed makes them again by itself, and says so if they fail again.
    with suppress(RunError):
        ask_together(student, askings, place, f"ask {student.label} {len(sets)} sets")
    share = (time.monotonic() - began) / max(1, sum(len(asking.requests) for asking in askings))
    for one, asking in zip(sets, askings, strict=True):
        one.seconds += share * len(asking.requests)


def checkpoint(step: Step, recipe: Recipe) -> str:
    """What evaluations of the same weights share."""
    train = step.inputs.get("train")
    return train.digest if train is not None else digest(recipe.models["student"].model_dump(mode="json"))


class _Evaluation:
    """One model on one set, while it is under way."""

    def __init__(self, step: Step, recipe: Recipe, place: Workplace, stack: ExitStack) -> None:
        self._recipe, self.name = recipe, step.name
        self._entry = recipe.evaluate.sets[step.name]
        self._attack = attacks.find(self._entry.attack)
        self._prompts = list(read_records(step.inputs["prompts"].directory(place.root) / PROMPTS, Prompt))
        self.student = student_of(step, recipe, place)
        self._out = stack.enter_context(RunDir.open(step, place.root))
        self.calls = Calls(self._out, place, recipe.max_failed)
        stack.callback(self.calls.close)
        here = self.student.door not in REMOTE
        self._is_code = any(prompt.kind == "code" for prompt in self._prompts)
        self._opens = self._attack.asks_first and self._attack.opens
        self._made: list[Made] = []
        self.batches_with_others = here and (self._opens or not self._attack.asks_first) and not self._is_code
        """Whether the student's weights are in this process, and nothing is to be made or looked for before asking."""
        self.seconds = 0.0

    def open(self) -> None:
        """Have another model begin the student's replies, where the attack is of that kind."""
        if self._opens and not self._made:
            with self._timed():
                self._made = self._searched()

    def requests(self) -> list[Request]:
        """What the student is to be asked, where nothing is left to be made first."""
        made = self._made or self._renamed()
        return [request for one, request in self._pairs(made) if one.unasked is None]

    def ask(self) -> dict[str, Any]:
        """Make the prompts that the set's attack makes, ask them, and write what came back; the manifest."""
        with self._timed():
            if self._is_code:
                # Opened and closed again: where there is no sandbox, nobody is to wait for replies first to hear of it.
                with grader("code"):
                    pass
            made = self._made or (self._searched() if self._attack.asks_first else self._renamed())
            if self._attack.asks_first:
                self._out.write(ATTEMPTS, [line for one in made for line in one.attempts])
            traces = self._asked(made)
            self._out.write(TRACES, traces)
        keys = _keys(made)
        counts = {
            "written": len(traces),
            "endings": dict(Counter(t.ending for t in traces)),
            "blocks": dict(Counter(t.block for t in traces if t.failure is None)),
            "failed": dict(Counter(t.failure for t in traces if t.failure is not None)),
            **noted(Counter(t.note for t in traces if t.note is not None)),
            **({"attack": {key: sum(one.counts.get(key, 0) for one in made) for key in keys}} if keys else {}),
        }
        told = {"model": self.student.label, "set": self.name, "attack": self._entry.attack}
        # Only this set's own time: its directory was open while others were asked, too.
        self._out.started = time.monotonic() - self.seconds
        return self._out.finish(counts, **told, **self.calls.summary())

    def _renamed(self) -> list[Made]:
        """The prompts of an attack that asks nobody."""
        return [Made(prompt) for prompt in self._attack.renamed(self._prompts)]

    def _searched(self) -> list[Made]:
        """What the attack's own dialogues come to: as many as it says it makes, or nothing that follows can be told."""
        where = f"evaluate.sets.{self.name}"
        if self._attack.of_harm_alone and any(not prompt.behaviour for prompt in self._prompts):
            raise RecipeError(f"{where}: attack {self._attack.name} needs prompts that name a harmful behaviour")
        settings = attack_settings(self._entry, self.name)
        roles = self._attack.asks(settings).items()
        models = {role: self.student if name == "student" else self._recipe.models[name] for role, name in roles}
        tags = {role: model.tags for role, model in models.items()} | {"student": self.student.tags}
        searches = self._attack.searches(self._prompts, settings, tags)
        if len(searches) != (owed := self._attack.prompts_made(len(self._prompts), settings)):
            name = self._attack.name
            raise ValueError(f"attack {name}: expected {owed} searches (`prompts_made`), got {len(searches)}")
        planned = sum(one.calls for one in self._attack.planned(len(self._prompts), 0, settings))
        what = f"{self._attack.name} {self.name}"
        search_all(searches, models, self.calls, what=what, planned=planned, max_failed=self._recipe.max_failed)
        found = [search.made() for search in searches]
        if any(not self._attack.marks(one.prompt) for one in found):
            raise ValueError(f"attack {self._attack.name}: a prompt it made doesn't bear its name (`marks`)")
        return found

    def _pairs(self, made: Sequence[Made]) -> list[tuple[Made, Request]]:
        """Every prompt and sample with what the student is asked."""
        family = family_of(self.student) if self._attack.opens else THINK
        same = self._attack.opening(family)
        pairs = []
        for one in made:
            prompt, prefill = one.prompt, begin(one.opening, family) if one.opening else same
            sampling = self._recipe.sampling(prompt.kind, self._entry)
            messages = (*prompt.turns, Message(role="user", content=prompt.text))
            for sample in range(self._entry.samples):
                request = Request(messages=messages, prefill=prefill, sampling=sampling, sample=sample)
                pairs.append((one, request))
        return pairs

    def _asked(self, made: Sequence[Made]) -> list[Trace]:
        """One trace for every prompt and sample; a prompt for which no attack was found isn't asked and says so."""
        student, calls, pairs = self.student, self.calls, self._pairs(made)
        asked = [request for one, request in pairs if one.unasked is None]
        calls.ask(student, lambda: asked, len(asked), f"ask {student.label} {self.name}")

        def reply(one: Made, request: Request) -> Reply:
            why = one.unasked
            return calls.reply(student, request) if why is None else Reply(ending="error", failure=why)

        looked = TraceMaker(student)
        for one, request in islice(pairs, LEARNED_FROM):
            looked.make(one.prompt, request, reply(one, request))
        maker = looked.learned()
        traces = []
        for one, request in pairs:
            said = reply(one, request)
            trace = maker.make(one.prompt, request, said)
            traces.append(gone_on(trace, one.opening, said, student) if one.opening else trace)
        maker.tell()
        for request in asked:
            calls.note(student, request, calls.reply(student, request))
        calls.tell()
        return traces

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds += time.monotonic() - began


def _keys(made: Sequence[Made]) -> list[str]:
    """What the attack counts, in the order it first counted it."""
    return list(dict.fromkeys(key for one in made for key in one.counts))


NOT_GONE_ON = "the reply doesn't go on from the words it was made to begin with"


def gone_on(trace: Trace, opening: str, reply: Reply, student: ModelSettings) -> Trace:
    """The trace of a reply to a request with an opening, which is shielded: readers read what its writer added.

    A reply that begins a reasoning of its own behind the opening is a failure: its server took no notice of it.
    """
    if trace.failure is not None:
        return trace
    found = split(reply.text, False, named(student.tags))
    anew = bool(found.opener) and not found.before.strip()
    thought = trace.reasoning or ""
    if not thought.startswith(opening) and reply.reasoning is not None and not anew:
        thought = f"{opening} {thought}"  # its server hands over what was added alone
    if anew or not thought.startswith(opening):
        fields = {"prompt": trace.prompt, "model": trace.model, "sample": trace.sample, "sampling": trace.sampling}
        return Trace(**fields, ending="error", failure=NOT_GONE_ON)
    return trace.model_copy(update={"reasoning": thought, "shielded": ((0, len(opening)),)})


def attack_settings(entry: EvaluationSet, name: str) -> Record:
    """The settings of a set's attack: its own, laid over by the recipe's; RecipeError names the key."""
    where = f"evaluate.sets.{name}.attack_settings"
    found: Record = registry.settings(attacks.find(entry.attack).Settings, entry.attack_settings, where)
    return found
