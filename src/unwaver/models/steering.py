"""Adaptive multi-principle steering (arXiv 2605.05678): while a model writes, states that lean unsafe are pushed back.

A file of directions (`.safetensors`, never a pickle) holds for every principle the mean state of safe and of unsafe
replies at the output of one layer, and a card that says of what they were made. At each token, the state h of the last
position is compared with both means: where |h - safe| - |h - unsafe| > delta the principle is active, and alpha times
the unit vector from unsafe to safe is added, for the `cap` principles with the largest difference at most. Without the
gate all are always active. Other positions, the prompt's but its last among them, are left alone.

Where we differ: the paper's layer, alpha and token positions could not be read. A reply's state is the mean over its
tokens; the layer is the middle one unless `--layer` says another. Needs the extra `train`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unwaver.errors import RecipeError
from unwaver.kept import write_whole
from unwaver.recipe import SteeringSettings

VERSION = 1
"""Raised whenever the same file and settings steer otherwise, or the same states make another file."""

FEWEST = 5
"""Replies of either side below which a principle gets no direction."""

States = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Directions:
    """What a file holds."""

    names: tuple[str, ...]
    layer: int
    """0-based number of the layer whose output is steered."""
    safe: States
    unsafe: States
    """The mean states, a row for each name."""
    card: dict[str, Any]

    @property
    def towards(self) -> States:
        """Unit vectors from unsafe to safe, a row for each name."""
        apart = self.safe - self.unsafe
        norms: States = np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-12).astype(np.float32)
        return apart / norms

    def write(self, path: Path) -> None:
        """Write the file, with its card inside."""
        from safetensors.numpy import save

        told = {"names": self.names, "layer": self.layer, "version": VERSION, **self.card}
        write_whole(path, save({"safe": self.safe, "unsafe": self.unsafe}, {"unwaver.steering": json.dumps(told)}))


def read(path: Path) -> Directions:
    """The directions in a file; RecipeError where it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as held:
            card = json.loads((held.metadata() or {})["unwaver.steering"])
            safe, unsafe = (np.asarray(held.get_tensor(name), dtype=np.float32) for name in ("safe", "unsafe"))
        found = Directions(tuple(card.pop("names")), int(card.pop("layer")), safe, unsafe, card)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        why = " ".join(str(error).split())[:120]
        raise RecipeError(
            f"{path}: no directions to steer by; `unwaver steer fit` writes such a file ({why})"
        ) from None
    if safe.shape != unsafe.shape or safe.ndim != 2 or len(safe) != len(found.names) or not len(safe):
        raise RecipeError(f"{path}: its means and names don't fit together")
    if not (np.isfinite(safe).all() and np.isfinite(unsafe).all()):
        raise RecipeError(f"{path}: its means hold what is no number")
    return found


def fitted(states: States, sides: Sequence[dict[str, bool]], layer: int, card: dict[str, Any]) -> Directions:
    """Directions from a state of each reply and, by principle, whether it is unsafe (absent: neither).

    A principle with fewer than `FEWEST` replies of either side is left out; the card names them, counts the others'
    and says which share of these very states lies nearer to its own side's mean. RecipeError where none is left.
    """
    names, safe, unsafe, told = [], [], [], {}
    left: dict[str, tuple[int, int]] = {}
    for name in dict.fromkeys(name for side in sides for name in side):
        marks = np.array([side.get(name, -1) for side in sides], dtype=np.int64)
        counts = int((marks == 0).sum()), int((marks == 1).sum())
        if min(counts) < FEWEST:
            left[name] = counts
            continue
        means = states[marks == 0].mean(0), states[marks == 1].mean(0)
        gap = np.linalg.norm(states - means[0], axis=1) - np.linalg.norm(states - means[1], axis=1)
        right = float(((gap > 0) == (marks == 1))[marks >= 0].mean())
        told[name] = {"safe": counts[0], "unsafe": counts[1], "on_own_side": round(right, 3)}
        names.append(name)
        safe.append(means[0])
        unsafe.append(means[1])
    if not names:
        most = max(left, key=lambda name: min(left[name]), default="")
        there = f"{most} has {left[most][0]} and {left[most][1]}" if most else "none could be read"
        raise RecipeError(f"expected {FEWEST} safe and {FEWEST} unsafe replies or more; {there}")
    about = {**card, "made_of": told, "left_out": list(left)}
    return Directions(tuple(names), layer, np.stack(safe), np.stack(unsafe), about)


def layers(model: Any) -> Any:
    """The list of a model's decoder layers; RecipeError where it can't be told."""
    from torch.nn import ModuleList

    count = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, ModuleList) and len(module) == count:
            return module
    raise RecipeError("steering: this architecture's layers can't be told apart")


def steer(model: Any, settings: SteeringSettings) -> None:
    """Have a loaded model steered by a file from now on; RecipeError where the file is another model's."""
    import torch

    found = read(settings.file)
    width = int(model.config.get_text_config().hidden_size)
    stack = layers(model)
    if found.safe.shape[1] != width or not 0 <= found.layer < len(stack):
        raise RecipeError(
            f"{settings.file}: made for a model of another shape: layer {found.layer}, width {found.safe.shape[1]}; "
            f"this one has {len(stack)} layers of width {width}"
        )
    layer = stack[found.layer]
    device = next(layer.parameters()).device
    safe, unsafe, towards = (torch.from_numpy(t).to(device) for t in (found.safe, found.unsafe, found.towards))

    def push(module: Any, inputs: Any, output: Any) -> Any:
        states = output[0] if isinstance(output, tuple) else output
        last = states[:, -1, :].float()
        gap = torch.cdist(last, safe) - torch.cdist(last, unsafe)
        active = gap > settings.delta if settings.gate else torch.ones_like(gap, dtype=torch.bool)
        if settings.cap is not None and settings.cap < gap.shape[1]:
            least = gap.topk(settings.cap, dim=1).values[:, -1:]
            active &= gap >= least
        states[:, -1, :] += (settings.alpha * (active.float() @ towards)).to(states.dtype)
        return output

    layer.register_forward_hook(push)


@contextmanager
def watched(model: Any, layer: int) -> Iterator[list[Any]]:
    """Collects the outputs of one layer while it is open."""
    seen: list[Any] = []

    def look(module: Any, inputs: Any, output: Any) -> None:
        seen.append((output[0] if isinstance(output, tuple) else output).detach())

    handle = layers(model)[layer].register_forward_hook(look)
    try:
        yield seen
    finally:
        handle.remove()
