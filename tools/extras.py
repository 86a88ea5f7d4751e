"""Whether every extra can be installed into a fresh environment: pip looks for versions that fit and installs none.

Asks the package index for each extra alone, as a user types it, and for all that `constraints.txt` pins together. vLLM
wants an older transformers than is pinned there, so it is asked without; which pair it comes to is printed, for
docs/gpu.md. Ends with 1 where something can't be solved.

With `--install` each is installed, pinned, in an environment of its own that is thrown away, and what it is for is
imported there; vLLM isn't, as its wheels are for GPUs (`make vllm` installs its build for processors).

    python tools/extras.py [--install] [EXTRA ...]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
UNPINNED = {"vllm"}
TOLD = ("torch", "transformers", "trl", "vllm", "deepspeed", "bitsandbytes", "ray", "inspect_ai", "datasets")

USED = {
    "train": ("torch", "transformers", "trl", "peft", "gguf", "unwaver.training.trainer"),
    "hub": ("datasets", "huggingface_hub"),
    "ray": ("ray", "unwaver.study.cluster"),
    "inspect": ("inspect_ai", "unwaver.inspect_bridge"),
    "docs": ("zensical",),
    "dev": ("bitsandbytes", "hypothesis", "selenium", "xllamacpp"),
}
"""What each extra is for, imported where it was installed."""


def solved(extras: str, *more: str) -> dict[str, str] | str:
    """Name to version of what would be installed, or pip's last words."""
    words = ["install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-", *more, f".[{extras}]"]
    done = subprocess.run([sys.executable, "-m", "pip", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return " ".join(line for line in done.stderr.splitlines() if line.startswith("ERROR"))[:600]
    report: dict[str, Any] = json.loads(done.stdout)
    return {one["metadata"]["name"]: one["metadata"]["version"] for one in report["install"]}


def installed(extra: str) -> dict[str, str] | str:
    """Name to version of what a fresh environment then holds, or the last words of what failed."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = f"{folder}/bin/python"
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        steps = [
            [*pip, "install", "--quiet", "--no-compile", "--constraint", "constraints.txt", f".[{extra}]"],
            [python, "-c", "import " + ", ".join(USED[extra])],
            [f"{folder}/bin/unwaver", "--version"],
            [*pip, "check"],
        ]
        for words in steps:
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode:
                return f"{' '.join(words[-2:])}: {(done.stderr.strip() or done.stdout.strip())[-600:]}"
        listed = subprocess.run([*pip, "list", "--format", "json"], capture_output=True, text=True, check=True)
        return {one["name"]: one["version"] for one in json.loads(listed.stdout)}


def main(named: list[str]) -> int:
    """Print a line for each question; the exit code."""
    install = "--install" in named
    named = [one for one in named if one != "--install"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = list(project["optional-dependencies"])
    pinned = ("--constraint", "constraints.txt")
    asked: list[tuple[str, tuple[str, ...]]] = [(one, ()) for one in named or extras]
    if install:
        asked = [(one, pinned) for one in named or extras if one in USED]
    elif not named:
        asked += [(",".join(one for one in extras if one not in UNPINNED), pinned), ("train,vllm", ())]
    failed = 0
    for which, more in asked:
        begun = time.monotonic()
        found = installed(which) if install else solved(which, *more)
        failed += isinstance(found, str)
        told = found if isinstance(found, str) else ", ".join(f"{k} {found[k]}" for k in TOLD if k in found)
        sign = "no " if isinstance(found, str) else "yes"
        print(f"{sign} [{which}] {' '.join(more)} ({time.monotonic() - begun:.0f} s): {told}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
