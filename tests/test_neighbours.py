"""The study of the neighbours: checked as it is, and a small piece of it done on the real small model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from unwaver import recipe_file
from unwaver.cli import main
from unwaver.models import steering
from unwaver.records import Example, Trace
from unwaver.store import read_manifest, read_records
from unwaver.study import grid

STUDIES = Path(__file__).parent.parent / "studies"
STUDY = STUDIES / "neighbours.toml"


def test_the_study_is_short_and_every_cell_of_it_is_a_recipe() -> None:
    assert len(STUDY.read_text().splitlines()) <= 60
    cells = grid.cells(grid.load(STUDY), STUDY)
    taught = {(cell.recipe.distil.method, cell.recipe.distil.method_settings.get("masked", True)) for cell in cells}
    assert taught >= {("recompose", True), ("backtrack", True), ("backtrack", False), ("structured", True)}
    assert {name for name, _ in taught} >= {
        "default",
        "self-taught",
        "temptation",
        "counter-prefill",
        "policy",
        "primer",
    }
    assert any(cell.recipe.train.method == "dpo" for cell in cells)
    assert ("temptation", False) in taught
    named = {name for cell in cells for name in cell.tables}
    assert named == {"Methods", "The mask", "Harmless examples", "Peers", "Peers' choice of prompts", "Peers' mask"}


def test_every_method_of_the_methods_page_that_makes_training_data_is_an_arm() -> None:
    page = (STUDIES.parent / "docs" / "methods.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    peers = {row.partition(":")[0].strip("`").replace(" ", "-") for row in rows} - {"recipe", "given"}
    (beside,) = re.findall(r"The methods that are there beside .*?To try one", page, re.DOTALL)
    neighbours = {name for link in re.findall(r"\[([^\]]+)\]\(systems/", beside) for name in link.split(" and ")}
    assert {"lookalike", "all-k-safe", "corrected"} <= peers and neighbours == {"recompose", "backtrack", "structured"}
    arms = {cell.arm.partition(",")[0] for cell in grid.cells(grid.load(STUDY), STUDY)}
    assert peers | neighbours <= arms  # `given` makes nothing: it takes what stands in somebody's file


def test_what_needs_no_training_is_a_short_study_of_its_own() -> None:
    study = STUDIES / "inference.toml"
    assert len(study.read_text().splitlines()) <= 60
    cells = {cell.arm: cell.recipe for cell in grid.cells(grid.load(study), study)}
    assert {name for name, one in cells.items() if one.parts()} == {"taught"}
    pushed = {name: one.models["student"].steering for name, one in cells.items()}
    told = {name: (one.gate, one.alpha, one.file.name) for name, one in pushed.items() if one is not None}
    file = "harm.safetensors"
    assert told == {
        "steered": (True, 2.0, file),
        "ungated": (False, 2.0, file),
        "steered, hard": (True, 8.0, file),
        "ungated, hard": (False, 8.0, file),
    }
    for one in cells.values():
        assert {"harmful-unseen", "borderline-unseen", "numbers", "clean", "perturbed"} == one.evaluate.sets.keys()
        assert one.prompts["harmful-unseen"].split == "heldout", "the directions are of the other half's prompts"
    made = steering.read(STUDIES / file)
    assert made.names == ("harm",) and made.card["model"] == cells["untouched"].models["student"].label
    assert min(made.card["made_of"]["harm"][side] for side in ("safe", "unsafe")) >= steering.FEWEST


def small(folder: Path, **arms: str) -> Path:
    """The study's recipe cut to a few prompts, with arms as TOML."""
    text = (STUDIES / "neighbours_recipe.toml").read_text()
    text = text.replace("replay:neighbours.jsonl", f"replay:{STUDIES / 'neighbours.jsonl'}")
    text = text.replace('split = "train"', 'split = "train"\nlimit = 12').replace("limit = 30", "limit = 2")
    text = text.replace("safety = 40, borderline = 30, plain = 10", "safety = 2, borderline = 1, plain = 1")
    text = text.replace("max_tokens = 96", "max_tokens = 16").replace("heldout = 0.04", "heldout = 0.0")
    path = folder / "small.toml"
    path.write_text(text + "".join(f"[arms.{name}]\n{body}\n" for name, body in arms.items()))
    return path


