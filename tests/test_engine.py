"""The engine: every call once, stops that lose nothing, retries that end, budgets that outlive a session."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from unwaver.errors import RecipeError, RunError
from unwaver.ledger import Ledger
from unwaver.models import Refused, Transient, engine
from unwaver.models.engine import Engine
from unwaver.models.replay import Replay, conversation
from unwaver.recipe import ModelSettings
from unwaver.records import Message, Reply, Request, Sampling
from unwaver.stages.calls import Calls, Workplace
from unwaver.store import RunDir, Step

FINE = Reply(text="fine", ending="stop", tokens_in=5, tokens_out=7)
SETTINGS = ModelSettings(name="replay:x", alias="m", concurrency=4, retries=2)


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BACKOFF_FIRST", 0.01)


class Scripted:
    """A model that does what it is told, and notes what it was asked."""

    label = "m"

    def __init__(self, say: Callable[[str, int], Awaitable[Reply]]) -> None:
        self.say = say
        self.asked: Counter[str] = Counter()
        self.most = self.now = 0

    async def reply(self, request: Request) -> Reply:
        text = request.messages[0].content
        self.asked[text] += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self.say(text, self.asked[text])
        finally:
            self.now -= 1

    async def close(self) -> None:
        """Nothing to close."""


def requests(n: int, start: int = 0) -> list[Request]:
    return [Request(messages=(Message(role="user", content=str(number)),)) for number in range(start, start + n)]


async def fine(text: str, turn: int) -> Reply:
    await asyncio.sleep(0.005)
    return FINE


def run(folder: Path, model: Scripted, asked: list[Request], settings: ModelSettings = SETTINGS) -> Engine:
    """Ask for all; the engine afterwards, for its tally."""

    async def inside() -> Engine:
        with Ledger(folder) as ledger:
            async with Engine(model, settings, ledger) as made:
                made.failures = await made.ask_all(asked)  # type: ignore[attr-defined]
            return made

    return asyncio.run(inside())


def changed(**more: Any) -> ModelSettings:
    return SETTINGS.model_copy(update=more)


# ---------------------------------------------------------------- every call once


def test_every_call_is_made_once_and_not_again(tmp_path: Path) -> None:
    model = Scripted(fine)
    twice = [*requests(20), *requests(20)]
    first = run(tmp_path, model, twice)
    assert model.asked == Counter({str(n): 1 for n in range(20)})
    assert first.tally.asked == 20
    again = run(tmp_path, model, twice)
    assert (again.tally.asked, again.tally.found) == (0, 40)
    assert sum(model.asked.values()) == 20


def test_as_many_at_once_as_allowed_and_no_more(tmp_path: Path) -> None:
    model = Scripted(fine)
    run(tmp_path, model, requests(40), changed(concurrency=7))
    assert model.most == 7


def test_requests_are_pulled_as_they_are_needed(tmp_path: Path) -> None:
    model = Scripted(fine)
    ahead: list[int] = []

    def source() -> Iterator[Request]:
        for number, request in enumerate(requests(60)):
            ahead.append(number - sum(model.asked.values()))
            yield request

    run(tmp_path, model, source())  # type: ignore[arg-type]
    assert max(ahead) <= SETTINGS.concurrency


@pytest.mark.real
def test_long_runs_of_finished_calls_do_not_hold_up_those_under_way(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        for request in requests(20_000, 1):
            ledger.append(request.key("m"), FINE)
    passing = True
    turns = 0

    def source() -> Iterator[Request]:
        nonlocal passing
        yield from requests(20_001)
        passing = False

    async def waits(text: str, turn: int) -> Reply:
        nonlocal turns
        while passing:
            turns += 1
            await asyncio.sleep(0)
        return FINE

    run(tmp_path, Scripted(waits), source(), changed(concurrency=2))  # type: ignore[arg-type]
    assert turns > 20_000 / engine.PASSED_AT_ONCE / 2


def test_whoever_asked_may_go_away(tmp_path: Path) -> None:
    model = Scripted(fine)

    async def inside() -> None:
        request = requests(1)[0]
        with Ledger(tmp_path) as ledger:
            async with Engine(model, SETTINGS, ledger) as made:
                first, second = asyncio.create_task(made.ask(request)), asyncio.create_task(made.ask(request))
                await asyncio.sleep(0.001)
                first.cancel()
                assert await second == await made.ask(request)
                with pytest.raises(asyncio.CancelledError):
                    await first

    asyncio.run(inside())
    assert model.asked["0"] == 1


def test_a_call_nobody_waits_for_is_still_put_down(tmp_path: Path) -> None:
    async def inside() -> None:
        with Ledger(tmp_path) as ledger:
            async with Engine(Scripted(fine), SETTINGS, ledger) as made:
                task = asyncio.create_task(made.ask(requests(1)[0]))
                await asyncio.sleep(0.001)
                task.cancel()
            assert len(ledger) == 1

    asyncio.run(inside())


def test_a_bug_in_a_model_is_shown_as_it_is_and_keeps_what_was_finished(tmp_path: Path) -> None:
    async def breaks(text: str, turn: int) -> Reply:
        if text == "10":
            raise ZeroDivisionError("ours")
        return await fine(text, turn)

    with pytest.raises(ZeroDivisionError, match="ours"):
        run(tmp_path, Scripted(breaks), requests(30))
    with Ledger(tmp_path) as ledger:
        assert 6 <= len(ledger) < 30
        assert requests(1, 10)[0].key("m") not in ledger


def test_an_error_in_the_requests_ends_the_asking(tmp_path: Path) -> None:
    def source() -> Iterator[Request]:
        yield from requests(5)
        raise RunError("the file ends here")

    with pytest.raises(RunError, match="the file ends here"):
        run(tmp_path, Scripted(fine), source())  # type: ignore[arg-type]
    with Ledger(tmp_path) as ledger:
        assert len(ledger) == 5


# ---------------------------------------------------------------- tries


def test_what_may_pass_is_tried_again(tmp_path: Path) -> None:
    async def third_time(text: str, turn: int) -> Reply:
        if turn < 3:
            raise Transient("HTTP 500: busy")
        return FINE

    model = Scripted(third_time)
    made = run(tmp_path, model, requests(5))
    assert set(model.asked.values()) == {3}
    assert (made.tally.asked, made.tally.failed, made.tally.retries) == (5, 0, 10)


def test_a_failure_says_why_is_counted_and_is_owed_again(tmp_path: Path) -> None:
    well = False

    async def sometimes(text: str, turn: int) -> Reply:
        if text == "3" and not well:
            raise Transient("HTTP 500: busy")
        if text == "4" and not well:
            raise Refused("HTTP 400: too long")
        return FINE

    model = Scripted(sometimes)
    made = run(tmp_path, model, requests(6))
    assert model.asked["3"] == 3
    assert model.asked["4"] == 1
    reasons = {"HTTP 500: busy (after 3 tries)": 1, "HTTP 400: too long": 1}
    assert made.failures == reasons  # type: ignore[attr-defined]
    with Ledger(tmp_path) as ledger:
        assert (len(ledger), ledger.n_failed) == (4, 2)
        failed = ledger.get(requests(1, 3)[0].key("m"))
        assert failed is not None
        assert (failed.ending, failed.text) == ("error", "")
    well = True
    again = run(tmp_path, model, requests(6))
    assert (again.tally.asked, again.tally.found, again.tally.failed) == (2, 4, 0)


def test_a_reply_that_the_provider_withheld_is_finished(tmp_path: Path) -> None:
    async def withheld(text: str, turn: int) -> Reply:
        return Reply(ending="filter", failure="the provider's safety filter refused")

    model = Scripted(withheld)
    made = run(tmp_path, model, requests(50))
    assert not made.failures  # type: ignore[attr-defined]
    run(tmp_path, model, requests(50))
    assert set(model.asked.values()) == {1}


def test_seconds_are_those_of_the_try_that_succeeded(tmp_path: Path) -> None:
    async def second_time(text: str, turn: int) -> Reply:
        if turn == 1:
            nonlocal first
            begun = time.monotonic()
            await asyncio.sleep(0.2)
            first = time.monotonic() - begun
            raise Transient("slow")
        return FINE

    first = 0.0

    run(tmp_path, Scripted(second_time), requests(1))
    with Ledger(tmp_path) as ledger:
        reply = ledger.get(requests(1)[0].key("m"))
        assert reply is not None
        assert reply.seconds is not None
        assert reply.seconds < first, "a reply that comes at once took less than the try that slept"


def test_retry_after_is_heeded_by_everybody(tmp_path: Path) -> None:
    begun: list[float] = []
    spoken: list[float] = []

    async def crowded(text: str, turn: int) -> Reply:
        begun.append(time.monotonic())
        await asyncio.sleep(0.02)
        if text == "0" and turn == 1:
            spoken.append(time.monotonic())
            raise Transient("HTTP 429: slow down", wait=0.5, crowded=True)
        return FINE

    run(tmp_path, Scripted(crowded), requests(30))
    late = [at for at in begun if at > spoken[0]]
    assert len(late) >= 26
    # Those whose turn came in the same instant were begun; nobody else until the time was over.
    assert len([at for at in late if at < spoken[0] + 0.5]) <= SETTINGS.concurrency


def test_pauses_grow_and_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BACKOFF_FIRST", 0.02)
    tries: dict[str, list[float]] = {}

    async def never(text: str, turn: int) -> Reply:
        tries.setdefault(text, []).append(time.monotonic())
        raise Transient("busy")

    run(tmp_path, Scripted(never), requests(8), changed(concurrency=8, retries=4))
    gaps = [[b - a for a, b in itertools.pairwise(times)] for times in tries.values()]
    assert all(gap[3] > gap[0] for gap in gaps)
    assert all(gap[n] >= 0.5 * 0.02 * 2**n for gap in gaps for n in range(4))
    assert len({round(gap[3], 3) for gap in gaps}) > 4


def test_a_crowd_uses_up_no_tries_while_others_are_served(tmp_path: Path) -> None:
    """A server that serves two at a time and turns everybody else away, with three tries a call."""
    inside = 0

    async def narrow(text: str, turn: int) -> Reply:
        nonlocal inside
        if inside >= 2:
            raise Transient("HTTP 429: slow down", crowded=True)
        inside += 1
        await asyncio.sleep(0.01)
        inside -= 1
        return FINE

    model = Scripted(narrow)
    made = run(tmp_path, model, requests(60), changed(concurrency=30))
    assert made.tally.failed == 0
    assert max(model.asked.values()) > 3


def test_a_crowd_that_never_ends_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CROWD_PATIENCE", 0.2)

    async def full(text: str, turn: int) -> Reply:
        raise Transient("HTTP 429: slow down", crowded=True)

    model = Scripted(full)
    made = run(tmp_path, model, requests(3))
    assert made.tally.failed == 3
    assert 3 < min(model.asked.values()) <= max(model.asked.values()) < 10


# ---------------------------------------------------------------- budgets


def test_a_spent_budget_lets_calls_under_way_finish_and_outlives_the_session(tmp_path: Path) -> None:
    async def slower(text: str, turn: int) -> Reply:
        await asyncio.sleep(0.01 + 0.01 * (int(text) % 4))
        return FINE

    model = Scripted(slower)
    with pytest.raises(RunError, match=r"budget of 100 tokens is used up \(\d+\); raise max_tokens_total"):
        run(tmp_path, model, requests(50), changed(max_tokens_total=100))
    made = sum(model.asked.values())
    assert 9 <= made <= 9 + SETTINGS.concurrency  # twelve tokens a call
    with Ledger(tmp_path) as ledger:
        assert len(ledger) == made
        assert ledger.spent("m").tokens_in + ledger.spent("m").tokens_out == 12 * made
    with pytest.raises(RunError, match="budget of 100 tokens"):
        run(tmp_path, model, requests(50), changed(max_tokens_total=100))
    assert sum(model.asked.values()) == made  # no fresh budget for a new session
    run(tmp_path, model, requests(50), changed(max_tokens_total=10_000))
    assert model.asked == Counter({str(n): 1 for n in range(50)})


def test_a_budget_in_money(tmp_path: Path) -> None:
    priced = changed(price_in=1.0, price_out=10.0, max_cost=0.001)  # 75 millionths a call
    model = Scripted(fine)
    with pytest.raises(RunError, match=r"budget of 0\.001 is spent \(0\.001\d*\); raise max_cost"):
        run(tmp_path, model, requests(50), priced)
    assert 14 <= sum(model.asked.values()) <= 14 + SETTINGS.concurrency


def test_a_budget_needs_token_counts(tmp_path: Path) -> None:
    async def silent(text: str, turn: int) -> Reply:
        return Reply(text="fine", ending="stop")

    model = Scripted(silent)
    with pytest.raises(RunError, match="sends no token counts"):
        run(tmp_path, model, requests(50), changed(max_tokens_total=100))
    assert sum(model.asked.values()) <= SETTINGS.concurrency


def test_tokens_of_tries_that_came_to_nothing_are_spent_too(tmp_path: Path) -> None:
    async def empty_first(text: str, turn: int) -> Reply:
        if turn == 1:
            raise Transient("the server sent an empty reply", spent=(5, 100))
        return FINE

    run(tmp_path, Scripted(empty_first), requests(3))
    with Ledger(tmp_path) as ledger:
        spent = ledger.spent("m")
        assert (spent.finished, spent.tokens_in, spent.tokens_out) == (3, 30, 321)
        reply = ledger.get(requests(1)[0].key("m"))
        assert reply is not None
        assert reply.tokens_out == 7  # the reply's own


def test_a_refused_key_lets_the_others_finish_and_ends_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BACKOFF_FIRST", 36_000.0)  # a test that waits for it hangs

    async def revoked(text: str, turn: int) -> Reply:
        if text == "0":
            raise Transient("busy")  # in a pause of hours when the key is refused
        if text == "1":
            await asyncio.sleep(0.05)
            raise RecipeError("the server refused the key in MY_KEY")
        await asyncio.sleep(0.2)
        return FINE

    with pytest.raises(RecipeError, match="refused the key"):
        run(tmp_path, Scripted(revoked), requests(50))
    with Ledger(tmp_path) as ledger:
        assert (len(ledger), ledger.n_failed) == (2, 0)  # 2 and 3 were under way; 0 was not: it is owed, not failed


# ---------------------------------------------------------------- no hope


async def gone(text: str, turn: int) -> Reply:
    raise Refused("HTTP 400: unknown field")


def test_when_nothing_works_the_rest_is_not_tried(tmp_path: Path) -> None:
    model = Scripted(gone)
    with pytest.raises(RunError, match=r"20 calls in a row failed, the last with: HTTP 400: unknown field"):
        run(tmp_path, model, requests(1000))
    assert sum(model.asked.values()) <= 20 + SETTINGS.concurrency


def test_a_server_that_was_never_there_is_told_at_once_and_one_that_was_is_waited_for(tmp_path: Path) -> None:
    async def absent(text: str, turn: int) -> Reply:
        raise Transient("no connection: connection refused (http://here)", absent=True)

    patient = SETTINGS.model_copy(update={"retries": 6})
    model = Scripted(absent)
    with pytest.raises(RunError, match=r"^m: no connection: connection refused \(http://here\)\. Start the server"):
        run(tmp_path / "never", model, requests(1000), patient)
    assert max(model.asked.values()) <= 1 + engine.ABSENT_PATIENCE and len(model.asked) <= SETTINGS.concurrency

    async def restarted(text: str, turn: int) -> Reply:
        return FINE if text == "0" or turn > 5 else await absent(text, turn)

    one = patient.model_copy(update={"concurrency": 1})
    assert run(tmp_path / "was", Scripted(restarted), requests(3), one).tally.failed == 0

    async def starting(text: str, turn: int) -> Reply:
        return FINE if turn > engine.ABSENT_PATIENCE else await absent(text, turn)

    assert run(tmp_path / "late", Scripted(starting), requests(3), patient).tally.failed == 0


def test_a_server_that_goes_away_later_ends_the_session(tmp_path: Path) -> None:
    async def dies(text: str, turn: int) -> Reply:
        return FINE if int(text) < 30 else await gone(text, turn)

    model = Scripted(dies)
    with pytest.raises(RunError, match="100 calls in a row failed"):
        run(tmp_path, model, requests(1000))
    assert sum(model.asked.values()) <= 130 + SETTINGS.concurrency


def test_calls_that_always_fail_do_not_bar_the_way(tmp_path: Path) -> None:
    """150 hopeless requests before the good ones: each session gets further, and the last gets through."""

    async def some(text: str, turn: int) -> Reply:
        return await gone(text, turn) if 10 <= int(text) < 160 else FINE

    model = Scripted(some)
    with pytest.raises(RunError, match="in a row"):
        run(tmp_path, model, requests(200))
    made = run(tmp_path, model, requests(200))
    assert made.tally.failed == 150
    with Ledger(tmp_path) as ledger:
        assert (len(ledger), ledger.n_failed) == (50, 150)


# ---------------------------------------------------------------- keys


def test_everything_in_a_request_makes_it_another_call() -> None:
    base = Request(messages=(Message(role="user", content="a"),), sampling=Sampling(), json_schema={"a": 1, "b": 2})
    other: dict[str, Any] = {
        "messages": (Message(role="user", content="b"),),
        "rendered": "a",
        "prefill": "<think>",
        "sample": 1,
        "json_schema": {"a": 1},
        "sampling": None,
    }
    assert set(other) == set(Request.model_fields)
    drawn: dict[str, Any] = {"temperature": 0.5, "top_p": 0.5, "max_tokens": 5, "seed": 0}
    assert set(drawn) == set(Sampling.model_fields)
    variants = [base.model_copy(update={name: value}) for name, value in other.items() if name != "sampling"]
    variants += [base.model_copy(update={"sampling": Sampling(**{name: value})}) for name, value in drawn.items()]
    variants += [
        base.model_copy(update={"messages": (Message(role=role, content="a"),)}) for role in ("system", "assistant")
    ]
    variants += [base.model_copy(update={"messages": ()}), base.model_copy(update={"messages": base.messages * 2})]
    keys = {request.key("m") for request in [base, *variants]} | {base.key("n")}
    assert len(keys) == len(variants) + 2
    assert all(len(key) == 32 and set(key) <= set("0123456789abcdef") for key in keys)


def test_the_same_call_has_the_same_key_in_every_process() -> None:
    request = Request(messages=(Message(role="user", content="思 a\ud800"),), json_schema={"b": 1, "a": 2})
    same = Request(messages=(Message(role="user", content="思 a\ud800"),), json_schema={"a": 2, "b": 1})
    assert request.key("openai:m") == same.key("openai:m") == "e3c3d9744aba4868757d69d3f81ace1c"


# ---------------------------------------------------------------- a stage's calls


def calls(root: Path, max_failed: float = 0.1) -> Any:
    """A run directory and its calls, closed at the end of the test's process."""
    run_dir = RunDir.open(Step("distil", "part", {}), root)
    return Calls(run_dir.__enter__(), Workplace(root), max_failed)


