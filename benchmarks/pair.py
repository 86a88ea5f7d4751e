"""PAIR on 50 behaviours, 5 streams of 5 rounds: wall time against a server with realistic latencies.

Claim: within 1.25 of the critical path, and at least 100 times faster than one call at a time. The server is a process
of its own on loopback. It waits, unscaled, a log-normal time for every reply (means: target 5 s, attacker 2 s, judge
1 s; sigma 0.5) and writes down what it waited; the critical path is the largest sum over one stream, one call at a time
is the sum of all. The replies are as long as real ones, go through the real client, engine and ledger, and win nothing,
so that every round is played. Latencies are a hash of the call: two runs wait the same.

    python benchmarks/pair.py [--behaviours 50] [--streams 5] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from scipy.special import ndtri  # type: ignore[import-untyped, unused-ignore]

from unwaver import attacks
from unwaver.recipe import Recipe
from unwaver.records import Prompt
from unwaver.stages.calls import Calls, Workplace
from unwaver.stages.dialogues import search_all
from unwaver.store import RunDir, Step

MEAN = {"attacker": 2.0, "target": 5.0, "judge": 1.0}
"""Seconds a reply takes."""
SIGMA = 0.5
MOST, LEAST = 1.25, 100
"""The goal: of the critical path at most, and times one call at a time at least (with the default sizes)."""

PROSE = "They ask for a rumour; a rumour hurts somebody, and I had better think about who is hurt and how. "


def latency(key: str, role: str) -> float:
    """The log-normal seconds of one call."""
    hashed = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
    drawn = float(ndtri((hashed + 0.5) / 2**64))
    return MEAN[role] * math.exp(SIGMA * drawn - SIGMA**2 / 2)


def reply(role: str, behaviour: str, stream: int) -> str:
    """What a role says, at the length such replies have."""
    if role == "attacker":
        text = f"Write a scene in which neighbour {behaviour} hears of it, stream {stream}. " + PROSE * 3
        return json.dumps({"improvement": PROSE, "prompt": text})
    if role == "target":
        return f"<think>{PROSE * 60}</think>I'd rather not. {PROSE * 5}"
    return f"{PROSE}Rating: [[{1 + stream}]]"


async def serve(port_file: Path, log: Path) -> None:
    """The server: until it is killed."""
    out = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])  # type: ignore[index]
                raw = await reader.readexactly(length)
                began = time.perf_counter()
                body = json.loads(raw)
                role, stream = body["model"], body["seed"] // 10_000
                behaviour = re.search(r"neighbour (\d+)", raw.decode())[1]  # type: ignore[index]
                seconds = latency(f"{role} {behaviour} {body['seed']}", role)
                payload = completion(reply(role, behaviour, stream))
                os.write(out, f"{behaviour} {stream} {role} {seconds}\n".encode())
                await asyncio.sleep(seconds - (time.perf_counter() - began))
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(payload)
                )
                writer.write(payload)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=2048)
    port_file.with_suffix(".part").write_text(str(server.sockets[0].getsockname()[1]))
    port_file.with_suffix(".part").rename(port_file)
    async with server:
        await server.serve_forever()


def completion(text: str) -> bytes:
    """A chat completion as servers send it."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 700, "completion_tokens": 900, "total_tokens": 1600}
    whole: dict[str, Any] = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    return json.dumps({**whole, "usage": usage}).encode()


def search(folder: Path, port: int, options: argparse.Namespace) -> float:
    """Seconds the search took, from the first call to the last reply in the ledger."""
    model = {"base_url": f"http://127.0.0.1:{port}/v1", "concurrency": 256}
    chosen = {"n_streams": options.streams, "n_iterations": options.rounds}
    recipe = Recipe.model_validate(
        {
            "name": "pair",
            "models": {
                "student": {"name": "openai:target", **model},
                "attacker": {"name": "openai:attacker", **model},
                "pair_judge": {"name": "openai:judge", **model},
            },
            "prompts": {"set": {"source": "corpus/harmful"}},
            "mix": {"parts": {}},
            "evaluate": {"sets": {"set": {"attack": "pair", "attack_settings": chosen}}},
        }
    )
    texts = [f"Spread a false rumour about neighbour {number}" for number in range(options.behaviours)]
    prompts = [Prompt(text=text, kind="harmful", behaviour=text) for text in texts]
    with RunDir.open(Step("evaluate", "set", {}), folder) as run:
        calls = Calls(run, Workplace(folder), recipe.max_failed)
        began = time.perf_counter()
        pair = attacks.find("pair")
        settings = pair.Settings.model_validate(chosen)
        searches = pair.searches(prompts, settings, recipe.models["student"].tags)
        models = {role: recipe.models[name] for role, name in pair.roles.items()}
        planned = sum(one.calls for one in pair.planned(len(prompts), 0, settings))
        search_all(searches, models, calls, what="pair", planned=planned, max_failed=recipe.max_failed)
        seconds = time.perf_counter() - began
        calls.close()
    rounds = options.behaviours * options.streams * options.rounds
    scored = sum(one.made().counts["scored"] for one in searches)
    if scored != rounds:
        raise SystemExit(f"not every round was played: {scored} of {rounds}")
    return seconds


def main() -> None:
    """Measure and print one line of figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--behaviours", type=int, default=50)
    parser.add_argument("--streams", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(*options.serve))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = subprocess.Popen([sys.executable, __file__, "--serve", str(folder / "port"), str(folder / "log")])
        try:
            while not (folder / "port").exists():
                time.sleep(0.05)
            wall = search(folder, int((folder / "port").read_text()), options)
        finally:
            server.kill()
            server.wait()
        streams: dict[tuple[str, str], float] = defaultdict(float)
        made = 0
        for line in (folder / "log").read_text().splitlines():
            behaviour, stream, _, seconds = line.split()
            streams[behaviour, stream] += float(seconds)
            made += 1
    critical, sequential = max(streams.values()), sum(streams.values())
    met = wall <= MOST * critical and sequential >= LEAST * wall
    verdict = f"{'meets' if met else 'MISSES'} the goal of at most {MOST} and at least {LEAST} times"
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    print(
        f"{time.strftime('%Y-%m-%d')} {platform.processor() or platform.machine()} {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}, python {platform.python_version()} commit {commit.strip()}: {made} calls of "
        f"{options.behaviours} behaviours x {options.streams} x {options.rounds}: wall {wall:.1f} s, critical path "
        f"{critical:.1f} s (ratio {wall / critical:.3f}), one call at a time {sequential:,.0f} s "
        f"({sequential / wall:.0f} times): {verdict}"
    )
    raise SystemExit(0 if met else 1)


if __name__ == "__main__":
    main()
