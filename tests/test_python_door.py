"""`import unwaver`: light, typed, and what docs/python.md says runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from report_runs import finish

import unwaver
from unwaver.stages import loops

ROOT = Path(__file__).parent.parent


def test_all_that_is_promised_is_there_and_nothing_else_is() -> None:
    for name in unwaver.__all__:
        assert getattr(unwaver, name).__module__.startswith("unwaver.")
        assert getattr(unwaver, name).__doc__
    assert set(unwaver.__all__) < set(dir(unwaver))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = unwaver.nothing


def test_the_import_alone_loads_nothing_heavy() -> None:
    code = "import sys, unwaver; print(sorted({m.partition('.')[0] for m in sys.modules} & {'torch', 'pandas', 'pydantic'}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.real
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells in order, while an event loop runs, as in a kernel that was just started; it is docs/python.md, as
    tests/test_promises.py holds."""
    monkeypatch.chdir(tmp_path)
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}

    async def kernel() -> None:
        for cell in cells:
            assert cell["outputs"] == [] and cell["execution_count"] is None
            exec("".join(cell["source"]), names)

    asyncio.run(kernel())
    assert names["page"].rows == 8 and names["verdict"].label == "refusal"
    assert Path("runs/notebook/latest/report.html").is_file()
    refused = names["estimates"].set_index("metric").loc["refusal"]
    assert (refused.value, refused.n) == (1.0, 8) == (refused.value, len(names["replies"]))


def test_an_interrupt_in_a_notebook_gives_up_what_is_under_way() -> None:
    told: list[str] = []

    async def asking() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            told.append("put in order")

    async def kernel() -> None:
        with pytest.raises(KeyboardInterrupt):
            loops.run(asking())

    loop = asyncio.new_event_loop()  # with no handler of its own for the signal, as a kernel's
    try:
        loop.run_until_complete(kernel())
    finally:
        loop.close()
    assert told == ["put in order"]


def test_a_fault_under_a_running_loop_is_raised_as_it_is() -> None:
    async def asking() -> None:
        raise unwaver.errors.RunError("the server is away")

    async def kernel() -> None:
        with pytest.raises(unwaver.errors.RunError, match="the server is away"):
            loops.run(asking())

    asyncio.run(kernel())


@pytest.mark.real
def test_finished_runs_are_data_frames(tmp_path: Path) -> None:
    runs = unwaver.open_runs(ROOT / "recipes" / "quickstart.toml", root=tmp_path)
    owed = len(runs.owed)
    finish(runs.plans, runs.root)
    assert owed > 10 and runs.owed == []
    estimates, replies = runs.estimates(), runs.replies()
    asr = estimates[(estimates.metric == "asr") & (estimates.arm == "raw")]
    mine = replies[(replies.arm == "raw") & (replies.set == asr.iloc[0].slice)]
    scored = mine["harm:both"].dropna()
    assert asr.iloc[0].n == len(scored) and asr.iloc[0].value == pytest.approx((scored == "unsafe").mean())
