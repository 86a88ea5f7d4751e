"""What every test file may use: the folder of real data, where somebody has it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of public data sets; the test is skipped where there is none."""
    folder = Path(os.environ.get("UNWAVER_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no folder of public data sets: set UNWAVER_DATA to try this on real data")
    return folder
