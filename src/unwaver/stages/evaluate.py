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

from pydantic import ValidationError

from unwaver import attacks
from unwaver.attacks.attack import NO_ATTACK, Made
from unwaver.errors import RecipeError, RunError
from unwaver.judging.readers import grader
from unwaver.models.chat import family_of
from unwaver.recipe import EvaluationSet, Recipe
from unwaver.records import Message, Prompt, Record, Reply, Request, Trace, digest
from unwaver.stages.calls import LEARNED_FROM, REMOTE, Asking, Calls, Place, TraceMaker, ask_together, noted, student_of
from unwaver.stages.dialogues import search_all
from unwaver.store import ATTEMPTS, PROMPTS, TRACES, RunDir, Step, read_records


def run(step: Step, recipe: Recipe, place: Place) -> dict[str, Any]:
    """Ask one set."""
    return run_all([(step, recipe)], place)[0]


def run_all(owed: Sequence[tuple[Step, Recipe]], place: Place) -> list[dict[str, Any]]:
    """Ask one model several sets: weights on this machine are loaded once, and small sets share the model's batches.

    Each set is finished when its replies are there. The manifests, in the order of `owed`.
    """
    with ExitStack() as stack:
        sets = [_Evaluation(step, recipe, place, stack) for step, recipe in owed]
        _ask_together([one for one in sets if one.batches_with_others], place)
        return [one.ask() for one in sets]


def _ask_together(sets: Sequence[_Evaluation], place: Place) -> None:
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

    def __init__(self, step: Step, recipe: Recipe, place: Place, stack: ExitStack) -> None:
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
        self.batches_with_others = here and not self._attack.asks_first and not self._is_code
        """Whether the student's weights are in this process, and nothing is to be made or looked for before asking."""
        self.seconds = 0.0

    def requests(self) -> list[Request]:
        """What the student is to be asked, where no model has to make the attack first."""
        return [request for _, request in self._pairs(self._attack.renamed(self._prompts))]

    def ask(self) -> dict[str, Any]:
        """Make the prompts that the set's attack makes, ask them, and write what came back; the manifest."""
        with self._timed():
            if self._is_code:
                # Opened and closed again: where there is no sandbox, nobody is to wait for replies first to hear of it.
                with grader("code"):
                    pass
            made = self._made() if self._attack.asks_first else []
            if self._attack.asks_first:
                self._out.write(ATTEMPTS, [line for one in made for line in one.attempts])
                prompts = [one.prompt for one in made]
            else:
                prompts = self._attack.renamed(self._prompts)
            traces = self._asked(prompts)
            self._out.write(TRACES, traces)
        counts = {
            "written": len(traces),
            "endings": dict(Counter(t.ending for t in traces)),
            "blocks": dict(Counter(t.block for t in traces if t.failure is None)),
            "failed": dict(Counter(t.failure for t in traces if t.failure is not None)),
            **noted(Counter(t.note for t in traces if t.note is not None)),
            **({"attack": {key: sum(one.counts.get(key, 0) for one in made) for key in _keys(made)}} if made else {}),
        }
        told = {"model": self.student.label, "set": self.name, "attack": self._entry.attack}
        # Only this set's own time: its directory was open while others were asked, too.
        self._out.started = time.monotonic() - self.seconds
        return self._out.finish(counts, **told, **self.calls.summary())

    def _made(self) -> list[Made]:
        """What the attack's own dialogues come to: as many as it says it makes, or nothing that follows can be told."""
        where = f"evaluate.sets.{self.name}"
        if any(not prompt.behaviour for prompt in self._prompts):
            raise RecipeError(f"{where}: attack {self._attack.name} needs prompts that name a harmful behaviour")
        settings = attack_settings(self._entry, self.name)
        searches = self._attack.searches(self._prompts, settings, self.student.tags)
        if len(searches) != (owed := self._attack.prompts_made(len(self._prompts), settings)):
            name = self._attack.name
            raise ValueError(f"attack {name}: expected {owed} searches (`prompts_made`), got {len(searches)}")
        roles = self._attack.roles.items()
        models = {role: self.student if name == "student" else self._recipe.models[name] for role, name in roles}
        planned = sum(one.calls for one in self._attack.planned(len(self._prompts), 0, settings))
        what = f"{self._attack.name} {self.name}"
        search_all(searches, models, self.calls, what=what, planned=planned, max_failed=self._recipe.max_failed)
        found = [search.made() for search in searches]
        if any(not self._attack.marks(one.prompt) for one in found):
            raise ValueError(f"attack {self._attack.name}: a prompt it made doesn't bear its name (`marks`)")
        return found

    def _pairs(self, prompts: Sequence[Prompt]) -> list[tuple[Prompt, Request]]:
        """Every prompt and sample with what the student is asked."""
        prefill = self._attack.opening(family_of(self.student)) if self._attack.opening() else ""
        pairs = []
        for prompt in prompts:
            sampling = self._recipe.sampling(prompt.kind, self._entry)
            messages = (*prompt.turns, Message(role="user", content=prompt.text))
            for sample in range(self._entry.samples):
                request = Request(messages=messages, prefill=prefill, sampling=sampling, sample=sample)
                pairs.append((prompt, request))
        return pairs

    def _asked(self, prompts: Sequence[Prompt]) -> list[Trace]:
        """One trace for every prompt and sample; a prompt for which no attack was found isn't asked and says so."""
        student, calls, pairs = self.student, self.calls, self._pairs(prompts)
        made = [request for prompt, request in pairs if prompt.text]
        calls.ask(student, lambda: made, len(made), f"ask {student.label} {self.name}")
        never = Reply(ending="error", failure=NO_ATTACK)
        looked = TraceMaker(student)
        for prompt, request in islice(pairs, LEARNED_FROM):
            looked.make(prompt, request, calls.reply(student, request) if prompt.text else never)
        maker = looked.learned()
        traces = [maker.make(p, r, calls.reply(student, r) if p.text else never) for p, r in pairs]
        maker.tell()
        for request in made:
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


def attack_settings(entry: EvaluationSet, name: str) -> Record:
    """The settings of a set's attack: its own, laid over by the recipe's; RecipeError names the key."""
    attack = attacks.find(entry.attack)
    try:
        found: Record = attack.Settings.model_validate(entry.attack_settings)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["evaluate.sets", name, "attack_settings", *map(str, first["loc"])])
        raise RecipeError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None
    return found
