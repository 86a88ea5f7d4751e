"""The command line: `unwaver VERB ...`. Verbs are imported when they are used, so that help answers at once.

Results' paths go to stdout, talk and progress to stderr. Exit codes: 0 done; 1 a bug of ours, with a traceback; 2 the
recipe or a file is wrong; 3 unfinished, and the same command goes on; of `gate` alone, 4 a limit is not met, 5 it can't
be told (docs/gate.md has the table).
"""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from unwaver import __version__
from unwaver.errors import DISK, EXIT_BAD_INPUT, EXIT_DONE, EXIT_UNFINISHED, UnwaverError
from unwaver.online import HUB, check_addresses
from unwaver.plain import visible
from unwaver.printer import left, steady
from unwaver.progress import quiet, say

STAGE_VERBS = {
    "prompts": "gather the prompt sets",
    "distil": "ask the teacher for traces",
    "judge": "read the traces: guard, risky patterns, refusal",
    "mix": "draw the training set",
    "train": "fine-tune the student",
    "evaluate": "ask the raw and the trained student, and read what they say",
}

VERBS: dict[str, tuple[str, str]] = {
    "init": ("unwaver.verbs.init", "write a recipe for a model, a server and prompts of your own"),
    "run": ("unwaver.verbs.run", "do all that is owed, in order, and write the report"),
    "check": (
        "unwaver.verbs.check",
        "check a recipe before anything is spent: names, counts, what the student is trained on",
    ),
    **{verb: ("unwaver.verbs.stage", text) for verb, text in STAGE_VERBS.items()},
    "report": ("unwaver.verbs.report", "write the report of what is finished"),
    "gate": ("unwaver.verbs.gate", "say whether a recipe's limits are met, for CI"),
    "study": ("unwaver.verbs.study", "do a whole grid of recipes, sizes and seeds"),
    "compare": ("unwaver.verbs.compare", "compare the arms of a recipe, or two finished runs, on the same prompts"),
    "show": ("unwaver.verbs.show", "show a trace, verdict, example or run in the terminal"),
    "verify": ("unwaver.verbs.verify", "check that finished runs are what they were when they finished"),
    "audit": ("unwaver.verbs.audit", "read somebody else's traces: lengths, refusals, risky patterns, overlap"),
    "reader": ("unwaver.verbs.reader", "train a reader of your own on labels, or test one"),
    "steer": ("unwaver.verbs.steer", "fit directions to steer a model by while it writes, without training"),
    "probe": ("unwaver.verbs.probe", "tell whether a model's state before its reply tells harmful prompts apart"),
    "rethink": ("unwaver.verbs.rethink", "let students go on from cuts of their reasonings: when is an answer settled"),
    "label": ("unwaver.verbs.label", "draw replies for people to label, and take their labels in"),
    "export": ("unwaver.verbs.export", "write a mix or traces in another tool's format"),
    "publish": ("unwaver.verbs.publish", "put a trained model on the hub, with its card and its figures"),
    "doctor": ("unwaver.verbs.doctor", "say what this machine can do, and the one command for what it can't"),
}


FILES = (*DISK, errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EIO,
         errno.ENAMETOOLONG, errno.ELOOP)  # fmt: skip
"""What can be wrong with a file or folder that somebody names: told in one line, as it is no bug of ours."""


PRINTING = ("unwaver.cli", "unwaver.printer", "__main__")  # the last is this file under `python -m unwaver.cli`
"""Where an error that names no file is about stdout."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    # Read when torch is loaded. Threads that spin for long while they wait make training ten times slower as soon as
    # anything else runs on the same cores; threads that never spin cost a fifth on idle ones.
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")
    steady()
    quiet()
    if argv is None:
        sys.excepthook = _bug
    arguments = list(sys.argv[1:] if argv is None else argv)
    said = "unwaver" if not arguments or arguments[0] not in VERBS else f"unwaver {arguments[0]}"
    try:
        try:
            return _do(arguments)
        finally:
            sys.stdout.flush()
    except UnwaverError as error:
        say(f"{said}: {error}")
        return error.exit_code
    except BrokenPipeError:
        if not left():
            raise
        return EXIT_DONE
    except OSError as error:
        if error.errno not in FILES:
            raise
        say(f"{said}: {_file(error)}: {os.strerror(error.errno).lower()}")
        return EXIT_UNFINISHED if error.errno in DISK else EXIT_BAD_INPUT
    except KeyboardInterrupt:
        say(f"\n{said}: stopped; the same command goes on from here")
        return EXIT_UNFINISHED


def _is_somewhere() -> bool:
    """Whether the current folder is still there: libraries end without a word of that where it isn't."""
    try:
        return Path.cwd().is_dir()
    except FileNotFoundError:
        return False


