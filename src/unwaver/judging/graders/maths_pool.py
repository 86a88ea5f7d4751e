"""Worker processes that settle what needs algebra, each killed when it does not answer in time.

Takes pairs of short texts, gives `(same, why)` for each in the same order. Guarantees that one pair costs at most its
time-out: no handler of a signal can interrupt a big-integer power, a kill can. Lines of JSON over pipes, no pickle.
Workers start when they are first needed, and end with the pool, with its owner, or by their own limits.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Sequence

from unwaver.errors import RunError

START_S = 120.0
"""Seconds on the clock a worker may take to import sympy and math-verify; under one on an idle machine."""

PATIENCE = 10.0
"""Times its time-out that a pair may take on the clock: the time-out is of the processor, which others use too."""

NOT_STARTED = "a maths worker did not start; `python -m unwaver.judging.graders.maths_worker` shows its message"

Settled = tuple[bool | None, str]
"""Whether the two texts are the same, and why that is not known where it is None."""


class _Worker:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "unwaver.judging.graders.maths_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests, self.replies = self.process.stdin, self.process.stdout
        self.job: int | None = None
        self.asked = 0
        self.child: int | None = None
        """The process that answers, or None until it is ready. Only it is killed when time runs out: its successor is
        forked from one that has imported everything."""
        self.deadline = time.monotonic() + START_S

    def ask(self, job: int, pair: tuple[str, str], seconds: float) -> None:
        self.job, self.asked, self.deadline = job, self.asked + 1, time.monotonic() + PATIENCE * seconds
        line = json.dumps({"id": self.asked, "answer": pair[0], "target": pair[1], "seconds": seconds}) + "\n"
        with contextlib.suppress(BrokenPipeError):  # it died while idle: its end of the other pipe tells
            self.requests.write(line.encode("ascii"))

    def kill_child(self) -> None:
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.child, signal.SIGKILL)
        self.job, self.child, self.deadline = None, None, time.monotonic() + START_S

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.kill_child()
        self.requests.close()
        self.replies.close()


def _kill_all(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().kill()


class Pool:
    """`workers` processes; `timeout_s` seconds of a processor for one pair. For one thread at a time."""

    def __init__(self, workers: int, timeout_s: float) -> None:
        self._size, self._timeout_s = workers, timeout_s
        self._late = f"not settled within {timeout_s:g} s"
        self._workers: list[_Worker] = []
        weakref.finalize(self, _kill_all, self._workers)

    def close(self) -> None:
        """Kill the workers."""
        _kill_all(self._workers)

    def settle(self, pairs: Sequence[tuple[str, str]]) -> list[Settled]:
        """Settle every `(answer, target)`; nothing is left running when this is interrupted."""
        settled: list[Settled] = [(None, "not reached")] * len(pairs)
        waiting = deque(range(len(pairs)))
        try:
            while waiting or any(worker.job is not None for worker in self._workers):
                while len(self._workers) < min(self._size, len(waiting)):
                    self._workers.append(_Worker())
                for worker in self._workers:
                    if worker.child is not None and worker.job is None and waiting:
                        job = waiting.popleft()
                        worker.ask(job, pairs[job], self._timeout_s)
                self._wait(settled)
        except BaseException:
            self.close()
            raise
        return settled

    def _wait(self, settled: list[Settled]) -> None:
        """Take the answers that are there, and kill what ran out of time."""
        busy = [worker for worker in self._workers if worker.job is not None or worker.child is None]
        seconds = min(worker.deadline for worker in busy) - time.monotonic()
        ready = select.select([worker.replies for worker in busy], [], [], max(0.0, seconds))[0]
        for worker in busy:
            if worker.replies in ready:
                self._take(worker, settled)
            elif worker.deadline <= time.monotonic():
                if worker.job is None:
                    raise RunError(NOT_STARTED)
                settled[worker.job] = (None, self._late)
                worker.kill_child()

    def _take(self, worker: _Worker, settled: list[Settled]) -> None:
        line = worker.replies.readline()
        reply = json.loads(line) if line.endswith(b"\n") else {}
        if not reply and worker.child is None:
            raise RunError(NOT_STARTED)
        if worker.job is not None and reply.get("id", worker.asked) == worker.asked:
            died = self._late if reply.get("late") else "the worker died, most likely of its memory limit"
            settled[worker.job] = (reply.get("same"), reply.get("why", died))
            worker.job = None
        worker.child = reply.get("pid", worker.child)
        if not reply:
            self._workers.remove(worker)
            worker.kill()
