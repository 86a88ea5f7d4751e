"""People's labels: drawn, given on a page or in the terminal, taken in or told why not, and what they make of a report."""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import report_runs
from test_report_page import CHROMIUM, DRIVER, FLAGS, until

from unwaver import recipe_file
from unwaver.cli import main
from unwaver.judging.people import Label
from unwaver.plain import visible
from unwaver.report.facts import Facts
from unwaver.report.sections.labels import corrected_table, readers_table
from unwaver.stages import label as stage
from unwaver.stages.label import LABELS, DrawnQuestion, drawn_of, kept_sample, write_labels
from unwaver.store import read_records
from unwaver.study.plan import Plan, plan
from unwaver.study.results import Results, collect

ROOT = Path(__file__).parents[1]
REFUSAL, HARM = DrawnQuestion("refusal", "answer"), DrawnQuestion("harm", "both")


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Plan], Path]:
    """Finished runs of one arm: raw and trained on five sets, 24 prompts each, verdicts at random.

    So many that some ten are read of every set, whatever the recipe's digest, which is what they are drawn by.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report_runs, "PROMPTS", 24)
    path = ROOT / "recipes" / "quickstart.toml"
    work = [plan(recipe, arm) for arm, recipe in recipe_file.arms(recipe_file.read_toml(path), path, {}).items()][:1]
    report_runs.finish(work, tmp_path / "runs")
    return work, tmp_path / "runs"


def page_data(page: Path) -> dict[str, Any]:
    packed = re.search(r'id="data">([^<]+)<', page.read_text(encoding="utf-8"))
    assert packed
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed[1])))
    return found


def labelled(page: Path, out: Path, say: Callable[[dict[str, Any]], Any], reader: str = "A", **other: Any) -> Path:
    """The download of a page whose every trace got what `say` makes of it."""
    data = page_data(page)
    lines = [
        {
            "trace": one["id"],
            "rubric": data["rubric"],
            "looked_at": data["part"],
            "text": one["text"],
            "labels": say(one),
            "reader": reader,
        }
        | other
        for one in data["traces"]
    ]
    out.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return out


def drawn(argv: list[str], capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["label", *argv]) == 0
    return Path(capsys.readouterr().out.strip().splitlines()[-1])


def all_refused(root: Path, n: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The page of so many replies, each labelled a refusal and taken in."""
    page = drawn([str(root), "--rubric", "refusal", "--n", str(n)], capsys)
    main(["label", str(root), "--collect", str(labelled(page, folder / "a.jsonl", lambda t: ["refusal"]))])
    return page


