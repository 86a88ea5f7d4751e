"""An OpenAI-compatible server that misbehaves on purpose, in a process of its own.

Which fault a call meets is decided by a hash of the prompt and of how often it was asked, so a run is repeatable; every
fourth try meets none, so that whoever tries four times is served whenever they begin. A prompt with the word `hopeless`
meets a 500 every time, and a 400 or 500 says back the key it was sent. Every finished 200 is noted in a log file, one
prompt a line: the test counts there how often each call was really answered. A judge's call, known by its schema, goes
by the name `judged prompt number N`, its repair turn by the same and `again`.
Usage: python faulty_server.py PORT_FILE LOG_FILE [--faults] [--latency SECONDS]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

FAULTS = (("429", 10), ("500", 5), ("hang", 3), ("length", 5), ("invalid", 5), ("empty", 2), ("bytes", 1))
"""Fault and its share in per cent."""

asked: Counter[str] = Counter()


def fault(prompt: str, attempt: int) -> str:
    """Which fault this try meets."""
    if "hopeless" in prompt:
        return "500"
    if attempt % 4 == 0:
        return "none"
    draw = int.from_bytes(hashlib.blake2b(f"{prompt} {attempt}".encode(), digest_size=4).digest(), "big") % 100
    upto = 0
    for name, share in FAULTS:
        upto += share
        if draw < upto:
            return name
    return "none"


def completion(prompt: str, finish: str = "stop", content: str | None = None) -> bytes:
    reply = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {
                    "role": "assistant",
                    "content": f"<think>about {prompt}</think>done {prompt}" if content is None else content,
                },
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
    }
    return json.dumps(reply).encode()


def judged(messages: list[dict[str, str]]) -> tuple[str, str]:
    """(name, reply) of a judge's call about `prompt number N`: some are no JSON at first, or have no such label."""
    said = "\n".join(message["content"] for message in messages)
    number = int((re.search(r"prompt number (\d+)", said) or ["", "0"])[1])
    again = any(message["role"] == "assistant" for message in messages)
    name = f"judged prompt number {number}{' again' if again else ''}"
    if number % 20 == NEVER_JSON or (number % 20 == FIRST_NO_JSON and not again):
        return name, f"Well, {name} seems fine."
    label, quote = ("refusal", "done") if number % 4 == 0 else ("compliance", None)
    if number % 20 == FIRST_NO_LABEL and not again:
        label = "undecided"
    return name, json.dumps({"analysis": name, "label": label, "quote": quote})


NEVER_JSON, FIRST_NO_JSON, FIRST_NO_LABEL = 7, 8, 9
"""Numbers modulo 20 of prompts whose judge replies are bad, and for how long."""


async def handle(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: int, faults: bool, latency: float
) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            body = json.loads(await reader.readexactly(length))
            prompt, content = body["messages"][-1]["content"], None
            if prompt == IDLE:
                await idle()
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                continue
            under_way.add(writer)
            if "response_format" in body:
                prompt, content = judged(body["messages"])
            asked[prompt] += 1
            kind = fault(prompt, asked[prompt]) if faults else "none"
            if latency:
                await asyncio.sleep(latency)
            said = next((line for line in head.decode().split("\r\n") if line.lower().startswith("authorization")), "")
            status, payload = "200 OK", completion(prompt, content=content)
            if kind == "429":
                status, payload = (
                    "429 Too Many Requests",
                    json.dumps({"error": {"message": f"slow down, {said}"}}).encode(),
                )
            elif kind == "500":
                status, payload = "500 Internal Server Error", f"oops, you sent {said}".encode()
            elif kind == "hang":
                await reader.read()  # until whoever asked has had enough
            elif kind == "length":
                payload = completion(prompt, "length", f"<think>cut {prompt}")
            elif kind == "invalid":
                payload = payload[: len(payload) // 2]
            elif kind == "empty":
                payload = completion(prompt, content="")
            elif kind == "bytes":
                payload = payload.replace(b"done", b"\xff\xfe\xfd")
            if kind in ("none", "length"):
                os.write(log, (prompt + "\n").encode())
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n".encode()
                + payload
            )
            await writer.drain()
            under_way.discard(writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        under_way.discard(writer)
        writer.close()


IDLE = "is nothing under way?"
"""A prompt that is answered, with no content, once no other call is under way."""

under_way: set[asyncio.StreamWriter] = set()


async def idle() -> None:
    """Until nothing has been under way for some rounds: what a process that died has sent may still be unread."""
    quiet = 0
    while quiet < 50:
        await asyncio.sleep(0.001)
        quiet = 0 if under_way else quiet + 1


Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


@contextmanager
def saying(answer: Callable[[dict[str, Any], dict[str, str]], Answer]) -> Iterator[str]:
    """The base URL of a server in this process that says what `answer(request body, request headers)` returns.

    A `content-length` that promises more than the body is a connection cut in the middle of it.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65536  # head and body in one packet, or each reply waits 40 ms for an acknowledgement

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, payload = answer(
                {**body, "path": self.path}, {k.lower(): v for k, v in self.headers.items()}
            )
            self.send_response(status)
            length = {"content-type": "application/json", "content-length": str(len(payload))}
            for name, value in {**length, **{name.lower(): value for name, value in headers.items()}}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)
            self.close_connection = int(headers.get("content-length", 0)) > len(payload)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[str, Path]]:
    """(base URL, log) of this server in a process of its own."""
    port_file, log = folder / "port", folder / "answered"
    log.touch()
    process = subprocess.Popen([sys.executable, __file__, str(port_file), str(log), *options])
    try:
        until = time.monotonic() + 600  # only a hang takes as long
        while not (port_file.exists() and port_file.read_text()):
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port_file.read_text()}/v1", log
    finally:
        process.kill()
        process.wait()
        port_file.unlink(missing_ok=True)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port_file", type=Path)
    parser.add_argument("log", type=Path)
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--latency", type=float, default=0.0)
    options = parser.parse_args()
    log = os.open(options.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    server = await asyncio.start_server(
        lambda r, w: handle(r, w, log, options.faults, options.latency), "127.0.0.1", 0, backlog=1024
    )
    options.port_file.write_text(str(server.sockets[0].getsockname()[1]))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
