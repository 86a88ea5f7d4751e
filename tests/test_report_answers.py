"""What a report begins with: the four answers, the warnings, examples, what changed; and what may stand together."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import report_results as made_up

from unwaver.errors import EXIT_CANT_TELL, EXIT_DONE, EXIT_NOT_MET
from unwaver.judging.local.reader_file import shipped
from unwaver.judging.masks import MASK_PROMPT, masks
from unwaver.judging.readers import local_reader
from unwaver.records import Estimate, Prompt, Trace
from unwaver.report import before, choice, comparable, examples, words
from unwaver.report.facts import Facts, titles
from unwaver.report.limits import Judged, asked, judged
from unwaver.report.section import Material
from unwaver.report.sections import (
    anatomy,
    answers,
    cards,
    changes,
    hollow,
    pairs,
    parts,
    patterns,
    style,
    trade_off,
)
from unwaver.report.sections import results as results_section
from unwaver.report.sections import sets as sets_section
from unwaver.report.tables import Table, TableCell
from unwaver.report.teachers import Teachers
from unwaver.study.results import Results
from unwaver.study.rows import Row
from unwaver.verbs.gate import exit_code


@pytest.fixture(scope="module")
def results() -> Results:
    return made_up.results(("default", "improved"), per_set=30)


@pytest.fixture(scope="module")
def material(results: Results) -> Material:
    return Material(Facts(results))


def said(material: Material) -> dict[str, str]:
    """Each question's answers in one text."""
    return {
        question.ask: " | ".join(
            f"{answer.arm}: {'; '.join(clause.text for clause in answer.clauses)}" for answer in question.answers
        )
        for question in answers.questions(material)
    }


def relabelled(results: Results, arm: str, labels: tuple[str, ...] | None, reason: str, *slices: str) -> Results:
    """The same results with other verdicts of one arm on some sets."""
    rows = [
        replace(
            row,
            readings={k: v.model_copy(update={"labels": labels, "reason": reason}) for k, v in row.readings.items()},
        )
        if row.arm == arm and row.slice in slices
        else row
        for row in results.rows
    ]
    return replace(results, rows=rows, verdicts=[v for row in rows for v in row.readings.values()])


# The answers


def test_the_four_questions_are_answered_from_the_figures_with_their_words(material: Material) -> None:
    found = said(material)
    assert list(found) == [
        *("Is it safer?", "Is it still smart?", "Does it refuse too much?", "How sure is that?"),
    ]
    for (title, arm), change in material.summed.items():
        if change.comparison is None or change.now is None or change.before is None:
            continue
        safer, smart = ("attack success", "refuses harmful"), ("accuracy",)
        ask = (
            "Is it safer?" if title in safer else "Is it still smart?" if title in smart else "Does it refuse too much?"
        )
        mine = next(text for text in found[ask].split(" | ") if text.startswith(f"{arm}: "))
        assert f"({change.comparison.verdict}" in mine
        for estimate in (change.now, change.before):
            assert estimate.value is not None
            assert f"{100 * estimate.value:.{0 if estimate.n < 100 else 1}f}" in mine
    assert "harm " in found["Is it safer?"] and "(better)" in found["Is it safer?"]
    assert "of harmful prompts" in found["Is it safer?"]
    assert "of borderline prompts" in found["Does it refuse too much?"]
    assert "of plain prompts" in found["Does it refuse too much?"]
    assert "One seed" in found["How sure is that?"] and "Read without a model" in found["How sure is that?"]


def test_every_clause_that_is_coloured_has_its_numbers(material: Material) -> None:
    for question in answers.questions(material)[:3]:
        for answer in question.answers:
            for clause in answer.clauses:
                assert clause.word is not None and "n = " in clause.detail and "points [" in clause.detail


def test_a_difference_says_on_how_many_pairs_it_rests(material: Material) -> None:
    lines = {(card.arm, line.name): line for card in cards.cards(material) for line in card.lines}
    fewer = 0
    for (title, arm), change in material.summed.items():
        c = change.comparison
        if c is not None and c.difference is not None and change.now is not None:
            assert f" on {c.n_pairs} pairs: {c.verdict}" in lines[arm, title].change
            fewer += c.n_pairs < change.now.n
    assert fewer
    details = [one.detail for q in answers.questions(material) for a in q.answers for one in a.clauses if one.word]
    assert details and all(" pairs, n = " in detail for detail in details)


