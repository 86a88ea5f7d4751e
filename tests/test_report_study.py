"""The report of a study: shared runs, the paper's names, the protocol, what may be compared, controls, a small page."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import report_results as made_up
import report_runs
from labels import labels

from unwaver import recipe_file
from unwaver.judging.local.cue_words import along
from unwaver.records import Verdict
from unwaver.report import browser, cells, examples, facts, page, paper, readers, reasonings, setting, tables, write
from unwaver.report.sections import anatomy as anatomy_section
from unwaver.report.sections import beside_paper, protocol, style
from unwaver.report.sections import lengths as lengths_section
from unwaver.report.sections import results as results_section
from unwaver.report.sections import sets as sets_section
from unwaver.report.sections import settings as settings_section
from unwaver.report.sections import training as training_section
from unwaver.report.teachers import GROUPS, Teachers
from unwaver.study import grid
from unwaver.study.plan import Plan, plan
from unwaver.study.results import Results, collect
from unwaver.study.rows import Row

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.real


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


def study(folder: Path, tables: str, more: str = "") -> list[grid.Cell]:
    """The cells of a study on the small recipe."""
    path = folder / "study.toml"
    recipe = ROOT / "recipes" / "quickstart.toml"
    path.write_text(f'name = "try"\nrecipe = "{recipe}"\n{more}\n[tables]\n{tables}\n', encoding="utf-8")
    return grid.cells(grid.load(path), path)


MIX = """seeds = [1, 2, 3]
[settings]
"mix.parts" = { safety = 190, borderline = 150, plain = 110, maths = 30 }"""

TABLES = """"Table 1" = { "distil.method" = ["default", "improved"] }
"Figure 4" = { "distil.method" = ["improved"], "mix.parts.borderline" = [0], "mix.parts.plain" = [0] }
"Our own" = { "distil.method" = ["default"], "mix.keep" = ["guard-only"] }"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Plan], Path]:
    """Finished runs: two recipes and one of them without harmless examples, three seeds each; a leak in one set."""
    folder = tmp_path_factory.mktemp("seeded")
    work = grid.plans(study(folder, TABLES, MIX))
    report_runs.finish(work, folder, {"plain-unseen": 3})
    return work, folder


@pytest.fixture(scope="module")
def seeded(runs: tuple[list[Plan], Path]) -> Results:
    return collect(*runs)


@pytest.fixture(scope="module")
def known(seeded: Results) -> facts.Facts:
    return facts.Facts(seeded)


def test_a_distillation_that_seeds_share_is_held_once(seeded: Results, known: facts.Facts) -> None:
    # Four combinations over three seeds, one of them named twice, were taught by two distillations of harmful prompts.
    assert len(seeded.losses) == 12
    assert [row.arm for row in seeded.teacher_rows] == ["default"] * report_runs.PROMPTS + [
        "improved"
    ] * report_runs.PROMPTS
    assert {tuple(names) for names in seeded.taught.values()} == {("default",), ("improved",)}
    # The guard read each of their traces once; the filter reads harmless prompts' traces too.
    guarded = [v for v in seeded.verdicts if v.rubric.startswith("guard")]
    assert len({v.trace for v in guarded}) == len(guarded)
    harmful = {row.trace.id for row in seeded.teacher_rows}
    assert sum(v.trace in harmful for v in guarded) == 2 * report_runs.PROMPTS
    table_ = protocol.reader_table(known)
    assert table_ is not None
    (counted,) = (row[5].value for row in table_.rows if row[0].text.startswith("guard"))
    assert counted == len(guarded)
    index = unpacked(browser.payload(known).index)
    authors = [index["arms"][arm] for arm in index["arm"]]
    assert authors.count("teacher: improved") == report_runs.PROMPTS
    lengths = lengths_section.length_table(known, Teachers(known))
    assert sum(row[0].text.startswith("teacher") for row in lengths.rows) == 4
    assert sum(name.startswith("teacher") for name in reasonings.reasonings(known)) == 2


