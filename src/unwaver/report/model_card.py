"""A trained model's card with the numbers: what a report measured of it, beside its base, with what it rests on.

Reads the card that training wrote, the run's manifest, and `estimates.jsonl` of the newest report beside the run that
has figures of this very model. The header carries the same figures as the hub's evaluation results (`model-index`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unwaver.errors import RecipeError
from unwaver.plain import in_markdown, plain
from unwaver.records import Estimate
from unwaver.report.before import PAGE, newest_first, read_rates
from unwaver.report.tables import NOTHING, of, written
from unwaver.store import read_config, read_manifest
from unwaver.study.measures import measures
from unwaver.training.card import CLOSING

STUDY = "https://arxiv.org/abs/2505.15404"
"""What the hub asks for as the source of a result: the study that says how it is measured."""


Rows = Sequence[tuple[Estimate, Estimate | None]]
"""What was measured of a model, each with the same of its base; None where that wasn't measured alike."""


def card(run: Path, report: Path, rows: Rows) -> str:
    """The card of a finished training in Markdown, with a report's `figures` of it."""
    import yaml
    from huggingface_hub import ModelCard, ModelCardData

    path = run / "model" / "README.md"
    if not path.is_file():
        raise RecipeError(f"{path}: there is no such file; expected the directory of a finished training")
    try:
        text = path.read_text(encoding="utf-8")
        if CLOSING not in text:
            raise ValueError(f"its last sentence, “{CLOSING[:34]} ...”, is not there; copy the run again")
        made = ModelCard(text.replace(CLOSING, f"{_section(run, report, rows)}\n{CLOSING}"))
        header: Any = made.data
        made.data = ModelCardData(**header.to_dict(), model_name=run.parent.name, eval_results=_results(rows))
    except (ValueError, TypeError, yaml.YAMLError) as error:  # people may write in it
        raise RecipeError(f"{path}: is no model card ({' '.join(str(error).split())[:200]})") from None
    return str(made)


def figures(run: Path) -> tuple[Path, Rows]:
    """The newest report that has measures of this model, and these; RecipeError where none has.

    A report is whole when its page is there.
    """
    for page in newest_first(run.parent.glob(f"report-*/{PAGE}")):
        known = [one for one in read_rates(page.parent) if one.metric in measures() and one.runs]
        names = {name for one in known for name in one.runs}
        trained = {name: _trained(run.parent / name, page.parent) for name in names}
        by_model = {one: {trained[name] for name in one.runs} for one in known}
        bases = [one for one in known if by_model[one] == {None}]
        if mine := [one for one in known if by_model[one] == {run.name}]:
            return page.parent, [(one, next((base for base in bases if _alike(one, base)), None)) for one in mine]
    raise RecipeError(
        f"{run}: no report beside it has figures of this model; expected `unwaver report RECIPE` to have been given "
        "after its evaluations"
    )


def _trained(evaluated: Path, report: Path) -> str | None:
    """The training whose student was evaluated; None: the student as it came."""
    inputs = read_config(evaluated).get("inputs")
    if inputs is None:
        raise RecipeError(
            f"{evaluated}: figures of {report.name} rest on it, and whose they are can't be told without its settings; "
            f"copy it again, or delete {report} and give `unwaver report RECIPE` again"
        )
    train: str | None = inputs.get("train")
    return train


def _alike(one: Estimate, other: Estimate) -> bool:
    return one.slice == other.slice and not one.differs(other)


def _section(run: Path, report: Path, rows: Rows) -> str:
    lines = ["| measure | prompts | the base | this model | n | unscored | better |", "|---|---|---|---|---|---|---|"]
    for mine, base in rows:
        measure = measures()[mine.metric]
        cells = [
            in_markdown(measure.title),
            in_markdown(mine.slice),
            *(in_markdown(_written(one)) for one in (base, mine)),
            f"{mine.n:,}",
            f"{mine.n_unscored:,}",
            measure.better or NOTHING,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    manifest = read_manifest(run) or {}
    versions = ", ".join(f"{name} {version}" for name, version in manifest.get("versions", {}).items())
    return "\n".join(
        [
            "## What was measured",
            "",
            "Per cent of prompts with the 95 % interval; what could not be scored is in no rate. Prompts were not "
            "trained on.",
            "",
            *lines,
            "",
            *_how(rows),
            f"- Report: {in_markdown(report.name)}, run {in_markdown(run.name)}, made with {in_markdown(versions)}.",
            "",
        ]
    )


def _written(estimate: Estimate | None) -> str:
    return written(of(estimate))


def _how(rows: Rows) -> list[str]:
    """A line for each way a measure was taken: who read what of which replies."""
    ways: dict[str, list[str]] = {}
    for mine, _ in rows:
        basis = mine.basis
        told = (
            "how it was read is not known"
            if basis is None
            else f"read by {basis.judge} as {basis.rubric} in {basis.looked_at}; replies drawn with {basis.sampling}, "
            f"at most {basis.limit} tokens"
        )
        ways.setdefault(told, []).append(f"{measures()[mine.metric].title} on {mine.slice}")
    return [f"- {in_markdown(', '.join(what))}: {in_markdown(how)}." for how, what in ways.items()]


def _results(rows: Rows) -> list[Any]:
    """The figures in the form of the hub's evaluation results."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=plain(mine.slice),
            dataset_name=plain(mine.slice),
            metric_type=mine.metric,
            metric_name=measures()[mine.metric].title,
            metric_value=round(mine.value, 4),
            metric_args={
                "n": mine.n,
                "unscored": mine.n_unscored,
                "low": _rounded(mine.low),
                "high": _rounded(mine.high),
            },
            source_name="unwaver",
            source_url=STUDY,
        )
        for mine, _ in rows
        if mine.value is not None
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