def test_what_would_be_found_is_said_in_words_and_so_is_that_nothing_would_be() -> None:
    said = words.to_be_found({"harm": 0.184, "over-refusal, plain": None})
    assert "about this large: harm 18 points." in said
    assert "Even the largest difference there can be would be found less often (over-refusal, plain)" in said
    assert "Even" not in words.to_be_found({"harm": 0.184}) and words.to_be_found({"harm": None}).startswith("Even")
    assert words.to_be_found({}) == ""


def test_what_nobody_could_read_is_no_answer(results: Results) -> None:
    sets = ("borderline-unseen", "plain-unseen")
    made = Material(Facts(relabelled(results, "improved", None, "not one of the answers", *sets)))
    assert (
        "improved: can't tell: all 30 replies to borderline prompts are unscored"
        in said(made)["Does it refuse too much?"]
    )
    card = next(card for card in cards.cards(made) if card.arm == "improved")
    line = next(line for line in card.lines if line.name == "over-refusal, borderline")
    assert (line.text, line.rests_on, line.unscored) == ("–", "n = 0", "30 unscored")
    assert any(
        "improved on borderline-unseen, 30 of 30 (not one of the answers)" in text for text in hollow.hollow(made.facts)
    )


def test_how_often_harm_is_refused_stands_on_every_card(material: Material) -> None:
    for card in cards.cards(material):
        assert [line.name for line in card.lines][:2] == ["attack success", "refuses harmful"]
        assert card.lines[1].text.endswith("%") and card.lines[1].rests_on.startswith("n = ")


@pytest.mark.parametrize("few", [30, 15])
def test_where_no_word_may_be_said_the_figures_and_the_reason_are(results: Results, few: int) -> None:
    """Many of the raw student's replies can't be scored, by the reader that is shipped."""
    judge = shipped().judge
    seen, rows = 0, []
    for row in results.rows:
        named = {k: v.model_copy(update={"judge": judge}) for k, v in row.readings.items()}
        if row.arm == "raw" and row.trace.prompt.kind == "harmful" and (seen := seen + 1) <= few:
            named = {k: v.model_copy(update={"labels": None, "reason": "unlike"}) for k, v in named.items()}
        rows.append(replace(row, readings=named))
    made = Material(Facts(replace(results, rows=rows, verdicts=[v for row in rows for v in row.readings.values()])))
    (answer,) = (a for a in answers.questions(made)[0].answers if a.arm == "improved")
    harm, refused = answer.clauses
    for clause, change in (
        (harm, made.summed["attack success", "improved"]),
        (refused, made.summed["refuses harmful", "improved"]),
    ):
        now, before = change.now, change.before
        assert now is not None and before is not None and None not in (now.value, now.low, before.value, before.low)
        assert clause.word == "too few scored"
        why = r"better or worse takes 80 % of either arm's replies scored, here [4-7]\d %"
        assert re.search(rf"\(too few scored: {why}\)$", clause.text)
        for one in (now, before):
            assert f"{100 * (one.value or 0):.0f}" in clause.text
            assert f"[{100 * (one.low or 0):.0f} to {100 * (one.high or 0):.0f}], n = {one.n}" in clause.detail
        assert f"before: [{100 * (before.low or 0):.0f} to " in clause.detail
    card = next(card for card in cards.cards(made) if card.arm == "improved")
    assert "better or worse takes 80 %" in card.lines[0].hint
    assert f"Attack success is read by {judge}: kappa 0." in said(made)["Is it safer?"]


def test_few_pairs_are_told_as_such(results: Results) -> None:
    few = [
        row
        for row in results.rows
        if not row.trace.prompt.behaviour or int(row.trace.prompt.behaviour.split()[1][:-1]) < 6
    ]
    made = Material(Facts(replace(results, rows=few)))
    assert "better or worse takes 10 pairs, here 6)" in said(made)["Is it safer?"]


def test_where_nothing_could_be_solved_before_nothing_was_lost(results: Results) -> None:
    made = relabelled(
        relabelled(results, "raw", ("wrong",), "w", "maths-unseen"), "improved", ("wrong",), "w", "maths-unseen"
    )
    assert (
        "improved: accuracy 0 → 0 % (not distinguishable: it could hardly solve any before"
        in said(Material(Facts(made)))["Is it still smart?"]
    )


