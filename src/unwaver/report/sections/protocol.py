"""The protocol, written out: what each evaluation set was asked and how, and who read which text through which rubric.

Reads the settings of the runs (the same that stand in their `config.json`) and the verdicts; reviewers of the paper
asked for it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import altair as alt

from unwaver import attacks
from unwaver.judging.asked.guards import guards
from unwaver.judging.asked.guards.guard import Guard
from unwaver.recipe import called, is_local, read_without_model
from unwaver.records import NO_PATTERN, Verdict
from unwaver.report.charts import Figure, data, light, titled
from unwaver.report.facts import Facts
from unwaver.report.readers import Compared, measured
from unwaver.report.section import Material, Section, made
from unwaver.report.tables import NOTHING, Table, TableCell, count, percent
from unwaver.store import Step

FILTER = "the teachers' traces"
"""What stands for a set where the filter reads."""


GRADERS = ("maths", "code")


def asked_table(facts: Facts) -> Table | None:
    """What each evaluation set was asked, and how replies were drawn; a set asked in several ways has several rows."""
    found: dict[tuple[str, ...], tuple[list[str], set[str]]] = {}
    systems: dict[str | None, None] = {}
    for step in facts.results.steps.values():
        if step.stage == "evaluate":
            row, seed = _asked(step)
            students, seeds = found.setdefault(row, ([], set()))
            students.append(str(step.settings["student"]["name"]))
            systems[step.settings["student"]["system"]] = None
            seeds.add(NOTHING if seed is None else str(seed))
    if not found:
        return None
    sizes = {one.name: one.prompts for one in facts.sets}
    order = list(sizes)
    rows = [
        [
            *(TableCell(text) for text in row[:3]),
            *(count(sizes[row[0]]) if row[0] in sizes else TableCell(NOTHING), *(TableCell(text) for text in row[3:])),
            *(TableCell(", ".join(sorted(seeds))), count(len(students))),
        ]
        for row, (students, seeds) in sorted(
            found.items(), key=lambda item: order.index(item[0][0]) if item[0][0] in order else len(order)
        )
    ]
    return Table(
        "protocol",
        "Protocol: what was asked, and how",
        "Every evaluation set with its prompts, its attack and how replies were drawn, from the runs' own settings.",
        ["set", "prompts", "attack", "n", "temperature", "top-p", "budget", "replies each", "seed", "runs"],
        rows,
        (
            "Budget: most tokens of a reply, its reasoning included; temperature 0 is greedy and uses no seed.",
            *(_told(system) for system in systems),
        ),
    )


def taught_table(facts: Facts) -> Table | None:
    """How the traces that were drawn from were made, and whose replies are in them; None where nothing was taught."""
    found = {name: step for name, step in facts.results.steps.items() if step.stage == "distil"}
    if not found:
        return None
    rows = []
    for name, step in found.items():
        settings = step.settings
        models = [f"{role}: {_named(settings['models'][role])}" for role in settings["roles"]]
        drawn = [f"{settings[key]:g}" if models else NOTHING for key in ("temperature", "top_p")]
        budget, samples = (f"{settings[key]:,}" if models else NOTHING for key in ("max_tokens", "samples"))
        written = facts.results.manifests[name].get("counts", {}).get("written")
        told = (step.name, str(settings["method"]["name"]), "; ".join(models) or "nobody", *drawn, budget, samples)
        rows.append([*(TableCell(text) for text in told), TableCell(NOTHING) if written is None else count(written)])
    return Table(
        "taught",
        "Protocol: how the traces to learn from were made",
        "Every part of a mix with its teaching method, who was asked in which role, and how replies were drawn.",
        ["part", "method", "asked", "temperature", "top-p", "budget", "replies each", "traces"],
        rows,
        tuple(_shielded(facts)),
    )


def _named(model: dict[str, Any] | None) -> str:
    return NOTHING if model is None else called(str(model["name"]))


def _shielded(facts: Facts) -> Iterator[str]:
    """Of each mix with stretches that are only context, how many of its examples have some."""
    for name, step in facts.results.steps.items():
        counts = facts.results.manifests[name].get("counts", {})
        if step.stage == "mix" and counts.get("shielded"):
            yield (
                f"Of {step.name}'s {counts['examples']:,} examples {counts['shielded']:,} hold stretches of reasoning "
                "that the student reads and isn't trained to write; readers of the traces read these too."
            )


def _told(system: str | None) -> str:
    """What stands before every prompt."""
    if system is None:
        return "The student is asked the bare prompt."
    return f"Before every prompt the student is given the system turn “{system}”."


def _asked(step: Step) -> tuple[tuple[str, ...], int | None]:
    """(set, prompts, attack, temperature, top-p, budget, replies each) of an evaluation, and its seed."""
    settings = step.settings
    drawn: dict[str, Any] = settings["sampling"]
    row = (step.name, _prompts(step.inputs["prompts"].settings), _attack(settings))
    how = (f"{drawn['temperature']:g}", f"{drawn['top_p']:g}", f"{drawn['max_tokens']:,}", str(settings["samples"]))
    return row + how, drawn["seed"]


def _prompts(settings: dict[str, Any]) -> str:
    pieces = [str(settings["source"])]
    pieces += [f"split {settings['split']}"] if settings["split"] != "all" else []
    pieces += [f"at most {settings['limit']}"] if settings.get("limit") else []
    if settings.get("templates"):
        each = f", {settings['per_prompt']} each" if settings.get("per_prompt") else ""
        bare = " and bare" if settings.get("bare") else ""
        pieces.append(f"in templates {settings['templates']}{each}{bare}")
    pieces += [f"revision {settings['revision']}"] if settings.get("revision") else []
    return ", ".join(pieces)


def _attack(settings: dict[str, Any]) -> str:
    """The attack with the settings that decide it, the defaults of a search included."""
    attack = attacks.find(str(settings["attack"]["name"]))
    own = dict(settings["attack_settings"]) | attack.told(attack.Settings.model_validate(settings["attack_settings"]))
    more = [f"{key.replace('_', ' ')} {value}" for key, value in own.items()]
    more += [f"{role.replace('_', ' ')} {model['name']}" for role, model in settings["attack_models"].items()]
    return f"{attack.name} ({'; '.join(more)})" if more else attack.name


def reader_table(facts: Facts) -> Table | None:
    """Who read which text through which rubric, where, and what came of it."""
    places: dict[str, set[str]] = defaultdict(set)
    for row in facts.results.rows:
        places[row.trace.id].add(row.slice)
    found: dict[tuple[str, str, str], list[Verdict]] = defaultdict(list)
    for verdict in facts.results.verdicts:
        found[verdict.rubric, verdict.looked_at, verdict.judge].append(verdict)
    if not found:
        return None
    order = [one.name for one in facts.sets]
    rows = []
    for (rubric, looked_at, judge), verdicts in sorted(found.items()):
        sets = {place for verdict in verdicts for place in places.get(verdict.trace, {FILTER})}
        labels: Counter[str] = Counter()
        for verdict in verdicts:
            labels.update(() if verdict.labels is None else verdict.labels or (NO_PATTERN,))
        said = ", ".join(f"{label.replace('_', ' ')} {n:,}" for label, n in labels.most_common())
        rows.append(
            [
                *(TableCell(rubric), TableCell("reasoning and answer" if looked_at == "both" else looked_at)),
                *(TableCell(judge), TableCell(_form(rubric, judge))),
                TableCell(", ".join(sorted(sets, key=lambda name: order.index(name) if name in order else len(order)))),
                *(count(len(verdicts)), count(sum(verdict.label is None for verdict in verdicts)), TableCell(said)),
            ]
        )
    return Table(
        "readers",
        "Protocol: who read what",
        "Which text each reader was shown, through which rubric (name@hash of its wording) and in which form. Rules "
        "are readers without a model.",
        ["rubric", "text read", "reader", "form", "on", "readings", "unscored", "labels"],
        rows,
        (
            "A trace may show several patterns or segments: their counts can add up to more than the readings.",
            *_people(facts),
        ),
    )


def _form(rubric: str, judge: str) -> str:
    """How a reader is asked: no question at all, a guard's published format, or our rubric as a prompt."""
    name = rubric.partition("@")[0]
    if read_without_model(judge):
        return "a trained reader, no model"
    if name in GRADERS:
        return "graded"
    if name in ("guard", "harm"):
        form = next((family.name for family in guards().values() if Guard(family, "both", name).rubric == rubric), None)
        if form is not None:
            return f"guard, in the format of {form}"
    return "a model asked by rubric"


