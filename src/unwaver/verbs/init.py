"""`unwaver init`: a recipe of one's own, from a student, a teacher, a judge and one's own prompts.

Looks at what it is given (`given`), writes a recipe that `unwaver check` passes (`draft`), and says the next command.
In a terminal it asks for what no flag says. Writes one file, and none that is there already.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_DONE, RecipeError, pip_install
from unwaver.kept import write_whole
from unwaver.printer import put
from unwaver.progress import say
from unwaver.store import apart

ITSELF = "student"
LOCAL = "local"
PLACEHOLDER = "OWNER/MODEL"
"""The student that `--show` shows where none is given."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the recipe is made of; everything can be asked for instead."""
    parser.add_argument("recipe", nargs="?", type=Path, default=Path("recipe.toml"), help="default: recipe.toml")
    parser.add_argument("--student", metavar="MODEL", help="its folder, GGUF file, or name on the hub")
    parser.add_argument(
        "--teacher",
        metavar="MODEL",
        help="a server's address (http://...), a model as in a recipe (openai:NAME), or `student`: it teaches itself",
    )
    parser.add_argument("--teacher-model", metavar="NAME", help="which of the server's models")
    parser.add_argument("--judge", metavar="MODEL", help="the same, or `local`: readers without a model")
    parser.add_argument("--judge-model", metavar="NAME", help="which of the server's models")
    parser.add_argument("--key-env", metavar="NAME", help="the environment variable with the key these servers want")
    for kind, what in (("harmful", "requests to refuse"), ("harmless", "requests to answer")):
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE", help=f"{what}: CSV, JSONL, Parquet ...; half of it "
                            "is trained on, half evaluated (default: the shipped corpus)")  # fmt: skip
        parser.add_argument(f"--{kind}-column", metavar="NAME", help="the column that holds them")
    parser.add_argument("--show", action="store_true", help="print the recipe; ask nothing and write nothing")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Write the recipe, or print it."""
    target: Path = arguments.recipe
    if not arguments.show:
        if target.is_dir():
            raise RecipeError(
                f"{target}: is a folder; expected a name for the recipe's file, such as {target}/mine.toml"
            )
        if target.exists() and not arguments.force:
            raise RecipeError(f"{target}: is there already; name another file, or write over it with --force")
        _ask(arguments)
        apart(target, filter(None, (arguments.harmful, arguments.harmless)), "RECIPE")
    text = _drafted(arguments)
    if arguments.show:
        put(text.rstrip("\n"))
        return EXIT_DONE
    if target.exists() and not arguments.force:  # questions take their time
        raise RecipeError(f"{target}: was made meanwhile; name another file, or write over it with --force")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, text)
    put(target)
    say(f"next: unwaver check {target}   (and then: unwaver run {target})")
    return EXIT_DONE


def _ask(arguments: argparse.Namespace) -> None:
    """Ask in a terminal for what no flag says; without one, the student has to be given, and the rest has a default."""
    if not sys.stdin or not sys.stdin.isatty():  # a closed one is None
        if arguments.student is None:
            raise RecipeError("--student: expected the model to train: its folder, or its name on the hub")
        return
    from rich.prompt import Prompt
    from rich.text import Text

    from unwaver.printer import console

    def ask(what: str, default: str | None = None) -> str:
        words = Text(what, style="prompt")  # a text alone would be read for markup, and servers' models stand in it
        return Prompt.ask(words, console=console(stderr=True), default=default) or ""

    if arguments.student is None:
        arguments.student = ask("Student: the folder of the model to train, or its name on the hub")
    if arguments.teacher is None:
        arguments.teacher = ask("Teacher: a server's address, a model as in a recipe, or `student` (itself)", ITSELF)
    _which(arguments, "teacher", ask)
    if arguments.judge is None:
        arguments.judge = ask("Judge: a server's address, a model as in a recipe, or `local` (no model)", LOCAL)
    _which(arguments, "judge", ask)
    for kind, what in (("harmful", "Harmful requests of your own"), ("harmless", "Harmless ones")):
        if getattr(arguments, kind) is None and (given := ask(f"{what}: a file, or nothing for the shipped ones", "")):
            setattr(arguments, kind, Path(given))


def _which(arguments: argparse.Namespace, role: str, ask: Any) -> None:
    """Ask which of a server's models is meant, where it lists several."""
    from unwaver.models.listing import listing
    from unwaver.verbs.given import check, is_address

    address = getattr(arguments, role)
    if is_address(address) and getattr(arguments, f"{role}_model") is None:
        check(address, arguments.key_env, role)
        found = listing(address)
        if len(found.names or ()) != 1:
            setattr(arguments, f"{role}_model", ask(f"Which model of it ({found.shown})"))


def _drafted(arguments: argparse.Namespace) -> str:
    """The recipe's text; what is given is looked at, and the recipe is read again as every verb reads it."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise RecipeError(f"{error}; install it with: {pip_install('train')}") from None
    from unwaver import recipe_file
    from unwaver.study.steps import plans
    from unwaver.verbs import draft, given

    student = given.student(arguments.student or PLACEHOLDER)
    own: dict[str, given.Prompts | None] = {}
    for name, kind in (("harmful", "harmful"), ("harmless", "benign")):
        path, column = getattr(arguments, name), getattr(arguments, f"{name}_column")
        own[name] = None if path is None else given.prompts(path, kind, column, name)  # type: ignore[arg-type]
    harmful, harmless = own["harmful"], own["harmless"]
    if harmful and harmless and harmful.path.samefile(harmless.path) and harmful.column == harmless.column:
        raise RecipeError(
            f"--harmless {harmless.path}: is what --harmful names, in the same column `{harmless.column}`; expected "
            "another file, or another column (--harmless-column)"
        )
    found = draft.DraftInputs(
        name=_name(arguments.recipe),
        student=student,
        shape=_shape(student),
        machine=given.machine(),
        teacher=_model(arguments, "teacher", ITSELF),
        judge=_model(arguments, "judge", LOCAL),
        harmful=harmful,
        harmless=harmless,
        folder=arguments.recipe.parent,
    )
    text = draft.recipe(found)
    plans(recipe_file.arms(tomllib.loads(text), arguments.recipe))
    if harmful and harmless and (common := given.shared(harmless, harmful)):
        say(
            f"{harmless.path}: {common} of its prompts to train on share eight words in a row with prompts of "
            f"{harmful.path} that are evaluated, and training refuses that: word them otherwise, or take them out of "
            "one of the files"
        )
    if student.about.startswith(given.UNSEEN):
        say(f"{student.model.name}: no folder here has this name; taken for a name on the hub, and not looked at")
    if found.teacher is None and not student.thinks:
        say(
            "the student's chat template has no reasoning marks: as its own teacher it may not think before it "
            "answers, and such traces can't be used; `unwaver check --try` asks it a few"
        )
    return text


def _model(arguments: argparse.Namespace, role: str, default: str) -> Any:
    from unwaver.verbs.given import model

    named = getattr(arguments, role) or default
    return None if named == default else model(named, getattr(arguments, f"{role}_model"), arguments.key_env, role)


def _shape(student: Any) -> Any:
    from unwaver.training.student import load_shape
    from unwaver.verbs.given import UNSEEN

    return None if student.about.startswith(UNSEEN) else load_shape(student.model)


def _name(path: Path) -> str:
    """What the recipe is called: by its file, or by the folder of a file that is called as all are."""
    name = path.stem if path.stem != "recipe" else path.resolve().parent.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "mine"
