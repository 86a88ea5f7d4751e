"""What `unwaver init` is given, looked at: a student's files, a server's list, the columns of a file, the machine.

Reads configurations, tokenizers and files of prompts; loads no weights and asks no model for a reply.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from unwaver.errors import RecipeError
from unwaver.keys import CERTAIN
from unwaver.models.listing import listing
from unwaver.models.weights import find
from unwaver.online import shown
from unwaver.plain import counted
from unwaver.recipe import ModelSettings
from unwaver.recipe_file import explain
from unwaver.records import Kind
from unwaver.sources import files
from unwaver.sources.halves import Half, halves
from unwaver.sources.overlap import find as overlapping
from unwaver.sources.own import text_column
from unwaver.sources.source import blank

UNSEEN = "not looked at"
"""How what is said of a student begins that is not on this machine yet."""
FEWEST = 8
"""Prompts of a file of one's own."""


@dataclass(frozen=True)
class Student:
    """A student before anything is trained."""

    model: ModelSettings
    about: str
    """In a few words, for a comment."""
    weights: float | None
    """None: not known."""
    thinks: bool = True
    """Whether its chat template knows of reasoning, or nobody has looked."""


def student(name: str) -> Student:
    """A folder, a GGUF file or a name on the hub; RecipeError where it is none, or can't be trained."""
    from unwaver.models.chat import family_for
    from unwaver.models.loading import load_tokenizer
    from unwaver.models.weights import in_cache, locate
    from unwaver.study.forecast import parameters

    if re.match(r"(openai|replay|https?):", name):
        raise RecipeError(
            f"--student {name}: a student is trained here; expected its folder, a GGUF file, or its name on the hub"
        )
    settings = ModelSettings(name=name if name.startswith(("hf:", "vllm:")) else f"hf:{name}")
    found = find(settings.target)
    if isinstance(found, str) and not in_cache(found):
        return Student(settings, f"{UNSEEN}: it is fetched from the hub when needed", parameters(settings, False))
    tokenizer = load_tokenizer(settings.name, locate(settings.target))
    family, how = family_for(settings, tokenizer)
    if not tokenizer.chat_template:
        raise RecipeError(f"{name}: has no chat template; add chat_template.jinja to its folder")
    weights = parameters(settings)
    size = f"{_short(weights)} weights, " if weights else ""
    marks = f"reasons in `{family.name}` marks ({how})"
    if not thinks(tokenizer):
        marks = f"its chat template has no reasoning marks: trained to reason in `{family.name}`"
    return Student(settings, f"{size}{marks}", weights, thinks(tokenizer))


def thinks(tokenizer: Any) -> bool:
    """Whether a chat template knows of reasoning."""
    from unwaver.models.chat import template_of

    return any(word in template_of(tokenizer) for word in ("think", "reason", "analysis", "thought"))


def _short(weights: float) -> str:
    return f"{weights / 1e9:.1f} billion" if weights >= 1e9 else f"{weights / 1e6:.1f} million"


def is_address(given: str) -> bool:
    """Whether a server's address is given and no model's name."""
    return re.match(r"https?://", given, re.IGNORECASE) is not None


def check(given: str, key_env: str | None, flag: str) -> None:
    """RecipeError for what no recipe takes, before anybody is asked, and without the password that may stand in it."""
    at = is_address(given)
    table = {"name": "openai:any", "base_url": given} if at else {"name": given}
    try:
        ModelSettings.model_validate({**table, **({"key_env": key_env} if key_env else {})})
    except ValidationError as error:
        told = "" if at or CERTAIN.search(given) else f" {shown(given)}"
        wrong = "\n".join(explain(error, f"--{flag}{told}", ModelSettings))
        raise RecipeError(wrong if at else f"{wrong}; or a server's address, http://...") from None


@dataclass(frozen=True)
class AskedModel:
    """A model that is asked: as a recipe's table has it."""

    table: dict[str, str]
    about: str


