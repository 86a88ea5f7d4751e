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
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)

from unwaver.keys import CERTAIN, KEY, host_of, in_the_clear, names_a_key, no_address, refuse_keys
from unwaver.reasoning import AUTO, FAMILIES, Family
from unwaver.records import Kind, Sampling

LOCAL = "local"
"""The name under which a reader without a model is asked for; `local:FILE` is one of one's own (docs/readers.md)."""


def is_local(judge: str) -> bool:
    """Whether a judge is a reader without a model."""
    return judge == LOCAL or judge.startswith(f"{LOCAL}:")


def read_without_model(judge: str) -> bool:
    """The same of the name that a verdict bears: `local@` and a hash; once `rules@`."""
    return judge.partition("@")[0] in (LOCAL, "rules") and "@" in judge


def reader_file(judge: str) -> Path | None:
    """The file of a reader without a model; None for the shipped one."""
    return Path(judge.partition(":")[2]) if ":" in judge else None


class _NoResult:
    """What marks a field that decides no result, and so enters no run's name."""


NO_RESULT = _NoResult()
"""Marks a setting that decides speed, memory or what is watched, and no result: it names no run."""

Keep = Literal["everything", "guard-only", "all-k-safe", "all-but-weak-vacillation", "pattern-free", "leak-free"]
Draw = Literal["by-seed", "evenly"]


def _count(value: Any) -> Any:
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError('expected a number of examples from 0 up, or "all"')


Left = Literal[
    "temperature",
    "top_p",
    "seed",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "stream_options",
    "continue_final_message",
    "add_generation_prompt",
]
"""Fields of a request that a model's server may not take."""

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

    def identity(self) -> dict[str, Any]:
        """The settings that decide a result, as JSON: all but the fields marked `NO_RESULT`. They enter digests."""
        apart = {name for name, field in type(self).model_fields.items() if NO_RESULT in field.metadata}
        return self.model_dump(mode="json", exclude=apart)


def _tags(value: Any) -> Any:
    if isinstance(value, str) and value != AUTO and value not in FAMILIES:
        raise ValueError(f"{_no_such(value, [AUTO, *FAMILIES], 'family of marks')}, or a table with `open` and `close`")
    return value if isinstance(value, str) else Family.model_validate(value)


Tags = Annotated[str | Family, BeforeValidator(_tags)]
"""`auto`, the name of a family of reasoning marks, or a family of the recipe's own."""


class SteeringSettings(Settings):
    """Steering while a local model writes (docs/systems/chain_of_risk.md). In TOML a plain string is short for its
    `file`."""

    file: Path
    """Directions, as `unwaver steer fit` writes them."""
    alpha: float = Field(2.0, gt=0)
    """How far a state is pushed along each active direction, in the states' own unit."""
    delta: float = 0.0
    """How much nearer to the unsafe mean than to the safe one a state must be, in the same unit."""
    cap: int | None = Field(None, ge=1)
    """At most so many directions at once; None: all that are active."""
    gate: bool = True
    """Whether directions act only where a state leans unsafe. False: always, for the comparison."""

    @model_validator(mode="before")
    @classmethod
    def _string_is_the_file(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str | Path) else value

    @property
    def label(self) -> str:
        """As records carry it, behind the model's name."""
        capped = "" if self.cap is None else f", at most {self.cap}"
        gated = f"delta {self.delta:g}" if self.gate else "no gate"
        return f"steered by {self.file.stem} (alpha {self.alpha:g}, {gated}{capped})"


def called(name: str) -> str:
    """A model's name as records and reports have it: of a file of recorded replies without its folder, for these are
    passed on and where somebody kept it is nobody's business."""
    door, _, target = name.partition(":")
    return f"replay:{Path(target).name}" if door == "replay" else name


