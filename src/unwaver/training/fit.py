"""One training run, in one process of possibly several.

Reads a folder prepared by `stages.train` (`work.json` and the encoded examples), writes `checkpoints/`, `loss.jsonl`,
`model/` (or `adapter/`) and last `trained.json`. Started again after any interruption it goes on from the newest
complete checkpoint, with the same batches and random state, and cuts `loss.jsonl` back to it first.

Trained weights are float32 and matrix products bfloat16 where the machine has it: at the paper's learning rate an
update is smaller than a bfloat16 weight can show, so weights in bfloat16 alone would hardly move.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import shutil
import time
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, TrainerCallback

from unwaver import progress
from unwaver.errors import RecordError, RunError
from unwaver.kept import measured, settle, write_last, write_whole
from unwaver.models.loading import check_tokens
from unwaver.models.portable import make_portable, take_after
from unwaver.models.weights import locate
from unwaver.store import disk_errors, parse_row, read_lines, to_line
from unwaver.training import attention, heap, settings
from unwaver.training.batches import BatchPlan
from unwaver.training.encode import Encoded
from unwaver.training.planned import Planned
from unwaver.training.preference import PairTrainer
from unwaver.training.trainer import SpanTrainer
from unwaver.training.work import LOSS, TRAINED, Work, load_rows, training_plan

COMPLETE = "complete"
"""The file that is written into a checkpoint last."""

PREFERENCE = {"rewards/accuracies": "preferred", "rewards/margins": "margin"}
"""What TRL tells of a step's pairs, and what `loss.jsonl` calls it: the mean over the step's forward passes."""


class _Keeper(TrainerCallback):
    """Writes `loss.jsonl`, marks checkpoints complete, measures the held-out loss, and stops at a loss that is none."""

    trainer: Planned

    def __init__(self, folder: Path, work: Work, the_plan: BatchPlan, rows: Sequence[Encoded]) -> None:
        self.folder, self.work = folder, work
        self.last = len(the_plan.steps)
        drawn = [the_plan.examples(step) for step in range(self.last)]
        self.trained = [0, *accumulate(sum(rows[i].trained_tokens for i in step) for step in drawn)]
        seen = accumulate(len(step) for step in drawn)
        self.epochs = [0.0, *(round(count / the_plan.examples_per_epoch, 4) for count in seen)]
        self.perplexity: dict[str, Any] | None = None
        self.gap: float | None = None
        self.held: float | None = None
        self.started, self.before = time.monotonic(), 0.0
        self.bars = contextlib.ExitStack()
        self.bar = progress.Bar()

    def rewind(self, step: int) -> None:
        """Cut `loss.jsonl` back to a step, from which training goes on."""
        path = self.folder / LOSS
        kept = _logged(path, step) if path.is_file() and step else []
        self.before = max((row["seconds"] for row in kept if "seconds" in row), default=0.0)
        write_whole(path, "".join(to_line(row) for row in kept))

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.held = self.trainer.weights_held()  # before a forward pass, after which FSDP keeps the last weights whole
        self.gap = self.trainer.prove_apart()
        self._probe(state)
        if state.global_step == 0:
            self._measure(state)
        if state.is_world_process_zero:
            self.bar = self.bars.enter_context(progress.bar("train", self.last))
            self.bar.advance(state.global_step)
        self.started = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step in (math.ceil(self.last / 2), self.last):
            self._measure(state)
        if state.global_step == self.last:
            control.should_save = False  # the model itself is written next

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if not logs or "loss" not in logs:
            return
        step = state.global_step
        for what in ("loss", "grad_norm"):
            if not math.isfinite(logs.get(what, 0.0)):
                raise RunError(
                    f"{self.folder}: step {step}: the {what.replace('_', ' ')} is {logs[what]}; nothing was saved "
                    'after the step before. Lower train.learning_rate, or set train.dtype = "float32", and start again'
                )
        self._write(
            state,
            {
                "step": step,
                "epoch": self.epochs[step],
                "loss": logs["loss"],
                "learning_rate": logs["learning_rate"],
                "grad_norm": logs.get("grad_norm"),
                "trained_tokens": self.trained[step],
                "seconds": round(self.before + time.monotonic() - self.started, 2),
                **{ours: logs[theirs] for theirs, ours in PREFERENCE.items() if theirs in logs},
            },
        )
        self.bar.advance()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            write_last(self.folder / "checkpoints" / f"checkpoint-{state.global_step}" / COMPLETE, "")

    def _probe(self, state: Any) -> None:
        """The student's perplexity by part, measured once and before the first step."""
        path = self.folder / "perplexity.json"
        self.perplexity = _measured_before(path)
        if self.perplexity is not None:
            return
        if self.work.probed and self.work.train.perplexity and state.global_step == 0:
            found = self.trainer.part_losses(self.work.probed, "perplexity")
            self.perplexity = {part: {"perplexity": math.exp(entry["loss"]), **entry} for part, entry in found.items()}
            if state.is_world_process_zero:
                write_last(path, json.dumps(self.perplexity, indent=1))

    def _measure(self, state: Any) -> None:
        step = state.global_step
        for part, entry in self.trainer.part_losses(self.work.heldout).items():
            row = {"step": step, "epoch": self.epochs[step], "part": part}
            self._write(state, {**row, "heldout_loss": entry.pop("loss"), **entry})

    def _write(self, state: Any, row: dict[str, Any]) -> None:
        if state.is_world_process_zero:
            with (self.folder / LOSS).open("a", encoding="utf-8") as out:
                out.write(to_line(row))