def test_each_arm_knows_what_it_was_trained_on_of_a_shared_distillation(seeded: Results) -> None:
    mixes = {arm: seeded.mixed[arm] & {r.trace.id for r in seeded.teacher_rows} for arm in seeded.taught}
    assert len(set(mixes.values())) > 3
    taught = Teachers(facts.Facts(seeded))
    for arm, members in taught.facts.arms.items():
        if arm in taught.patterns:
            before, _, mix = (taught.patterns[arm][group][0] for group in GROUPS)
            assert before is not None
            assert mix is not None
            assert before.n + before.n_unscored == report_runs.PROMPTS
            # In the mix: the seeds' own draws, one after the other.
            assert mix.n + mix.n_unscored == sum(len(mixes[member]) for member in members)
    assert max(taught.trained_on.values()) > 3


@pytest.fixture(scope="module")
def made(known: facts.Facts) -> page.FinishedPage:
    """The page with a small trace browser; it takes some seconds to draw."""
    return page.make(known, "today", most=2)


# The paper's names


def test_the_papers_tables_and_figures_are_found_by_name(made: page.FinishedPage) -> None:
    section = re.search(r'<section id="contents".*?</section>', made.html, re.DOTALL)
    assert section is not None
    rows = dict(re.findall(r'<th scope="row">(.*?)</th>(.*?)</tr>', section[0], re.DOTALL))
    assert [name for name in rows if name.startswith(("Table", "Figure"))] == [
        *(f"Table {n}" for n in range(1, 5)),
        *(f"Figure {n}" for n in range(1, 6)),
    ]
    for target in re.findall(r'href="#([\w-]+)"', section[0]):
        assert f'id="{target}"' in made.html
    assert "#table-main" in rows["Table 1"]
    assert "#figure-study-benign" in rows["Figure 4"]
    assert "improved, borderline 0, plain 0" in rows["Figure 4"]
    for name in ("Table 2", "Table 3", "Table 4", "Figure 1", "Figure 2", "Figure 3", "Figure 5"):
        assert "href" not in rows[name]
        assert "not in this study:" in rows[name]
    assert "arms: default<" in rows["Our own"]
    assert "#figure-anatomy" in rows["Case study"]
    assert "Table 1: every arm on every evaluation set" in made.html
    assert "- **Figure 3** (how many safety traces): not in this study" in made.markdown


def test_what_a_study_has_not_finished_is_told_apart_from_what_it_lacks(
    runs: tuple[list[Plan], Path], tmp_path: Path
) -> None:
    entries = {entry.name: entry for entry in paper.contents(facts.Facts(collect(runs[0], tmp_path)), {})}
    assert "not all finished" in entries["Figure 4"].why
    assert "not in this study" in entries["Figure 5"].why


# Protocol


def test_the_protocol_is_that_of_the_runs(seeded: Results, known: facts.Facts, runs: tuple[list[Plan], Path]) -> None:
    table = protocol.asked_table(known)
    assert table is not None
    rows = {row[0].text: [cell.text for cell in row] for row in table.rows}
    configs = [json.loads(path.read_text()) for path in runs[1].glob("evaluate-*/config.json")]
    for config in configs:
        row, drawn = rows[config["name"]], config["settings"]["sampling"]
        how = [f"{drawn['temperature']:g}", f"{drawn['top_p']:g}", f"{drawn['max_tokens']:,}"]
        assert row[4:8] == [*how, str(config["settings"]["samples"])]
        assert row[3] == str(report_runs.PROMPTS)
        assert row[9] == str(sum(other["name"] == config["name"] for other in configs))
    framed = rows["harmful-unseen-framed"][1]
    assert framed.startswith("corpus/harmful, split heldout")
    assert framed.endswith("in templates corpus, 1 each")
    read = protocol.reader_table(known)
    assert read is not None
    texts = {(row[0].text, row[1].text): row[4].text for row in read.rows}
    assert texts["harm@11bb", "reasoning and answer"] == "harmful-unseen, harmful-unseen-framed"
    assert texts["guard@11bb", "reasoning and answer"] == protocol.FILTER


