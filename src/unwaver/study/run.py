"""Do what is owed, in order: the arms of a recipe, step by step, each step once however many arms share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from unwaver.errors import RecipeError, RunError, UnwaverError
from unwaver.progress import say
from unwaver.records import digest
from unwaver.stages import usable
from unwaver.stages.calls import Workplace
from unwaver.stages.made import told
from unwaver.store import Step
from unwaver.study.plan import Plan
from unwaver.study.steps import Owed, owed, perform, reads_student, together


def do(
    work: list[Plan],
    root: Path,
    wanted: Callable[[Step], bool] = lambda step: True,
    engine: Literal["local", "ray"] = "local",
) -> int:
    """Do the owed steps that are wanted; how many were done.

    `engine`: in this process one after the other, or on a Ray cluster (`study.cluster`). RunError when a step reads
    what is owed and not among them; RecipeError when a training set shares text with what is evaluated.
    """
    todo = [(step, recipe) for step, recipe in owed(work, root) if wanted(step)]
    _refuse_unread(todo, root)
    _refuse_students(todo)
    if engine == "ray":
        from unwaver.study.cluster import do_all

        return do_all(todo, root, lambda step: guard(step, work, root))
    place = Workplace(root)
    try:
        _do_in_turn(together(todo), work, place)
    finally:
        place.close()
    return len(todo)


def _do_in_turn(groups: Iterable[list[Owed]], work: list[Plan], place: Workplace) -> None:
    """One group after the other. Where a student can't be asked, what was asked before is read all the same, and then
    the error is raised.
    """
    problem: UnwaverError | None = None
    for group in groups:
        left = [item for item in group if problem is None or _can_be_read(item[0], place.root)]
        for step, _ in left:
            guard(step, work, place.root)
            say(f"{step.stage} {step.name} ({step.directory(place.root).name})")
        try:
            perform(left, place)
        except UnwaverError as error:
            if problem is not None or left[0][0].stage != "evaluate":
                raise
            problem = error
        for step, _ in left:
            if (manifest := step.manifest(place.root)) is not None:
                say(told(step, manifest))
    if problem is not None:
        raise problem


def _can_be_read(step: Step, root: Path) -> bool:
    """Whether a step reads what a student has replied."""
    return reads_student(step) and all(other.manifest(root) is not None for other in step.inputs.values())


def _refuse_unread(todo: list[Owed], root: Path) -> None:
    """RunError for the first step that reads what is neither finished nor among what is to be done."""
    coming = {step.digest for step, _ in todo}
    for step, _ in todo:
        missing = [o for o in step.inputs.values() if o.digest not in coming and o.manifest(root) is None]
        if missing:
            names = ", ".join(sorted({f"{other.stage} ({other.name})" for other in missing}))
            raise RunError(
                f"{step.stage} ({step.name}) reads what is not finished yet: {names}; `unwaver run` does all in order"
            )


def _refuse_students(todo: list[Owed]) -> None:
    """RecipeError for a student that can't be trained, before a teacher is asked on its account: it can't be found, or
    its chat template is missing.
    """
    if not any(step.stage == "distil" for step, _ in todo):
        return
    students = {
        digest(recipe.models["student"].identity()): recipe.models["student"]
        for step, recipe in todo
        if step.stage == "train"
    }
    for student in students.values():
        from unwaver.training.student import load_encoder

        load_encoder(student)


def guard(step: Step, work: list[Plan], root: Path) -> None:
    """Nothing is done in vain and nothing that must not be: `refuse_useless` and `refuse_leaks`."""
    refuse_useless(step, work, root)
    refuse_leaks(step, work, root)


def refuse_useless(step: Step, work: list[Plan], root: Path) -> None:
    """RecipeError for a step on the way to a mix that is known to come out too small: fewer traces can be trained on
    than a part wants, or the reader that decides about a part could read none of them.
    """
    if step.stage not in ("distil", "judge", "mix") or reads_student(step):
        return
    for arm in work:
        if step.digest == arm.mix.digest or _teaches(step) in {one.digest for one in arm.distil.values()}:
            for part in arm.recipe.parts():
                _refuse_part(arm, part, arm.distil[part], root)


def _teaches(step: Step) -> str:
    """The distillation a step is or reads, by digest."""
    return step.inputs["traces"].digest if step.stage == "judge" else step.digest


def _refuse_part(arm: Plan, part: str, distil: Step, root: Path) -> None:
    """RecipeError where the finished steps of a part show that its mix can't be had."""
    counts = (distil.manifest(root) or {}).get("counts", {})
    wanted = arm.recipe.mix.parts[part]
    least = 1 if wanted == "all" else int(wanted)
    if counts.get("usable", least) < least:
        wrong = counts["unusable"]
        why = f" ({usable.told(wrong, distil.settings.get('max_tokens'))})" if wrong else ""
        raise RecipeError(
            f"mix.parts.{part}: {wanted} examples are wanted, and {counts['usable']} of {counts['written']} traces can "
            f"be trained on{why}: {usable.advice(wrong) or 'ask for fewer, or distil more'}"
        )
    for key, reader in arm.mix.inputs.items():
        if key.startswith(f"{part}, ") and (read := (reader.manifest(root) or {}).get("counts")) is not None:
            _refuse_unread_part(part, reader, read)


def _refuse_unread_part(part: str, reader: Step, counts: dict[str, Any]) -> None:
    """RecipeError where the reader that decides what may be kept of a part could read none of it."""
    if counts["unscored"] and not counts["labels"]:
        why = Counter[str]()
        for reasons in counts["unscored"].values():
            why.update(reasons)
        reason, count = why.most_common(1)[0]
        raise RecipeError(
            f"mix.parts.{part}: {reader.settings['by']} could read none of {counts['traces']} traces for "
            f"{reader.settings['question']}, which decides what is kept ({count}: {reason}); "
            f"name another reader under [judge] {reader.settings['question']}"
        )


def refuse_leaks(step: Step, work: list[Plan], root: Path) -> None:
    """Nothing is trained on what is evaluated, and nothing so trained is evaluated, unless the recipe only wants it
    reported.

    RecipeError where the training set shares text with an evaluated set; RunError where nobody has looked yet.
    """
    from unwaver.stages.overlap import contaminated

    trained = step if step.stage == "train" else step.inputs.get("train")
    looked_at = [(arm, *pair) for arm in work for pair in arm.trainings()]
    for arm, train, overlap in looked_at:
        if trained is None or train.digest != trained.digest:
            continue
        manifest = overlap.manifest(root)
        if manifest is None:
            raise RunError(
                f"nobody has looked yet whether the training set of {arm.arm} shares text with what is evaluated; "
                "`unwaver train` with the same recipe does that first"
            )
        if arm.recipe.mix.overlap == "refuse" and (found := contaminated(manifest)):
            shared = ", ".join(f"{count} prompts of {name}" for name, count in found.items())
            raise RecipeError(
                f"the training set of {arm.arm} shares text with what is evaluated: {shared} "
                f"(see {overlap.directory(root)}); evaluate on other prompts, train on other ones, "
                'or set mix.overlap = "report" to go on and have it reported'
            )
