"""`evaluate`: what one model does with one evaluation set (docs/evaluation.md).

Reads the prompts and, for a trained student, its checkpoint; writes `traces.jsonl` (one for every prompt and sample: a
trace or a failure with its reason), `verdicts.jsonl`, and for PAIR and generated PAP `attempts.jsonl` with everything
that was tried. What an attack found is asked as any prompt is: greedily for harmful ones, whatever the search sampled.
Harmful prompts: refusal on the answer, harm on the reasoning, the answer and both, risky patterns, and sentence by
sentence where the recipe names a judge for it (anatomy). Borderline and benign: refusal. Maths and code: graded.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from unwaver.attacks import prefill
from unwaver.errors import RunError, UnwaverError
from unwaver.judging.readers import grader
from unwaver.judging.tally import tally
from unwaver.reasoning import FAMILIES
from unwaver.recipe import RULES, ModelSettings, Recipe
from unwaver.records import Kind, LookedAt, Message, Prompt, Reply, Request, Trace, Verdict, digest
from unwaver.stages.attacked import ATTEMPTS, BY_MODEL, NO_ATTACK, Attacked, attack
from unwaver.stages.calls import REMOTE, Asking, Calls, Place, TraceMaker, ask_together
from unwaver.stages.distil import TRACES
from unwaver.stages.judge import VERDICTS
from unwaver.stages.prompts import PROMPTS
from unwaver.stages.readings import judges_of, read_by
from unwaver.store import RunDir, Step, read_records

LOOKED_AT: tuple[LookedAt, ...] = ("answer", "reasoning", "both")


def run(step: Step, recipe: Recipe, place: Place) -> dict[str, Any]:
    """Ask, then read."""
    return run_all([(step, recipe)], place)[0]


def run_all(owed: Sequence[tuple[Step, Recipe]], place: Place) -> list[dict[str, Any]]:
    """Evaluate one model on several sets: ask it all of them, then have each judge read all of them.

    So weights on this machine are loaded once for the model and once for each judge, however many sets there are, and
    small sets share the model's batches. A set is finished when its last judge is through. Where one can't be asked,
    those before it are read all the same, and then its error is raised. The manifests, in the order of `owed`.
    """
    problem: UnwaverError | None = None
    with ExitStack() as stack:
        opened = [_Evaluation(step, recipe, place, stack) for step, recipe in owed]
        sets: list[_Evaluation] = []
        _ask_together([one for one in opened if one.batches_with_others], place)
        for one in opened:
            try:
                one.ask()
            except UnwaverError as error:
                problem = error
                break
            sets.append(one)
        readings = [(one, question, judge) for one in sets for question in one.questions for judge in question.judges]
        order = list(dict.fromkeys(one.model_of(judge) for one, _, judge in readings))
        for one, question, judge in sorted(readings, key=lambda each: order.index(each[0].model_of(each[2]))):
            one.read(question, judge)
            if all(len(each.verdicts) == len(each.judges) for each in one.questions):
                one.finish()
        manifests = [one.manifest or one.finish() for one in sets]
    if problem is not None:
        raise problem
    return manifests


def _ask_together(sets: Sequence[_Evaluation], place: Place) -> None:
    """Fill the ledgers of several sets in common batches; each set's own `ask` then finds its replies there."""
    if len(sets) < 2:
        return
    began, student = time.time(), sets[0].student
    askings = [Asking(one.calls, one.requests(), f"ask {student.label} {one.name}") for one in sets]
    # A set too many of whose calls failed makes them again by itself, and says so if they fail again.
    with suppress(RunError):
        ask_together(student, askings, place, f"ask {student.label} {len(sets)} sets")
    share = (time.time() - began) / max(1, sum(len(asking.requests) for asking in askings))
    for one, asking in zip(sets, askings, strict=True):
        one.seconds += share * len(asking.requests)


def checkpoint(step: Step, recipe: Recipe) -> str:
    """What evaluations of the same weights share."""
    train = step.inputs.get("train")
    return train.digest if train is not None else digest(recipe.models["student"].model_dump(mode="json"))


@dataclass
class _Question:
    """What is read of the traces that one rubric fits, in one part of them."""

    rubric: str
    looked_at: LookedAt | None
    traces: list[Trace]
    judges: list[str]
    verdicts: dict[str, list[Verdict]] = field(default_factory=dict)
    """By judge, as they come in."""


