"""What is still to come of a set of plans: calls, tokens, GPU-hours, money and disk, before anything is spent.

Reads manifests of finished prompt sets, or gathers the sets; where the hub can't be reached it takes the size the
catalogue knows. Gives a `Forecast`. Every figure is an expectation or a limit and says which. The lengths of a
teacher's traces are the paper's means by recipe; all other replies are reckoned at the limit on them. A call of a
teaching method of several is taken to be shown the prompt and all that was said before. Calls that a ledger already
holds are not taken off.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from unwaver import online, sources, teaching
from unwaver.errors import RecipeError, under
from unwaver.judging.readers import model_reader
from unwaver.models.weights import locate
from unwaver.recipe import JudgeSettings, ModelSettings, PromptSet, Recipe
from unwaver.records import Kind, Prompt, Trace
from unwaver.stages.prompts import gather, template_count
from unwaver.store import PROMPTS, STAGES, Step, read_records
from unwaver.study.asked import Asked, asked
from unwaver.study.plan import Plan, kind_of
from unwaver.study.steps import owed
from unwaver.training.memory import Shape

CHARACTERS = 4
"""Of English text in a token, as a rule of thumb."""
PROMPT_TOKENS = 100
"""Of a prompt whose set can't be read now."""
ALL_TRACES = {"default": 774, "realsafe": 422, "improved": 382, "short": 150, "template": 170, "none": 17}
"""Mean tokens of a trace of a harmful prompt by recipe: the paper's, over all 4,000."""
SAFE_TRACES = {"default": 566, "realsafe": 435, "improved": 397, "short": 155, "template": 176, "none": 17}
"""The same of the 1,000 that are trained on."""
BENIGN_TRACE = 1428
"""Mean tokens of a trace of a benign prompt in the paper."""
PEAK = {"A100": 312e12, "H100": 989e12, "H200": 989e12, "L40S": 362e12, "B200": 2250e12}
"""Operations a second in bfloat16, dense, as NVIDIA's data sheets state them."""
KEPT_BYTES = 2
"""Of a weight in the model a training leaves, in bfloat16."""
CHECKPOINT_BYTES = 2 * 12
"""Of a weight while it trains: two checkpoints of the weight and two moments, in float32."""


@dataclass(frozen=True)
class Assumptions:
    """What GPU-hours rest on."""

    gpu: str = "H100"
    training: float = 0.4
    """Share of the peak that training reaches."""
    generation: float = 0.05
    """The same of batched generation, which waits for memory most of the time: an assumption, not a measurement."""


@dataclass(frozen=True)
class SetSize:
    """A prompt set before it is used."""

    prompts: int
    tokens: float
    """Mean of a prompt."""
    known: str = ""
    """Why it could not be read, where the size is the catalogue's."""
    repeated: int = 0
    """How many rows repeat a text and are left out."""
    wordless: int = 0
    """How many prompts are a word or two, in letters that are written with blanks: they may be another column's."""


@dataclass
class StageCalls:
    """What one model does in one stage."""

    stage: str
    model: str
    calls: int = 0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    most: bool = False
    """Whether the calls are the most they can come to."""
    limit: bool = False
    """Whether the tokens out are a limit, and not an expectation."""
    gpu_hours: float | None = 0.0
    """None: the model's size is not known."""
    cost: float | None = 0.0
    """In the currency of the recipe's prices; None: a server without a price."""


@dataclass
class Forecast:
    """All of it."""

    steps: Counter[str] = field(default_factory=Counter)
    """Owed steps by stage."""
    lines: dict[tuple[str, str], StageCalls] = field(default_factory=dict)
    """By stage and model."""
    trained: list[float | None] = field(default_factory=list)
    """Weights of each student to be trained."""

    def stage(self, name: str) -> list[StageCalls]:
        """The lines of one stage."""
        return [line for (stage, _), line in self.lines.items() if stage == name]


def forecast(
    work: list[Plan], root: Path, sizes: dict[str, SetSize], assumed: Assumptions, look: bool = True
) -> Forecast:
    """Everything owed under `root`. `sizes`: by the digest of the prompts step; `look`: at local models' own files."""
    totals = _Totals(sizes, assumed, look)
    for step, recipe in owed(work, root):
        totals.found.steps[step.stage] += 1
        if step.stage == "train":
            totals.train(step, recipe)
        elif step.stage in ("distil", "judge", "evaluate"):
            size = sizes[_prompts(step).digest]
            for one in asked(step, recipe, size.prompts, size.tokens):
                totals.call(one, step, recipe)
    return totals.found