RECORDED = '{{"instruction": "default", "prompt": "{0}", "reasoning": "about {0}", "answer": "yes {0}"}}\n'


@pytest.fixture
def recorded(tmp_path: Path) -> ModelSettings:
    """A teacher whose replies to 0..9 were recorded."""
    file = tmp_path / "recorded.jsonl"
    file.write_text("".join(RECORDED.format(n) for n in range(10)))
    return ModelSettings(name=f"replay:{file}", alias="recorded")


def test_failures_within_the_share_are_kept_and_more_are_unfinished(tmp_path: Path, recorded: ModelSettings) -> None:
    made = calls(tmp_path, max_failed=0.1)
    made.ask(recorded, lambda: requests(11), 11, "distil part")
    assert made.reply(recorded, requests(1, 3)[0]).text == "<think>\nabout 3\n</think>\n\nyes 3"
    assert made.reply(recorded, requests(1, 10)[0]).failure.startswith("no reply was recorded")
    assert made.reply(recorded, requests(1, 77)[0]).failure == "this call was never made"
    with pytest.raises(
        RunError,
        match=r"distil part: 2 of 12 calls to recorded failed, most often: no reply was recorded.*"
        r"however often it is asked: record them \(`replay:FILE`",
    ):
        made.ask(recorded, lambda: requests(12), 12, "distil part")
    counts = made.summary()["calls"]["recorded"]
    assert (counts["asked"], counts["failed"], counts["found"]) == (13, 3, 10)
    made.close()


