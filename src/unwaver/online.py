"""Whether the model hub can be asked, and whether the addresses in the environment are any.

Its own libraries take minutes to see that the hub isn't there, and end with a traceback over a proxy that is none.
"""

from __future__ import annotations

import os
import socket
import urllib.parse

from unwaver.errors import RecipeError
from unwaver.keys import no_address

PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy")
HUB = "HF_ENDPOINT"


def check_addresses(*names: str) -> None:
    """RecipeError for an environment variable that should hold the address of a proxy, or of the hub, and doesn't."""
    for name in names:
        address = os.environ.get(name, "")
        if address.strip() and (wrong := no_address(address if "://" in address else f"http://{address}")) is not None:
            what = "address" if name == HUB else "proxy"
            raise RecipeError(f"{name}={shown(address)}: this {what} can't be used: {wrong}")


def shown(address: str) -> str:
    """An address without its password."""
    scheme, _, rest = address.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if scheme else rest.rpartition("@")[2]


def reachable() -> bool:
    """Whether the hub may be asked (`HF_HUB_OFFLINE`) and answers within seconds."""
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return False
    check_addresses(HUB, *PROXIES)
    if any(name.lower() == "https_proxy" for name in os.environ):
        return True
    try:
        host = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
        socket.create_connection((host.hostname or "", host.port or 443), timeout=3.0).close()
    except OSError:
        return False
    return True
