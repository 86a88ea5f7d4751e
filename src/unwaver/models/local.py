"""Models on this machine: transformers anywhere, vLLM on a GPU.

Requests are gathered for a moment, sorted by length and generated in batches in a thread, so that the engine can treat
a local model like any other. Endings and token counts are true ones. A sampled reply depends on its own seed and not on
its neighbours in the batch: noise of the Gumbel kind, drawn for each row from the row's own generator, makes the
greedy choice of a sampled token.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from unwaver.errors import RecipeError, RunError, pip_install
from unwaver.models.loading import check_tokens, load_stops, load_weights, loading
from unwaver.models.prompter import Prompter
from unwaver.models.steering import steer
from unwaver.models.vllm_door import TELL_EVERY, Vllm
from unwaver.models.weights import locate
from unwaver.progress import say
from unwaver.recipe import ModelSettings
from unwaver.records import Reply, Request

GATHER_SECONDS = 0.02

CHARACTERS, REPLY = 4, 128
"""Roughly: characters of a token, tokens of a reply."""

PER_STEP = {"cpu": 60, "gpu": 400}
"""Prompt tokens that can be read in the time it takes to fetch the weights once, as each token of a batch needs."""


class LocalModel:
    """One set of weights in this process, loaded when it is first asked."""

    def __init__(self, settings: ModelSettings) -> None:
        self.label = settings.label
        self._settings = settings
        self._waiting: list[tuple[Request, asyncio.Future[Reply]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._backend: _Transformers | Vllm | None = None

    async def close(self) -> None:
        """Let go of the weights, and of the GPU memory they lie in."""
        if self._backend is None:
            return
        import torch

        self._backend.close()
        self._backend = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    async def reply(self, request: Request) -> Reply:
        """One reply, generated together with others that wait."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            full = self._settings.door == "hf" and len(self._waiting) >= self._settings.batch_size
            await asyncio.sleep(0 if full else GATHER_SECONDS)
            batch = self._waiting
            try:
                if self._backend is None:
                    self._backend = await asyncio.to_thread(_load, self._settings)
                batch = self._take()
                if not batch:
                    continue
                asked, futures = zip(*batch, strict=True)
                wanted = partial(_wanted, futures)
                ended = partial(_hand_over, asyncio.get_running_loop(), futures)
                await asyncio.to_thread(self._backend.generate, list(asked), wanted, ended)
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
                if self._backend is None:
                    self._waiting = []
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)

    def _take(self) -> list[tuple[Request, asyncio.Future[Reply]]]:
        """The next batch: alike in sampling, near in length; longest first, so that a lack of memory shows at once."""
        assert self._backend is not None
        self._waiting = [item for item in self._waiting if not item[1].done()]
        if not self._waiting:
            return []
        if isinstance(self._backend, Vllm):  # whatever waits, each with its own sampling
            taken, self._waiting = self._waiting, []
            return taken
        first = _drawn(self._waiting[0][0])
        alike = [item for item in self._waiting if _drawn(item[0]) == first]
        alike.sort(key=lambda item: len(_text(item[0])), reverse=True)
        batch = alike[: self._settings.batch_size]
        another = PER_STEP[self._backend.device] * min(batch[0][0].sampling.max_tokens, REPLY)
        batch = batch[: _together([len(_text(request)) / CHARACTERS for request, _ in batch], another)]
        chosen = {id(item) for item in batch}
        self._waiting = [item for item in self._waiting if id(item) not in chosen]
        return batch


def _together(lengths: Sequence[float], another: float) -> int:
    """How many of the longest prompts make a batch; the rest follow where padding them costs more than another batch.

    `lengths` in tokens, the longest first; `another`: what one more batch costs, in tokens.
    """
    count = len(lengths)
    while count:
        at = max(range(count), key=lambda at: (count - at) * (lengths[0] - lengths[at]))
        if (count - at) * (lengths[0] - lengths[at]) <= another:
            break
        count = at
    return count


