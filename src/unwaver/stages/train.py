"""Train: the mix in, a student out (docs/training.md).

Reads the mix's `examples.jsonl`; writes `model/` (safetensors, tokenizer, model card), `loss.jsonl`, `proof.txt` and
`proof.json`, the manifest, and the examples' tokens beside the mix. It refuses to start unless the decoded tokens show
that reasoning, closing tag, answer and end token are under the loss and the prompt is not. Over-long examples are
dropped and counted, never cut.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unwaver import progress, sources
from unwaver.errors import RecordError
from unwaver.kept import changed, measured, write_whole
from unwaver.models.portable import own_file
from unwaver.models.weights import locate
from unwaver.plain import visible
from unwaver.recipe import Recipe, TrainSettings
from unwaver.records import Example, digest
from unwaver.stages.calls import Workplace, student_of
from unwaver.store import EXAMPLES, RunDir, Step, read_records
from unwaver.training import card, launch
from unwaver.training.encode import Encoded, Proof
from unwaver.training.select import choose
from unwaver.training.student import load_encoder
from unwaver.training.work import LOSS, TRAINED, Work, hold_out, load_about, load_rows, probe, save_rows

SHOWN = 1500
"""Characters of the first proof that are shown when a run starts."""


def run(step: Step, recipe: Recipe, place: Workplace) -> dict[str, Any]:
    """Train the recipe's student on the step's mix; the manifest."""
    launch.check(recipe.train)  # before anything is tokenized
    source = step.inputs["mix"].directory(place.root) / EXAMPLES
    student, steps = student_of(step, recipe, place), step.settings.get("steps")
    recipe = recipe.model_copy(update={"models": {**recipe.models, "student": student}})
    with RunDir.open(step, place.root) as run_dir:
        folder = run_dir.path
        rows, proofs, dropped, kept = _encoded(source, recipe)
        heldout = hold_out(rows, recipe.train.heldout, recipe.seed)
        work = Work(
            student=recipe.models["student"],
            train=recipe.train if steps is None else _enough(recipe.train, steps, len(rows) - len(heldout)),
            steps=steps,
            seed=recipe.seed,
            rows=os.path.relpath(kept, folder),
            heldout=heldout,
            probed=[] if recipe.train.method == "dpo" else probe(rows, heldout, recipe.seed),
        )
        work.save(folder)
        _write_proofs(folder, proofs, recipe)
        if not (folder / TRAINED).is_file():
            launch.start(folder, recipe.train, run_dir.lock)
        facts = _trained(folder)
        _prove_log(folder, facts.pop("log", None))
        if recipe.train.adapters:
            from unwaver.training.merge import merge

            facts["merge"] = merge(folder, work, rows)
        counts = {
            "examples": len(rows) + sum(dropped.values()),
            "trained": len(rows) - len(heldout),
            "held_out": len(heldout),
            "dropped": dict(dropped),
            "parts": dict(Counter(row.part for row in rows)),
        }
        more = {"global_batch": recipe.train.global_batch, **facts}
        _write_cards(folder, recipe, counts, more, steps)
        files = [path for path in sorted(folder.glob("model/**/*")) if path.is_file() and path.name != "README.md"]
        weights = {str(path.relative_to(folder)): measured(path) for path in files}
        return run_dir.finish(counts, weights=weights, **more)


def _trained(folder: Path) -> dict[str, Any]:
    """What the processes left when the weights were there."""
    try:
        found = json.loads((folder / TRAINED).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{folder / TRAINED}: not JSON ({error}); delete {folder} to train again") from None
    if not isinstance(found, dict) or "steps" not in found:
        raise RecordError(f"{folder / TRAINED}: not what a training leaves; delete {folder} to train again")
    return found


def _enough(settings: TrainSettings, steps: int, examples: int) -> TrainSettings:
    """With as many epochs as so many steps take."""
    return settings.model_copy(update={"epochs": math.ceil(steps * settings.global_batch / max(1, examples))})


def _write_cards(
    folder: Path, recipe: Recipe, counts: dict[str, Any], facts: dict[str, Any], steps: int | None
) -> None:
    """A card for the model and, where there is one, for its adapter; `publish` adds what was measured."""
    adapter = folder / "adapter" / "adapter_config.json"
    if adapter.is_file():
        facts = {**facts, "adapter": json.loads(adapter.read_text(encoding="utf-8"))}
    student = recipe.models["student"]
    base = own_file(locate(student.target), "README.md", student.revision)
    text = card.text(recipe, counts, facts, base, later=steps is not None)
    write_whole(folder / "model" / "README.md", text)
    if adapter.is_file():
        write_whole(adapter.with_name("README.md"), card.adapter_text(text))


def _prove_log(folder: Path, was: dict[str, Any] | None) -> None:
    """RecordError where the log is otherwise than the training left it: it is not written again without training."""
    if was is not None and (how := changed(folder / LOSS, was)) is not None:
        raise RecordError(f"{folder / LOSS}: {how}; copy the run again, or delete {folder} to train again")


def _encoded(source: Path, recipe: Recipe) -> tuple[list[Encoded], list[Proof], Counter[str], Path]:
    """What `choose` finds, and the file it is kept in: beside the mix, under the digest of all that decides it, for
    every run over the same mix and student, whatever else is set.
    """
    progress.say("train: loading the student's tokenizer")
    encoder = load_encoder(recipe.models["student"])
    key = digest(
        [
            hashlib.blake2b(source.read_bytes()).hexdigest(),
            encoder.fingerprint(),
            recipe.max_failed,
            recipe.train.max_tokens,
            recipe.train.max_overlong,
        ]
    )
    kept = source.with_name(f"encoded-{key[:16]}.npz")
    if kept.is_file() and (found := _read(kept)) is not None:
        return *found, kept
    rows, proofs, dropped = choose(list(read_records(source, Example)), encoder, recipe)
    save_rows(kept, rows, json.dumps({"proofs": [asdict(proof) for proof in proofs], "dropped": dropped}))
    return rows, proofs, dropped, kept


def _read(kept: Path) -> tuple[list[Encoded], list[Proof], Counter[str]] | None:
    """What is kept; None where the file is torn, and is made again."""
    try:
        about = json.loads(load_about(kept))
        return load_rows(kept), [Proof(**proof) for proof in about["proofs"]], Counter(about["dropped"])
    except Exception as error:  # noqa: BLE001 - numpy reads a header as Python's own, and anything may come of it
        progress.say(f"train: {kept}: can't be read ({error}), and is made again")
        return None


def _write_proofs(folder: Path, proofs: list[Proof], recipe: Recipe) -> None:
    """One example of each part as it is trained: for people, and for the report. One that holds no harmful request is
    shown when a run starts, where there is one.
    """
    pages = [
        f"part {proof.named}: {proof.tokens} tokens, {proof.trained_tokens} trained (between ⟦ and ⟧); "
        f"{f'ends with {proof.end}' if proof.end else 'only begun'}\n\n{proof.text}\n"
        for proof in proofs
    ]
    write_whole(folder / "proof.txt", "\n\n".join(pages))
    harmless = [proof.text for proof in proofs if sources.kind_of(recipe.prompts[proof.part]) != "harmful"]
    text = harmless[0] if harmless else "(harmful requests alone, which are not shown here)"
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."
    progress.say(f"train: the loss is on what stands between ⟦ and ⟧ (all of it in proof.txt)\n{visible(shown)}")
    write_whole(folder / "proof.json", json.dumps([asdict(proof) for proof in proofs], ensure_ascii=False, indent=1))
