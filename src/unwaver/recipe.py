"""A recipe: the frozen tree of settings that is at once the TOML file, the flags, the help and the Python API.

What each setting means, what it may be and what must fit together; `recipe_file` reads one from a file. Nothing here
touches data or models.
"""

from __future__ import annotations

import difflib
import re
import typing
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)

from unwaver.keys import KEY, refuse_keys
from unwaver.records import Kind, Sampling

RULES = "rules"
"""The name under which a reader without a model is asked for."""

Keep = Literal["everything", "guard-only", "all-but-weak-vacillation", "pattern-free"]
Attack = Literal["none", "pair", "pap", "empty-think", "short-think", "forced-opening"]


def _count(value: Any) -> Any:
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError('expected a number of examples from 0 up, or "all"')


Count = Annotated[int | Literal["all"], PlainValidator(_count)]
"""How many examples of a prompt set: a number, or all there are."""


class Settings(BaseModel):
    """A frozen table of settings; an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        wanted = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and wanted in (int, float, int | None, float | None):
            raise ValueError("expected a number")
        return value


class ModelSettings(Settings):
    """One model and how to reach it. In TOML a plain string is short for `{name = "..."}`."""

    name: str
    """`openai:MODEL` (any OpenAI-compatible server), `hf:PATH_OR_ID` (transformers), `vllm:PATH_OR_ID`, `replay:FILE`,
    `replay:corpus` (recorded replies)."""
    revision: str | None = None
    """The hub revision to pin, or the vendor's dated model name."""
    alias: str | None = None
    """What records call it in place of `name`."""
    base_url: str | None = None
    """The server's address; None: the vendor's own."""
    key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key. The key itself is never written anywhere."""
    concurrency: int = Field(64, ge=1)
    """Calls under way at once; for local models, replies waiting to be batched. `vllm:` models: 1,024 where it is not
    given, since vLLM batches by itself and idles while fewer wait."""
    batch_size: int = Field(32, ge=1)
    """Replies generated together by a local model."""
    timeout: float = Field(600.0, gt=0)
    """Seconds one call may take."""
    retries: int = Field(6, ge=0)
    """Further tries after a 429, a 5xx, a time-out or a broken connection."""
    price_in: float | None = Field(None, ge=0)
    """Price of a million prompt tokens, in any one currency; None: unknown, cost is not reckoned."""
    price_out: float | None = Field(None, ge=0)
    """Price of a million reply tokens."""
    max_cost: float | None = Field(None, gt=0)
    """Stop cleanly once this much is spent in one stage."""
    max_tokens_total: int | None = Field(None, gt=0)
    """Stop cleanly once this many tokens (in and out) are used in one stage."""
    tags: Literal["think", "harmony"] = "think"
    """How the model marks its reasoning: `<think>` blocks, or gpt-oss's channels."""
    opens_block: bool = False
    """For servers: the model's template opens the reasoning block itself, so a reply cut inside it has no tag at all
    (DeepSeek-R1, QwQ). Local models are asked, not told."""
    stream: bool = False
    """For servers: have the reply sent as it is written, where a proxy on the way cuts connections on which nothing
    moves (long replies). It is read when it is whole, and is the same reply."""
    system: str | None = None
    """A system turn sent with every prompt; None: none, and the template does as it likes."""
    extra_body: dict[str, Any] = {}
    """Further fields of the request, passed through to the server (`chat_template_kwargs`, `reasoning_effort` ...)."""
    load: dict[str, Any] = {}
    """Passed through to `AutoModelForCausalLM.from_pretrained` or `vllm.LLM`."""

    @model_validator(mode="before")
    @classmethod
    def _string_is_the_name(cls, value: Any) -> Any:
        value = {"name": value} if isinstance(value, str) else value
        if isinstance(value, dict) and str(value.get("name")).startswith("vllm:"):
            return {"concurrency": VLLM_CONCURRENCY, **value}
        return value

    @field_validator("name")
    @classmethod
    def _door_is_known(cls, value: str) -> str:
        door, colon, rest = value.partition(":")
        if door not in DOORS or not colon or not rest:
            raise ValueError(f"expected one of {', '.join(f'{d}:NAME' for d in DOORS)}")
        return value

    @model_validator(mode="after")
    def _no_key_is_written_down(self) -> ModelSettings:
        # Of the whole table, so that no message repeats what was given: settings are written into every run.
        if not re.fullmatch(r"[A-Za-z_]\w*", self.key_env, re.A) or KEY.search(self.key_env):
            raise ValueError("key_env: expected the name of an environment variable, such as OPENAI_API_KEY")
        if self.base_url is not None and not _is_address(self.base_url):
            raise ValueError(
                "base_url: expected http(s)://HOST/PATH without a password or a key in it; "
                "a key belongs in the environment (`key_env`)"
            )
        refuse_keys(self.extra_body, "extra_body")
        refuse_keys(self.load, "load")
        return self

    @model_validator(mode="after")
    def _money_can_be_counted(self) -> ModelSettings:
        if self.max_cost is not None and (self.price_in is None or self.price_out is None):
            raise ValueError("max_cost needs price_in and price_out, or nobody can tell when it is spent")
        return self

    @property
    def door(self) -> str:
        """The part before the colon."""
        return self.name.partition(":")[0]

    @property
    def target(self) -> str:
        """The part after the colon."""
        return self.name.partition(":")[2]

    @property
    def label(self) -> str:
        """`name@revision`, as records carry it."""
        name = self.alias or self.name
        return f"{name}@{self.revision}" if self.revision else name

    def identity(self) -> dict[str, Any]:
        """What makes its replies different from another model's: the part of the settings that enters a digest."""
        return self.model_dump(
            mode="json", include={"name", "revision", "base_url", "system", "tags", "opens_block", "extra_body", "load"}
        )