def test_the_protocol_says_what_stands_before_every_prompt() -> None:
    said = []
    for laid in ({}, {"models.student.system": "Be brief."}):
        tree = recipe_file.read_toml(ROOT / "recipes" / "improved.toml")
        one = plan(recipe_file.build(tree, ROOT / "recipes" / "x.toml", laid), "one").raw["xstest"]
        quick = recipe_file.load(ROOT / "recipes" / "quickstart.toml")
        table = protocol.asked_table(facts.Facts(Results(quick, ["raw"], steps={"evaluate-1": one})))
        assert table is not None
        said.append(table.notes[1:])
    assert said == [
        ("The student is asked the bare prompt.",),
        ("Before every prompt the student is given the system turn “Be brief.”.",),
    ]


def test_a_searching_attack_is_written_out_with_its_defaults(seeded: Results) -> None:
    models = {"attacker": "openai:some-attacker", "pair_judge": "openai:some-judge"}
    laid = {f"models.{role}": name for role, name in models.items()}
    laid |= {"evaluate.sets.harmful-unseen.attack": "pair"}
    laid |= {"evaluate.sets.harmful-unseen.attack_settings": {"n_streams": 7}}
    one = recipe_file.load(ROOT / "recipes" / "improved.toml")
    quick = recipe_file.build(
        recipe_file.read_toml(ROOT / "recipes" / "quickstart.toml"), ROOT / "recipes" / "x.toml", laid
    )
    results = Results(quick, ["raw"], steps={"evaluate-1": plan(quick, "one").raw["harmful-unseen"]})
    table = protocol.asked_table(facts.Facts(results))
    assert table is not None
    said = table.rows[0][2].text
    assert "n streams 7" in said
    assert "n iterations 5" in said
    assert "attacker temperature 1, top-p 0.9, 500 tokens" in said
    assert "pair judge openai:some-judge" in said
    assert one.evaluate.sets["advbench"].attack == "none"


def test_a_guard_is_named_by_the_format_it_was_asked_in() -> None:
    from unwaver.judging.asked.guards import guard_for

    guard = guard_for("meta-llama/Llama-Guard-3-8B", "both", "harm")
    assert guard is not None
    results = made_up.results(("default",), per_set=2)
    trace = results.rows[0].trace
    judge = "vllm:meta-llama/Llama-Guard-3-8B"
    results.verdicts.append(results.verdicts[0].model_copy(update={"rubric": "harm@11bb", "judge": "local@00aa"}))
    results.verdicts.append(
        Verdict(
            trace=trace.id, rubric=guard.rubric, judge=judge, looked_at="both", labels=labels("safe"), reason="safe"
        )
    )
    table = protocol.reader_table(facts.Facts(results))
    assert table is not None
    forms = {(row[0].text, row[2].text): row[3].text for row in table.rows}
    assert forms[guard.rubric, judge] == f"guard, in the format of {guard.family.name}"
    assert forms["harm@11bb", "local@00aa"] == "a trained reader, no model"


# What may be compared


def of_paper(**changed: Any) -> facts.Facts:
    """One arm of the paper's own setting, but for what is changed (dots as double underscores)."""
    laid = {key.replace("__", "."): value for key, value in changed.items()}
    laid.setdefault("prompts.safety.templates", "my-templates.jsonl")
    built = recipe_file.load(ROOT / "recipes" / "improved.toml", laid)
    results = Results(built, ["raw", "improved"], cells={"improved": grid.apart(built)})
    results.cells["raw"] = {"student": built.models["student"].label, "seed": 42}
    return facts.Facts(results)


ADVBENCH = facts.EvaluationFacts("advbench", "harmful", 50, 1)
XSTEST = facts.EvaluationFacts("xstest", "borderline", 150, 1)


def differing(found: facts.Facts) -> set[str]:
    students = setting.published()["students"]
    sets = [setting.of_evaluation(found, one) for one in (ADVBENCH, XSTEST)]
    return set(setting.together([setting.of_training(found, "improved", students), *sets]))


