"""Train: the mix in, a student out (docs/training.md).

Reads the mix's `examples.jsonl`; writes `model/` (safetensors, tokenizer, model card), `loss.jsonl`, `proof.txt` and
`proof.json`, the manifest, and the examples' tokens beside the mix. It refuses to start unless the decoded tokens show
that reasoning, closing tag, answer and end token are under the loss and the prompt is not. Over-long examples are
dropped and counted, never cut.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unwaver import progress
from unwaver.plain import visible
from unwaver.recipe import Recipe
from unwaver.records import Example, digest
from unwaver.stages.calls import Place
from unwaver.stages.mix import EXAMPLES
from unwaver.store import RunDir, Step, read_records, write_whole
from unwaver.training import card, launch
from unwaver.training.encode import Encoded, Proof
from unwaver.training.select import choose
from unwaver.training.student import load_encoder
from unwaver.training.work import TRAINED, Work, hold_out, load_about, load_rows, probe, save_rows

SHOWN = 1500
"""Characters of the first proof that are shown when a run starts."""


def run(step: Step, recipe: Recipe, place: Place) -> dict[str, Any]:
    """Train the recipe's student on the step's mix; the manifest."""
    source = step.inputs["mix"].directory(place.root) / EXAMPLES
    with RunDir.open(step, place.root) as run_dir:
        folder = run_dir.path
        rows, proofs, dropped, kept = _encoded(source, recipe)
        heldout = hold_out(rows, recipe.train.heldout, recipe.seed)
        work = Work(
            student=recipe.models["student"],
            train=recipe.train,
            seed=recipe.seed,
            rows=os.path.relpath(kept, folder),
            heldout=heldout,
            probed=probe(rows, heldout, recipe.seed),
        )
        work.save(folder)
        _write_proofs(folder, proofs)
        if not (folder / TRAINED).is_file():
            launch.start(folder, recipe.train)
        facts: dict[str, Any] = json.loads((folder / TRAINED).read_text(encoding="utf-8"))
        if recipe.train.method != "full":
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
        write_whole(folder / "model" / "README.md", card.text(recipe, counts, more))
        return run_dir.finish(counts, **more)


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
    if kept.is_file():
        about = json.loads(load_about(kept))
        return load_rows(kept), [Proof(**proof) for proof in about["proofs"]], Counter(about["dropped"]), kept
    rows, proofs, dropped = choose(list(read_records(source, Example)), encoder, recipe)
    save_rows(kept, rows, json.dumps({"proofs": [asdict(proof) for proof in proofs], "dropped": dropped}))
    return rows, proofs, dropped, kept


def _write_proofs(folder: Path, proofs: list[Proof]) -> None:
    """One example of each part as it is trained: for people, and for the report."""
    pages = [
        f"part {proof.part}: {proof.tokens} tokens, {proof.trained_tokens} trained (between ⟦ and ⟧); "
        f"ends with {proof.end}\n\n{proof.text}\n"
        for proof in proofs
    ]
    write_whole(folder / "proof.txt", "\n\n".join(pages))
    shown = proofs[0].text if len(proofs[0].text) <= SHOWN else f"{proofs[0].text[:SHOWN]} ..."
    progress.say(f"train: the loss is on what stands between ⟦ and ⟧ (all of it in proof.txt)\n{visible(shown)}")
    write_whole(folder / "proof.json", json.dumps([asdict(proof) for proof in proofs], ensure_ascii=False, indent=1))
