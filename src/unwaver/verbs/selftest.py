"""`unwaver doctor --gpu`: whether the paths for GPUs work on these, tried on tiny random models in two minutes.

On a machine without one it does what it can on the processor and says so. Whatever fails is a line of the table, with
the library's own words, and the exit code is then 3. Nothing is fetched and nothing is kept.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unwaver.progress import say

if TYPE_CHECKING:
    from unwaver.verbs.doctor import Finding

LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "deepspeed", "bitsandbytes", "vllm", "flash-attn")

LARGEST_GAP = {"float32": 1e-3, "bfloat16": 0.5, "float16": 0.1}
"""How far log probabilities may be from those the processor computes in float32: rounding, generously."""

LOSS_GAP = 1e-3
"""How far the losses of two processes may be from those of one, in float32."""

ABOVE_ESTIMATE = 1.25

TOKENS = 16

MARKS = {"eos_token": "</s>", "pad_token": "<pad>"}

TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def findings() -> Iterator[Finding]:
    """Every check, in the order it is shown, done as it is asked for."""
    import torch

    from unwaver.models.loading import without_bars

    without_bars()
    gpus = torch.cuda.device_count()
    yield "versions", True, ", ".join(_versions()), ""
    told = f"CUDA {torch.version.cuda}, {gpus} seen" if gpus else "none seen; what follows ran on the processor"
    yield "GPU", gpus > 0, told, "a machine with an NVIDIA GPU and a CUDA build of torch"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        student = _student(folder / "student")
        for dtype in LARGEST_GAP:
            yield _tried(f"forward in {dtype}", partial(_forward, student, dtype))
        if gpus != 1:
            yield _tried("two processes", lambda: _two_processes(folder, student))
        else:
            yield "two processes", None, "not tried: they need two GPUs, and there is one", ""
        yield _tried("peak memory", lambda: _memory(folder))
        if importlib.util.find_spec("vllm") is None:
            yield "vLLM against transformers", None, "not tried: vLLM is not installed", ""
        else:
            yield _tried("vLLM against transformers", lambda: _vllm(student))


def _tried(what: str, check: Callable[[], tuple[bool, str]]) -> Finding:
    say(f"doctor: {what} ...")
    try:
        good, told = check()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a table of what fails is the purpose
        good, told = False, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return what, good, told, ""


def _versions() -> Iterator[str]:
    for name in LIBRARIES:
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            for other in metadata.packages_distributions().get(name, [])[:1]:
                yield f"{other} {metadata.version(other)}"


def _student(folder: Path, hidden: int = 128, layers: int = 2) -> Path:
    """A random Llama over bytes, with heads as wide as GPU kernels want them."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator([], trainers.BpeTrainer(vocab_size=256, initial_alphabet=alphabet, show_progress=False))
    fast: Any = PreTrainedTokenizerFast
    words = fast(tokenizer_object=made, **MARKS, chat_template=TEMPLATE)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        max_position_embeddings=2048,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def _forward(student: Path, dtype: str) -> tuple[bool, str]:
    """One forward pass on every GPU, or on the processor, against the processor in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    ids = torch.arange(TOKENS * 4)[None] % 250
    places = [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]
    gaps = {}
    with torch.inference_mode():
        exact = AutoModelForCausalLM.from_pretrained(student, dtype=torch.float32)(ids).logits.log_softmax(-1)
        for place in places:
            model: Any = AutoModelForCausalLM.from_pretrained(student, dtype=getattr(torch, dtype))
            model = model.to(place)
            found = model(ids.to(place)).logits.float().cpu().log_softmax(-1)
            gaps[place] = float((found - exact).abs().max())
    told = ", ".join(f"{place}: {gap:.2g}" for place, gap in gaps.items())
    return max(gaps.values()) <= LARGEST_GAP[dtype], f"largest difference to the processor's float32, in nats: {told}"


def _train(root: Path, student: Path, examples: int = 24, **settings: Any) -> tuple[dict[str, Any], list[float]]:
    """Manifest and losses of a short training through the real stage."""
    from unwaver import recipe_file
    from unwaver.records import Example, Span
    from unwaver.stages import train
    from unwaver.stages.calls import Workplace
    from unwaver.store import Step

    tree = {
        "name": "selftest",
        "models": {"student": f"hf:{student}"},
        "prompts": {"benign": {"source": "corpus/plain"}},
        "mix": {"parts": {"benign": "all"}},
        "train": {
            **{"global_batch": 8, "micro_batch": 4, "learning_rate": 1e-3, "max_tokens": 512, "heldout": 0.0},
            **{"perplexity": False, "dtype": "float32", "gradient_checkpointing": False, **settings},
        },
    }
    recipe = recipe_file.build(tree, Path("selftest.toml"), None)
    text = "<think>\nIt is harmless. " + "I will answer it now. " * 8 + "\n</think>\n\nHere is the answer."
    mix = Step("mix", "selftest", {})
    folder = mix.directory(root)
    folder.mkdir(parents=True, exist_ok=True)
    made = [
        Example(
            prompt=str(number),
            trace=None,
            user=f"About {number:03}?",
            spans=(Span(text=text, trained=True),),
            part="benign",
            kind="benign",
        )
        for number in range(examples)
    ]
    (folder / "examples.jsonl").write_text("".join(one.model_dump_json() + "\n" for one in made), encoding="utf-8")
    step = Step("train", "selftest", {"train": recipe.train.model_dump(mode="json")}, {"mix": mix})
    manifest = train.run(step, recipe, Workplace(root))
    log = (step.directory(root) / "loss.jsonl").read_text(encoding="utf-8").splitlines()
    return manifest, [row["loss"] for row in map(json.loads, log) if "loss" in row]


def _two_processes(folder: Path, student: Path) -> tuple[bool, str]:
    _, one = _train(folder / "one", student)
    manifest, two = _train(folder / "two", student, launch="torchrun", processes=2)
    gap = max(abs(a - b) for a, b in zip(one, two, strict=True))
    how = f"{manifest['processes']} processes on {manifest['device'].partition(':')[0]}"
    return gap <= LOSS_GAP, f"{len(two)} steps in {how}; losses are at most {gap:.1g} from one process's"


def _memory(folder: Path) -> tuple[bool, str]:
    """The peak of a training step against the estimate that `check` prints."""
    import torch

    from unwaver.recipe import TrainSettings
    from unwaver.training.memory import Shape, estimate

    gpu = torch.cuda.is_available()
    student = _student(folder / "larger", *((1024, 8) if gpu else (256, 4)))
    shape = Shape.of(json.loads((student / "config.json").read_text(encoding="utf-8")))
    peak = _gpu_peak if gpu else _processor_peak
    manifest, measured = peak(lambda: _train(folder / "memory", student)[0])
    length = manifest["tokens"] // manifest["counts"]["trained"]
    settings = TrainSettings(dtype="float32", gradient_checkpointing=False)
    expected = estimate(shape, settings, [length] * 4, on_cpu=not gpu).total
    told = f"{measured / 2**20:,.0f} MiB at most, estimated {expected / 2**20:,.0f} MiB: {measured / expected:.2f}"
    return measured <= ABOVE_ESTIMATE * expected, told


def _gpu_peak(work: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], float]:
    import torch

    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    manifest = work()
    return manifest, torch.cuda.max_memory_allocated() - before


def _processor_peak(work: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], float]:
    """Of tensors that live at once, as PyTorch's profiler counts them."""
    import gc
    from itertools import accumulate

    import torch

    gc.collect()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as found:
        manifest = work()
    profiler: Any = found.profiler
    changes = [event for event in profiler.kineto_results.events() if event.name() == "[memory]"]
    live = accumulate(event.nbytes() for event in sorted(changes, key=lambda event: event.start_ns()))
    return manifest, max(live)


