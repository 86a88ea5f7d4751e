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
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

Kind = Literal["harmful", "borderline", "benign", "maths", "code"]
"""What a prompt is: `borderline` is harmless but sounds alarming (as XSTest's safe prompts), `benign` plainly so."""

Ending = Literal["stop", "length", "filter", "error"]
"""Why a reply ended: the model stopped, the token limit cut it, the provider withheld it, or no reply came."""

Block = Literal["closed", "unclosed", "none", "several"]
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

    def text(self, part: LookedAt) -> str | None:
        """The text of one part. `both`: reasoning, a blank line, answer; None when the part was never written."""
        if part == "reasoning":
            return self.reasoning
        if part == "answer":
            return self.answer
        pieces = [piece for piece in (self.reasoning, self.answer) if piece is not None]
        return "\n\n".join(pieces) if pieces else None


LookedAt = Literal["reasoning", "answer", "both"]
"""Which text of a trace a judge was shown."""


class Message(Record):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


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
    label: str | None
    """One of the rubric's closed answers; for risky patterns, the names found, joined by `+` in the paper's order, or
    `none`; for an anatomy, the names found. None: unscored."""
    quote: str | None = None
    """Evidence, verbatim from the text that was looked at."""
    reason: str = ""
    """Why this label, or why there is none."""

    @model_validator(mode="after")
    def _unscored_says_why(self) -> Verdict:
        if self.label is None and not self.reason:
            raise ValueError("an unscored verdict must say why")
        return self

    @property
    def labels(self) -> frozenset[str]:
        """The names in a label of several; empty for `none` and for an unscored verdict."""
        return frozenset() if self.label in (None, NO_PATTERN) else frozenset(str(self.label).split("+"))


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

    @property
    def reply(self) -> str:
        """The whole reply."""
        return "".join(span.text for span in self.spans)


class Estimate(Record):
    """A number with what it takes to believe it: the only thing tables and figures accept."""

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
    method: str
    """How value and interval were made."""
    runs: tuple[str, ...] = ()
    """The run directories it comes from."""
