"""The command line: `unwaver VERB ...`. Verbs are imported when they are used, so that help answers at once.

Results' paths go to stdout, talk and progress to stderr. Exit codes: 0 done; 1 a bug of ours, with a traceback; 2 the
recipe or a file is wrong; 3 unfinished, and the same command goes on.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from unwaver import __version__
from unwaver.errors import DISK, EXIT_BAD_INPUT, EXIT_DONE, EXIT_UNFINISHED, UnwaverError

STAGE_VERBS = {
    "prompts": "gather the prompt sets",
    "distil": "ask the teacher for traces",
    "judge": "read the traces: guard, risky patterns, refusal",
    "mix": "draw the training set",
    "train": "fine-tune the student",
    "evaluate": "ask the raw and the trained student, and read what they say",
}

VERBS: dict[str, tuple[str, str]] = {
    "run": ("unwaver.verbs.run", "do all that is owed, in order, and write the report"),
    "check": (
        "unwaver.verbs.check",
        "check a recipe before anything is spent: names, counts, what the student is trained on",
    ),
    **{verb: ("unwaver.verbs.stage", text) for verb, text in STAGE_VERBS.items()},
    "report": ("unwaver.verbs.report", "write the report of what is finished"),
    "study": ("unwaver.verbs.study", "do a whole grid of recipes, sizes and seeds"),
    "compare": ("unwaver.verbs.compare", "compare two finished runs on the same prompts"),
    "show": ("unwaver.verbs.show", "show a trace, verdict, example or run in the terminal"),
    "audit": ("unwaver.verbs.audit", "read somebody else's traces: lengths, refusals, risky patterns, overlap"),
    "export": ("unwaver.verbs.export", "write a mix or traces in another tool's format"),
    "doctor": ("unwaver.verbs.doctor", "say what this machine can do, and the one command for what it can't"),
}


FILES = (*DISK, errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EIO,
         errno.ENAMETOOLONG, errno.ELOOP)  # fmt: skip
"""What can be wrong with a file or folder that somebody names: told in one line, as it is no bug of ours."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    # Read when torch is loaded. Threads that spin for long while they wait make training ten times slower as soon as
    # anything else runs on the same cores; threads that never spin cost a fifth on idle ones.
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return EXIT_DONE
    if arguments[0] in ("-V", "--version"):
        print(f"unwaver {__version__}")
        return EXIT_DONE
    verb = arguments[0]
    if verb not in VERBS:
        import difflib

        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "`unwaver --help` lists the verbs"
        print(f"unwaver: no verb `{verb}`; {hint}", file=sys.stderr)
        return EXIT_BAD_INPUT
    module = import_module(VERBS[verb][0])
    parser = argparse.ArgumentParser(
        prog=f"unwaver {verb}",
        description=VERBS[verb][1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    own, rest = separate(arguments[1:], parser)
    if "" in own:
        parser.error("one of the arguments is empty; is a variable of the shell not set?")
    known = parser.parse_args(own)
    run: Callable[[str, argparse.Namespace, dict[str, Any]], int] = module.run
    try:
        return run(verb, known, overrides(rest, parser))
    except UnwaverError as error:
        print(f"unwaver {verb}: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            sys.stderr.close()
            return EXIT_DONE
        if error.errno not in FILES:
            raise
        print(f"unwaver {verb}: {error.filename or 'a file'}: {os.strerror(error.errno).lower()}", file=sys.stderr)
        return EXIT_UNFINISHED if error.errno in DISK else EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print(f"\nunwaver {verb}: stopped; the same command goes on from here", file=sys.stderr)
        return EXIT_UNFINISHED


def separate(words: Sequence[str], parser: argparse.ArgumentParser) -> tuple[list[str], list[str]]:
    """(what the verb itself declares, the settings): a flag the verb doesn't have is a setting, with the word after it.

    Apart before anything is parsed, so that settings may stand in front of the recipe's name.
    """
    if not getattr(parser, "takes_overrides", False):
        return list(words), []
    own: list[str] = []
    settings: list[str] = []
    left = iter(words)
    for word in left:
        name, equals, _ = word.partition("=")
        if not word.startswith("--") or word == "--" or name in parser._option_string_actions:
            own.append(word)
            continue
        settings.append(word)
        if not equals and (value := next(left, None)) is not None:
            settings.append(value)
    return own, settings


def overrides(rest: Sequence[str], parser: argparse.ArgumentParser) -> dict[str, Any]:
    """`--key value` or `--key=value` as a mapping; a flag without a value is an error (exit code 2)."""
    from unwaver.recipe_file import parse_value

    found: dict[str, Any] = {}
    words = iter(rest)
    for word in words:
        key, equals, value = word.removeprefix("--").partition("=")
        if not equals:
            try:
                value = next(words)
            except StopIteration:
                parser.error(f"--{key}: expected a value")
        found[key] = parse_value(value)
    return found


def _overview() -> str:
    width = max(len(verb) for verb in VERBS)
    lines = [f"  {verb:<{width}}  {text}" for verb, (_, text) in VERBS.items()]
    return "\n".join(
        [
            "usage: unwaver VERB ... [--dotted.override value]",
            "",
            "Make large reasoning models safer by supervised fine-tuning, and prove whether it worked.",
            "",
            *lines,
            "",
            "A stage's own settings need no dots: `unwaver mix RECIPE --keep X` is `--mix.keep X`.",
            "`unwaver VERB --help` tells more. Giving the same command again goes on where it was.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
