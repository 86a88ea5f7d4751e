"""The cards of a model and of a training set, which go to the hub: no name in a recipe writes into them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from unwaver.plain import plain
from unwaver.recipe import Recipe
from unwaver.records import Example, Span
from unwaver.stages.export import write_dataset
from unwaver.training import card

NAMES = [
    "x\n---\nlicense: mit\nbase_model: bank/best\n---\n# Certified safe",
    "a | b | c\n| Seed | 1 |",
    "<img src=//evil.invalid/x><script>alert(1)</script>",
    "![i](https://evil.invalid/x.png) [here](javascript:alert(1))",
    "see https://evil.invalid or www.evil.invalid, ask me@evil.invalid",
    "\x1b]8;;https://evil.invalid\x1b\\x \u202egnp.exe",
    "`code` **bold** $x^2$ &lt;b&gt;",
]


def of_a_model(name: str) -> str:
    models = {"student": f"hf:lab/{name}", "teacher": "openai:t"}
    sets = {name: {"source": "corpus/plain"}}
    recipe = Recipe.model_validate({"name": "n", "models": models, "prompts": sets, "mix": {"parts": {name: 4}}})
    used = {"learning_rate": 1e-3, "scheduler": name, "warmup_steps": 0, "optimiser": name, "weight_decay": 0.0}
    facts: dict[str, Any] = {"steps": 1, "dtype": name, "trained_tokens": 1, "tokens": 2}
    facts["settings"] = {**used, "max_grad_norm": 1.0}
    facts["adapter"] = {"r": 1, "lora_alpha": 2, "lora_dropout": 0.0, "target_modules": name}
    return card.text(recipe, {"parts": {name: 3}, "dropped": {name: 2}, "trained": 3, "held_out": 0}, facts)


def of_a_training_set(name: str, folder: Path) -> str:
    span = Span(text="No.", trained=True)
    example = Example(prompt="p", trace=None, user="Hello", spans=(span,), part="benign", kind="benign")
    about = {"name": name, "note": name, "parts": {name: {"wanted": 1, "kept": 1, "dropped": {name: 7}}}}
    about |= {"models": {name: f"openai:{name}"}, "teachers": [name], "sources": [name], "stages": {name: {name: 1}}}
    return write_dataset(folder, [example], {**about, name: name})[-1].read_text()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("of", ["a model", "a training set"])
def test_no_name_of_a_recipe_writes_into_a_card(name: str, of: str, tmp_path: Path) -> None:
    text = of_a_model(name) if of == "a model" else of_a_training_set(name, tmp_path)
    head, *body = text.removeprefix("---\n").split("\n---\n")
    assert len(body) == 1 and yaml.safe_load(head).get("license", "other") == "other" and "bank/best" not in head
    ours = 1 if of == "a model" else 0  # the study's address
    written = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(body[0])
    kinds = [child.type for token in written for child in (token, *(token.children or ()))]
    assert kinds.count("link_open") == ours
    assert not {"image", "html_inline", "html_block", "strong_open"} & {*kinds}
    assert plain(name) in re.sub(r"\\(.)", r"\1", body[0])
    prose = re.sub(r"\(https://arxiv[^)]*\)|```.*?```|`[^`\n]*`", "", body[0], flags=re.DOTALL)
    assert not re.search(r"(?<!\\)(:(//|\w+:)|\$|&)|(?i:\bwww\.)|\w@\w|\x1b|\u202e", prose)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in prose.splitlines() if line.startswith("| S")} <= {3, 4}
