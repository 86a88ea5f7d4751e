"""`unwaver check RECIPE_OR_STUDY`: what it would do and cost, before anything is spent.

Names resolve, sources can be read, every student's template keeps what is to be learned; and what is owed by stage:
calls, tokens, GPU-hours, cost, disk. Loads tokenizers, never weights. Exit code 0: it can be run; 2: the recipe has to
be changed; 3: something is missing here (a key, a server, a model), and then the same command goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unwaver.errors import EXIT_DONE, RecipeError, RunError, UnwaverError
from unwaver.plain import counted, some
from unwaver.records import digest
from unwaver.store import EXAMPLES
from unwaver.study import forecast
from unwaver.study.forecast import Assumptions, Forecast, SetSize, StageCalls
from unwaver.study.measures import taken_of
from unwaver.study.plan import Plan, kind_of
from unwaver.study.steps import owed
from unwaver.verbs import add_recipe, open_recipe, tried
from unwaver.verbs.foreseen import Finding, foreseen

if TYPE_CHECKING:
    from rich.console import Console

ARMS_NAMED = 12
"""Arms whose names are shown; a study may have hundreds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe or study, its overrides, and what GPU-hours rest on."""
    add_recipe(parser)
    parser.add_argument("--no-student", action="store_true", help="look at no model, server or key: count only")
    usual = Assumptions()
    parser.add_argument(
        "--try",
        action="store_true",
        dest="try_out",
        help=f"ask {tried.PROMPTS} prompts of each part and set, and tell how many replies the limits cut; "
        "`run` then asks only the others",
    )
    parser.add_argument("--reveal", action="store_true", help="show examples for harmful requests, masked otherwise")
    parser.add_argument("--gpu", choices=forecast.PEAK, default=usual.gpu, help=f"default: {usual.gpu}")
    parser.add_argument(
        "--training-utilisation",
        type=float,
        default=usual.training,
        help=f"share of the GPU's peak that training reaches (default: {usual.training})",
    )
    parser.add_argument(
        "--generation-utilisation",
        type=float,
        default=usual.generation,
        help=f"the same of local models that generate (default: {usual.generation})",
    )


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Print what is found; RecipeError for the first thing that is wrong."""
    from unwaver.printer import console as opened
    from unwaver.printer import show_table

    work, root = open_recipe(arguments.recipe, arguments.root, overrides)
    console = opened()
    under = Assumptions(arguments.gpu, arguments.training_utilisation, arguments.generation_utilisation)
    if not (under.training > 0 and under.generation > 0):
        raise RecipeError("--training-utilisation, --generation-utilisation: expected shares above 0")
    sizes = forecast.set_sizes(work, root)
    names = some([plan.arm for plan in work], ARMS_NAMED, "; ")
    console.print(f"{arguments.recipe}: {counted(len(work), 'arm')}: {names}")
    for line in (*_sets(work, sizes), *_evaluated(work)):
        console.print(line)
    found = forecast.forecast(work, root, sizes, under, not arguments.no_student)
    for line in _models(work, not arguments.no_student):
        console.print(line)
    if not found.steps:
        console.print(f"  nothing is owed under {root}")
    else:
        console.print(f"  owed under {root}:")
        show_table(console, _table(found))
        for line in _terms(found, under):
            console.print(f"  {line}")
    for line in _beside(work, root, arguments.recipe):
        console.print(f"  {line}")
    known = [] if arguments.no_student else foreseen(work, owed(work, root), sizes)
    notes: dict[str, list[str]] = {}
    for one in known:
        if one.weight == "note":
            notes.setdefault(one.told, []).append(one.what)
    for told, what in notes.items():
        console.print(f"  note: {', '.join(what)}: {told}")
    if arguments.no_student:
        return EXIT_DONE
    _refuse(known, "wrong", RecipeError)
    _students(work, root, console, arguments.reveal)
    _refuse(known, "missing", RunError)
    if arguments.try_out:
        for line in tried.lines(work, root):
            console.print(f"  {line}")
    return EXIT_DONE