class ModelSettings(Settings):
    """One model and how to reach it. In TOML a plain string is short for `{name = "..."}`."""

    name: str
    """`openai:MODEL` (any OpenAI-compatible server), `hf:PATH_OR_ID` (transformers), `vllm:PATH_OR_ID`, `replay:FILE`,
    `replay:corpus` (recorded replies), `replay:corpus-brief` (the same, brief)."""
    revision: str | None = None
    """The hub revision to pin, or the vendor's dated model name."""
    alias: Annotated[str | None, NO_RESULT] = None
    """What records call it in place of `name`."""
    base_url: str | None = None
    """The server's address; None: the vendor's own."""
    key_env: Annotated[str, NO_RESULT] = "OPENAI_API_KEY"
    """The environment variable that holds the key. The key itself is never written anywhere. With a `base_url` no key
    is sent unless this is written down."""
    concurrency: Annotated[int, NO_RESULT] = Field(64, ge=1)
    """Calls under way at once; for local models, replies waiting to be batched. `vllm:` models: 1,024 where it is not
    given, since vLLM batches by itself and idles while fewer wait."""
    batch_size: Annotated[int, NO_RESULT] = Field(32, ge=1)
    """Replies generated together by a local model."""
    timeout: Annotated[float, NO_RESULT] = Field(600.0, gt=0)
    """Seconds one call may take."""
    retries: Annotated[int, NO_RESULT] = Field(6, ge=0)
    """Further tries after a 429, a 5xx, a time-out or a broken connection."""
    price_in: Annotated[float | None, NO_RESULT] = Field(None, ge=0)
    """Price of a million prompt tokens, in any one currency; None: unknown, cost is not reckoned."""
    price_out: Annotated[float | None, NO_RESULT] = Field(None, ge=0)
    """Price of a million reply tokens."""
    max_cost: Annotated[float | None, NO_RESULT] = Field(None, gt=0)
    """Stop cleanly once this much is spent in one stage."""
    max_tokens_total: Annotated[int | None, NO_RESULT] = Field(None, gt=0)
    """Stop cleanly once this many tokens (in and out) are used in one stage."""
    tags: Tags = AUTO
    """How the model marks its reasoning. `auto`, the default: each reply is read by its own marks, and a student is
    trained in those its chat template has. Or a family by name (`think`, `harmony` ...), or a table of your own with at
    least `open` and `close` (docs/families.md): then other marks are told of and not read."""
    opens_block: bool = False
    """For servers: the model's template opens the reasoning block itself, so a reply cut inside it has no tag at all
    (DeepSeek-R1, QwQ). Local models are asked, not told."""
    stream: Annotated[bool, NO_RESULT] = False
    """For servers: have the reply sent as it is written, where a proxy on the way cuts connections on which nothing
    moves (long replies). It is read when it is whole, and is the same reply."""
    system: str | None = None
    """A system turn sent with every prompt; None: none, and the template does as it likes."""
    extra_body: dict[str, Any] = {}
    """Further fields of the request, passed through to the server (`chat_template_kwargs`, `reasoning_effort` ...)."""
    leave_out: tuple[Left, ...] = ()
    """Fields of the request that the server doesn't take and that are not to be sent. Where a server's error names one,
    it is left out without being told here."""
    load: dict[str, Any] = {}
    """Passed through to `AutoModelForCausalLM.from_pretrained` or `vllm.LLM`."""
    steering: SteeringSettings | None = None
    """For `hf:` models: steering while it writes, by a file of `unwaver steer fit`; None: none. Training takes no
    notice of it; what was trained is steered, too, when it is evaluated."""

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
                "base_url: expected http(s)://HOST:PORT/PATH without a password or a key in it; "
                "a key belongs in the environment (`key_env`)"
            )
        if self.base_url is not None and self.sends_key and in_the_clear(self.base_url):
            raise ValueError(
                f"base_url: the key in {self.key_env} would go to {host_of(self.base_url)} over plain http, readable "
                "for anybody on the way; expected https, a host of your own network, or no `key_env`"
            )
        for field in ("name", "alias", "revision", "base_url"):
            if CERTAIN.search(getattr(self, field) or ""):
                raise ValueError(f"{field}: a key belongs in the environment (`key_env`), as settings are written down")
        both = sorted({*self.leave_out} & {*self.extra_body})
        if both:
            raise ValueError(f"leave_out: `{both[0]}` is in extra_body as well; expected it in one of them")
        refuse_keys(self.extra_body, "extra_body")
        refuse_keys(self.load, "load")
        return self

    @model_validator(mode="after")
    def _money_can_be_counted(self) -> ModelSettings:
        if self.max_cost is not None and (self.price_in is None or self.price_out is None):
            raise ValueError("max_cost needs price_in and price_out, or nobody can tell when it is spent")
        return self

    @model_validator(mode="after")
    def _steering_needs_the_layers(self) -> ModelSettings:
        if self.steering is not None and self.door != "hf":
            raise ValueError(
                f"steering: a {self.door}: model keeps its layers to itself; expected an `hf:` model, whose states can "
                "be pushed while it writes"
            )
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
    def sends_key(self) -> bool:
        """Whether its server is sent a key: the vendor always, one at an address of the recipe's where a variable is
        named for it."""
        return self.base_url is None or "key_env" in self.model_fields_set

    @property
    def label(self) -> str:
        """`name@revision`, as records carry it."""
        name = self.alias or called(self.name)
        named = f"{name}@{self.revision}" if self.revision else name
        return named if self.steering is None else f"{named} {self.steering.label}"

    @property
    def unsteered(self) -> ModelSettings:
        """The same model without its steering."""
        return self.model_copy(update={"steering": None})


