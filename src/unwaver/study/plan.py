"""From a recipe to the steps it takes, each with the digest that names its directory.

A step's settings hold only what decides its outcome, so that arms, sizes and seeds share whatever they have in common:
one distillation feeds every size, one evaluation of the raw student feeds every comparison. Reads the files a recipe
names (for their digests) and nothing of any run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from unwaver import attacks, reasoning, sources, teaching
from unwaver.attacks.attack import NoSettings
from unwaver.errors import RecipeError, under
from unwaver.judging.questions import Question, Writer, further, question, questions
from unwaver.judging.readers import grader_identity, local_reader, model_reader
from unwaver.models import steering, weights
from unwaver.models.replay import BRIEF, BRIEF_VERSION, recordings
from unwaver.recipe import LOCAL, RAW, RUBRICS, EvaluationSet, ModelSettings, Recipe, is_local, reader_file
from unwaver.records import Kind, digest
from unwaver.registry import choose
from unwaver.sources import corpus, files
from unwaver.sources import overlap as overlaps
from unwaver.sources import traces as file_traces
from unwaver.stages import mix as mixing
from unwaver.stages import pairs as preference
from unwaver.stages.distil import taught_by
from unwaver.stages.evaluate import attack_settings
from unwaver.store import Step
from unwaver.teaching.given import GIVEN
from unwaver.teaching.method import TEACHER
from unwaver.training import encode


@dataclass(frozen=True)
class Afterwards:
    """The steps of a later fine-tuning."""

    recipe: Recipe
    """What they are done by."""
    mix: Step
    overlap: Step
    train: Step

    def steps(self) -> list[Step]:
        """Every step, each after what it reads from."""
        return [self.mix, self.overlap, self.train]


@dataclass(frozen=True)
class Plan:
    """All the steps of one arm."""

    arm: str
    recipe: Recipe
    prompts: dict[str, Step]
    distil: dict[str, Step]
    """By part of the mix, and by set of rejected traces."""
    mix: Step
    overlap: Step
    train: Step
    evaluate: dict[str, Step]
    """The trained student, by evaluation set."""
    raw: dict[str, Step]
    """The student before training, by evaluation set."""
    readings: dict[str, list[Step]]
    """Who reads the traces of a step, by its digest; of several readers of one question the first decides."""
    afterwards: Afterwards | None
    """What is done to the trained student before it is evaluated."""

    def recipe_of(self, step: Step) -> Recipe:
        """What a step is done by."""
        later = self.afterwards
        return later.recipe if later is not None and step in later.steps() else self.recipe

    def trainings(self) -> list[tuple[Step, Step]]:
        """Every training, with the step that looks whether its examples share text with what is evaluated."""
        later = [] if self.afterwards is None else [(self.afterwards.train, self.afterwards.overlap)]
        return [(self.train, self.overlap), *later]

    def read(self, traces: Step) -> list[Step]:
        """The steps that read a step's traces."""
        return self.readings[traces.digest]

    def steps(self) -> list[Step]:
        """Every step, each after what it reads from; an empty mix trains nothing: the raw student alone is asked."""
        if not self.recipe.parts():
            asked = list(self.raw.values())
            return _once([*self.prompts.values(), *asked, *self._read_all(asked)])
        distil, asked = list(self.distil.values()), [*self.raw.values(), *self.evaluate.values()]
        made = [*self.prompts.values(), *distil, *self._read_all(distil), self.mix, self.overlap, self.train]
        made += self.afterwards.steps() if self.afterwards is not None else []
        return _once([*made, *asked, *self._read_all(asked)])

    def _read_all(self, traces: list[Step]) -> list[Step]:
        return [step for one in traces for step in self.read(one)]


P = TypeVar("P", bound=Plan)


def one_name_each(plans: list[P]) -> list[P]:
    """The plans; RecipeError where two models that read for one question are called alike in records and are not the
    same: figures would be compared, and agreement be left out, as if they were one."""
    known: dict[tuple[str, str], tuple[str, str]] = {}
    for plan in plans:
        judge, models = plan.recipe.judge, plan.recipe.models
        for asked in (*RUBRICS, *judge.further):
            for role in (role for role in judge.readers(asked) if role in models):
                what, where = digest(models[role].identity()), f"{plan.arm}: models.{role}"
                before, other = known.setdefault((asked, models[role].label), (what, where))
                if before != what:
                    raise RecipeError(
                        f"judge.{asked}: two that read it differ and are both called `{models[role].label}` "
                        f"({other}; {where}); expected an `alias` for one of them"
                    )
    return plans


