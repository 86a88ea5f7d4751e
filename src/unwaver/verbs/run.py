"""`unwaver run RECIPE`: all that is owed, in order, then the report."""

from __future__ import annotations

import argparse
from typing import Any

from unwaver.errors import EXIT_DONE
from unwaver.printer import put
from unwaver.study.run import do
from unwaver.verbs import add_engine, add_recipe, open_recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe and its overrides."""
    add_recipe(parser)
    add_engine(parser)


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Do what is owed and print the report's path."""
    from unwaver.report.write import write_report

    work, root = open_recipe(arguments.recipe, arguments.root, overrides)
    do(work, root, engine=arguments.engine)
    put(write_report(work, root))
    return EXIT_DONE