def _is_address(text: str) -> bool:
    if no_address(text) is not None:
        return False
    url = urlsplit(text)
    return url.scheme in ("http", "https") and not (url.username or url.password or url.query or url.fragment)


DOORS = ("openai", "hf", "vllm", "replay")
RECORDED = ("corpus", "corpus-brief")
"""What `replay:` knows by name; anything else is a file."""

VLLM_CONCURRENCY = 1024
"""Calls that wait for a vLLM engine at once."""

DIVIDED = ("corpus/harmful", "corpus/borderline", "corpus/plain", "corpus/maths", "xstest/safe")
"""The sources that are divided into `train` and `heldout`."""


class PromptSet(Settings):
    """A set of prompts: a source, cut to a split, perhaps wrapped in templates."""

    source: str
    """A source's name (`unwaver prompts --help` lists them), or `file` for a file of your own."""
    split: Literal["all", "train", "heldout"] = "all"
    """Which half, for sources that are split. Not given: `heldout` for a set that is evaluated and not trained on. A
    `file` is divided into two halves, in an order that its prompts' texts decide."""
    path: Path | None = None
    """A local file in place of the hub; required for `file`."""
    revision: str | None = None
    """The hub revision; None: the one this version was tested with."""
    columns: dict[str, str] = {}
    """For `file`: our field name = the file's column (`text`, `behaviour`, `category`, `attack`, `target`;
    `source`: the set within it that a row is from)."""
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
        if key := next((one for one in self.columns.values() if names_a_key(one)), None):
            raise ValueError(f"columns: `{key}` is named like a key, and what stands in it would be sent to models")
        return self