def _once(steps: list[Step]) -> list[Step]:
    return list({step.digest: step for step in steps}.values())


def plan(recipe: Recipe, arm: str) -> Plan:
    """The steps of one arm; RecipeError where a setting names what there is not, or a trained arm is called `raw`."""
    if recipe.parts() and (arm == RAW or arm.startswith(f"{RAW}, ")):
        raise RecipeError(
            f"arm `{arm}`: is trained, and `{RAW}` is what the student before training is called; expected another name"
        )
    for name in recipe.judge.further:
        with under("judge.further"):
            choose(name, further(), "question")
    evaluated = {name: entry.prompts or name for name, entry in recipe.evaluate.sets.items()}
    later = recipe.later()
    again = [] if later is None else later.parts()
    wanted = dict.fromkeys([*recipe.distilled(), *again, *evaluated.values()])
    prompts = {name: _prompts(recipe, name) for name in wanted}
    distil = {part: _distil(recipe, part, prompts[part]) for part in dict.fromkeys([*recipe.distilled(), *again])}
    for role in recipe.distil.roles:
        if distil and not any(role in step.settings["roles"] for step in distil.values()):
            known = ", ".join(sorted({one for step in distil.values() for one in step.settings["roles"]})) or "none"
            raise RecipeError(f"distil.roles.{role}: no method that is used asks a `{role}`; roles are {known}")
    readings = {step.digest: _of_teacher(recipe, part, step) for part, step in distil.items()}
    mix = _mix(recipe, arm, {part: distil[part] for part in recipe.distilled()}, readings)
    looked_at = {name: prompts[name] for name in dict.fromkeys(evaluated.values())}
    overlap = _overlap(arm, mix, looked_at)
    student = _identity(recipe.models["student"].unsteered, read=False)
    settings = {"student": student, "seed": recipe.seed, **_training(recipe)}
    train = Step("train", arm, settings, {"mix": mix})
    afterwards = None
    if later is not None:
        name = f"{arm}, afterwards"
        more = _mix(later, name, {part: distil[part] for part in again}, readings)
        afterwards = _afterwards(later, name, train, more, looked_at)
    tested = train if afterwards is None else afterwards.train
    evaluate = {n: _evaluate(recipe, n, {"prompts": prompts[p], "train": tested}) for n, p in evaluated.items()}
    raw = {n: _evaluate(recipe, n, {"prompts": prompts[p]}) for n, p in evaluated.items()}
    for name, given in evaluated.items():
        for step in (raw[name], evaluate[name]):
            readings[step.digest] = _readings(recipe, step, kind_of(recipe, given), "student")
    return Plan(arm, recipe, prompts, distil, mix, overlap, train, evaluate, raw, readings, afterwards)


def _afterwards(recipe: Recipe, name: str, train: Step, mix: Step, looked_at: dict[str, Step]) -> Afterwards:
    """A later fine-tuning; RecipeError where its prompts are not harmless."""
    for part in recipe.parts():
        if kind_of(recipe, part) == "harmful":
            raise RecipeError(f"afterwards.parts.{part}: its prompts are harmful; expected sets of harmless ones")
    steps = recipe.afterwards.steps if recipe.afterwards is not None else 0
    settings = {"steps": steps, "seed": recipe.seed, **_training(recipe)}
    overlap = _overlap(name, mix, looked_at)
    return Afterwards(recipe, mix, overlap, Step("train", name, settings, {"mix": mix, "train": train}))


def kind_of(recipe: Recipe, name: str) -> Kind:
    """What the prompts of a recipe's set are."""
    return sources.kind_of(recipe.prompts[name])


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


def made_kind(recipe: Recipe, part: str) -> Kind:
    """What the prompts of a part's traces are: its own, unless its method makes prompts of another kind."""
    return taught_by(recipe, part).makes or kind_of(recipe, part)


