"""A study on a Ray cluster against the same study here: the same records, and nothing lost with a worker."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from waiting import HANG

sys.path.insert(0, str(Path(__file__).parent))
import faulty_server

from unwaver import recipe_file
from unwaver.cli import main
from unwaver.errors import RecipeError
from unwaver.store import RunDir
from unwaver.study import asked, cluster
from unwaver.study.plan import plan

pytestmark = pytest.mark.real
ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
import psutil  # noqa: E402

ROOT = Path(__file__).parent.parent

RECORDS = ("prompts.jsonl", "traces.jsonl", "verdicts.jsonl", "examples.jsonl", "loss.jsonl")

ASKED = """
name = "cells"
[models]
student = {{ name = "openai:m", base_url = "{url}", concurrency = 2 }}
teacher = {{ name = "openai:m", base_url = "{url}", concurrency = 64 }}
[prompts.mine]
source = "file"
path = "mine.jsonl"
kind = "benign"
[prompts.more]
source = "file"
path = "mine.jsonl"
kind = "borderline"
limit = 20
[mix]
parts = {parts}
[evaluate.sets.mine]
temperature = 1.0
[evaluate.sets.more]
temperature = 1.0
"""


@pytest.fixture(scope="module")
def two_cores() -> Iterator[None]:
    """A local cluster of two cores and no GPU, whose workers have one thread whatever this process has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


def write(folder: Path, url: str, parts: str = "{}") -> tuple[Path, Path]:
    """(a recipe, a study over it)."""
    rows = "".join(f'{{"text": "prompt number {n}"}}\n' for n in range(60))
    (folder / "mine.jsonl").write_text(rows)
    (folder / "recipe.toml").write_text(ASKED.format(url=url, parts=parts))
    (folder / "study.toml").write_text(
        'name = "cells"\nrecipe = "recipe.toml"\nseeds = [1, 2, 3]\n[tables]\n"T" = {}\n'
    )
    return folder / "recipe.toml", folder / "study.toml"


def records(root: Path) -> dict[str, bytes]:
    """Every file of records, without the seconds that a training step took."""
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.glob("*/*") if path.name in RECORDS}
    return {name: re.sub(rb', "seconds": [0-9.e-]+', b"", content) for name, content in found.items()}


@contextmanager
def killing(title: str, when: Callable[[], bool]) -> Iterator[list[int]]:
    """Kills one worker that is at work on a step of that title as soon as `when` says so; the pids it killed."""
    killed: list[int] = []
    over = threading.Event()

    def kill_one() -> None:
        while not over.is_set() and not killed:
            for child in psutil.Process().children(recursive=True):
                try:
                    if f"ray::{title}" in " ".join(child.cmdline()) and when():
                        child.send_signal(signal.SIGKILL)
                        killed.append(child.pid)
                        break
                except psutil.NoSuchProcess:
                    continue
            time.sleep(0.02)

    killer = threading.Thread(target=kill_one)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


