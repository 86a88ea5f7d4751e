"""Whether the model hub can be asked, and whether the addresses in the environment are any.

Its own libraries take minutes to see that the hub isn't there, and end with a traceback over a proxy that is none.
"""

from __future__ import annotations

import os
import re
import socket
import urllib.parse

from unwaver.errors import RecipeError

PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy")
HUB = "HF_ENDPOINT"


def check_addresses(*names: str) -> None:
    """RecipeError for an environment variable that should hold the address of a proxy, or of the hub, and doesn't."""
    for name in names:
        if (wrong := _no_address(os.environ.get(name, ""))) is not None:
            what = "address" if name == HUB else "proxy"
            raise RecipeError(f"{name}={shown(os.environ[name])}: this {what} can't be used: {wrong}")


def _no_address(address: str) -> str | None:
    """Why an address is none; None where it is one, or isn't set."""
    if not address.strip():
        return None
    try:
        url = urllib.parse.urlsplit(address if "://" in address else f"http://{address}")
        host, port = url.hostname or "", url.port
    except ValueError as error:
        return str(error).lower()
    if url.scheme not in ("http", "https", "socks5", "socks5h"):
        return f"expected http, https or socks5, got {url.scheme or 'no scheme'}"
    return None if re.fullmatch(r"[^\s\\\x00-\x20<>^`{|}%]+", host) and port != 0 else "expected SCHEME://HOST:PORT"


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
