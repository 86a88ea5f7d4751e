"""`unwaver reader train LABELS --rubric NAME --out FILE` and `unwaver reader test FILE LABELS`: readers of one's own.

Labels come from people, from a finished run's `verdicts.jsonl` (with the traces beside it), or both: each LABELS is a
table in any form that prompts may have (docs/sources.md), or a run's directory. A row holds a `label`, the text
(`reasoning` or `answer`), and should hold `prompt` and `model`, so that what is measured is measured on models and
prompts that were left out. What `judge` steps wrote is joined with the traces they read. The file that is written is
used as `refusal = "local:FILE"` (docs/readers.md).
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_DONE, RecipeError, RecordError
from unwaver.judging.local.fitting import LabelledText
from unwaver.judging.local.question import Part
from unwaver.kept import write_whole
from unwaver.printer import console
from unwaver.progress import say
from unwaver.sources import files
from unwaver.store import writable

PARTS: dict[str, Part] = {"refusal": "answer", "harm_answer": "answer"}
"""Which text a shipped question is asked of; every other is asked of the reasoning unless --part says otherwise."""

FIELDS = frozenset({"label", "reasoning", "answer", "prompt", "behaviour", "model", "weight"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Train or test, the labels, the rubric, the file."""
    parser.add_argument("what", choices=("train", "test"))
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="LABELS ...; for test: READER LABELS ...")
    parser.add_argument("--rubric", required=True, help="refusal, harm_answer, conclusion, or a name of your own")
    parser.add_argument("--part", choices=("reasoning", "answer"), help="the text it reads (default: by the rubric)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="train: where the reader is written (.npz)")


USELESS = 0.05
"""Cohen's kappa up to which a reader's labels are hardly better than drawn ones."""


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Do what is asked; the figures go to stdout."""
    for flag in overrides:
        raise RecipeError(f"--{flag}: no such flag")
    return _train(arguments) if arguments.what == "train" else _test(arguments)


def _train(arguments: argparse.Namespace) -> int:
    from unwaver.judging.local.fitting import cards, summary, trained
    from unwaver.judging.local.question import packed
    from unwaver.judging.local.reader_file import unknown

    if arguments.out is None:
        raise RecipeError("reader train: expected --out FILE")
    writable(arguments.out, arguments.files, "--out")
    part = arguments.part or PARTS.get(arguments.rubric, "reasoning")
    rows = _english(_gathered(arguments.files, part, arguments.rubric))
    labels = sorted({row.label for row in rows})
    if strange := unknown(arguments.rubric, labels):
        raise RecipeError(f"reader train: {strange}")
    fit, held, tables = trained(rows, labels, part)
    measured = summary(held, tables.rows, labels)
    card = {"trained_on": cards(tables.rows), "held_out": measured, "language": "English"}
    about = {"trained_by": "unwaver reader train", "texts": sorted({_mark(row.text) for row in rows})}
    content = packed({arguments.rubric: _with_card(fit, card)}, about)
    write_whole(arguments.out, content)
    console().print(json.dumps(card, indent=2, ensure_ascii=False))
    say(f"reader: {arguments.out} ({len(content):,} bytes); use it as local:{arguments.out}")
    if (measured["kappa"] or 0.0) <= USELESS:
        say(
            f"reader: of what was left out it reads no more than chance would (kappa {measured['kappa']}): more "
            "labels, or another rubric, before any figure rests on it"
        )
    return EXIT_DONE


def _gathered(files: list[Path], part: Part, rubric: str) -> list[LabelledText]:
    """The labelled texts of all files, each once: one that stands again would weigh more."""
    rows = [row for path in files for row in labelled(path, part, rubric)]
    once: dict[tuple[Any, ...], LabelledText] = {}
    said: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for row in rows:
        text = (" ".join(row.text.split()), row.model, row.prompts)
        once.setdefault((*text, row.label), row)
        said[text].add(row.label)
    if again := len(rows) - len(once):
        say(f"reader: {again} of {len(rows)} lines repeat another's text, label, model and prompt, and count once")
    if both := sum(len(labels) > 1 for labels in said.values()):
        say(f"reader: {both} of {len(said)} texts have more than one label, and each counts")
    if blank := sum(not any(map(str.isalpha, row.text)) for row in once.values()):
        say(f"reader: {blank} of {len(once)} texts hold no word, and count for nothing")
    return list(once.values())


def _english(rows: list[LabelledText]) -> list[LabelledText]:
    """The rows that a reader could read; RecipeError where they are the smaller part."""
    from unwaver.judging.language import foreign

    other = {number: tongue for number, row in enumerate(rows) if (tongue := foreign(row.text)) is not None}
    if not other:
        return rows
    told = f"{len(other)} of {len(rows)} texts are in another language ({', '.join(sorted(set(other.values())))})"
    if 2 * len(other) > len(rows):
        raise RecipeError(f"{told}: a reader reads English and labels no other; ask a model as a judge")
    say(f"{told} and are left out: a reader reads English")
    return [row for number, row in enumerate(rows) if number not in other]


def _mark(text: str) -> str:
    """By what a text of the training is known again."""
    from unwaver.records import digest

    return digest(" ".join(text.split()), size=10)


def _with_card(fit: Any, card: dict[str, Any]) -> Any:
    from dataclasses import replace

    return replace(fit, card=card)


def _test(arguments: argparse.Namespace) -> int:
    import numpy as np

    from unwaver.judging.local.fitting import kappa
    from unwaver.judging.local.reader import ask
    from unwaver.judging.local.reader_file import opened

    reader, *files = arguments.files
    if not files:
        raise RecipeError("reader test: expected READER LABELS ...")
    file = opened(reader)
    question, known = file.question(arguments.rubric), frozenset(file.about.get("texts", ()))
    rows = _gathered(files, question.part, arguments.rubric)
    if unknown := sorted({row.label for row in rows} - set(question.labels)):
        raise RecipeError(f"labels {', '.join(unknown)}: {reader} knows {', '.join(question.labels)}")
    if seen := sum(_mark(row.text) in known for row in rows):
        say(f"{seen} of {len(rows)} texts are among those {reader} was trained on: left out, as on them it is no test")
        rows = [row for row in rows if _mark(row.text) not in known]
    if not rows:
        raise RecipeError(f"nothing to test on: expected labels that {reader} was not trained on (its card is a test)")
    reads = [ask(question, row.text) for row in rows]
    told: dict[str, Any] = {}
    for model in ("", *sorted({row.model for row in rows if row.model})):
        members = [(row.label, read.label) for row, read in zip(rows, reads, strict=True) if model in ("", row.model)]
        scored = [(one, two) for one, two in members if two is not None]
        truth, said = (np.array([question.labels.index(pair[n]) for pair in scored], dtype=np.int64) for n in (0, 1))
        told[model or "all"] = {
            "texts": len(members),
            "scored": len(scored),
            "agreement": round(float((truth == said).mean()), 3) if scored else None,
            "kappa": kappa(truth, said, len(question.labels)),
        }
    console().print(json.dumps(told, indent=2, ensure_ascii=False))
    return EXIT_DONE


def labelled(path: Path, part: Part, rubric: str) -> Iterator[LabelledText]:
    """The labelled texts of a file or a run's directory. RecordError with `path:line` where a row is no such thing."""
    if path.is_dir():
        yield from _of_run(path, part, rubric)
        return
    if path.name == "verdicts.jsonl":
        yield from _of_run(path.parent, part, rubric)
        return
    if path.exists() and not path.is_file():
        raise RecipeError(f"{path}: is no file and no folder")  # a pipe would be waited for
    if not path.exists():
        raise RecordError(f"{path}: there is no such file")
    for where, row in files.rows(path):
        yield _row(row, where, part, path.stem)


def _row(row: files.RawRow, where: str, part: Part, origin: str) -> LabelledText:
    if not isinstance(row.get("label"), str) or not row["label"].strip() or not isinstance(row.get(part), str):
        raise RecordError(f"{where}: expected an object with the texts `label` and `{part}`")
    prompts = [row[key] for key in ("prompt", "behaviour") if isinstance(row.get(key), str)] or [row[part]]
    weight = _number(row.get("weight", 1.0))
    if not 0 < weight < float("inf"):
        raise RecordError(f"{where}: weight: expected a number above 0")
    keys = frozenset(text.strip().lower() for text in prompts)
    return LabelledText(row[part], row["label"].strip(), str(row.get("model") or ""), keys, origin, weight)


def _number(value: Any) -> float:
    """A number, also as the text that a CSV has for it; nan for anything else."""
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else float("nan")
    except (ValueError, OverflowError):
        return float("nan")


def _of_run(folder: Path, part: Part, rubric: str) -> Iterator[LabelledText]:
    """Verdicts joined with the traces they read; those of other rubrics or texts, and unscored ones, are left."""
    from unwaver.records import Trace, Verdict
    from unwaver.store import NAMED, TRACES, VERDICTS, home, read_manifest, read_records

    def is_owed(run: Path) -> bool:
        """Half of a run looks like a smaller one."""
        return NAMED.fullmatch(run.name) is not None and read_manifest(run) is None

    def there(place: Path, name: str) -> list[Path]:
        files = sorted(place.glob(f"*/{name}"))
        owed = {file for file in files if is_owed(file.parent)}
        for file in sorted(owed):
            say(f"reader: {file.parent} is not finished, and left out")
        return [file for file in files if file not in owed]

    one = home(folder)
    if is_owed(one):
        raise RecipeError(f"{folder}: is not finished; the command that began it goes on with it")
    verdicts = [one / VERDICTS] if (one / VERDICTS).exists() else there(folder, VERDICTS)
    traces: dict[str, Trace] = {}
    for beside in {one.parent.parent for one in verdicts}:
        for file in there(beside, TRACES):
            traces |= {trace.id: trace for trace in read_records(file, Trace)}
    if not verdicts or not traces:
        raise RecipeError(f"{folder}: expected a judge step's directory, or a folder of a run's steps")
    for file in verdicts:
        for verdict in read_records(file, Verdict):
            named = verdict.rubric.partition("@")[0]
            trace = traces.get(verdict.trace)
            text = trace.text(part) if trace else None
            if trace is None or verdict.label is None or not text or named != rubric.partition("_")[0]:
                continue
            if verdict.looked_at == part:
                keys = frozenset(x.strip().lower() for x in (trace.prompt.text, trace.prompt.behaviour) if x)
                yield LabelledText(text, verdict.label, trace.model, keys, verdict.judge)
