"""An adapter made one with the weights it was trained on, and the proof that nothing changed by it.

Reads `adapter/`, writes `model/`. The base is loaded afresh in float32, so that the sum is not rounded twice. For QLoRA
this is the base before it was quantised: what is proved is that the sum equals the adapter over that base, not over the
4-bit weights it was trained on.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoTokenizer

from unwaver.errors import RunError
from unwaver.kept import settle
from unwaver.models.loading import load_weights
from unwaver.models.portable import take_after
from unwaver.models.weights import locate
from unwaver.store import disk_errors
from unwaver.training.encode import Encoded
from unwaver.training.settings import own_dtype
from unwaver.training.work import Work

LARGEST_GAP = 1e-3
"""Largest difference of a log probability between adapter and merged weights that float32 rounding explains."""


def merge(folder: Path, work: Work, rows: Sequence[Encoded]) -> dict[str, float]:
    """Write `model/`; the largest difference, in nats, of its log probabilities of one example to the adapter's."""
    path = locate(work.student.target)
    options = {key: value for key, value in work.student.load.items() if key in ("trust_remote_code", "subfolder")}
    base = load_weights(work.student.name, path, work.student.revision, dtype=torch.float32, **options)
    model: Any = PeftModel.from_pretrained(base, str(folder / "adapter"))
    model.eval()
    row = min(rows, key=lambda row: len(row.input_ids))
    before = _log_probabilities(model, row)
    model = model.merge_and_unload()
    gap = float((before - _log_probabilities(model, row)).abs().max())
    if not gap <= LARGEST_GAP:
        raise RunError(f"{folder}: the merged weights differ from the adapter by {gap:.3g} nats; adapter/ is kept")
    model.to(own_dtype(work.student))
    part = folder / "model.part"
    shutil.rmtree(part, ignore_errors=True)
    with disk_errors(part):
        model.save_pretrained(part)
        AutoTokenizer.from_pretrained(path, revision=work.student.revision).save_pretrained(part)
        take_after(part, path, work.student.revision)
    settle(part)
    shutil.rmtree(folder / "model", ignore_errors=True)
    part.rename(folder / "model")
    del base, model
    gc.collect()
    return {"largest_gap": gap, "tokens": len(row.input_ids)}


def _log_probabilities(model: Any, row: Encoded) -> torch.Tensor:
    ids = torch.tensor([row.input_ids])
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0, :-1]
    return logits.log_softmax(-1).gather(-1, ids[0, 1:, None])
