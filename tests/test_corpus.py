"""The mild corpus and the scripted teacher: counts, splits, labels, and the composer that makes them."""

from __future__ import annotations

import ast
import operator
import re
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unwaver.errors import RecordError
from unwaver.records import OVERTHINKING, PATTERNS
from unwaver.sources import corpus
from unwaver.study.agreement import agreement

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "src" / "unwaver" / "sources" / "corpus"
KINDS = ("harmful", "borderline", "plain")
HARMFUL_TEACHERS = ("default", "realsafe", "improved", "short", "template")
CLEAN_TEACHERS = ("improved", "short", "template")
LACK, STRONG, WEAK, ADDITIONS, INCONSISTENT = PATTERNS


def texts(kind: str, split: str) -> list[str]:
    return [row["text"] for row in corpus.load(kind) if row["split"] == split]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower().replace("'", ""))


def grams(text: str, n: int) -> set[tuple[str, ...]]:
    tokens = words(text)
    return {tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)}


def train_prompts(kind: str) -> list[str]:
    bare = texts(kind, "train")
    if kind == "maths":
        return bare
    frames = texts("templates", "train")
    return bare + [corpus.frame(frames[t], bare[i]) for i, t in corpus.pairs(len(bare), len(frames))]


@pytest.mark.parametrize(
    ("name", "train", "heldout"),
    [("harmful", 80, 60), ("borderline", 100, 60), ("plain", 100, 60), ("maths", 50, 40), ("templates", 12, 8)],
)
def test_each_file_holds_the_promised_number_of_rows(name: str, train: int, heldout: int) -> None:
    assert Counter(row["split"] for row in corpus.load(name)) == {"train": train, "heldout": heldout}


def test_the_numbers_are_asked_once_and_nowhere_trained_on() -> None:
    rows = corpus.load("numbers")
    asked = {row["text"] for row in rows}
    assert len(asked) == len(rows) == 30 and all(row["target"].isdigit() for row in rows)
    held = set().union(*(grams(text, 8) for text in asked))
    trained = [prompt for kind in (*KINDS, "maths") for prompt in train_prompts(kind)]
    assert not held & set().union(*(grams(text, 8) for text in trained))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", ["train", "heldout"])
def test_categories_are_evenly_filled_and_the_same_in_both_splits(kind: str, split: str) -> None:
    counts = Counter(row["category"] for row in corpus.load(kind) if row["split"] == split)
    assert set(counts) == {row["category"] for row in corpus.load(kind)}
    assert max(counts.values()) - min(counts.values()) <= 1
    if kind == "harmful":
        assert len(counts) == 8


def test_requests_are_short_and_open_in_many_ways() -> None:
    rows = texts("harmful", "train") + texts("harmful", "heldout")
    assert all(6 <= len(text.split()) <= 25 for text in rows)
    assert all(
        text[0].isupper() and text[-1] in ".?!" for kind in KINDS for text in (r["text"] for r in corpus.load(kind))
    )
    first, count = Counter(text.split()[0] for text in rows).most_common(1)[0]
    assert count <= len(rows) * 0.1, first
    assert len({text.split()[0] for text in rows}) >= 70


def test_train_and_heldout_share_no_text_and_no_eight_words_in_a_row() -> None:
    for names in [(*KINDS, "maths"), ("templates",)]:
        train = [text for name in names for text in texts(name, "train")]
        heldout = [text for name in names for text in texts(name, "heldout")]
        assert len({" ".join(words(text)) for text in train + heldout}) == len(train) + len(heldout)
        assert not set().union(*(grams(t, 8) for t in train)) & set().union(*(grams(t, 8) for t in heldout))


@pytest.mark.parametrize("kind", KINDS)
def test_no_heldout_text_repeats_most_words_of_a_train_text(kind: str) -> None:
    common = set(words("a an the to in of on my me i is it that for how do what can and with please write"))
    for ours, theirs in product(texts(kind, "train"), texts(kind, "heldout")):
        left, right = set(words(ours)) - common, set(words(theirs)) - common
        assert len(left & right) <= 0.5 * len(left | right), (ours, theirs)


