"""The owed steps on an existing Ray cluster: every step whose inputs are finished is a Ray task.

The driver decides the order, heeds the leak guard and shows one view of all; a task is handed a step, its recipe and
the root, and does what the local command would do. So the root must lie on storage that all nodes share (it is
checked), and the package must be installed on all of them; keys are read from each node's own environment.

A step is a task; those that ask the same weights of one's own are one task, so that these are loaded once. Its calls to
a server are made by its own process, which is enough: one makes hundreds of calls a second (benchmarks/README.md), more
than servers answer with reasonings. A step that trains or generates asks for GPUs, all others for a processor each.
When a worker is lost its step is owed and runs again elsewhere, from its checkpoint or its ledger. A step that fails is
not tried again: what doesn't need it goes on, then the command ends and says what is owed.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_BAD_INPUT, HeldError, RecipeError, RunError, UnwaverError, pip_install
from unwaver.plain import counted, some
from unwaver.progress import board, say
from unwaver.stages.calls import Workplace
from unwaver.store import Step
from unwaver.study.asked import gpus, local
from unwaver.study.steps import Owed, perform, together

LOSSES_MOST = 3
"""After a worker was lost over the same step so often, the step is the reason."""
LOCK_SECONDS = 60.0
"""How long a step waits for the lock of a worker that was lost over it."""
SHARED_SECONDS = 30.0
"""How long a file written on one node may take to be seen on another."""
LOOK_SECONDS = 2.0
"""Between two looks at what is running."""
NAMED = 12
"""Steps that are named in a message; more are counted."""


def do_all(todo: list[Owed], root: Path, guard: Callable[[Step], None]) -> int:
    """Do the steps, each after those it reads from; how many.

    `guard` raises for a step that must not be done. RunError, or RecipeError where a setting is the reason, when any
    could not be done; it names them and what is owed.
    """
    if not todo:
        return 0
    driver = _Driver(todo, root.resolve(), guard)
    driver.run()
    return len(todo)


Task = list[Owed]
"""Steps that are done together, in one worker."""


class _Driver:
    """Hands out steps and follows them."""

    def __init__(self, todo: list[Owed], root: Path, guard: Callable[[Step], None]) -> None:
        self._ray = connect()
        self._root, self._guard = root, guard
        self._waiting = _tasks(todo)
        self._after = {step.digest: _after(step, todo) for step, _ in todo}
        self._running: dict[Any, Task] = {}
        self._before: dict[str, int] = {}
        """What told a begun step from one that waits for room when it was handed out: see `_begun`."""
        self._failed: dict[str, tuple[Step, UnwaverError]] = {}
        self._losses: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._most = _largest_node(self._ray)
        self._refuse_too_large(todo)

    def run(self) -> None:
        """Until nothing more can be done."""
        totals = Counter(step.stage for task in self._waiting for step, _ in task)
        try:
            with board(dict(totals)) as view:
                while self._hand_out():
                    begun = (step for task in self._running.values() for step, _ in task if self._begun(step))
                    view.show(self._done, Counter(step.stage for step in begun))
                    ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=LOOK_SECONDS)
                    for ref in ended:
                        self._settle(ref)
                view.show(self._done, {})
        finally:
            for ref in self._running:
                self._ray.cancel(ref, force=True)
        if self._failed:
            raise self._unfinished()

    def _refuse_too_large(self, todo: list[Owed]) -> None:
        """No step may wait for ever for GPUs that no node has."""
        for step, recipe in todo:
            if self._most and gpus(step, recipe) > self._most:
                raise RecipeError(
                    f"{step.stage} ({step.name}) needs {gpus(step, recipe)} GPUs on one node; the largest of the "
                    f"cluster's has {self._most}"
                )

    def _hand_out(self) -> bool:
        """Make a task of every step that what it comes after is finished for; False when none is under way."""
        tasks = [*self._waiting, *self._running.values()]
        open_ = {*self._failed, *(step.digest for task in tasks for step, _ in task)}
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            if any(self._after[step.digest] & open_ for step, _ in task):
                self._waiting.append(task)
                continue
            try:
                for step, _ in task:
                    self._guard(step)
            except UnwaverError as error:
                self._failed |= {step.digest: (step, error) for step, _ in task}
                continue
            self._before |= {step.digest: self._mark(step) for step, _ in task}
            needs = max(gpus(*item) for item in task) if self._most else 0
            remote = self._ray.remote(work).options(name=_name(task), num_cpus=1, num_gpus=needs, max_retries=0)
            self._running[remote.remote(task, self._root, Path.cwd())] = task
        return bool(self._running)

    def _settle(self, ref: Any) -> None:
        """Heed what became of a task."""
        task = self._running.pop(ref)
        errors, first = self._ray.exceptions, task[0][0].digest
        try:
            problem: UnwaverError | None = self._ray.get(ref)
        except errors.RayTaskError:
            raise  # a fault of ours, with its traceback
        except errors.RayError as error:
            self._losses[first] += 1
            problem = RunError(f"a worker was lost over it {LOSSES_MOST} times, last: {_short(error)}")
            if self._losses[first] < LOSSES_MOST:
                say(f"{_name(task)}: its worker was lost ({_short(error)}); it runs again")
                self._waiting.append(task)
                return
        if problem is not None:
            say(f"{_name(task)}: {problem}")
        elif not all(_seen(step, self._root) for step, _ in task):
            problem = RunError(f"{self._root}: the Ray cluster's nodes do not share this folder")
        for step, _ in task:
            if problem is None or step.manifest(self._root) is not None:
                self._done[step.stage] += 1
            else:
                self._failed[step.digest] = (step, problem)

    def _mark(self, step: Step) -> int:
        """When the step's settings were last written, which every worker does as it begins; 0: never."""
        try:
            return (step.directory(self._root) / "config.json").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _begun(self, step: Step) -> bool:
        """Whether a worker has begun with a step that was handed out, or it still waits for room."""
        return self._mark(step) != self._before[step.digest]

    def _unfinished(self) -> UnwaverError:
        reasons: dict[str, list[str]] = {}
        for step, error in self._failed.values():
            reasons.setdefault(str(error), []).append(f"{step.stage} ({step.name})")
        told = "\n".join(f"{some(steps, NAMED)}: {error}" for error, steps in reasons.items())
        owed = [step for step, _ in self._failed.values()] + [step for task in self._waiting for step, _ in task]
        names = some([f"{step.stage} ({step.name})" for step in owed], NAMED)
        wrong = any(error.exit_code == EXIT_BAD_INPUT for _, error in self._failed.values())
        kind = RecipeError if wrong else RunError
        return kind(f"{counted(len(owed), 'step is', 'steps are')} owed: {names}; the same command goes on\n{told}")


