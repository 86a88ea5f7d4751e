"""`unwaver doctor --gpu`: the self-test whose table goes with a bug report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from unwaver.cli import main
from unwaver.verbs import selftest

pytestmark = pytest.mark.real


def table(text: str) -> dict[str, str]:
    """What stands behind each name, from the sign on."""
    names = ("versions", "GPU", *(f"forward in {dtype}" for dtype in selftest.LARGEST_GAP), "two processes")
    rows = {}
    for name in (*names, "peak memory", "vLLM against transformers"):
        (line,) = (line for line in text.splitlines() if line.startswith(f"{name} "))
        rows[name] = " ".join(line.removeprefix(name).split())
    return rows


@pytest.mark.skipif("__import__('torch').cuda.is_available()", reason="there are GPUs")
def test_without_a_gpu_it_does_what_it_can_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--gpu"]) == 0
    out, err = capsys.readouterr()
    rows = table(out)
    assert rows["GPU"].startswith("no none seen; what follows ran on the processor")
    assert "torch 2." in rows["versions"] and "transformers " in rows["versions"]
    assert all(rows[f"forward in {dtype}"].startswith("yes") for dtype in selftest.LARGEST_GAP)
    assert rows["two processes"].startswith("yes 3 steps in 2 processes on cpu")
    measured, estimated = (float(found.replace(",", "")) for found in re.findall(r"([\d,]+) MiB", rows["peak memory"]))
    assert rows["peak memory"].startswith("yes") and measured < 1.25 * estimated
    assert rows["vLLM against transformers"].startswith(("- not tried: vLLM is not installed", "yes"))
    assert "doctor: all is well" in err


def test_what_fails_is_told_in_the_librarys_words_and_by_the_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(student: Path, dtype: str) -> tuple[bool, str]:
        if dtype == "bfloat16":
            raise RuntimeError("CUDA error: no kernel image is available\nfor execution on the device")
        return dtype == "float32", "0.7 nats apart"

    monkeypatch.setattr(selftest, "_forward", broken)
    for check in ("_two_processes", "_memory", "_vllm"):
        monkeypatch.setattr(selftest, check, lambda *_: (True, "well"))
    assert main(["doctor", "--gpu"]) == 3
    out, err = capsys.readouterr()
    rows = table(out)
    assert rows["forward in float32"] == "yes 0.7 nats apart" and rows["forward in float16"] == "no 0.7 nats apart"
    told = "no RuntimeError: CUDA error: no kernel image is available for execution on the device"
    assert rows["forward in bfloat16"] == told
    assert "doctor: forward in bfloat16, forward in float16: failed; send the table with a bug report" in err


def test_it_takes_no_recipe(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor", str(tmp_path / "recipe.toml"), "--gpu"]) == 2
    assert "takes no recipe" in capsys.readouterr().err
