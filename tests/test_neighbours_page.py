"""The neighbours' kept report: its page shows its figures, and it tells nothing of the machine it was made on."""

from __future__ import annotations

import base64
import gzip
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from unwaver.report.browser import packed

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "neighbours.md"
KEPT = ROOT / "docs" / "neighbours_report"
ARMS = 19
"""The raw student, and the eighteen cells of the study."""


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tools" / "neighbours_table.py"))


def test_the_page_shows_the_tables_that_the_kept_estimates_make(tool: dict[str, Any]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = []
    for name in tool["TABLES"]:
        begin, end = tool["marks"](name)
        shown = page.partition(begin)[2].partition(end)[0].strip()
        assert shown == tool["table"](name)
        rows.append(len(shown.splitlines()) - 2)
    assert rows == [ARMS, 5, 6, 6]  # the second: the raw student, and four numbers of steps; then: six cells, twice


def test_the_kept_report_is_small_and_names_no_place_of_a_machine(tool: dict[str, Any]) -> None:
    files = [path for path in KEPT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 100_000 * ARMS
    html = (KEPT / "report.html").read_text(encoding="utf-8")
    packets = tool["PACKET"].findall(html)
    assert packets
    texts = [gzip.decompress(base64.b64decode(packet)).decode() for _, packet, _ in packets]
    others = [path.read_text(encoding="utf-8") for path in files]
    for text in (*texts, *others):
        assert "replay:/" not in text and "/tmp/" not in text and "/home/" not in text


def test_a_report_is_kept_with_recorded_replies_named_by_their_file_alone(
    tool: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packet = packed(["replay:/home/somebody/studies/a.jsonl", "hf:org/model"])
    (tmp_path / "figures").mkdir()
    for name in tool["PICTURES"]:
        (tmp_path / "figures" / name).write_text("<svg><text>replay:/home/som…</text></svg>")
    (tmp_path / "estimates.jsonl").write_text("{}\n")
    (tmp_path / "report.html").write_text(
        f'<p>replay:/home/somebody/studies/a.jsonl</p><script type="text/plain" id="packet-0">{packet}</script>'
    )
    monkeypatch.setitem(tool["keep"].__globals__, "KEPT", tmp_path / "kept")
    tool["keep"](tmp_path)
    html = (tmp_path / "kept" / "report.html").read_text()
    assert "<p>replay:a.jsonl</p>" in html
    ((_, kept, _),) = tool["PACKET"].findall(html)
    assert json.loads(gzip.decompress(base64.b64decode(kept))) == ["replay:a.jsonl", "hf:org/model"]
    assert (tmp_path / "kept" / "figures" / "rates.svg").read_text() == "<svg><text>replay:…</text></svg>"