def _distil(recipe: Recipe, part: str, prompts: Step) -> Step:
    settings, method = recipe.distil, taught_by(recipe, part)
    name, teacher = method.name, recipe.taught(made_kind(recipe, part) == "harmful")[1]
    file = settings.instruction_file if name == settings.method else None
    if name == settings.method and not method.worded:
        for unused in ("instruction_file", "position"):
            if getattr(settings, unused) is not None:
                raise RecipeError(f"distil.{unused}: method {name} takes no wording of your own; leave it out")
    usual = {role: teacher if model == TEACHER else model for role, model in method.roles.items()}
    roles = {role: settings.roles.get(role, model) for role, model in usual.items()}
    asked: dict[str, Any] = {"method": method.identity(file), "roles": roles}
    given = teaching.settings(method, settings.method_settings if name == settings.method else {})
    if method.Settings.model_fields:
        asked["settings"] = given.model_dump(mode="json", exclude_none=True)
    if candidates := method.candidates(given):
        asked["choice"] = {"lines": dict(candidates), **_chooser(recipe)}
    if name == GIVEN:
        asked["file"] = {"version": file_traces.VERSION}
    if roles:
        asked |= settings.model_dump(
            mode="json", include={"position", "temperature", "top_p", "max_tokens", "samples", "seed"}
        )
        asked["models"] = {role: _identity(recipe.models.get(model)) for role, model in roles.items()}
    return Step("distil", part, asked, {"prompts": prompts})


def _chooser(recipe: Recipe) -> dict[str, Any]:
    """The guard by which a wording is chosen."""
    by = recipe.judge.guard[0]
    return {"by": by, **_reader(recipe, question("guard"), by)}


def _of_teacher(recipe: Recipe, part: str, distil: Step) -> list[Step]:
    """Who reads a part's traces: nobody where they are fixed words."""
    return [] if taught_by(recipe, part).begun else _readings(recipe, distil, made_kind(recipe, part), "teacher")


def _readings(recipe: Recipe, traces: Step, kind: Kind, writer: Writer) -> list[Step]:
    """Who reads traces, a step for each reader: another wording, schema or guard format is another reader."""
    found = []
    for asked in questions(kind, writer):
        readers: list[str] = [LOCAL] if asked.graded else recipe.judge.readers(asked.name)
        for by in readers:
            settings = {"question": asked.name, "by": by, "looked_at": asked.looked_at, **_reader(recipe, asked, by)}
            name = f"{traces.name}, {asked.name}" + ("" if asked.graded else f" by {by}")
            found.append(Step("judge", name, settings, {"traces": traces}))
    return found


def _reader(recipe: Recipe, asked: Question, by: str) -> dict[str, Any]:
    if asked.graded:
        return {"reader": grader_identity(asked.name)}
    if is_local(by):
        return {"reader": local_reader(asked.name, file=reader_file(by)).identity()}
    model = recipe.models[by]
    return {"reader": model_reader(asked.name, model, recipe.judge).identity(), "model": _identity(model)}


def _training(recipe: Recipe) -> dict[str, Any]:
    """What decides a training, and how its examples are written."""
    return {**recipe.train.identity(), "encoding": encode.VERSION}


def _overlap(name: str, mix: Step, looked_at: dict[str, Step]) -> Step:
    """The look for what is trained on and evaluated as well."""
    return Step("overlap", name, {"version": overlaps.VERSION}, {"mix": mix, **looked_at})


def _mix(recipe: Recipe, arm: str, distil: dict[str, Step], readings: dict[str, list[Step]]) -> Step:
    """The mix reads the traces of every part, and of their readers those that decide what may be kept."""
    settings = {
        "parts": recipe.mix.parts,
        "keep": recipe.mix.keep,
        "seed": recipe.seed,
        "version": mixing.VERSION,
        **recipe.mix.by_category,
    }
    inputs: dict[str, Step] = {}
    for part in recipe.parts():
        inputs[part] = step = distil[part]
        begun = taught_by(recipe, part).begun
        for asked in () if begun else mixing.filtered_by(made_kind(recipe, part), recipe.mix.keep):
            first = next((one for one in readings[step.digest] if one.settings["question"] == asked), None)
            if first is None:
                raise RecipeError(f'mix.keep = "{recipe.mix.keep}" needs a judge to decide: judge.further.{asked}')
            inputs[f"{part}, {asked}"] = first
    if pairs := {part: recipe.mix.rejected[part] for part in recipe.parts() if part in recipe.mix.rejected}:
        return Step("mix", arm, {**settings, "rejected": pairs}, {**inputs, **_sides(recipe, pairs, distil, readings)})
    return Step("mix", arm, settings, inputs)