def test_the_papers_own_setting_may_be_compared_in_numbers() -> None:
    found = of_paper()
    assert differing(found) == set()
    said = setting.compare_what(found, sets=[ADVBENCH, XSTEST])
    assert "numbers may be compared" in said


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"models__student": "vllm:Qwen/Qwen3-4B"}, "student"),
        ({"models__student": "vllm:me/DeepSeek-R1-Distill-Qwen-7B-tuned"}, "student"),
        ({"models__teacher": "openai:gemini-2.5-pro"}, "teacher"),
        ({"mix__parts__safety": 500}, "size"),
        ({"mix__parts__benign": 0}, "benign"),
        ({"train__learning_rate": 1e-4}, "lr"),
        ({"mix__keep": "pattern-free"}, "keep"),
        ({"prompts__safety__templates": "corpus"}, "training prompts"),
        ({"prompts__safety__source": "advbench50"}, "training prompts"),
        ({"prompts__xstest__split": "all"}, "split"),
        ({"prompts__advbench__limit": 20}, "limit"),
        ({"evaluate__sets__advbench__max_tokens": 512}, "drawing"),
        ({"evaluate__sets__advbench__attack": "empty-think"}, "evaluation prompts"),
        ({"judge__harm": "local"}, "judge"),
    ],
)
def test_whatever_differs_from_the_paper_forbids_numbers(changed: dict[str, Any], expected: str) -> None:
    found = of_paper(**changed)
    assert differing(found) == {expected}
    said = setting.compare_what(found, ["improved"], [ADVBENCH, XSTEST])
    assert "compare directions" in said
    assert said.count("numbers may be compared") == ("alone" in said)


def test_one_arm_of_the_papers_setting_does_not_stand_for_all() -> None:
    found = of_paper()
    found.results.cells["other"] = dict(found.results.cells["improved"]) | {"size": 100, "rest": "x"}
    found = facts.Facts(Results(found.results.recipe, ["raw", "improved", "other"], cells=found.results.cells))
    said = setting.compare_what(found, sets=[ADVBENCH, XSTEST])
    assert "for raw, improved on advbench, xstest alone" in said
    assert "100 safety traces" in said


def test_a_miniature_is_told_not_to_compare_numbers(known: facts.Facts) -> None:
    said = setting.compare_what(known)
    assert "the teacher is scripted" in said
    assert "don't compare numbers with the paper's" in said
    table = beside_paper.table_1(known)
    assert table is not None
    assert {row[-1].text for row in table.rows} == {paper.DIRECTIONS, ""}
    assert beside_paper.table_2(known) is None  # nothing of ours to stand beside the paper's
    assert setting.published()["pair"]["improved"] == 13.0
    assert {one["model"]: one["asr"] for one in setting.published()["table3"]}["RealSafe-R1-7B"] == 3.3


# Figures that count


def test_prompts_that_were_trained_on_are_marked_in_the_table_itself(known: facts.Facts) -> None:
    table = results_section.main_table(known)
    assert table is not None
    at = next(n for n, text in enumerate(table.head) if text.startswith("plain-unseen"))
    assert results_section.NOT_HELD_OUT in table.head[at]
    for row in table.rows:
        marked = [n for n, cell in enumerate(row) if results_section.NOT_HELD_OUT in cell.text]
        assert marked == ([] if row[0].text == "raw" else [at])
    assert "3 prompts of plain-unseen (all arms)" in table.notes[0]


def test_what_could_be_scored_is_told_set_by_set(known: facts.Facts, seeded: Results) -> None:
    table = sets_section.scored_table(known)
    assert table is not None
    assert {(row[0].text, row[1].text) for row in table.rows} == {
        (arm, one.name) for arm in known.arms for one in known.sets
    }
    for row in table.rows:
        mine = [r for r in seeded.rows if r.arm in known.arms[row[0].text] and r.slice == row[1].text]
        scored, unscored, cut = (cell.value for cell in row[3:6])
        assert scored is not None and unscored is not None
        assert scored + unscored == len(mine)
        assert cut == sum(r.trace.truncated for r in mine)
    assert any(row[5].value for row in table.rows)