def test_cells_survive_a_worker_and_give_the_same_records(
    tmp_path: Path, two_cores: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with faulty_server.running(tmp_path, "--latency", "0.05") as (url, log):
        _, study = write(tmp_path, url)
        assert main(["study", str(study), "--root", str(tmp_path / "local")]) == 0
        once = len(log.read_text().splitlines())
        log.write_text("")
        with killing("evaluate", lambda: len(log.read_text().splitlines()) > 20) as killed:
            capsys.readouterr()
            assert main(["study", str(study), "--root", str(tmp_path / "ray"), "--engine", "ray"]) == 0
        assert killed, "there was no worker to kill"
        told = capsys.readouterr().err
        assert "its worker was lost" in told and "runs again" in told
        assert "prompts 2 of 2; evaluate 6 of 6" in told
        here, there = records(tmp_path / "local"), records(tmp_path / "ray")
        assert len(here) == 2 + 2 * 6
        assert there == here
        # Only what was under way in the lost worker was asked twice; and what one run takes from another that is done
        # is asked by both where they are done at once.
        asked = len(log.read_text().splitlines())
        wanted = sum(content.count(b"\n") for name, content in there.items() if name.endswith("traces.jsonl"))
        assert once <= asked <= wanted + 2, (once, wanted)
        assert main(["study", str(study), "--root", str(tmp_path / "ray"), "--engine", "ray"]) == 0
        assert len(log.read_text().splitlines()) == asked


def test_a_step_that_fails_stops_what_needs_it_and_nothing_else(
    tmp_path: Path, two_cores: None, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, _ = write(tmp_path, "http://127.0.0.1:9/v1")
    rows = '{"text": "one"}\n{"text": never closed\n'
    (tmp_path / "broken.jsonl").write_text(rows)
    recipe.write_text(recipe.read_text().replace('path = "mine.jsonl"', 'path = "broken.jsonl"', 1))
    assert main(["prompts", str(recipe), "--root", str(tmp_path / "runs"), "--engine", "ray"]) == 2
    told = capsys.readouterr().err
    assert "1 step is owed: prompts (mine); the same command goes on" in told
    assert "broken.jsonl:2: not JSON" in told and "Traceback" not in told
    assert len(list((tmp_path / "runs").glob("prompts-*/manifest.json"))) == 1


TRAINED = """
name = "trained"
[models]
student = "hf:{student}"
teacher = "replay:corpus"
[prompts.safety]
source = "corpus/harmful"
split = "train"
limit = 30
[prompts.unseen]
source = "corpus/harmful"
split = "heldout"
limit = 3
[mix]
parts = {{ safety = 12 }}
[train]
learning_rate = 1e-3
global_batch = 2
micro_batch = 2
epochs = 4
dtype = "float32"
gradient_checkpointing = false
max_tokens = 2048
save_every = 1
heldout = 0.1
[evaluate]
max_tokens = 16
[evaluate.sets.unseen]
"""


def test_a_training_whose_worker_was_lost_goes_on_elsewhere(tmp_path: Path, two_cores: None) -> None:
    pytest.importorskip("torch", reason="needs the extra `train`")
    from training_fixtures import save_student

    (tmp_path / "student").mkdir()
    save_student(tmp_path / "student")
    (tmp_path / "recipe.toml").write_text(TRAINED.format(student=tmp_path / "student"))
    study = tmp_path / "study.toml"
    study.write_text('name = "t"\nrecipe = "recipe.toml"\nseeds = [1, 2]\n[tables]\n"T" = {}\n')
    roots = {engine: tmp_path / engine for engine in ("local", "ray")}
    # A process of its own, with one thread as a worker has: sums in another order would be other weights.
    words = [sys.executable, "-m", "unwaver.cli", "study", str(study), "--root", str(roots["local"])]
    done = subprocess.run(
        words, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with killing("train", lambda: bool(list(roots["ray"].glob("train-*/checkpoints/*/complete")))) as killed:
        assert main(["study", str(study), "--root", str(roots["ray"]), "--engine", "ray"]) == 0
    assert killed, "there was no worker to kill"
    here, there = records(roots["local"]), records(roots["ray"])
    assert {name.split("-")[0] for name in here} == {"prompts", "distil", "judge", "mix", "train", "evaluate"}
    assert len([name for name in here if name.startswith("train-")]) == 2
    assert there == here


def test_what_a_stage_asks_of_the_cluster() -> None:
    """GPUs for training and for weights of one's own, none for servers."""
    path = ROOT / "recipes/improved.toml"
    tree = recipe_file.read_toml(path)
    tree["train"] = {"launch": "torchrun", "processes": 4}
    tree["models"]["student"]["load"] = {"tensor_parallel_size": 2}
    of = plan(recipe_file.build(tree, path), "arm")
    wanted = {step.stage: set[int]() for step in of.steps()}
    for step in of.steps():
        wanted[step.stage].add(asked.gpus(step, of.recipe))
    judged = {part: {asked.gpus(one, of.recipe) for one in of.read(step)} for part, step in of.distil.items()}
    assert judged == {"safety": {0, 1}, "benign": {0}}  # the guard's weights are ours, the other judges are servers
    assert {stage: wanted[stage] for stage in ("prompts", "distil", "mix", "overlap", "train", "evaluate")} == {
        "prompts": {0},
        "distil": {0},
        "mix": {0},
        "overlap": {0},
        "train": {4},
        "evaluate": {2},
    }


def test_a_lost_workers_lock_is_waited_for(tmp_path: Path) -> None:
    path, _ = write(tmp_path, "http://127.0.0.1:9/v1")
    of = plan(recipe_file.load(path), "arm")
    step = of.prompts["mine"]
    root = tmp_path / "runs"
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with RunDir.open(step, root):
            held.set()
            assert let_go.wait(HANG)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(HANG)
    threading.Timer(0.5, let_go.set).start()
    assert cluster.work([(step, of.recipe)], root, tmp_path / "no such folder") is None
    holder.join()
    assert step.manifest(root) is not None


def test_a_step_too_large_for_every_node_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"Alive": True, "Resources": {"GPU": 2.0}}, {"Alive": False, "Resources": {"GPU": 8.0}}]
    monkeypatch.setattr(cluster, "connect", lambda: SimpleNamespace(nodes=lambda: nodes))
    path = ROOT / "recipes/improved.toml"
    large = recipe_file.load(path, {"train.launch": "torchrun", "train.processes": 4})
    train = plan(large, "arm").train
    with pytest.raises(RecipeError, match=r"train \(arm\) needs 4 GPUs on one node; the largest .* has 2"):
        cluster.do_all([(train, large)], tmp_path, lambda step: None)
