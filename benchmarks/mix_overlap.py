"""A mix of 100,000 synthetic traces and its check for overlap with 2,000 evaluation texts: seconds and peak memory.

Claim: under 2 minutes and 2 GB on two cores, through the real stages `mix` and `overlap`, from files to files, in a
process of its own. All traces are drawn. Their prompts are made of the words of the evaluation texts, so that no word
can be passed over, and every hundredth holds an evaluation text, all of which must be found. Half of both sides share
one of twenty long templates, the hardest case there is.

    python benchmarks/mix_overlap.py [--traces 100000] [--evaluation 2000] [--words 500]
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unwaver.recipe import Recipe
from unwaver.records import Prompt, Trace, Verdict
from unwaver.stages import mix, overlap
from unwaver.stages.calls import Workplace
from unwaver.store import RunDir, Step

VOCABULARY = 20_000
TEMPLATES = 20
TEMPLATE_WORDS = 120
REPLY_WORDS = 500
"""Words of a reply; the study's default traces have 566 tokens on average."""

RECIPE = Recipe.model_validate(
    {
        "name": "benchmark",
        "models": {"student": "hf:none/none"},
        "prompts": {"safety": {"source": "file", "path": "none.jsonl", "kind": "harmful"}},
        "mix": {"parts": {"safety": "all"}, "overlap": "report"},
    }
)
EVALUATED, ASKED = (Step("prompts", name, {"source": name}) for name in ("evaluation", "safety"))
DISTIL = Step("distil", "safety", {}, {"prompts": ASKED})
JUDGE = Step("judge", "safety", {}, {"distil": DISTIL})
MIX = Step("mix", "arm", {}, {"safety": JUDGE})
OVERLAP = Step("overlap", "arm", {}, {"mix": MIX, "evaluation": EVALUATED})


def texts(seed: int, count: int, length: int, templates: list[str]) -> Iterator[str]:
    """Texts of about `length` words, common words common; every second one in a template."""
    random = np.random.default_rng(seed)
    for number in range(count):
        drawn = np.minimum(random.zipf(1.3, max(9, int(random.normal(length, length / 4)))), VOCABULARY)
        text = " ".join(f"w{word}" for word in drawn.tolist())
        yield f"{templates[number % len(templates)]} {text}" if number % 2 else text


def write(root: Path, args: argparse.Namespace) -> None:
    """What the stages before would have left."""
    random = np.random.default_rng(0)
    templates = [
        " ".join(f"w{word}" for word in random.integers(1, VOCABULARY, TEMPLATE_WORDS).tolist())
        for _ in range(TEMPLATES)
    ]
    evaluation = list(texts(1, args.evaluation, 40, templates))
    reply = " ".join(f"w{word}" for word in random.integers(1, VOCABULARY, REPLY_WORDS).tolist())

    def traces() -> Iterator[Trace]:
        for number, text in enumerate(texts(2, args.traces, args.words, templates)):
            planted = f"{text} {evaluation[number // 100 % len(evaluation)]}" if number % 100 == 0 else text
            prompt = Prompt(text=planted, kind="harmful", behaviour=f"behaviour {number}")
            yield Trace(prompt=prompt, model="m", reasoning=reply, answer="No.", block="closed", ending="stop")

    ids: list[str] = []

    def noted() -> Iterator[Trace]:
        for trace in traces():
            ids.append(trace.id)
            yield trace

    def verdicts() -> Iterator[Verdict]:
        for rubric, label in (("guard", "safe"), ("risky-patterns", "none"), ("refusal", "refusal")):
            for trace in ids:
                yield Verdict(trace=trace, rubric=f"{rubric}@1", judge="rules@1", looked_at="both", label=label)

    prompts = (Prompt(text=text, kind="benign") for text in evaluation)
    for step, name, records in (
        (EVALUATED, "prompts", prompts),
        (ASKED, "prompts", ()),
        (DISTIL, "traces", noted()),
        (JUDGE, "verdicts", verdicts()),
    ):
        with RunDir.open(step, root) as out:
            out.finish({"written": out.write(f"{name}.jsonl", records)})


def do(root: Path) -> None:
    """The two stages; says seconds by the clock and of the processor, memory, and what was found."""
    spent = {}
    for name, step, stage in (("mix", MIX, mix), ("overlap", OVERLAP, overlap)):
        began, worked = time.perf_counter(), time.process_time()
        manifest = stage.run(step, RECIPE, Workplace(root))
        spent[name] = [time.perf_counter() - began, time.process_time() - worked]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"spent": spent, "peak": peak, "found": manifest["counts"]["sets"]["evaluation"]}))


def main() -> None:
    """Measure and print one line of figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=int, default=100_000)
    parser.add_argument("--evaluation", type=int, default=2_000)
    parser.add_argument("--words", type=int, default=500)
    parser.add_argument("--do", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.do:
        do(args.do)
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), args)
        command = [sys.executable, __file__, "--do", folder]
        made = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    planted = min(args.evaluation, (args.traces + 99) // 100)
    seconds = ", ".join(f"{name} {wall:.1f} s ({cpu:.1f} of a core)" for name, (wall, cpu) in made["spent"].items())
    print(
        f"{time.strftime('%Y-%m-%d')} {platform.processor() or platform.machine()} python {platform.python_version()} "
        f"commit {commit.strip()}: {args.traces} traces of about {args.words} words against {args.evaluation} texts: "
        f"{seconds}, peak {made['peak']:.2f} GiB; {made['found']['exact']} exact of {planted} planted, "
        f"{made['found']['ngram']} by templates"
    )


if __name__ == "__main__":
    main()