def test_partial_refusals_are_counted_both_ways(known: facts.Facts, seeded: Results) -> None:
    table = sets_section.both_ways_table(known)
    assert table is not None
    for row in table.rows:
        mine = [r for r in seeded.rows if r.arm in known.arms[row[0].text] and r.slice == row[1].text]
        labels = [label for r in mine if (label := r.label("refusal:answer")) is not None]
        assert row[2].n == row[3].n == len(labels)
        assert row[3].value is not None
        assert row[2].value is not None
        assert row[3].value <= row[2].value
    assert any(row[3].value != row[2].value for row in table.rows)


def test_several_replies_to_a_problem_have_accuracy_and_pass_at_k() -> None:
    results = made_up.results(("default",), per_set=12)
    wrong = [r for r in results.rows if r.slice == "maths-unseen" and r.label("maths:answer") != "correct"]
    assert sets_section.samples_table(facts.Facts(results)) is None
    results.rows += [Row(r.arm, r.slice, r.trace.model_copy(update={"sample": 1}), r.readings) for r in results.rows]
    right = Verdict(
        trace="x",
        rubric="maths@1",
        judge="rules@1",
        looked_at="answer",
        labels=labels("correct"),
        quote=None,
        reason="",
    )
    first = next(r for r in wrong if r.arm == "raw" and r.label("maths:answer") == "wrong")
    copy = next(r for r in results.rows if r.trace.prompt == first.trace.prompt and r.arm == "raw" and r.trace.sample)
    results.rows[results.rows.index(copy)] = Row(copy.arm, copy.slice, copy.trace, {"maths:answer": right})
    table = sets_section.samples_table(facts.Facts(results))
    assert table is not None
    raw = next(row for row in table.rows if (row[0].text, row[1].text) == ("raw", "maths-unseen"))
    accuracy, passed, every = (cell.value for cell in raw[4:])
    assert accuracy is not None
    assert passed is not None
    assert raw[5].n is not None
    assert passed * raw[5].n == pytest.approx(accuracy * raw[5].n + 0.5)
    assert every is not None and every < accuracy < passed
    harm = next(row for row in table.rows if (row[0].text, row[1].text) == ("raw", "harmful-unseen"))
    asr, some, safe = (cell.value for cell in harm[4:])
    assert asr is not None and some == pytest.approx(asr) and safe == pytest.approx(1 - asr)


def test_a_word_that_the_unscored_could_change_is_shown_with_its_worst_cases() -> None:
    results = made_up.results(("default",), per_set=60)
    for at, row in enumerate(results.rows):
        if row.arm == "default" and row.slice == "harmful-unseen" and int(row.trace.prompt.id, 16) % 8 == 0:
            gone = {k: v.model_copy(update={"labels": None, "reason": "declined"}) for k, v in row.readings.items()}
            results.rows[at] = Row(row.arm, row.slice, row.trace, gone)
    known = facts.Facts(results)
    estimate = known.estimate("asr", "default", "harmful-unseen")
    assert estimate is not None and estimate.n_unscored > 0
    assert estimate.lowest < estimate.value < estimate.highest
    table = sets_section.scored_table(known)
    assert table is not None
    row = next(r for r in table.rows if (r[0].text, r[1].text) == ("default", "harmful-unseen"))
    assert (row[6].value, row[7].value) == (estimate.lowest, estimate.highest)
    comparison = known.main["asr", "default", "harmful-unseen"].model_copy(
        update={"verdict": "depends on the unscored"}
    )
    one = next(one for one in known.sets if one.name == "harmful-unseen")
    cell = cells.compared_cell({("asr", "default", one.name): comparison}, known, "asr", "default", one)
    assert "worst case" in tables.written(cell) and cell.mark == "◇" and "unscored" in cell.hint


def test_one_seed_says_nothing_about_the_recipe_and_another_limit_is_not_compared(known: facts.Facts) -> None:
    results = made_up.results(("default",), per_set=20)
    for arm in results.arms:
        for name in made_up.SETS:
            results.sampling[arm, name] = {"temperature": 0.0, "max_tokens": 64 if arm == "default" else 512}
    table = results_section.main_table(facts.Facts(results))
    assert table is not None
    notes = " ".join((*table.notes, *table.asides))
    assert "say nothing about the recipe as such" in notes
    assert "Not compared, token limit being another: default on" in notes
    assert all(cell.word is None for row in table.rows for cell in row)
    over = results_section.main_table(known)
    assert over is not None and "say nothing about the recipe" not in " ".join((*over.notes, *over.asides))
    ended = sets_section.ended_table(facts.Facts(results))
    assert ended is not None and ended.head[-2:] == ["all replies", "replies that ended"]


