"""Starting the training processes: this one, or several through accelerate or torchrun."""

from __future__ import annotations

from pathlib import Path

from unwaver.recipe import TrainSettings


def start(folder: Path, settings: TrainSettings) -> None:
    """Train what the folder says until it is done."""
    from unwaver.training.trainer import fit

    fit(folder)