def _vllm(student: Path) -> tuple[bool, str]:
    """Greedy replies of the two doors to the same requests."""
    from unwaver.recipe import ModelSettings

    load = {"dtype": "float32", "max_model_len": 256, "enforce_eager": True}
    by_hf = _replies(ModelSettings(name=f"hf:{student}", load={"dtype": "float32"}))
    by_vllm = _replies(ModelSettings(name=f"vllm:{student}", load=load))
    same = sum(a == b for a, b in zip(by_hf, by_vllm, strict=True))
    return same == len(by_hf), f"{same} of {len(by_hf)} greedy replies of {TOKENS} tokens are the same"


def _replies(settings: Any) -> list[tuple[str, str]]:
    import asyncio

    from unwaver.models import open_model
    from unwaver.records import Message, Request, Sampling

    sampling = Sampling(temperature=0.0, max_tokens=TOKENS)
    asked = [
        Request(messages=(Message(role="user", content=text),), sampling=sampling)
        for text in ("One?", "Two!", "Three.")
    ]

    async def inside() -> list[tuple[str, str]]:
        model = open_model(settings)
        try:
            replies = await asyncio.gather(*(model.reply(one) for one in asked))
        finally:
            await model.close()
        return [(reply.text, reply.ending) for reply in replies]

    return asyncio.run(inside())