def set_sizes(work: Iterable[Plan], root: Path) -> dict[str, SetSize]:
    """Every prompt set of the plans, by the digest of its step; RecipeError or RecordError where one can't be read."""
    sizes: dict[str, SetSize] = {}
    for arm in work:
        for name, step in arm.prompts.items():
            if step.digest in sizes:
                continue
            if (manifest := step.manifest(root)) is not None:
                found = list(read_records(step.directory(root) / PROMPTS, Prompt))
                sizes[step.digest] = _size(found, manifest["counts"].get("repeated", 0))
            else:
                with under(f"prompts.{name}"):
                    sizes[step.digest] = _set_size(arm.recipe.prompts[name])
    return sizes


def _set_size(entry: PromptSet) -> SetSize:
    known = sources.known_size(entry)
    if known is not None and sources.fetched(entry) and offline():
        return _from_catalogue(entry, known, "the hub can't be reached")
    try:
        return _size(*gather(entry))
    except RecipeError as error:
        if known is None:
            raise
        return _from_catalogue(entry, known, str(error).partition("(")[2].partition(")")[0] or str(error))


def _size(prompts: list[Prompt], repeated: int) -> SetSize:
    tokens = sum(len(prompt.text) for prompt in prompts) / CHARACTERS / max(1, len(prompts))
    wordless = sum(prompt.text.isascii() and len(prompt.text.split()) < 3 for prompt in prompts)
    return SetSize(len(prompts), tokens, "", repeated, wordless)


def _from_catalogue(entry: PromptSet, size: int, why: str) -> SetSize:
    """After `limit` and templates, as `gather` would have it."""
    bare = min(size, entry.limit or size)
    each = 1 if entry.templates is None else (entry.per_prompt or template_count(entry)) + entry.bare
    return SetSize(bare * each, PROMPT_TOKENS, why)


@cache
def offline() -> bool:
    """Whether to do without the hub, looked for once."""
    return not online.reachable()


def _prompts(step: Step) -> Step:
    """The prompts a step starts from."""
    return step.inputs["prompts"] if "prompts" in step.inputs else _prompts(step.inputs["traces"])


class _Totals:
    """Adds up the lines."""

    def __init__(self, sizes: dict[str, SetSize], assumed: Assumptions, look: bool) -> None:
        self.found = Forecast()
        self._sizes, self._assumed, self._look = sizes, assumed, look

    def _line(self, stage: str, model: ModelSettings) -> StageCalls:
        return self.found.lines.setdefault((stage, model.label), StageCalls(stage, model.label))

    def _hours(self, operations: float, share: float) -> float:
        return operations / PEAK[self._assumed.gpu] / share / 3600

    def call(self, one: Asked, step: Step, recipe: Recipe) -> None:
        """Add one model's part in a step."""
        model = recipe.models.get(one.role)
        if model is None:
            raise RecipeError(f"models: expected a `{one.role}` to ask for traces of `{step.name}`")
        tokens_in, tokens_out, limit = _tokens(one, step, recipe, self._sizes[_prompts(step).digest], model)
        line = self._line(step.stage, model)
        line.calls += one.calls
        line.most |= one.most
        line.limit |= limit
        line.tokens_in += one.calls * tokens_in
        line.tokens_out += one.calls * tokens_out
        if model.door in ("hf", "vllm"):
            weights = parameters(model, self._look)
            operations = 2.0 * (weights or 0) * one.calls * (tokens_in + tokens_out)
            hours = self._hours(operations, self._assumed.generation)
            line.gpu_hours = added(line.gpu_hours, None if weights is None else hours)
        elif model.door == "openai":
            known = model.price_in is not None and model.price_out is not None
            prices = (model.price_in or 0.0, model.price_out or 0.0)
            cost = one.calls * (tokens_in * prices[0] + tokens_out * prices[1]) / 1e6
            line.cost = added(line.cost, cost if known else None)

    def train(self, step: Step, recipe: Recipe) -> None:
        """Add a training: 6 operations for each weight and token, 8 with checkpointing, 2 less for adapters; of pairs
        both replies, and 2 more for the reference."""
        tokens, seen = 0.0, 0
        for part in recipe.parts():
            taught = step.inputs["mix"].inputs[part]
            size, count = self._sizes[_prompts(taught).digest], recipe.mix.parts[part]
            method = str(taught.settings["method"]["name"])
            harmful = kind_of(recipe, part) == "harmful"
            trace = SAFE_TRACES.get(method, BENIGN_TRACE) if harmful else BENIGN_TRACE
            examples = size.prompts if count == "all" else count
            seen += examples
            tokens += examples * min(size.tokens + trace, recipe.train.max_tokens)
        steps = step.settings.get("steps")
        tokens *= recipe.train.epochs if steps is None else steps * recipe.train.global_batch / max(1, seen)
        pairs = recipe.train.method == "dpo"
        tokens *= 1 + pairs
        each = 2 * pairs + 6 + 2 * recipe.train.gradient_checkpointing - 2 * recipe.train.adapters
        student = recipe.models["student"]
        weights = parameters(student, self._look)
        self.found.trained.append(weights)
        line = self._line(step.stage, student)
        line.tokens_in += tokens
        hours = self._hours(each * (weights or 0) * tokens, self._assumed.training)
        line.gpu_hours = added(line.gpu_hours, None if weights is None else hours)