METHODS = {
    "backtrack": 'distil.method = "backtrack"\nmix.keep = "everything"',
    "unmasked": 'distil.method = "backtrack"\ndistil.method_settings.masked = false\nmix.keep = "everything"',
    "recompose": 'distil.method = "recompose"\nmix.keep = "everything"',
    "structured": 'distil.method = "structured"\ndistil.benign_method = "structured"\nmix.keep = "everything"',
}


@pytest.mark.real
def test_every_method_distils_and_mixes_from_the_recordings(tmp_path: Path) -> None:
    path, root = small(tmp_path, **METHODS), tmp_path / "runs"
    for verb in ("prompts", "distil", "judge", "mix"):
        assert main([verb, str(path), "--root", str(root)]) == 0
    shielded = {}
    for directory in root.glob("**/mix-*"):
        manifest = read_manifest(directory) or {}
        examples = list(read_records(directory / "examples.jsonl", Example))
        assert len(examples) == 4 and all(any(span.trained for span in one.spans) for one in examples)
        arm = json.loads((directory / "config.json").read_text())["name"]
        shielded[arm] = manifest["counts"].get("shielded", 0)
    assert shielded["backtrack"] > 0 and not any(n for arm, n in shielded.items() if arm != "backtrack")
    failed = [trace.failure for run in root.glob("**/distil-*") for trace in read_records(run / "traces.jsonl", Trace)]
    assert failed and not any(failed), "tools/compose_neighbours.py knows the wordings no more: run it again"


@pytest.mark.real
def test_readers_see_what_is_learnt_and_not_what_is_shielded(tmp_path: Path) -> None:
    path, root = small(tmp_path, **{name: METHODS[name] for name in ("backtrack", "unmasked")}), tmp_path / "runs"
    for verb in ("prompts", "distil", "judge"):
        assert main([verb, str(path), "--root", str(root)]) == 0
    said = {}
    for run in root.glob("**/distil-*"):
        traces = {trace.id: trace for trace in read_records(run / "traces.jsonl", Trace)}
        if not any(trace.prompt.kind == "harmful" for trace in traces.values()):
            continue
        for judged in root.glob("**/judge-*"):
            config = json.loads((judged / "config.json").read_text())
            if config["inputs"]["traces"] == run.name and config["settings"]["question"] == "patterns":
                rows = [json.loads(line) for line in (judged / "verdicts.jsonl").read_text().splitlines()]
                assert {row["trace"] for row in rows} == set(traces), "verdicts bear the whole traces' names"
                masked = any(trace.shielded for trace in traces.values())
                said[masked] = [row["labels"] for row in rows]
                for row in rows:
                    one = traces[row["trace"]]
                    assert not row.get("quote") or row["quote"] in (one.learnt.reasoning or "") + (one.answer or "")
    assert said[True] != said[False]


@pytest.mark.real
def test_a_student_is_trained_by_a_mask_and_evaluated(tmp_path: Path) -> None:
    path, root = small(tmp_path, backtrack=METHODS["backtrack"]), tmp_path / "runs"
    assert main(["run", str(path), "--root", str(root)]) == 0
    (train,) = root.glob("**/train-*")
    assert "⟧" in (train / "proof.txt").read_text().partition("<think>")[2].partition("Wait,")[0], (
        "the chain is context"
    )
    estimates = next(iter(root.glob("**/report-*"))) / "estimates.jsonl"
    arms = {json.loads(line)["arm"] for line in estimates.read_text().splitlines()}
    assert arms >= {"raw", "backtrack"}
    recipe = next(iter(recipe_file.arms(recipe_file.read_toml(path), path).values()))
    assert recipe.distil.method == "backtrack"
