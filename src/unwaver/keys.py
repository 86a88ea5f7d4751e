"""What a key looks like, so that none is written into a run or shown in a message: keys come from the environment."""

from __future__ import annotations

import re
from typing import Any

SECRET = re.compile(r"(x-)?((api|auth|access|hub|hf|use_auth)[-_]?)?(key|token|authorization|password|secret)", re.I)
"""Names of fields that hold a key."""
KEY = re.compile(
    r"\b(sk|pk|hf|gsk|xai|nvapi|pplx|ghp|r8)[-_][\w-]{12,}|\bAIza[\w-]{20,}|(?=[A-Za-z]*\d)[A-Za-z\d]{24,}"
)
"""Texts that look like a key: they are shown to nobody."""


def refuse_keys(content: Any, where: str) -> None:
    """ValueError for a key among settings that are passed through: settings are written into every run."""
    for name, value in content.items() if isinstance(content, dict) else ():
        if SECRET.fullmatch(str(name)) and isinstance(value, str) and value:
            raise ValueError(
                f"{where}.{name}: a key belongs in the environment, as settings are written into every run"
            )
        refuse_keys(value, f"{where}.{name}")