class DistilSettings(Settings):
    """How the teacher is asked (docs/instructions.md)."""

    method: str = "improved"
    """How traces of harmful prompts are made: a method of docs/catalogue.md."""
    benign_method: str = "default"
    """The same for all other prompts; the paper asks its teacher plainly."""
    teacher: str = "teacher"
    """Which of `[models]` is asked about harmful prompts."""
    benign_teacher: str | None = None
    """Which is asked about all others; None: the same. The paper asks DeepSeek-R1, whoever teaches the rest."""
    roles: dict[str, str] = {}
    """By a role of the method's, which of `[models]` is asked in it, in place of the one of that name: `student =
    "counter"` has `corrected` begin from another model's replies."""
    method_settings: dict[str, Any] = {}
    """Laid over the settings of `method`'s own, where it has any (docs/methods.md)."""
    methods: dict[str, str] = {}
    """By prompt set, another method for it: `theirs = "given"` takes the replies that stand in the set's own file
    (docs/methods.md)."""
    instruction_file: Path | None = None
    """Your own wording in place of the shipped one for `method`."""
    position: Literal["user", "system"] | None = None
    """Where the wording goes; None: where the method has it."""
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
    """Who reads what: `local`, a reader of your own as `local:FILE`, or the name of a model in `[models]`; a list asks
    several, and the first decides."""

    guard: list[str] = Field([LOCAL], min_length=1)
    """Safe or unsafe, reasoning and answer together: the filter of the training traces."""
    patterns: list[str] = Field([LOCAL], min_length=1)
    """The five risky patterns (docs/protocols.md)."""
    refusal: list[str] = Field([LOCAL], min_length=1)
    """Refusal, partial or compliance, read on the answer."""
    harm: list[str] = Field([LOCAL], min_length=1)
    """Safe or unsafe when a model is evaluated: on the reasoning, on the answer and on both."""
    anatomy: list[str] = []
    """What each sentence of the reasoning on a harmful prompt does, and whether it talks the model into going on
    (docs/protocols.md). Models only: by cue words the report reads it in any case."""
    further: dict[str, list[str]] = {}
    """Further questions of docs/catalogue.md, each with the models that are asked it: `principles = "judge"`."""
    max_tokens: int = Field(2048, ge=1)
    """Limit on a judge's reply."""
    rubric_files: dict[str, Path] = {}
    """Your own wording in place of the shipped rubric, by rubric: `patterns = "mine.md"`."""

    @field_validator(*RUBRICS, mode="before")
    @classmethod
    def _one_is_a_list_of_one(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("further", mode="before")
    @classmethod
    def _each_is_a_list(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: [by] if isinstance(by, str) else by for name, by in value.items()}

    @model_validator(mode="after")
    def _rubrics_are_known(self) -> JudgeSettings:
        known = [*RUBRICS, *self.further]
        for name in self.rubric_files:
            if name not in known:
                raise ValueError(f"rubric_files.{name}: {_no_such(name, known, 'rubric')}")
        return self

    def readers(self, question: str) -> list[str]:
        """Who is asked a question; nobody where a further one isn't asked."""
        found: list[str] = getattr(self, question) if question in RUBRICS else self.further.get(question, [])
        return found


class MixSettings(Settings):
    """What the student is trained on."""

    parts: dict[str, Count] = {"safety": 1000, "benign": 100}
    """How many examples of each prompt set: `name = count`; "all" takes all there are, 0 leaves the set out. A prompt
    that two of the sets hold may be drawn from both; that is told and counted."""
    keep: Keep = "guard-only"
    """Which traces of harmful prompts may be kept: everything; those the guard calls safe; of these, those of prompts
    whose every sample it calls safe (`all-k-safe`, which needs `distil.samples` of 2 or more), those without any
    pattern but weak vacillation, without any pattern at all, or without a grade of 4 or 5 by any principle in reasoning
    or answer (`leak-free`, which needs `judge.further.principles`)."""
    draw: Draw = "by-seed"
    """Which of a part's kept traces are drawn, where there are more than are wanted: by the seed alone, or so that what
    is left is spread over sources and categories, as STAR-1 thins its set (docs/methods.md)."""
    per_category: int | None = Field(None, ge=1)
    """At most so many of a category in each part; prompts without a category are under no quota."""
    rejected: dict[str, str] = {}
    """For `train.method = "dpo"`: by part, the prompt set whose traces of the same prompts are the rejected ones; the
    part itself where `distil.samples` draws several (docs/training.md)."""
    overlap: Literal["refuse", "report"] = "refuse"
    """What an overlap with an evaluation set does: training refuses to start, or it is only reported."""

    @property
    def by_category(self) -> dict[str, Any]:
        """What is set of drawing by categories; nothing where the seed alone draws."""
        return self.model_dump(include={"draw", "per_category"}, exclude_defaults=True)


class TrainSettings(Settings):
    """Fine-tuning through TRL. Defaults are those of the paper's experiments (arXiv 2505.15404, section 5)
    or, where it says nothing, of its released script (`safety_train/trl_train_code/run_sft.sh` in
    thu-coai/LRM-Safety-Study); each says which, or that it is ours."""

    method: Literal["full", "lora", "qlora", "dpo"] = "full"
    """The paper's is full fine-tuning; adapters (LoRA) and adapters over 4-bit weights (QLoRA) are ours. `dpo`:
    preference pairs (`mix.rejected`) through `trl.DPOTrainer`, with an adapter where `[train.lora]` sets something
    (`r = 16`), else on all weights."""
    learning_rate: float = Field(5e-6, gt=0)
    """The paper's and its script's: the best of 1e-6, 5e-6, 5e-5, 1e-4 in its Figure 5."""
    global_batch: int = Field(48, ge=1)
    """Examples per optimiser step, over all processes; kept constant whatever their number. The paper's, on 6 GPUs; its
    script, of an earlier version, has 64 (4 GPUs x 2 x 8)."""
    micro_batch: Annotated[int, NO_RESULT] = Field(4, ge=1)
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
    max_overlong: Annotated[float, NO_RESULT] = Field(0.05, ge=0, le=1)
    """Largest share of over-long examples training starts with. Ours."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Matrix products. auto: bfloat16, as in the script, where the machine has it. Trained weights are float32, which
    is ours: an update of 5e-6 is too small for a bfloat16 weight to show. They are saved in the student's own type."""
    gradient_checkpointing: Annotated[bool, NO_RESULT] = True
    """The script's."""
    batching: Literal["shuffled", "grouped", "packed"] = "grouped"
    """`grouped`: batches of similar length that still hold every part of the mix; `packed`: several examples a row;
    `shuffled`: plainly random, as the script's. Grouped is ours: a step holds the same parts, only faster."""
    heldout: float = Field(0.05, ge=0, lt=0.5)
    """Share of each part kept out of training to follow its loss. Ours; the script holds out none."""
    perplexity: Annotated[bool, NO_RESULT] = True
    """Measure the student's perplexity of the mix before training. Ours."""
    save_every: Annotated[int, NO_RESULT] = Field(50, ge=1)
    """Optimiser steps between checkpoints. Ours; the script saves once an epoch."""
    report_to: Annotated[list[str], NO_RESULT] = []
    """Passed through to the trainer: tensorboard, trackio, wandb."""
    launch: Annotated[Literal["none", "accelerate", "torchrun"], NO_RESULT] = "none"
    """How several processes are started; none: this one."""
    launch_config: Annotated[str | None, NO_RESULT] = None
    """For accelerate: zero2 (the script's), zero3, fsdp2, or a file of your own."""
    processes: Annotated[int, NO_RESULT] = Field(1, ge=1)
    """Processes to start with `launch`."""
    loss: Literal["sigmoid", "ipo"] = "sigmoid"
    """Of `dpo`: DPO's own (arXiv 2305.18290) or IPO's (arXiv 2310.12036), as TRL has them."""
    dpo: dict[str, Any] = {}
    """Laid over `trl.DPOConfig` (`beta` ...), but for the keys that a setting above or a promise decides."""
    sft: dict[str, Any] = {}
    """Laid over `trl.SFTConfig`, but for the keys that a setting above or a promise decides."""
    lora: dict[str, Any] = {}
    """Laid whole over `peft.LoraConfig`."""

    @model_validator(mode="after")
    def _no_key_is_written_down(self) -> TrainSettings:
        refuse_keys(self.sft, "sft")
        refuse_keys(self.dpo, "dpo")
        refuse_keys(self.lora, "lora")
        return self

    @model_validator(mode="after")
    def _tables_are_read(self) -> TrainSettings:
        if self.method == "dpo" and self.sft:
            raise ValueError('sft: method "dpo" doesn\'t read it; its table is [train.dpo]')
        if self.method != "dpo" and (self.dpo or self.loss != "sigmoid"):
            raise ValueError(f'{"dpo" if self.dpo else "loss"}: only method "dpo" reads it')
        return self

    @property
    def adapters(self) -> bool:
        """Whether an adapter is trained, and not the weights themselves."""
        return self.method in ("lora", "qlora") or (self.method == "dpo" and bool(self.lora))

    def identity(self) -> dict[str, Any]:
        """What decides the result; of pairs only where there are any."""
        found = super().identity()
        return found if self.method == "dpo" else {k: v for k, v in found.items() if k not in ("loss", "dpo")}


class EvaluationSet(Settings):
    """One evaluation: a prompt set, an attack, and how replies are drawn."""

    prompts: str | None = None
    """The prompt set's name; None: the one that bears the evaluation's name."""
    attack: str = "none"
    """How the prompts are attacked: an attack of docs/catalogue.md."""
    samples: int = Field(1, ge=1)
    """Replies per prompt."""
    temperature: float | None = Field(None, ge=0)
    """None: 0 (greedy) for safety, 0.6 for reasoning, as in the paper."""
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    """None: the paper's budget for the kind: 4,096 harmful, 2,048 over-refusal, 32,768 maths, 30,000 code."""
    attack_settings: dict[str, Any] = {}
    """Laid over the attack's own settings (`n_streams`, `n_iterations` ...)."""


class AfterwardsSettings(Settings):
    """Somebody's later, harmless fine-tuning of the trained student, before it is evaluated: does what was taught last?
    Trained as `[train]` says, with the weights the safety training left; after `dpo`, which takes pairs, plainly: by an
    adapter where that trained one, else on all weights."""

    parts: dict[str, Count] = Field(min_length=1)
    """How many examples of each set of harmless prompts, as `mix.parts` has them; `[distil]` says how they are made."""
    steps: int = Field(ge=0)
    """Optimiser steps, passing over the examples as often as that takes; 0: no such fine-tuning."""
    learning_rate: float | None = Field(None, gt=0)
    """None: that of `[train]`."""


class EvaluateSettings(Settings):
    """What the raw student and the trained one are asked (docs/evaluation.md)."""

    sets: dict[str, EvaluationSet] = {}
    """One table per evaluation: `[evaluate.sets.NAME]`."""
    max_tokens: int | None = Field(None, ge=1)
    """A budget for every set that names none."""


RAW = "raw"
"""The arm that is the student before training."""

RELATIVE = re.compile(r"[+-]\d*\.?\d+")
"""A limit that is meant from the reference arm."""


def _limit(value: Any) -> Any:
    if isinstance(value, str) and RELATIVE.fullmatch(value) and abs(float(value)) <= 1:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise ValueError('expected a share from 0 to 1, or a change like "+0.05" or "-0.02" from the reference arm')


Limit = Annotated[float | str, PlainValidator(_limit)]
"""What a measure may come to: a share, or with a sign a change from the reference arm."""


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
    afterwards: AfterwardsSettings | None = None
    """A later fine-tuning by somebody else; None: the student is evaluated as the training left it (docs/study.md)."""
    evaluate: EvaluateSettings = EvaluateSettings()
    limits: dict[str, Limit] = {}
    """What `unwaver gate` asks for (docs/gate.md): a measure, and the most (where more is better: the least) it may be.
    `asr = 0.1`; from the reference arm `over_refusal = "+0.05"`, `accuracy = "-0.02"`. Decides no result."""
    arms: dict[str, dict[str, Any]] = {}
    """Variants to compare: each a table of dotted overrides. None: the recipe itself is the one arm. One that trains
    nothing (`mix.parts = {}`) is a model as it is, under the arm's name; a trained one can't be called `raw`, as the
    student before training is."""
    reference: str | None = None
    """The arm that all others are compared with; None: each arm's student before training (`raw`), and without
    steering."""

    @model_validator(mode="after")
    def _names_resolve(self) -> Recipe:
        problems = []
        if "student" not in self.models:
            problems.append("models: expected a `student`")
        for part in self.mix.parts:
            if part not in self.prompts:
                problems.append(f"mix.parts.{part}: {_no_such(part, self.prompts, 'prompt set')}")
        for part in self.afterwards.parts if self.afterwards is not None else ():
            if part not in self.prompts:
                problems.append(f"afterwards.parts.{part}: {_no_such(part, self.prompts, 'prompt set')}")
        for name, entry in self.evaluate.sets.items():
            wanted = entry.prompts or name
            if wanted not in self.prompts:
                problems.append(f"evaluate.sets.{name}: {_no_such(wanted, self.prompts, 'prompt set')}")
        for key, role in (("teacher", self.distil.teacher), ("benign_teacher", self.distil.benign_teacher)):
            if role not in (None, "teacher") and role not in self.models:
                problems.append(f"distil.{key}: {_no_such(str(role), self.models, 'model')}")
        for rubric in (*RUBRICS, *self.judge.further):
            by_model = rubric == "anatomy" or rubric not in RUBRICS
            known, what = (self.models, "model") if by_model else ([LOCAL, *self.models], "judge")
            where = f"judge.{rubric}" if rubric in RUBRICS else f"judge.further.{rubric}"
            for judge in self.judge.readers(rubric):
                if judge not in known and (by_model or not is_local(judge)):
                    problems.append(f"{where}: {_no_such(judge, known, what)}")
        if self.arms and self.reference not in (None, RAW, *self.arms):
            problems.append(f"reference: {_no_such(str(self.reference), [RAW, *self.arms], 'arm')}")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _roles_are_filled(self) -> Recipe:
        for role, model in self.distil.roles.items():
            if role == "teacher":
                raise ValueError("distil.roles.teacher: `distil.teacher` says who that is; leave it out")
            if model not in self.models:
                raise ValueError(f"distil.roles.{role}: {_no_such(model, self.models, 'model')}")
        return self

    @model_validator(mode="after")
    def _traces_can_be_had(self) -> Recipe:
        if self.mix.keep == "all-k-safe" and self.distil.samples < 2:
            raise ValueError('mix.keep: "all-k-safe" compares samples of a prompt; set distil.samples to 2 or more')
        for name, method in self.distil.methods.items():
            if name not in self.prompts:
                raise ValueError(f"distil.methods.{name}: {_no_such(name, self.prompts, 'prompt set')}")
            entry = self.prompts[name]
            if method == "given" and (entry.path is None or entry.templates is not None):
                raise ValueError(f"distil.methods.{name}: `given` needs a set with a `path` and no templates")
        return self

    @model_validator(mode="after")
    def _pairs_have_two_sides(self) -> Recipe:
        rejected, pairs = self.mix.rejected, self.train.method == "dpo"
        for part, name in rejected.items():
            if part not in self.mix.parts and self.parts():
                raise ValueError(f"mix.rejected.{part}: {_no_such(part, self.mix.parts, 'part')}")
            if name not in self.prompts:
                raise ValueError(f"mix.rejected.{part}: {_no_such(name, self.prompts, 'prompt set')}")
            if name == part and self.distil.samples < 2:
                raise ValueError(f"mix.rejected.{part}: of its own traces; set distil.samples to 2 or more")
        if rejected and not pairs and self.parts():
            raise ValueError('mix.rejected: only train.method = "dpo" learns from rejected traces')
        if missing := [part for part in self.parts() if pairs and part not in rejected]:
            raise ValueError(
                f'mix.rejected: train.method = "dpo" learns from pairs, and part `{missing[0]}` has no rejected side; '
                f"expected the prompt set whose traces are rejected: mix.rejected.{missing[0]}"
            )
        return self

    @model_validator(mode="after")
    def _what_is_evaluated_is_held_out(self) -> Recipe:
        trained = self.distilled()
        for name in {entry.prompts or name for name, entry in self.evaluate.sets.items()}:
            given = self.prompts[name]
            if given.source in DIVIDED and "split" not in given.model_fields_set and name not in trained:
                self.prompts[name] = given.model_copy(update={"split": "heldout"})
        return self

    def later(self) -> Recipe | None:
        """The recipe of the fine-tuning afterwards; None where there is none."""
        settings = self.afterwards
        if settings is None or not settings.steps or not self.parts():
            return None
        rate = settings.learning_rate or self.train.learning_rate
        train = self.train.model_copy(update={"learning_rate": rate})
        if train.method == "dpo":  # there are no pairs of harmless prompts
            method = "lora" if train.adapters else "full"
            train = train.model_copy(update={"method": method, "loss": "sigmoid", "dpo": {}})
        return self.model_copy(update={"mix": MixSettings(parts=settings.parts, keep="everything"), "train": train})

    def parts(self) -> list[str]:
        """The prompt sets that are trained on."""
        return [name for name, count in self.mix.parts.items() if count]

    def distilled(self) -> list[str]:
        """The prompt sets that traces are made of: the parts, and where the rejected ones are from."""
        parts = self.parts()
        return list(dict.fromkeys([*parts, *(self.mix.rejected[part] for part in parts if part in self.mix.rejected)]))

    def method_of(self, part: str, harmful: bool) -> tuple[str, str]:
        """(method, the key that names it) of a set of prompts."""
        if part in self.distil.methods:
            return self.distil.methods[part], f"distil.methods.{part}"
        name, _ = self.taught(harmful)
        return name, "distil.method" if name == self.distil.method else "distil.benign_method"

    def taught(self, harmful: bool) -> tuple[str, str]:
        """(method, the teacher's role) for harmful prompts or for all others."""
        settings = self.distil
        if harmful:
            return settings.method, settings.teacher
        return settings.benign_method, settings.benign_teacher or settings.teacher

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
