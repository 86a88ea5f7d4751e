"""Whether every extra can be installed into a fresh environment: pip looks for versions that fit and installs none.

Asks the package index for each extra alone, as a user types it, and for all that `constraints.txt` pins together. vLLM
wants an older transformers than is pinned there, so it is asked without; which pair it comes to is printed, for
docs/gpu.md. Ends with 1 where something can't be solved.

    python tools/extras.py [EXTRA ...]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
UNPINNED = {"vllm"}
TOLD = ("torch", "transformers", "trl", "vllm", "deepspeed", "bitsandbytes", "ray", "inspect_ai", "datasets")


def solved(extras: str, *more: str) -> dict[str, str] | str:
    """Name to version of what would be installed, or pip's last words."""
    words = ["install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-", *more, f".[{extras}]"]
    done = subprocess.run([sys.executable, "-m", "pip", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return " ".join(line for line in done.stderr.splitlines() if line.startswith("ERROR"))[:600]
    report: dict[str, Any] = json.loads(done.stdout)
    return {one["metadata"]["name"]: one["metadata"]["version"] for one in report["install"]}


def main(named: list[str]) -> int:
    """Print a line for each question; the exit code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = list(project["optional-dependencies"])
    pinned = ("--constraint", "constraints.txt")
    asked: list[tuple[str, tuple[str, ...]]] = [(one, ()) for one in named or extras]
    if not named:
        asked += [(",".join(one for one in extras if one not in UNPINNED), pinned), ("train,vllm", ())]
    failed = 0
    for which, more in asked:
        begun = time.monotonic()
        found = solved(which, *more)
        failed += isinstance(found, str)
        told = found if isinstance(found, str) else ", ".join(f"{k} {found[k]}" for k in TOLD if k in found)
        sign = "no " if isinstance(found, str) else "yes"
        print(f"{sign} [{which}] {' '.join(more)} ({time.monotonic() - begun:.0f} s): {told}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