def _do(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return EXIT_DONE
    if arguments[0] in ("-V", "--version"):
        print(f"unwaver {__version__}")
        return EXIT_DONE
    if not _is_somewhere():
        say("unwaver: the folder that this shell is in is no longer there; go to another one")
        return EXIT_BAD_INPUT
    check_addresses(HUB)  # the hub's library, which all others import, ends with a traceback over one that is none
    verb = arguments[0]
    if verb not in VERBS:
        import difflib

        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "`unwaver --help` lists the verbs"
        say(f"unwaver: no verb `{verb}`; {hint}")
        return EXIT_BAD_INPUT
    parser, run = parser_of(verb)
    own, rest = separate(arguments[1:], parser)
    if "" in own:
        parser.error("one of the arguments is empty; is a variable of the shell not set?")
    if stray := _stray(verb, own, rest, parser) or _twice(own, rest, parser):
        say(f"{parser.prog}: {stray}")
        return EXIT_BAD_INPUT
    known = parser.parse_args(own)
    with _ended_like_interrupt():
        return run(verb, known, overrides(rest, parser))


Verb = Callable[[str, argparse.Namespace, dict[str, Any]], int]
"""What a verb does with its words: the verb, what it declares, the settings; the exit code."""


def parser_of(verb: str) -> tuple[argparse.ArgumentParser, Verb]:
    """What reads a verb's words, and what does them."""
    module = import_module(VERBS[verb][0])
    parser = _Parser(
        prog=f"unwaver {verb}",
        description=VERBS[verb][1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser, module.run


class _Parser(argparse.ArgumentParser):
    """Words of the command line may be names of files, which anybody may have made."""

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(visible(message), file)


def _bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A traceback as it is, but for what would act in a terminal."""
    say("".join(traceback.format_exception(kind, error, trace)).rstrip())


def _file(error: OSError) -> str:
    """What could not be read or written: the file where the error names one, stdout where that takes no more."""
    if error.filename is not None:
        return os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename)
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if str(frame.f_globals.get("__name__")).partition(".")[0] == "rich" or frame.f_globals.get("__name__") in PRINTING:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter tries once more at its end
        return "standard output"
    return "a file"


@contextmanager
def _ended_like_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP (a job that is over its time, a terminal that is closed) end a command as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        handler = signal.getsignal(signal.SIGINT)  # asyncio has one of its own while it runs
        if not callable(handler):
            raise KeyboardInterrupt
        handler(number, frame)

    both = (signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
    # `nohup` and whoever calls us may have decided otherwise.
    ours = [number for number in both if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


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


def _stray(verb: str, own: Sequence[str], rest: Sequence[str], parser: argparse.ArgumentParser) -> str | None:
    """What is said of the first flag that neither the verb nor a recipe has; None where all may be right."""
    before = own[: own.index("--")] if "--" in own else own
    flags = [flag for flag in parser._option_string_actions if flag.startswith("--")]
    names = [word.partition("=")[0] for word in (*before, *rest) if word.startswith("--")]
    unknown = [name for name in names if name not in flags]
    settings: list[str] = []
    if unknown and verb == "audit":
        unknown = [name for name in unknown if not name.startswith("--judge.")]
    elif unknown and getattr(parser, "takes_overrides", False):
        from unwaver.verbs import settable

        settings = [f"--{name.replace('_', '-')}" for name in settable(verb)]
        unknown = [name for name in unknown if name.partition(".")[0].replace("_", "-") not in settings]
    if not unknown:
        return None
    import difflib

    wrong, dot, below = unknown[0].partition(".")
    near = difflib.get_close_matches(wrong, settings if dot else [*flags, *settings], n=1)
    hint = f"did you mean `{near[0]}{dot}{below}`?" if near else f"`{parser.prog} --help` lists them"
    return f"{unknown[0]}: no such flag{' and no setting' if settings else ''}; {hint}"


def _twice(own: Sequence[str], rest: Sequence[str], parser: argparse.ArgumentParser) -> str | None:
    """What is said of a flag that is given twice and holds one value: the last would silently win."""
    before = own[: own.index("--")] if "--" in own else own
    once = {name for name, action in parser._option_string_actions.items() if type(action) is argparse._StoreAction}
    settings = rest if getattr(parser, "takes_overrides", False) else []
    names = [word.partition("=")[0] for word in before if word.partition("=")[0] in once]
    names += [word.partition("=")[0] for word in _flags(settings)]
    again = next((name for at, name in enumerate(names) if name in names[:at]), None)
    return None if again is None else f"{again}: given twice; expected once"


def _flags(settings: Sequence[str]) -> Iterator[str]:
    """The flags among settings, without the values behind them."""
    words = iter(settings)
    for word in words:
        yield word
        if "=" not in word:
            next(words, None)


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
