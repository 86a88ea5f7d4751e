"""Examples to token ids with the loss where it belongs, and the proof of it.

The prompt is rendered exactly as inference renders it (`add_generation_prompt=True`), the reply is appended by us and
ended with the token that generation stops at; a template never sees the reply, so it can't drop the reasoning from it.
Reads examples, writes nothing. The paper's section 5 trains through the template on every token; here the loss is on
the spans that an example marks, and on the end token.

The two borders:
- *Prompt and reply.* Inference never merges across it, so neither do we: the reply's tokens follow the very tokens that
  inference would feed. Where tokenising both together would merge across the border, they are tokenised apart.
- *Context and trained spans.* A token is trained only when all of its characters are; one that straddles is context.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from itertools import groupby, takewhile
from typing import Any

from jinja2 import TemplateError

from unwaver.errors import RecipeError
from unwaver.reasoning import THINK, Split, Tags, opens_block, split
from unwaver.records import Example, digest

IGNORED = -100
"""The label of a token without loss, as the trainers have it."""

VERSION = 2
"""Raised whenever the same example gets other tokens, another mask or another proof: what was kept is made anew."""

PROBE = "quite some text"
"""What templates are tried with."""

Spans = list[tuple[str, bool]]

Place = tuple[int, int]
"""From which character up to which, the end not included."""


@dataclass(frozen=True)
class Encoded:
    """One example as the trainer gets it."""

    input_ids: list[int]
    trained: list[bool]
    """For each token, whether it is under the loss."""
    prompt_tokens: int
    """How many tokens at the start are the prompt that inference would feed."""
    part: str
    kind: str

    @property
    def labels(self) -> list[int]:
        """`input_ids` where trained, else -100; not shifted."""
        return [token if on else IGNORED for token, on in zip(self.input_ids, self.trained, strict=True)]

    @property
    def trained_tokens(self) -> int:
        """How many tokens are under the loss."""
        return sum(self.trained)


@dataclass(frozen=True)
class Proof:
    """What the decoded tokens of one example show."""

    part: str
    tokens: int
    trained_tokens: int
    end: str
    """The end token, as text."""
    opened: bool
    """Whether the generation prompt opens the reasoning block."""
    segments: list[tuple[str, bool]]
    """The decoded text in runs of (text, trained)."""

    @property
    def text(self) -> str:
        """The example as plain text, its trained stretches between `⟦` and `⟧`."""
        return "".join(f"⟦{text}⟧" if trained else text for text, trained in self.segments)


@dataclass
class Encoder:
    """Encodes examples for one student.

    `tokenizer` is a fast tokenizer of transformers with a chat template; `stops` are further token ids at which
    generation stops (the model's `generation_config.json`). RecipeError where the student can't be trained this way.
    """

    tokenizer: Any
    tags: Tags = THINK
    system: str | None = None
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
    stops: frozenset[int] = frozenset()
    name: str = "student"

    def __post_init__(self) -> None:
        if not getattr(self.tokenizer, "chat_template", None):
            raise RecipeError(
                f"{self.name}: its tokenizer has no chat template; name a model that has one, or add "
                "chat_template.jinja to its folder"
            )
        if not self.tokenizer.is_fast:
            raise RecipeError(f"{self.name}: its tokenizer gives no offsets (not a fast one), so spans can't be marked")
        self._check_tags()
        self.end_id = self._find_end()
        self.tail = self.prompt(PROBE).rpartition(PROBE)[2]

    def prompt(self, user: str) -> str:
        """The text inference would feed for this user turn."""
        messages = [{"role": "user", "content": user}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        return self._rendered(messages, add_generation_prompt=True)

    def encode(self, example: Example) -> Encoded:
        """The example's tokens and which of them are trained; nothing is cut and nothing is checked."""
        prompt = self.prompt(example.user)
        spans = self._reply_spans(example, prompt)
        prompt_ids = self._ids(prompt)
        ids, places = self._reply_tokens(prompt, prompt_ids, "".join(text for text, _ in spans))
        trained = _mask(places, spans)
        return Encoded(
            input_ids=[*prompt_ids, *ids, self.end_id],
            trained=[False] * len(prompt_ids) + trained + [bool(spans) and spans[-1][1]],
            prompt_tokens=len(prompt_ids),
            part=example.part,
            kind=example.kind,
        )

    def prove(self, example: Example) -> Proof:
        """Encode, check and decode one example; RecipeError with the first fault."""
        encoded = self.encode(example)
        found = self.faults(example, encoded)
        if found:
            raise RecipeError(f"{self.name}: {found[0]} (part {example.part}, prompt {example.prompt})")
        return self.proof(encoded)

    def proof(self, encoded: Encoded) -> Proof:
        """The decoded tokens of an encoded example."""
        segments: list[tuple[str, bool]] = []
        position = 0
        for on, run in groupby(encoded.trained):
            size = sum(1 for _ in run)
            segments.append((self._text(encoded.input_ids[position : position + size]), on))
            position += size
        return Proof(
            part=encoded.part,
            tokens=len(encoded.input_ids),
            trained_tokens=encoded.trained_tokens,
            end=self._text([self.end_id]),
            opened=opens_block(self._text(encoded.input_ids[: encoded.prompt_tokens]), self.tags),
            segments=segments,
        )

    def faults(self, example: Example, encoded: Encoded) -> list[str]:
        """What is wrong with an encoded example, as sentences; empty when reasoning, closing tag, answer and end token
        are there and under the loss, and the prompt is not. Read from the tokens, not from what the spans ask for.
        """
        prompt_ids, reply_ids = encoded.input_ids[: encoded.prompt_tokens], encoded.input_ids[encoded.prompt_tokens :]
        prompt, reply = self.prompt(example.user), self._text(reply_ids[:-1])
        wanted = "".join(text for text, _ in self._reply_spans(example, prompt))
        ids, places = self._reply_tokens(prompt, prompt_ids, wanted)
        opened = opens_block(prompt, self.tags)
        found = split(wanted, opened, self.tags)
        bos, tag = self.tokenizer.bos_token_id, re.escape(self.tags.open)
        checks = [
            (any(encoded.trained[: encoded.prompt_tokens]), "the prompt is under the loss"),
            (not any(encoded.trained), "no token is under the loss"),
            (prompt_ids != self._ids(prompt), "the prompt's tokens are not those that inference would feed"),
            (bos is not None and prompt_ids[:2] == [bos, bos], "the prompt begins with the BOS token twice"),
            (
                re.search(rf"{tag}\s*{tag}", self.tail + wanted) is not None,
                f"the opening tag {self.tags.open} stands twice",
            ),
            (
                self.tags.close in self.tail,
                f"the generation prompt already closes the reasoning block ({self.tags.close}); "
                "is thinking switched off in chat_template_kwargs?",
            ),
            (found.block == "none", f"no reasoning tag understood: the reply has no {self.tags.open} block"),
            (found.block == "unclosed", f"the reasoning is never closed: {self.tags.close} is missing from the reply"),
            (found.block == "several", f"the reply has more than one {self.tags.open} block"),
            (
                _plain(reply) != _plain(wanted),
                "the reasoning is lost: the tokenizer doesn't give the reply back as it was",
            ),
            (encoded.input_ids[-1] != self.end_id, "the reply doesn't end with the end token"),
            (reply_ids[:-1] != ids, "the reply's tokens are not those that its text gives"),
            (not encoded.trained[-1], "the end token is not trained"),
            (self._stops_inside(reply_ids[:-1]), "an end token stands inside the reply"),
        ]
        wrong = [sentence for is_so, sentence in checks if is_so]
        on = _under_loss(places, encoded.trained[encoded.prompt_tokens : -1], len(wanted))
        return wrong or self._untrained(wanted, on, found)

    def _untrained(self, reply: str, on: list[bool], found: Split) -> list[str]:
        """What of reasoning, closing tag and answer carries no loss; `on` tells it of each character of the reply."""
        start = len(found.before + found.opener)
        close = start + len(found.reasoning or "")
        answer = close + len(found.closer)

        def untrained(begin: int, end: int) -> bool:
            written = [trained for char, trained in zip(reply[begin:end], on[begin:end], strict=True) if char.strip()]
            return bool(written) and not any(written)

        faults = []
        if untrained(start, close):
            faults.append("the reasoning is not trained: all of it is context")
        if not all(on[close:answer]):
            faults.append(f"the closing tag {self.tags.close} is not trained")
        if untrained(answer, len(reply)):
            faults.append("the answer is not trained: all of it is context")
        return faults

    def fingerprint(self) -> str:
        """A digest of all that decides how an example is encoded, the libraries that render and tokenise included."""
        libraries = {name: metadata.version(name) for name in ("transformers", "tokenizers", "jinja2")}
        parts = [
            VERSION,
            libraries,
            self.tokenizer.backend_tokenizer.to_str(),
            self.tokenizer.chat_template,
            repr(self.tags),
        ]
        return digest([*parts, self.system, self.chat_template_kwargs, sorted(self.stops), self.end_id])

    def keeps_reasoning(self) -> bool:
        """Whether the template would keep the reasoning of an assistant turn, were it handed one. We don't hand it one;
        other trainers do.
        """
        reply = f"{self.tags.render_open}{PROBE}{self.tags.render_close}done"
        messages = [{"role": "user", "content": "a question"}, {"role": "assistant", "content": reply}]
        try:
            return PROBE in self._rendered(messages, add_generation_prompt=False)
        except RecipeError:
            return False

    def _rendered(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=add_generation_prompt, **self.chat_template_kwargs
            )
        except TemplateError as error:
            hint = "; it may take no system turn: leave out models.student.system" if self.system is not None else ""
            raise RecipeError(f"{self.name}: its chat template refuses the conversation: {error}{hint}") from None
        return text

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _reply_tokens(self, prompt: str, prompt_ids: list[int], reply: str) -> tuple[list[int], list[Place]]:
        """The reply's tokens after the prompt's own, and from where to where in the reply each of them stands."""
        whole = self.tokenizer(prompt + reply, add_special_tokens=False, return_offsets_mapping=True)
        shift, ids, offsets = len(prompt), whole["input_ids"], whole["offset_mapping"]
        if ids[: len(prompt_ids)] == prompt_ids:
            ids, offsets = ids[len(prompt_ids) :], offsets[len(prompt_ids) :]
        else:
            apart = self.tokenizer(reply, add_special_tokens=False, return_offsets_mapping=True)
            shift, ids, offsets = 0, apart["input_ids"], apart["offset_mapping"]
        return ids, [(start - shift, end - shift) for start, end in offsets]

    def _text(self, ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def _stops_inside(self, ids: Iterable[int]) -> bool:
        return any(token == self.end_id or token in self.stops for token in ids)

    def _check_tags(self) -> None:
        """Tags made of channel marks must be tokens the student knows, and a student of channels wants such tags."""
        marks = "<|channel|>"
        has_marks = len(self._ids(marks)) == 1
        if marks in self.tags.open and not has_marks:
            raise RecipeError(
                f'{self.name}: no reasoning tag understood: {marks} is no token of it; set tags = "think"'
            )
        if marks not in self.tags.open and has_marks and marks in self.tokenizer.chat_template:
            raise RecipeError(
                f'{self.name}: no reasoning tag understood: its template speaks in channels; set tags = "harmony"'
            )

    def _find_end(self) -> int:
        """The token that ends a reply: what the template writes after an assistant turn if generation stops at it, else
        the tokenizer's EOS, at which it always does.
        """
        eos = self.tokenizer.eos_token_id
        messages = [{"role": "user", "content": "a question"}, {"role": "assistant", "content": PROBE}]
        after = self._ids(self._rendered(messages, add_generation_prompt=False).rpartition(PROBE)[2])
        if after and (after[0] == eos or after[0] in self.stops):
            return after[0]
        if eos is None:
            raise RecipeError(f"{self.name}: its tokenizer names no EOS token, so a reply could never end")
        return int(eos)

    def _reply_spans(self, example: Example, prompt: str) -> Spans:
        """The reply's spans without what the generation prompt has already written of the opening tag."""
        spans = [(span.text, span.trained) for span in example.spans if span.text]
        if not (opens_block(prompt, self.tags) and example.reply.startswith(self.tags.open)):
            return spans
        already = prompt[prompt.rfind(self.tags.open) :]
        written = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(already, example.reply, strict=False)))
        return _without_start(spans, written)