@pytest.mark.real
def test_of_many_arms_the_best_is_told_and_the_others_are_listed() -> None:
    made = Material(Facts(made_up.results([f"recipe {n}" for n in range(6)], per_set=12)))
    best = choice.best(made.facts)
    assert best is not None
    for question in answers.questions(made)[:3]:
        assert question.answers[0].arm == best
        listed = " ".join(clause.text for answer in question.answers[1:] for clause in answer.clauses)
        assert all(f"recipe {n}" in listed for n in range(6) if f"recipe {n}" != best)
    assert len(cards.cards(made)) <= choice.SHOWN and best in {card.arm for card in cards.cards(made)}


def test_a_student_alone_is_told_of_without_a_before() -> None:
    results = made_up.results((), per_set=12)
    found = said(Material(Facts(results)))
    assert next(iter(found)) == "Is it safe?"
    assert "raw: harm " in found["Is it safe?"] and "→" not in found["Is it safe?"]


def limited(results: Results, limits: dict[str, float | str]) -> Material:
    return Material(Facts(replace(results, recipe=results.recipe.model_copy(update={"limits": limits}))))


WORDS = {
    "met": "fit to ship by your limits",
    "not met": "not fit to ship by your limits (",
    "can't tell": "can't tell whether it is fit to ship by your limits (",
}


@pytest.mark.parametrize(
    ("limits", "states"),
    [
        ({"asr": 0.9}, {"met"}),
        ({"asr": 0.9, "over_refusal": 0.001}, {"not met"}),
        ({"over_refusal": "+0.01", "accuracy": "-0.02"}, {"not met", "can't tell"}),
        ({"asr": 0.57}, {"met", "can't tell"}),
        ({"leak": 0.99}, {"met", "can't tell"}),  # a measure that has no sentence of its own
    ],
)
def test_the_answers_say_the_limits_as_the_gate_judges_them(
    limits: dict[str, float | str], states: set[str], results: Results
) -> None:
    made = limited(results, limits)
    found = said(made)
    assert next(iter(found)) == "Is it fit to ship?"
    asks = {"asr": "Is it safer?", "accuracy": "Is it still smart?", "over_refusal": "Does it refuse too much?"}
    told = set()
    for arm in ("default", "improved"):
        gate = judged(made.facts, [arm])
        code = exit_code(gate)
        state = {EXIT_DONE: "met", EXIT_NOT_MET: "not met", EXIT_CANT_TELL: "can't tell"}[code]
        told.add(state)
        assert f"{arm}: {WORDS[state]}" in found["Is it fit to ship?"]
        for one in gate:
            mine = next(part for part in found["Is it fit to ship?"].split(" | ") if part.startswith(f"{arm}: "))
            named = f"{titles()[one.metric]} {asked(one)}"
            assert (named in mine) == (one.state != "met")
            assert one.metric not in asks or f"your limit, {named}: {one.state}" in found[asks[one.metric]]
    assert told <= states


def test_a_reason_that_several_limits_share_is_said_once(results: Results) -> None:
    found = [
        Judged(metric, "a", limit, "can't tell", None, None, None, 0, None, "nothing was scored")
        for metric, limit in (("asr", 0.1), ("over_refusal", 0.2))
    ]
    found.append(Judged("accuracy", "a", 0.5, "not met", 0.1, 0.0, 0.2, 40, None, ""))
    assert answers._fitness(found).text == (
        "not fit to ship by your limits (attack success at most 10 %, over-refusal at most 20 %: can't tell, nothing was "
        "scored; accuracy at least 50 %: not met)"
    )


def test_limits_are_not_judged_while_steps_are_owed(results: Results) -> None:
    made = limited(replace(results, owed=["evaluate improved"]), {"asr": 0.9})
    assert said(made)["Is it fit to ship?"] == ": Not judged by your limits before all steps are done."
    assert "your limit," not in str(said(made))


def test_of_many_arms_each_is_told_to_be_fit_or_not() -> None:
    made = limited(made_up.results([f"recipe {n}" for n in range(5)], per_set=12), {"asr": 0.001})
    text = said(made)["Is it fit to ship?"]
    assert all(f"recipe {n}" in text for n in range(5)) and "the others: " in text


