"""Which reader answers a recipe's rubric: the rules, a guard in its own format, or any chat model through a file."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from unwaver.judging import Grader, ModelReader, RuleReader
from unwaver.recipe import JudgeSettings, ModelSettings
from unwaver.records import LookedAt


def rule_reader(rubric: str, looked_at: LookedAt | None = None) -> RuleReader:
    """The reader without a model for `guard`, `patterns`, `refusal` or `harm`."""
    from unwaver.judging.rules import HarmRules, PatternRules, RefusalRules

    if rubric == "refusal":
        return RefusalRules()
    if rubric == "patterns":
        return PatternRules()
    if rubric == "guard":
        return HarmRules("both", "guard")
    if rubric == "harm":
        return HarmRules(looked_at or "answer")
    raise ValueError(f"no rules for the rubric {rubric}")


def grader(rubric: str) -> AbstractContextManager[Grader]:
    """The grader of `maths`, which holds worker processes while it is open, or of `code`."""
    if rubric == "maths":
        from unwaver.judging.maths import MathsGrader

        return MathsGrader()
    from unwaver.judging.code import CodeGrader

    return nullcontext(CodeGrader())


def model_reader(
    rubric: str, model: ModelSettings, settings: JudgeSettings, looked_at: LookedAt | None = None
) -> ModelReader:
    """The reader that asks `model`: a known guard in its published format, else our rubric."""
    from unwaver.judging.guards import guard_for
    from unwaver.judging.rubric import judge_for

    if rubric in ("guard", "harm"):
        guard = guard_for(model.target, looked_at, rubric)
        if guard is not None:
            return guard
    return judge_for(rubric, looked_at, settings.max_tokens, settings.rubric_files.get(rubric))
