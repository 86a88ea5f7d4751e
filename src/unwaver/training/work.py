"""What a training process is handed: the settings and the tokens, in files that hold no code.

`Work` is `work.json` in the run's folder, the rows are `encoded-<digest>.npz` beside the mix they were made of; both
are written by the stage before any process starts and read by each of them.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from unwaver.kept import whole, write_whole
from unwaver.recipe import ModelSettings, TrainSettings
from unwaver.training.batches import BatchPlan, plan
from unwaver.training.encode import Encoded

WORK = "work.json"
LOSS = "loss.jsonl"
TRAINED = "trained.json"
"""Written last by the processes: the proof that the weights are there."""

PERPLEXITY_EXAMPLES = 8
"""Examples of each part whose perplexity is measured: some hundred tokens each, enough to tell recipes apart."""

Replies = Iterator[tuple[list[int], list[bool]]]
"""Replies as tokens, and which of them are trained."""


class Work(BaseModel):
    """One training run, all decided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    student: ModelSettings
    train: TrainSettings
    steps: int | None = None
    """Where the plan ends; None: after the epochs."""
    seed: int
    rows: str
    """The file of encoded examples, from the run's folder on."""
    heldout: list[int]
    """Indices of the examples kept out of training."""
    probed: list[int]
    """Indices of the examples whose perplexity is measured before training."""

    def save(self, folder: Path) -> None:
        """Write `work.json`."""
        write_whole(folder / WORK, self.model_dump_json(indent=1))

    @classmethod
    def load(cls, folder: Path) -> Work:
        """Read `work.json`."""
        return cls.model_validate_json((folder / WORK).read_text(encoding="utf-8"))


def save_rows(path: Path, rows: Sequence[Encoded], about: str) -> None:
    """Encoded examples, and a text about them, as one file of plain arrays."""
    rejected = [row.rejected for row in rows if row.rejected is not None]
    pairs = {f"rejected_{name}": values for name, values in _arrays(rejected).items()} if rejected else {}
    with whole(path, on_disk=True) as out:  # several runs may share a mix, at the same time too
        np.savez(
            out,
            **_arrays(rows),
            **pairs,
            prompt_tokens=np.asarray([row.prompt_tokens for row in rows]),
            part=np.asarray([row.part for row in rows], dtype=np.str_),
            kind=np.asarray([row.kind for row in rows], dtype=np.str_),
            paired=np.asarray([row.rejected is not None for row in rows], dtype=bool),
            about=np.asarray(about, dtype=np.str_),
        )


def _arrays(rows: Sequence[Encoded]) -> dict[str, Any]:
    """The tokens one after another, which are trained, and where each example ends."""
    return {
        "ids": np.concatenate([np.asarray(row.input_ids, dtype=np.int32) for row in rows]),
        "trained": np.concatenate([np.asarray(row.trained, dtype=bool) for row in rows]),
        "ends": np.cumsum([len(row.input_ids) for row in rows]),
    }


def load_about(path: Path) -> str:
    """The text that `save_rows` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return str(arrays["about"])


def load_rows(path: Path) -> list[Encoded]:
    """The examples that `save_rows` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        about = zip(*(arrays[name].tolist() for name in ("prompt_tokens", "part", "kind", "paired")), strict=True)
        replies = _replies(arrays, "")
        others: Replies = _replies(arrays, "rejected_") if "rejected_ids" in arrays else iter(())
        rows = []
        for (ids, trained), (prompt_tokens, part, kind, paired) in zip(replies, about, strict=True):
            other = Encoded(*next(others), prompt_tokens, part, kind) if paired else None
            rows.append(Encoded(ids, trained, prompt_tokens, part, kind, other))
        return rows


def _replies(arrays: Any, prefix: str) -> Replies:
    """The tokens of each reply, and which are trained, of the arrays whose names begin so."""
    ids, trained, ends = (arrays[f"{prefix}{name}"] for name in ("ids", "trained", "ends"))
    for start, end in pairwise([0, *ends.tolist()]):
        yield ids[start:end].tolist(), trained[start:end].tolist()


def by_part(rows: Sequence[Encoded], indices: Iterable[int]) -> dict[str, list[int]]:
    """Indices by the part they belong to."""
    parts: dict[str, list[int]] = defaultdict(list)
    for index in indices:
        parts[rows[index].part].append(index)
    return dict(parts)


def hold_out(rows: Sequence[Encoded], share: float, seed: int) -> list[int]:
    """The indices kept out of training: this share of each part, rounded down, drawn by seed."""
    generator = random.Random(seed)
    kept: list[int] = []
    for indices in by_part(rows, range(len(rows))).values():
        kept += generator.sample(indices, int(len(indices) * share))
    return sorted(kept)


def probe(rows: Sequence[Encoded], heldout: Sequence[int], seed: int) -> list[int]:
    """The indices whose perplexity is measured: at most `PERPLEXITY_EXAMPLES` of what each part trains on."""
    generator = random.Random(seed)
    out = set(heldout)
    chosen: list[int] = []
    for indices in by_part(rows, (i for i in range(len(rows)) if i not in out)).values():
        chosen += generator.sample(indices, min(PERPLEXITY_EXAMPLES, len(indices)))
    return sorted(chosen)


def training_plan(work: Work, rows: Sequence[Encoded], processes: int) -> BatchPlan:
    """The plan for the rows that are not held out; its indices are those of all rows."""
    out = set(work.heldout)
    kept = [index for index in range(len(rows)) if index not in out]
    made = plan(
        [rows[i].tokens for i in kept],
        [(rows[i].part, rows[i].kind) for i in kept],
        work.train,
        processes,
        work.seed,
    )
    return replace(made, steps=made.steps[: work.steps]).renumbered([*kept, len(rows)])