def _tasks(todo: list[Owed]) -> list[Task]:
    """What is done in one worker: evaluations that share local weights; every other step by itself."""
    found: list[Task] = []
    for group in together(todo):
        found += [group] if any(local(*item) for item in group) else [[item] for item in group]
    return found


def work(task: Task, root: Path, folder: Path) -> UnwaverError | None:
    """One task, on a worker; what is wrong comes back as a value. `folder`: where the command was given."""
    try:
        if folder.is_dir():
            os.chdir(folder)  # file names relative to it mean the same here
        if not all(_seen(other, root) for step, _ in task for other in step.inputs.values()):
            return RunError(f"{root}: a node of the Ray cluster doesn't see this folder; keep runs where all nodes do")
        place = Workplace(root)
        until = time.monotonic() + LOCK_SECONDS
        while left := [item for item in task if item[0].manifest(root) is None]:
            try:
                perform(left, place)
            except HeldError:
                # A lost worker's lock goes with its process, which may take a moment to be gone.
                if time.monotonic() > until:
                    raise
                time.sleep(1.0)
            finally:
                place.close()
    except UnwaverError as error:
        return error
    return None


def _name(task: Task) -> str:
    """For people, and for the process's title."""
    return some([f"{step.stage} {step.name}" for step, _ in task], 1)


def _after(step: Step, todo: list[Owed]) -> set[str]:
    """What a step comes after: those it reads from and, for one that trains, the leak check of its mix, which the guard
    asks for.
    """
    digests = {other.digest for other in step.inputs.values()}
    if step.stage == "train":
        mix = step.inputs["mix"].digest
        digests |= {o.digest for o, _ in todo if o.stage == "overlap" and o.inputs["mix"].digest == mix}
    return digests


def _seen(step: Step, root: Path) -> bool:
    """Whether a finished step's manifest is there, or comes within moments."""
    until = time.monotonic() + SHARED_SECONDS
    while step.manifest(root) is None:
        if time.monotonic() > until:
            return False
        time.sleep(1.0)
    return True


def connect() -> Any:
    """The `ray` module, connected to a running cluster."""
    try:
        import ray
    except ImportError:
        raise RecipeError(f"engine ray: not installed; try: {pip_install('ray')}") from None
    if not ray.is_initialized():
        try:
            ray.init(address=os.environ.get("RAY_ADDRESS") or "auto", log_to_driver=False)
        except ConnectionError:
            raise RecipeError(
                "engine ray: no Ray cluster is running here; start one (ray start --head) or set RAY_ADDRESS"
            ) from None
    return ray


def _largest_node(ray: Any) -> int:
    """GPUs of the node that has most."""
    return max((int(node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"]), default=0)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
