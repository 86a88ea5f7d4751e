"""Which reader answers a recipe's rubric: one without a model, a guard in its own format, or a chat model by a file."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from unwaver.judging import Grader, LocalReader, ModelReader
from unwaver.recipe import JudgeSettings, ModelSettings
from unwaver.records import LookedAt


def local_reader(rubric: str, looked_at: LookedAt | None = None, file: Path | None = None) -> LocalReader:
    """The reader without a model for a rubric, from a file of one's own or the shipped one.

    RecipeError where the file can't be read or has no question for it.
    """
    from unwaver.judging.local.reader import HarmReader, PatternReader, QuestionReader
    from unwaver.judging.local.reader_file import opened

    source = opened(file)
    if rubric == "patterns":
        return PatternReader(source)
    if rubric == "guard":
        return HarmReader("both", "guard", source)
    if rubric == "harm":
        return HarmReader(looked_at or "answer", "harm", source)
    return QuestionReader(rubric, source)


def grader_identity(rubric: str) -> dict[str, Any]:
    """Who grades `maths` or `code`, without starting a process or looking for a sandbox."""
    if rubric == "maths":
        from unwaver.judging.graders import maths

        return maths.identity()
    from unwaver.judging.graders import code

    return code.identity()


def grader(rubric: str) -> AbstractContextManager[Grader]:
    """The grader of `maths`, which holds worker processes while it is open, or of `code`."""
    if rubric == "maths":
        from unwaver.judging.graders.maths import MathsGrader

        return MathsGrader()
    from unwaver.judging.graders.code import CodeGrader

    return nullcontext(CodeGrader())


def model_reader(
    rubric: str, model: ModelSettings, settings: JudgeSettings, looked_at: LookedAt | None = None
) -> ModelReader:
    """The reader that asks `model`: a known guard in its published format, else our rubric."""
    from unwaver.judging.asked.guards import guard_for
    from unwaver.judging.asked.rubric import judge_for

    if rubric in ("guard", "harm"):
        guard = guard_for(model.target, looked_at, rubric)
        if guard is not None:
            return guard
    return judge_for(rubric, looked_at, settings.max_tokens, settings.rubric_files.get(rubric))