def _beside(work: list[Plan], root: Path, recipe: Path) -> Iterator[str]:
    """What can be had of a finished run besides, by commands of their own, where the recipe allows it; the report shows
    what there is of it."""
    from unwaver.study.beside import finished
    from unwaver.study.rethought import Wanted, owing
    from unwaver.verbs.rethink import TRACES, K

    made = [name.partition("-")[0] for name in finished(root)]
    with suppress(RecipeError):
        number = len({one.step.digest for one in owing(work, Wanted(K, TRACES))})
        yield (
            f"to be had besides: `unwaver rethink {recipe}`, where along a reasoning the answer is settled (lock "
            f"point, changes, budges): {K} replies from each cut of {TRACES} traces, for each of {number} arms and "
            f"sets; made so far: {made.count('rethink')}"
        )
    entries = [(plan.recipe, one.prompts or name) for plan in work for name, one in plan.recipe.evaluate.sets.items()]
    kinds = {kind_of(one, prompts) for one, prompts in entries}
    if "harmful" in kinds and kinds & {"borderline", "benign"} and _shows_layers(work):
        yield (
            f"to be had besides: `unwaver probe HARMFUL HARMLESS`, two evaluations under {root}: does the student's "
            f"state before its first token tell them apart (first_token_auc); made so far: {made.count('probe')}"
        )


def _shows_layers(work: list[Plan]) -> bool:
    return any(plan.recipe.models["student"].door in ("hf", "vllm") for plan in work)


def _refuse(known: list[Finding], weight: str, kind: type[UnwaverError]) -> None:
    """The error where anything is of that weight."""
    if told := [one for one in known if one.weight == weight]:
        raise kind("\n".join(f"{one.what}: {one.told}" for one in told))


def _models(work: list[Plan], look: bool) -> Iterator[str]:
    """A line for each model: how its reasoning is found in its replies."""
    from unwaver.stages.check import described

    seen: set[str] = set()
    for role, model in [pair for plan in work for pair in plan.recipe.models.items()]:
        if (same := digest([role, model.identity(), model.label])) in seen:
            continue
        seen.add(same)
        try:
            yield described(role, model, look)
        except RecipeError as error:
            yield f"  {role} {model.label}: its template was not looked at ({error})"


def _students(work: list[Plan], root: Path, console: Console, reveal: bool) -> None:
    """Check every student with everything it is to be trained on, once however many arms share it, and print the first
    of each student whole. What is trained on is the finished mix, or one stand-in for each part. Where the hub can't be
    reached, its students are named as not looked at.
    """
    from unwaver.models.weights import NotFetched
    from unwaver.stages.check import run as check_student

    shared: dict[str, list[Plan]] = {}
    for plan in work:
        if plan.recipe.parts():
            shared.setdefault(_training(plan, root), []).append(plan)
    if not shared:
        console.print("nothing is trained: the mix has no parts")
    shown: set[str] = set()
    unseen: set[str] = set()
    for plans in shared.values():
        first, model = plans[0], plans[0].recipe.models["student"]
        student = digest(model.identity())
        if student in unseen:
            continue
        console.print(f"\ntraining in arm {some([plan.arm for plan in plans], 1)}:")
        try:
            check_student(first.recipe, _examples(first, root), whole=student not in shown, reveal=reveal)
        except NotFetched as error:
            if (
                "/" not in model.target
            ):  # more likely a folder's name, mistyped, than one of the hub's few without an owner
                raise
            unseen.add(student)
            console.print(f"student {model.name}: not looked at, as the hub can't be reached ({error})")
        shown.add(student)


def _examples(plan: Plan, root: Path) -> Path | None:
    """The examples of a finished mix."""
    return plan.mix.directory(root) / EXAMPLES if plan.mix.manifest(root) is not None else None


def _training(plan: Plan, root: Path) -> str:
    """What two arms have in common whose students are to be checked once: student, settings, examples."""
    recipe = plan.recipe
    student, settings = recipe.models["student"].identity(), recipe.train.model_dump(mode="json")
    return digest([student, settings, str(_examples(plan, root)), recipe.parts(), recipe.max_failed])


def _sets(work: list[Plan], sizes: dict[str, SetSize]) -> Iterator[str]:
    """The size of each prompt set, once, and where it is from."""
    found = dict.fromkeys((name, sizes[step.digest]) for plan in work for name, step in plan.prompts.items())
    for name, size in found:
        line = f"  prompts {name}: {size.prompts:,}"
        line += f", by the catalogue, as it can't be read now: {size.known}" if size.known else ""
        line += f"; {counted(size.repeated, 'row')} left out for repeating a text" if size.repeated else ""
        few = f"{size.wordless:,} of them are a word or two; is `prompts.{name}.columns` right?"
        yield line + (f"; {few}" if size.wordless > size.prompts / 2 else "")


