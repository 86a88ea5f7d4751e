"""How long the rule readers take for a trace, and how that grows with its length.

    python benchmarks/rules.py

Reads nothing; prints Markdown. Traces of 500 words are put together out of the scripted teacher's own replies; those of
200,000 characters are made to be slow: one piece repeated that many patterns begin with.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from simulated_server import where

from unwaver.judging.rules import HarmRules, PatternRules, RefusalRules
from unwaver.records import Prompt, Trace
from unwaver.sources import corpus

READERS = (RefusalRules(), PatternRules(), HarmRules("both"))
PIECES = (
    "a",
    '"',
    "i cannot ",
    "a: b\n",
    "maybe i could give safe ",
    "the core is out ",
    "one would need help ",
    "not harmful ",
)


def main() -> None:
    """Print both tables."""
    print(where())
    words = " ".join(f"{row['reasoning']} {row['answer']}" for row in corpus.replies("default")).split()
    starts = [(n * 37) % (len(words) - 500) for n in range(500)]
    traces = [trace(" ".join(words[s : s + 350]), " ".join(words[s + 350 : s + 500])) for s in starts]
    print(f"| all three on a trace of 500 words, ms of CPU | {1000 * seconds(traces) / len(traces):.2f} |")
    for piece in PIECES:
        short, long = (seconds([trace(piece * (size // len(piece)), "No.")]) for size in (50_000, 200_000))
        print(f"| {piece!r}, 200,000 characters, s of CPU (times that of 50,000) | {long:.2f} ({long / short:.1f}) |")


def trace(reasoning: str, answer: str) -> Trace:
    """A trace of a harmful prompt."""
    prompt = Prompt(text="p", kind="harmful", behaviour="b")
    return Trace(prompt=prompt, model="m", reasoning=reasoning, answer=answer, block="closed", ending="stop")


def seconds(traces: Sequence[Trace]) -> float:
    """CPU seconds all three readers take for them."""
    began = time.process_time()
    for one in traces:
        for reader in READERS:
            reader.verdict(one)
    return time.process_time() - began


if __name__ == "__main__":
    main()
