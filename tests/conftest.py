"""What every test file may use: the folder of real data, where somebody has it."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import hypothesis
import pytest

# No test is timed: on a busy machine any example may take longer than Hypothesis' usual 200 ms.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# A shell without a terminal starts what it puts in the background with SIGINT ignored, and every process started from
# there inherits that: an interrupt that a test sends would never arrive, and whoever waits for it would wait for ever.
# So it is with SIGHUP under nohup.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public data sets; the test is skipped where there is none."""
    folder = Path(os.environ.get("UNWAVER_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no folder of public data sets: set UNWAVER_DATA to try this on real data")
    return folder


@pytest.fixture(autouse=True)
def strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process found out about a server at an address is forgotten: the next test's may get the same port."""
    if "unwaver.models.fields" in sys.modules:
        monkeypatch.setattr("unwaver.models.fields._found_out", {})


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file whose every test is slow isn't even imported when only the fast ones are wanted: torch takes seconds."""
    if config.option.markexpr != "not real" or not collection_path.match("test_*.py"):
        return None
    text = collection_path.read_text(encoding="utf-8")
    return True if re.search(r"^pytestmark = \[?\s*pytest\.mark\.real\b", text, re.M) else None
