"""What a launcher starts in each process: `python -m unwaver.training.worker FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from unwaver.errors import RunError, UnwaverError
from unwaver.progress import quiet, say
from unwaver.training.launch import held
from unwaver.training.work import Work


def main(folder: Path) -> int:
    """Train what the folder says; the exit code."""
    quiet()
    try:
        held.join(folder)
        wanted, started = Work.load(folder).train.processes, int(os.environ.get("WORLD_SIZE", "1"))
        if wanted != started:
            raise RunError(f"train.processes is {wanted}, but the launcher started {started}")
        from unwaver.training.fit import fit

        fit(folder)
    except UnwaverError as error:
        if os.environ.get("RANK", "0") == "0":
            say(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
