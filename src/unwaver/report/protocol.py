"""The protocol, written out: what each evaluation set was asked and how, and who read which text through which rubric.

Reads the settings of the runs (the same that stand in their `config.json`) and the verdicts; reviewers of the paper
asked for it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from unwaver.attacks.pair import PairSettings
from unwaver.judging.guards import GUARDS, Guard
from unwaver.recipe import RULES
from unwaver.records import Verdict
from unwaver.report.facts import Facts
from unwaver.report.tables import NOTHING, Cell, Table, count
from unwaver.store import Step

FILTER = "the teachers' traces"
"""What stands for a set where the filter reads."""

PEOPLE = (("GPT-4", 450, 0.980), ("Llama-2", 450, 0.971))
"""(model, completions, agreement) of the refusal rules with XSTest's human labels, as docs/rules.md has them."""

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
            *(Cell(text) for text in row[:3]),
            *(count(sizes[row[0]]) if row[0] in sizes else Cell(NOTHING), *(Cell(text) for text in row[3:])),
            *(Cell(", ".join(sorted(seeds))), count(len(students))),
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
    name, own = str(settings["attack"]), dict(settings["attack_settings"])
    if name == "pair":
        search = PairSettings.model_validate(own)
        own = search.model_dump(include={"n_streams", "n_iterations", "keep_last_n", "max_tries", "success_score"})
        own |= {"strategies": "/".join(search.strategies), "judge sees": search.judge_sees}
        for role, drawn in (("attacker", search.attacker), ("target", search.target), ("judge", search.judge)):
            own[role] = f"temperature {drawn.temperature:g}, top-p {drawn.top_p:g}, {drawn.max_tokens} tokens"
    more = [f"{key.replace('_', ' ')} {value}" for key, value in own.items()]
    more += [
        f"{role.replace('_', ' ')} {settings[role]['name']}"
        for role in ("attacker", "pair_judge")
        if settings.get(role)
    ]
    return f"{name} ({'; '.join(more)})" if more else name


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
            labels.update([] if verdict.label is None else verdict.labels or [verdict.label])
        said = ", ".join(f"{label.replace('_', ' ')} {n:,}" for label, n in labels.most_common())
        rows.append(
            [
                *(Cell(rubric), Cell("reasoning and answer" if looked_at == "both" else looked_at)),
                *(Cell(judge), Cell(_form(rubric, judge))),
                Cell(", ".join(sorted(sets, key=lambda name: order.index(name) if name in order else len(order)))),
                *(count(len(verdicts)), count(sum(verdict.label is None for verdict in verdicts)), Cell(said)),
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
            *_people(found),
        ),
    )


def _form(rubric: str, judge: str) -> str:
    """How a reader is asked: no question at all, a guard's published format, or our rubric as a prompt."""
    name = rubric.partition("@")[0]
    if judge.startswith(RULES):
        return "rules, no model"
    if name in GRADERS:
        return "graded"
    if name in ("guard", "harm"):
        form = next((family.name for family in GUARDS.values() if Guard(family, "both", name).rubric == rubric), None)
        if form is not None:
            return f"guard, in the format of {form}"
    return "a model asked by rubric"


def _people(readers: Iterable[tuple[str, str, str]]) -> list[str]:
    """What is known of the refusal rules and people, where they were asked."""
    if not any(rubric.startswith("refusal") and judge.startswith(RULES) for rubric, _, judge in readers):
        return []
    said = " and ".join(f"{100 * share:.1f} % of {n} answers of {name}" for name, n, share in PEOPLE)
    return [
        f"The refusal rules agree with people (refusal or not) on {said}; both files were used in writing the rules, "
        "so expect less elsewhere (docs/rules.md)."
    ]
