"""Which prompts of a part are drawn: in the order of the seed or evenly, with a quota for each category. Pure.

`evenly` is the thinning of STAR-1 (arXiv 2504.01903): as long as more are left than are wanted, one of those goes whose
source's share, times the sum of its categories' shares, is the largest; shares are of what is left. Ours, where the
paper is silent: of equals the one goes that the seed draws last, and a prompt without a category counts as of one more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from unwaver.recipe import Draw
from unwaver.records import Prompt

Group = tuple[str, tuple[str, ...]]
"""A prompt's source and its categories."""


def group_of(prompt: Prompt) -> Group:
    """Where a prompt is from and what it is about; a list of categories stands in it with commas (`sources.source`)."""
    return prompt.source, tuple(dict.fromkeys(name.strip() for name in (prompt.category or "").split(",")))


def drawn(
    groups: Mapping[str, Group], wanted: int | Literal["all"], draw: Draw, quota: int | None
) -> tuple[set[str], set[str]]:
    """(the prompts that are drawn, those for which a category is full), of prompts in the order of the seed.

    A smaller number's are among a larger one's.
    """
    full = _over(groups, quota)
    left = [prompt for prompt in groups if prompt not in full]
    if wanted == "all" or len(left) <= wanted:
        return set(left), full
    return set(left[:wanted]) if draw == "by-seed" else _thinned(left, groups, wanted), full


def _over(groups: Mapping[str, Group], quota: int | None) -> set[str]:
    """The prompts that come when one of their categories is full; those without a category are under no quota."""
    taken, over = Counter[str](), set[str]()
    for prompt, (_, categories) in groups.items() if quota is not None else ():
        named = [name for name in categories if name]
        if any(taken[name] == quota for name in named):
            over.add(prompt)
        else:
            taken.update(named)
    return over


def _thinned(prompts: list[str], groups: Mapping[str, Group], wanted: int) -> set[str]:
    sources, categories = Counter[str](), Counter[str]()
    members: dict[Group, list[tuple[int, str]]] = {}
    for place, prompt in enumerate(prompts):
        source, about = group = groups[prompt]
        sources[source] += 1
        categories.update(about)
        members.setdefault(group, []).append((place, prompt))
    for _ in range(len(prompts) - wanted):  # counts stand for shares: both are of the same whole
        most = max(members, key=lambda one: (sources[one[0]] * sum(categories[c] for c in one[1]), members[one][-1]))
        members[most].pop()
        if not members[most]:
            del members[most]
        sources[most[0]] -= 1
        categories.subtract(most[1])
    return {prompt for those in members.values() for _, prompt in those}
