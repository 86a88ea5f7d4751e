"""What a server says of itself before it is asked anything: whether it answers, and which models it lists.

One GET of `BASE_URL/models` without a key; what needs one is not looked at. Nothing is sent that could cost.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

from unwaver.plain import plain, some

SHOWN = 8
"""Models of a server that are named."""
WIDE = 100
"""Characters of a name that are shown."""
LONGEST = 4 * 2**20
"""Bytes of a server's list of models that are read."""
SECONDS = 5
"""How long it may be silent."""
TOTAL = 10
"""How long all of it may take: a server that sends a byte now and then would hold the command."""


@dataclass(frozen=True)
class Listing:
    """What came back."""

    problem: str = ""
    """Why there was no answer; empty where there was one."""
    status: int = 0
    names: tuple[str, ...] | None = None
    """The models it lists; None: it answers, and not with a list."""

    @property
    def shown(self) -> str:
        """The first of the names, and how many more there are."""
        return some([plain(name, WIDE) for name in self.names or ()], SHOWN) or "none"


def listing(base_url: str) -> Listing:
    """Ask a server for its list."""
    found: list[Listing] = []
    asking = threading.Thread(target=lambda: found.append(_asked(base_url)), daemon=True)
    asking.start()
    asking.join(TOTAL)
    return found[0] if found else Listing(f"no whole answer within {TOTAL} s")


def _asked(base_url: str) -> Listing:
    import httpx2

    url = base_url.rstrip("/") + "/models"
    try:
        with httpx2.stream("GET", url, timeout=SECONDS, headers={"Accept-Encoding": "identity"}) as answer:
            begun = b""
            for piece in answer.iter_raw(2**16):
                begun += piece
                if len(begun) > LONGEST:
                    break
    except Exception as error:  # noqa: BLE001 - an address, a proxy or an answer may be wrong in any way
        return Listing(" ".join(str(error).split())[:300] or type(error).__name__)
    return Listing("", answer.status_code, _names(begun) if answer.status_code == 200 else None)


def _names(listed: bytes) -> tuple[str, ...] | None:
    """The ids in a list of models; None where it is none."""
    try:
        content = json.loads(listed)
        return tuple(str(one["id"]) for one in content["data"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