def _hand_over(
    loop: asyncio.AbstractEventLoop, futures: Sequence[asyncio.Future[Reply]], at: int, reply: Reply
) -> None:
    """From the thread that generates to whoever waits for the reply."""

    def settle() -> None:
        if not futures[at].done():
            futures[at].set_result(reply)

    loop.call_soon_threadsafe(settle)


def _wanted(futures: Sequence[asyncio.Future[Reply]]) -> bool:
    """Whether anybody still waits for a batch: after Ctrl-C nobody does, and a thread can only end by itself."""
    return not all(future.done() for future in futures)


def _drawn(request: Request) -> tuple[float, float, int]:
    """What a batch must share; seeds may differ."""
    return request.sampling.temperature, request.sampling.top_p, request.sampling.max_tokens


def _text(request: Request) -> str:
    return request.rendered if request.rendered is not None else "".join(m.content for m in request.messages)


def _load(settings: ModelSettings) -> _Transformers | Vllm:
    try:
        with loading(settings.name):
            return Vllm(settings) if settings.door == "vllm" else _Transformers(settings)
    except ImportError as error:
        extra = "vllm" if settings.door == "vllm" else "train"
        raise RecipeError(f"{settings.name}: {error}; install it with: {pip_install(extra)}") from None


class _Transformers:
    """Batches through `generate`."""

    def __init__(self, settings: ModelSettings) -> None:
        import torch
        from transformers import GenerationConfig

        path = locate(settings.target)
        say(f"{settings.label}: loading the weights")
        self._prompter = Prompter(settings, path)
        stops = load_stops(settings.name, path, settings.revision)  # the library passes over a file that it can't read
        load: dict[str, Any] = {"dtype": best_dtype(), **settings.load}
        self.device = "gpu" if torch.cuda.is_available() else "cpu"
        if self.device == "gpu":
            load.setdefault("device_map", "auto")
        self._model: Any = load_weights(settings.name, path, settings.revision, **load)
        self._model.train(False)
        if settings.steering is not None:
            steer(self._model, settings.steering)
        ends = self._model.generation_config.eos_token_id
        named = ends if isinstance(ends, list) else [ends]
        self._ends = {*stops, *named, self._prompter.tokenizer.eos_token_id} - {None}
        # A model's own file may ask for a repetition penalty, a least length, barred words ...: greedy would not be
        # greedy, and `generate` takes from that file whatever it is not told. Only where a reply ends is the model's.
        neutral: Any = GenerationConfig
        self._model.generation_config = neutral(
            do_sample=False, eos_token_id=sorted(self._ends), pad_token_id=self._prompter.tokenizer.pad_token_id
        )

    def close(self) -> None:
        """Let go of the weights."""
        self._model = None

    def generate(
        self, requests: Sequence[Request], wanted: Callable[[], bool], ended: Callable[[int, Reply], None]
    ) -> None:
        """Tell `ended` the place and the reply of each request, which share their sampling but for the seed; RunError
        as soon as they are not wanted any more.
        """
        import torch
        from transformers import LogitsProcessorList, StoppingCriteriaList

        rendered = [self._prompter.render(request) for request in requests]
        check_tokens(self._prompter.settings.name, self._model, (id_ for ids, _ in rendered for id_ in ids))
        longest = max(len(ids) for ids, _ in rendered)
        pad = self._prompter.tokenizer.pad_token_id
        device = self._model.device
        ids = torch.tensor([[pad] * (longest - len(row)) + row for row, _ in rendered], device=device)
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row, _ in rendered], device=device)
        sampling = requests[0].sampling
        seeds = [(r.sampling.seed or 0) + r.sample for r in requests]
        noise = [_SeededNoise(seeds, sampling, device)] if sampling.temperature > 0 else []
        written: list[list[int]] = [[] for _ in requests]
        ends = torch.tensor(sorted(self._ends), device=device)
        rows, cache = list(range(len(requests))), None
        spoken = time.monotonic()

        def tell(width: int, open_rows: int) -> None:
            nonlocal spoken
            if not wanted():
                raise RunError(f"{self._prompter.settings.label}: nobody waits for these replies any more")
            if time.monotonic() - spoken >= TELL_EVERY:
                spoken = time.monotonic()
                say(
                    f"{self._prompter.settings.label}: {open_rows} of a batch of {len(requests)} replies go on after "
                    f"{width - longest} of at most {sampling.max_tokens} tokens"
                )

        with torch.inference_mode():
            # A row that has ended is computed on until its batch ends; so the batch ends when half of it has, and the
            # other half goes on from its cache.
            while rows:
                begun = ids.shape[1]
                out = self._model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    past_key_values=cache,
                    max_new_tokens=sampling.max_tokens - (begun - longest),
                    logits_processor=LogitsProcessorList([_Numbers(self._prompter.settings.name), *noise]),
                    stopping_criteria=StoppingCriteriaList([_HalfEnded(begun, ends, tell)]),
                    return_dict_in_generate=True,
                )
                for which, tokens in zip(rows, out.sequences[:, begun:].tolist(), strict=True):
                    written[which] += tokens
                spent = out.sequences.shape[1] - longest >= sampling.max_tokens
                left = [] if spent else [at for at, which in enumerate(rows) if self._ends.isdisjoint(written[which])]
                rows = [rows[at] for at in left]
                if rows:
                    ids, cache = out.sequences[left], out.get("past_key_values")
                    mask = torch.cat([mask[left], mask.new_ones(len(left), ids.shape[1] - begun)], dim=1)
                    if cache is not None:  # a model that keeps its state elsewhere reads the text again
                        cache.batch_select_indices(torch.tensor(left, device=device))
                    for one in noise:
                        one.keep(left)
        for place, (request, (prompt_ids, opened), row) in enumerate(zip(requests, rendered, written, strict=True)):
            end = next((at for at, token in enumerate(row) if token in self._ends), None)
            kept = row if end is None else row[:end]
            ended(place, self._prompter.read(request, kept, len(prompt_ids), opened, end is not None))


