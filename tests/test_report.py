"""The report without a browser: forms of tables, text made visible, figures' numbers, masking, size, and what is written."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import re
import unicodedata
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import report_results as made_up
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from unwaver import reasoning
from unwaver.attacks import prefill
from unwaver.plain import in_markdown, paragraph, plain, visible
from unwaver.records import Estimate, Message, Reply, Request, Trace
from unwaver.report import browser, charts, choice, facts, page, readers, setting, words, write
from unwaver.report.given import given_words
from unwaver.report.sections import leaks, trade_off
from unwaver.report.sections import lengths as lengths_section
from unwaver.report.sections import settings as settings_section
from unwaver.report.tables import (
    Table,
    TableCell,
    comma_separated,
    latex,
    markdown,
    number,
    of,
    percent,
)
from unwaver.study import grid
from unwaver.study.measures import of_table
from unwaver.study.results import Results, collect
from unwaver.study.rows import Row
from unwaver.study.steps import plans

HOSTILE = "</script><img src=x onerror=alert(1)> | `$x_1$` \\input{/etc} {{7*7}} &lt; \x1b[31m \u202eabc =1+1\nnew line"


@pytest.fixture(scope="module")
def results() -> Results:
    return made_up.results(("default", "improved"), per_set=24)


@pytest.fixture(scope="module")
def known(results: Results) -> facts.Facts:
    return facts.Facts(results)


@pytest.fixture(scope="module")
def written(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write.write_results(results, tmp_path_factory.mktemp("report"))


# Text


@given(st.text(st.characters()))
def test_nothing_that_acts_or_hides_is_left_and_nothing_else_is_touched(text: str) -> None:
    shown = visible(text)
    left = {c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Co", "Zl", "Zp")} - {"\n", "\t"}
    assert not left
    assert "\u202e" not in shown
    assert "\u200b" not in shown
    if text.isprintable():
        assert shown == text or any(0x115F <= ord(c) <= 0xFFFB for c in text)


@given(st.text(st.characters()), st.text(st.characters()), st.text(st.characters()))
def test_a_quote_still_stands_in_the_text_it_was_taken_from(before: str, quote: str, after: str) -> None:
    assert visible(quote) in visible(before + quote + after)


def test_scripts_and_emoji_that_need_joiners_keep_them() -> None:
    text = "می\u200cخواهم 👩\u200d🔬"
    assert visible(text) == text


# Tables


def table(*texts: str) -> Table:
    return Table(
        "t",
        "Title",
        "Caption",
        ["arm", "share"],
        [[TableCell(t), TableCell("5 %", 0.05, 0.01, 0.2, 40)] for t in texts],
    )


FORMULAS = "=+-@\uff1d\uff0b\uff0d\uff20"
PIECES = st.sampled_from([*FORMULAS, ";", ",", '"', "'", " ", "\t", "1", "x", "%", "e"])


@given(st.text(st.characters(codec="utf-8")) | st.lists(PIECES, max_size=9).map("".join))
@settings(max_examples=200)
@example("-0;")
@example("-1 %;=1")
def test_csv_reads_back_and_holds_no_formula_wherever_its_cells_are_parted(text: str) -> None:
    written = comma_separated(table(text, "after"))
    head, row, after = csv.reader(io.StringIO(written))
    assert head == ["arm", "share", "share: low", "share: high", "share: n", "share: unscored"]
    assert row[1:] == ["0.05", "0.01", "0.2", "40", "0"]
    assert row[0].replace("'", "") == plain(text).replace("'", "")
    assert after == ["after", *row[1:]]
    for delimiter in ",;\t":
        for cells in csv.reader(io.StringIO(written), delimiter=delimiter):
            for cell in cells:
                begun = cell.lstrip(' "')
                assert not begun.startswith(tuple(FORMULAS)) or re.fullmatch(
                    r"[+-]\d[\d.,]*(e[+-]?\d+)?\s*%?\s*", begun, re.I
                )


@pytest.mark.parametrize("text", ["-5", "+0.25", "-1,000.5", "-12.5\u00a0%", "1e-5", "-1e-5", "a; -3", "a - b", "x=1"])
def test_what_is_no_formula_stands_in_csv_as_it_is(text: str) -> None:
    assert next(csv.reader(io.StringIO(comma_separated(table(text)).splitlines()[1])))[0] == plain(text)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1+2", "@SUM(A1)", "\uff1d1+1", "x;=1+1", 'x;"=1+1', "x; \uff1d1+1", ' "=1+1', "x;-1+2"]
)
def test_what_a_spreadsheet_takes_for_a_formula_begins_with_a_quote(text: str) -> None:
    cell = next(csv.reader(io.StringIO(comma_separated(table(text)).splitlines()[1])))[0]
    assert "'" in cell
    assert cell.replace("'", "") == plain(text)


BLOCKS = (
    "# heading",
    "1. one",
    "1) one",
    "- one",
    "+ one",
    "> said",
    "=== ",
    "--- ",
    "***",
    "```",
    "    code",
    "| a | b |",
)
LINES = ("<img src=x onerror=1>", "![i](https://evil.invalid/x.png)", "[c](javascript:1)", "<https://evil.invalid>")
BARE = (
    "https://evil.invalid/x",
    "www.evil.invalid",
    "a@evil.invalid",
    ":skull:",
    "~~gone~~",
    "&lt;b&gt;",
    "$x$",
    "[^1]",
    "ends #",
    "ends ##",
)


@pytest.mark.parametrize("text", [*BLOCKS, *LINES, *BARE, *(f"x {line} y" for line in (*LINES, *BARE))])
@given(more=st.text(st.characters(codec="utf-8"), max_size=20))
@settings(max_examples=10)
def test_markdown_shows_a_text_as_it_is(text: str, more: str) -> None:
    for one in (text, text + more):
        for form in (paragraph(one), f"# {in_markdown(one)}"):
            tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(form)
            assert [token.type for token in tokens if token.level == 0 and token.nesting >= 0] in (
                [],
                ["paragraph_open"],
                ["heading_open"],
            )
            inline = [child for token in tokens if token.type == "inline" for child in token.children or ()]
            assert {child.type for child in inline} <= {"text", "text_special"}
            assert "".join(child.content for child in inline) == plain(one)
            assert not re.search(r"(?<!\\):(//|\w+:)|(?i:\bwww\.)|\w@\w", form)


@given(st.text(st.characters(codec="utf-8")))
@settings(max_examples=60)
def test_markdown_rows_have_their_columns_and_no_tag(text: str) -> None:
    lines = markdown(table(text)).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 3
    bare = re.sub(r"\\.", "", rows[2])
    assert bare.count("|") == 3
    assert not set("<`[$*_") & set(bare.replace("[1 to 20]", ""))


@given(st.text(st.characters(codec="utf-8")))
@settings(max_examples=60)
def test_latex_rows_hold_no_command_of_the_text(text: str) -> None:
    lines = latex(table(text)).splitlines()
    row = lines[lines.index("\\midrule") + 1]
    ours = r"\\textbackslash\{\}|\\textasciicircum\{\}|\\textasciitilde\{\}|\\text(?:less|greater)\{\}|\\ldots\{\}"
    rest = re.sub(ours + r"|\$\\\w+\$|\\[{}$&#%_]|\\\\$", "", row)
    assert "\\" not in rest
    assert rest.count("&") == 1
    assert not set("{}#%_^~$") & set(rest)


def test_a_row_that_does_not_fit_its_head_is_refused() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells under a head of 2"):
        Table("t", "", "", ["a", "b"], [[TableCell("x")]])


def test_a_rate_without_a_value_is_no_zero() -> None:
    nothing = of(Estimate(metric="asr", arm="a", value=None, n=0, n_unscored=7, method="none"))
    assert (nothing.text, nothing.value, nothing.unscored) == ("–", None, 7)
    assert percent(0.0, 500) == "0.0\u00a0%"
    assert percent(0.126, 60) == "13\u00a0%"


# Numbers


def test_the_main_table_holds_what_was_estimated(results: Results, known: facts.Facts) -> None:
    from unwaver.report.sections.results import main_table

    found = main_table(known)
    assert found is not None
    for row in found.rows:
        for one, cell in zip(known.sets, row[1:], strict=False):
            estimate = results.find(one.metric, row[0].text, one.name)
            assert estimate is not None
            assert (cell.value, cell.low, cell.high, cell.n) == (
                estimate.value,
                estimate.low,
                estimate.high,
                estimate.n,
            )
    unscored = [
        e.n_unscored for e in results.estimates if e.arm == "raw" and e.metric in {one.name for one in of_table("main")}
    ]
    assert found.rows[0][-2].value == sum(unscored)
    assert found.rows[0][-1].value == sum(r.trace.truncated for r in results.rows if r.arm == "raw")


def test_raw_is_compared_with_nothing_and_the_others_with_raw(known: facts.Facts) -> None:
    assert {c.arm_a for c in known.main.values()} == {"raw"}
    assert {c.arm_b for c in known.main.values()} == {"default", "improved"}
    assert known.main["asr", "improved", "harmful-unseen"].verdict == "better"


def test_arms_that_differ_in_their_seed_alone_are_one_arm() -> None:
    arms = [f"{name}, seed {seed}" for name in ("default", "improved") for seed in (1, 2)]
    results = made_up.results(arms, per_set=12)
    for arm in arms:
        name, _, seed = arm.partition(", seed ")
        results.cells[arm] = {"method": name, "student": "s", "seed": int(seed), "size": 100}
    results.cells["raw"] = {"student": "s"}
    known = facts.Facts(results)
    assert known.arms == {
        "raw": ("raw",),
        "default": ("default, seed 1", "default, seed 2"),
        "improved": ("improved, seed 1", "improved, seed 2"),
    }
    estimate = known.estimate("over_refusal", "default", "borderline-unseen")
    assert estimate is not None
    assert "2 seeds" in estimate.method
    assert known.main["asr", "improved", "harmful-unseen"].method.startswith("t over prompts and seeds")


def test_several_samples_of_a_prompt_are_no_several_prompts() -> None:
    results = made_up.results(("default",), per_set=12)
    more = []
    for row in results.rows:
        copy = row.trace.model_copy(update={"sample": 1})
        more.append(Row(row.arm, row.slice, copy, row.readings))
    results.rows += more
    known = facts.Facts(results)
    estimate = known.estimate("accuracy", "raw", "maths-unseen")
    assert estimate is not None
    assert "clustered in 12 prompts" in estimate.method or "clustered in" in estimate.method
    assert known.main["accuracy", "default", "maths-unseen"].n_pairs <= 12


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_the_front_holds_exactly_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    front = choice.pareto([(float(x), float(y)) for x, y in points])
    for at, (x, y) in enumerate(points):
        beaten = any((a < x and b <= y) or (a <= x and b < y) for a, b in points)
        assert (at in front) != beaten


@given(st.integers(0, 100), st.integers(0, 100))
def test_refusing_alike_never_tells_harm_apart_and_only_a_mistake_costs(harmful: int, harmless: int) -> None:
    assert choice.told_apart({"refuses_harmful": harmful, "refuses_harmless": harmful}) == 0
    here = choice.told_apart({"refuses_harmful": harmful, "refuses_harmless": harmless})
    better = choice.told_apart({"refuses_harmful": harmful, "refuses_harmless": 0})
    assert here is not None
    assert better is not None
    assert here <= better <= 100
    assert choice.told_apart({"refuses_harmful": None, "refuses_harmless": 5}) is None


def test_the_scatter_says_who_tells_harm_apart() -> None:
    figure = trade_off.trade_off(facts.Facts(made_up.results(["one"], per_set=4)))
    assert figure is not None
    assert figure.notes[0].startswith(
        "Told apart (per cent of harmful prompts refused less that of harmless ones): raw "
    )


def test_nothing_is_less_than_nothing(results: Results) -> None:
    points = [{"arm": "a", "raw": False, "refuses_harmful": 40.2, "refuses_harmless": 40.5}]
    assert "a 0." in trade_off._apart_note(points)
    assert (percent(-1e-9), words.points(-1e-5), number(-0.001, 2).text) == ("0.0\u00a0%", "+0.0", "0.00")


def test_names_in_the_scatter_do_not_stand_on_each_other() -> None:
    arms = [f"recipe {n}" for n in range(9)]
    results = made_up.results(arms, per_set=4)
    same = [row for row in results.rows if row.arm == "raw"]
    results.rows = [replace(row, arm=arm) for arm in results.arms for row in same]
    figure = trade_off.trade_off(facts.Facts(results))
    assert figure is not None
    spec = json.dumps(figure.chart.to_dict(validate=False))
    heights = sorted({float(found) for found in re.findall(r'"label_y": ([-\d.]+)', spec)})
    assert len(heights) == 10
    # All points are one; a name is 13 pixels high, and the plot of 340 holds a hundred per cent at most.
    assert min(b - a for a, b in pairwise(heights)) > 1


def test_two_raw_students_each_judge_their_own_arms() -> None:
    results = made_up.results(("small improved", "large raw", "large improved"), per_set=12)
    students = {"raw": "small", "small improved": "small", "large raw": "large", "large improved": "large"}
    for arm, student in students.items():
        results.cells[arm] = {"student": student} | ({"method": "improved"} if "improved" in arm else {})
    known = facts.Facts(results)
    assert known.reference("large improved") == "large raw"
    assert known.reference("small improved") == "raw"
    assert known.reference("large raw") is None


def test_a_steered_student_is_judged_beside_the_same_without_steering() -> None:
    results = made_up.results(("steered", "large raw", "small improved"), per_set=12)
    students = {"raw": "small", "steered": "small steered", "large raw": "large", "small improved": "small"}
    for arm, student in students.items():
        results.cells[arm] = {"student": student} | ({"method": "improved"} if "improved" in arm else {})
        results.unsteered[student] = student.removesuffix(" steered")
    known = facts.Facts(results)
    found = {arm: known.reference(arm) for arm in known.arms}
    assert found == {"raw": None, "steered": "raw", "large raw": None, "small improved": "raw"}
    assert any(arm == "steered" for _, arm, _ in known.family([("asr", one) for _, one in known.rows]))


def test_a_combination_that_a_study_names_twice_is_shown_once() -> None:
    results = made_up.results(("improved", "improved, size 100", "improved, size 500"), per_set=12)
    for arm, size in (("improved", 100), ("improved, size 100", 100), ("improved, size 500", 500)):
        results.cells[arm] = {"method": "improved", "student": "s", "seed": 1, "size": size}
    same = {"improved, size 100": "improved"}
    run_of = {(e.arm, e.slice): e.runs for e in results.estimates}
    results.estimates = [
        e.model_copy(update={"runs": run_of[same[e.arm], e.slice]}) if e.arm in same else e for e in results.estimates
    ]
    assert list(facts.Facts(results).arms) == ["raw", "improved", "improved, size 500"]


@pytest.mark.real
def test_every_student_of_a_study_is_compared_with_itself_before_training(tmp_path: Path) -> None:
    path = Path(__file__).parents[1] / "studies" / "paper.toml"
    results = collect(grid.plans(grid.cells(grid.load(path), path)), tmp_path)
    known = facts.Facts(results)
    raw = [arm for arm in known.arms if known.is_raw(arm)]
    assert "raw" in raw
    # Four students, and two published checkpoints that are only evaluated.
    assert len(raw) == 6
    assert all("seed" not in arm for arm in raw)
    for arm in known.arms:
        reference = known.reference(arm)
        if arm in raw:
            assert reference is None
        else:
            assert reference is not None
            assert known.cell(reference)["student"] == known.cell(arm)["student"]
            assert len(known.arms[arm]) == 3
    assert {setting.key for setting in settings_section.SETTINGS if settings_section.families(known, setting.key)} == {
        *("size", "benign", "lr", "keep", "teacher")
    }


# Figures


def test_an_arm_may_be_called_anything() -> None:
    results = made_up.results(("default",), per_set=12)
    renamed = {"default": HOSTILE}
    results.arms = [renamed.get(arm, arm) for arm in results.arms]
    results.rows = [Row(renamed.get(r.arm, r.arm), r.slice, r.trace, r.readings) for r in results.rows]
    known = facts.Facts(results)
    for figure in (trade_off.trade_off(known),):
        assert figure is not None
        drawn = charts.draw(figure)
        tree = ElementTree.fromstring(drawn.svg)
        assert {element.tag.rpartition("}")[2] for element in tree.iter()} <= {
            *("svg", "g", "path", "rect", "line", "text", "tspan", "defs", "clipPath", "circle")
        }
        assert not [k for element in tree.iter() for k in element.attrib if k.startswith("on") or "href" in k]
        assert "\x1b" not in drawn.svg
        assert drawn.png.startswith(b"\x89PNG")


@pytest.mark.real
def test_every_colour_of_a_drawing_has_a_dark_one(written: Path) -> None:
    light = {pair[0] for pair in charts.COLOURS.values()} | {"none", "transparent", "#fffffe"}
    for path in (written.parent / "figures").glob("*.svg"):
        used = set(re.findall(r'(?:fill|stroke)="([^"]+)"', path.read_text(encoding="utf-8")))
        assert used <= light, f"{path.name}: {used - light}"


def test_a_student_that_never_thinks_has_its_answers_drawn_alone() -> None:
    made = made_up.results(per_set=4)
    quiet = {"reasoning": None, "block": "none", "tokens_reasoning": None}
    made.rows = [replace(row, trace=row.trace.model_copy(update=quiet)) for row in made.rows]
    drawn = lengths_section.lengths(facts.Facts(made))
    assert drawn is not None and "answer" in drawn.alt and "reasoning" not in drawn.alt
    assert len(drawn.chart.to_dict()["hconcat"]) == 1


def test_settings_are_drawn_where_arms_differ_in_one_alone() -> None:
    arms = [f"{name}, {size}" for name in ("default", "improved") for size in (100, 500)]
    results = made_up.results(arms, per_set=12)
    for arm in arms:
        name, _, size = arm.partition(", ")
        results.cells[arm] = {"method": name, "student": "s", "size": int(size), "benign": 100, "lr": 5e-6}
    known = facts.Facts(results)
    assert [figure.name for figure in settings_section.all_of(known)] == ["study-size"]
    assert settings_section.families(known, "size") == [arms[:2], arms[2:]]
    assert not settings_section.families(known, "method") or "method" not in [s.key for s in settings_section.SETTINGS]


# Beside the paper


def test_the_paper_is_quoted_as_published() -> None:
    rows = setting.published()["table1"]
    # arXiv 2505.15404 v2, Table 1: the averages it prints follow from the columns.
    attacks = {
        name: sum(rows[name][3:6]) / 3 for name in ("raw", "default", "realsafe", "improved", "short", "template")
    }
    assert {name: round(mean, 1) for name, mean in attacks.items()} == {
        "raw": 63.3,
        "default": 38.0,
        "realsafe": 14.7,
        "improved": 6.7,
        "short": 7.3,
        "template": 4.0,
    }


# Readers


def test_the_readers_are_measured_against_what_the_corpus_says_of_itself() -> None:
    from unwaver.judging.readers import local_reader
    from unwaver.records import Prompt, Trace
    from unwaver.sources import corpus

    rows = []
    guard = local_reader("guard")
    for reply in corpus.replies("default")[:40]:
        prompt = Prompt(text=str(reply["prompt"]), kind="harmful", behaviour="as in the corpus", source="corpus")
        trace = Trace(
            prompt=prompt,
            model="replay:corpus",
            reasoning=str(reply["reasoning"]),
            answer=str(reply["answer"]),
            block="closed",
            ending="stop",
        )
        rows.append(Row("default", "safety", trace, {"guard:both": guard.verdict(trace)}, "distil"))
    results = Results(made_up.recipe(("default",)), ["raw", "default"], teacher_rows=rows)
    (found,) = readers.comparisons(facts.Facts(results))
    assert (found.question, found.second, found.found.n + found.found.n_unscored) == (
        "guard (both)",
        readers.WRITTEN,
        40,
    )
    assert "harm " in readers.trust(facts.Facts(results), [found], "guard")


# The browser's data


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_every_trace_is_carried_with_its_texts(results: Results, known: facts.Facts) -> None:
    found = browser.payload(known)
    index = unpacked(found.index)
    texts = [entry for packet in found.packets for entry in unpacked(packet)]
    assert found.traces == len(index["arm"]) == len(texts) == len(results.rows) + len(results.teacher_rows)
    assert sorted(index["id"]) == sorted(r.trace.id[:12] for r in [*results.rows, *results.teacher_rows])
    assert found.shortened == 0
    by_id = {r.trace.id[:12]: r.trace for r in [*results.rows, *results.teacher_rows]}
    for at, entry in enumerate(texts):
        trace = by_id[index["id"][at]]
        assert entry[:2] == [trace.reasoning, trace.answer]


@pytest.mark.parametrize("beginning", ["Somebody else said this.", "😀 two units\u200b each " * 60])
def test_what_a_writer_was_given_is_placed_where_the_page_shows_it(beginning: str) -> None:
    text = f"{beginning}\n\n{'And what it added itself. ' * 60}"
    asked = made_up.prompt("harmful-unseen", "harmful", 1)
    trace = Trace(
        prompt=asked,
        model="m",
        reasoning=text,
        answer="x",
        block="closed",
        ending="stop",
        shielded=((0, len(beginning)),),
    )
    results = made_up.results(("default",), per_set=1)
    results.rows = [Row("default", "harmful-unseen", trace, {})]
    for budget in (browser.BUDGET, 1):  # whole, and as short as a text is ever cut
        [[entry, *_]] = [unpacked(packet) for packet in browser.payload(facts.Facts(results), budget).packets]
        [[start, end]] = entry[-2]
        units = entry[0].encode("utf-16-le")
        assert (
            units[2 * start : 2 * end].decode("utf-16-le") == visible(beginning)[: len(entry[0]) if budget > 1 else 200]
        )
        assert entry[-1] == []


@pytest.mark.parametrize("name", prefill.NAMES)
def test_the_words_of_a_fixed_opening_are_given(name: str) -> None:
    asked = made_up.prompt("harmful-unseen", "harmful", 1).model_copy(update={"attack": name})
    request = Request(messages=(Message(role="user", content=asked.text),), prefill=prefill.prefills()[name])
    trace = reasoning.trace(asked, request, Reply(text="Here is a poem instead.", ending="stop"), "m", "think")
    thought, answer = prefill._PIECES[name]
    assert given_words(trace) == tuple(((0, len(text.strip())),) if text else () for text in (thought, answer))
    assert given_words(trace.model_copy(update={"prompt": asked.model_copy(update={"attack": None})})) == ((), ())


def test_too_much_text_is_shortened_until_it_fits_and_the_evidence_stays() -> None:
    results = made_up.results(("default",), per_set=12, length=600)
    known = facts.Facts(results)
    whole = sum(map(len, browser.payload(known).packets))
    found = browser.payload(known, budget=whole // 3)
    assert sum(map(len, found.packets)) <= whole // 3
    assert found.shortened > 0
    for packet in found.packets:
        for entry in unpacked(packet):
            if "left out here" in (entry[0] or ""):
                assert len(entry[0]) < 4000


@given(st.text(min_size=500, max_size=900), st.integers(0, 400))
@settings(max_examples=40)
def test_a_shortened_text_says_how_much_is_missing(text: str, start: int) -> None:
    quote = text[start : start + 12]
    short = browser.shortened(text, 240, [quote])
    gone = sum(int(n.replace(",", "")) for n in re.findall(r"⟦ … ([\d,]+) characters left out here … ⟧", short))
    kept = re.sub(r"\n⟦ … [\d,]+ characters left out here … ⟧\n", "", short)
    if "⟦" not in text:
        assert len(kept) + gone == len(text)
        assert quote in short


# The page


def test_the_policy_names_the_script_and_the_styles_that_stand_in_the_page(written: Path) -> None:
    html = written.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert len(scripts) == len(styles) == 1
    for text in (*scripts, *styles):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert digest in policy[1].replace("&#43;", "+").replace("&#39;", "'")
    assert "unsafe-inline" not in policy[1]


def test_the_page_asks_for_nothing_from_anywhere(written: Path) -> None:
    html = written.read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', html)
    assert "url(http" not in html
    assert "@import" not in html


def test_every_table_and_figure_is_a_file_too(written: Path) -> None:
    html = written.read_text(encoding="utf-8")
    shown = set(re.findall(r'id="table-([\w-]+)"', html))
    assert {"main", "comparisons", "reasoning-and-answer", "patterns", "cost", "readers"} <= shown
    files = {path.name for path in (written.parent / "tables").iterdir()}
    assert files == {f"{name}.{ending}" for name in shown for ending in ("csv", "md", "tex")}
    drawn = set(re.findall(r'id="figure-([\w-]+)"', html))
    assert {"rates", "trade-off", "parts", "patterns", "losses", "lengths", "pairs"} <= drawn
    assert {path.name for path in (written.parent / "figures").iterdir()} == {
        f"{name}.{ending}" for name in drawn for ending in ("svg", "png")
    }
    assert (written.parent / "estimates.jsonl").read_text(encoding="utf-8").count("\n") > 20


def test_each_figure_has_a_text_for_those_who_cannot_see_it_and_a_caption(written: Path) -> None:
    html = written.read_text(encoding="utf-8")
    figures_ = re.findall(r'<figure class="drawn".*?</figure>', html, re.DOTALL)
    assert len(figures_) >= 7
    for figure in figures_:
        label = re.search(r'role="img" aria-label="([^"]+)"', figure)
        assert label is not None
        assert len(label[1]) > 20
        assert re.search(r'<p class="caption">.{30,}</p>', figure)


def test_hostile_words_of_a_recipe_stay_words() -> None:
    recipe = made_up.recipe(("default",)).model_copy(update={"title": HOSTILE, "note": HOSTILE})
    results = Results(
        recipe, ["raw", HOSTILE], owed=[HOSTILE], manifests={HOSTILE: {"stage": HOSTILE, "name": HOSTILE}}
    )
    made = page.make(facts.Facts(results), "today")
    assert "<img" not in made.html
    assert made.html.count("</script>") == made.html.count("<script")
    assert "\x1b" not in made.html + made.markdown
    assert "\u202e" not in made.html + made.markdown
    read = MarkdownIt("commonmark").enable("table").parse(made.markdown)
    inline = [child for token in read for child in token.children or ()]
    assert not [token for token in (*read, *inline) if token.type in ("html_block", "html_inline", "link_open")]
    assert all(str(child.attrs["src"]).startswith("figures/") for child in inline if child.type == "image")
    assert [token.tag for token in read if token.type == "heading_open"].count("h1") == 1


def test_an_unfinished_run_has_a_report_that_says_what_is_owed(tmp_path: Path) -> None:
    work = plans({"improved": made_up.recipe(("improved",))})
    path = write.write_report(work, tmp_path)
    html = path.read_text(encoding="utf-8")
    assert "Not finished." in html
    assert "evaluate harmful-unseen (raw)" in html
    assert "evaluate maths-unseen (raw)" in html


def test_the_same_results_are_not_reported_twice_and_other_words_are(tmp_path: Path) -> None:
    work = plans({"improved": made_up.recipe(("improved",))})
    first = write.write_report(work, tmp_path)
    first.write_text("kept", encoding="utf-8")
    assert write.write_report(work, tmp_path) == first
    assert first.read_text(encoding="utf-8") == "kept"
    other = plans({"improved": made_up.recipe(("improved",), title="Another title")})
    assert write.write_report(other, tmp_path) != first


def test_leaks_are_told(results: Results) -> None:
    other = made_up.results(("default",), per_set=12)
    assert "No prompt" in leaks.overlap_sentence(facts.Facts(other))
    other.overlaps["default"]["counts"]["sets"]["harmful-unseen"]["prompts"] = 3
    assert "3 prompts of harmful-unseen (default)" in leaks.overlap_sentence(facts.Facts(other))
