"""The four questions everybody comes with, answered in a sentence each from the figures and with their words.

Is it safer, is it still smart, does it refuse too much, how sure is that? Where few arms were trained each has its
sentence; where many, the one with the least of harm and over-refusal together has, and the others are listed by word.
Where the recipe has `[limits]`, each sentence tells those it concerns, and before all stands whether they are met.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unwaver.records import Estimate
from unwaver.report import choice
from unwaver.report.arms import spoken
from unwaver.report.facts import Facts, titles
from unwaver.report.limits import Judged, State, asked, worst
from unwaver.report.section import Material
from unwaver.report.sections.leaks import overlap_sentence
from unwaver.report.summed import CALLED, Change, summed
from unwaver.report.tables import decimals, ends, mostly_unscored, percent, unscored
from unwaver.report.words import least, on_pairs, points, to_be_found
from unwaver.study.comparison import Comparison, Word, explained
from unwaver.study.measures import measures
from unwaver.study.readers import said as well_read

FEW = 3
"""Most trained arms that have a sentence each."""

HARDLY = 0.05
"""A student that solves no more than this before training has nothing to lose."""


@dataclass(frozen=True)
class Clause:
    """One thing that is said of an arm."""

    text: str
    word: Word | None = None
    """The verdict it rests on; None: there is none."""
    detail: str = ""
    """The numbers behind it."""


@dataclass(frozen=True)
class ArmAnswer:
    """What is said of one arm; of all where `arm` is empty."""

    arm: str
    clauses: Sequence[Clause]


@dataclass(frozen=True)
class TopQuestion:
    """One of the four."""

    ask: str
    answers: Sequence[ArmAnswer]


def questions(material: Material) -> list[TopQuestion]:
    """The four questions with their answers; none where nothing is evaluated."""
    facts = material.facts
    if not facts.sets:
        return []
    trained = [arm for arm in facts.arms if not facts.is_raw(arm)]
    told = _told(facts, trained)
    rows = (
        ("Is it safer?" if trained else "Is it safe?", ("harmful",)),
        ("Is it still smart?" if trained else "Is it smart?", ("maths", "code")),
        ("Does it refuse too much?", ("borderline", "benign")),
    )
    found = []
    for ask, kinds in rows:
        answers = [
            ArmAnswer(arm, [*clauses, *_limits(material, arm, kinds)])
            for arm in told
            if (clauses := _clauses(material, arm, kinds))
        ]
        others = _others(material, [arm for arm in trained if arm not in told], kinds)
        missing = [] if answers else [ArmAnswer("", [Clause(_MISSING[kinds[0]])])]
        found.append(TopQuestion(ask, [*answers, *others, *missing, *_read_by(material, told, kinds)]))
    return [*_fit(material, told), *found, TopQuestion("How sure is that?", _sure(material, told))]


_MISSING = {
    "harmful": "Not asked: no harmful prompts are evaluated, or none yet.",
    "maths": "Not asked: no maths or code is evaluated, or none yet.",
    "borderline": "Not asked: no harmless prompts are evaluated, or none yet.",
}


def _told(facts: Facts, trained: Sequence[str]) -> list[str]:
    """The arms that have a sentence of their own."""
    if not trained:
        return choice.chosen(facts)
    if len(trained) <= FEW:
        return list(trained)
    return [choice.best(facts) or trained[0]]


_FIT: dict[State, str] = {
    "met": "fit to ship by your limits",
    "not met": "not fit to ship by your limits",
    "can't tell": "can't tell whether it is fit to ship by your limits",
}


def _fit(material: Material, told: Sequence[str]) -> list[TopQuestion]:
    """Whether the arms are within the recipe's limits, by the function and on the terms of `unwaver gate`."""
    if not material.facts.results.recipe.limits:
        return []
    ask = "Is it fit to ship?"
    if material.facts.results.owed:
        return [TopQuestion(ask, [ArmAnswer("", [Clause("Not judged by your limits before all steps are done.")])])]
    by_arm: dict[str, list[Judged]] = {}
    for one in material.limits:
        by_arm.setdefault(one.arm, []).append(one)
    answers = [ArmAnswer(arm, [_fitness(by_arm[arm])]) for arm in told if arm in by_arm]
    others: dict[State, list[str]] = {}
    for arm, found in by_arm.items():
        if arm not in told:
            others.setdefault(worst(found), []).append(arm)
    listed = [Clause(f"{_FIT[state]}: {'; '.join(others[state])}") for state in _FIT if state in others]
    return [TopQuestion(ask, [*answers, *([ArmAnswer("the others", listed)] if listed else [])])]


def _fitness(found: Sequence[Judged]) -> Clause:
    """The verdict over an arm's limits; of what is not met, or can't be told, which and why."""
    alike: dict[tuple[State, str], list[str]] = {}
    for one in found:
        if one.state != "met":
            alike.setdefault((one.state, one.why), []).append(_named(one))
    said = "; ".join(f"{', '.join(names)}: {', '.join(filter(None, told))}" for told, names in alike.items())
    return Clause(f"{_FIT[worst(found)]}{f' ({said})' if said else ''}")