def _evaluated(work: list[Plan]) -> Iterator[str]:
    """Under which attack each evaluation set is asked and what is counted of it; sets that are alike share a line."""
    alike: dict[tuple[str, str], dict[str, None]] = {}
    for plan in work:
        for name, step in plan.raw.items():
            entry = plan.recipe.evaluate.sets[name]
            kind = kind_of(plan.recipe, entry.prompts or name)
            read = {one.settings["question"] for one in plan.read(step)}
            taken = [one.name for one in taken_of(kind, _among(read)) if one.among is None]
            framed = plan.recipe.prompts[entry.prompts or name].templates is not None
            alike.setdefault((entry.attack + (", in templates" if framed else ""), ", ".join(taken)), {})[name] = None
    for (attack, taken_), names in alike.items():
        yield f"  evaluates {', '.join(names)}: attack {attack}; counts {taken_ or 'nothing, as nobody reads it'}"


def _among(rubrics: set[str]) -> Callable[[str], bool]:
    """Whether what is read (`rubric:text`) is read through one of these rubrics."""
    return lambda key: key.partition(":")[0] in rubrics


def _table(found: Forecast) -> Any:
    """A row for each stage and, where several models have a part in it, a row for each of them."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("stage", "steps", "calls", "tokens in", "tokens out", "GPU-hours", "cost"):
        table.add_column(column, justify="left" if column == "stage" else "right", no_wrap=column != "stage")
    total = StageCalls("", "")
    for stage in forecast.stages(found):
        lines = found.stage(stage)
        whole = _sum(lines)
        total = _sum([total, *lines])
        table.add_row(Text(stage), f"{found.steps[stage]:,}", *_cells(whole))
        if stage == "train" or len(lines) > 1:
            for line in lines:
                table.add_row(Text(f"  {line.model}"), "", *_cells(line))
        elif lines:
            table.add_row(Text(f"  {lines[0].model}"))
    table.add_row("total", f"{sum(found.steps.values()):,}", *_cells(total))
    return table


def _sum(lines: list[StageCalls]) -> StageCalls:
    whole = StageCalls("", "")
    for line in lines:
        whole.calls += line.calls
        whole.tokens_in += line.tokens_in
        whole.tokens_out += line.tokens_out
        whole.most |= line.most
        whole.limit |= line.limit
        whole.gpu_hours = forecast.added(whole.gpu_hours, line.gpu_hours)
        whole.cost = forecast.added(whole.cost, line.cost)
    return whole


def _cells(line: StageCalls) -> list[str]:
    """Calls, tokens in, tokens out, GPU-hours, cost."""
    calls = f"{'≤ ' if line.most else ''}{line.calls:,}" if line.calls else "-"
    out = f"{'≤' if line.limit or line.most else '~'} {_short(line.tokens_out)}" if line.tokens_out else "-"
    hours = "unknown" if line.gpu_hours is None else f"{line.gpu_hours:,.2f}" if line.gpu_hours else "-"
    cost = "unknown" if line.cost is None else f"{line.cost:,.2f}" if line.cost else "-"
    return [calls, f"~ {_short(line.tokens_in)}" if line.tokens_in else "-", out, hours, cost]


def _short(count: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:,.1f}{letter}"
    return f"{count:,.0f}"


def _terms(found: Forecast, under: Assumptions) -> Iterator[str]:
    """What the table's figures mean and rest on."""
    yield (
        "~ is an expectation: of a teacher's trace the paper's mean length by recipe, of a prompt 4 characters "
        "a token; ≤ a limit: what the settings let a reply, or a search, come to. Tries made again are not counted; "
        "calls already made are not taken off."
    )
    if any(line.gpu_hours != 0 for line in found.lines.values()):
        yield (
            f"GPU-hours: on {under.gpu} ({forecast.PEAK[under.gpu] / 1e12:g} TFLOP/s in bfloat16). Training: 6 "
            "operations for each weight and token, 8 with gradient checkpointing, 2 less for adapters, at "
            f"{100 * under.training:g}% of that; local models that generate: 2, at {100 * under.generation:g}%. --gpu "
            "and the two --...-utilisation change it."
        )
    unpriced = sorted({line.model for line in found.lines.values() if line.cost is None})
    if unpriced:
        yield f"no price_in and price_out is given for {', '.join(unpriced)}"
    if found.trained:
        known = [weights for weights in found.trained if weights is not None]
        unknown = len(found.trained) - len(known)
        whole, largest = forecast.KEPT_BYTES * sum(known), forecast.CHECKPOINT_BYTES * max(known, default=0.0)
        sizes = (
            f"{_short(whole)}B for {counted(len(known), 'trained student')}, and while the largest trains up to "
            f"{_short(largest)}B of checkpoints"
        )
        more = "more " if known else ""
        left = f"{counted(unknown, f'{more}student is', f'{more}students are')} of unknown size"
        yield f"disk: {'; '.join([sizes] * bool(known) + [left] * bool(unknown))}"