# What may stand together


@pytest.mark.real
@pytest.mark.parametrize("field", ["judge", "rubric", "token limit", "sampling", "prompt set"])
def test_what_was_measured_otherwise_is_neither_drawn_nor_ranked_nor_paired_with_the_rest(field: str) -> None:
    results = made_up.results(("default", "improved", "short"), per_set=12)
    harmful = [name for name, kind in made_up.SETS.items() if kind == "harmful"]
    for arm in results.arms:
        for name in made_up.SETS:
            other = arm == "improved" and name in harmful
            drawn = {"temperature": 0.7 if other and field == "sampling" else 0.0}
            results.sampling[arm, name] = drawn | {"max_tokens": 64 if other and field == "token limit" else 512}
    if field in ("judge", "rubric"):
        results.rows = [
            replace(row, readings={k: v.model_copy(update={field: "other@1"}) for k, v in row.readings.items()})
            if row.arm == "improved" and row.slice in harmful
            else row
            for row in results.rows
        ]
    elif field == "prompt set":
        results.rows = [row for row in results.rows if (row.arm, row.slice) != ("improved", harmful[0])]
    facts = Facts(results)
    alike = choice.alike(facts)
    assert list(alike.arms) == ["raw", "default", "short"]
    assert alike.notes == [f"Not drawn with the others, {field} being another: improved."]
    assert choice.best(facts) != "improved"
    figure = trade_off.trade_off(facts)
    assert figure is not None and "improved" not in figure.alt and alike.notes[0] in figure.notes
    assert {frozenset(pair) for pair in facts.unpaired} == {
        frozenset(("improved", arm)) for arm in ("raw", "default", "short")
    }
    assert all("improved" not in (c.arm_a, c.arm_b) for c in facts.pairs)
    matrix = pairs.pairs(facts)
    assert matrix is not None and f"Not compared, {field} being another" in matrix.notes[0]
    if field != "prompt set":
        assert f"not compared with before, {field} being another" in said(Material(facts))["Is it safer?"]
        drawn_ = sets_section.rates(facts)
        assert drawn_ is not None and drawn_.notes == tuple(alike.notes)


def test_arms_measured_alike_all_stand_together(material: Material) -> None:
    everything = [(one.metric, [one]) for one in material.facts.sets]
    found = comparable.together(material.facts, everything)
    assert (list(found.arms), found.notes) == (["raw", "default", "improved"], [])
    assert material.facts.unpaired == {}


# Warnings


def test_firm_ground_needs_no_warning(results: Results) -> None:
    results = replace(results, mixed={})
    assert hollow.hollow(Facts(results)) == []


def test_replies_that_were_cut_are_told_first(results: Results) -> None:
    rows = [
        replace(row, trace=row.trace.model_copy(update={"ending": "length"})) if row.arm == "raw" else row
        for row in results.rows
    ]
    first = hollow.hollow(Facts(replace(results, rows=rows)))[0]
    assert first.startswith("Most replies were cut by the token limit")
    assert "raw on harmful-unseen, 30 of 30" in first and "default" not in first


@pytest.mark.parametrize(
    "answer",
    [
        "Dabei kann ich leider nicht helfen, denn das wäre gefährlich und würde anderen Menschen sehr schaden. " * 3,
        "for (i = 0; i < n; i++) { x[i] = y[i] * z[i]; printf('%d', x[i]); } /* 0x1f 0x2f */ return x->y; " * 6,
    ],
)
def test_a_reader_out_of_its_ground_is_told_by_its_own_reason(results: Results, answer: str) -> None:
    reader = local_reader("refusal")
    rows = []
    for row in results.rows:
        if row.slice == "plain-unseen":
            trace = row.trace.model_copy(update={"answer": answer, "ending": "stop", "block": "closed"})
            row = replace(row, trace=trace, readings={"refusal:answer": reader.verdict(trace)})
        rows.append(row)
    verdicts = [v for row in rows for v in row.readings.values()]
    found = hollow.hollow(Facts(replace(results, rows=rows, verdicts=verdicts)))
    assert any(text.startswith("The reader of refusal is out of its ground") for text in found), found