def _sides(
    recipe: Recipe, pairs: dict[str, str], distil: dict[str, Step], readings: dict[str, list[Step]]
) -> dict[str, Step]:
    """The rejected traces, and all who say on which side of a pair a trace is."""
    inputs: dict[str, Step] = {}
    for part, rejected in pairs.items():
        for name in (part, rejected):
            if made_kind(recipe, name) != "harmful":
                raise RecipeError(f"mix.rejected.{part}: `{name}` holds no harmful prompts; pairs are of such alone")
            inputs[name] = distil[name]
            for reader in readings[distil[name].digest]:
                if reader.settings["question"] in preference.DECIDE:
                    inputs[preference.key(name, reader)] = reader
    return inputs


def _evaluate(recipe: Recipe, name: str, inputs: dict[str, Step]) -> Step:
    entry: EvaluationSet = recipe.evaluate.sets[name]
    kind = kind_of(recipe, entry.prompts or name)
    with under(f"evaluate.sets.{name}.attack"):
        attack = attacks.find(entry.attack)
    if entry.attack_settings and attack.Settings is NoSettings:
        having = ", ".join(one.name for one in attacks.attacks().values() if one.Settings is not NoSettings)
        raise RecipeError(
            f"evaluate.sets.{name}.attack_settings: attack {attack.name} has none; {having} have settings"
        )
    asks = attack.asks(attack_settings(entry, name)) if entry.attack_settings else attack.roles
    asked = {role: model for role, model in asks.items() if model != "student"}
    for model in asked.values():
        if model not in recipe.models:
            raise RecipeError(f"evaluate.sets.{name}: attack {attack.name} needs `models.{model}`")
    if attack.opens and not goes_on(recipe.models["student"]):
        raise RecipeError(
            f"evaluate.sets.{name}: attack {attack.name} makes the student's replies begin with given words, and "
            f"OpenAI's own service ({recipe.models['student'].name}) goes on from none; expected an `hf:` or `vllm:` "
            "model, or the base_url of a server that continues a last assistant turn (docs/models.md)"
        )
    settings: dict[str, Any] = {
        "attack": attack.identity(),
        "attack_settings": entry.attack_settings,
        "attack_models": {model: _identity(recipe.models[model]) for model in asked.values()},
        "samples": entry.samples,
        "sampling": recipe.sampling(kind, entry).model_dump(mode="json"),
        "student": _identity(recipe.models["student"]),
    }
    return Step("evaluate", name, settings, inputs)


def goes_on(model: ModelSettings) -> bool:
    """Whether a model's door can make a reply begin with given words: OpenAI's own service can't."""
    return model.door != "openai" or model.base_url is not None


def _file(path: Path) -> Path:
    if not path.is_file():
        raise RecipeError(f"{path}: there is no such file; `unwaver steer fit` writes one")
    return path


def _identity(model: ModelSettings | None, read: bool = True) -> dict[str, Any] | None:
    """A model as it enters a digest, with how its replies are `read` where they are; recorded replies and weights on
    this machine by their content.
    """
    if model is None:
        return None
    identity = model.identity() | ({"reading": reasoning.identity()} if read else {})
    if model.steering is not None:
        with under("steering"):
            made = weights.content(_file(model.steering.file))
            identity["steering"] |= {"file": made, "version": steering.VERSION}
    if model.door == "replay":
        identity["content"] = [files.fingerprint(path) for path in recordings(model.target)]
        identity |= {"brief": BRIEF_VERSION} if model.target == BRIEF else {}
    elif model.door in ("hf", "vllm") and (
        known := weights.fingerprint(model.target, str(model.load.get("subfolder", "")))
    ):
        identity["content"] = known
    return identity
