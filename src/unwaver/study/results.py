"""What the runs came to: every finished step of a set of plans, read once, as estimates and joined traces.

`collect` reads the run directories and makes `Results`, the one thing the report, `compare` and `show` work from.
What is counted is in `study.measures` and `study.outcomes`; of the teachers' traces the share of each pattern, of none
(`pattern_free`), and what the guard keeps of each (`kept:NAME`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

from unwaver.attacks.counter_prefill import ATTACK as PREFILL
from unwaver.judging.questions import GUARD, PATTERNS_SHOWN
from unwaver.recipe import RAW, Recipe
from unwaver.records import NO_PATTERN, PATTERNS, Estimate, Trace, Verdict, digest
from unwaver.store import TRACES, VERDICTS, Step, read_records, read_rows
from unwaver.study.grid import StudyPlan, apart
from unwaver.study.labels import Labelled
from unwaver.study.labels import read as read_labels
from unwaver.study.measures.measure import labelled
from unwaver.study.outcomes import among_ended, base_of, measured_by, outcomes
from unwaver.study.perturbed import shifts
from unwaver.study.plan import Plan, made_kind
from unwaver.study.prefilled import clean_rows, prefill_shifts
from unwaver.study.principles import by_principle
from unwaver.study.retention import kept
from unwaver.study.rows import Row, beside_clean, pair_key, readings
from unwaver.study.stats import Of, gathered, rate


@dataclass
class Results:
    """Everything a report is made of."""

    recipe: Recipe
    """The first arm's; what all arms share stands in it."""
    arms: list[str]
    """Raw first, then the arms in the recipe's order."""
    estimates: list[Estimate] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    """Traces of every model on every evaluation set."""
    teacher_rows: list[Row] = field(default_factory=list)
    """The teachers' traces of harmful prompts with what the filter made of them; each distillation once, however many
    arms share it."""
    taught: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By arm, the distillations its training set was drawn from: the `arm` of their `teacher_rows`."""
    mixed: dict[str, frozenset[str]] = field(default_factory=dict)
    """By arm, the ids of the traces it was trained on."""
    verdicts: list[Verdict] = field(default_factory=list)
    """All verdicts, second judges' too; those of a run that arms share once."""
    losses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """The training log of each arm."""
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By run directory."""
    steps: dict[str, Step] = field(default_factory=dict)
    """What was done in each run directory: its settings and inputs."""
    tables: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The tables and figures a study says it is made of, each with its arms; empty for a recipe."""
    owed: list[str] = field(default_factory=list)
    """Steps that are not finished; a report says so."""
    overlaps: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The leak check of each arm."""
    sampling: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """By arm and evaluation set, how its replies were drawn (records.Sampling)."""
    evaluated_in: dict[tuple[str, str], str] = field(default_factory=dict)
    """By arm and evaluation set, the run directory."""
    labelled: Labelled = field(default_factory=Labelled)
    """What people found in a sample of the replies."""
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By arm, what sets it apart in a grid: `method`, `teacher`, `student`, `size` (safety examples), `benign`
    (harmless examples), `lr`, `seed`, `keep`; `harmful` and `harmless`, the parts `size` and `benign` are the sums of;
    `rest`, a digest of all other settings. Arms that differ in `seed` alone are one arm over several seeds."""

    untrained: dict[str, str] = field(default_factory=dict)
    """By trained arm, the arm of its student before training."""
    unsteered: dict[str, str] = field(default_factory=dict)
    """By a student's label, the label of the same without steering."""
    root: Path | None = None
    """The folder of the runs; None: they are nowhere."""

    def find(self, metric: str, arm: str, slice: str = "") -> Estimate | None:
        """One estimate; None where it wasn't made."""
        return next((e for e in self.estimates if (e.metric, e.arm, e.slice) == (metric, arm, slice)), None)


def collect(plans: list[Plan], root: Path) -> Results:
    """Read every finished step once."""
    trained = [plan for plan in plans if plan.recipe.parts()]
    raw = raw_arms(plans)
    results = Results(plans[0].recipe, [*raw, *(plan.arm for plan in trained)], root=root)
    reader = _Reader(results, root, _distillations(trained))
    for arm, one in raw.items():
        results.cells[arm] = one.cell
        for name, step in one.steps.items():
            reader.evaluated(arm, name, step, one.read[step.digest])
    for plan in trained:
        results.cells[plan.arm] = apart(plan.recipe)
        for table in plan.tables if isinstance(plan, StudyPlan) else ():
            results.tables[table] = (*results.tables.get(table, ()), plan.arm)
        for name, step in plan.evaluate.items():
            reader.evaluated(plan.arm, name, step, plan.read(step))
        reader.taught(plan)
        reader.trained(plan)
    students = [plan.recipe.models["student"] for plan in plans]
    results.untrained = {plan.arm: _before(plan, raw) for plan in trained}
    results.unsteered = {student.label: student.unsteered.label for student in students}
    reader.measure()
    results.owed = list(reader.owed.values())
    results.labelled = read_labels(root, (row.trace for row in results.rows))
    return results