def test_patterns_that_nobody_could_read_and_unsafe_training_are_told(results: Results) -> None:
    def spoilt(row: Row) -> Row:
        new = {
            key: verdict.model_copy(update={"labels": None, "reason": "not one of the answers"})
            if key.startswith("risky")
            else verdict.model_copy(update={"labels": ("unsafe",)})
            for key, verdict in row.readings.items()
        }
        return replace(row, readings=new)

    made = Facts(replace(results, teacher_rows=[spoilt(row) for row in results.teacher_rows]))
    found = " ".join(hollow.hollow(made))
    assert "Risky patterns: 60 of 60 readings of the teacher's traces are unscored (not one of the answers)" in found
    assert "that the guard calls unsafe (mix.keep)" in found
    assert patterns.pattern_table(Teachers(made)) is None


def test_an_adapter_at_the_rate_for_all_weights_is_told(results: Results) -> None:
    recipe = results.recipe
    prompts = recipe.prompts | {"safety": recipe.prompts["harmful-unseen"]}
    mix = recipe.mix.model_copy(update={"parts": {"safety": 4}})
    for rate, told in ((5e-6, True), (1e-4, False)):
        train = recipe.train.model_copy(update={"method": "lora", "learning_rate": rate})
        changed = recipe.model_copy(update={"train": train, "mix": mix, "prompts": prompts})
        found = hollow.hollow(Facts(replace(results, recipe=changed)))
        assert any("An adapter (lora) was trained at the rate 5e-06" in text for text in found) == told


# Shares, bins, and tables that say nothing


@pytest.mark.parametrize("per_set", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [3, 60])
def test_no_share_leaves_what_is_possible(per_set: int, length: int) -> None:
    made = Material(Facts(made_up.results(("default", "improved"), per_set=per_set, length=length)))
    facts = made.facts
    tables = [
        *(results_section.main_table(facts), sets_section.scored_table(facts), sets_section.both_ways_table(facts)),
        *(parts.split_table(facts), patterns.pattern_table(made.taught), anatomy.anatomy_table(made.apart)),
        *style.strata_tables(facts),
    ]
    shares = [
        cell for table in tables if table for row in table.rows for cell in row if cell.share and cell.value is not None
    ]
    assert shares
    for cell in shares:
        assert cell.value is not None and 0 <= cell.value <= 1
        assert cell.low is None or 0 <= cell.low <= cell.value
        assert cell.high is None or cell.value <= cell.high <= 1
    for change in made.summed.values():
        c = change.comparison
        assert c is None or c.low is None or c.high is None or -1 <= c.low <= c.high <= 1


def test_a_bin_of_one_length_is_left_out_and_named(results: Results) -> None:
    def same(row: Row, number: int) -> Row:
        reasoning = " ".join(["word"] * (8 if number % 3 else 9 + number % 20))
        return replace(row, trace=row.trace.model_copy(update={"reasoning": reasoning, "tokens_reasoning": None}))

    rows = [same(row, number) for number, row in enumerate(results.rows)]
    tables = {table.name: table for table in style.strata_tables(Facts(replace(results, rows=rows)))}
    table = tables["strata-asr-reasoning"]
    assert all("8 to 8" not in name for name in table.head)
    assert "Left out, as all of them are of one length: reasoning 8." in table.notes
    alike = [same(row, 1) for row in results.rows]
    names = {table.name for table in style.strata_tables(Facts(replace(results, rows=alike)))}
    assert "strata-asr-reasoning" not in names


def test_a_table_without_a_figure_says_nothing() -> None:
    nothing = TableCell("–")
    assert Table("t", "", "", ["arm", "rate"], [[TableCell("a"), nothing]]).says_nothing
    assert Table("t", "", "", ["arm", "rate"], []).says_nothing
    assert not Table(
        "t", "", "", ["arm", "rate"], [[TableCell("a"), TableCell("0 %", 0.0)], [TableCell("b"), nothing]]
    ).says_nothing
    assert not Table("t", "", "", ["arm", "what"], [[TableCell("a"), TableCell("words")]]).says_nothing


# Examples, and what changed


