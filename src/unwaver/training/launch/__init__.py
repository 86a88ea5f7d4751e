"""Starting the training processes: this one, or several through torchrun or accelerate.

Several processes run `python -m unwaver.training.worker FOLDER`, which is `fit.fit` and nothing else; encoding,
proofs and the manifest stay with the process that starts them. The configurations beside this file are of accelerate's
own kind.

However the processes end, no two launches train in one folder (`held`): the launcher keeps the folder's lock as long as
it lives, and a worker lives no longer than the command that started its launch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from unwaver.errors import RecipeError, RunError
from unwaver.recipe import TrainSettings
from unwaver.training import batches
from unwaver.training.launch import held

SHIPPED = ("zero2", "zero3", "fsdp2")


def check(settings: TrainSettings) -> None:
    """RecipeError where launch, configuration and processes don't fit one another, on whatever machine."""
    if settings.launch != "none":
        command(Path(), settings)
    elif settings.processes > 1:
        raise RecipeError(f'train.processes: {settings.processes} need train.launch = "torchrun" or "accelerate"')
    elif settings.launch_config is not None:
        raise RecipeError('train.launch_config: is for accelerate; set train.launch = "accelerate"')
    batches.check(settings, settings.processes)


ENDING_S = 60.0
"""How long processes have to end when the command is stopped; torchrun gives its workers 30 seconds."""


def start(folder: Path, settings: TrainSettings, lock: int) -> None:
    """Train what the folder says, or go on with it, until it is done; RunError where a process failed.

    `lock`: the descriptor that holds the folder, for the launcher to hold it too.
    """
    check(settings)
    if settings.launch == "none":
        if (started := os.environ.get("WORLD_SIZE", "1")) != "1":
            raise RecipeError(
                f"WORLD_SIZE={started}: another launcher's; this command is started once, and train.launch starts more"
            )
        from unwaver.training.fit import fit

        fit(folder)
        return
    import torch

    gpus = torch.cuda.device_count()
    if settings.launch == "accelerate" and not gpus and settings.launch_config in (None, "fsdp2"):
        raise RecipeError(
            "train.launch: accelerate starts several processes or FSDP on GPUs only, and there are none; use "
            '"torchrun", or a train.launch_config of your own, or DeepSpeed\'s ("zero2", "zero3")'
        )
    if gpus and settings.processes > gpus and settings.launch_config in (None, *SHIPPED):
        raise RecipeError(f"train.processes: {settings.processes} processes, but this machine shows {gpus} GPUs")
    with held.launch(folder) as environment:
        code = _run(command(folder, settings), environment, lock)
    if code:
        raise RunError(
            f"{folder}: the training processes stopped with code {code} (their messages stand above); "
            "the same command goes on from the last checkpoint"
        )


def _run(words: list[str], environment: dict[str, str], lock: int) -> int:
    """The launcher's exit code; it is ended, and with it its workers, when this process is interrupted."""
    process = subprocess.Popen(words, env={**os.environ, **environment}, pass_fds=(lock,))
    try:
        return process.wait()
    except BaseException:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


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
    # The recipe decides the type of matrix products, whatever the file says.
    precise = ["--mixed_precision", _precision(settings)]
    return [*head, *precise, "--config_file", str(config_file(settings.launch_config)), *worker]


def _precision(settings: TrainSettings) -> str:
    """The type of matrix products in accelerate's words."""
    if settings.dtype == "auto":
        from unwaver.models.local import best_dtype

        return "bf16" if str(best_dtype()) == "torch.bfloat16" else "no"
    return "bf16" if settings.dtype == "bfloat16" else "no"


def config_file(name: str) -> Path:
    """The file of a configuration: one of ours by name, or a file of the user's own."""
    path = Path(__file__).parent / f"{name}.yaml" if name in SHIPPED else Path(name).expanduser()
    if not path.is_file():
        raise RecipeError(f"train.launch_config: {name}: expected {', '.join(SHIPPED)} or a file that exists")
    return path
