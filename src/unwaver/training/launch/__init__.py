"""Starting the training processes: this one, or several through torchrun or accelerate.

Several processes run `python -m unwaver.training.worker FOLDER`, which is `fit.fit` and nothing else; encoding,
proofs and the manifest stay with the process that starts them. The configurations beside this file are of accelerate's
own kind.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from unwaver.errors import RecipeError, RunError
from unwaver.recipe import TrainSettings

SHIPPED = ("zero2", "zero3", "fsdp2")


def check(settings: TrainSettings) -> None:
    """RecipeError where launch, configuration and processes don't fit one another, on whatever machine."""
    if settings.launch != "none":
        command(Path(), settings)
    elif settings.processes > 1:
        raise RecipeError(f'train.processes: {settings.processes} need train.launch = "torchrun" or "accelerate"')
    elif settings.launch_config is not None:
        raise RecipeError('train.launch_config: is for accelerate; set train.launch = "accelerate"')


def start(folder: Path, settings: TrainSettings) -> None:
    """Train what the folder says, or go on with it, until it is done; RunError where a process failed."""
    check(settings)
    if settings.launch == "none":
        from unwaver.training.fit import fit

        fit(folder)
        return
    import torch

    gpus = torch.cuda.device_count()
    if settings.launch == "accelerate" and not gpus and settings.launch_config in (None, *SHIPPED):
        raise RecipeError(
            'train.launch: accelerate starts several processes on GPUs only, and there are none; use "torchrun", or a '
            "train.launch_config of your own"
        )
    if gpus and settings.processes > gpus and settings.launch_config in (None, *SHIPPED):
        raise RecipeError(f"train.processes: {settings.processes} processes, but this machine shows {gpus} GPUs")
    code = subprocess.run(command(folder, settings), check=False).returncode
    if code:
        raise RunError(
            f"{folder}: the training processes stopped with code {code} (their messages stand above); "
            "the same command goes on from the last checkpoint"
        )


def command(folder: Path, settings: TrainSettings) -> list[str]:
    """The command that starts all processes of a launch."""
    worker = ["-m", "unwaver.training.worker", str(folder)]
    if settings.launch == "torchrun":
        if settings.launch_config is not None:
            raise RecipeError("train.launch_config: is for accelerate; torchrun takes none")
        return [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", str(settings.processes), *worker),
        ]
    head = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(settings.processes)]
    if settings.launch_config is None:
        plain = ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
        return [*head, *plain, *(["--multi_gpu"] if settings.processes > 1 else []), *worker]
    return [*head, "--config_file", str(config_file(settings.launch_config)), *worker]


def config_file(name: str) -> Path:
    """The file of a configuration: one of ours by name, or a file of the user's own."""
    path = Path(__file__).parent / f"{name}.yaml" if name in SHIPPED else Path(name).expanduser()
    if not path.is_file():
        raise RecipeError(f"train.launch_config: {name}: expected {', '.join(SHIPPED)} or a file that exists")
    return path
