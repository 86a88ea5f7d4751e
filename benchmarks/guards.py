"""Guard scoring of 1,000 traces with a tiny local classifier: batches through the stage against one at a time.

Claim: at least 6 times as fast, with the same labels. The classifier is a random Llama as deep as Llama-Guard-3-1B (16
layers) and 16 wide, asked in Llama-Guard's format; it says safe or unsafe depending on the whole prompt, so that a slip
in padding or order shows in the labels. One at a time is the plain loop of published scripts: tokenise, `generate`,
decode, next. Batches go through the real stage: requests, engine, ledger, verdicts. Both have the weights loaded before
the clock starts, compute in float32 and on one thread: with more, so small a model mostly waits for threads, most of
all one at a time, and the claim would be won too cheaply. The two take turns, and the
best of each counts. What is saved is overhead: on a processor long texts (`--words`) are bound by arithmetic, and
batches save less.

    python benchmarks/guards.py [--traces 1000] [--batch 64] [--words 20] [--turns 3]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

# In place of this folder, whose files bear the names of standard modules.
sys.path[0] = str(Path(__file__).parent.parent / "tests")

import tiny
import torch

from unwaver.judging.asked.guards import guard_for
from unwaver.judging.asked.guards.guard import Guard
from unwaver.recipe import Recipe
from unwaver.records import Prompt, Reply, Request, Trace
from unwaver.stages.calls import Calls, Workplace
from unwaver.stages.judge import by_model
from unwaver.store import RunDir, Step

NAME = "Llama-Guard-3-8B"
LEAST, WORDS_MEANT = 6, 20
"""The goal: times one at a time at least, on traces of about so many words."""
WORDS = ["a", "rumour", "about", "the", "neighbour", "hurts", "people", "and", "so", "they", "would", "rather", "tell"]


def traces(count: int, words: int) -> list[Trace]:
    """Traces of very different lengths, `words` on average."""
    drawn = random.Random(0)

    def say(most: int) -> str:
        return " ".join(drawn.choices(WORDS, k=drawn.randint(1, most)))

    return [
        Trace(
            prompt=Prompt(text=f"p{number}", kind="harmful", behaviour=f"Spread rumour {number} about {say(6)}"),
            model="m",
            reasoning=say(words * 8 // 5),
            answer=say(words * 2 // 5),
            ending="stop",
            block="closed",
        )
        for number in range(count)
    ]


def rendered(request: Request) -> str:
    """What the classifier's chat template makes of a request."""
    return "".join(f"[{m.role}]{m.content}" for m in request.messages) + "[assistant]"


def one_at_a_time(folder: Path, reader: Guard, given: list[Trace]) -> tuple[float, list[str | None]]:
    """(seconds, labels) of the plain loop."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    model.train(False)
    labels = []
    began = time.perf_counter()
    for trace in given:
        request = reader.request(trace)
        assert request is not None
        ids = words(rendered(request), return_tensors="pt")
        most = request.sampling.max_tokens
        with torch.inference_mode():
            out = model.generate(**ids, max_new_tokens=most, do_sample=False, pad_token_id=words.eos_token_id)
        text = words.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        labels.append(reader.read(trace, Reply(text=text, ending="stop"), "m").label)
    return time.perf_counter() - began, labels


def in_batches(folder: Path, reader: Guard, given: list[Trace], batch: int) -> tuple[float, list[str | None]]:
    """(seconds, labels) of the stage."""
    guard = {"name": f"hf:{folder}", "batch_size": batch, "concurrency": 8 * batch, "load": {"dtype": "float32"}}
    models = {"student": "openai:none", "guard": guard}
    recipe = Recipe.model_validate(
        {"name": "guards", "models": models, "prompts": {}, "mix": {"parts": {}}, "judge": {"harm": "guard"}}
    )
    place = Workplace(folder.parent / "runs")
    seconds, labels = 0.0, []
    for part in (given[:1], given):
        with RunDir.open(Step("judge", str(len(part)), {"n": len(part)}), place.root) as run:
            calls = Calls(run, place, recipe.max_failed)
            began = time.perf_counter()
            labels = [verdict.label for verdict in by_model(reader, "guard", partial(list, part), recipe, calls)]
            seconds = time.perf_counter() - began
            calls.close()
    return seconds, labels


def main() -> None:
    """Measure and print one line of figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--words", type=int, default=WORDS_MEANT)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    given = traces(options.traces, options.words)
    reader = guard_for(NAME)
    assert reader is not None
    texts = [rendered(request) for request in map(reader.request, given[:60]) if request is not None]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = tiny.guard(Path(name) / NAME, tiny.SAFE_OR_NOT, texts, hidden=16, layers=16)
        turns = []
        for _ in range(options.turns):
            shutil.rmtree(Path(name) / "runs", ignore_errors=True)
            turns.append((in_batches(folder, reader, given, options.batch), one_at_a_time(folder, reader, given)))
    batched, alone = (min(turn[which][0] for turn in turns) for which in (0, 1))
    (_, many), (_, one) = turns[0]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    differ = sum(a != b for a, b in zip(one, many, strict=True))
    met = alone >= LEAST * batched and not differ
    print(
        f"{time.strftime('%Y-%m-%d')} {platform.processor() or platform.machine()} {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}, python {platform.python_version()} commit {commit.strip()}: "
        f"{options.traces} traces of about {options.words} words ({dict(Counter(many))}): one at a time {alone:.1f} s, "
        f"batches of {options.batch} {batched:.1f} s ({alone / batched:.1f} times), {differ} labels differ: "
        f"{'meets' if met else 'MISSES'} the goal of {LEAST} times and no label (set for {WORDS_MEANT} words)"
    )
    raise SystemExit(0 if met else 1)


if __name__ == "__main__":
    main()
