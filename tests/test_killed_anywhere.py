"""Verbs that write outside of runs, killed at each of their file operations: nothing is half there under its name.

What was there before stays whole until what is new takes its place, and the same command then ends as if nothing had
been.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import report_runs
from killing import held, killed_everywhere

from unwaver import online
from unwaver.cli import main
from unwaver.judging.people import Label, digest_of
from unwaver.models import states, steering
from unwaver.recipe import ModelSettings
from unwaver.records import Example, Span, Trace
from unwaver.stages.label import DrawnQuestion, drawn_of, kept_sample
from unwaver.store import EXAMPLES, TRACES, RunDir, Step, read_records
from unwaver.verbs import init, steer

pytestmark = pytest.mark.real

NEVER = 10**9


def reply(n: int) -> str:
    thing = ("lamp", "boat", "clock", "fence")[n % 4] + "s" * (n // 4)
    return f"I'm sorry, I can't help with {thing}." if n % 2 else f"Sure, first you take {thing}, then you go on."


def example(n: int) -> Example:
    spans = (Span(text="<think>\nSo.\n</think>\n", trained=True), Span(text=reply(n), trained=True))
    return Example(prompt=f"p{n}", trace=None, user=f"Ask {n}", spans=spans, part="safety", kind="benign")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with a mix, and files of rows."""
    folder = tmp_path_factory.mktemp("made")
    report_runs.study(folder)
    with RunDir.open(Step("mix", "own", {}), folder / "mixes") as out:
        out.write(EXAMPLES, map(example, range(4)))
        out.finish({"parts": {}})
    for name, count in (("few", 20), ("many", 32)):
        rows = [
            {"prompt": f"Ask {n}", "answer": reply(n), "label": ("no", "yes")[n % 2], "model": f"m{n % 5}"}
            for n in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "place")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "place"


def survives(place: Path, command: Callable[[], object], every: int = 1) -> None:
    """Kills the command at every operation, each time in the place as it is now, and then lets it finish."""
    former, kept = held(place), place.with_name("kept")
    shutil.copytree(place, kept)

    def anew() -> None:
        shutil.rmtree(place)
        shutil.copytree(kept, place)

    def finished() -> dict[str, bytes]:
        assert list(killed_everywhere(command, NEVER)) == [NEVER]
        return held(place)

    command()  # what it imports is there from now on
    then, kills = held(place), 0
    assert then != former, "the command did nothing"
    for at in killed_everywhere(command, every, anew):
        kills += 1
        now = held(place)
        for name, content in now.items():
            assert content in (former.get(name), then.get(name)), f"{name}: half there when killed after {at}"
        gone = {name for name in set(former) & set(then) - set(now) if Path(name).name != CARD}
        assert not gone, f"{gone}: lost when killed after {at}"
        assert CARD not in {Path(name).name for name in now} or _told(now, former, then), f"another's card, after {at}"
        assert finished() == then, f"killed after {at}"
    assert kills > 2


CARD = "README.md"


def _told(now: dict[str, bytes], former: dict[str, bytes], then: dict[str, bytes]) -> bool:
    """Whether a card stands beside what it tells of and nothing else."""
    cards = [name for name in now if Path(name).name == CARD]
    beside = {name for card in cards for name in now if Path(name).parent == Path(card).parent}
    return any(all(now[name] == whole.get(name) for name in beside) for whole in (former, then))


def said(*words: str) -> Callable[[], object]:
    def command() -> None:
        assert main(list(words)) == 0

    return command


def test_a_sample_and_its_page(place: Path) -> None:
    assert main(["label", "place/runs", "--rubric", "refusal", "--n", "6"]) == 0
    survives(place, said("label", "place/runs", "--rubric", "refusal", "--n", "12"))