def test_every_template_has_one_slot_and_few_words_of_its_own() -> None:
    rows = corpus.load("templates")
    assert len({row["name"] for row in rows}) == 20
    for row in rows:
        assert row["text"].count(corpus.SLOT) == 1
        assert 12 <= len(row["text"].replace(corpus.SLOT, "").split()) <= 35, row["name"]


def test_every_train_prompt_has_its_reply_in_every_file() -> None:
    harmful = train_prompts("harmful")
    assert len(harmful) == 400
    for name in HARMFUL_TEACHERS:
        rows = corpus.replies(name)
        assert [row["prompt"] for row in rows] == harmful
        assert {row["instruction"] for row in rows} == {name}
    good = [prompt for kind in ("borderline", "plain", "maths") for prompt in train_prompts(kind)]
    rows = corpus.replies("benign")
    assert [row["prompt"] for row in rows] == good
    assert {row["instruction"] for row in rows} == {"default"}


def test_no_heldout_text_or_template_reaches_the_teacher() -> None:
    prompts = {str(row["prompt"]) for name in (*HARMFUL_TEACHERS, "benign") for row in corpus.replies(name)}
    held = set().union(*(grams(text, 8) for kind in (*KINDS, "maths", "templates") for text in texts(kind, "heldout")))
    assert not set().union(*(grams(prompt, 8) for prompt in prompts)) & held
    assert not {text for kind in (*KINDS, "maths") for text in texts(kind, "heldout")} & prompts


@pytest.mark.parametrize("name", [*HARMFUL_TEACHERS, "benign"])
def test_labels_obey_the_rules_of_the_study(name: str) -> None:
    for row in corpus.replies(name):
        assert set(row) == {"instruction", "prompt", "reasoning", "answer", "patterns", "refusal", "unsafe"}
        found = row["patterns"]
        assert isinstance(found, list)
        assert found == [pattern for pattern in PATTERNS if pattern in found]
        assert not (LACK in found and OVERTHINKING & set(found))
        assert row["refusal"] in ("refusal", "partial", "compliance")
        if LACK in found:
            # Fine in the reasoning, refused in the answer: that is the second sort of inconsistency.
            assert (row["refusal"] == "refusal") == (INCONSISTENT in found)
        if ADDITIONS in found:
            assert row["unsafe"]
        if name != "benign" and row["refusal"] == "compliance":
            assert row["unsafe"]
        if row["unsafe"]:
            assert found


@pytest.mark.parametrize("name", CLEAN_TEACHERS)
def test_the_later_recipes_show_no_pattern_and_always_refuse(name: str) -> None:
    for row in corpus.replies(name):
        assert (row["patterns"], row["refusal"], row["unsafe"]) == ([], "refusal", False)


def share(rows: list[dict[str, object]], pattern: str) -> float:
    return sum(pattern in row["patterns"] for row in rows) / len(rows)  # type: ignore[operator]


def test_the_default_teacher_shows_the_patterns_at_the_stated_shares() -> None:
    rows = corpus.replies("default")
    aims = {LACK: 0.30, STRONG: 0.20, WEAK: 0.40, ADDITIONS: 0.15, INCONSISTENT: 0.10}
    assert {name: share(rows, name) for name in aims} == pytest.approx(aims, abs=0.03)
    assert 0.15 <= sum(not row["patterns"] for row in rows) / len(rows) <= 0.20
    safe = [row for row in rows if not row["unsafe"]]
    assert 0.45 <= len(safe) / len(rows) <= 0.55
    assert share(safe, WEAK) > share(rows, WEAK) + 0.15
    assert all(share(safe, name) < share(rows, name) for name in (LACK, STRONG, ADDITIONS, INCONSISTENT))


def test_realsafe_repairs_the_lack_of_awareness_only() -> None:
    rows = corpus.replies("realsafe")
    shares = {name: share(rows, name) for name in PATTERNS}
    assert shares == pytest.approx({LACK: 0, STRONG: 0.08, WEAK: 0.35, ADDITIONS: 0, INCONSISTENT: 0}, abs=0.02)
    assert all(row["refusal"] == "refusal" and not row["unsafe"] for row in rows)


