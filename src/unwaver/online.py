"""Whether the model hub can be asked: looked for in seconds; its own libraries take minutes to see it."""

from __future__ import annotations

import os
import socket
import urllib.parse


def reachable() -> bool:
    """Whether the hub may be asked (`HF_HUB_OFFLINE`) and answers within seconds."""
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return False
    if any(name.lower() == "https_proxy" for name in os.environ):
        return True
    try:
        host = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co"))
        socket.create_connection((host.hostname or "", host.port or 443), timeout=3.0).close()
    except (OSError, ValueError, OverflowError):  # an endpoint that is no address
        return False
    return True
