"""Small tokenizers of every family, a tiny model and a recipe for them: what the tests of training start from."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

from unwaver import recipe_file
from unwaver.reasoning import HARMONY, THINK, Family, render
from unwaver.recipe import Recipe
from unwaver.records import Example, Span
from unwaver.store import Step

TEMPLATES = Path(__file__).parent / "templates"

FAMILIES: dict[str, dict[str, Any]] = {
    "r1_distill": {"bos": "<|begin|>", "eos": "<|end_of_sentence|>", "marks": ["<|user|>", "<|assistant|>"]},
    "qwen3": {"bos": None, "eos": "<|im_end|>", "marks": ["<|im_start|>", "<think>", "</think>"]},
    "harmony": {
        "bos": None,
        "eos": "<|return|>",
        "marks": ["<|start|>", "<|message|>", "<|channel|>", "<|end|>"],
    },
    "smollm2": {"bos": "<|im_start|>", "eos": "<|im_end|>", "marks": []},
    "no_system": {"bos": "<bos>", "eos": "<eos>", "marks": ["<|turn|>", "<|end_turn|>"]},
}

WORDS = [
    "a",
    "the",
    "garden",
    "river",
    "quiet",
    "stone",
    "teapot",
    "window",
    "letter",
    "music",
    "kettle",
    "paper",
    "yellow",
    "seven",
    "careful",
    "slowly",
]

CORPUS = [
    "The request is harmless, so I will answer it.\n\nHere is the answer.",
    "Please tell me about the quiet garden by the river.",
    "system\nuser\nassistant\n<think>\nLet me think.\n</think>\n\nSorry, no.",
    " ".join(WORDS),
    "one\n\n\ntwo",
    "careful </think>",
] * 4


@cache
def _backend(marks: tuple[str, ...], lowercase: bool, trim_offsets: bool) -> str:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=list(marks),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return str(tokenizer.to_str())


def make_tokenizer(
    family: str, template: str | None = None, lowercase: bool = False, trim_offsets: bool = False
) -> Any:
    """A byte-level tokenizer of about 500 tokens with the family's marks and, unless another is given, its template."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    about = FAMILIES[family]
    marks = tuple(dict.fromkeys(mark for mark in ["<pad>", about["bos"], about["eos"], *about["marks"]] if mark))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_backend(marks, lowercase, trim_offsets)),
        bos_token=about["bos"],
        eos_token=about["eos"],
        pad_token="<pad>",
    )
    if template is None:
        template = (TEMPLATES / f"{family}.jinja").read_text(encoding="utf-8")
    tokenizer.chat_template = template or None
    return tokenizer


def tags_of(family: str) -> Family:
    """How the family marks its reasoning."""
    return HARMONY if family == "harmony" else THINK


def example(
    reasoning: str | None = "The request is harmless, so I will answer it.",
    answer: str = "Here is the answer.",
    user: str = "Please tell me about the garden.",
    tags: Family = THINK,
    part: str = "safety",
    spans: tuple[Span, ...] | None = None,
) -> Example:
    """An example whose whole reply is trained, unless its spans say otherwise."""
    whole = (Span(text=render(reasoning, answer, tags=tags), trained=True),)
    kind = "harmful" if part == "safety" else "benign"
    return Example(prompt="p1", trace=None, user=user, spans=spans or whole, part=part, kind=kind)


def many_examples(count: int, seed: int = 0) -> list[Example]:
    """Examples of two parts and mixed lengths; the safety part's are the shorter ones."""
    generator = random.Random(seed)

    def some(low: int, high: int) -> str:
        return " ".join(generator.choices(WORDS, k=generator.randint(low, high)))

    made = []
    for index in range(count):
        part = "benign" if index % 3 == 0 else "safety"
        longest = 30 if part == "benign" else 10
        made.append(
            example(some(3, longest), some(2, longest), user=f"About {some(2, 12)}?", part=part).model_copy(
                update={"prompt": f"p{index}"}
            )
        )
    return made


SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}


def save_config(folder: Path, vocabulary: int, end: int) -> Path:
    """The configuration of a tiny Llama, without weights."""
    about = {**SIZES, "model_type": "llama", "vocab_size": vocabulary, "eos_token_id": end}
    (folder / "config.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def save_student(folder: Path, family: str = "smollm2") -> Path:
    """A Llama of two layers with random weights, its tokenizer and template, as a folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer(family)
    torch.manual_seed(0)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    LlamaForCausalLM(LlamaConfig(**SIZES, **ends, vocab_size=len(tokenizer))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_recipe(student: str | Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """A recipe of two parts for this student; float32, so that runs can be compared."""
    tree = {
        "name": "tiny",
        "models": {"student": f"hf:{student}"},
        "prompts": {"safety": {"source": "corpus/harmful"}, "benign": {"source": "corpus/plain"}},
        "mix": {"parts": {"safety": "all", "benign": "all"}},
        "train": {
            "global_batch": 8,
            "micro_batch": 4,
            "learning_rate": 1e-3,
            "dtype": "float32",
            "gradient_checkpointing": False,
            "max_tokens": 512,
            "heldout": 0.1,
        },
    }
    return recipe_file.build(tree, Path("recipe.toml"), overrides)


def make_step(root: Path, recipe: Recipe, examples: list[Example]) -> Step:
    """The train step over these examples, with the mix it reads already on disk."""
    mix = Step("mix", "tiny", {"examples": [one.id for one in examples]})
    folder = mix.directory(root)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(one.model_dump(mode="json")) + "\n" for one in examples]
    (folder / "examples.jsonl").write_text("".join(lines), encoding="utf-8")
    return Step("train", "tiny", {"train": recipe.train.model_dump(mode="json"), "seed": recipe.seed}, {"mix": mix})
