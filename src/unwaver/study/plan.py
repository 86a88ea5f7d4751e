"""From a recipe to the steps it takes, each with the digest that names its directory.

A step's settings hold only what decides its outcome, so that arms, sizes and seeds share whatever they have in common:
one distillation feeds every size, one evaluation of the raw student feeds every comparison. Reads the files a recipe
names (for their digests) and nothing of any run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from unwaver import instructions, sources
from unwaver.errors import under
from unwaver.judging.readers import model_reader
from unwaver.models.replay import recordings
from unwaver.models.weights import PACKAGE
from unwaver.recipe import RULES, EvaluationSet, ModelSettings, Recipe
from unwaver.records import Kind
from unwaver.sources import corpus, files
from unwaver.store import Step

RAW = "raw"
"""The arm that is the student before training."""

UNANSWERED = "unanswered.py"
"""What a reply without a whole answer counts as, for every reader."""

GRADED: dict[Kind, tuple[str, ...]] = {
    "maths": ("maths*.py", UNANSWERED),
    "code": ("code*.py", "sandbox*.py", UNANSWERED),
}
"""The kinds of prompt whose replies are graded, not judged, and the files that grade them."""


@dataclass(frozen=True)
class Plan:
    """All the steps of one arm."""

    arm: str
    recipe: Recipe
    prompts: dict[str, Step]
    judge: dict[str, Step]
    """By part of the mix; each reads from its distillation."""
    mix: Step
    overlap: Step
    train: Step
    evaluate: dict[str, Step]
    """The trained student, by evaluation set."""
    raw: dict[str, Step]
    """The student before training, by evaluation set."""

    def steps(self) -> list[Step]:
        """Every step, each after what it reads from; an empty mix trains nothing: the raw student alone is asked."""
        if not self.recipe.parts():
            return list({step.digest: step for step in [*self.prompts.values(), *self.raw.values()]}.values())
        parts = [self.judge[part] for part in self.recipe.parts()]
        distil = [step.inputs["distil"] for step in parts]
        every = [*self.prompts.values(), *distil, *parts, self.mix, self.overlap, self.train]
        every += [*self.raw.values(), *self.evaluate.values()]
        return list({step.digest: step for step in every}.values())


def plan(recipe: Recipe, arm: str) -> Plan:
    """The steps of one arm."""
    evaluated = {name: entry.prompts or name for name, entry in recipe.evaluate.sets.items()}
    prompts = {name: _prompts(recipe, name) for name in dict.fromkeys([*recipe.parts(), *evaluated.values()])}
    judge = {part: _judge(recipe, part, prompts[part]) for part in recipe.parts()}
    mix_settings = {
        "parts": recipe.mix.parts,
        "keep": recipe.mix.keep,
        "seed": recipe.seed,
        "tags": recipe.models["student"].tags,
    }
    mix = Step("mix", arm, mix_settings, dict(judge))
    overlap_inputs = {"mix": mix} | {name: prompts[name] for name in dict.fromkeys(evaluated.values())}
    overlap = Step("overlap", arm, {}, overlap_inputs)
    student = _identity(recipe.models["student"])
    train = Step("train", arm, {"student": student, "seed": recipe.seed, **_training(recipe)}, {"mix": mix})
    return Plan(
        arm=arm,
        recipe=recipe,
        prompts=prompts,
        judge=judge,
        mix=mix,
        overlap=overlap,
        train=train,
        evaluate={n: _evaluate(recipe, n, {"prompts": prompts[p], "train": train}) for n, p in evaluated.items()},
        raw={n: _evaluate(recipe, n, {"prompts": prompts[p]}) for n, p in evaluated.items()},
    )


def kind_of(recipe: Recipe, name: str) -> Kind:
    """What the prompts of a set are: as the recipe says for one's own file, else as the source is."""
    entry = recipe.prompts[name]
    return entry.kind if entry.kind is not None else sources.find(entry.source).kind


def _prompts(recipe: Recipe, name: str) -> Step:
    entry = recipe.prompts[name]
    settings = entry.model_dump(mode="json", exclude={"path"})
    with under(f"prompts.{name}"):
        settings["content"] = sources.fingerprint(entry)
        if entry.templates == "corpus":
            settings["template_content"] = files.fingerprint(Path(corpus.__file__).with_name("templates.jsonl"))
        elif entry.templates is not None:
            settings["template_content"] = files.fingerprint(Path(entry.templates))
    return Step("prompts", name, settings)


