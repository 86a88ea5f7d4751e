"""The only file that knows the reasoning tags.

It reads a raw reply into reasoning and answer (`split`), writes a trace back as a training reply (`render`), and tells
whether a chat template opens the block itself (`opens_block`). Nothing is guessed: what a reply lacks is None, and the
pieces of a split put together again are the raw text, character for character. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unwaver.records import Block, Prompt, Reply, Request, Trace


@dataclass(frozen=True)
class Tags:
    """The marks round the reasoning in one family of models.

    `open` and `close` bound the block. `render_open`, `render_close` are what a training reply is written with: the
    tags and the line breaks the family puts round them. `bare` opens a reply that has no block, where the family marks
    that.
    """

    open: str
    close: str
    render_open: str
    render_close: str
    bare: str = ""


THINK = Tags("<think>", "</think>", "<think>\n", "\n</think>\n\n")
"""DeepSeek-R1 and its distills, Qwen3, and any model trained by this package."""

HARMONY = Tags(
    "<|channel|>analysis<|message|>",
    "<|end|><|start|>assistant<|channel|>final<|message|>",
    "<|channel|>analysis<|message|>",
    "<|end|><|start|>assistant<|channel|>final<|message|>",
    "<|channel|>final<|message|>",
)
"""gpt-oss: an analysis channel, then a final channel."""


@dataclass(frozen=True)
class Split:
    """A raw reply in pieces; `raw` puts them together again without loss."""

    before: str
    """What stood before the opening tag, or marked the beginning of an answer without a block."""
    opener: str
    """The opening tag, or "" where the template had opened the block or there was none."""
    reasoning: str | None
    """The text of the block as it stood; None: no block."""
    closer: str
    """The closing tag, or ""."""
    answer: str | None
    """Everything after the last closing tag; None: it was never reached."""
    block: Block

    @property
    def raw(self) -> str:
        """The reply it was made from."""
        return self.before + self.opener + (self.reasoning or "") + self.closer + (self.answer or "")


def split(raw: str, opened: bool = False, tags: Tags = THINK) -> Split:
    """Read a raw reply.

    `opened` says that the generation prompt ended with the opening tag, so the reply begins inside the block.
    The answer is what follows the *last* closing tag; a tag inside the reasoning never leaks thought into the answer.
    `block` tells what was found: `closed`; `unclosed` (begun, never ended: answer None); `none` (reasoning None,
    all of it answer); `several` (more than one closing tag, or a second opening tag).
    A closing tag without an opening one is a closed block even when `opened` is False: servers strip the opener.
    """
    close_at = raw.rfind(tags.close)
    if close_at < 0:
        if opened or tags.open in raw:
            return _unclosed(raw, tags, opened)
        answer = raw.removeprefix(tags.bare)
        return Split(raw[: len(raw) - len(answer)], "", None, "", answer, "none")
    head, answer = raw[:close_at], raw[close_at + len(tags.close) :]
    if tags.open in answer:
        # The reply went back to thinking after the block was closed: what follows is thought, not an answer.
        before, opener, body = _peel(raw, tags, opened)
        return Split(before, opener, body, "", None, "several")
    before, opener, reasoning = _peel(head, tags, opened)
    several = tags.close in reasoning or tags.open in reasoning
    return Split(before, opener, reasoning, tags.close, answer, "several" if several else "closed")


def _unclosed(raw: str, tags: Tags, opened: bool) -> Split:
    before, opener, reasoning = _peel(raw, tags, opened)
    return Split(before, opener, reasoning, "", None, "several" if tags.open in reasoning else "unclosed")


def _peel(head: str, tags: Tags, opened: bool) -> tuple[str, str, str]:
    """Take the text before the opening tag and the tag itself off `head`."""
    open_at = head.find(tags.open)
    if open_at < 0 or (opened and head[:open_at].strip()):
        return "", "", head
    return head[:open_at], tags.open, head[open_at + len(tags.open) :]


def trace(prompt: Prompt, request: Request, reply: Reply, model: str, tags: Tags = THINK) -> Trace:
    """The trace in a reply. A failed call gives a trace with its failure and no text."""
    common: dict[str, Any] = {
        "prompt": prompt,
        "model": model,
        "sample": request.sample,
        "ending": reply.ending,
        "tokens_in": reply.tokens_in,
        "tokens_out": reply.tokens_out,
        "tokens_reasoning": reply.tokens_reasoning,
        "sampling": request.sampling.id,
    }
    if reply.failure is not None:
        return Trace(**common, failure=reply.failure)
    text = request.prefill + reply.text
    if reply.reasoning and not reply.text.strip() and tags.close in request.prefill:
        # The prefill closed the block, and a parser that waits for the tag filed all that followed as reasoning.
        text += reply.reasoning
    elif reply.reasoning is not None:
        reasoning, answer = _apart(reply.reasoning.strip(), reply, tags)
        block: Block = "unclosed" if answer is None else "closed"
        return Trace(**common, reasoning=reasoning, answer=answer, block=block)
    found = split(text, reply.opened, tags)
    return Trace(
        **common,
        reasoning=None if found.reasoning is None else found.reasoning.strip(),
        answer=None if found.answer is None else found.answer.strip(),
        block=found.block,
    )


def _apart(reasoning: str, reply: Reply, tags: Tags) -> tuple[str, str | None]:
    """Reasoning and answer where the server took the block out of the text; some leave it or its end there as well."""
    text = reply.text.strip()
    if not text.startswith((tags.open, tags.close)):
        return reasoning, text or (None if reply.ending == "length" else "")  # cut: it was never an answer
    left = split(text, False, tags)
    more = (left.reasoning or "").strip()
    return (
        reasoning if more in reasoning else f"{reasoning}\n\n{more}",
        None if left.answer is None else left.answer.strip(),
    )


def headless(reply: Reply, tags: Tags = THINK) -> bool:
    """Whether a reply closes a block that nothing opened: then its server's template opens it, and nobody said so."""
    told = reply.opened or reply.reasoning is not None
    return not told and tags.close in reply.text and tags.open not in reply.text


def opens_block(generation_prompt: str, tags: Tags = THINK) -> bool:
    """Whether a rendered generation prompt already ends inside the reasoning block."""
    return generation_prompt.rstrip().endswith(tags.open)


def render(reasoning: str | None, answer: str, opened: bool = False, tags: Tags = THINK) -> str:
    """The reply to train on, without the end token.

    `reasoning` "" gives an empty block; None gives no block at all. When the generation prompt has `opened` the block,
    its tag is left out here, or it would stand twice.
    """
    if reasoning is None:
        if opened:
            raise ValueError("the generation prompt opens a reasoning block, so a reply without one can't be rendered")
        return answer
    body = f"{tags.render_open}{reasoning}{tags.render_close}{answer}"
    return body[len(tags.open) :] if opened else body


FAMILIES = {"think": THINK, "harmony": HARMONY}
"""The tags by the name a recipe gives them."""
