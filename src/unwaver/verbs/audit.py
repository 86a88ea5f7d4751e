"""`unwaver audit FILE_OR_DATASET`: one page about somebody else's traces, and a verdict for each of them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from unwaver.errors import EXIT_DONE, RecipeError
from unwaver.judging.readers import model_reader
from unwaver.kept import write_whole
from unwaver.progress import say
from unwaver.recipe import JudgeSettings, ModelSettings, is_local
from unwaver.recipe_file import explain, laid_over, parse_value
from unwaver.records import Reply, Request
from unwaver.stages import audit
from unwaver.stages.audit_examples import Examples
from unwaver.stages.calls import Calls, Workplace
from unwaver.store import RunDir, Step, disk_errors


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, the rubric, the judge; a judge that is a model can be told more with flags."""
    audit.add_arguments(parser)
    parser.add_argument("--base-url", help="the server of a judge that is a model")
    parser.add_argument(
        "--key-env",
        help="the environment variable that holds its key (OPENAI_API_KEY; a server of your own needs none)",
    )
    parser.add_argument("--max-tokens", type=int, default=2048, help="limit on its reply (default: 2048)")
    parser.epilog = "any other setting of a model can be given as --judge.KEY VALUE (docs/recipe.md)"
    parser.takes_overrides = True  # type: ignore[attr-defined]
    parser.add_argument("--root", type=Path, default=Path("runs/audit"), help="where the judge's replies are kept")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Read and print; giving the same command again asks a model only what it was not asked yet.

    The directory, its ledger and a local model's weights stay open from the first batch of rows to the last.
    """
    place = Workplace(arguments.root)
    if arguments.max_tokens < 1:
        raise RecipeError(f"--max-tokens {arguments.max_tokens}: expected 1 or more")
    for flag in overrides:
        if not flag.startswith("judge."):
            raise RecipeError(f"--{flag}: no such flag; a setting of the judge is given as --judge.KEY VALUE")
    if overrides and is_local(arguments.judge):
        flag = next(iter(overrides))
        raise RecipeError(f"--{flag}: expected --judge MODEL, as a reader without a model takes no settings")
    with ExitStack() as stack:
        stack.callback(place.close)

        def ask_model(asked: str, judge: str) -> audit.BatchReader:
            settings = _judge(judge, arguments, overrides)
            rubric, looked_at = audit.part(asked)
            reader = model_reader(rubric, settings, JudgeSettings(max_tokens=arguments.max_tokens), looked_at)
            who = {"judge": settings.identity(), "rubric": reader.rubric, "looked_at": reader.looked_at}
            step = Step("audit", settings.label, who)
            calls = Calls(stack.enter_context(RunDir.open(step, place.root)), place, max_failed=1.0)
            stack.callback(calls.close)
            stack.callback(calls.tell)

            def ask_all(requests: Sequence[Request]) -> list[Reply]:
                calls.ask(settings, lambda: requests, len(requests), f"{asked} by {settings.label}")
                replies = [calls.reply(settings, request) for request in requests]
                for request, reply in zip(requests, replies, strict=True):
                    calls.note(settings, request, reply)
                return replies

            return audit.by_model(reader, settings.label, ask_all)

        examples = Examples() if arguments.html else None
        page = audit.run(arguments, ask_model, examples)
    if examples is not None:
        from unwaver.report.audit_html import html

        with disk_errors(arguments.html):
            write_whole(arguments.html, html(page, examples))
        say(f"page: {arguments.html}")
    return EXIT_DONE


def _judge(name: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> ModelSettings:
    """The judge's settings, as a model in a recipe has them: a name or a whole table, and single ones laid over it."""
    read = parse_value(name) if name.lstrip().startswith("{") else name
    table = read if isinstance(read, dict) else {"name": name}
    given = {"judge.base_url": arguments.base_url, "judge.key_env": arguments.key_env}
    tree: dict[str, Any] = {"judge": table}
    for dotted, value in [*((key, value) for key, value in given.items() if value), *overrides.items()]:
        tree = laid_over(tree, dotted, value, Path("audit"))
    try:
        return ModelSettings.model_validate(tree["judge"])
    except ValidationError as error:
        named = str(table.get("name", name))
        told = "\n".join(explain(error, f"--judge {named}", ModelSettings))
        beside = f"; a server's address is given beside its model: --judge openai:MODEL --base-url {named}"
        more = beside if re.match(r"https?://", named) else "" if ":" in named else "; or `local`, `local:FILE`"
        raise RecipeError(told + more) from None