def _judge(recipe: Recipe, part: str, prompts: Step) -> Step:
    settings = recipe.distil
    instruction, role = recipe.taught(kind_of(recipe, part) == "harmful")
    asked: dict[str, Any] = {"instruction": instruction, "role": role}
    if instruction != "none":
        file = settings.instruction_file if instruction == settings.instruction else None
        asked |= settings.model_dump(
            mode="json", include={"position", "temperature", "top_p", "max_tokens", "samples", "seed"}
        )
        asked |= {"wording": instructions.text(instruction, file), "teacher": _identity(recipe.models.get(role))}
    distil = Step("distil", part, asked, {"prompts": prompts})
    return Step("judge", part, _read_by(recipe, kind_of(recipe, part), "guard"), {"distil": distil})


def _read_by(recipe: Recipe, kind: Kind, safety: str) -> dict[str, Any]:
    """Who reads replies to a kind of prompt; `safety` is the rubric of harmful ones: guard or harm."""
    if kind in GRADED:
        return {"grader": _source("judging", GRADED[kind])}
    # A rubric without a judge is not named, so that recipes from before there was one keep their runs.
    judges = {
        rubric: [_judge_of(recipe, rubric, name) for name in names]
        for rubric in rubrics_of(kind, safety)
        if (names := getattr(recipe.judge, rubric))
    }
    return {"judges": judges, "max_tokens": recipe.judge.max_tokens}


def rubrics_of(kind: Kind, safety: str) -> tuple[str, ...]:
    """By what replies to a kind of prompt are read; `safety` is the rubric of harmful ones: guard or harm."""
    if kind in GRADED:
        return ()
    return (safety, "patterns", "refusal", "anatomy") if kind == "harmful" else ("refusal",)


def _judge_of(recipe: Recipe, rubric: str, name: str) -> Any:
    """One judge: another wording, schema or guard format, or another way to read its reply, is another judge."""
    if name == RULES:
        return rules_digest()
    model = recipe.models[name]
    return {
        "model": _identity(model),
        "rubric": model_reader(rubric, model, recipe.judge).rubric,
        "read_by": _source("judging", ("guards*.py", "rubric*.py", UNANSWERED)),
    }


def _training(recipe: Recipe) -> dict[str, Any]:
    """What decides the trained weights; how many processes share the work does not."""
    apart = {"launch", "launch_config", "processes", "report_to", "save_every"}
    return recipe.train.model_dump(mode="json", exclude=apart)


def _evaluate(recipe: Recipe, name: str, inputs: dict[str, Step]) -> Step:
    entry: EvaluationSet = recipe.evaluate.sets[name]
    kind = kind_of(recipe, entry.prompts or name)
    settings: dict[str, Any] = {
        "attack": entry.attack,
        "attack_settings": entry.attack_settings,
        "samples": entry.samples,
        "sampling": recipe.sampling(kind, entry).model_dump(mode="json"),
        "student": _identity(recipe.models["student"]),
        **_read_by(recipe, kind, "harm"),
    }
    if entry.attack != "none":
        settings["attack_source"] = _source("attacks", ("*.py", "instructions/*"))
    for role in {"pair": ("attacker", "pair_judge"), "pap": ("attacker",)}.get(entry.attack, ()):
        settings[role] = _identity(recipe.models[role])
    return Step("evaluate", name, settings, inputs)


def _identity(model: ModelSettings | None) -> dict[str, Any] | None:
    """A model as it enters a digest; recorded replies by their content, a folder of weights by names and sizes."""
    if model is None:
        return None
    identity = model.identity()
    if model.door == "replay":
        identity["content"] = [files.fingerprint(path) for path in recordings(model.target)]
    elif model.door in ("hf", "vllm") and not model.target.startswith(PACKAGE):
        path = Path(model.target).expanduser()
        if path.is_dir():
            # A folder of weights is known by its files' names and sizes: reading gigabytes to name a run is too slow.
            identity["content"] = sorted((f.name, f.stat().st_size) for f in path.iterdir() if f.is_file())
    return identity


def rules_digest() -> str:
    """What the rule readers are, as a digest of their source."""
    return "rules@" + _source("judging", ("rules*.py", UNANSWERED))


@cache
def _source(room: str, patterns: tuple[str, ...]) -> str:
    """A digest of files of ours: their code, their wording and their defaults all decide what a step finds."""
    folder = Path(__file__).parent.parent / room
    paths = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return hashlib.blake2b(b"".join(path.read_bytes() for path in paths), digest_size=8).hexdigest()
