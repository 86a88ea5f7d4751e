"""Evaluate the small model on every set, PAIR's attacker and judge scripted, and print what came out as a table.

`--data` is a folder with advbench50.jsonl, advbench50_pap.jsonl, xstest_prompts.csv and math500.jsonl. Of MATH-500 the
first 20 problems are asked. Given again, it goes on where it was; the report lies under `--root`.

    python tools/evaluate_small.py --data FOLDER [--root runs/evaluation-small] [--limit N]
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unwaver.records import Estimate
from unwaver.report.write import write_report
from unwaver.study.results import collect
from unwaver.study.run import do
from unwaver.verbs import open_recipe

HERE = Path(__file__).parent.parent
RECIPE = HERE / "recipes" / "evaluation-small.toml"
FILES = {
    "advbench": "advbench50.jsonl",
    "pap": "advbench50_pap.jsonl",
    "xstest": "xstest_prompts.csv",
    "xstest-contrast": "xstest_prompts.csv",
}
MATHS = 20
PORT = "18765"
"""As in the recipe: the address of a model is part of its run's name, so a run that goes on needs the same one."""
MEASURES = ("asr", "asr_answer", "refusal", "over_refusal", "accuracy")


@contextmanager
def scripted_server() -> Iterator[None]:
    """The attacker and the judge, while they play."""
    with tempfile.TemporaryDirectory() as name:
        port, log = Path(name) / "port", Path(name) / "log"
        command = [sys.executable, str(HERE / "tests" / "scripted_server.py"), str(port), str(log), "--port", PORT]
        server = subprocess.Popen(command)
        try:
            while not port.exists():
                if server.poll() is not None:
                    raise SystemExit("the scripted server did not start")
                time.sleep(0.05)
            yield
        finally:
            server.kill()
            server.wait()


def percent(value: float | None) -> str:
    """A rate as the table has it."""
    return "none" if value is None else f"{100 * value:.1f}"


def line(one: Estimate) -> str:
    """A row of the table."""
    shown = "none" if one.value is None else f"{percent(one.value)} %"
    ends = "" if one.low is None else f"{percent(one.low)} to {percent(one.high)}"
    return f"| {one.slice} | `{one.metric}` | {shown} | {ends} | {one.n} | {one.n_unscored} | {one.n_truncated} |"


def main() -> None:
    """Run, report, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--root", type=Path, default=Path("runs/evaluation-small"))
    parser.add_argument("--limit", type=int, help="at most so many prompts of each set, to try it out")
    options = parser.parse_args()
    options.root.mkdir(parents=True, exist_ok=True)
    first = options.root / f"math500-first{MATHS}.jsonl"
    with (options.data / "math500.jsonl").open(encoding="utf-8") as rows:
        first.write_text("".join(itertools.islice(rows, MATHS)), encoding="utf-8")
    overrides = {f"prompts.{name}.path": str((options.data / file).resolve()) for name, file in FILES.items()}
    overrides["prompts.math500.path"] = str(first.resolve())
    if options.limit:
        overrides |= {"prompts.*.limit": options.limit}
    began, cpu = time.monotonic(), time.process_time()
    with scripted_server():
        work, root = open_recipe(RECIPE, options.root, overrides)
        do(work, root)
    print(f"report: {write_report(work, root)}")
    print(
        f"{time.monotonic() - began:.0f} s, {time.process_time() - cpu:.0f} s of processor, load {os.getloadavg()[0]}"
    )
    print("| set | measure | rate | 95 % | n | unscored | cut |\n|---|---|---|---|---|---|---|")
    for one in collect(work, root).estimates:
        if one.metric in MEASURES:
            print(line(one))


if __name__ == "__main__":
    main()