def test_nothing_is_weighed_or_given_about_children_and_nothing_given_about_self_harm() -> None:
    about = {str(row["text"]): row["category"] for row in corpus.load("harmful")}
    for name, (category, may) in product(HARMFUL_TEACHERS, {"sexual/minors": set(), "self-harm": {WEAK}}.items()):
        texts = [text for text, of in about.items() if of == category]
        rows = [row for row in corpus.replies(name) if any(text in str(row["prompt"]) for text in texts)]
        assert len(rows) == 50
        assert all(row["refusal"] == "refusal" and not row["unsafe"] for row in rows)
        assert all(set(row["patterns"]) <= may for row in rows)  # type: ignore[call-overload]


def test_whoever_asks_for_support_is_answered_without_a_joke_of_the_frame() -> None:
    asked = [str(row["text"]) for row in corpus.load("borderline") if row["category"] == "support"]
    answers = {
        text: {str(row["answer"]) for row in corpus.replies("benign") if text in str(row["prompt"])} for text in asked
    }
    plain = {text: found for text, found in answers.items() if found}
    assert len(plain) == 10
    assert all(len(found) == 1 for found in plain.values())


@pytest.mark.parametrize(
    ("name", "low", "high"), [("improved", 20, 45), ("short", 8, 18), ("template", 60, 90), ("benign", 4, 32)]
)
def test_reasonings_have_the_length_of_their_recipe(name: str, low: int, high: int) -> None:
    assert all(low <= len(str(row["reasoning"]).split()) <= high for row in corpus.replies(name))


@pytest.mark.parametrize("name", [*HARMFUL_TEACHERS, "benign"])
def test_no_reasoning_comes_twice_or_copies_the_request(name: str) -> None:
    rows = corpus.replies(name)
    assert len({row["reasoning"] for row in rows}) == len(rows)
    bare = set().union(*(grams(text, 6) for kind in KINDS for text in texts(kind, "train")))
    assert not any(grams(str(row["reasoning"]), 6) & bare for row in rows)


def test_improved_answers_begin_with_the_fixed_word_and_vary_after_it() -> None:
    answers = [str(row["answer"]) for row in corpus.replies("improved")]
    assert all(answer.startswith("Sorry") and 10 <= len(answer.split()) <= 25 for answer in answers)
    assert len({" ".join(answer.split()[:4]) for answer in answers}) >= 25
    openings = {" ".join(str(row["reasoning"]).split()[:3]) for row in corpus.replies("improved")}
    assert len(openings) >= 25


def test_template_walks_through_the_eight_categories_and_says_yes_to_the_right_one() -> None:
    about = {row["text"]: row["category"] for row in corpus.load("harmful")}
    for row in corpus.replies("template"):
        *lines, conclusion = str(row["reasoning"]).split("\n")
        said = {line.split(":")[0].lower(): line.split(": ")[1].split(",")[0] for line in lines}
        assert set(said) == set(about.values())
        (yes,) = (category for category, word in said.items() if word == "yes")
        assert any(text in str(row["prompt"]) and category == yes for text, category in about.items())
        assert conclusion


MANNERS = {"r1": (110, 450), "qwen3": (60, 300), "gpt-oss": (20, 150)}
SELF_JAILBREAK = "self_jailbreak"
TOO_HARD = set(words("gun guns weapon weapons bomb bombs explosive explosives drug drugs poison suicide overdose"))


def marks(row: dict[str, object]) -> set[str]:
    intended = row["intended"]
    assert isinstance(intended, list)
    return set(intended)


def kind(row: dict[str, object]) -> str:
    """What a row without a pattern is there for."""
    return "harmless" if row["harmless"] else "near miss"


def said(row: dict[str, object]) -> list[str]:
    """Its reasoning and, where there is one, its answer."""
    return [text for text in (row["reasoning"], row["answer"]) if isinstance(text, str)]


def of_split(split: str, field: str) -> set[str]:
    return {str(row[field]) for row in corpus.written() if row["split"] == split}


def sentences(text: str) -> list[str]:
    """Its sentences as their words; one of a single word (Hmm) may come as often as it likes."""
    found = (" ".join(words(part)) for part in re.split(r"(?<=[.!?])[\"')*]*\s+|\n+", text))
    return [sentence for sentence in found if " " in sentence]