class RawArm(NamedTuple):
    """A student before training, as it is shown."""

    cell: dict[str, Any]
    """Its entry in `Results.cells`."""
    steps: dict[str, Step]
    """Its evaluations, by set."""
    read: dict[str, list[Step]]
    """Who reads each, by digest: as the arm has it that asked for it first."""


def raw_arms(plans: list[Plan]) -> dict[str, RawArm]:
    """Students before training by arm, each evaluation once: the first student's is `raw`, others' bear their names,
    and an arm of several that trains nothing keeps its own, with all that it was asked; of such arms that differ in
    their seed alone, what no seed changes stands under the first.

    Where sampling depends on the recipe's seed, what a further seed adds is an arm `raw, seed N`; what another arm has
    asked of its student in another way (a system prompt, a number of samples) is `raw, for ARM`. Nothing takes
    another's place, and no two have one name.
    """
    found: dict[str, RawArm] = {}
    first = plans[0].recipe.models["student"].label
    owners = [plan for plan in plans if not plan.recipe.parts() and len(plans) > 1]
    for plan in owners:
        cell = _cell(plan, {key: value for key, value in apart(plan.recipe).items() if key != "seed"})
        further = any(one.cell != cell and {**one.cell, "seed": cell["seed"]} == cell for one in found.values())
        if (new := _unseen(plan, found) if further else plan.raw) or not found:
            found[plan.arm] = RawArm(cell, dict(new), {step.digest: plan.read(step) for step in new.values()})
    taken = set(found)
    for plan in (plan for plan in plans if plan.recipe.parts() or len(plans) == 1):
        new = _unseen(plan, found)
        if not new and found:
            continue
        cell = _cell(plan, [step.settings["student"] for step in plan.raw.values()][:1])
        base = RAW if cell["student"] == first else f"{RAW}, {cell['student']}"
        for_it = (f"{base}, for {plan.arm}{more}" for more in chain([""], (f" ({n})" for n in count(2))))
        seed = [f"{base}, seed {cell['seed']}"] if base in found and found[base].cell["seed"] != cell["seed"] else []
        for arm in chain([base], seed, for_it):
            one = found.setdefault(arm, RawArm(cell, {}, {}))
            if arm not in taken and one.cell == cell and all(one.steps.get(n, s) == s for n, s in new.items()):
                one.steps.update(new)
                one.read.update({step.digest: plan.read(step) for step in new.values()})
                break
    return found


def _cell(plan: Plan, rest: Any) -> dict[str, Any]:
    return {"student": plan.recipe.models["student"].label, "seed": plan.recipe.seed, "rest": digest(rest)}


def _unseen(plan: Plan, found: Mapping[str, RawArm]) -> dict[str, Step]:
    """What nobody shows yet of a plan's student before training."""
    seen = {step.digest for one in found.values() for step in one.steps.values()}
    return {name: step for name, step in plan.raw.items() if step.digest not in seen}


def _before(plan: Plan, raw: Mapping[str, RawArm]) -> str:
    """The arm under which a plan's student before training is shown: that which has the most of its evaluations."""
    asked = {step.digest for step in plan.raw.values()}
    return max(raw, key=lambda arm: sum(step.digest in asked for step in raw[arm].steps.values()))


