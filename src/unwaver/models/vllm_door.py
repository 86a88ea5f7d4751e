"""Models on this machine through vLLM, which batches by itself.

Its engine is driven a step at a time, so that a reply is handed over when it ends and not with the last of its batch,
and so that replies which nobody waits for any more are given up at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from unwaver.errors import RunError
from unwaver.models.loading import check_files, load_config
from unwaver.models.prompter import Prompter
from unwaver.models.weights import locate
from unwaver.progress import say
from unwaver.recipe import ModelSettings
from unwaver.records import Reply, Request

TELL_EVERY = 60.0
"""Seconds without a reply after which it is said how many are under way."""


class Vllm:
    """One engine, which has the GPU for itself until it is closed."""

    def __init__(self, settings: ModelSettings) -> None:
        import vllm

        path = locate(settings.target)
        say(f"{settings.label}: loading the weights")
        self._label = settings.label
        self._prompter = Prompter(settings, path)
        config = load_config(settings.name, path, settings.revision)
        if Path(path).is_dir() and not settings.load.keys() & {"load_format", "hf_overrides"}:
            check_files(settings.name, Path(path), config)
        self._engine: Any = vllm.LLM(model=path, revision=settings.revision, **{"seed": 0, **settings.load}).llm_engine
        self._names = count()

    def close(self) -> None:
        """End the engine's own process, which holds the GPU; to drop the object is not enough."""
        self._engine.engine_core.shutdown()
        self._engine = None

    def generate(
        self, requests: Sequence[Request], wanted: Callable[[], bool], ended: Callable[[int, Reply], None]
    ) -> None:
        """Tell `ended` the place and the reply of each request the moment it is there; RunError, and none of them goes
        on, as soon as they are not wanted any more.
        """
        rendered = [self._prompter.render(request) for request in requests]
        places: dict[str, int] = {}
        told = time.monotonic()
        try:
            for at, request in enumerate(requests):
                name = str(next(self._names))
                places[name] = at
                self._engine.add_request(name, {"prompt_token_ids": rendered[at][0]}, self._asked(request))
            while places:
                if not wanted():
                    raise RunError(f"{self._label}: nobody waits for these replies any more")
                for output in self._engine.step():
                    if output.finished:
                        at = places.pop(output.request_id)
                        ended(at, self._read(requests[at], *rendered[at], output.outputs[0]))
                        told = time.monotonic()
                if time.monotonic() - told >= TELL_EVERY:
                    told = time.monotonic()
                    say(f"{self._label}: {len(places)} of a batch of {len(requests)} replies go on")
        finally:
            if places:
                self._engine.abort_request(list(places))

    def _asked(self, request: Request) -> Any:
        import vllm
        from vllm.sampling_params import RequestOutputKind

        sampling = request.sampling
        return vllm.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=None if sampling.seed is None else sampling.seed + request.sample,
            detokenize=False,  # the tokens are read here, as those of `hf:` are
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _read(self, request: Request, prompt_ids: list[int], opened: bool, best: Any) -> Reply:
        stopped = best.finish_reason == "stop"
        ids = list(best.token_ids)
        # `stop_reason` is the token that ended the reply where it is another than the tokenizer's own.
        if stopped and ids and ids[-1] in (self._prompter.tokenizer.eos_token_id, best.stop_reason):
            ids.pop()
        return self._prompter.read(request, ids, len(prompt_ids), opened, stopped)
