"""Requests as a local model's tokens, and its tokens as replies, whatever generates them."""

from __future__ import annotations

from unwaver.errors import RecipeError
from unwaver.models.chat import PROBE, Chat, family_for, template_of
from unwaver.models.loading import load_tokenizer
from unwaver.reasoning import named, opens_block, split
from unwaver.reasoning.prompts import begun_with
from unwaver.recipe import ModelSettings
from unwaver.records import Reply, Request


class Prompter:
    """Turns requests into token ids with the model's own template, and token ids into replies."""

    def __init__(self, settings: ModelSettings, path: str) -> None:
        self.settings = settings
        self.tokenizer = load_tokenizer(settings.name, path, settings.revision)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.family, _ = family_for(settings, self.tokenizer)
        self.chat = None
        if template_of(self.tokenizer):
            self.chat = Chat(self.tokenizer, settings.name, settings.extra_body.get("chat_template_kwargs"))
        written = self.family.open + self.family.render_close + self.family.render_end
        special = set(self.tokenizer.all_special_ids)
        self.drops_special = special.isdisjoint(self.tokenizer(written, add_special_tokens=False)["input_ids"])
        """Whether special tokens are left out of replies: not where they are the marks of the reasoning."""
        self._tails: dict[tuple[str, ...], str] = {}
        """By the roles of a conversation's turns, what the template adds behind the last."""

    def render(self, request: Request) -> tuple[list[int], bool]:
        """(prompt token ids, whether they end inside the reasoning block)."""
        if request.rendered is not None:
            return list(self.tokenizer(request.rendered + request.prefill)["input_ids"]), False
        if self.chat is None:
            raise RecipeError(
                f"{self.settings.name}: its tokenizer has no chat template, so a conversation can't be rendered"
            )
        messages = [m.model_dump() for m in request.messages]
        if self.settings.system is not None and messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": self.settings.system})
        text = self.chat.render(messages)
        begun = begun_with(self._behind(text, self.chat, messages))
        opened = opens_block(text, self.family) or (begun is not None and not begun.closed)
        if opened and request.prefill.startswith(self.family.opens):
            # The tag and the line break after it are the prefill's, or they would stand twice.
            text = text[: self.family.opened_at(text)]
        return list(self.tokenizer(text + request.prefill, add_special_tokens=False)["input_ids"]), opened

    def _behind(self, text: str, chat: Chat, messages: list[dict[str, str]]) -> str:
        """What a rendered prompt has behind the user's words, in which marks mean nothing.

        The words themselves may stand in it, so words of nobody's are looked behind; where what they say changes what
        the template adds (`/no_think`), what stands behind the last of them is taken.
        """
        words = messages[-1]["content"].strip()
        turns = tuple(message["role"] for message in messages)
        if turns not in self._tails:
            asked = [*messages[:-1], {**messages[-1], "content": PROBE}]
            self._tails[turns] = chat.render(asked).rpartition(PROBE)[2]
        behind = self._tails[turns]
        return behind if text.endswith(behind) or not words else text.rpartition(words)[2]

    def read(self, request: Request, ids: list[int], n_in: int, opened: bool, stopped: bool) -> Reply:
        """The reply in generated token ids, the end token taken off."""
        text = str(self.tokenizer.decode(ids, skip_special_tokens=self.drops_special))
        found = split(request.prefill + text, opened, named(self.settings.tags))
        inside = None
        if found.reasoning is not None:
            begin = len(found.before) + len(found.opener)
            written = (request.prefill + text)[max(begin, len(request.prefill)) : begin + len(found.reasoning)]
            inside = len(self.tokenizer(written, add_special_tokens=False)["input_ids"])
        return Reply(
            text=text,
            ending="stop" if stopped else "length",
            opened=opened,
            tokens_in=n_in,
            tokens_out=len(ids) + stopped,
            tokens_reasoning=inside,
        )