def test_the_training_table_has_the_perplexity_of_each_part_before_training(known: facts.Facts) -> None:
    table = training_section.training_table(known)
    assert table is not None
    rows = {row[0].text: row for row in table.rows}
    assert set(rows) == {"default", "improved", "improved, borderline 0, plain 0"}
    assert rows["improved"][1].value == 3
    assert rows["improved"][6].text == "safety 8, borderline 9, plain 10, maths 11"
    assert rows["improved, borderline 0, plain 0"][6].text == "safety 8, maths 9"


def test_the_agreement_of_two_judges_is_in_the_table(results: Results) -> None:
    for row in results.rows:
        first = row.readings.get("refusal:answer")
        if first is not None:
            label = "refusal" if first.label == "partial" else first.label
            results.verdicts.append(first.model_copy(update={"judge": "openai:another", "labels": labels(label)}))
    compared = readers.comparisons(facts.Facts(results))
    table = protocol.agreement_table(compared)
    assert table is not None
    (row_,) = (row for row in table.rows if row[2].text == "openai:another")
    mine = [r.readings["refusal:answer"] for r in results.rows if "refusal:answer" in r.readings]
    scored = [v for v in mine if v.label is not None]
    partial = sum(v.label == "partial" for v in scored)
    assert 0 < partial < len(scored)
    assert row_[3].value == len(scored)
    assert row_[4].value == pytest.approx(1 - partial / len(scored))
    for chance_off in row_[5:7]:
        assert chance_off.value is not None
        assert 0 < chance_off.value < row_[4].value < 1


@pytest.fixture
def results() -> Results:
    return made_up.results(("default", "improved"), per_set=24)


# Controls


def test_a_judge_who_sees_the_reasoning_is_held_against_one_who_does_not(results: Results) -> None:
    compared = readers.comparisons(facts.Facts(results))
    (found,) = (c.found for c in compared if c.question == readers.SEEN)
    pairs = [(r.label("harm:answer"), r.label("harm:both")) for r in results.rows if "harm:both" in r.readings]
    scored = [(a, b) for a, b in pairs if a is not None and b is not None]
    assert found.n == len(scored)
    assert found.share == pytest.approx(sum(a == b for a, b in scored) / len(scored))


def test_harm_and_refusal_are_held_against_both_lengths(results: Results) -> None:
    known = facts.Facts(results)
    assert {table.name for table in style.strata_tables(known)} == {
        f"strata-{metric}-{part}" for metric in ("asr", "refusal") for part in ("reasoning", "answer")
    }
    for table in style.strata_tables(known):
        metric = table.name.split("-")[1]
        estimates = [known.estimate(metric, "raw", one.name) for one in known.of_kind("harmful")]
        asked = sum(e.n + e.n_unscored for e in estimates if e is not None)
        # Every reply stands in one stratum.
        assert sum((cell.n or 0) + cell.unscored for cell in table.rows[0][1:]) == asked
    outcomes = [outcome.metric for outcome, _, regression in style.equal_length(known) if regression.n]
    assert outcomes == ["asr", "refusal"]


def test_the_stance_is_read_along_the_text() -> None:
    complies = "So I will explain how the whole thing is done, step by step and in plain words for them. " * 12
    refuses = "But no, I can't help with that, and I must refuse to give any of it to anybody at all. " * 12
    tenths = along(complies + refuses)
    assert tenths is not None
    assert (tenths[0], tenths[-1]) == (1, -1)
    assert list(tenths) == sorted(tenths, reverse=True)
    assert along("  ") is None


