"""What a training process is handed: the settings and the tokens, in files that hold no code.

`Work` is `work.json`, the rows are `encoded-<digest>.npz`; both are written by the stage before any process starts and
read by each of them.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from unwaver.recipe import ModelSettings, TrainSettings
from unwaver.store import write_whole
from unwaver.training.encode import Encoded

WORK = "work.json"
TRAINED = "trained.json"
"""Written last by the processes: the proof that the weights are there."""

PERPLEXITY_EXAMPLES = 8
"""Examples of each part whose perplexity is measured: some hundred tokens each, enough to tell recipes apart."""


class Work(BaseModel):
    """One training run, all decided."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    student: ModelSettings
    train: TrainSettings
    seed: int
    rows: str
    """The file of encoded examples."""
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


def save_rows(path: Path, rows: Sequence[Encoded]) -> None:
    """Encoded examples as one file of plain arrays."""
    part = path.with_name(f"part-{path.name}")
    np.savez(
        part,
        ids=np.concatenate([np.asarray(row.input_ids, dtype=np.int32) for row in rows]),
        trained=np.concatenate([np.asarray(row.trained, dtype=bool) for row in rows]),
        ends=np.cumsum([len(row.input_ids) for row in rows]),
        prompt_tokens=np.asarray([row.prompt_tokens for row in rows]),
        part=np.asarray([row.part for row in rows], dtype=np.str_),
        kind=np.asarray([row.kind for row in rows], dtype=np.str_),
    )
    part.replace(path)


def load_rows(path: Path) -> list[Encoded]:
    """What `save_rows` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        ends = arrays["ends"].tolist()
        starts = [0, *ends[:-1]]
        ids, trained = arrays["ids"], arrays["trained"]
        return [
            Encoded(ids[start:end].tolist(), trained[start:end].tolist(), prompt_tokens, part, kind)
            for start, end, prompt_tokens, part, kind in zip(
                starts,
                ends,
                arrays["prompt_tokens"].tolist(),
                arrays["part"].tolist(),
                arrays["kind"].tolist(),
                strict=True,
            )
        ]


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
