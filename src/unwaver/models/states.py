"""What a local model holds at one layer: of replies the mean state over their tokens, of prompts the state from which
it writes the first token of its reply.

Reads traces, whoever wrote them, as replies to their prompts in the model's own template and marks; gives an array of a
row each. Of a reply only the first `LONGEST` tokens are looked at. Needs the extra `train`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from unwaver.errors import RecipeError
from unwaver.models.loading import check_tokens, load_weights
from unwaver.models.local import best_dtype
from unwaver.models.prompter import Prompter
from unwaver.models.steering import States, layers, watched
from unwaver.models.weights import locate
from unwaver.progress import bar, say
from unwaver.reasoning import render
from unwaver.recipe import ModelSettings
from unwaver.records import Message, Prompt, Request, Trace

T = TypeVar("T")

LONGEST = 2048


def states(settings: ModelSettings, traces: Sequence[Trace], layer: int | None) -> tuple[States, int]:
    """(a row for each trace, the layer); None: the middle one. RecipeError where the model has no such layer."""

    def reply(prompter: Prompter, trace: Trace) -> tuple[list[int], int]:
        prompt, said = _tokens(prompter, trace)
        return prompt + said, len(prompt)

    return _states(settings, traces, reply, layer, "states of replies")


def first_states(settings: ModelSettings, prompts: Sequence[Prompt], layer: int | None) -> tuple[States, int]:
    """The same with a row for each prompt: the state at the last token before the reply."""

    def before(prompter: Prompter, prompt: Prompt) -> tuple[list[int], int]:
        ids, _ = prompter.render(_request(prompt))
        return ids, len(ids) - 1

    return _states(settings, prompts, before, layer, "states of prompts")


def _states(
    settings: ModelSettings,
    items: Sequence[T],
    tokens: Callable[[Prompter, T], tuple[list[int], int]],
    layer: int | None,
    what: str,
) -> tuple[States, int]:
    """Of each item the mean state from a place on; `tokens`: its ids, and that place."""
    import torch

    path = locate(settings.target)
    say(f"{settings.label}: loading the weights")
    prompter = Prompter(settings, path)
    load: dict[str, Any] = {"dtype": best_dtype(), **settings.load}
    if torch.cuda.is_available():
        load.setdefault("device_map", "auto")
    model = load_weights(settings.name, path, settings.revision, **load)
    model.train(False)
    count = len(layers(model))
    at = count // 2 if layer is None else layer
    if not 0 <= at < count:
        raise RecipeError(f"{settings.name}: expected a layer from 0 to {count - 1}, got {at}")
    rows = []
    with torch.inference_mode(), watched(model, at) as seen, bar(what, len(items)) as progress:
        for item in items:
            ids, start = tokens(prompter, item)
            check_tokens(settings.name, model, ids)
            model(input_ids=torch.tensor([ids], device=model.device), use_cache=False)
            rows.append(seen.pop()[0, start:].float().mean(0).cpu().numpy())
            progress.advance()
    if not np.isfinite(rows).all():
        raise RecipeError(f"{settings.name}: its states are no numbers (NaN); a number in its config.json is wrong")
    return np.stack(rows), at


def _request(prompt: Prompt) -> Request:
    return Request(messages=(*prompt.turns, Message(role="user", content=prompt.text)))


def _tokens(prompter: Prompter, trace: Trace) -> tuple[list[int], list[int]]:
    """Token ids of the prompt and of the reply."""
    ids, opened = prompter.render(_request(trace.prompt))
    text = trace.answer or ""
    if trace.reasoning is not None:
        text = render(trace.reasoning, text, opened, prompter.family)
    reply = list(prompter.tokenizer(text, add_special_tokens=False)["input_ids"])
    return ids, reply[:LONGEST]