def _people(facts: Facts) -> list[str]:
    """How well readers without a model read, where they were asked."""
    judge = facts.results.recipe.judge
    first = {"refusal": judge.refusal[0], "harm": judge.harm[0]}
    local = {question: reader for question, reader in first.items() if is_local(reader)}
    return [f"Of the readers without a model: {measured(local)}"] if local else []


_BY_SENTENCE = (
    "Of sentences n counts sentences; those of one reasoning are alike, so their intervals are narrower than they "
    "should be."
)


def agreement_table(compared: list[Compared]) -> Table | None:
    """How often two readings agree, with chance taken off."""
    if not compared:
        return None
    rows = []
    for c in compared:
        f = c.found
        share = TableCell(percent(f.share, f.n), f.share, f.low, f.high, f.n, f.n_unscored, share=True)
        chance = [
            TableCell(NOTHING) if value is None else TableCell(f"{value:.2f}", value) for value in (f.kappa, f.ac1)
        ]
        rows.append([TableCell(c.question), TableCell(c.first), TableCell(c.second), count(f.n), share, *chance])
    return Table(
        "agreement",
        "How far readers agree",
        "The share of texts on which two readings give the same label, with its 95 % interval; kappa (Cohen) and AC1 "
        "(Gwet) take off what chance alone would give.",
        ["question", "reader", "compared with", "n", "agree", "kappa", "AC1"],
        rows,
        (
            "The corpus's labels say what a scripted reply was written to show. They measure the rules on this "
            "corpus's wording; on other models' words they can only do worse.",
            *([_BY_SENTENCE] if any("sentence" in c.question for c in compared) else []),
        ),
    )