def _stretches(places: list[Place]) -> list[Place]:
    """The characters of each token, none left out between two: a tokenizer may leave blanks out of its offsets; they
    belong to the token that follows.
    """
    stretches, reached = [], 0
    for start, end in places:
        stretches.append((max(0, min(start, reached)), end))
        reached = max(reached, end)
    return stretches


def _mask(places: list[Place], spans: Spans) -> list[bool]:
    """Which tokens are trained: those all of whose characters are."""
    on = [trained for text, trained in spans for _ in text]
    covered = (on[start:end] or on[max(0, end - 1) : end] for start, end in _stretches(places))
    return [bool(characters) and all(characters) for characters in covered]


def _under_loss(places: list[Place], trained: list[bool], size: int) -> list[bool]:
    """Which of `size` characters are under the loss: those all of whose tokens are (one may take several)."""
    on: list[bool | None] = [None] * size
    for (start, end), under in zip(_stretches(places), trained, strict=False):
        on[start:end] = [under and before is not False for before in on[start:end]]
    return [bool(under) for under in on]


def _without_start(spans: Spans, size: int) -> Spans:
    kept = []
    for text, trained in spans:
        if len(text) > size:
            kept.append((text[size:], trained))
        size = max(0, size - len(text))
    return kept


def _plain(text: str) -> str:
    """Unicode in one form: tokenizers compose characters, which loses nothing."""
    return unicodedata.normalize("NFC", text)
