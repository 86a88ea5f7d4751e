"""`unwaver doctor [RECIPE]`: what this machine can do, and for each thing missing the one command that adds it."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_DONE, RecipeError
from unwaver.judging.sandbox import INSTALL, Sandbox
from unwaver.recipe import ModelSettings

EXTRAS = {
    "train": (("torch", "transformers", "trl", "peft", "accelerate", "datasets", "gguf"), "fine-tuning, local models"),
    "hub": (("datasets", "huggingface_hub"), "data sets from the hub"),
    "vllm": (("vllm",), "fast local generation on a GPU"),
    "ray": (("ray",), "work spread over a cluster"),
    "inspect": (("inspect_ai",), "evaluations as Inspect tasks, traces in its viewer"),
}

Finding = tuple[str, bool, str, str]
"""(what, whether it is there, what was found, the command that adds it)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """An optional recipe with its overrides, whose keys and endpoints are looked at too."""
    parser.add_argument("recipe", nargs="?", type=Path, help="look at what this recipe needs, too")
    parser.takes_overrides = True  # type: ignore[attr-defined]
    parser.epilog = "any setting of the recipe can be given as --dotted.key value"


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Print what was found."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("what", "", "found", "to add it", box=None, padding=(0, 2, 0, 0))
    if overrides and arguments.recipe is None:
        raise RecipeError(f"--{next(iter(overrides))}: is no flag of doctor, nor a setting, as no recipe is given")
    for what, there, found, command in findings(arguments.recipe, overrides):
        # Plain Text: square brackets in a command are no markup.
        table.add_row(
            Text(what), "[green]yes[/]" if there else "[yellow]no[/]", Text(found), Text("" if there else command)
        )
    for column in table.columns:
        column.overflow = "fold"  # an address or a model's name cut short helps nobody
    Console().print(table)
    return EXIT_DONE


def findings(recipe: Path | None = None, overrides: dict[str, Any] | None = None) -> Iterator[Finding]:
    """Everything that is looked at, in the order it is shown."""
    yield "python", True, f"{platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}", ""
    for extra, (packages, use) in EXTRAS.items():
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        yield (
            f"extra {extra}",
            not missing,
            use + (f" (missing: {', '.join(missing)})" if missing else ""),
            (f"pip install 'unwaver[{extra}]'"),
        )
    yield from _processors()
    yield from _training()
    yield _sandbox()
    token = bool(os.environ.get("HF_TOKEN")) or (Path.home() / ".cache/huggingface/token").is_file()
    yield "hub token", token, "for gated models: Llama Guard, WildGuard", "hf auth login, or export HF_TOKEN=..."
    if recipe is not None:
        yield from _recipe(recipe, overrides)


def _sandbox() -> Finding:
    """Tried, not looked for: bubblewrap may be there and not be allowed to work."""
    program = shutil.which("bwrap")
    if program is None:
        return "sandbox", False, "needed to run generated code", INSTALL
    try:
        Sandbox()
    except RecipeError as error:
        return "sandbox", False, program, str(error)
    return "sandbox", True, program, ""


def _processors() -> Iterator[Finding]:
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            part = torch.cuda.get_device_properties(number)
            yield f"GPU {number}", True, f"{part.name}, {part.total_memory / 2**30:.0f} GiB", ""
        for package, use in (("flash_attn", "flash attention"), ("liger_kernel", "fused training kernels")):
            there = importlib.util.find_spec(package) is not None
            yield package, there, use, f"pip install {package.replace('_', '-')}"
        return
    from unwaver.models.local import best_dtype

    yield (
        "GPU",
        False,
        f"none seen; the processor computes in {str(best_dtype()).removeprefix('torch.')}",
        ("a machine with an NVIDIA GPU and a CUDA build of torch"),
    )


def _training() -> Iterator[Finding]:
    """What training chooses here; nothing where its packages are missing, which is told above."""
    if any(importlib.util.find_spec(name) is None for name in EXTRAS["train"][0]):
        return
    from unwaver.training.settings import machine

    for what, chosen in machine().items():
        missing = what == "QLoRA" and importlib.util.find_spec("bitsandbytes") is None
        yield f"training: {what}", not missing, chosen, "pip install bitsandbytes"


def _recipe(path: Path, overrides: dict[str, Any] | None) -> Iterator[Finding]:
    from unwaver import recipe_file

    for role, model in recipe_file.load(path, overrides).models.items():
        if model.door == "openai":
            key = bool(os.environ.get(model.key_env))
            local = (model.base_url or "").startswith(("http://127.", "http://localhost"))
            yield f"{role}: key", key or local, model.key_env, f"export {model.key_env}=..."
            if model.base_url:
                there = _answers(model.base_url)
                yield f"{role}: server", there, model.base_url, "start it, or correct base_url"
        else:
            yield _held(role, model)


def _held(role: str, model: ModelSettings) -> Finding:
    """Whether the weights or recorded replies of a model are here; a hub id is taken at its word."""
    from unwaver.models.replay import recordings
    from unwaver.models.weights import find

    try:
        found = recordings(model.target)[0] if model.door == "replay" else find(model.target)
    except RecipeError as error:
        return role, False, model.name, f"{error}"
    return role, True, model.name if isinstance(found, Path) else f"{model.name}, fetched from the hub when needed", ""


def _answers(url: str) -> bool:
    """Whether anything listens there."""
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=3):
            return True
    except OSError:
        return False
