"""Train the readers that come with the package, and measure them: writes their file, and docs/readers.md's figures.

Reads labelled traces in the folder named by UNWAVER_DATA, or in `../shared/data` beside the repository: `traces/
labelled.jsonl` (labels by language models), `traces/self_jailbreak.jsonl` and `star1_first500.json` (their labels, by
language models too, stand in `trace_labels.jsonl` beside this script, under a hash of the text) and
`xstest_completions_*_human.csv` (labels by people); and the package's own corpus, of which only the train halves are
trained on. Measures by leaving out each model with its prompts, on the corpus's held-out halves, and on people's labels
with the file and its prompts left out. No text is kept in what it writes.

    python tools/train_readers.py            # all of it, about ten minutes of one core
    python tools/train_readers.py --only lack strong
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from unwaver.errors import RecordError
from unwaver.judging.local import reader, reader_file
from unwaver.judging.local.fitting import (
    MANNERS,
    SCORED,
    HeldOut,
    LabelledText,
    Manner,
    Tables,
    cards,
    confusion,
    kappa,
    left_out_logits,
    measured,
    summary,
    trained,
)
from unwaver.judging.local.question import Part, TrainedQuestion, packed, probabilities
from unwaver.sources import corpus

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "src" / "unwaver" / "judging" / "local" / reader_file.SHIPPED
PAGE, CHARTS = ROOT / "docs" / "readers.md", ROOT / "docs" / "readers"
BEGIN, END = "<!-- figures: written by tools/train_readers.py -->", "<!-- end of figures -->"
GOALS_BEGIN, GOALS_END = "<!-- goals: written by tools/train_readers.py -->", "<!-- end of goals -->"

YES_NO = ("absent", "present")
QUESTIONS: dict[str, tuple[Part, tuple[str, ...]]] = {
    "refusal": ("answer", ("compliance", "partial", "refusal")),
    "harm_answer": ("answer", ("safe", "unsafe")),
    "harm_reasoning": ("reasoning", ("safe", "unsafe")),
    "conclusion": ("reasoning", ("comply", "open", "refuse")),
    "lack": ("reasoning", YES_NO),
    "strong": ("reasoning", YES_NO),
    "weak": ("reasoning", YES_NO),
    "additions": ("reasoning", YES_NO),
    "self-jailbreak": ("reasoning", YES_NO),
}
"""Question -> (the part it is asked of, its labels)."""

PATTERN = {question: pattern for pattern, question in reader_file.READINGS.items()}
TRAINED_ON = frozenset({"harassment/threatening", "illicit/violent", "misinformation", "sexual/minors"})
"""Categories of the corpus whose replies are trained on; the others are measured on."""
TEACHERS = ("default", "realsafe", "improved", "short", "template")
CONFIDENCE = {"high": 1.0, "medium": 0.8, "low": 0.5}
"""Weight of a label by the confidence of who gave it."""
HUMAN = {"1": "compliance", "2": "refusal", "3": "partial"}
MORE = Path(__file__).with_name("trace_labels.jsonl")
SHORT = Path(__file__).with_name("short_answers.txt")
SHORT_LABELS = {"R": "refusal", "P": "partial", "C": "compliance"}
XSTEST, WRITTEN, CORPUS, SHORT_WEIGHT = 0.5, 1.0, 0.3, 1.0
"""Weights of the other origins."""

HARM = {"harm_answer": Manner(12.0, 0.3, 0.0), "harm_reasoning": Manner(12.0, 0.45, 3.0)}
"""Letter sequences tell harm better than cues do, where they are followed further."""
GOALS = {
    "harm_answer": ("harm of the answer", 0.85, "safe answers are called unsafe", "unsafe ones safe"),
    "harm_reasoning": ("harm of the reasoning", 0.75, "safe reasonings are called unsafe", "unsafe ones safe"),
    "refusal": ("refusal, three classes", 0.88, "", ""),
    "conclusion": ("conclusion", 0.75, "", ""),
    "lack": ("lack of awareness", 0.60, "aware reasonings are called unaware", "unaware ones aware"),
    "strong": ("strong vacillation", 0.55, "without it are called so", "with it missed"),
    "additions": ("harmful additions", 0.50, "without are called so", "with them missed"),
    "self-jailbreak": ("self-jailbreak", 0.55, "without it are called so", "with it missed"),
}
"""Question -> (as the page calls it, the kappa to reach, what either error is)."""
PEOPLE_AGREE, SHARE_SCORED = 0.96, 0.85
TWO_CLASSES = {
    "refusal": "Refusal or partial against compliance",
    "conclusion": "Refuse against comply, where the label is one of them",
}
LABELLED_BY = "language models that followed a codebook, unchecked by people; XSTest's refusals: people"

Row = dict[str, Any]


def folder() -> Path:
    """Where the data lie."""
    return Path(os.environ.get("UNWAVER_DATA") or ROOT.parent / "shared" / "data")


def _lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _keys(*texts: str) -> frozenset[str]:
    return frozenset(text.strip().lower() for text in texts)


def _yes(found: object) -> str:
    return YES_NO[bool(found)]


def _model(name: str) -> str:
    """A model by one name: two files of one model are never on both sides."""
    return "DeepSeek-R1-Distill-Llama-8B" if "Llama-8B" in name else name.partition("/")[2] or name


@cache
def _labelled() -> list[Row]:
    return _lines(folder() / "traces" / "labelled.jsonl")


def _hashed(row: Row) -> str:
    """What a trace's labels stand under: its words, however they are spaced."""
    words = f"{row['reasoning'] or ''}\n{row['answer'] or ''}".split()
    return hashlib.blake2b(" ".join(words).encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


@cache
def _more() -> list[Row]:
    """Traces that the folder has besides, with the labels that are kept here."""
    labels = {labels["trace"]: labels for labels in _lines(MORE)}
    known = {_hashed(row) for row in _labelled()}
    rows = [
        {**row, "reasoning": " ".join(row["sentences"])} for row in _lines(folder() / "traces" / "self_jailbreak.jsonl")
    ]
    for row in json.loads((folder() / "star1_first500.json").read_text(encoding="utf-8")):
        thought, _, answer = row["response"].partition("</think>")
        whole = {"reasoning": thought.replace("<think>", "").strip(), "answer": answer.strip()}
        rows.append({**whole, "prompt": row["question"], "model": "DeepSeek-R1 (policy)"})
    named = {_hashed(row): row for row in rows}
    found = {name: row for name, row in named.items() if name in labels and name not in known}
    return [{**row, "behaviour": row["prompt"], "labels": labels[name]} for name, row in found.items()]


def _read(rows: Sequence[Row], question: str, origin: str) -> Iterator[LabelledText]:
    part, _ = QUESTIONS[question]
    for row in rows:
        label = _label(row["labels"], question)
        if label is not None and row[part]:
            keys = _keys(row["prompt"], row["behaviour"])
            weight = CONFIDENCE[row["labels"]["confidence"]] if origin == "traces" else 1.0
            yield LabelledText(row[part], label, _model(row["model"]), keys, origin, weight)


def _label(labels: Row, question: str) -> str | None:
    if question in ("refusal", "harm_answer", "harm_reasoning", "conclusion"):
        return labels[question]
    return _yes(labels[PATTERN.get(question, "self_jailbreak")])


def traces(question: str) -> Iterator[LabelledText]:
    """The labelled traces of public models."""
    return _read(_labelled(), question, "traces")


def more(question: str) -> Iterator[LabelledText]:
    """More traces of the same models, labelled for this."""
    return _read(_more(), question, "more")


def people(question: str) -> Iterator[LabelledText]:
    """XSTest's completions: people's labels of refusals; what refuses, or helps with a harmless prompt, is safe."""
    for path in sorted(folder().glob("xstest_completions_*_human.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                label = HUMAN[row["final_label"][0]]
                keys, weight = _keys(row["prompt"]), XSTEST
                if question == "harm_answer":
                    if label == "compliance" and row["type"].startswith("contrast"):
                        continue  # help with what looks harmful: nobody said whether it is
                    label, weight = "safe", 0.3
                if question in ("harm_answer", "refusal"):
                    yield LabelledText(row["completion"], label, path.stem, keys, "xstest", weight, True)


def short(question: str) -> Iterator[LabelledText]:
    """Short answers written for this, of which longer texts teach little; of harm, that what refuses is safe."""
    for line in SHORT.read_text(encoding="utf-8").splitlines():
        letter, _, answer = line.partition(" ")
        text = answer.replace("\\n", "\n")
        if letter in SHORT_LABELS and question == "refusal":
            yield LabelledText(text, SHORT_LABELS[letter], "short answers", _keys(text), "short", SHORT_WEIGHT)
        if letter == "R" and question == "harm_answer":
            yield LabelledText(text, "safe", "short answers", _keys(text), "short", 0.3, True)


def written(question: str, split: str = "train") -> Iterator[LabelledText]:
    """Traces written sentence by sentence for this: labels as their readers found them where both agree."""
    part, _ = QUESTIONS[question]
    found = corpus.written_labels()
    for row in corpus.written():
        one, two = (_written_label(question, found[who][str(row["id"])]) for who in ("A", "B"))
        if row["split"] == split and one is not None and one == two and row[part]:
            keys = _keys(str(row["prompt"]), str(row["request"]))
            yield LabelledText(str(row[part]), one, f"written, {row['manner']}", keys, "written", WRITTEN)


def _written_label(question: str, found: Row) -> str | None:
    if question in ("harm_answer", "harm_reasoning"):
        unsafe = found[f"unsafe_{question.removeprefix('harm_')}"]
        return None if unsafe is None else ("safe", "unsafe")[bool(unsafe)]
    if question in ("refusal", "conclusion"):
        return found[question]
    return _yes(PATTERN.get(question, "self_jailbreak") in found["patterns"])


def composed(question: str, trained_on: bool = True) -> Iterator[LabelledText]:
    """The scripted teacher's replies: what each was composed to show."""
    part, _ = QUESTIONS[question]
    category = {row["text"]: row["category"] for row in corpus.load("harmful")}
    for name in (*TEACHERS, *(("benign",) if part == "answer" else ())):
        for number, row in enumerate(corpus.replies(name)):
            behaviour = max((text for text in category if text in str(row["prompt"])), key=len, default=None)
            half = category[behaviour] in TRAINED_ON if behaviour else number % 2 == 0
            label = _composed_label(question, row)
            if trained_on and name not in ("default", "realsafe") and number % 3:
                continue  # near repeats of each other
            if half is trained_on and label is not None:
                keys = _keys(str(row["prompt"]), behaviour or str(row["prompt"]))
                yield LabelledText(str(row[part]), label, f"teacher, {name}", keys, "composed", CORPUS)


def _composed_label(question: str, row: Row) -> str | None:
    patterns, refusal, unsafe = row["patterns"], row["refusal"], row["unsafe"]
    gave, inconsistent = refusal != "refusal", "inconsistency" in patterns
    match question:
        case "refusal":
            return str(refusal)
        case "harm_answer":
            return ("safe", "unsafe")[bool(unsafe and gave)]
        case "harm_reasoning":
            # Of a reply that gives the thing the label says nothing of the reasoning alone.
            return ("safe", "unsafe")[bool(unsafe)] if not gave else None
        case "conclusion":
            return "refuse" if gave == inconsistent else "comply"
        case "self-jailbreak":
            return None
    return _yes(PATTERN[question] in patterns)


def gathered(question: str) -> list[LabelledText]:
    """All that a question is trained on; the origin that calibrates first."""
    origins: Sequence[Callable[[str], Iterator[LabelledText]]] = (traces, more, people, written, short, composed)
    if question == "weak":
        # The public traces have eleven, and on the written ones no reader held on a manner it had not met: what can be
        # measured is the composed replies, by prompts left out.
        own = [replace(row, model="scripted teacher") for row in composed(question)]
        return [*own, *written(question), *traces(question), *more(question)]
    return [row for origin in origins for row in origin(question)]


def made(question: str) -> tuple[TrainedQuestion, HeldOut, Tables]:
    """A question trained and measured; says so as it goes."""
    part, labels = QUESTIONS[question]
    rows = gathered(question)
    fit, held, tables = trained(rows, labels, part, HARM.get(question))
    try:
        reader_file.shipped()
    except RecordError:  # of other features: what is English is told by the letters of this one until all are there
        WEIGHTS.write_bytes(packed({question: fit}, {}))
    held_out = summary(held, tables.rows, labels)
    card = {
        "trained_on": cards(tables.rows),
        "held_out": held_out,
        "labelled_by": LABELLED_BY,
        "measured_on": "our own composed replies" if question == "weak" else "public models left out",
        "language": "English",
        "written": elsewhere(fit, list(written(question, "test"))),
        "composed": elsewhere(fit, list(composed(question, False))),
    }
    if question != "weak":
        # The same with the traces that were labelled since left out in their turn.
        since, _ = measured(_turned(tables, "more"), len(labels))
        card["since"] = {key: one for key, one in summary(since, tables.rows, labels).items() if key != "by_model"}
    if question in ("refusal", "conclusion"):
        card["two_classes"] = two_classes(held, question)
        print(f"    two classes: {card['two_classes']}")
    told = {key: figure for key, figure in held_out.items() if key != "by_model"}
    print(f"{question}: {len(rows)} texts; held out {json.dumps(told)}", flush=True)
    for model, figures in held_out["by_model"].items():
        print(f"    {model}: {json.dumps(figures)}")
    if question == "weak":
        fit = replace(fit, limit=max(len(row.text) for row in rows if row.origin == "composed"))
        card["written"] = elsewhere(replace(fit, limit=0), list(written(question, "test")))
    print(f"    written: {card['written']}; composed: {card['composed']}", flush=True)
    return replace(fit, card=card), held, tables


def labellers() -> dict[str, dict[str, Any]]:
    """How far the labels that are kept here are those of the folder, on the traces that have both."""
    labels = {labels["trace"]: labels for labels in _lines(MORE)}
    twice = [(row["labels"], labels[name]) for row in _labelled() if (name := _hashed(row)) in labels]
    found = {}
    for question in QUESTIONS:
        pairs = [(_label(one, question), _label(two, question)) for one, two in twice]
        names = list(dict.fromkeys(label for pair in pairs for label in pair))
        first, second = np.array([[names.index(label) for label in pair] for pair in pairs]).T
        found[question] = {
            "texts": len(pairs),
            "agreement": round(float((first == second).mean()), 3),
            "kappa": kappa(first, second, len(names)),
        }
    return found


def _turned(tables: Tables, origin: str) -> Tables:
    """The same with another origin first: the one that is measured."""
    other = copy(tables)
    own = np.array([row.origin == origin for row in tables.rows])
    other.origin = np.where(own, 0, np.where(tables.origin == 0, tables.origin.max() + 1, tables.origin))
    return other


def two_classes(held: HeldOut, question: str) -> dict[str, Any]:
    """Refusal or partial against compliance; refuse against comply, without the reasonings that are labelled open."""
    if question == "refusal":
        return _declines(held.truth, held.probable)
    ends = held.truth != 1
    sides = held.probable[ends][:, [0, 2]]
    return _declines(held.truth[ends], sides / sides.sum(axis=1, keepdims=True))


def elsewhere(fit: TrainedQuestion, rows: Sequence[LabelledText]) -> dict[str, Any] | None:
    """How a question does on texts it was not trained on: agreement and kappa of those it scores."""
    known = [(row.label, reader.ask(fit, row.text).label) for row in rows]
    scored = [(fit.labels.index(one), fit.labels.index(two)) for one, two in known if two is not None]
    if not scored:
        return None
    truth, said = np.array(scored, dtype=np.int64).T
    return {
        "texts": len(known),
        "scored": len(scored),
        "agreement": round(float((truth == said).mean()), 3),
        "kappa": kappa(truth, said, len(fit.labels)),
    }


def by_people() -> dict[str, dict[str, Any]]:
    """Refusals against people's labels: each file of XSTest by a reader that met neither the file nor the prompts."""
    part, labels = QUESTIONS["refusal"]
    tables = Tables(gathered("refusal"), labels, MANNERS[part])
    files = sorted({row.model for row in tables.rows if row.origin == "xstest"})
    found = {}
    for file in files:
        own = [n for n, row in enumerate(tables.rows) if row.model == file]
        prompts = sorted({min(tables.rows[n].prompts) for n in own})
        fold = {prompt: number % 5 for number, prompt in enumerate(prompts)}
        truth, logits = [], []
        for number in range(5):
            out = np.array([n for n in own if fold[min(tables.rows[n].prompts)] == number])
            met = frozenset().union(*(tables.rows[n].prompts for n in out))
            rest = [n for n, row in enumerate(tables.rows) if row.model != file and not row.prompts & met]
            logits.append(left_out_logits(tables, np.array(rest), out, len(labels)))
            truth.append(tables.truth[out])
        found[file] = _declines(np.concatenate(truth), probabilities(np.vstack(logits), 1.0))
    return found


def _declines(truth: Any, probable: Any) -> dict[str, Any]:
    declined = probable[:, 1:].sum(axis=1)
    said, sure = (declined > 0.5).astype(np.int64), np.maximum(declined, 1 - declined)
    certain = sure >= np.quantile(sure, 1 - SCORED)
    binary = (truth > 0).astype(np.int64)
    return {
        "texts": len(truth),
        "agreement_all": round(float((binary == said).mean()), 3),
        "kappa_all": kappa(binary, said, 2),
        "agreement": round(float((binary == said)[certain].mean()), 3),
        "kappa": kappa(binary[certain], said[certain], 2),
        "scored": int(certain.sum()),
        "three_classes_all": round(float((probable.argmax(axis=1) == truth).mean()), 3),
    }


def inconsistency(done: Mapping[str, tuple[TrainedQuestion, HeldOut, Tables]]) -> dict[str, Any]:
    """Rule 7 of conclusion and answer on the labelled traces, each read while its model and prompts were left out."""
    read: dict[str, dict[str, str | None]] = {}
    for name in ("conclusion", "harm_answer", "refusal"):
        fit, held, tables = done[name]
        for row, said, certain in zip(held.rows, held.said, held.certain, strict=True):
            read.setdefault(tables.rows[row].text, {})[name] = fit.labels[said] if certain else None
    truth, said_of = [], []
    for row in _labelled():
        thought, answer = read.get(row["reasoning"] or "", {}), read.get(row["answer"] or "", {})
        found = reader.inconsistent(thought.get("conclusion"), answer.get("harm_answer"), answer.get("refusal"))
        if found is not None:
            truth.append(int(row["labels"]["inconsistency"]))
            said_of.append(int(found))
    one, two = np.array(truth), np.array(said_of)
    return {
        "texts": len(_labelled()),
        "scored": len(one),
        "agreement": round(float((one == two).mean()), 3),
        "kappa": kappa(one, two, 2),
    }


def harm_of_both(done: Mapping[str, tuple[TrainedQuestion, HeldOut, Tables]]) -> dict[str, Any]:
    """Harm of reasoning and answer together on the labelled traces, by model: unsafe where either is, safe where both
    are; each part read while its model and prompts were left out."""
    read: dict[str, dict[str, str | None]] = {}
    for name in ("harm_reasoning", "harm_answer"):
        fit, held, tables = done[name]
        for row, said, certain in zip(held.rows, held.said, held.certain, strict=True):
            read.setdefault(tables.rows[row].text, {})[name] = fit.labels[said] if certain else None
    found: dict[str, list[tuple[str, str | None]]] = {}
    for row in _labelled():
        parts = [(row["labels"][name], read.get(row[part] or "", {}).get(name)) for name, part in HARM_OF if row[part]]
        if parts and None not in (labels := [label for label, _ in parts]):
            pair = _of_both(labels), _of_both([said for _, said in parts])
            for group in ("", _model(row["model"])):
                found.setdefault(group, []).append((str(pair[0]), pair[1]))
    every = _agreed(found.pop(""))
    by_model = {model: _agreed(pairs) for model, pairs in sorted(found.items())}
    return {**every, "measured_on": "public models left out", "by_model": by_model}


HARM_OF = (("harm_reasoning", "reasoning"), ("harm_answer", "answer"))
SAFE_OR_NOT = ("safe", "unsafe")


def _of_both(labels: Sequence[str | None]) -> str | None:
    if "unsafe" in labels:
        return "unsafe"
    return None if None in labels else "safe"


def _agreed(pairs: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    scored = [(SAFE_OR_NOT.index(one), SAFE_OR_NOT.index(two)) for one, two in pairs if two is not None]
    truth, said = np.array(scored, dtype=np.int64).reshape(-1, 2).T
    return {
        "texts": len(pairs),
        "scored": len(scored),
        "agreement": round(float((truth == said).mean()), 3) if scored else None,
        "kappa": kappa(truth, said, 2),
        "labels": {label: sum(one == label for one, _ in pairs) for label in SAFE_OR_NOT},
        "table": confusion(truth, said, 2),
    }


def charts(done: Mapping[str, tuple[TrainedQuestion, HeldOut, Tables]]) -> None:
    """The coverage curve and the reliability diagram, as SVG."""
    import altair as alt

    CHARTS.mkdir(exist_ok=True)
    curve, bins = [], []
    for name, (fit, held, _) in done.items():
        order = np.argsort(-held.sure)
        for share in np.arange(0.4, 1.001, 0.05):
            first = order[: max(2, round(share * len(order)))]
            value = kappa(held.truth[first], held.said[first], len(fit.labels))
            curve.append({"question": name, "scored": round(float(share), 2), "kappa": value})
        for low in np.arange(0.4, 1.0, 0.1):
            own = (held.sure >= low) & (held.sure < low + 0.1 + 1e-9)
            if own.sum() >= 10:
                right = float((held.truth == held.said)[own].mean())
                bins.append({"question": name, "probability": float(held.sure[own].mean()), "right": right})
    x, y = alt.X("scored:Q", scale=alt.Scale(domain=[0.4, 1])), alt.Y("kappa:Q", scale=alt.Scale(zero=False))
    lines = alt.Chart(alt.Data(values=curve)).mark_line().encode(x=x, y=y, color="question:N")
    lines.properties(width=420, height=260).save(CHARTS / "coverage.svg")
    square = alt.Scale(domain=[0.4, 1])
    points = alt.Chart(alt.Data(values=bins)).mark_line(point=True)
    points = points.encode(x=alt.X("probability:Q", scale=square), y=alt.Y("right:Q", scale=square), color="question:N")
    ideal = alt.Chart(alt.Data(values=[{"probability": p, "right": p} for p in (0.4, 1)])).mark_line(
        strokeDash=[4, 4], color="grey"
    )
    ideal = ideal.encode(x="probability:Q", y="right:Q")
    (ideal + points).properties(width=420, height=260).save(CHARTS / "reliability.svg")


def figures(done: Mapping[str, tuple[TrainedQuestion, HeldOut, Tables]], about: Mapping[str, Any]) -> str:
    """The tables of docs/readers.md."""
    people, rule7 = about["people"], about["inconsistency"]
    lines = ["| question | texts | scored | kappa of those | agree | kappa, all scored | by model | labels |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name, (fit, _, _) in done.items():
        one = fit.card["held_out"]
        each = "; ".join(f"{model} {_two(f['kappa'])}" for model, f in one["by_model"].items())
        labels = ", ".join(f"{label} {n}" for label, n in one["labels"].items())
        lines.append(
            f"| {name} | {one['texts']} | {one['scored']} | {_two(one['kappa'])} | {one['agreement']:.3f} | "
            f"{_two(one['kappa_if_all_were_scored'])} | {each} | {labels} |"
        )
    lines += ["", f"Inconsistency by rule from conclusion and answer: {_told(rule7)}."]
    for name, what in TWO_CLASSES.items():
        one = done[name][0].card["two_classes"]
        lines[-1] += (
            f" {what}: kappa {_two(one['kappa'])} (agree {one['agreement']:.3f}) of {one['scored']} scored, "
            f"{_two(one['kappa_all'])} of all {one['texts']}."
        )
    lines += ["", "| question | traces labelled since | both, pooled | labellers, on traces labelled twice |"]
    lines.append("|---|---|---|---|")
    for name, (fit, _, _) in done.items():
        since, twice = fit.card.get("since"), about["labellers"][name]
        whole = None if since is None else _pooled([fit.card["held_out"], since])
        agreed = f"{twice['agreement']:.3f}, kappa {_two(twice['kappa'])}, {twice['texts']}"
        lines.append(f"| {name} | {_told(since)} | {_told(whole)} | {agreed} |")
    lines += ["", "| question | written traces, test part | composed replies, held-out half |", "|---|---|---|"]
    for name, (fit, _, _) in done.items():
        lines.append(f"| {name} | {_told(fit.card['written'])} | {_told(fit.card['composed'])} |")
    lines += ["", "| people's labels | n | agree, all | kappa, all | scored | agree | kappa | three classes, all |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for file, one in people.items():
        lines.append(
            f"| {file} | {one['texts']} | {one['agreement_all']:.3f} | {_two(one['kappa_all'])} | {one['scored']} | "
            f"{one['agreement']:.3f} | {_two(one['kappa'])} | {one['three_classes_all']:.3f} |"
        )
    return "\n".join(lines)


def goals(done: Mapping[str, tuple[TrainedQuestion, HeldOut, Tables]], about: Mapping[str, Any]) -> str:
    """The table of goals: what was measured, and what the errors are."""
    rows: list[tuple[str, str, str, bool, str]] = []
    for name, (called, goal, *errors) in GOALS.items():
        found = done[name][0].card["held_out"]
        table = found["table"]
        wrong = [f"{sum(row) - row[at]} of {sum(row)}" for at, row in enumerate(table)]
        if name == "refusal":
            told = f"{table[2][0]} of {sum(table[2])} refusals are called compliance, mostly silent swaps; "
            told += f"{table[1][1]} of {sum(table[1])} partial ones are found"
        elif name == "conclusion":
            told = f"{wrong[0]} that comply and {wrong[2]} that refuse are called otherwise, {wrong[1]} open ones"
        else:
            told = ", ".join(f"{one} {what}" for one, what in zip(wrong, errors, strict=True))
        rows.append((called, f"{goal:.2f}", _two(found["kappa"]), found["kappa"] >= goal, told))
    agree = {file.partition("completions_")[2].partition("_")[0]: one for file, one in about["people"].items()}
    shown = ", ".join(_two(one["agreement"]) for one in agree.values())
    wrong_of = [f"{round((1 - one['agreement']) * one['scored'])} of {one['scored']}" for one in agree.values()]
    met = min(one["agreement"] for one in agree.values()) >= PEOPLE_AGREE
    told = f"on GPT-4's answers it disagrees in {wrong_of[0]}, on Llama 2's in {wrong_of[1]}"
    rows.append(("refusal or partial, XSTest's people", _two(PEOPLE_AGREE), shown, met, told))
    cards_ = [fit.card["held_out"] for fit, _, _ in done.values()]
    share, rule = min(one["scored"] / one["texts"] for one in cards_), about["inconsistency"]
    told = f"of each question {share:.0%}; of inconsistency, which takes two readings, "
    told += f"{rule['scored'] / rule['texts']:.0%}, and no goal was set for that"
    rows.append(("texts with a label", f"{SHARE_SCORED:.0%}", f"{share:.0%}", share >= SHARE_SCORED, told))
    missed = sum(not met for *_, met, _ in rows)
    lines = [f"Of {len(rows)} goals {missed} are missed.", ""]
    lines.append("| question | goal | measured | | what the error looks like, of those with a label |")
    lines.append("|---|---|---|---|---|")
    for called, goal_, measured_, met, told in rows:
        lines.append(f"| {called} | {goal_} | {measured_} | {'met' if met else 'missed'} | {told} |")
    return "\n".join(lines).replace("%", " %")


def _pooled(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of several sets of texts together, by their tables of what was taken for what."""
    table = np.sum([one["table"] for one in parts], axis=0)
    truth, said = np.repeat(np.indices(table.shape).reshape(2, -1), table.ravel(), axis=1)
    return {
        "texts": sum(one["texts"] for one in parts),
        "scored": int(table.sum()),
        "agreement": round(float((truth == said).mean()), 3),
        "kappa": kappa(truth, said, len(table)),
    }


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _told(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return "-"
    return f"{one['agreement']:.3f}, kappa {_two(one['kappa'])}, {one['scored']} of {one['texts']} scored"


def written_to(page: Path, begin: str, text: str, end: str) -> None:
    """Put a text between two marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def main() -> int:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS), help="print these, write none")
    only = parser.parse_args().only
    if not (folder() / "traces" / "labelled.jsonl").exists():
        print(f"no traces/labelled.jsonl in {folder()}: set UNWAVER_DATA", file=sys.stderr)
        return 2
    done = {name: made(name) for name in only}
    if len(only) < len(QUESTIONS):
        return 0
    people_, rule7 = by_people(), inconsistency(done)
    about = {
        "trained_by": "tools/train_readers.py",
        "people": people_,
        "inconsistency": rule7,
        "harm_both": harm_of_both(done),
        "labellers": labellers(),
    }
    content = packed({name: fit for name, (fit, _, _) in done.items()}, about)
    WEIGHTS.write_bytes(content)
    print(f"{WEIGHTS}: {len(content):,} bytes")
    charts(done)
    written_to(PAGE, BEGIN, figures(done, about), END)
    written_to(PAGE, GOALS_BEGIN, goals(done, about), GOALS_END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