def agreement_figure(compared: list[Compared]) -> Figure | None:
    """Confusion tables of the first few comparisons."""
    shown = [c for c in compared if c.found.n][:9]
    if not shown:
        return None
    panels = []
    for c in shown:
        labels = list(c.found.labels)
        rows = [
            {"first": a, "second": b, "n": n, "share": n / max(1, sum(row)), "right": a == b}
            for a, row in zip(labels, c.found.table, strict=True)
            for b, n in zip(labels, row, strict=True)
        ]
        base = alt.Chart(data(rows)).encode(
            x=alt.X("second:N", sort=labels, title=c.second, axis=alt.Axis(labelAngle=0, grid=False, ticks=False)),
            y=alt.Y("first:N", sort=labels, title="reader", axis=alt.Axis(grid=False)),
        )
        edge = alt.condition("datum.right", alt.value(light("ink")), alt.value(light("paper")))
        strength = alt.FillOpacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.05, 0.6]), legend=None)
        tiles = base.mark_rect(fill=light("shade3"), strokeWidth=2).encode(stroke=edge, fillOpacity=strength)
        chart = tiles + base.mark_text(fontSize=12, color=light("ink")).encode(text="n:Q")
        size = 66 if len(labels) > 2 else 76
        panels.append(
            titled(chart.properties(width=size * len(labels), height=32 * len(labels)), c.question, size=11.5)
        )
    return Figure(
        "agreement",
        "Where readers differ",
        "Counts of texts by the label of the reader (rows) and of what it is compared with (columns). Framed: they "
        "agree; the stronger the shade, the larger its share of the row.",
        "; ".join(f"{c.question}: {percent(c.found.share, c.found.n)} of {c.found.n} agree" for c in shown),
        alt.concat(*panels, columns=3, spacing=26),
    )


def section(material: Material) -> Section:
    """The section."""
    facts, compared = material.facts, material.compared
    return made(
        *("protocol", "Protocol", "Protocol: what was asked, who judged, how far they agree", ""),
        *(
            asked_table(facts),
            taught_table(facts),
            reader_table(facts),
            agreement_table(compared),
            agreement_figure(compared),
        ),
    )