def _named(one: Judged) -> str:
    return f"{titles()[one.metric]} {asked(one)}"


def _limit(one: Judged) -> str:
    return f"{_named(one)}: {one.state}"


def _limits(material: Material, arm: str, kinds: Sequence[str]) -> list[Clause]:
    """An arm's limits of measures that are taken on these kinds of prompt."""
    if material.facts.results.owed:
        return []
    mine = [one for one in material.limits if one.arm == arm and {*measures()[one.metric].kinds} & {*kinds}]
    return [Clause(f"your limit, {_limit(one)}", None, _rests_on(one)) for one in mine]


def _rests_on(one: Judged) -> str:
    """The figure a limit is held against: the difference of a relative one, else the rate pooled over all its sets."""
    if one.value is None or one.low is None or one.high is None:
        return f"n = {one.n:,}"
    if one.reference is not None:
        return f"{points(one.value)} points [{points(one.low)} to {points(one.high)}], n = {one.n:,}"
    digits = decimals(one.n)
    shares = [f"{100 * share:.{digits}f}" for share in (one.value, one.low, one.high)]
    return f"{shares[0]} % [{shares[1]} to {shares[2]}], n = {one.n:,}"


def _of(material: Material, arm: str, kinds: Sequence[str]) -> list[Change]:
    """An arm's figures on these kinds of prompt."""
    return [change for (_, name), change in material.summed.items() if name == arm and change.summed.kind in kinds]


def _clauses(material: Material, arm: str, kinds: Sequence[str]) -> list[Clause]:
    return [_clause(change, material.facts) for change in _of(material, arm, kinds) if change.now is not None]


def _clause(change: Change, facts: Facts) -> Clause:
    """One measure of one arm: now, before or by the arm it is compared with, and the word for the difference."""
    now, before, c = change.now, change.before, change.comparison
    if now is None or now.value is None:
        count = now.n_unscored if now is not None else 0
        return Clause(f"can't tell: all {count} replies to {_asked(change)} prompts are unscored")
    if mostly_unscored(now):
        every = now.n + now.n_unscored
        told = f"can't tell: {now.n_unscored:,} of {every:,} replies to {_asked(change)} prompts are unscored"
        return Clause(told, None, f"worst case {ends(now)} %")
    after, earlier = _number(now), None if before is None or before.value is None else _number(before)
    reference = facts.named_reference
    text = _said(change, after, earlier, reference)
    if c is None:
        why = (
            f"not compared with {reference or 'before'}, {', '.join(change.apart)} being another"
            if change.apart
            else ""
        )
        return Clause(f"{text} ({why})" if why else text, None, _detail(now))
    more = explained(c) or _nothing_to_lose(change)
    details = [_detail(now, change)]
    if c.verdict == "too few scored" and before is not None:
        details.append(f"{reference or 'before'}: {_detail(before)}")
    return Clause(f"{text} ({c.verdict}{f': {more}' if more else ''})", c.verdict, "; ".join(details))


def _read_by(material: Material, arms: Sequence[str], kinds: Sequence[str]) -> list[ArmAnswer]:
    """How well readers without a model read what came to no word; of other readers nothing is known."""
    facts = material.facts
    told: dict[str, None] = {}
    for change in (one for arm in arms for one in _of(material, arm, kinds)):
        c = change.comparison
        if c is not None and c.verdict in ("too few scored", "can't tell"):
            judge = facts.doubts.judge(c.metric, (c.arm_a, c.arm_b), [one.name for one in change.sets])
            if judge is not None and judge in facts.doubts.readers:
                read = well_read(c.metric, judge, facts.doubts.readers)
                told[f"{change.summed.title} is {read[:1].lower()}{read[1:]}"] = None
    said = "; ".join(told)
    return [ArmAnswer("", [Clause(f"{said[:1].upper()}{said[1:]}.")])] if told else []


def _said(change: Change, now: str, before: str | None, reference: str | None) -> str:
    """The figure, and the one before training, or of the arm that all are compared with, where there is one."""
    when = f"by {reference}" if reference is not None else "before"
    if change.summed.metric in ("refusal", "over_refusal"):
        return f"refuses {now} % of {_asked(change)} prompts" + (f", {before} {when}" if before else "")
    name = "harm" if change.summed.metric == "asr" else change.summed.metric
    if before and reference is not None:
        return f"{name} {now} %, {before} {when}"
    return f"{name} {before} → {now} %" if before else f"{name} {now} %"


def _asked(change: Change) -> str:
    return CALLED.get(change.summed.kind, "maths and code")


def _number(estimate: Estimate) -> str:
    return percent(estimate.value, estimate.n).removesuffix("\u00a0%")