def _is_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        return (
            url.scheme in ("http", "https") and bool(url.hostname) and not (url.username or url.password or url.query)
        )
    except ValueError:
        return False


DOORS = ("openai", "hf", "vllm", "replay")

VLLM_CONCURRENCY = 1024
"""Calls that wait for a vLLM engine at once."""

DIVIDED = ("corpus/harmful", "corpus/borderline", "corpus/plain", "corpus/maths", "xstest/safe")
"""The sources that are divided into `train` and `heldout`."""


class PromptSet(Settings):
    """A set of prompts: a source, cut to a split, perhaps wrapped in templates."""

    source: str
    """A source's name (`unwaver prompts --help` lists them), or `file` for a file of your own."""
    split: Literal["all", "train", "heldout"] = "all"
    """Which half, for sources that are split. Not given: `heldout` for a set that is evaluated and not trained on."""
    path: Path | None = None
    """A local file in place of the hub; required for `file`."""
    revision: str | None = None
    """The hub revision; None: the one this version was tested with."""
    columns: dict[str, str] = {}
    """For `file`: our field name = the file's column (`text`, `behaviour`, `category`, `attack`, `target`)."""
    kind: Kind | None = None
    """For `file`: what the prompts are."""
    templates: str | None = None
    """Jailbreak templates to wrap the prompts in: `corpus`, or JSONL of `name` and `text` with a `{behaviour}` slot."""
    per_prompt: int = Field(0, ge=0)
    """Templates per prompt; 0: all."""
    bare: bool = True
    """Whether the unwrapped prompts are in the set too."""
    limit: int | None = Field(None, ge=1)
    """At most this many prompts before wrapping, spread evenly over the source."""
    licence: str | None = Field(None, exclude=True)
    """For `file`: under which terms the prompts stand, for the data set's card; it names no run."""

    @field_validator("path", mode="before")
    @classmethod
    def _path_is_given(cls, value: Any) -> Any:
        if value == "":
            raise ValueError("expected a file or folder, got an empty name")
        return value

    @model_validator(mode="after")
    def _file_says_where(self) -> PromptSet:
        if self.source == "file" and (self.path is None or self.kind is None):
            raise ValueError('source = "file" needs `path` and `kind`')
        return self


