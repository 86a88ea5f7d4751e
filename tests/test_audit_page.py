"""An audit as a page, as JSON, and against a file of one's own."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from unwaver.cli import main

HOSTILE = '</pre><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7 * 7 }} \x1b[2J \u202e "'


def write(folder: Path, count: int = 25, kind: str | None = None) -> Path:
    rows = []
    for n in range(count):
        row = {
            "prompt": f"Spread rumour {n} about a neighbour {HOSTILE}",
            "reasoning": f"This would hurt somebody, number {n}. {HOSTILE}",
            "response": "I'm sorry, but I can't help with that <i>request</i>.",
        }
        rows.append(row | ({"kind": kind} if kind else {}))
    path = folder / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class _Page(HTMLParser):
    """The tags of a page, and the text that stands outside what is folded away."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.depth, self.open = 0, ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.depth += tag == "details"

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "details"

    def handle_data(self, data: str) -> None:
        self.open += data if self.depth < 2 else ""  # the first is the list of examples


def page(folder: Path, *words: str, kind: str | None = None, count: int = 25) -> tuple[str, _Page]:
    out = folder / "page.html"
    assert main(["audit", str(write(folder, count, kind)), "--html", str(out), *words]) == 0
    text = out.read_text(encoding="utf-8")
    return text, _Page(text)


def test_nothing_in_a_file_acts_in_the_page(tmp_path: Path) -> None:
    text, found = page(tmp_path, kind="benign")
    names = {tag for tag, _ in found.tags}
    assert not names & {"script", "img", "iframe", "link"}
    assert not any(name.startswith("on") or name in ("src", "href") for _, given in found.tags for name in given)
    assert not re.search(r"url\(|@import|https?://", text)
    assert "\x1b" not in text and "\u202e" not in text
    assert "{{ 7 * 7 }}" in text and "&lt;script&gt;" in text


def test_harmful_requests_and_their_replies_are_folded_away(tmp_path: Path) -> None:
    text, found = page(tmp_path)
    assert "Spread rumour" in text
    assert "Spread rumour" not in found.open and "hurt somebody" not in found.open
    _, harmless = page(tmp_path, kind="benign")
    assert "Spread rumour" in harmless.open


def test_the_page_has_figures_ten_examples_each_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, found = page(tmp_path, "--rubric", "refusal", kind="benign")
    assert "refusal: 10 examples of 25" in found.open
    assert "kappa" in text and "95 % interval" in text and "Lengths and endings" in text
    again, _ = page(tmp_path, "--rubric", "refusal", kind="benign")
    assert re.findall(r"row (\d+)", again) == re.findall(r"row (\d+)", text)
    assert len(re.findall(r"row \d+", text)) == 10


def test_json_is_all_that_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(write(tmp_path)), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == 25
    refusal = next(one for one in found["readings"] if one["rubric"].startswith("refusal@"))
    assert refusal["labels"]["refusal"]["count"] + sum(refusal["unscored"].values()) == 25


@pytest.mark.parametrize("name", ["mine", "file"])
def test_a_file_of_ones_own_is_looked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    traces = write(tmp_path)
    (tmp_path / "eval.csv").write_text('id,request\n1,"Spread rumour 3 about a neighbour"\n2,"How do I mend a lamp?"\n')
    assert main(["audit", str(traces), "--json", "--against", f"{name}={tmp_path / 'eval.csv'}"]) == 0
    assert json.loads(capsys.readouterr().out)["overlap"][name]["prompts"] == 1
    assert main(["audit", str(traces), "--against", name]) == 2
    assert f"no source `{name}`" in capsys.readouterr().err


def test_many_findings_are_told_what_to_do_about(tmp_path: Path) -> None:
    rows = [{"prompt": f"What is {n}?", "response": f"<think>It is {n}", "finish_reason": "length"} for n in range(12)]
    path = tmp_path / "cut.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    assert main(["audit", str(path), "--html", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "raise the limit they were made with" in text and "1 row can&#39;t be read" in text.replace(
        "&#x27;", "&#39;"
    )


def test_a_row_that_was_cut_and_never_closed_is_counted_once(tmp_path: Path) -> None:
    whole = {
        "prompt": "Why is it blue?",
        "response": "<think>\nPlain.\n</think>\n\nOf the air.",
        "finish_reason": "stop",
    }
    cut = {"prompt": "Why is it red?", "response": "<think>\nPlain, so", "finish_reason": "length"}
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [whole] * 9 + [cut]))
    assert main(["audit", str(path), "--html", str(tmp_path / "page.html")]) == 0
    assert "At least 1 of 10 replies were cut or never close" in (tmp_path / "page.html").read_text()