def model(given: str, name: str | None, key_env: str | None, flag: str) -> AskedModel:
    """A model as a recipe names it (`openai:NAME`, `hf:PATH`), or a server's address with one of its models.

    RecipeError where the server lists several and none is named, or not the one that is.
    """
    key = {"key_env": key_env} if key_env else {}
    check(given, key_env, flag)
    if not is_address(given):
        return AskedModel({"name": given, **key}, "")
    found = listing(given)
    if name is None and found.names is None:
        if found.problem:
            why = f"does not answer ({found.problem}); start it, or"
        elif found.status in (401, 403):
            with_key = "" if key_env else ", and the variable of its key with --key-env"
            raise RecipeError(
                f"--{flag} {given}: shows its models to nobody without a key (status {found.status}), and none is sent "
                f"to look; name its model with --{flag}-model{with_key}"
            )
        else:
            path = "" if re.search(r"/v\d", given) else f" (most addresses end in /v1: {given.rstrip('/')}/v1)"
            why = f"has no list, status {found.status}{path};"
        raise RecipeError(f"--{flag} {given}: {why} name its model with --{flag}-model")
    if name is None and len(found.names or ()) != 1:
        raise RecipeError(f"--{flag} {given}: lists {found.shown}; choose one with --{flag}-model")
    chosen = name or (found.names or ("",))[0]
    if found.names is not None and chosen not in found.names:
        raise RecipeError(f"--{flag}-model {chosen}: {given} lists {found.shown}")
    about = "its server lists it" if found.names else "its server did not say whether it has it"
    return AskedModel({"name": f"openai:{chosen}", "base_url": given, **key}, about)


@dataclass(frozen=True)
class Prompts:
    """A file of one's own."""

    path: Path
    kind: Kind
    column: str
    behaviour: str | None
    """The column that says the harm in plain words, where that is another one."""
    halves: Mapping[str, Half]
    """The half of each prompt's text: to train on, or to evaluate."""

    @property
    def train(self) -> int:
        """How many may be trained on."""
        return len(self.of("train"))

    @property
    def heldout(self) -> int:
        """How many may be evaluated."""
        return len(self.of("heldout"))

    def of(self, half: Half) -> list[str]:
        """The texts of a half."""
        return [text for text, own in self.halves.items() if own == half]


def prompts(path: Path, kind: Kind, column: str | None, flag: str) -> Prompts:
    """Look at a file: its columns, and how it is divided. RecipeError where no column is plainly the prompts'."""
    rows = [row for _, row in files.rows(path)]
    if not rows:
        raise RecipeError(f"{path}: no rows")
    chosen = text_column(rows, column, path, f"--{flag}-column ")
    beside = next((name for name in ("behaviour", "behavior", "goal") if name in rows[0] and name != chosen), None)
    behaviour = beside if kind == "harmful" else None
    told = [str(row.get(behaviour or chosen) or row.get(chosen) or "") for row in rows]
    found = Prompts(path, kind, chosen, behaviour, halves(text for text in told if not blank(text)))
    number = len(found.halves)
    if number < FEWEST:
        raise RecipeError(
            f"{path}: {counted(number, 'prompt is', 'prompts are')} too few to train on some and "
            f"evaluate others; expected {FEWEST} or more"
        )
    if found.heldout < number / 5:
        raise RecipeError(
            f"{path}: {found.train} of its {number} prompts share eight words or more in a row, so that it can't be "
            "divided into prompts to train on and others to evaluate; give prompts that are worded more differently"
        )
    return found


def shared(training: Prompts, evaluated: Prompts) -> int:
    """How many prompts that would be trained on share text with some that would be evaluated, by the leak guard."""
    trained, asked = ((text, text) for text in training.of("train")), ((text, text) for text in evaluated.of("heldout"))
    return overlapping(trained, {"asked": asked}).sets["asked"].training


@dataclass(frozen=True)
class Machine:
    """Where training would be done."""

    about: str
    memory: float
    """Bytes a training may take."""
    gpu: bool
    four_bits: bool
    """Whether weights can be kept in 4 bits."""


def machine() -> Machine:
    """This one: its largest GPU, or its processor and memory."""
    import importlib.util

    import torch

    if torch.cuda.is_available():
        parts = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
        best = max(parts, key=lambda part: part.total_memory)
        four = importlib.util.find_spec("bitsandbytes") is not None
        return Machine(f"{best.name}, {best.total_memory / 2**30:.0f} GiB", 0.85 * best.total_memory, True, four)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(f"{os.cpu_count()} processor cores, {memory / 2**30:.0f} GiB", 0.6 * memory, False, False)