def test_labels_that_are_taken_in(place: Path) -> None:
    assert main(["label", "place/runs", "--rubric", "refusal", "--n", "6"]) == 0
    drawn = set(drawn_of(kept_sample(place / "runs", DrawnQuestion("refusal", "answer"))))
    traces = [one for run in place.glob("runs/evaluate-*") for one in read_records(run / TRACES, Trace)]
    labels = [
        Label(trace=one.id, rubric="refusal", looked_at="answer", labels=("refusal",), reader="A",
              text=digest_of(one, "answer") or "")
        for one in traces if one.id in drawn
    ]  # fmt: skip
    files = [place / "first.jsonl", place / "all.jsonl"]
    for file, some in zip(files, (labels[:2], labels), strict=True):
        file.write_text("".join(json.dumps(one.model_dump(mode="json")) + "\n" for one in some))
    assert main(["label", "place/runs", "--collect", str(files[0])]) == 0
    survives(place, said("label", "place/runs", "--collect", "place/all.jsonl"))


def test_a_reader(place: Path) -> None:
    words = ["--rubric", "mine", "--part", "answer", "--out", "place/mine.npz"]
    assert main(["reader", "train", "place/few.jsonl", *words]) == 0
    survives(place, said("reader", "train", "place/many.jsonl", *words))


def test_directions_to_steer_by(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (run, *_) = sorted(place.glob("runs/evaluate-*"))
    monkeypatch.setattr(steering, "FEWEST", 1)
    monkeypatch.setattr(steer, "model_of", lambda run, given: ModelSettings(name="hf:none/none"))
    drawn = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    monkeypatch.setattr(states, "states", lambda model, traces, layer: (drawn[: len(traces)] * layer, layer))
    words = ["steer", "fit", str(run.relative_to(place.parent)), "--rubric", "harm", "--layer"]
    assert main([*words, "1"]) == 0
    survives(place, said(*words, "2"))
    assert steering.read(place / "runs" / "harm.safetensors").layer == 2


def test_verdicts_and_page_of_an_audit(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "reachable", lambda: False)
    words = ["--rubric", "refusal", "--out", "place/verdicts.jsonl", "--html", "place/page.html"]
    assert main(["audit", "place/few.jsonl", *words]) == 0
    survives(place, said("audit", "place/many.jsonl", *words), every=9)


@pytest.mark.parametrize("form", ["messages", "parquet", "sharegpt", "alpaca"])
def test_a_training_set(form: str, place: Path) -> None:
    (run,) = (one.relative_to(place.parent) for one in place.glob("mixes/mix-*"))
    with RunDir.open(Step("mix", "former", {"seed": 1}), place / "mixes") as former:
        former.write(EXAMPLES, [example(9)])
        former.finish({"parts": {}})
    assert main(["export", str(former.path), "--to", form, "--out", "place/set"]) == 0
    survives(place, said("export", str(run), "--to", form, "--out", "place/set"))


def test_a_log_for_inspect(place: Path) -> None:
    """It says when it was made, so no two are alike; what bears its name can be read."""
    log = pytest.importorskip("inspect_ai.log")
    (of, *_) = sorted(place.glob("runs/evaluate-*"))
    with RunDir.open(Step("evaluate", "harmful", {}), place / "logged") as run:
        run.write(TRACES, read_records(of / TRACES, Trace))
        run.finish({}, model="m@1", set="harmful")
    words = ("export", str(run.path), "--to", "eval", "--out", str(place / "logs"))
    said(*words)()
    (file,) = (place / "logs").iterdir()
    whole = len(log.read_eval_log(str(file)).samples)
    file.unlink()
    assert whole == report_runs.PROMPTS
    for at in killed_everywhere(said(*words), 3):
        for one in (place / "logs").glob("*.eval"):
            assert len(log.read_eval_log(str(one)).samples) == whole, f"half a log, when killed after {at}"
    assert file.is_file()


def test_a_recipe(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "mine.toml").write_text("former")
    monkeypatch.setattr(init, "_drafted", lambda arguments: "name = 1\n")
    survives(place, said("init", "place/mine.toml", "--student", "x/y", "--force"))
