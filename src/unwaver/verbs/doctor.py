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

from unwaver.errors import EXIT_DONE, EXIT_UNFINISHED, RecipeError, pip_install
from unwaver.judging.graders.sandbox import INSTALL, Sandbox
from unwaver.progress import say
from unwaver.recipe import ModelSettings

EXTRAS = {
    "train": (("torch", "transformers", "trl", "peft", "accelerate", "datasets", "gguf"), "fine-tuning, local models"),
    "hub": (("datasets", "huggingface_hub"), "data sets from the hub"),
    "vllm": (("vllm",), "fast local generation on a GPU"),
    "ray": (("ray",), "work spread over a cluster"),
    "inspect": (("inspect_ai",), "evaluations as Inspect tasks, traces in its viewer"),
}

Finding = tuple[str, bool | None, str, str]
"""(what, whether it is there (None: nobody needs it), what was found, the command that adds it)."""

SIGNS = {True: ("yes", "green"), False: ("no", "yellow"), None: ("-", "dim")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """An optional recipe with its overrides, whose keys and endpoints are looked at too."""
    parser.add_argument("recipe", nargs="?", type=Path, help="look at what this recipe needs, too")
    parser.add_argument("--gpu", action="store_true", help="try this machine's GPUs on tiny models, in two minutes")
    parser.takes_overrides = True  # type: ignore[attr-defined]
    parser.epilog = "any setting of the recipe can be given as --dotted.key value"


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Print what was found."""
    if overrides and arguments.recipe is None:
        raise RecipeError(f"--{next(iter(overrides))}: is no flag of doctor, nor a setting, as no recipe is given")
    if arguments.gpu:
        if arguments.recipe is not None:
            raise RecipeError("--gpu: tries this machine on models of its own and takes no recipe")
        return _tried_out()
    _show(list(findings(arguments.recipe, overrides)))
    return EXIT_DONE


def _tried_out() -> int:
    """The self-test's table, for a bug report; the exit code says whether anything that was tried failed."""
    from unwaver.verbs import selftest

    missing = [name for name in EXTRAS["train"][0] if importlib.util.find_spec(name) is None]
    if missing:
        raise RecipeError(f"--gpu: needs {', '.join(missing)}; install it with: {pip_install('train')}")
    found = list(selftest.findings())
    _show(found)
    failed = [what for what, there, *_ in found if there is False and what != "GPU"]
    say(f"doctor: {', '.join(failed)}: failed; send the table with a bug report" if failed else "doctor: all is well")
    return EXIT_UNFINISHED if failed else EXIT_DONE


def _show(found: list[Finding]) -> None:
    """A line each, however long: whoever copies a path or a command out of it needs it in one piece."""
    from rich.text import Text

    from unwaver.plain import plain
    from unwaver.printer import console

    width = max(len(what) for what, *_ in found)
    out = console()
    for what, there, told, command in found:
        sign, colour = SIGNS[there]
        line = Text.assemble(f"{plain(what):<{width}}  ", (f"{sign:<3}", colour), f"  {plain(told)}")
        out.print(line + Text(f"  to add it: {plain(command)}" if there is False and command else ""))


def findings(recipe: Path | None = None, overrides: dict[str, Any] | None = None) -> Iterator[Finding]:
    """Everything that is looked at, in the order it is shown."""
    yield "python", True, f"{platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}", ""
    for extra, (packages, use) in EXTRAS.items():
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        yield (
            f"extra {extra}",
            not missing,
            use + (f" (missing: {', '.join(missing)})" if missing else ""),
            pip_install(extra),
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
    from unwaver import keys, recipe_file
    from unwaver.models.endpoint import VENDOR

    for role, model in recipe_file.load(path, overrides).models.items():
        if model.door == "openai":
            yield _key(role, model)
            if model.sends_key:
                why = keys.needs_a_yes(model.key_env, model.base_url or VENDOR)
                yield f"{role}: key may go there", not why, why or model.key_env, f"export {keys.ALLOW}={model.key_env}"
            if model.base_url:
                yield _server(role, model)
        else:
            yield _held(role, model)


def _key(role: str, model: ModelSettings) -> Finding:
    if not model.sends_key:
        return f"{role}: key", None, "none is sent; a server of one's own asks for none", ""
    if os.environ.get(model.key_env):
        return f"{role}: key", True, model.key_env, ""
    return f"{role}: key", False, f"{model.key_env} is not set", f"export {model.key_env}=..."


def _held(role: str, model: ModelSettings) -> Finding:
    """Whether the weights or recorded replies of a model are here, or where they would be fetched from."""
    from unwaver.models.replay import recordings
    from unwaver.models.weights import find

    extra = {"hf": "train", "vllm": "vllm"}.get(model.door)
    if extra is not None and any(importlib.util.find_spec(name) is None for name in EXTRAS[extra][0]):
        return role, False, model.name, pip_install(extra)
    try:
        found = recordings(model.target)[0] if model.door == "replay" else find(model.target)
    except RecipeError as error:
        return role, False, f"{model.name} ({error})", ""
    return (role, True, model.name, "") if isinstance(found, Path) else _on_the_hub(role, model)


def _on_the_hub(role: str, model: ModelSettings) -> Finding:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    from unwaver.models.weights import in_cache
    from unwaver.online import reachable

    if in_cache(model.target):
        return role, True, f"{model.name}, fetched from the hub before", ""
    if not reachable():
        return role, False, f"{model.name}: no folder, not fetched before, and the hub can't be reached", ""
    try:
        HfApi().model_info(model.target, revision=model.revision, timeout=10)
    except RepositoryNotFoundError:
        return role, False, f"{model.name}: no folder, and no model on the hub that may be read", ""
    except (HfHubHTTPError, OSError) as error:
        return role, False, f"{model.name}: no folder, and the hub does not answer ({type(error).__name__})", ""
    return role, True, f"{model.name}, fetched from the hub when needed", ""


def _server(role: str, model: ModelSettings) -> Finding:
    """Whether a server answers and lists the model. No key is sent: what needs one is not looked at."""
    from unwaver.models.listing import listing

    what, found = f"{role}: server", listing(model.base_url or "")
    if found.problem:
        told = f"{model.base_url}: does not answer ({found.problem})"
        return what, False, told, "start it, or correct base_url"
    if found.names is None:
        told = f"{model.base_url}: answers, without a list of its models (status {found.status})"
        return what, True, told, ""
    if model.target in found.names:
        return what, True, f"{model.base_url}: lists {model.target}", ""
    return what, False, f"{model.base_url}: lists no {model.target}; it lists {found.shown}", "correct its name"
