"""`unwaver audit FILE_OR_DATASET`: one page about somebody else's traces, and a verdict for each of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from unwaver.errors import RecipeError
from unwaver.judging.readers import model_reader
from unwaver.recipe import JudgeSettings, ModelSettings
from unwaver.records import Reply, Request
from unwaver.stages import audit
from unwaver.stages.calls import Calls, Place
from unwaver.store import RunDir, Step


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, the rubric, the judge; a judge that is a model can be told more with flags."""
    audit.add_arguments(parser)
    parser.add_argument("--base-url", help="the server of a judge that is a model")
    parser.add_argument(
        "--key-env",
        help="the environment variable that holds its key (OPENAI_API_KEY; a server of your own needs none)",
    )
    parser.add_argument("--root", type=Path, default=Path("runs/audit"), help="where the judge's replies are kept")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Read and print; giving the same command again asks a model only what it was not asked yet.

    The directory, its ledger and a local model's weights stay open from the first batch of rows to the last.
    """
    place = Place(arguments.root)
    with ExitStack() as stack:
        stack.callback(place.close)

        def ask_model(rubric: str, judge: str) -> audit.BatchReader:
            settings = _judge(judge, arguments)
            reader = model_reader(audit.RUBRICS[rubric], settings, JudgeSettings())
            step = Step("audit", judge, {"judge": settings.identity(), "rubric": reader.rubric})
            calls = Calls(stack.enter_context(RunDir.open(step, place.root)), place, max_failed=1.0)
            stack.callback(calls.close)

            def ask_all(requests: Sequence[Request]) -> list[Reply]:
                calls.ask(settings, lambda: requests, len(requests), f"{rubric} by {judge}")
                return [calls.reply(settings, request) for request in requests]

            return audit.by_model(reader, settings.label, ask_all)

        return audit.run(arguments, ask_model)


def _judge(name: str, arguments: argparse.Namespace) -> ModelSettings:
    """The judge's settings. A key's variable that was not named is not asked for: a server of one's own needs none."""
    named = {"key_env": arguments.key_env} if arguments.key_env else {}
    try:
        return ModelSettings(name=name, base_url=arguments.base_url, **named)
    except ValidationError as error:
        raise RecipeError(f"--judge {name}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