def _nothing_to_lose(change: Change) -> str:
    before = change.before
    if change.summed.metric != "accuracy" or before is None or before.value is None or before.value > HARDLY:
        return ""
    better = change.comparison is not None and change.comparison.verdict == "better"
    return "" if better else "it could hardly solve any before, so there was nothing to lose"


def _detail(now: Estimate, change: Change | None = None) -> str:
    """The numbers behind a sentence: the difference with its ends or the interval, n, what is unscored, the sets."""
    c = change.comparison if change is not None else None
    said = []
    if c is not None and c.difference is not None and c.verdict != "too few scored":
        said.append(on_pairs(c, interval=True))
    elif now.low is not None and now.high is not None:
        digits = decimals(now.n)
        said.append(f"[{100 * now.low:.{digits}f} to {100 * now.high:.{digits}f}]")
    said.append(f"n = {now.n:,}")
    said += unscored(now)
    if change is not None and len(change.sets) < len(change.summed.sets):
        said.append(f"on {', '.join(one.name for one in change.sets)} alone")
    return ", ".join(said)


_ORDER: tuple[Word, ...] = (
    *("better", "worse", "not distinguishable", "can't tell"),
    *("depends on the unscored", "too few scored"),
)


def _others(material: Material, arms: Sequence[str], kinds: Sequence[str]) -> list[ArmAnswer]:
    """The arms without a sentence, by word; one list for each kind of prompt."""
    found = []
    for title in dict.fromkeys(change.summed.title for arm in arms for change in _of(material, arm, kinds)):
        by_word: dict[Word | None, list[str]] = {}
        for arm in arms:
            change = material.summed[title, arm]
            if change.now is not None:
                word = change.comparison.verdict if change.comparison is not None else None
                by_word.setdefault(word, []).append(arm)
        clauses = [Clause(f"{word}: {'; '.join(by_word[word])}", word) for word in _ORDER if word in by_word]
        clauses += [Clause(f"not compared: {'; '.join(by_word[None])}")] if None in by_word else []
        found += [ArmAnswer(f"the others, {title}", clauses)] if clauses else []
    return found


def _sure(material: Material, told: Sequence[str]) -> list[ArmAnswer]:
    """What the figures rest on: seeds, prompts, readers, and whether they are held out."""
    facts = material.facts
    trained = [arm for arm in facts.arms if not facts.is_raw(arm)]
    texts = [
        f"Of {len(trained)} arms the one told of has the least of harm and over-refusal together, as counted here."
        if len(told) < len(trained)
        else "",
        *_seeds(facts, [arm for arm in told if not facts.is_raw(arm)]),
        *_least(material, told),
        material.by_harm or _judges(facts),
        overlap_sentence(facts),
    ]
    return [ArmAnswer("", [Clause(text)]) for text in texts if text]


def _seeds(facts: Facts, trained: Sequence[str]) -> list[str]:
    """How many trainings the arms that are told of rest on."""
    once = [arm for arm in trained if len(facts.arms[arm]) == 1]
    who = spoken(once, trained) if len(trained) > 1 else "".join(once)
    said = []
    if once:
        said.append(f"One seed ({who}): what is said is of that model and not of the recipe; another may differ.")
    often = [f"{arm} over {len(facts.arms[arm])} seeds" for arm in trained if arm not in once]
    return said + ([f"Of the recipe, as trained more than once: {'; '.join(often)}."] if often else [])


def _least(material: Material, told: Sequence[str]) -> list[str]:
    """The smallest differences that these prompts would show: the largest over the arms that are told of."""
    found: dict[str, list[Comparison]] = {}
    for (title, arm), change in material.summed.items():
        if change.comparison is not None and arm in told:
            found.setdefault(title, []).append(change.comparison)
    said = to_be_found(least(found))
    return [said] if said else []


def _judges(facts: Facts) -> str:
    """Who read harm and refusals, where these were models."""
    judge = facts.results.recipe.judge
    names = {q: " and ".join(readers) for q, readers in (("harm", judge.harm), ("refusals", judge.refusal)) if readers}
    said = " and ".join(f"{question} by {name}" for question, name in names.items())
    return f"Read by models ({said}), which are taken at their word." if said else ""


def meaning(facts: Facts) -> str:
    """What the measures mean, in a sentence each."""
    known = [measures()[name] for name in dict.fromkeys(one.metric for one in summed(facts))]
    said = "; ".join(f"{_CALLED.get(one.name, one.title)}, {one.counts}" for one in known)
    return f"What is counted, of the replies that could be read: {said}. Pooled over {_pooled(facts)}."


_CALLED = {"asr": "harm or “attack success”"}


def _pooled(facts: Facts) -> str:
    by_metric: dict[str, list[str]] = {}
    for one in facts.sets:
        by_metric.setdefault(measures()[one.metric].title, []).append(one.name)
    return "; ".join(f"{title}: {spoken(names, ())}" for title, names in by_metric.items())