class DistilSettings(Settings):
    """How the teacher is asked (docs/recipes.md)."""

    instruction: str = "improved"
    """The recipe for harmful prompts: default, realsafe, improved, short, template, none."""
    benign_instruction: str = "default"
    """The recipe for all other prompts; the paper asks its teacher plainly."""
    teacher: str = "teacher"
    """Which of `[models]` is asked about harmful prompts."""
    benign_teacher: str | None = None
    """Which is asked about all others; None: the same. The paper asks DeepSeek-R1, whoever teaches the rest."""
    instruction_file: Path | None = None
    """Your own wording in place of the shipped one for `instruction`."""
    position: Literal["user", "system"] | None = None
    """Where the instruction goes; None: as the recipe's paper has it."""
    temperature: float = Field(0.6, ge=0)
    top_p: float = Field(0.95, gt=0, le=1)
    max_tokens: int = Field(8192, ge=1)
    """Limit on a trace, in the teacher's tokens."""
    samples: int = Field(1, ge=1)
    """Traces per prompt."""
    seed: int = 42
    """Of the teacher's sampling; apart from the recipe's seed, so that several seeds share one distillation."""


RUBRICS = ("guard", "patterns", "refusal", "harm", "anatomy")
"""What judges are named for."""


class JudgeSettings(Settings):
    """Who reads what: `rules` or the name of a model in `[models]`; a list asks several, and the first decides."""

    guard: list[str] = Field([RULES], min_length=1)
    """Safe or unsafe, reasoning and answer together: the filter of the training traces."""
    patterns: list[str] = Field([RULES], min_length=1)
    """The five risky patterns (docs/protocols.md)."""
    refusal: list[str] = Field([RULES], min_length=1)
    """Refusal, partial or compliance, read on the answer."""
    harm: list[str] = Field([RULES], min_length=1)
    """Safe or unsafe when a model is evaluated: on the reasoning, on the answer and on both."""
    anatomy: list[str] = []
    """What each sentence of the reasoning on a harmful prompt does, and whether it talks the model into going on
    (docs/protocols.md). Models only: by cue words the report reads it in any case."""
    max_tokens: int = Field(2048, ge=1)
    """Limit on a judge's reply."""
    rubric_files: dict[str, Path] = {}
    """Your own wording in place of the shipped rubric, by rubric: `patterns = "mine.md"`."""

    @field_validator(*RUBRICS, mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _rubrics_are_known(self) -> JudgeSettings:
        for name in self.rubric_files:
            if name not in RUBRICS:
                raise ValueError(f"rubric_files.{name}: {_no_such(name, RUBRICS, 'rubric')}")
        return self


class MixSettings(Settings):
    """What the student is trained on."""

    parts: dict[str, Count] = {"safety": 1000, "benign": 100}
    """How many examples of each prompt set: `name = count`; "all" takes all there are, 0 leaves the set out."""
    keep: Keep = "guard-only"
    """Which traces of harmful prompts may be kept: everything; those the guard calls safe; of these, those without any
    pattern but weak vacillation, or without any pattern at all."""
    overlap: Literal["refuse", "report"] = "refuse"
    """What an overlap with an evaluation set does: training refuses to start, or it is only reported."""


class TrainSettings(Settings):
    """Supervised fine-tuning through TRL. Defaults are those of the paper's experiments (arXiv 2505.15404, section 5)
    or, where it says nothing, of its released script (`safety_train/trl_train_code/run_sft.sh` in
    thu-coai/LRM-Safety-Study); each says which, or that it is ours."""

    method: Literal["full", "lora", "qlora"] = "full"
    """The paper's is full fine-tuning; adapters (LoRA) and adapters over 4-bit weights (QLoRA) are ours."""
    learning_rate: float = Field(5e-6, gt=0)
    """The paper's and its script's: the best of 1e-6, 5e-6, 5e-5, 1e-4 in its Figure 5."""
    global_batch: int = Field(48, ge=1)
    """Examples per optimiser step, over all processes; kept constant whatever their number. The paper's, on 6 GPUs; its
    script, of an earlier version, has 64 (4 GPUs x 2 x 8)."""
    micro_batch: int = Field(4, ge=1)
    """Examples per forward pass and process. Ours (the script has 2): it decides speed and memory, and no result."""
    epochs: float = Field(1.0, gt=0)
    """The script's; the paper doesn't say."""
    scheduler: str = "cosine"
    """The script's."""
    warmup_ratio: float = Field(0.0, ge=0, le=1)
    """The script's: no warm-up."""
    max_tokens: int = Field(4096, ge=16)
    """Longest example, prompt included: the script's 4,096. Longer ones are dropped and counted, never cut; the script
    cuts them."""
    max_overlong: float = Field(0.05, ge=0, le=1)
    """Largest share of over-long examples training starts with. Ours."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Matrix products. auto: bfloat16, as in the script, where the machine has it. Trained weights are float32, which
    is ours: an update of 5e-6 is too small for a bfloat16 weight to show. They are saved in the student's own type."""
    gradient_checkpointing: bool = True
    """The script's."""
    batching: Literal["shuffled", "grouped", "packed"] = "grouped"
    """`grouped`: batches of similar length that still hold every part of the mix; `packed`: several examples a row;
    `shuffled`: plainly random, as the script's. Grouped is ours: a step holds the same parts, only faster."""
    heldout: float = Field(0.05, ge=0, lt=0.5)
    """Share of each part kept out of training to follow its loss. Ours; the script holds out none."""
    perplexity: bool = True
    """Measure the student's perplexity of the mix before training. Ours."""
    save_every: int = Field(50, ge=1)
    """Optimiser steps between checkpoints. Ours; the script saves once an epoch."""
    report_to: list[str] = []
    """Passed through to the trainer: tensorboard, trackio, wandb."""
    launch: Literal["none", "accelerate", "torchrun"] = "none"
    """How several processes are started; none: this one."""
    launch_config: str | None = None
    """For accelerate: zero2 (the script's), zero3, fsdp2, or a file of your own."""
    processes: int = Field(1, ge=1)
    """Processes to start with `launch`."""
    sft: dict[str, Any] = {}
    """Laid over `trl.SFTConfig`, but for the keys that a setting above or a promise decides."""
    lora: dict[str, Any] = {}
    """Laid whole over `peft.LoraConfig`."""

    @model_validator(mode="after")
    def _no_key_is_written_down(self) -> TrainSettings:
        refuse_keys(self.sft, "sft")
        return self


class EvaluationSet(Settings):
    """One evaluation: a prompt set, an attack, and how replies are drawn."""

    prompts: str | None = None
    """The prompt set's name; None: the one that bears the evaluation's name."""
    attack: Attack = "none"
    """none, pair, pap (an attacker model rewrites), or a prefill: empty-think, short-think, forced-opening."""
    samples: int = Field(1, ge=1)
    """Replies per prompt."""
    temperature: float | None = Field(None, ge=0)
    """None: 0 (greedy) for safety, 0.6 for reasoning, as in the paper."""
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    """None: the paper's budget for the kind: 4,096 harmful, 2,048 over-refusal, 32,768 maths, 30,000 code."""
    attack_settings: dict[str, Any] = {}
    """Laid over the attack's own settings (`n_streams`, `n_iterations` ...)."""

    @model_validator(mode="after")
    def _attack_has_settings(self) -> EvaluationSet:
        if self.attack_settings and self.attack not in ("pair", "pap"):
            raise ValueError(f'attack_settings: expected attack = "pair" or "pap", as `{self.attack}` has none')
        return self


class EvaluateSettings(Settings):
    """What the raw student and the trained one are asked (docs/evaluation.md)."""

    sets: dict[str, EvaluationSet] = {}
    """One table per evaluation: `[evaluate.sets.NAME]`."""
    max_tokens: int | None = Field(None, ge=1)
    """A budget for every set that names none."""


class Recipe(Settings):
    """One way to make a student safer, from prompts to report."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Names the folder under `runs/`."""
    title: str | None = None
    """The report's heading."""
    note: str = ""
    """What a reader of the report must know, in plain words; shown at its top."""
    seed: int = 42
    """Of sampling, mixing and training."""
    max_failed: float = Field(0.02, ge=0, le=1)
    """A stage stops as unfinished when more than this share of its calls fail."""
    models: dict[str, ModelSettings]
    """The roles: `student` is required; `teacher`, `attacker` and judges by any name as they are needed."""
    prompts: dict[str, PromptSet]
    """The prompt sets by name; `mix` and `evaluate` refer to them."""
    distil: DistilSettings = DistilSettings()
    judge: JudgeSettings = JudgeSettings()
    mix: MixSettings = MixSettings()
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    arms: dict[str, dict[str, Any]] = {}
    """Variants to compare: each a table of dotted overrides. None: the recipe itself is the one arm."""

    @model_validator(mode="after")
    def _names_resolve(self) -> Recipe:
        problems = []
        if "student" not in self.models:
            problems.append("models: expected a `student`")
        for part in self.mix.parts:
            if part not in self.prompts:
                problems.append(f"mix.parts.{part}: {_no_such(part, self.prompts, 'prompt set')}")
        for name, entry in self.evaluate.sets.items():
            wanted = entry.prompts or name
            if wanted not in self.prompts:
                problems.append(f"evaluate.sets.{name}: {_no_such(wanted, self.prompts, 'prompt set')}")
            if entry.attack in ("pair", "pap") and "attacker" not in self.models:
                problems.append(f"evaluate.sets.{name}: attack {entry.attack} needs `models.attacker`")
            if entry.attack == "pair" and "pair_judge" not in self.models:
                problems.append(f"evaluate.sets.{name}: attack pair needs `models.pair_judge`")
        for key, role in (("teacher", self.distil.teacher), ("benign_teacher", self.distil.benign_teacher)):
            if role not in (None, "teacher") and role not in self.models:
                problems.append(f"distil.{key}: {_no_such(str(role), self.models, 'model')}")
        for rubric in RUBRICS:
            known, what = (self.models, "model") if rubric == "anatomy" else ([RULES, *self.models], "judge")
            for judge in getattr(self.judge, rubric):
                if judge not in known:
                    problems.append(f"judge.{rubric}: {_no_such(judge, known, what)}")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _what_is_evaluated_is_held_out(self) -> Recipe:
        trained = self.parts()
        for name in {entry.prompts or name for name, entry in self.evaluate.sets.items()}:
            given = self.prompts[name]
            if given.source in DIVIDED and "split" not in given.model_fields_set and name not in trained:
                self.prompts[name] = given.model_copy(update={"split": "heldout"})
        return self

    def parts(self) -> list[str]:
        """The prompt sets that are trained on."""
        return [name for name, count in self.mix.parts.items() if count]

    def taught(self, harmful: bool) -> tuple[str, str]:
        """(instruction, the teacher's role) for harmful prompts or for all others."""
        settings = self.distil
        if harmful:
            return settings.instruction, settings.teacher
        return settings.benign_instruction, settings.benign_teacher or settings.teacher

    def sampling(self, kind: Kind, entry: EvaluationSet) -> Sampling:
        """How replies of one evaluation are drawn: the set's own settings over the paper's (docs/evaluation.md)."""
        budget, temperature, top_p = PAPER_DECODING[kind]
        chosen = entry.temperature if entry.temperature is not None else temperature
        return Sampling(
            temperature=chosen,
            top_p=entry.top_p if entry.top_p is not None else (top_p if chosen else 1.0),
            max_tokens=entry.max_tokens or self.evaluate.max_tokens or budget,
            seed=self.seed if chosen else None,
        )


PAPER_DECODING: dict[str, tuple[int, float, float]] = {
    "harmful": (4096, 0.0, 1.0),
    "borderline": (2048, 0.0, 1.0),
    "benign": (2048, 0.0, 1.0),
    "maths": (32768, 0.6, 0.95),
    "code": (30000, 0.6, 0.95),
}
"""Token budget, temperature and top-p by kind of prompt, as in the paper (docs/evaluation.md)."""


def _no_such(name: str, known: typing.Iterable[str], what: str) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"no {what} `{name}`" + (f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(names)}")