def test_written_traces_hold_the_promised_numbers_and_a_third_is_kept_for_testing() -> None:
    rows = corpus.written()
    assert [row["id"] for row in rows] == [f"w{number:03}" for number in range(1, len(rows) + 1)]
    assert Counter(row["split"] for row in rows) == {"train": 212, "test": 106}
    assert Counter(row["manner"] for row in rows) == {"r1": 106, "qwen3": 111, "gpt-oss": 101}
    found = Counter(mark for row in rows for mark in marks(row) or {kind(row)})
    assert found == {
        LACK: 36,
        STRONG: 49,
        WEAK: 112,
        ADDITIONS: 35,
        INCONSISTENT: 19,
        SELF_JAILBREAK: 16,
        "near miss": 85,
        "harmless": 21,
    }
    assert len({row["frame"] for row in rows if WEAK in marks(row)}) >= 20
    assert len({row["frame"] for row in rows if not marks(row) and not row["harmless"]}) >= 20


def test_the_page_about_the_corpus_counts_the_written_traces_as_they_are() -> None:
    rows = corpus.written()
    page = (ROOT / "docs" / "corpus.md").read_text(encoding="utf-8")
    sides = [rows, *([row for row in rows if row["split"] == split] for split in ("train", "test"))]

    def line(name: str, cells: list[object]) -> str:
        return f"| {name} | {' | '.join(map(str, cells))} |"

    assert line("traces", [len(side) for side in sides]) in page
    assert line("requests", [len({row["request"] for row in side}) for side in sides]) in page
    assert line("frames", [len({row["frame"] for row in side}) for side in sides]) in page
    manners = [" / ".join(str(sum(row["manner"] == name for row in side)) for name in MANNERS) for side in sides]
    assert line("manner r1 / qwen3 / gpt-oss", list(manners)) in page
    for mark in (*PATTERNS, SELF_JAILBREAK):
        name = mark.replace("_", " ").replace("self jailbreak", "self-jailbreak")
        assert line(name, [sum(mark in marks(row) for row in side) for side in sides]) in page
    for of, name in {
        "near miss": "no pattern, harmful request (near misses of weak vacillation)",
        "harmless": "no pattern, harmless request",
    }.items():
        assert line(name, [sum(not marks(row) and kind(row) == of for row in side) for side in sides]) in page
    assert line("conclusion open", [sum(row["conclusion"] == "open" for row in side) for side in sides]) in page
    assert line("cut off, no answer", [sum(row["answer"] is None for row in side) for side in sides]) in page


def test_written_rows_kept_for_testing_share_no_request_and_no_frame_with_the_others() -> None:
    for field in ("request", "frame", "prompt"):
        assert not of_split("train", field) & of_split("test", field)
    common = set(words("a an the to in of on my me i is it that for how do what can and with please write"))
    for ours, theirs in product(of_split("train", "request"), of_split("test", "request")):
        left, right = set(words(ours)) - common, set(words(theirs)) - common
        assert len(left & right) <= 0.5 * len(left | right), (ours, theirs)


def test_written_prompts_wear_one_text_a_frame_and_keep_the_split_of_the_corpus() -> None:
    requests = {row["text"]: row["split"] for name in KINDS for row in corpus.load(name)}
    templates = {row["name"]: row for row in corpus.load("templates")}
    worn: dict[str, set[str]] = {}
    for row in corpus.written():
        request, name, prompt = str(row["request"]), str(row["frame"]), str(row["prompt"])
        heldout = "heldout" if row["split"] == "test" else "train"
        assert prompt.count(request) == 1
        worn.setdefault(name, set()).add(prompt.replace(request, corpus.SLOT))
        assert requests.get(request, heldout) == heldout
        if name in templates:
            assert (prompt, heldout) == (corpus.frame(templates[name]["text"], request), templates[name]["split"])
    assert all(len(texts) == 1 for texts in worn.values())
    assert len(worn.keys() - templates.keys()) >= 15


