"""The connection to a server: one HTTP client that goes nowhere it wasn't sent and reads no more than it can hold.

Redirects are not followed: the prompts would go on to a host nobody named. What stands behind a reply's end is no reply
to the next call. A body is unpacked here, piece by piece, and
given up when it is larger than any reply. No key, no `Authorization` header. What is wrong with the environment (a
proxy, a file of certificates) is told in one line.
"""

from __future__ import annotations

import os
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import httpx2
import openai

from unwaver.errors import RecipeError
from unwaver.keys import host_of
from unwaver.models import Refused, Transient
from unwaver.online import PROXIES, check_addresses, shown

POOL = 16
"""Connections of one client: with more, its search for a free one takes longer than all the rest of a call."""

LARGEST = 64 << 20
"""Bytes of a response's body, unpacked: a stream of 100,000 tokens, an event each, takes half of it."""

OPENAI = "api.openai.com"
HEADERS = frozenset(
    ("host", "accept", "accept-encoding", "connection", "content-type", "content-length", "user-agent", "authorization")
)
"""What a request to any other host may carry."""

CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")

WORDS = {
    "ReadError": "the server broke it off",
    "WriteError": "the server broke it off",
    "CloseError": "the server broke it off",
    "ConnectError": "the server can't be reached",
    "RemoteProtocolError": "the server broke it off",
    "ProxyError": "the proxy refused it",
    "PoolTimeout": "no free connection",
}
"""What is told of an error of the client that comes without words."""


def trusted() -> ssl.SSLContext:
    """The certificates of the world; RecipeError where the environment names a file of them that is none."""
    try:
        return httpx2.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        named = [f"{name}={os.environ[name]}" for name in CERTIFICATES if os.environ.get(name)]
        why = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        where = " ".join(named) or "the certificates"
        raise RecipeError(f"{where}: no certificates can be read there ({why})") from None


def connect(key: str, base_url: str, certificates: ssl.SSLContext) -> openai.AsyncOpenAI:
    """A client that leaves time-outs and retries to us; RecipeError where the environment's proxy can't be used."""
    check_addresses(*PROXIES)
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=POOL)
    hooks: dict[str, list[Callable[..., Any]]] = {"request": [partial(_only_ours, key, host_of(base_url) == OPENAI)]}
    try:
        http = _Client(verify=certificates, timeout=None, limits=limits, event_hooks=hooks)
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        named = [f"{name}={shown(os.environ[name])}" for name in PROXIES if os.environ.get(name)]
        hint = "; pip install socksio" if isinstance(error, ImportError) else ""
        why = "no support for SOCKS is installed" if hint else str(error)
        raise RecipeError(f"{', '.join(named) or 'the proxy'}: this proxy can't be used: {why}{hint}") from None
    headers = {"Accept-Encoding": "identity"}
    return openai.AsyncOpenAI(
        api_key=key or "none", base_url=base_url, timeout=None, max_retries=0, http_client=http, default_headers=headers
    )


def behind(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it came of, each address that was tried included."""
    yield error
    cause = error.__cause__ or error.__context__
    for each in (*(error.exceptions if isinstance(error, BaseExceptionGroup) else ()), *([cause] if cause else ())):
        yield from behind(each)


def nobody_there(error: BaseException) -> bool:
    """Whether nothing listens at the address, or it has no such host: not a server that is busy or broke off."""
    return any(
        isinstance(one, ConnectionRefusedError) or (isinstance(one, socket.gaierror) and one.errno != socket.EAI_AGAIN)
        for one in behind(error)
    )


def what_broke(error: BaseException) -> str:
    """Why a connection failed, in words: the deepest error that has any."""
    if any(isinstance(one, ConnectionRefusedError) for one in behind(error)):
        return "connection refused"  # the client says that all attempts failed, and not how
    found: BaseException | None = error.__cause__ or error
    name, words = type(found).__name__, ""
    while found is not None and not words:
        words = " ".join(str(found).split())
        if isinstance(found, OSError) and found.errno and found.strerror:
            words = found.strerror.lower()
        found = found.__cause__ or found.__context__
    return words if words and words != name else WORDS.get(name, name)


async def _only_ours(key: str, to_openai: bool, request: httpx2.Request) -> None:
    """Take out what the client reads from the environment and would send anywhere: OpenAI's organisation, project,
    further headers and other keys."""
    for name in [] if to_openai else list(request.headers):
        if name.lower() not in HEADERS and not name.lower().startswith("x-stainless-"):
            del request.headers[name]
    if key:
        request.headers["Authorization"] = f"Bearer {key}"
    else:
        request.headers.pop("Authorization", None)


class _Client(openai.DefaultAsyncHttpxClient):
    """Reads every body itself."""

    async def send(self, request: httpx2.Request, *, stream: bool = False, **more: Any) -> httpx2.Response:
        response = await super().send(request, stream=True, **{**more, "follow_redirects": False})
        line = response.extensions.get("network_stream")
        try:
            if _left_over(line):
                raise Transient("no connection: the server sent more than it was asked for, so this one is given up")
            body = await _body(response)
        finally:
            await response.aclose()
            _unread(line)
        gone = (b"content-encoding", b"content-length", b"transfer-encoding")
        # As bytes: a name or a value that is no ASCII can be read as text, and not be sent back into a response.
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in gone]
        return httpx2.Response(response.status_code, headers=headers, content=body, request=request)


_lines: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
"""Open connections -> whether anything was read from them since their last reply ended."""


def _left_over(line: Any) -> bool:
    """Whether a reply came out of what stood behind the one before: nothing was read since, so it is another call's."""
    return line is not None and _lines.get(line) is False


def _unread(line: Any) -> None:
    """From here on, note whether anything is read from a connection."""
    if line is None:
        return
    if line not in _lines:
        read = line.read

        async def noted(*args: Any, **more: Any) -> bytes:
            _lines[line] = True
            return bytes(await read(*args, **more))

        line.read = noted
    _lines[line] = False


async def _body(response: httpx2.Response) -> bytes:
    """The whole body, unpacked. Refused where it is too large, or packed in a way that nobody asked for."""
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("identity", "", "gzip", "x-gzip", "deflate"):
        raise Refused(f"the server sent its reply packed as {packed[:20]!r}, which it was asked not to")
    whole = bytearray()
    unpack = None if packed in ("identity", "") else zlib.decompressobj(wbits=47)
    async for piece in response.aiter_raw():
        if unpack is None:
            whole += piece
        else:
            unpack = _unpacked(unpack, piece, whole)
        if len(whole) > LARGEST:
            raise Refused(f"the server's reply is larger than {LARGEST >> 20} MiB; it was not read to its end")
    if unpack is not None and not unpack.eof and whole:
        raise Transient("no connection: the server broke it off in the middle of a packed reply")
    return bytes(whole)


def _unpacked(unpack: Any, piece: bytes, whole: bytearray) -> Any:
    """Append what is packed in a piece, but no more than may be held; the unpacker that goes on."""
    left = piece
    try:
        while left and len(whole) <= LARGEST:
            whole += unpack.decompress(left, LARGEST + 1 - len(whole))
            left = unpack.unconsumed_tail
            if unpack.eof:
                left = unpack.unused_data
                unpack = zlib.decompressobj(wbits=47) if left.strip(b"\0") else unpack
                left = left if left.strip(b"\0") else b""
    except zlib.error as error:
        raise Transient(f"no connection: the server's packed reply can't be read: {error}") from None
    return unpack