@dataclass
class _Reader:
    """Reads runs into `results`, each once."""

    results: Results
    root: Path
    names: Mapping[str, str]
    """Distillations by digest."""
    owed: dict[str, str] = field(default_factory=dict)
    """What isn't finished, by digest."""
    asked: list[tuple[str, str, str, Mapping[str, Any]]] = field(default_factory=list)
    """Evaluations that were read: arm, set, directory and how replies were drawn."""
    held: dict[str, list[Row]] = field(default_factory=dict)
    """What was read, by the digests of the traces and of their readers; of distillations harmful prompts' traces."""

    def finished(self, step: Step, arm: str) -> Path | None:
        """The step's directory where it is done; else it goes on the list of what is owed."""
        manifest = step.manifest(self.root)
        directory = step.directory(self.root)
        if manifest is None:
            more = f" ({arm})" if arm != step.name else ""
            self.owed.setdefault(step.digest, f"{step.stage} {step.name}{more}")
            return None
        self.results.manifests[directory.name] = manifest
        self.results.steps[directory.name] = step
        return directory

    def read(self, readings: Iterable[Step], arm: str) -> list[Verdict]:
        """The verdicts of every reader that is through; what others have not read yet is owed."""
        found = [self.finished(step, arm) for step in readings]
        return [v for directory in found if directory is not None for v in read_records(directory / VERDICTS, Verdict)]

    def evaluated(self, arm: str, name: str, step: Step, readings_: list[Step]) -> None:
        """One evaluation of one arm; what another arm, or set, is the very same of is read once and stands for both."""
        directory = self.finished(step, arm)
        if directory is None:
            return
        key = _key(step, readings_)
        if key not in self.held:
            verdicts = self.read(readings_, arm)
            by_trace = readings(verdicts)
            traces = read_records(directory / TRACES, Trace)
            self.held[key] = [Row(arm, name, t, by_trace.get(t.id, {})) for t in traces]
            self.results.verdicts += verdicts
        rows = [replace(row, arm=arm, slice=name) for row in self.held[key]]
        sampling = self.results.sampling[arm, name] = step.settings["sampling"]
        self.results.rows += rows
        self.results.evaluated_in[arm, name] = directory.name
        self.asked.append((arm, name, directory.name, sampling))

    def measure(self) -> None:
        """Every measure of every evaluation, once all are read: what is perturbed stands beside the clean."""
        self.results.rows = beside_clean(self.results.rows)
        of: dict[tuple[str, str], list[Row]] = {}
        for row in self.results.rows:
            of.setdefault((row.arm, row.slice), []).append(row)
        found = []
        clean = {arm: clean_rows(row for row in self.results.rows if row.arm == arm) for arm in self._prefilled()}
        for arm, name, run, sampling in self.asked:
            rows = of.get((arm, name), [])
            told: Of = {"n_truncated": sum(row.trace.truncated for row in rows), "runs": (run,)}
            found += measure(rows, arm, name, run, sampling)
            found += by_principle(rows, arm, name, told) + shifts(rows, arm, name, told)
            found += prefill_shifts(rows, clean.get(arm, {}), arm, name, told)
            raw = self.raw_of(arm)
            found += kept(rows, of.get((raw, name), []), arm, name, told) if raw not in (None, arm) else []
        self.results.estimates[:0] = found

    def _prefilled(self) -> dict[str, None]:
        """The arms with replies that another model began."""
        return dict.fromkeys(row.arm for row in self.results.rows if PREFILL.marks(row.trace.prompt))

    def raw_of(self, arm: str) -> str | None:
        """The arm of the same student, neither trained nor steered; None where it wasn't asked."""
        if arm in self.results.untrained:
            return self.results.untrained[arm]
        cells = self.results.cells
        student = self.results.unsteered.get(str(cells[arm]["student"]))
        same = (one for one, cell in cells.items() if not cell.get("method") and cell["student"] == student)
        return next(same, None)

    def taught(self, plan: Plan) -> None:
        """The teacher's traces of harmful prompts: pattern shares before and after the guard, and in the mix."""
        results, arm = self.results, plan.arm
        mix = self.finished(plan.mix, arm)
        mixed = [] if mix is None else read_records(mix / TRACES, Trace)
        results.mixed[arm] = frozenset(trace.id for trace in mixed)
        distil = [plan.distil[part] for part in plan.recipe.parts()]
        rows_of = {step.directory(self.root).name: self.distilled(step, plan.read(step), arm) for step in distil}
        found = {name: rows for name, rows in rows_of.items() if rows}
        results.taught[arm] = tuple(rows[0].arm for rows in found.values())
        if found:
            rows = [row for some in found.values() for row in some]
            results.estimates += pattern_shares(rows, results.mixed[arm], arm, *found)
        checks = [overlap.manifest(self.root) for _, overlap in plan.trainings()]
        if done := [one for one in checks if one is not None]:
            results.overlaps[arm] = {**done[0], "counts": {**done[0]["counts"], "sets": _shared(done)}}

    def distilled(self, distil: Step, readings_: list[Step], arm: str) -> list[Row]:
        """The harmful prompts' traces of one distillation with their verdicts; none where it isn't finished."""
        directory = self.finished(distil, arm)
        if directory is None:
            return []
        key = _key(distil, readings_)
        if key not in self.held:
            verdicts = self.read(readings_, arm)
            by_trace = readings(verdicts)
            name = self.names.get(distil.digest, distil.name)
            traces = [trace for trace in read_records(directory / TRACES, Trace) if trace.prompt.kind == "harmful"]
            self.held[key] = [Row(name, distil.name, t, by_trace.get(t.id, {}), "distil") for t in traces]
            self.results.verdicts += verdicts
            self.results.teacher_rows += self.held[key]
        return self.held[key]

    def trained(self, plan: Plan) -> None:
        """The log of one training."""
        directory = self.finished(plan.train, plan.arm)
        log = None if directory is None else directory / "loss.jsonl"
        if log is not None and log.is_file():
            self.results.losses[plan.arm] = [row for _, row in read_rows(log)]