def test_written_labels_obey_the_rules_of_the_study() -> None:
    for row in corpus.written():
        found = marks(row)
        assert row["intended"] == [mark for mark in (*PATTERNS, SELF_JAILBREAK) if mark in found]
        assert not (LACK in found and (OVERTHINKING | {SELF_JAILBREAK}) & found)
        assert row["conclusion"] in ("refuse", "comply", "open")
        against = row["conclusion"] == "refuse" and row["unsafe_answer"]
        needless = row["conclusion"] == "comply" and row["refusal"] == "refusal" and not row["harmless"]
        assert (INCONSISTENT in found) == bool(against or needless), row["id"]
        assert (ADDITIONS in found) == bool(row["unsafe_reasoning"] and LACK not in found), row["id"]
        if WEAK in found and STRONG not in found:
            assert row["conclusion"] == "refuse", row["id"]


def test_a_written_answer_is_labelled_where_there_is_one_to_read() -> None:
    for row in corpus.written():
        if row["answer"] is None:
            assert (row["refusal"], row["unsafe_answer"]) == (None, None), row["id"]
        else:
            # None: an answer that only goes on thinking.
            assert row["refusal"] in ("refusal", "partial", "compliance", None), row["id"]
            assert isinstance(row["answer"], str)
            assert isinstance(row["unsafe_answer"], bool)
            assert row["answer"]
        if marks(row) <= {WEAK} and not row["harmless"]:
            assert row["refusal"] in ("refusal", None), row["id"]
            assert not row["unsafe_answer"], row["id"]


def test_no_pattern_is_meant_where_the_written_request_is_harmless() -> None:
    requests = {row["text"]: name for name in KINDS for row in corpus.load(name)}
    for row in corpus.written():
        asked = requests.get(str(row["request"]))
        assert asked is None or row["harmless"] == (asked != "harmful"), row["id"]
        if row["harmless"]:
            assert not (marks(row) or row["unsafe_reasoning"] or row["unsafe_answer"]), row["id"]
    refused = Counter(row["refusal"] for row in corpus.written() if row["harmless"])
    assert min(refused["refusal"], refused["compliance"]) >= 5


def test_no_written_sentence_comes_twice_and_no_eight_words_in_more_than_two_traces() -> None:
    rows = corpus.written()
    found = Counter(sentence for row in rows for text in said(row) for sentence in sentences(text))
    assert [sentence for sentence, times in found.items() if times > 1] == []
    runs = Counter(run for row in rows for run in set().union(*(grams(text, 8) for text in said(row))))
    assert [run for run, times in runs.items() if times > 2] == []
    openings = Counter(" ".join(words(str(row["reasoning"]))[:4]) for row in rows)
    assert openings.most_common(1)[0][1] <= 5


def test_written_reasonings_have_the_length_of_their_manner_whatever_they_show() -> None:
    lengths: dict[tuple[str, bool], list[int]] = {}
    for row in corpus.written():
        low, high = MANNERS[str(row["manner"])]
        size = len(str(row["reasoning"]).split())
        assert low <= size <= high, row["id"]
        if marks(row) <= {WEAK} and not row["harmless"]:
            lengths.setdefault((str(row["manner"]), WEAK in marks(row)), []).append(size)
    for manner in MANNERS:
        weak, plain = (sum(sizes) / len(sizes) for sizes in (lengths[manner, True], lengths[manner, False]))
        assert weak == pytest.approx(plain, rel=0.1)


def test_written_traces_are_mild() -> None:
    barred = ("self-harm", "sexual/minors")
    kept_out = {row["text"] for row in corpus.load("harmful") if row["category"] in barred}
    for row in corpus.written():
        assert row["request"] not in kept_out
        assert not set(words(" ".join([str(row["request"]), *said(row)]))) & TOO_HARD, row["id"]
        if row["unsafe_answer"]:
            assert len(str(row["answer"]).split()) <= 90, row["id"]


def value(node: ast.expr) -> int:
    known = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}
    if isinstance(node, ast.BinOp):
        left, right = value(node.left), value(node.right)
        if isinstance(node.op, ast.FloorDiv):
            assert left % right == 0
        return int(known[type(node.op)](left, right))
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, int)
    return node.value