def test_a_sample_that_was_recorded_is_replied_to_it_alone(tmp_path: Path, recorded: ModelSettings) -> None:
    file = Path(recorded.target)
    key = conversation(requests(1)[0])
    file.write_text(
        f'{{"request": "{key}", "text": "any"}}\n{{"request": "{key}", "sample": 1, "text": "the second"}}\n'
    )
    made = calls(tmp_path)
    asked = [requests(1)[0].model_copy(update={"sample": sample}) for sample in range(3)]
    made.ask(recorded, lambda: iter(asked), 3, "distil part")
    assert [made.reply(recorded, one).text for one in asked] == ["any", "the second", "any"]
    made.close()
    for wrong in ("-1", '"1"', "true"):
        file.write_text(f'{{"request": "{key}", "sample": {wrong}, "text": "x"}}\n')
        with pytest.raises(RecipeError, match=r"recorded\.jsonl:1: sample: expected a whole number"):
            Replay(recorded)


def test_a_finished_stage_needs_no_model(tmp_path: Path, recorded: ModelSettings) -> None:
    made = calls(tmp_path)
    made.ask(recorded, lambda: iter(requests(10)), 10, "distil part")
    locked = ModelSettings(name="openai:m", alias="recorded", key_env="UNWAVER_NO_SUCH_KEY")
    assert "UNWAVER_NO_SUCH_KEY" not in os.environ
    made.ask(locked, lambda: iter(requests(10)), 10, "distil part")
    with pytest.raises(RecipeError, match="UNWAVER_NO_SUCH_KEY"):
        made.ask(locked, lambda: iter(requests(11)), 11, "distil part")
    made.close()


def test_two_roles_of_one_model_share_its_engine(tmp_path: Path, recorded: ModelSettings) -> None:
    made = calls(tmp_path)

    async def work(engines: dict[str, Engine]) -> list[Reply]:
        assert engines["judge"] is engines["attacker"]
        assert engines["judge"] is not engines["target"]
        return await asyncio.gather(*(engines[role].ask(requests(1)[0]) for role in engines))

    roles = {"judge": recorded, "attacker": recorded, "target": recorded.model_copy(update={"alias": "other"})}
    assert len({reply.text for reply in made.drive(roles, work)}) == 1
    summary = made.summary()
    assert {label: of["asked"] for label, of in summary["calls"].items()} == {"recorded": 1, "other": 1}
    assert summary["cost"] is None
    made.close()


def test_cost_in_the_manifest_is_that_of_all_sessions(tmp_path: Path) -> None:
    priced = changed(price_in=1.0, price_out=10.0)
    for start in (0, 10):
        folder = tmp_path / "distil-x" / "replies"
        run(folder, Scripted(fine), requests(10, start), priced)
    with Ledger(folder) as ledger:
        assert engine.summary(priced, engine.Tally(), ledger)["cost"] == pytest.approx(20 * 75e-6)