class _HalfEnded:
    """Ends a batch half of whose rows hold one of `ends`, token ids, beyond the column `begun`.

    `tell` hears after every token how many columns there are and how many rows go on.
    """

    def __init__(self, begun: int, ends: Any, tell: Callable[[int, int], None]) -> None:
        self._begun, self._ends, self._tell = begun, ends, tell

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        import torch

        ended = torch.isin(input_ids[:, self._begun :], self._ends).any(dim=1)
        done = int(ended.sum())
        self._tell(input_ids.shape[1], len(ended) - done)
        return torch.full_like(ended, 2 * done >= len(ended))


class _Numbers:
    """RecipeError where a model's scores are none: the arg max of what is no number is always the same token."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        if scores.amax().isnan():
            raise RecipeError(
                f"{self._name}: its scores are no numbers (NaN): a number in its config.json is wrong, or its type "
                'is too narrow; try load.dtype = "float32"'
            )
        return scores


class _SeededNoise:
    """Temperature, top-p and Gumbel noise, so that the arg max is a sample; each row has a generator of its own."""

    def __init__(self, seeds: list[int], sampling: Any, device: Any) -> None:
        import torch
        from transformers import TemperatureLogitsWarper, TopPLogitsWarper

        self._warpers: list[Any] = [TemperatureLogitsWarper(float(sampling.temperature))]
        if sampling.top_p < 1:
            self._warpers.append(TopPLogitsWarper(sampling.top_p))
        self._generators = [torch.Generator(device=device).manual_seed(seed) for seed in seeds]

    def keep(self, rows: list[int]) -> None:
        """Of these rows alone, from now on."""
        self._generators = [self._generators[row] for row in rows]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        scores = scores.float()
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        noise = [
            torch.empty_like(row).exponential_(generator=g) for row, g in zip(scores, self._generators, strict=True)
        ]
        return scores - torch.stack(noise).log()


def best_dtype() -> Any:
    """bfloat16 where the GPU or the processor multiplies it natively, else float32."""
    import torch

    if torch.cuda.is_available():
        return torch.bfloat16
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32