def test_maths_targets_are_right_and_boxed() -> None:
    problems = corpus.load("maths")
    for row in problems:
        assert row["target"] == str(value(ast.parse(row["check"], mode="eval").body)), row["text"]
    target = {row["text"]: row["target"] for row in problems}
    solved = [one for one in corpus.replies("benign") if one["prompt"] in target]
    assert len(solved) == 50
    for one in solved:
        number = target[str(one["prompt"])]
        assert str(one["answer"]).endswith(f"\\boxed{{{number}}}")
        # The steps arrive at the number too.
        assert number in re.findall(r"\d+", str(one["reasoning"]))


@pytest.mark.real
def test_the_composer_makes_the_same_files_byte_for_byte(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "compose_teacher.py"), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.jsonl")}
    by_hand = {Path(f"{name}.jsonl") for name in ("written", "written_labels", "pairs", "numbers")}
    shipped = {path.relative_to(FOLDER): path.read_bytes() for path in FOLDER.rglob("*.jsonl")}
    assert all(shipped.pop(name) for name in by_hand)
    assert made.keys() == shipped.keys()
    assert [name for name in made if made[name] != shipped[name]] == []
    # The page about the corpus shows the composer's own table.
    assert done.stdout.strip() in (ROOT / "docs" / "corpus.md").read_text(encoding="utf-8")


def test_files_are_small_lines_of_utf8_without_blank_ones() -> None:
    for path in FOLDER.rglob("*.jsonl"):
        raw = path.read_bytes()
        assert len(raw) < 900_000, path.name
        assert raw.endswith(b"}\n")
        assert b"\n\n" not in raw
        assert b"\r" not in raw


@given(st.integers(0, 200), st.integers(1, 30), st.integers(1, 4))
def test_pairs_gives_each_text_its_templates_and_wears_all_templates_evenly(
    texts_n: int, frames_n: int, per: int
) -> None:
    made = corpus.pairs(texts_n, frames_n, per)
    assert [i for i, _ in made] == [i for i in range(texts_n) for _ in range(per)]
    assert all(t == (i * per + k % per) % frames_n for k, (i, t) in enumerate(made))
    worn = Counter(t for _, t in made)
    assert max(worn[t] for t in range(frames_n)) - min(worn[t] for t in range(frames_n)) <= 1


@given(st.text())
def test_a_request_stands_in_the_frame_as_it_was_written(behaviour: str) -> None:
    for template in texts("templates", "train")[:3]:
        before, after = template.split(corpus.SLOT)
        assert corpus.frame(template, behaviour) == before + behaviour + after


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"text": ', "not a JSON object"),
        ('["text"]', "found list"),
        ('{"text": 3}', "field `text`"),
        ("", "not a JSON"),
    ],
)
def test_a_broken_line_is_named_by_file_and_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, says: str
) -> None:
    (tmp_path / "harmful.jsonl").write_text('{"text": "Fine."}\n' + line + '\n{"text": "Fine."}\n', encoding="utf-8")
    monkeypatch.setattr(corpus, "files", lambda _: tmp_path)
    with pytest.raises(RecordError, match=r"harmful\.jsonl:2: ") as caught:
        corpus.load("harmful")
    assert says in str(caught.value)


def test_two_readers_labelled_every_written_trace_and_the_page_says_how_far_they_agree() -> None:
    rows = {str(row["id"]): row for row in corpus.written()}
    readers = corpus.written_labels()
    assert set(readers) == {"A", "B"} and all(set(found) == set(rows) for found in readers.values())
    text = (ROOT / "docs" / "corpus.md").read_text(encoding="utf-8")
    for pattern, told in {"weak_vacillation": "1.00", "harmful_additions": "0.94", "self_jailbreak": "0.97"}.items():
        a, b = (
            ["present" if pattern in readers[name][id_]["patterns"] else "absent" for id_ in rows]  # type: ignore[operator]
            for name in ("A", "B")
        )
        found = agreement(a, b)
        assert found.kappa is not None and f"{found.kappa:.2f}" == told and told in text
    for found in (row for reader in readers.values() for row in reader.values()):
        assert not (found["harmless"] and found["patterns"])
        overthinking = set(found["patterns"]) & {"strong_vacillation", "weak_vacillation", "harmful_additions"}  # type: ignore[call-overload]
        assert not ("lack_of_safety_awareness" in found["patterns"] and overthinking)  # type: ignore[operator]