def verdicts(root: Path) -> Mapping[str, str | None]:
    """What the made-up reader said of each answer."""
    found = {}
    for path in root.glob("judge-*/verdicts.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            if one["rubric"].startswith("refusal"):
                found[one["trace"]] = (one.get("labels") or [None])[0]
    return found


def test_a_sample_is_stratified_nested_and_blind(
    runs: tuple[list[Plan], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, root = runs
    page = drawn([str(root), "--rubric", "refusal", "--n", "40"], capsys)
    strata = kept_sample(root, REFUSAL)
    first = drawn_of(strata)
    assert len(first) == 40 == sum(one.drawn for one in strata)
    said = verdicts(root)
    for one in strata:
        assert one.drawn >= 1 and (one.verdict == "unscored" or {said[id_] for id_ in one.traces} == {one.verdict})
    runs_ = {one.run for one in strata}
    assert len(runs_) == 10  # raw and trained, five sets; nobody is asked about maths
    shares = [sum(one.drawn for one in strata if one.run == run) for run in runs_]
    assert max(shares) - min(shares) <= 1
    text = page.read_text(encoding="utf-8")
    data = page_data(page)
    assert [one["id"] for one in data["traces"]] == first
    assert all(set(one) == {"id", "text", "texts", "cut"} for one in data["traces"])
    assert not any(word in json.dumps(data) + text for word in ("evaluate-", "made-up", "quickstart", "local@"))
    drawn([str(root), "--rubric", "refusal", "--n", "60"], capsys)
    assert set(first) < set(drawn_of(kept_sample(root, REFUSAL)))
    assert main(["label", str(root), "--rubric", "refusal", "--n", "3"]) == 2
    assert "--n 3: expected" in capsys.readouterr().err


def test_labels_are_taken_in_and_what_cannot_be_is_told(
    runs: tuple[list[Plan], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, root = runs
    page = drawn([str(root), "--rubric", "refusal", "--n", "60"], capsys)
    said = verdicts(root)
    one = labelled(page, tmp_path / "one.jsonl", lambda t: [said[t["id"]] or "compliance"])
    two = labelled(
        page,
        tmp_path / "two.jsonl",
        lambda t: ["partial"] if t["id"][0] in "01" else [said[t["id"]] or "compliance"],
        "B",
    )
    assert main(["label", str(root), "--collect", str(one), str(two)]) == 0
    told = capsys.readouterr()
    assert "120 labels taken" in told.err and "A and B agree on" in told.out and "Cohen's kappa" in told.out
    assert sum(1 for _ in read_records(root / LABELS, Label)) == 120
    first = json.loads(one.read_text().splitlines()[0])
    undrawn = next(x.traces[-1] for x in kept_sample(root, REFUSAL) if x.drawn < len(x.traces))
    bad = {
        "rubric harmful: expected one of": first | {"rubric": "harmful"},
        "no sample was drawn for harm": first | {"rubric": "harm", "labels": ["safe"]},
        "not among those that could be drawn": first | {"trace": "0" * 20},
        "was not drawn": first | {"trace": undrawn},
        "its text is another": first | {"text": "0" * 20},
        "label maybe: expected refusal": first | {"labels": ["maybe"]},
        "2 labels: expected one of": first | {"labels": ["refusal", "partial"]},
        "asked about answer": first | {"looked_at": "both"},
        "Field required": {key: value for key, value in first.items() if key != "text"},
    }
    for why, line in bad.items():
        (tmp_path / "bad.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(first | {"reader": "C"}) + "\n")
        assert main(["label", str(root), "--collect", str(tmp_path / "bad.jsonl")]) == 2
        told = capsys.readouterr()
        assert f"bad.jsonl:1: {why}" in " ".join(told.err.split()) or why in told.err, (why, told.err)
        assert "1 label taken" in told.err
    assert sum(1 for _ in read_records(root / LABELS, Label)) == 121
    assert main(["label", str(root), "--rubric", "harm", "--collect", str(one)]) == 2
    assert "no sample was drawn for it" in capsys.readouterr().err
    (tmp_path / "none.jsonl").write_text("not json\n")
    assert main(["label", str(root), "--collect", str(tmp_path / "none.jsonl")]) == 2
    assert "none of 1 line could be taken" in capsys.readouterr().err


def collected(runs: tuple[list[Plan], Path]) -> Results:
    return collect(*runs)


@pytest.mark.real
def test_the_report_finds_the_labels_and_corrects(
    runs: tuple[list[Plan], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything labelled by somebody who always says the same: the corrected rates are what he says, whatever the reader said."""
    work, root = runs
    before = main(["report", str(ROOT / "recipes" / "quickstart.toml"), "--root", str(root)])
    assert before == 0
    first = Path(capsys.readouterr().out.strip())
    assert "People's labels" not in first.read_text(encoding="utf-8")
    all_refused(root, 1000, tmp_path, capsys)
    capsys.readouterr()
    facts = Facts(collect(work, root))
    for one in facts.of_kind("borderline", "benign"):
        for arm in facts.arms:
            worth = facts.doubts.corrected("over_refusal", arm, [one.name])
            assert isinstance(worth, dict)
            assert {values.rate for values in worth.values()} == {1.0}
    assert main(["report", str(ROOT / "recipes" / "quickstart.toml"), "--root", str(root)]) == 0
    page_path = Path(capsys.readouterr().out.strip())
    assert page_path != first
    csv = (page_path.parent / "tables" / "corrected.csv").read_text(encoding="utf-8")
    assert "over-refusal" in csv and "difference, as read" in csv and ",1.0," in csv


def of_reader(root: Path, work: list[Plan]) -> list[Any]:
    """Every rate that labels correct, or why it is not corrected."""
    facts = Facts(collect(work, root))
    return [
        facts.doubts.corrected("over_refusal", arm, [one.name])
        for one in facts.of_kind("borderline", "benign")
        for arm in facts.arms
    ]


LINES: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "torn": (lambda lines: [*lines, lines[0][:40]], "not JSON"),
    "a foreign byte": (lambda lines: [*lines, "\udcff" + lines[0]], "not JSON"),
    "another file's": (lambda lines: [*lines, '{"prompt": "p", "response": "r"}'], "Field required"),
    "a number": (lambda lines: [*lines, "7"], "expected an object, got int"),
    "deep": (lambda lines: [*lines, "[" * 100_000], "nested too deeply"),
    "a label that is none": (lambda lines: [*lines, lines[0].replace('["', '["\u202e')], "label ⟨U+202E⟩"),
    "another run's": (lambda lines: [*lines, lines[0].replace('"trace": "', '"trace": "0')], "not among those"),
    "doubled": (lambda lines: [*lines, lines[0]], "says the same, by the same reader"),
    "contradicted": (
        lambda lines: [lines[0].replace('["refusal"]', '["compliance"]'), *lines],
        "says another label, by the same reader",
    ),
}


@pytest.mark.real
def test_lines_of_labels_that_are_damaged_doubled_or_foreign_are_told_and_not_figured(
    runs: tuple[list[Plan], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, root = runs
    page = all_refused(root, 1000, tmp_path, capsys)
    other = labelled(page, tmp_path / "b.jsonl", lambda t: ["refusal"], "B")
    before, whole = of_reader(root, work), (root / LABELS).read_text(encoding="utf-8")
    assert all(isinstance(one, dict) for one in before)
    for which, (change, told) in LINES.items():
        lines = change(whole.splitlines())
        (root / LABELS).write_bytes("".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape"))
        facts = Facts(collect(work, root))
        assert of_reader(root, work) == before, which
        tables = [table for table in (corrected_table(facts), readers_table(facts)) if table is not None]
        notes = [visible(note) for table in tables for note in table.notes]
        assert any(note.startswith("1 line of labels.jsonl not used, as ") and told in note for note in notes), which
        capsys.readouterr()
        main(["label", str(root), "--collect", str(other)])
        said = capsys.readouterr()
        assert f"{LABELS}:" in said.out + said.err and told in said.out + said.err, which


def without_the_last(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return lines[:-1]


def twice_the_first(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [lines[0], *lines]


def a_reply_less(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**lines[0], "traces": lines[0]["traces"][1:]}, *lines[1:]]


def a_reply_twice(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**lines[0], "traces": [*lines[0]["traces"][:-1], lines[0]["traces"][0]]}, *lines[1:]]


def more_than_there_are(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**lines[0], "drawn": 10_000}, *lines[1:]]


@pytest.mark.real
def test_a_sample_that_is_not_as_it_was_drawn_is_one_line_with_its_file(
    runs: tuple[list[Plan], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, root = runs
    page = drawn([str(root), "--rubric", "refusal", "--n", "60"], capsys)
    given = labelled(page, tmp_path / "a.jsonl", lambda t: ["refusal"])
    assert main(["label", str(root), "--collect", str(given)]) == 0
    file = REFUSAL.file(root)
    whole = [json.loads(line) for line in file.read_text().splitlines()]
    for change in (without_the_last, twice_the_first, a_reply_less, a_reply_twice, more_than_there_are):
        file.write_text("".join(json.dumps(line) + "\n" for line in change(whole)))
        capsys.readouterr()
        for argv in (
            ["label", str(root), "--collect", str(given)],
            ["label", str(root), "--rubric", "refusal", "--n", "60"],
            ["report", str(ROOT / "recipes" / "quickstart.toml"), "--root", str(root)],
        ):
            assert main(argv) == 2
            assert f"{file}: is not as it was drawn: " in capsys.readouterr().err, change


def test_a_sample_that_lost_a_whole_stratum_with_its_count_corrects_nothing(
    runs: tuple[list[Plan], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an older sample is, beside replies that were made anew."""
    work, root = runs
    all_refused(root, 1000, tmp_path, capsys)
    file = REFUSAL.file(root)
    strata = [json.loads(line) for line in file.read_text().splitlines()]
    for run in {one["run"] for one in strata}:
        held = [one for one in strata if one["run"] == run]
        strata = [one for one in strata if one is not held[0] or len(held) == 1]
        for one in held:
            one["replies"] -= len(held[0]["traces"]) if len(held) > 1 else 0
    file.write_text("".join(json.dumps(one) + "\n" for one in strata))
    worth = of_reader(root, work)
    assert any(isinstance(one, str) and "no label in 1 of " in one for one in worth)


def test_two_who_label_at_once_lose_nothing(tmp_path: Path) -> None:
    def many(reader: str) -> None:
        for n in range(20):
            one = Label(
                trace=f"{n}", rubric="refusal", looked_at="answer", text="t", labels=("refusal",), reader=reader
            )
            write_labels(tmp_path, [one])

    people = [threading.Thread(target=many, args=(reader,)) for reader in "ABC"]
    for one in people:
        one.start()
    for one in people:
        one.join()
    assert len({(one.trace, one.reader) for one in read_records(tmp_path / LABELS, Label)}) == 60


def test_two_who_draw_at_once_lose_nothing(runs: tuple[list[Plan], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each draws from a run of his own; the sample is one file, and what either was shown stays drawn."""
    root = runs[1]
    places = [str(one) for one in sorted(root.glob("evaluate-*"))[:2]]
    reading, met = stage.kept_sample, threading.Barrier(2)

    def together(folder: Path, question: DrawnQuestion) -> list[stage.Stratum]:
        found = reading(folder, question)
        with contextlib.suppress(threading.BrokenBarrierError):
            met.wait(timeout=1)
        return found

    monkeypatch.setattr(stage, "kept_sample", together)
    question = DrawnQuestion("refusal", "answer")
    drawn: dict[str, list[str]] = {}

    def draw(place: str) -> None:
        drawn[place] = drawn_of(stage.sample(stage.found(place), question, 6))

    people = [threading.Thread(target=draw, args=(place,)) for place in places]
    for one in people:
        one.start()
    for one in people:
        one.join()
    shown = {id_ for ids in drawn.values() for id_ in ids}
    assert len(drawn) == 2 and shown and shown <= set(drawn_of(reading(root, question)))


def test_few_labels_are_not_a_rate(
    runs: tuple[list[Plan], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, root = runs
    all_refused(root, 30, tmp_path, capsys)
    facts = Facts(collect(work, root))
    found = facts.doubts.corrected("over_refusal", "raw", [facts.of_kind("borderline")[0].name])
    assert isinstance(found, str) and re.search(r"\d labels, and a rate is corrected from 10 on|no label in", found)


@pytest.mark.parametrize("reader", [" ", "\udcff", "a\ud800"])
def test_a_reader_whose_name_no_file_can_hold_is_refused_before_anything_is_asked(
    reader: str, runs: tuple[list[Plan], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["label", str(runs[1]), "--rubric", "refusal", "--terminal", "--reader", reader]) == 2
    assert "--reader: expected a name or a letter" in capsys.readouterr().err


def test_a_terminal_that_is_closed_is_told(
    runs: tuple[list[Plan], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert main(["label", str(runs[1]), "--rubric", "refusal", "--terminal"]) == 2
    assert "--terminal: the input is closed" in capsys.readouterr().err


def test_the_terminal_asks_stops_and_goes_on(
    runs: tuple[list[Plan], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, root = runs
    argv = ["label", str(root), "--rubric", "refusal", "--n", "30", "--terminal", "--reader", "me"]
    monkeypatch.setattr("sys.stdin", io.StringIO("1\ns\nx\n9\n1\ns\n0\nq\n"))
    assert main(argv) == 3
    told = capsys.readouterr().out
    assert "not looked at yet" in told and "not understood: x" in told and "not understood: 9" in told
    given = list(read_records(root / LABELS, Label))
    assert [one.labels for one in given] == [("refusal",), None] and {one.reader for one in given} == {"me"}
    monkeypatch.setattr("sys.stdin", io.StringIO("s\n3\n" * 28))
    assert main(argv) == 0
    told = capsys.readouterr().out
    assert "\n3 of 30" in told and "\n2 of 30" not in told
    given = list(read_records(root / LABELS, Label))
    assert len(given) == 30 and {one.trace for one in given} == set(drawn_of(kept_sample(root, REFUSAL)))
    assert main(argv) == 0  # nothing is left to ask
    without = [word for word in argv if word not in ("--n", "30")]
    assert main(without) == 0 and set(drawn_of(kept_sample(root, REFUSAL))) == {one.trace for one in given}


def test_hostile_texts_do_nothing_in_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"prompt": "A mild question?", "response": f"<think>x</think>\x1b[2J\x1b]0;owned\x07\u202e[bold]{n}"}
        for n in range(12)
    ]
    file = tmp_path / "traces.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr("sys.stdin", io.StringIO("s\n1\n" * 12))
    assert main(["label", str(file), "--rubric", "harm", "--terminal", "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told and "\u202e" not in told and "␛[2J" in told and "[bold]" in told


def test_a_file_of_traces_is_labelled_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "traces.jsonl", tmp_path / "out"
    rows = [{"q": f"Question {n}?", "response": f"<think>Let me see {n}.</think>Answer {n}."} for n in range(40)] + [
        {"q": "none", "response": ""}
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    argv = [str(file), "--map", "prompt=q", "--out", str(out)]
    page = drawn([*argv, "--rubric", "risky-patterns", "--n", "20"], capsys)
    assert page.parent == out / "label"
    patterns = [["weak_vacillation"], [], ["strong_vacillation", "harmful_additions"], None]
    one = labelled(page, tmp_path / "a.jsonl", lambda t: patterns[int(t["id"], 16) % 4])
    two = labelled(page, tmp_path / "b.jsonl", lambda t: patterns[int(t["id"], 16) % 3], "B")
    assert main(["label", *argv, "--collect", str(one), str(two)]) == 0
    told = capsys.readouterr().out
    assert "weak_vacillation: A and B agree on" in told and "traces.jsonl" in told
    file.write_text(file.read_text().replace("Answer", "Other"))
    assert main(["label", *argv, "--collect", str(one)]) == 2
    assert "is not there any more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["nowhere.jsonl", "--rubric", "refusal"], "there is no such file"),
        (["."], "holds"),
        (["t.jsonl"], "expected --rubric"),
        (["t.jsonl", "--rubric", "refusal", "--part", "both"], "--part both: refusal is asked about answer"),
        (["t.jsonl", "--rubric", "refusal", "--collect", "x.jsonl"], "no sample was drawn here"),
        (["t.jsonl", "--rubric", "conclusion"], "no reply has a text to ask conclusion about"),
        (["t.jsonl", "--rubric", "refusal", "--reader", " "], "--reader"),
    ],
)
def test_what_is_wrong_is_told(
    argv: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "t.jsonl").write_text('{"prompt": "p", "response": "An answer."}\n')
    assert main(["label", *argv]) == 2
    assert told in capsys.readouterr().err


HOSTILE = (
    "</script><script>window.owned=1</script>",
    "<img src=x onerror=window.owned=1>",
    "${window.owned=1} {{constructor.constructor('window.owned=1')()}}",
    '"}],"labels":["owned"]',
    "\x1b[2J\u202eyfidom\u202c\u200b",
    "\ud800 lone",
    "a" * 20_000,
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Chromium, which saves what is downloaded into a folder."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("no Chromium with its driver (apt: chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
    folder = tmp_path_factory.mktemp("downloads")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.downloads = folder
    yield driver
    driver.quit()


def opened(browser: Any, page: Path) -> None:
    browser.get(page.as_uri())
    until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))


def pressed(browser: Any, text: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    for key in text:
        ActionChains(browser).send_keys(key).perform()


def progress(browser: Any) -> str:
    text: str = browser.find_element("id", "progress").text
    return text


@pytest.mark.real
def test_the_page_in_a_browser_is_masked_heard_kept_and_downloaded(
    browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "traces.jsonl", tmp_path / "out"
    rows = [
        {"prompt": f"{n} {text}", "response": f"<think>{text}</think>{text} {n}"} for n, text in enumerate(HOSTILE * 2)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = drawn([str(file), "--rubric", "refusal", "--n", "14", "--out", str(out), "--reader", "me"], capsys)
    assert "window.owned" not in page.read_text(encoding="utf-8")
    browser.get_log("browser")
    opened(browser, page)
    assert progress(browser) == "1 of 14 · 0 labelled"
    pressed(browser, "1")
    assert progress(browser) == "1 of 14 · 0 labelled"  # what was not looked at can't be labelled
    assert not browser.find_elements("css selector", "#shown .text")
    browser.find_element("css selector", "#shown .masked").click()
    assert len(browser.find_elements("css selector", "#shown .text")) == 2  # prompt and answer, not the reasoning
    pressed(browser, "1")
    assert progress(browser) == "2 of 14 · 1 labelled"
    pressed(browser, " 3 0")
    assert progress(browser) == "4 of 14 · 3 labelled"
    opened(browser, page)  # what was found is there again
    assert progress(browser) == "4 of 14 · 3 labelled"
    pressed(browser, " 2" * 11)
    assert progress(browser).endswith("14 labelled")
    pressed(browser, "d")
    download = until(lambda: next(iter(browser.downloads.glob("labels-me.jsonl")), None))
    given = [Label.model_validate(json.loads(line)) for line in until(download.read_text).splitlines()]
    assert [one.labels for one in given[:4]] == [("refusal",), ("compliance",), None, ("partial",)]
    assert browser.execute_script("return window.owned") is None
    assert browser.get_log("browser") == []
    assert main(["label", str(file), "--out", str(out), "--collect", str(download)]) == 0
    assert "14 labels taken" in capsys.readouterr().err


@pytest.mark.real
def test_several_patterns_are_chosen_and_confirmed(
    browser: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "traces.jsonl", tmp_path / "out"
    rows = [{"prompt": f"Question {n}?", "response": f"<think>Thought {n}.</think>Answer {n}."} for n in range(3)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = drawn([str(file), "--rubric", "risky-patterns", "--n", "3", "--out", str(out), "--reader", "p"], capsys)
    opened(browser, page)
    pressed(browser, " 412\ue007 \ue007 55\ue007d")  # three; none; one that is taken back
    download = until(lambda: next(iter(browser.downloads.glob("labels-p.jsonl")), None))
    given = [json.loads(line)["labels"] for line in until(download.read_text).splitlines()]
    assert given == [["lack_of_safety_awareness", "strong_vacillation", "harmful_additions"], [], []]


def test_rows_of_a_file_that_can_t_be_read_are_told_and_not_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ['{"prompt": "a", "answer": "Sure, here it is."}', '{"prompt": "b", "answer": true}', '{"prompt": "c", ']
    (tmp_path / "some.jsonl").write_text("\n".join(rows))
    (tmp_path / "none.jsonl").write_text("\n".join(rows[1:]))
    for name, code, told in (("some", 0, "2 of 3 rows"), ("none", 2, "2 of 2 rows")):
        file = str(tmp_path / f"{name}.jsonl")
        assert main(["label", file, "--rubric", "refusal", "--out", str(tmp_path / "labels" / name)]) == code
        said = capsys.readouterr().err
        assert said.count(f"{told} could not be read") == 1 and "expected text, got bool" in said