def _measured_before(path: Path) -> dict[str, Any] | None:
    """The perplexities in a file; None where there is none, or it is torn."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {part: {**entry, "perplexity": float(entry["perplexity"])} for part, entry in found.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _logged(path: Path, step: int) -> list[dict[str, Any]]:
    """The rows of a log up to a step; RecordError where it is torn before that one. What is torn behind it is cut."""
    kept: list[dict[str, Any]] = []
    for number, _, line in read_lines(path):
        try:
            row = parse_row(line, f"{path}:{number}")
        except RecordError:
            if kept and kept[-1]["step"] == step:
                break
            raise
        if row.get("step", step + 1) <= step:
            kept.append(row)
    return kept


def fit(folder: Path) -> None:
    """Train what the folder says, or go on with it; every process of a launch calls this."""
    with contextlib.nullcontext() if torch.cuda.is_available() else heap.kept(), disk_errors(folder):
        try:
            _fit(folder)
        finally:
            gc.collect()  # the trainer and its callbacks hold one another, and the weights


def _fit(folder: Path) -> None:
    work, started = Work.load(folder), time.monotonic()
    rows = load_rows(folder / work.rows)
    the_plan = training_plan(work, rows, int(os.environ.get("WORLD_SIZE", "1")))
    config = settings.trl_config(work, the_plan, folder, attention.rows_without_padding(work.student))
    adapters = settings.lora_config(work.train)  # a wrong key is told before weights are loaded
    first = config.process_index == 0
    if first:
        told = ", ".join(f"{what}: {value}" for what, value in settings.machine().items() if what != "QLoRA")
        progress.say(f"train: loading {work.student.label} ({told})")
    keeper = _Keeper(folder, work, the_plan, rows)
    trainer = keeper.trainer = _trainer(work, rows, the_plan, args=config, peft_config=adapters, callbacks=[keeper])
    how = trainer.ran()
    done = _newest_checkpoint(folder, first)
    step = int(done.name.rpartition("-")[2]) if done else 0
    if first:
        keeper.rewind(step)
    trainer.accelerator.wait_for_everyone()
    with keeper.bars:
        trainer.train(resume_from_checkpoint=str(done) if done else None)
    _save(trainer, folder, work)
    if first:
        drawn = [index for number in range(keeper.last) for index in the_plan.examples(number)]
        facts = {
            **how,
            "weights_held": keeper.held,
            "attention": trainer.attention,
            "padding_free": trainer.padding_free,
            "gap_in_row": keeper.gap,
            "device": str(config.device),
            "processes": the_plan.processes,
            "accumulation": the_plan.accumulation,
            "steps": keeper.last,
            "trained_tokens": keeper.trained[-1],
            "tokens": sum(rows[index].tokens for index in drawn),
            "settings": settings.effective(config),
            "perplexity": keeper.perplexity,
            "resumed_at": step or None,
            "train_seconds": round(keeper.before + time.monotonic() - keeper.started, 2),
            "load_seconds": round(keeper.started - started, 2),
            "log": measured(folder / LOSS),
        }
        write_last(folder / TRAINED, json.dumps(facts, indent=1))
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.free_memory()


def _trainer(work: Work, rows: Sequence[Encoded], the_plan: BatchPlan, **kwargs: Any) -> Planned:
    """Of examples, or of pairs; then with the student once more as the reference, unless adapters can be left out."""
    student, train = work.student, work.train
    kwargs["model"] = settings.load_student(student, train)
    check_tokens(student.name, kwargs["model"], (max(row.input_ids) for row in rows))
    kwargs["processing_class"] = AutoTokenizer.from_pretrained(locate(student.target), revision=student.revision)
    if train.method != "dpo":
        return SpanTrainer(rows, the_plan, **kwargs)
    reference = None if train.adapters else settings.load_student(student, train).requires_grad_(False)
    return PairTrainer(rows, the_plan, ref_model=reference, **kwargs)


def _save(trainer: Planned, folder: Path, work: Work) -> None:
    """Write `model/`, or `adapter/`, there entirely or not at all, in the type the student came in."""
    name = "adapter" if work.train.adapters else "model"
    if name == "model" and not (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        trainer.accelerator.unwrap_model(trainer.model).to(settings.own_dtype(work.student))
    part = folder / f"{name}.part"
    trainer.save_model(str(part))
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        shutil.rmtree(folder / name, ignore_errors=True)
        # The one pickle the trainer leaves; it says nothing that the manifest doesn't.
        (part / "training_args.bin").unlink(missing_ok=True)
        if name == "model":
            take_after(part, locate(work.student.target), work.student.revision)
        else:
            (part / "README.md").unlink(missing_ok=True)  # a blank of the library's; ours is written with the facts
            make_portable(part)
        settle(part)
        part.rename(folder / name)


def _newest_checkpoint(folder: Path, first: bool) -> Path | None:
    """The newest checkpoint that was written to its end; what was not is removed."""
    complete = []
    for path in (folder / "checkpoints").glob("checkpoint-*"):
        if (path / COMPLETE).is_file():
            complete.append(path)
        elif first:
            shutil.rmtree(path)
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