class _Evaluation:
    """One model on one set, while it is under way."""

    def __init__(self, step: Step, recipe: Recipe, place: Place, stack: ExitStack) -> None:
        self._step, self._recipe, self.name = step, recipe, step.name
        self._prompts = list(read_records(step.inputs["prompts"].directory(place.root) / PROMPTS, Prompt))
        self.student = student_of(step, recipe, place)
        self._out = stack.enter_context(RunDir.open(step, place.root))
        self.calls = Calls(self._out, place, recipe.max_failed)
        stack.callback(self.calls.close)
        attacked = recipe.evaluate.sets[step.name].attack in BY_MODEL
        here = self.student.door not in REMOTE and place.engine == "local"
        self.batches_with_others = here and not attacked and not any(p.kind == "code" for p in self._prompts)
        """Whether the student's weights are in this process, and nothing is to be made or looked for before asking."""
        self.seconds = 0.0
        self.questions: list[_Question] = []
        self.manifest: dict[str, Any] | None = None

    def requests(self) -> list[Request]:
        """What the student is to be asked, where no model has to make the attack first."""
        prompts = _attacked(self._prompts, self.student, self._recipe, self.calls, self.name).prompts
        return [request for _, request in _pairs(prompts, self.student, self._recipe, self.name)]

    def ask(self) -> None:
        """Make the prompts that the set's attack makes of its own, and ask them."""
        with self._timed():
            if any(prompt.kind == "code" for prompt in self._prompts):
                # Opened and closed again: where there is no sandbox, nobody is to wait for replies first to hear of it.
                with grader("code"):
                    pass
            step, recipe, calls = self._step, self._recipe, self.calls
            self._attacked = _attacked(self._prompts, self.student, recipe, calls, step.name)
            if self._attacked.attempts:
                self._out.write(ATTEMPTS, self._attacked.attempts)
            self._traces = _asked(self._attacked.prompts, self.student, recipe, calls, step.name)
            self._out.write(TRACES, self._traces)
            self.questions = _questions(self._traces, recipe)

    def model_of(self, judge: str) -> str:
        """What judges that are the same model share."""
        return judge if judge == RULES else digest(self._recipe.models[judge].model_dump(mode="json"))

    def read(self, question: _Question, judge: str) -> None:
        """Have one judge answer one question."""
        with self._timed():
            traces, looked_at = question.traces, question.looked_at
            found = read_by(judge, lambda: traces, question.rubric, self._recipe, self.calls, looked_at=looked_at)
            question.verdicts[judge] = list(found)

    def finish(self) -> dict[str, Any]:
        """Write the verdicts and the manifest."""
        verdicts = [v for each in self.questions for judge in each.judges for v in each.verdicts[judge]]
        self._out.write(VERDICTS, verdicts)
        counts = {
            "written": len(self._traces),
            "endings": dict(Counter(t.ending for t in self._traces)),
            "blocks": dict(Counter(t.block for t in self._traces if t.failure is None)),
            "failed": dict(Counter(t.failure for t in self._traces if t.failure is not None)),
            **({"attack": self._attacked.counts} if self._attacked.counts else {}),
            **tally(verdicts),
        }
        told = {"model": self.student.label, "set": self._step.name}
        attack = self._recipe.evaluate.sets[self._step.name].attack
        # Only this set's own time: its directory was open while others were asked and read, too.
        self._out.started = time.time() - self.seconds
        self.manifest = self._out.finish(counts, **told, attack=attack, **self.calls.summary())
        return self.manifest

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.time()
        yield
        self.seconds += time.time() - began


def student_of(step: Step, recipe: Recipe, place: Place) -> ModelSettings:
    """The raw student, or the one the step's training left."""
    student = recipe.models["student"]
    train = step.inputs.get("train")
    if train is None:
        return student
    folder = train.directory(place.root) / "model"
    if not folder.is_dir():
        raise RunError(
            f"{folder}: the trained student isn't there; delete {train.directory(place.root)} and train again"
        )
    door = student.door if student.door in ("hf", "vllm") else "hf"
    update = {"name": f"{door}:{folder.resolve()}", "alias": f"{student.label}+{train.digest[:8]}", "revision": None}
    return student.model_copy(update=update)


def _attacked(prompts: Sequence[Prompt], student: ModelSettings, recipe: Recipe, calls: Calls, name: str) -> Attacked:
    """The prompts as the student is asked them."""
    entry = recipe.evaluate.sets[name]
    if entry.attack in BY_MODEL:
        return attack(prompts, student, recipe, calls, name)
    if entry.attack in prefill.NAMES:
        return Attacked(prefill.wrap(prompts, entry.attack))
    return Attacked(list(prompts))


def _pairs(
    prompts: Sequence[Prompt], student: ModelSettings, recipe: Recipe, name: str
) -> list[tuple[Prompt, Request]]:
    """Every prompt and sample with what the student is asked."""
    entry, pairs = recipe.evaluate.sets[name], []
    for prompt in prompts:
        sampling = recipe.sampling(prompt.kind, entry)
        for sample in range(entry.samples):
            request = Request(messages=(Message(role="user", content=prompt.text),), sampling=sampling, sample=sample)
            if entry.attack in prefill.NAMES:
                request = prefill.apply(request, entry.attack, opened=False, tags=FAMILIES[student.tags])
            pairs.append((prompt, request))
    return pairs


def _asked(prompts: Sequence[Prompt], student: ModelSettings, recipe: Recipe, calls: Calls, name: str) -> list[Trace]:
    """One trace for every prompt and sample; a prompt for which no attack was found isn't asked and says so."""
    pairs = _pairs(prompts, student, recipe, name)
    made = [request for prompt, request in pairs if prompt.text]
    calls.ask(student, lambda: made, len(made), f"ask {student.label} {name}")
    never = Reply(ending="error", failure=NO_ATTACK)
    maker = TraceMaker(student)
    traces = [maker.make(p, r, calls.reply(student, r) if p.text else never) for p, r in pairs]
    maker.tell()
    return traces


def _questions(traces: Sequence[Trace], recipe: Recipe) -> list[_Question]:
    """Every rubric that fits the kinds of the prompts."""

    def about(rubric: str, looked_at: LookedAt | None, *kinds: Kind) -> _Question:
        fitting = [trace for kind in kinds for trace in traces if trace.prompt.kind == kind]
        return _Question(rubric, looked_at, fitting, judges_of(rubric, recipe))

    every = [about("refusal", None, "harmful", "borderline", "benign")]
    every += [about("harm", looked_at, "harmful") for looked_at in LOOKED_AT]
    every += [about("patterns", None, "harmful"), about("anatomy", None, "harmful")]
    every += [about("maths", None, "maths"), about("code", None, "code")]
    return [question for question in every if question.traces]
