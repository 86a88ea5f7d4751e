"""What a local model holds of replies at one layer: a state for each, the mean over the reply's tokens.

Reads traces, whoever wrote them, as replies to their prompts in the model's own template and marks; gives an array of a
row each. Only the first `LONGEST` tokens of a reply are looked at. Needs the extra `train`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unwaver.errors import RecipeError
from unwaver.models.loading import load_weights
from unwaver.models.local import best_dtype
from unwaver.models.prompter import Prompter
from unwaver.models.steering import States, layers, watched
from unwaver.models.weights import locate
from unwaver.progress import bar, say
from unwaver.reasoning import render
from unwaver.recipe import ModelSettings
from unwaver.records import Message, Request, Trace

LONGEST = 2048


def states(settings: ModelSettings, traces: Sequence[Trace], layer: int | None) -> tuple[States, int]:
    """(a row for each trace, the layer); None: the middle one. RecipeError where the model has no such layer."""
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
    with torch.inference_mode(), watched(model, at) as seen, bar("states of replies", len(traces)) as progress:
        for trace in traces:
            prompt, reply = _tokens(prompter, trace)
            model(input_ids=torch.tensor([prompt + reply], device=model.device), use_cache=False)
            rows.append(seen.pop()[0, len(prompt) :].float().mean(0).cpu().numpy())
            progress.advance()
    return np.stack(rows), at


def _tokens(prompter: Prompter, trace: Trace) -> tuple[list[int], list[int]]:
    """Token ids of the prompt and of the reply."""
    prompt = trace.prompt
    request = Request(messages=(*prompt.turns, Message(role="user", content=prompt.text)))
    ids, opened = prompter.render(request)
    text = trace.answer or ""
    if trace.reasoning is not None:
        text = render(trace.reasoning, text, opened, prompter.family)
    reply = list(prompter.tokenizer(text, add_special_tokens=False)["input_ids"])
    return ids, reply[:LONGEST]
