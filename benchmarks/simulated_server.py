"""The server the speed of calls is measured against: OpenAI-compatible, raw asyncio, in a process of its own.

It does as little as it can, so that what is measured is the client. A reply comes after a latency drawn from the prompt
itself (log-normal; `spread` 0: constant), so anybody can reckon what an ideal client would have needed. A prompt that
asks for a verdict gets one as JSON, any other a trace of about 1,500 characters.

    python benchmarks/simulated_server.py PORT_FILE MEDIAN_SECONDS SPREAD
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

VERDICT = "Give your verdict as JSON."
"""A prompt that ends so is a judge's."""
TRACE = "<think>\n" + "The question is looked at from one side and then from another. " * 20 + "\n</think>\n\nSo it is."


def latency(prompt: str, median: float, spread: float) -> float:
    """Seconds the server takes over a prompt; `spread` is the standard deviation of their logarithm."""
    if spread == 0:
        return median
    drawn = hashlib.blake2b(prompt.encode(), digest_size=8).digest()
    one, other = (
        (1 + int.from_bytes(drawn[:4], "big")) / 2**32,
        int.from_bytes(drawn[4:], "big") / 2**32,
    )  # Box and Muller
    return median * math.exp(spread * math.sqrt(-2 * math.log(one)) * math.cos(2 * math.pi * other))


def completion(prompt: str) -> bytes:
    """The body of a reply."""
    text = json.dumps({"reason": "it is so", "label": "safe"}) if prompt.endswith(VERDICT) else f"{TRACE} {prompt[:40]}"
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
    usage = {"prompt_tokens": 20, "completion_tokens": 300, "total_tokens": 320}
    head = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
    return json.dumps({**head, "choices": [choice], "usage": usage}).encode()


async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, median: float, spread: float) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            at = head.find(b"content-length:")
            length = 0 if at < 0 else int(head[at + 15 : head.index(b"\r\n", at)])
            body = json.loads(await reader.readexactly(length)) if length else {}
            prompt = str(body["messages"][-1]["content"]) if body.get("messages") else ""
            await asyncio.sleep(latency(prompt, median, spread))
            payload = completion(prompt)
            # The limits are for clients that won't start before they have seen some.
            limits = b"x-ratelimit-limit-requests: 1000000\r\nx-ratelimit-limit-tokens: 1000000000\r\n"
            start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(payload)
            writer.write(start + limits + b"\r\n" + payload)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@contextmanager
def serving(median: float, spread: float = 0.0) -> Iterator[str]:
    """The base URL of such a server."""
    with tempfile.TemporaryDirectory() as folder:
        port = Path(folder) / "port"
        process = subprocess.Popen([sys.executable, __file__, str(port), str(median), str(spread)])
        try:
            until = time.monotonic() + 30
            while not (port.exists() and port.read_text()):
                if time.monotonic() > until:
                    raise TimeoutError("the server did not start")
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port.read_text()}/v1"
        finally:
            process.kill()
            process.wait()


def where() -> str:
    """Date, machine and commit of a measurement."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    machine = f"{names[0]} x {len(names)}" if names else platform.processor()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return f"{date.today()} | {machine} | {commit.stdout.strip()}"


async def main() -> None:
    port, median, spread = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    server = await asyncio.start_server(lambda r, w: handle(r, w, median, spread), "127.0.0.1", 0, backlog=1024)
    port.write_text(str(server.sockets[0].getsockname()[1]))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
