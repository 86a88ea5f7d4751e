"""`unwaver publish RUN --to OWNER/NAME`: a trained model with its card and its numbers, on the hub.

Reads a finished training's directory, which must be what it was when it finished, and the newest report beside it.
Writes what is published into `published/` in it (weights as links, so that none are doubled): the model's files, a card
with every rate, the estimates, and the data card of what it was trained on. `--dry-run` ends there. The token is the
hub library's own affair (`hf auth login`, or HF_TOKEN); it is neither read nor written here.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unwaver.errors import EXIT_DONE, RecipeError, RunError
from unwaver.kept import PART, alone, write_whole
from unwaver.models.weights import weights_gone
from unwaver.online import PROXIES, check_addresses
from unwaver.printer import put
from unwaver.progress import say
from unwaver.stages.export import LAST
from unwaver.store import disk_errors, home, read_config, read_manifest, to_line
from unwaver.verbs.named import finished

FOLDER = "published"
DATA = "training_data.md"
"""The data card of what it was trained on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A finished training, and where it goes."""
    parser.add_argument("run", type=Path, metavar="RUN", help="the directory of a finished training (train-1a2b3c4d)")
    parser.add_argument("--to", required=True, metavar="OWNER/NAME", help="the repository on the hub; made if need be")
    parser.add_argument("--private", action="store_true", help="a new repository is seen by its owner alone")
    parser.add_argument("--dry-run", action="store_true", help="write what would be published, and send nothing")


def run(verb: str, arguments: argparse.Namespace, overrides: dict[str, Any]) -> int:
    """Gather the folder, show the card's path, and send it."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", arguments.to):
        raise RecipeError(f"--to {arguments.to}: expected OWNER/NAME")
    finished(arguments.run, "train")
    run_ = home(arguments.run)
    with disk_errors(run_), alone(run_ / FOLDER):  # another command would take the folder away while it is sent
        folder = gathered(run_)
        if arguments.dry_run:
            say(f"nothing was sent; what would go to {arguments.to} is in {folder}")
        else:
            _send(folder, arguments.to, arguments.private)
    put(folder / "README.md")
    return EXIT_DONE


def gathered(run: Path) -> Path:
    """The folder that is published: made anew each time, from the finished run and the newest report."""
    from unwaver.report.before import ESTIMATES
    from unwaver.report.model_card import card, figures
    from unwaver.verbs.verify import WRONG, verdict

    state, told = verdict(run)
    if state == WRONG:
        raise RecipeError(f"{run}: is not what it was when it finished ({told}); nothing is published")
    if weights_gone(run, read_manifest(run) or {}):
        raise RecipeError(f"{run}: its weights are not here; nothing is published")
    _lie_within(run / "model", (run / "model").rglob("*"))
    data = _data_card(run)
    _lie_within(run.parent, [data])
    if not data.is_file():
        say(f"{data}: there is no such file; it is published without the card of what it was trained on")
    elif LAST not in data.read_text(encoding="utf-8", errors="replace"):
        raise RecipeError(f"{data}: its last part, “{LAST}”, is not there; copy it again; nothing is published")
    report, rows = figures(run)
    text = card(run, report, rows)
    folder, half, former = run / FOLDER, run / f"{FOLDER}{PART}", run / f"{FOLDER}.former{PART}"
    with disk_errors(folder):
        for old in (half, former):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(run / "model", half, copy_function=_link)
        (half / "README.md").unlink()
        write_whole(half / "README.md", text)
        if data.is_file():
            write_whole(half / DATA, data.read_bytes())
        write_whole(half / ESTIMATES, "".join(to_line(one) for pair in rows for one in pair if one is not None))
        if folder.exists():
            folder.rename(former)  # what is being removed is half there
        half.rename(folder)
        shutil.rmtree(former, ignore_errors=True)
    return folder


def _lie_within(folder: Path, paths: Iterable[Path]) -> None:
    """RecipeError for what is only a link to some place else: a run may be somebody else's, and the file one's own."""
    inside = os.path.realpath(folder)
    for path in paths:
        if not (place := Path(os.path.realpath(path))).is_relative_to(inside):
            raise RecipeError(f"{path}: leads out of {folder}, to {place}; nothing is published")


def _data_card(run: Path) -> Path:
    """The card that the mix left of the training data."""
    mix = read_config(run)["inputs"]["mix"]
    return run.parent / str(mix) / "dataset" / "README.md"


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)


def _send(folder: Path, to: str, private: bool) -> None:
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    check_addresses(*PROXIES)
    if not os.environ.get("HF_TOKEN", "").isascii():
        raise RecipeError("HF_TOKEN: holds characters that no key has; copy it again")
    api = HfApi()
    try:
        made = api.create_repo(to, private=private, exist_ok=True)
        api.upload_folder(repo_id=to, folder_path=folder, commit_message="Publish a model with its card and figures")
    except LocalTokenNotFoundError:
        raise RecipeError("no token for the hub; give `hf auth login`, or set HF_TOKEN") from None
    except OfflineModeIsEnabled:
        raise RecipeError("the hub is switched off here (HF_HUB_OFFLINE); unset it, or give --dry-run") from None
    except (HfHubHTTPError, OSError, ValueError, httpx2.HTTPError) as error:
        told = " ".join(str(error).split())[:300]
        raise RunError(f"{to}: not published: {told}; the same command tries again") from None
    say(f"published as {made}")
