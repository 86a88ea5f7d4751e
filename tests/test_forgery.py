"""Forged verdicts, combined: a quick part of benchmarks/forgery.py, which tries them all."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def forgery() -> ModuleType:
    file = Path(__file__).parents[1] / "benchmarks" / "forgery.py"
    spec = importlib.util.spec_from_file_location("forgery", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["forgery"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.real
@pytest.mark.parametrize("kind", ["judges", "guards", "ratings"])
def test_no_way_of_forging_flips_a_label_and_what_fits_is_read(forgery: ModuleType, kind: str) -> None:
    tried = {
        "judges": lambda: forgery.by_judges(["after a closing tag", "in words", "under another name"]),
        "guards": forgery.by_guards,
        "ratings": forgery.by_ratings,
    }
    ways = list(tried[kind]())
    assert len(ways) > 200
    assert [way.tried for way in ways if way.outcome == "FLIPPED"] == []
    fits = [way.outcome for way in ways if way.fits]
    assert fits.count("own") >= 0.9 * len(fits)