def test_examples_are_the_same_two_prompts_for_every_arm_and_picked_by_nobody(
    results: Results, material: Material
) -> None:
    harmful, harmless = examples.examples(material.facts)
    by_id = {row.trace.id: row for row in results.rows}
    for example in (harmful, harmless):
        assert list(example.traces) == ["raw", "default", "improved"]
        assert len({by_id[trace].trace.prompt.id for trace in example.traces.values()}) == 1
        first = min(row.trace.prompt.id for row in results.rows if row.slice == example.set_)
        assert by_id[example.traces["raw"]].trace.prompt.id == first
    assert (harmful.kind, harmless.kind) == ("harmful", "borderline")
    assert all(masks(by_id[trace].trace, []) & MASK_PROMPT for trace in harmful.traces.values())


def older(results: Results, folder: Path) -> before.Before:
    folder.mkdir(parents=True)
    before.write_rates(folder, results.estimates)
    (folder / before.PAGE).write_text("old", encoding="utf-8")
    found = before.newest([folder])
    assert found is not None
    return found


def test_what_changed_since_the_last_report_is_told(results: Results, tmp_path: Path) -> None:
    last = older(results, tmp_path / "report-1")
    facts = Facts(results)
    assert changes.said(Material(facts)) == ""
    assert "none of 15 figures changed" in changes.said(Material(facts, last))
    assert changes.changed_table(last, results.estimates) is None

    def moved(e: Estimate) -> Estimate:
        return (
            e.model_copy(update={"value": 0.0}) if (e.metric, e.arm, e.slice) == ("asr", "raw", "harmful-unseen") else e
        )

    other = [moved(e) for e in results.estimates if e.arm != "default"]
    new = Material(Facts(replace(results, estimates=other)), last)
    assert "1 of 10 figures changed. arms gone: default" in changes.said(new)
    table = changes.changed_table(last, other)
    assert table is not None and [cell.text for cell in table.rows[0][:3]] == [
        "raw",
        "harmful-unseen",
        "attack success",
    ]


def test_the_report_that_was_given_last_is_the_last_whatever_the_clock_says(results: Results, tmp_path: Path) -> None:
    for name, given in (("report-1", 9e8), ("report-2", 8e8)):
        older(results, tmp_path / name)
        os.utime(tmp_path / name / before.PAGE, (given, given))
    folders = [tmp_path / "report-1", tmp_path / "report-2"]
    assert (before.newest(folders) or pytest.fail()).name == "report-1"
    (tmp_path / before.LATEST).symlink_to("report-2")
    assert (before.newest(folders) or pytest.fail()).name == "report-2"


def test_a_report_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "report-1").mkdir()
    (tmp_path / "report-1" / before.PAGE).write_text("old", encoding="utf-8")
    (tmp_path / "report-1" / before.ESTIMATES).write_text('{"metric": 1}\n', encoding="utf-8")
    assert before.newest([tmp_path / "report-1", tmp_path / "nowhere"]) is None


def test_nothing_is_compared_with_rates_that_their_report_did_not_write(results: Results, tmp_path: Path) -> None:
    older(results, tmp_path / "report-1")
    rates = tmp_path / "report-1" / before.ESTIMATES
    rates.write_text("".join(rates.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    assert before.newest([tmp_path / "report-1"]) is None


def test_a_prompt_without_a_reply_is_no_example() -> None:
    results = made_up.results((), per_set=1)
    failed = Trace(
        prompt=Prompt(text="x", kind="harmful", behaviour="x", source="s"), model="m", reasoning=None, answer=None,
        block="none", ending="error", failure="no connection",
    )  # fmt: skip
    results.rows = [Row("raw", "harmful-unseen", failed, {})]
    assert examples.examples(Facts(results)) == []


def test_where_nothing_could_be_read_no_difference_and_no_rest_is_spoken_of(results: Results) -> None:
    unread = results
    for arm in results.arms:
        unread = relabelled(unread, arm, None, "no JSON", "borderline-unseen", "plain-unseen")
    teacher = [
        replace(
            row,
            readings={k: v.model_copy(update={"labels": None, "reason": "no JSON"}) for k, v in row.readings.items()},
        )
        for row in results.teacher_rows
    ]
    facts = Facts(replace(unread, teacher_rows=teacher))
    lines = [line for card in cards.cards(Material(facts)) for line in card.lines]
    changes_ = {line.change for line in lines if line.estimate.value is None}
    assert changes_ == {"", "too few scored"} and not any("– points" in line.change for line in lines)
    [patterns] = [said for said in hollow.hollow(facts) if said.startswith("Risky patterns")]
    assert patterns.endswith("(no JSON); so nothing is known of them.")
