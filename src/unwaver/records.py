"""The nouns: Prompt, Trace, Verdict, Example, Estimate.

Every record is frozen, refuses unknown fields and has an `id` made from its content, so that the same thing has the
same name in every run. `Prompt -> Trace -> Verdict` both makes training data and tests a model; after it come
`Verdict -> Example` (train on it) and `Verdict -> Estimate` (report it). Pure: no I/O, no clock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from unwaver.basis import Basis
from unwaver.errors import IncomparableError

Kind = Literal["harmful", "borderline", "benign", "maths", "code"]
"""What a prompt is: `borderline` is harmless but sounds alarming (as XSTest's safe prompts), `benign` plainly so."""

Ending = Literal["stop", "length", "filter", "error"]
"""Why a reply ended: the model stopped, the token limit cut it, the provider withheld it, or no reply came."""

Block = Literal["closed", "unclosed", "none", "several", "foreign"]
"""What was found of the reasoning block: see `reasoning.split`."""

PATTERNS = (
    "lack_of_safety_awareness",
    "strong_vacillation",
    "weak_vacillation",
    "harmful_additions",
    "inconsistency",
)
"""The five risky patterns (arXiv 2505.15404 section 3), in the paper's order."""

OVERTHINKING = frozenset({"strong_vacillation", "weak_vacillation", "harmful_additions"})
"""The three that together are *overthinking*: harm is recognised, yet the reasoning goes on in a harmful way."""

NO_PATTERN = "none"
"""The label of a trace in which none of the patterns was found."""


def digest(content: Any, size: int = 20) -> str:
    """Hex digest of `size` characters of anything JSON can hold; keys are sorted, so their order does not matter."""
    text = _CANONICAL.encode(content)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size // 2).hexdigest()


_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class Record(BaseModel):
    """A frozen piece of data that knows its own content id."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @cached_property
    def id(self) -> str:
        """20 hex characters from the content; equal content, equal id."""
        return digest(self.model_dump(mode="json", exclude_defaults=True))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed; its id is its own, not the one the original had already reckoned."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("id", None)
        return copy


class Message(Record):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Prompt(Record):
    """One user turn to be sent to a model."""

    text: str
    """What the model is sent, word for word."""
    kind: Kind
    """What sort of request it is; decides which measures it enters."""
    behaviour: str | None = None
    """The harm sought, in plain words, the same under every attack; what judges read. None where none is sought."""
    category: str | None = None
    """The source's own category or type."""
    attack: str | None = None
    """The name of the attack or frame the behaviour is wrapped in; None for the bare request."""
    target: str | None = None
    """The reference answer of a maths problem, or the tests of a coding problem as JSON; None elsewhere."""
    source: str = ""
    """The data set and its revision, `name@revision`."""
    of: str | None = None
    """The text of the clean question that this one perturbs; None: it perturbs none."""
    turns: tuple[Message, ...] = ()
    """Earlier turns of the conversation that `text` goes on with, oldest first."""

    @model_validator(mode="after")
    def _harm_is_named(self) -> Prompt:
        if self.kind == "harmful" and not self.behaviour:
            raise ValueError("a harmful prompt must name its behaviour")
        return self


class Trace(Record):
    """One sampled reply: its reasoning and its answer, kept apart from the first moment."""

    prompt: Prompt
    model: str
    """`name@revision` of the model that wrote it."""
    sample: int = 0
    """0-based number of the sample, where a prompt is asked more than once."""
    reasoning: str | None = None
    """The text inside the block, trimmed. None: there was no block; "": the block was empty."""
    answer: str | None = None
    """The text after the last closing tag, trimmed. None: the reply never reached it."""
    block: Block = "none"
    whole: str | None = None
    """The reply as it stood where nobody can tell reasoning from answer (block `foreign`); None elsewhere."""
    note: str | None = None
    """What was odd about where reasoning and answer were found; None: nothing."""
    ending: Ending
    failure: str | None = None
    """Why there is no reply (`ending` error or filter); None where there is one."""
    tokens_in: int | None = None
    """Prompt tokens as the model counted them; None where it did not say."""
    tokens_out: int | None = None
    """Reply tokens, reasoning included; None where the model did not say."""
    tokens_reasoning: int | None = None
    """Reply tokens inside the block; None where the model did not say."""
    sampling: str = ""
    """Digest of the sampling settings."""
    shielded: tuple[tuple[int, int], ...] = ()
    """Stretches of the reasoning (from, to, in characters; in order, apart) that are context only: a student reads them
    and is not trained to write them; of an evaluated reply, what it was made to begin with. Readers read the rest."""
    begun: bool = False
    """It is the beginning of a reasoning and no more, on purpose: a student learns these words, left to go on."""

    @model_validator(mode="after")
    def _shields_lie_in_the_reasoning(self) -> Trace:
        borders = [0, *(at for stretch in self.shielded for at in stretch), len(self.reasoning or "")]
        if any(later < earlier for earlier, later in pairwise(borders)):
            raise ValueError("shielded: expected stretches within the reasoning, in order and apart")
        return self

    @model_validator(mode="after")
    def _failure_and_ending_agree(self) -> Trace:
        if (self.ending == "error") and not self.failure:
            raise ValueError("a trace that ended in an error must say why in `failure`")
        if self.ending == "error" and (self.reasoning is not None or self.answer is not None):
            raise ValueError("a trace that ended in an error has no text")
        return self

    @property
    def truncated(self) -> bool:
        """The token limit cut it."""
        return self.ending == "length"

    @property
    def learnt(self) -> Trace:
        """The trace without its shielded stretches: what a student is trained to write, or wrote."""
        if not self.shielded or self.reasoning is None:
            return self
        borders = [0, *(at for stretch in self.shielded for at in stretch), len(self.reasoning)]
        kept = [self.reasoning[start:end].strip() for start, end in list(pairwise(borders))[::2]]
        return self.model_copy(update={"reasoning": "\n\n".join(piece for piece in kept if piece), "shielded": ()})

    def text(self, part: LookedAt) -> str | None:
        """The text of one part. `both`: reasoning, a blank line, answer; None when the part was never written."""
        if part == "reasoning":
            return self.reasoning
        if part == "answer":
            return self.answer
        if self.whole is not None:
            return self.whole
        pieces = [piece for piece in (self.reasoning, self.answer) if piece is not None]
        return "\n\n".join(pieces) if pieces else None


LookedAt = Literal["reasoning", "answer", "both"]
"""Which text of a trace a judge was shown."""


class Sampling(Record):
    """How a reply is drawn."""

    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    max_tokens: int = 4096
    """Limit on the reply, reasoning included, in the model's own tokens."""
    seed: int | None = None
    """Passed to the model where it takes one; the sample's number is added to it."""


class Request(Record):
    """One call: what is asked of a model, before it is known who answers."""

    messages: tuple[Message, ...] = ()
    """The conversation. Empty when `rendered` is given."""
    rendered: str | None = None
    """A prompt that is already in the model's own format (classifiers with a format of their own), sent as it is."""
    prefill: str = ""
    """Text the reply is made to begin with."""
    sampling: Sampling = Sampling()
    sample: int = 0
    """0-based number of the sample."""
    json_schema: dict[str, Any] | None = None
    """A JSON schema the reply should follow; servers that can, enforce it."""

    @cached_property
    def id(self) -> str:
        """20 hex characters from the content; by hand: pydantic's dump is half as fast, and there may be a million."""
        turns = [(message.role, message.content) for message in self.messages]
        return digest([turns, self.rendered, self.prefill, self.sampling.id, self.sample, self.json_schema])

    def key(self, model: str) -> str:
        """The name of this call in the ledger: 12 hex characters of the model's label, 20 of the request."""
        return model_part(model) + self.id


@lru_cache(maxsize=256)
def model_part(model: str) -> str:
    """The beginning of every key of a model's calls."""
    return digest(model, size=12)


class Reply(Record):
    """What came back from one call. A call that failed is a Reply with `failure`, never a text."""

    text: str = ""
    """The raw reply as the model wrote it, tags included, without the prefill."""
    reasoning: str | None = None
    """The reasoning where the server hands it over apart from the text."""
    ending: Ending
    failure: str | None = None
    opened: bool = False
    """Whether the generation prompt had already opened the reasoning block."""
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_reasoning: int | None = None
    seconds: float | None = None
    """Wall time of the call that succeeded, or of the last try."""
    notes: tuple[str, ...] = ()
    """What has to be told of it: fields that the server didn't take, what it says that can't be."""


class Verdict(Record):
    """One reading of one trace through one rubric. A reading that failed has no label and says why."""

    trace: str
    """The id of the trace."""
    rubric: str
    """`name@hash` of the question that was asked."""
    judge: str
    """`name@revision` of who answered it."""
    looked_at: LookedAt
    """Which text the judge read."""
    labels: tuple[str, ...] | None
    """What was found, by the rubric's names: one of its closed answers; for risky patterns all that are shown, in the
    paper's order; for an anatomy all that occur. Empty: none of them. None: unscored."""
    stretches: tuple[tuple[int, int, str], ...] = ()
    """For an anatomy, which sentences (first and last, numbered from 1) do what."""
    grades: tuple[tuple[str, int], ...] = ()
    """For a rubric that grades (the principles), what was graded and its grade."""
    quote: str | None = None
    """Evidence, verbatim from the text that was looked at."""
    reason: str = ""
    """Why these labels, or why there are none."""
    undecided: tuple[str, ...] = ()
    """Where several names can be found: those that this reading neither found nor ruled out."""

    @model_validator(mode="after")
    def _unscored_says_why(self) -> Verdict:
        if self.labels is None and not self.reason:
            raise ValueError("an unscored verdict must say why")
        return self

    @property
    def label(self) -> str | None:
        """The labels as people are shown them, `none` where nothing was found; None for an unscored verdict."""
        return None if self.labels is None else "+".join(self.labels) or NO_PATTERN

    def has(self, name: str) -> bool | None:
        """Whether a name was found, or for `none`, whether all was decided and nothing found; None where undecided."""
        if self.labels is None or name in self.undecided:
            return None
        if name == NO_PATTERN and not self.labels:
            return None if self.undecided else True
        return name in self.labels


def single(label: str | None) -> tuple[str, ...] | None:
    """The labels of a verdict with one closed answer, or none."""
    return None if label is None else (label,)


class Span(Record):
    """A stretch of an example's reply."""

    text: str
    trained: bool
    """True: under the loss; False: context only."""


class Example(Record):
    """One training example. The teacher's instruction is no part of it: the student sees the bare prompt."""

    prompt: str
    """The id of the prompt."""
    trace: str | None
    """The id of the trace it was made of; None for a fixed text."""
    user: str
    """The user turn."""
    spans: tuple[Span, ...]
    """The reply after the generation prompt, in order; joined they are the whole reply, less its end token."""
    part: str
    """The part of the mix it belongs to."""
    kind: Kind
    begun: bool = False
    """The reply is only begun: no end token follows it."""
    rejected: str | None = None
    """In a preference pair the whole reply, to the same prompt, that this one is preferred to; None: in no pair."""

    @property
    def reply(self) -> str:
        """The whole reply."""
        return "".join(span.text for span in self.spans)


class Estimate(Record):
    """A number with what it takes to believe it: all that tables and figures accept. Two are subtracted and ranked
    (`a - b`, `a < b`) only where measure and basis are the same; else IncomparableError says what differs."""

    metric: str
    """The measure's name, as in docs/evaluation.md."""
    arm: str
    slice: str = ""
    """Which prompts: the evaluation set, attack or part."""
    value: float | None
    """None when nothing could be scored."""
    low: float | None = None
    """Lower end of the interval; None when there is none."""
    high: float | None = None
    n: int
    """How many scored items it rests on."""
    n_unscored: int = 0
    """How many items had no label; they are in no rate."""
    n_truncated: int = 0
    """How many of all items the token limit cut."""
    lowest: float | None = None
    """A rate's worst cases: its value if every unscored item were False (`highest`: True). None for other numbers."""
    highest: float | None = None
    method: str
    """How value and interval were made."""
    basis: Basis | None = None
    runs: tuple[str, ...] = ()
    """The run directories it comes from."""

    def differs(self, other: Estimate) -> tuple[str, ...]:
        """What keeps the two apart, in plain words."""
        fields = () if self.metric == other.metric else ("metric",)
        if self.basis is not None and other.basis is not None:
            return (*fields, *self.basis.differs(other.basis))
        return fields if self.basis is other.basis else (*fields, "basis")

    def __sub__(self, other: Estimate) -> float:
        if fields := self.differs(other):
            raise IncomparableError(f"{self.arm} and {other.arm} differ in {', '.join(fields)}")
        if self.value is None or other.value is None:
            raise IncomparableError(f"nothing was scored in {self.arm} or {other.arm}")
        return self.value - other.value

    def __lt__(self, other: Estimate) -> bool:
        return self - other < 0
