"""A call that another run has made is not made again: same stage, same model, same request; anything else is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faulty_server import Answer, completion, saying

from unwaver.cli import main

RECIPE = """
name = "siblings"
[models]
student = {{ name = "openai:student", base_url = "{url}" }}
teacher = {{ name = "openai:teacher", base_url = "{url}" }}
judge = {{ name = "openai:judge", base_url = "{url}" }}
[prompts.safety]
source = "corpus/harmful"
split = "train"
limit = 6
[prompts.unseen]
source = "corpus/harmful"
split = "heldout"
limit = 4
[distil]
method = "default"
[judge]
guard = "judge"
harm = "judge"
[mix]
parts = {{ safety = 2 }}
[evaluate.sets.unseen]
"""


class Served:
    def __init__(self, folder: Path) -> None:
        self.folder, self.url, self.fails = folder, "", False
        self.asked: Counter[str] = Counter()

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        self.asked[body["model"]] += 1
        if self.fails and self.asked[body["model"]] % 2:
            return 400, {}, b'{"error": {"message": "no"}}'
        text = json.dumps({"analysis": "read", "label": "safe", "quote": None})
        return 200, {}, completion("", content=text if body["model"] == "judge" else "<think>Hm.</think>No.")

    def do(self, verb: str, *flags: str) -> int:
        (self.folder / "recipe.toml").write_text(RECIPE.format(url=self.url))
        before = self.asked.total()
        main([verb, str(self.folder / "recipe.toml"), "--root", str(self.folder / "runs"), *flags])
        return self.asked.total() - before


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path)
    with saying(found.answer) as found.url:
        found.do("prompts")
        yield found


def test_a_larger_set_asks_what_is_new(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert served.do("distil", "--prompts.safety.limit", "3") == 0, "its prompts are owed"
    served.do("prompts", "--prompts.safety.limit", "all".replace("all", "12"))
    assert served.do("distil") == 6
    # floor(i * 12 / 6) spreads: every second of the twelve stands among the six.
    capsys.readouterr()
    asked = served.do("distil", "--prompts.safety.limit", "12")
    said = capsys.readouterr().err
    taken = 12 - asked
    assert taken >= 3 and f"{taken} replies taken from other runs" in said
    manifests = [json.loads(path.read_text()) for path in served.folder.glob("runs/distil-*/manifest.json")]
    larger = next(one for one in manifests if one["counts"]["written"] == 12)
    assert larger["calls"]["openai:teacher"]["taken"] == taken
    assert larger["calls"]["openai:teacher"]["tokens_out"] == 7 * asked, "tokens count where they were spent"


def test_a_setting_that_asks_otherwise_or_another_model_asks_again(served: Served) -> None:
    assert served.do("distil") == 6
    for flag in (
        ("--distil.max_tokens", "90"),
        ("--distil.temperature", "0.1"),
        ("--models.teacher.system", "Be kind."),
        ("--models.teacher.extra_body", '{ reasoning_effort = "low" }'),
        ("--models.teacher.base_url", served.url.replace("127.0.0.1", "localhost")),
        ("--models.teacher.name", "openai:teacher2"),
    ):
        assert served.do("distil", *flag) == 6, flag


def test_how_replies_are_read_is_no_other_request(served: Served) -> None:
    assert served.do("distil") == 6
    assert served.do("distil", "--distil.samples", "2") == 6, "the first sample of each is there"


def test_a_judge_reads_what_it_has_read_in_another_run(served: Served) -> None:
    assert served.do("distil") == 6
    assert served.do("judge") == 6
    assert served.do("distil", "--distil.samples", "2") == 6
    # The replies are all alike, so every reading has been made.
    assert served.do("judge", "--distil.samples", "2") == 0


def test_a_call_that_failed_is_made_again(served: Served) -> None:
    served.fails = True
    served.do("distil")
    served.fails = False
    assert 0 < served.do("distil", "--distil.samples", "2") < 12


def test_a_torn_or_foreign_ledger_beside_is_no_matter(served: Served) -> None:
    assert served.do("distil") == 6
    ledger = next(served.folder.glob("runs/distil-*/replies/0000.jsonl"))
    whole = ledger.read_bytes()
    ledger.write_bytes(whole[:-20])
    assert served.do("distil", "--distil.samples", "2") == 7
    assert ledger.read_bytes() == whole[:-20], "another run's ledger is read only"
    ledger.write_bytes(b"not a ledger\n")
    assert served.do("distil", "--distil.samples", "3") == 6