def _tokens(one: Asked, step: Step, recipe: Recipe, size: SetSize, model: ModelSettings) -> tuple[float, float, bool]:
    """(tokens in, tokens out, whether the latter is a limit) of one call."""
    if step.stage == "distil":
        out, limit = _distilled(step, recipe)
        calls = sum(teaching.find(str(step.settings["method"]["name"])).calls.values())
        return size.tokens + (calls - 1) / 2 * out, out, limit
    if one.tokens is not None:
        return *one.tokens, True
    if step.stage == "evaluate":
        return size.tokens, _replied(step, recipe), True
    traces = step.inputs["traces"]
    if traces.stage == "evaluate":
        kind = kind_of(recipe, recipe.evaluate.sets[traces.name].prompts or traces.name)
        read: float = _replied(traces, recipe)
    else:
        kind = kind_of(recipe, traces.name)
        read = _distilled(traces, recipe)[0]
    beside, out = _reading(one.what, kind, model, recipe)
    return beside + size.tokens + read, out, True


def _replied(step: Step, recipe: Recipe) -> int:
    """The limit on a reply of one evaluation."""
    entry = recipe.evaluate.sets[step.name]
    return recipe.sampling(kind_of(recipe, entry.prompts or step.name), entry).max_tokens


def _distilled(step: Step, recipe: Recipe) -> tuple[float, bool]:
    """(tokens of a teacher's trace, whether that is the limit)."""
    method = str(step.settings["method"]["name"])
    own = recipe.distil.instruction_file is not None and method == recipe.distil.method
    harmful = kind_of(recipe, step.name) == "harmful"
    mean = None if own else ALL_TRACES.get(method) if harmful else BENIGN_TRACE
    return (recipe.distil.max_tokens, True) if mean is None else (min(mean, recipe.distil.max_tokens), False)


@cache
def _beside(rubric: str, kind: Kind, model: str, max_tokens: int, file: Path | None) -> tuple[float, int]:
    files = {} if file is None else {rubric: file}
    settings = JudgeSettings(max_tokens=max_tokens).model_copy(update={"rubric_files": files})
    reader = model_reader(rubric, ModelSettings(name=model), settings, "both" if rubric == "harm" else None)
    prompt = Prompt(text="x", kind=kind, behaviour="x" if kind == "harmful" else None)
    request = reader.request(Trace(prompt=prompt, model="x", reasoning="x", answer="x", block="closed", ending="stop"))
    if request is None:
        return 0.0, max_tokens
    text = "".join(message.content for message in request.messages) + (request.rendered or "")
    return len(text) / CHARACTERS, request.sampling.max_tokens


def _reading(rubric: str, kind: Kind, model: ModelSettings, recipe: Recipe) -> tuple[float, int]:
    """(tokens of a judge's instructions, the limit on its reply)."""
    return _beside(rubric, kind, model.name, recipe.judge.max_tokens, recipe.judge.rubric_files.get(rubric))


def parameters(model: ModelSettings, look: bool = True) -> float | None:
    """A local model's weights: as its files say, or its name ("-7B"); None: unknown."""
    return _weights(model.target, look)


@cache
def _weights(target: str, look: bool) -> float | None:
    if look:
        try:
            config = json.loads((Path(locate(target)) / "config.json").read_text(encoding="utf-8"))
            return float(Shape.of(config).weights)
        except (
            OSError,
            LookupError,
            ValueError,
            TypeError,
            AttributeError,
            ArithmeticError,
            RecursionError,
            RecipeError,
        ):
            pass  # whoever loads it says what is wrong with it
    named = re.findall(r"(?<![0-9.])(\d+(?:\.\d+)?)([BM])(?![A-Za-z0-9])", target, re.IGNORECASE)
    return float(named[-1][0]) * (1e9 if named[-1][1] in "Bb" else 1e6) if named else None


def added(so_far: float | None, more: float | None) -> float | None:
    """The sum; None once anything is unknown."""
    return None if so_far is None or more is None else so_far + more


def stages(found: Forecast) -> list[str]:
    """Those with anything owed, in order."""
    return [stage for stage in STAGES if found.steps[stage]]
