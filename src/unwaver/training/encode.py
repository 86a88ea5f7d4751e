"""Examples to token ids with the loss where it belongs, and the proof of it.

The prompt is rendered exactly as inference renders it (`add_generation_prompt=True`), the reply is appended by us and
ended with the token that generation stops at; a template never sees the reply, so it can't drop the reasoning from it.
A training set is written in `<think>` marks; the reply is written in the student's own family's.
Reads examples, writes nothing. The paper's section 5 trains through the template on every token; here the loss is on
the spans that an example marks, and on the end token.

The two borders:
- *Prompt and reply.* Inference never merges across it, so neither do we: the reply's tokens follow the very tokens that
  inference would feed. Where tokenising both together would merge across the border, they are tokenised apart.
- *Context and trained spans.* A token is trained only when all of its characters are; one that straddles is context.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from itertools import groupby, takewhile
from typing import Any

from unwaver.errors import RecipeError
from unwaver.models.chat import PROBE, Chat, template_of
from unwaver.reasoning import FAMILIES, THINK, Family, Split, opens_block, render, split
from unwaver.reasoning.families import in_template
from unwaver.reasoning.prompts import Begun, begun_with
from unwaver.records import Example, digest
from unwaver.training.spans import Place, Spans, in_marks, mask, under_loss, without_start

IGNORED = -100
"""The label of a token without loss, as the trainers have it."""

CLOSES = "the generation prompt already closes the reasoning block"

VERSION = 5
"""Raised whenever the same example gets other tokens, another mask or another proof: what was kept is made anew."""


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
    rejected: Encoded | None = None
    """The reply to the same prompt that it is preferred to, in a preference pair."""

    @property
    def labels(self) -> list[int]:
        """`input_ids` where trained, else -100; not shifted."""
        return [token if on else IGNORED for token, on in zip(self.input_ids, self.trained, strict=True)]

    @property
    def trained_tokens(self) -> int:
        """How many tokens are under the loss, of both replies in a pair."""
        return sum(self.trained) + (self.rejected.trained_tokens if self.rejected else 0)

    @property
    def tokens(self) -> int:
        """How many there are, in both replies of a pair."""
        return len(self.input_ids) + (self.rejected.tokens if self.rejected else 0)

    @property
    def longest(self) -> int:
        """Tokens of the longer reply with its prompt."""
        return max(len(self.input_ids), self.rejected.longest if self.rejected else 0)


@dataclass(frozen=True)
class Proof:
    """What the decoded tokens of one example show."""

    part: str
    tokens: int
    trained_tokens: int
    end: str
    """The end token, as text; "" where the reply is only begun."""
    opened: bool
    """Whether the generation prompt opens the reasoning block."""
    reply: str
    """The decoded reply, less its end token."""
    segments: list[tuple[str, bool]]
    """The decoded text in runs of (text, trained)."""
    side: str = ""
    """`chosen` or `rejected` in a pair."""

    @property
    def named(self) -> str:
        """The part, and the side in a pair."""
        return f"{self.part}, {self.side}" if self.side else self.part

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
    tags: Family = THINK
    system: str | None = None
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
    stops: frozenset[int] = frozenset()
    name: str = "student"
    found: str = "as given"
    """How the family of marks was found, for people."""

    def __post_init__(self) -> None:
        if not getattr(self.tokenizer, "chat_template", None):
            raise RecipeError(
                f"{self.name}: its tokenizer has no chat template; name a model that has one, or add "
                "chat_template.jinja to its folder"
            )
        if not self.tokenizer.is_fast:
            raise RecipeError(f"{self.name}: its tokenizer gives no offsets (not a fast one), so spans can't be marked")
        self._check_tags()
        self._chat = Chat(self.tokenizer, self.name, self.chat_template_kwargs)
        self.end_id = self._find_end()
        self.tail = self.prompt(PROBE).rpartition(PROBE)[2]
        self._check_tail()

    def prompt(self, user: str) -> str:
        """The text inference would feed for this user turn."""
        messages = [{"role": "user", "content": user}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        return self._chat.render(messages)

    def encode(self, example: Example) -> Encoded:
        """The example's tokens and which of them are trained; nothing is cut and nothing is checked."""
        prompt = self.prompt(example.user)
        spans = self._reply_spans(example)
        prompt_ids = self._ids(prompt)
        ids, places = self._reply_tokens(prompt, prompt_ids, "".join(text for text, _ in spans))
        trained = mask(places, spans)
        end = [] if example.begun else [self.end_id]
        return Encoded(
            input_ids=[*prompt_ids, *ids, *end],
            trained=[False] * len(prompt_ids) + trained + [bool(spans) and spans[-1][1] for _ in end],
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
        end = encoded.input_ids[-1:] if encoded.input_ids[-1] == self.end_id else []
        return Proof(
            part=encoded.part,
            tokens=len(encoded.input_ids),
            trained_tokens=encoded.trained_tokens,
            end=self._text(end),
            opened=opens_block(self._text(encoded.input_ids[: encoded.prompt_tokens]), self.tags),
            reply=self._text(encoded.input_ids[encoded.prompt_tokens : len(encoded.input_ids) - len(end)]),
            segments=segments,
        )

    def faults(self, example: Example, encoded: Encoded) -> list[str]:
        """What is wrong with an encoded example, as sentences; empty when reasoning, closing tag, answer and end token
        are there and under the loss, and the prompt is not. Read from the tokens, not from what the spans ask for.
        """
        prompt_ids, reply_ids = encoded.input_ids[: encoded.prompt_tokens], encoded.input_ids[encoded.prompt_tokens :]
        body = reply_ids if example.begun else reply_ids[:-1]
        prompt, reply = self.prompt(example.user), self._text(body)
        wanted = "".join(text for text, _ in self._reply_spans(example))
        ids, places = self._reply_tokens(prompt, prompt_ids, wanted)
        opened = opens_block(prompt, self.tags)
        found = split(wanted, opened, self.tags)
        bos, tag = self.tokenizer.bos_token_id, re.escape(self.tags.opens)
        checks = [
            (
                _words(example.user) not in _words(prompt),
                "the user's words are not in the prompt as they were: the chat template changes or drops them",
            ),
            (any(encoded.trained[: encoded.prompt_tokens]), "the prompt is under the loss"),
            (not any(encoded.trained), "no token is under the loss"),
            (prompt_ids != self._ids(prompt), "the prompt's tokens are not those that inference would feed"),
            (bos is not None and prompt_ids[:2] == [bos, bos], "the prompt begins with the BOS token twice"),
            (
                re.search(rf"{tag}\s*{tag}", self.tail + wanted) is not None,
                f"the opening tag {self.tags.opens} stands twice",
            ),
            (
                re.search(self.tags.closing, self.tail, re.IGNORECASE) is not None,
                f"{CLOSES} ({self.tags.close}); is thinking switched off in chat_template_kwargs?",
            ),
            (found.block == "none", f"no reasoning tag understood: the reply has no {self.tags.opens} block"),
            (
                found.block == "unclosed" and not example.begun,
                f"the reasoning is never closed: {self.tags.close} is missing from the reply",
            ),
            (found.block == "several", f"the reply has more than one {self.tags.opens} block"),
            (
                _plain(reply) != _plain(wanted),
                "the reasoning is lost: the tokenizer doesn't give the reply back as it was",
            ),
            (not example.begun and encoded.input_ids[-1] != self.end_id, "the reply doesn't end with the end token"),
            (body != ids, "the reply's tokens are not those that its text gives"),
            (not encoded.trained[-1], f"the {'last' if example.begun else 'end'} token is not trained"),
            (self._stops_inside(body), "an end token stands inside the reply"),
        ]
        wrong = [sentence for is_so, sentence in checks if is_so]
        on = under_loss(places, encoded.trained[encoded.prompt_tokens :][: len(body)], len(wanted))
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
            self.tags.identity(),
        ]
        return digest([*parts, self.system, self.chat_template_kwargs, sorted(self.stops), self.end_id])

    def keeps_reasoning(self) -> bool:
        """Whether the template would keep the reasoning of an assistant turn, were it handed one. We don't hand it one;
        other trainers do.
        """
        reply = render(PROBE, "done", tags=self.tags)
        messages = [{"role": "user", "content": "a question"}, {"role": "assistant", "content": reply}]
        try:
            return PROBE in self._chat.render(messages, add_generation_prompt=False)
        except RecipeError:
            return False

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
        """Marks that must be tokens are tokens the student knows, and a student whose template has its own marks is not
        trained in another family's. A family of the recipe's own is taken at its word.
        """
        missing = next((mark for mark in self.tags.tokens if not self._is_token(mark)), None)
        if missing is not None:
            raise RecipeError(
                f'{self.name}: no reasoning tag understood: {missing} is no token of it; set tags = "think"'
            )
        spoken = in_template(template_of(self.tokenizer))
        if spoken is None or self.tags.name == spoken.name or self.tags.name not in FAMILIES:
            return
        if all(self._is_token(mark) for mark in spoken.tokens):
            raise RecipeError(
                f"{self.name}: no reasoning tag understood: its chat template has the marks of another family; "
                f'set tags = "{spoken.name}"'
            )

    def _check_tail(self) -> None:
        """Where the template opens the block, the reply goes on in its spelling; a block that it opens in other marks
        would hold the student's as well.
        """
        at = self.tags.opened_at(self.tail)
        if at is not None:
            self.tags = self.tags.spelled_as_in(self.tail[at:])
            return
        if words := self.tags.begun_in(self.tail):
            raise RecipeError(
                f"{self.name}: its chat template begins every reply with the words of a thought ({words}); expected a "
                f"generation prompt that ends with {self.tags.opens}, or before it"
            )
        begun = begun_with(self.tail, self._added())
        if begun is None or re.search(self.tags.closing, self.tail, re.IGNORECASE):
            return  # where it closes this family's block the proof says so
        if begun.closed:
            raise RecipeError(
                f"{self.name}: {CLOSES} ({begun.mark} ...); is thinking switched off in chat_template_kwargs?"
            )
        raise RecipeError(
            f"{self.name}: no reasoning tag understood: its chat template begins every reply with {begun.mark}, and "
            f"the reply would open a {self.tags.opens} block inside it; set {self._settings_for(begun)}"
        )

    def _settings_for(self, begun: Begun) -> str:
        """The tags to be set for a student whose template begins replies so."""
        if begun.family is not None and all(self._is_token(mark) for mark in begun.family.tokens):
            return f'tags = "{begun.family.name}"'
        opens, closes = (json.dumps(mark, ensure_ascii=False) for mark in (begun.mark, begun.closes))
        closes = closes if begun.closes else "the mark that ends it"
        return f"[models.student.tags] with open = {opens} and close = {closes} (docs/families.md)"

    def _added(self) -> int:
        """How many characters the generation prompt has behind the words with which the template begins a reply that is
        there.
        """
        turns = [{"role": "user", "content": PROBE}, {"role": "assistant", "content": "done"}]
        try:
            whole = self._chat.render(turns, add_generation_prompt=False)
        except RecipeError:
            return 0
        header = "".join(whole.rpartition(PROBE)[2].partition("done")[0].split())
        kept = "".join(self.tail.split())
        same = _shared(header, kept)
        if same == len(kept):
            return 0
        places = [place for place, char in enumerate(self.tail) if not char.isspace()]
        return len(self.tail) - places[same]

    def _is_token(self, mark: str) -> bool:
        return len(self._ids(mark)) == 1

    def _find_end(self) -> int:
        """The token that ends a reply: what the template writes after an assistant turn if generation stops at it, else
        the tokenizer's EOS, at which it always does.
        """
        eos = self.tokenizer.eos_token_id
        messages = [{"role": "user", "content": "a question"}, {"role": "assistant", "content": PROBE}]
        after = self._ids(self._chat.render(messages, add_generation_prompt=False).rpartition(PROBE)[2])
        if after and (after[0] == eos or after[0] in self.stops):
            return after[0]
        if eos is None:
            raise RecipeError(f"{self.name}: its tokenizer names no EOS token, so a reply could never end")
        return int(eos)

    def _reply_spans(self, example: Example) -> Spans:
        """The reply's spans without what the generation prompt has already written of the opening tag."""
        spans = in_marks([(span.text, span.trained) for span in example.spans if span.text], self.tags, example.begun)
        reply = "".join(text for text, _ in spans)
        lead, opens, end = len(reply) - len(reply.lstrip()), self.tags.opens, self.tail.rstrip()
        begun = next((size for size in range(len(opens), 0, -1) if end.endswith(opens[:size])), 0)
        if not begun or not reply[lead:].startswith(opens):
            return spans
        return without_start(spans, lead + _shared(self.tail[len(end) - begun :], reply[lead:]))


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _words(text: str) -> str:
    """Text in which white space doesn't count: templates trim it."""
    return " ".join(text.split())


def _plain(text: str) -> str:
    """Unicode in one form: tokenizers compose characters, which loses nothing."""
    return unicodedata.normalize("NFC", text)
