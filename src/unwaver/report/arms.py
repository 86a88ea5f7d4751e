"""What a report calls its arms: seeds gathered under one name, and names short enough for a chart.

Pure: names and `Results.cells` in, names out.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from unwaver.plain import plain, unlike
from unwaver.study.results import Results

LONGEST_LABEL = 40
"""Characters of an arm's name in a chart."""

_AXIS = "method "
"""What a study puts before the recipe's name (`distil.method = [...]`); the name says enough."""


def labelled(arms: Sequence[str], longest: int = LONGEST_LABEL) -> dict[str, str]:
    """Names short enough for a chart, no two alike.

    Where one is too long, settings that most arms share are left out of all, the first piece excepted, if the names
    stay different; what is too long then loses its middle.
    """
    pieces = {arm: plain(arm).split(", ") for arm in arms}
    if any(len(", ".join(parts)) > longest for parts in pieces.values()):
        often = Counter(part for parts in pieces.values() for part in set(parts[1:]))
        usual = {part for part, count in often.items() if count > len(arms) / 2}
        brief = {arm: [parts[0], *(part for part in parts[1:] if part not in usual)] for arm, parts in pieces.items()}
        if len({tuple(parts) for parts in brief.values()}) == len(pieces):
            pieces = brief
    found: dict[str, str] = {}
    for arm, parts in pieces.items():
        text = ", ".join(parts)
        text = text if len(text) <= longest else f"{text[: longest - 12]}…{text[-11:]}"
        found[arm] = unlike(text, found.values())
    return found


def gathered(results: Results) -> dict[str, tuple[str, ...]]:
    """Arms as shown, each with the arms of `results` it stands for.

    Arms whose cells are alike but for the seed stand together under their name without it. Arms of another name that
    were made by the same runs (a study may name one combination twice) are left out.
    """
    runs: dict[str, set[str]] = defaultdict(set)
    for estimate in results.estimates:
        runs[estimate.arm] |= set(estimate.runs)
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for arm in results.arms:
        cell = results.cells.get(arm, {})
        rest = {key: value for key, value in cell.items() if key != "seed"}
        name = _without(arm, cell["seed"]) if "seed" in cell else arm
        groups[repr(sorted(rest.items())) if cell else "", name or arm].append(arm)
    found: dict[str, tuple[str, ...]] = {}
    known: dict[str, list[set[str]]] = defaultdict(list)
    for (cell_, name), members in groups.items():
        new = [arm for arm in members if not cell_ or not runs[arm] or runs[arm] not in known[cell_]]
        known[cell_] += [runs[arm] for arm in new]
        if new:
            found[unlike(name if len(new) > 1 and name not in found else new[0], found)] = tuple(new)
    brief = [name.removeprefix(_AXIS) for name in found]
    return dict(zip(brief, found.values(), strict=True)) if len(set(brief)) == len(found) else found


def _without(arm: str, seed: object) -> str:
    """An arm's name without its recipe's seed, which is the last number of this kind in it; others say what it is."""
    pieces = re.split(rf"[\s,;:/_-]*\bseed[\s=_-]*{seed}\b", arm, flags=re.IGNORECASE)
    return "".join([*pieces[:-2], "".join(pieces[-2:])]).strip(" ,;:/_-")


def spoken(arms: Sequence[str], every: Iterable[str]) -> str:
    """Arms in a sentence; `all arms` where they are all of `every`."""
    return "all arms" if len(arms) > 1 and set(arms) == set(every) else ", ".join(arms)