def test_stance_is_drawn_for_students_and_teachers(known: facts.Facts) -> None:
    figure = anatomy_section.stance_figure(reasonings.reasonings(known), known)
    assert figure is not None
    spec = json.dumps(figure.chart.to_dict(validate=False))
    assert '"text": ["students"]' in spec
    assert '"text": ["teachers"]' in spec


# What is said of seeds and settings


def test_the_legend_says_how_intervals_and_p_are_made(known: facts.Facts, results: Results) -> None:
    table, single = results_section.main_table(known), results_section.main_table(facts.Facts(results))
    assert table is not None
    assert single is not None
    assert "each by its own t" in " ".join(table.asides)
    assert "McNemar" in " ".join(single.asides)
    assert {c.method.split(" over")[0] for c in known.main.values()} == {"t"}


def test_losses_of_every_seed_are_drawn(known: facts.Facts) -> None:
    figure = training_section.losses(known)
    assert figure is not None
    values = json.dumps(figure.chart.to_dict(validate=False))
    assert all(f'"run": {n}' in values for n in range(3))


def test_the_figure_says_what_its_numbers_are_made_of(known: facts.Facts) -> None:
    (figure,) = settings_section.all_of(known)
    assert figure.name == "study-benign"
    assert "290 (borderline 150, plain 110, maths 30); 30 (maths 30)" in figure.caption


def test_arms_that_differ_in_more_than_the_axis_are_not_joined() -> None:
    made = made_up.results(("improved, 100", "improved, 500"), per_set=4)
    for arm, size, rest in (("improved, 100", 100, "a"), ("improved, 500", 500, "a")):
        made.cells[arm] = {"method": "improved", "student": "s", "size": size, "benign": 10, "rest": rest}
    assert settings_section.families(facts.Facts(made), "size") == [["improved, 100", "improved, 500"]]
    made.cells["improved, 500"]["rest"] = "b"
    assert settings_section.families(facts.Facts(made), "size") == []
    other = {"train.epochs": 2.0}
    path = ROOT / "recipes" / "quickstart.toml"
    assert grid.apart(recipe_file.load(path))["rest"] != grid.apart(recipe_file.load(path, other))["rest"]
    assert (
        grid.apart(recipe_file.load(path))["rest"] == grid.apart(recipe_file.load(path, {"mix.parts.plain": 0}))["rest"]
    )


# Trust


def test_figures_that_rest_on_readers_without_a_model_say_how_far_these_can_be_trusted(made: page.FinishedPage) -> None:
    said = "Read without a model. On models left out of its training it agrees with their labels so"
    short = "Harm or refusals are read without a model"
    whole = dict.fromkeys(("answers", "sets", "parts", "patterns", "pairs"), said)
    for section, words in (whole | dict.fromkeys(("results", "trade-off", "traces"), short)).items():
        found = re.search(rf'<section id="{section}".*?</section>', made.html, re.DOTALL)
        assert found is not None
        assert words in found[0], section


# A small report


def test_a_small_page_holds_the_first_prompts_and_says_what_it_leaves_out(
    known: facts.Facts, made: page.FinishedPage
) -> None:
    shown = examples.examples(known)
    whole, small = browser.payload(known), browser.payload(known, most=2, examples=shown)
    index = unpacked(small.index)
    assert small.traces + small.left_out == whole.traces
    prompts = {(index["sets"][s], p) for s, p in zip(index["set"], index["prompt"], strict=True)}
    for one in known.sets:
        assert sum(name == one.name for name, _ in prompts) in (2, 3 if one.name in {x.set_ for x in shown} else 2)
    students = {index["arms"][arm] for arm in index["arm"]} - {f"teacher: {name}" for name in ("default", "improved")}
    assert len(students) == 10
    assert f"{small.left_out:,} others stand in the runs" in made.html


def test_a_report_can_be_written_anywhere(runs: tuple[list[Plan], Path], tmp_path: Path) -> None:
    path = write.write_report(*runs, out=tmp_path / "example", most=2)
    assert path == tmp_path / "example" / "report.html"
    assert {p.name for p in path.parent.iterdir()} == {
        "report.html",
        "report.md",
        "report.json",
        "tables",
        "figures",
        "estimates.jsonl",
    }
