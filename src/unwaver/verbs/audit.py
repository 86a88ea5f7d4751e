"""`unwaver audit FILE_OR_DATASET`: one page about somebody else's traces, and a verdict for each of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
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
    parser.add_argument("--key-env", default="OPENAI_API_KEY", help="the environment variable that holds its key")
    parser.add_argument("--root", type=Path, default=Path("runs/audit"), help="where the judge's replies are kept")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Read and print; giving the same command again asks a model only what it was not asked yet."""

    def ask_model(rubric: str, judge: str) -> audit.BatchReader:
        try:
            settings = ModelSettings(name=judge, base_url=arguments.base_url, key_env=arguments.key_env)
        except ValidationError as error:
            raise RecipeError(f"--judge {judge}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
        reader = model_reader(audit.RUBRICS[rubric], settings, JudgeSettings())
        step = Step("audit", judge, {"judge": settings.identity(), "rubric": reader.rubric})

        def ask_all(requests: Sequence[Request]) -> list[Reply]:
            with RunDir.open(step, arguments.root) as out:
                calls = Calls(out, Place(arguments.root), max_failed=1.0)
                try:
                    calls.ask(settings, lambda: requests, len(requests), f"{rubric} by {judge}")
                    return [calls.reply(settings, request) for request in requests]
                finally:
                    calls.close()

        return audit.by_model(reader, settings.label, ask_all)

    return audit.run(arguments, ask_model)