def _shared(overlaps: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What each evaluated set shares with any training's examples: of several what the largest says."""
    most: dict[str, dict[str, Any]] = {}
    for name, counts in (item for one in overlaps for item in one["counts"].get("sets", {}).items()):
        if name not in most or counts.get("prompts", 0) > most[name].get("prompts", 0):
            most[name] = counts
    return most


def _key(step: Step, readings_: Iterable[Step]) -> str:
    """Traces with who read them."""
    return " ".join([step.digest, *(one.digest for one in readings_)])


def _distillations(plans: Iterable[Plan]) -> dict[str, str]:
    """Names of the distillations of harmful prompts, by digest: no more of method, teacher, part of the mix
    and digest than it takes to tell them apart."""
    found: dict[str, tuple[str, ...]] = {}
    for plan in plans:
        _, role = plan.recipe.taught(harmful=True)
        teacher = plan.recipe.models[role].label if role in plan.recipe.models else ""
        for part in plan.recipe.parts():
            if made_kind(plan.recipe, part) == "harmful":
                key, method = plan.distil[part].digest, str(plan.distil[part].settings["method"]["name"])
                found[key] = (method, teacher, part, key[:8])
    level = next(n for n in range(1, 5) if len({pieces[:n] for pieces in found.values()}) == len(found))
    return {key: ", ".join(pieces[:level]) for key, pieces in found.items()}


def measure(
    rows: list[Row], arm: str, slice: str, run: str, sampling: Mapping[str, Any] | None = None
) -> list[Estimate]:
    """Every measure that fits the prompts of one evaluation set."""
    if not rows:
        return []
    cut, bases = sum(row.trace.truncated for row in rows), measured_by(rows, sampling)
    return [
        rate(labels, metric, arm, slice, n_truncated=cut, runs=(run,), basis=bases.get(base_of(metric)))
        for metric, labels in (outcomes(rows) | among_ended(rows)).items()
    ]


def pattern_shares(rows: list[Row], mixed: frozenset[str], arm: str, *runs: str) -> list[Estimate]:
    """What the guard and the mix make of the risky patterns in the teacher's traces (docs/protocols.md).

    `pattern:NAME` and `pattern_free`, the share with a pattern or with none, among all traces, among those the guard
    calls safe, and among those in the mix; `kept:NAME`, the share the guard calls safe among traces with the pattern.
    What no trace was asked about is left out.
    """
    groups = {
        "before the guard": rows,
        "after the guard": [row for row in rows if row.label(GUARD) == "safe"],
        "in the mix": [row for row in rows if row.trace.id in mixed],
    }
    to = {row.trace.id: pair_key(row.trace) for row in rows}
    found = []
    for group, members in groups.items():
        scored = {row.trace.id: row.readings.get(PATTERNS_SHOWN) for row in members}
        for pattern in (*PATTERNS, NO_PATTERN):
            values = {key: None if verdict is None else verdict.has(pattern) for key, verdict in scored.items()}
            metric = "pattern_free" if pattern == NO_PATTERN else f"pattern:{pattern}"
            found.append(rate(gathered(values, to), metric, arm, group, n_truncated=0, runs=runs))
    safe = labelled(GUARD, "safe")
    for pattern in PATTERNS:
        shown = [row for row in rows if pattern in row.labels(PATTERNS_SHOWN)]
        kept = {row.trace.id: safe(row) for row in shown}
        found.append(rate(gathered(kept, to), f"kept:{pattern}", arm, "by the guard", n_truncated=0, runs=runs))
    return [estimate for estimate in found if estimate.n + estimate.n_unscored]
