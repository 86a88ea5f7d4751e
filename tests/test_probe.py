"""Whether a state before the first token tells harmful prompts apart: the figure, and the verb on real runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tiny import PLAIN, llama

from unwaver import cli, recipe_file
from unwaver.study.probe import FOLDS, probe
from unwaver.study.run import do
from unwaver.study.steps import plans

RECIPE = """
name = "t"
max_failed = 1.0
[models]
student = "{student}"
[prompts.harmful]
source = "corpus/harmful"
limit = 8
[prompts.borderline]
source = "corpus/borderline"
limit = 8
[mix]
parts = {{}}
[evaluate]
max_tokens = 2
[evaluate.sets.harmful]
[evaluate.sets.borderline]
"""


def noise(count: int, width: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width))


def names(count: int) -> list[str]:
    return [f"p{number}" for number in range(count)]


def test_states_that_differ_are_told_apart_and_chance_is_a_half() -> None:
    sides = [number % 2 == 0 for number in range(60)]
    apart = noise(60)
    apart[::2, :8] += 3
    found = probe(apart, sides, names(60), "a", layer=7)
    assert found.value is not None and found.low is not None and found.value > 0.97 and found.low > 0.5
    assert found.n == 60 and "layer 7" in found.method and "chance is 0.5" in found.method
    by_chance = [probe(noise(60, seed=seed), sides, names(60), "a").value or 0 for seed in range(20)]
    assert 0.42 < np.mean(by_chance) < 0.56, "no better than chance where there is nothing to be told"


def test_a_behaviour_in_several_frames_helps_no_probe() -> None:
    """Ten copies of each state under labels that mean nothing: with leaks the copies would tell one another's side."""
    found = []
    for seed in range(10):
        states = np.repeat(noise(20, seed=seed), 10, axis=0) + noise(200, seed=seed + 99) / 100
        clusters = [name for name in names(20) for _ in range(10)]
        found.append(probe(states, [n < 100 for n in range(200)], clusters, "a").value or 0)
    assert np.mean(found) < 0.65


def test_lopsided_sets_are_weighed_alike() -> None:
    states = noise(66)
    states[:6, :8] += 3
    found = probe(states, [n < 6 for n in range(66)], names(66), "a")
    assert found.value is not None and found.value > 0.9


def test_too_few_prompts_have_no_value_and_say_why() -> None:
    found = probe(noise(20), [n < FOLDS - 1 for n in range(20)], names(20), "a")
    assert (found.value, found.n, found.n_unscored) == (None, 0, 20)
    assert f"fewer than {FOLDS}" in found.method


def evaluated(folder: Path, student: str) -> tuple[str, str]:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(student=student))
    work = plans(recipe_file.arms(recipe_file.read_toml(path), path))
    do(work, folder / "runs", lambda step: step.stage in ("prompts", "evaluate"))
    harmful, harmless = (str(work[0].raw[name].directory(folder / "runs")) for name in ("harmful", "borderline"))
    return harmful, harmless


@pytest.mark.real
def test_the_verb_reads_runs_whose_model_shows_its_layers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    harmful, harmless = evaluated(tmp_path, f"hf:{llama(tmp_path / 'm', PLAIN)}")
    capsys.readouterr()
    assert cli.main(["probe", harmful, harmless]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metric"] == "first_token_auc" and found["n"] == 16 and 0 <= found["low"] <= found["value"] <= 1
    with monkeypatch.context() as patched:
        patched.setattr("unwaver.models.states.first_states", None)
        assert cli.main(["probe", harmful, harmless]) == 0, "it is kept, and no model is loaded again"
    assert json.loads(capsys.readouterr().out) == found
    assert cli.main(["report", str(tmp_path / "recipe.toml"), "--root", str(tmp_path / "runs")]) == 0
    page = Path(capsys.readouterr().out.strip())
    [row] = csv.DictReader((page.parent / "tables" / "first-token.csv").open())
    assert (row["arm"], row["prompts"], row["prompts scored"]) == ("raw", "harmful against borderline", "16")
    assert float(row["area"]) == pytest.approx(found["value"]) and row["area: low"]
    assert cli.main(["check", str(tmp_path / "recipe.toml"), "--root", str(tmp_path / "runs"), "--no-student"]) == 0
    assert "unwaver probe" in capsys.readouterr().out
    assert cli.main(["probe", harmful, harmless, "--layer", "99"]) == 2
    assert "expected a layer from 0 to" in capsys.readouterr().err
    assert cli.main(["probe", harmless, harmless]) == 2
    assert "expected harmful prompts alone" in capsys.readouterr().err


@pytest.mark.real
def test_other_doors_are_unscored_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    harmful, harmless = evaluated(tmp_path, "replay:corpus")
    capsys.readouterr()
    assert cli.main(["probe", harmful, harmless]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["value"] is None and found["n_unscored"] == 16
    assert "replay:corpus keeps its layers to itself" in found["method"]
