"""Guards: classifier models, each read in the format it was trained on; one file a family.

gpt-oss-safeguard is none of them: it takes any policy, so it is asked as a judge, through our harm rubric, policy in
the system turn and material in the user's, as its guide says.
"""

from __future__ import annotations

import re

from unwaver.errors import RecipeError
from unwaver.judging.asked.guards.guard import Guard, GuardFamily
from unwaver.records import LookedAt
from unwaver.registry import found_in

_OTHER_GUARDS = re.compile(
    r"llama-?guard|qwen3guard|shieldgemma|shieldlm|granite-guardian|polyguard|nemoguard|aegis|beaver-?dam|harmbench"
)


def guards() -> dict[str, GuardFamily]:
    """The guards by the names of their formats."""
    return found_in(__name__, "GUARD")


def guard_for(model_name: str, looked_at: LookedAt | None = None, rubric: str = "guard") -> Guard | None:
    """The reader of a guard, by hub id, server name or path; None for a model that is no guard (see `judge_for`).

    `looked_at` None: both. `rubric`: guard or harm, as verdicts carry it. RecipeError for a guard whose format is not
    known here: asked in another's it would answer, and mean nothing.
    """
    name = model_name.lower().rstrip("/").replace("_", "-")
    for family in guards().values():
        if re.search(family.ids, name):
            return Guard(family, looked_at or "both", rubric)
    if _OTHER_GUARDS.search(name.rpartition("/")[2]):
        raise RecipeError(f"{model_name}: the format of this guard is not known; known are {', '.join(guards())}")
    return None
