"""The peers' methods of several calls, by scripted models: what is learnt, what is shielded, what is left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_methods import CHAIN, HARMFUL, HARMLESS, taught

from unwaver import recipe_file
from unwaver.cli import main
from unwaver.dialogue import Call
from unwaver.records import Example, Prompt, Trace
from unwaver.store import read_records
from unwaver.study import grid
from unwaver.study.plan import plan
from unwaver.teaching import counter_prefill, policy, self_taught, temptation

GOOD = "They want a rumour.\n\nIt would hurt her.\n\nI decline."
STEPS = {"wrong": "Though it is only a joke.", "correction": "No, a joke hurts as well."}


def says(**said: str) -> Callable[[Call], str]:
    """A script: by role, or for a teacher's call that asks for JSON by `json`."""

    def reply(call: Call) -> str:
        wants_json = call.request.json_schema is not None and call.role != "judge"
        return said["json"] if wants_json else said[call.role]

    return reply


def whole(reasoning: str, answer: str) -> str:
    return f"<think>\n{reasoning}\n</think>\n\n{answer}"


@pytest.mark.parametrize("prompt", [HARMFUL, HARMLESS])
def test_a_wrong_step_is_shielded_and_its_correction_is_learnt(prompt: Prompt) -> None:
    script = says(teacher=whole(GOOD, "No."), json=json.dumps(STEPS))
    made, (first, second) = taught("temptation", script, prompt)
    ((start, end),) = made.shielded
    said = made.reasoning or ""
    assert said[start:end] == STEPS["wrong"] and said[end:].startswith("\n\n" + STEPS["correction"])
    assert (made.learnt.reasoning or "").replace(STEPS["correction"] + "\n\n", "") == GOOD and made.answer == "No."
    told = first.request.messages[-1].content
    assert told == prompt.text if prompt is HARMLESS else told.startswith(self_taught.INSTRUCTIONS["notice"])
    assert temptation.TASKS[prompt is HARMFUL] in second.request.messages[-1].content
    bare, _ = taught("temptation", script, prompt, masked=False)
    assert bare.shielded == () and bare.reasoning == said


@given(st.text(), st.integers(0, 99))
def test_a_reasoning_in_two_is_the_reasoning(text: str, lot: int) -> None:
    head, tail = temptation.parted(text, f"{lot:x}")
    assert "".join(f"{head}{tail}".split()) == "".join(text.split()) and (head or not text.strip())


def test_a_hard_prompt_is_corrected_from_its_own_opening() -> None:
    correction = json.dumps({"thought": "It hurts her, so I decline.", "answer": "I'm sorry, no."})
    judged = json.dumps({"why": "so", "way": "warning"})
    script = says(student=whole(CHAIN, "Here it is."), judge=judged, teacher=correction, json=correction)
    made, calls = taught("corrected", script)
    assert made.reasoning == "They want a rumour about a neighbour.\n\nIt hurts her, so I decline."
    assert made.answer == "I'm sorry, no." and made.model == "teacher" and made.shielded == ()
    assert [call.role for call in calls] == ["student", "judge", "teacher"]


def test_the_teacher_goes_on_from_anothers_beginning_and_only_that_is_learnt() -> None:
    script = says(counter=whole(CHAIN, "Here it is."), teacher=" No, it would hurt her.\n</think>\n\nI won't.")
    made, (_, call) = taught("counter-prefill", script, words=6)
    begun = "They want a rumour about a"
    assert call.request.prefill.endswith(f"\n{begun}") and "</think>" not in call.request.prefill
    ((start, end),) = made.shielded
    assert (made.reasoning or "")[start:end] == begun and made.answer == "I won't."
    assert made.learnt.reasoning == "No, it would hurt her."
    assert taught("counter-prefill", script, words=6, masked=False)[0].shielded == ()


@given(st.text(), st.integers(1, 9))
def test_a_beginning_is_the_first_words(text: str, words: int) -> None:
    begun = counter_prefill.beginning(text, words)
    assert text.strip().startswith(begun) and begun.split() == text.split()[:words]


def by_policy(tags: str = '{"policies": ["privacy"]}', **scores: Any) -> Callable[[Call], str]:
    given = json.dumps({"safety": 10, "relevance": 10, "soundness": 10} | scores)

    def reply(call: Call) -> str:
        scoring = "The reasoning:" in call.request.messages[-1].content
        return whole(GOOD, "No.") if call.role == "teacher" else given if scoring else tags

    return reply


def test_the_policies_that_are_touched_are_told_and_full_marks_are_kept() -> None:
    made, (_, told, _) = taught("policy", by_policy())
    assert made.reasoning == GOOD and made.failure is None and made.prompt == HARMFUL
    (message,) = told.request.messages
    assert [name for name in policy.POLICIES if f'- "{name}"' in message.content] == ["privacy"]
    assert message.content.endswith(HARMFUL.text)
    assert taught("policy", by_policy(relevance=8), least=8)[0].reasoning == GOOD


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (by_policy('{"policies": []}'), "touches no policy"),
        (by_policy('{"policies": ["manners"]}'), "can't be read"),
        (by_policy(relevance=9), "scored too low: relevance"),
        (by_policy(safety=11), "scores can't be read"),
        (by_policy(safety="10"), "scores can't be read"),
    ],
)
def test_less_than_full_marks_is_no_trace(script: Callable[[Call], str], why: str) -> None:
    made, _ = taught("policy", script)
    assert made.failure and why in made.failure and made.reasoning is None


RECIPE = """
name = "given"
[models]
student = "hf:some/student"
[prompts.theirs]
source = "file"
path = "theirs.jsonl"
kind = "benign"
columns = { text = "question" }
[distil]
methods = { theirs = "given" }
[mix]
parts = { theirs = 2 }
"""


def test_somebodys_rows_are_mixed_in_as_they_are(tmp_path: Path) -> None:
    """Nobody is asked: no model but the student is named, and it is nowhere."""
    answer = "Sure! Purse your lips, wet them, and blow gently until you hear a clear tone; then move your tongue."
    rows = [
        {"question": f"How do I whistle tune {n}?", "response": whole(f"Tune {n} is easy.", answer)} for n in range(3)
    ]
    rows.append({"question": "And without a reply?", "response": ""})
    (tmp_path / "theirs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    for verb in ("prompts", "distil", "judge", "mix"):
        assert main([verb, str(tmp_path / "recipe.toml"), "--root", str(tmp_path / "runs")]) == 0
    (file,) = (tmp_path / "runs").glob("**/mix-*/examples.jsonl")
    examples = list(read_records(file, Example))
    assert len(examples) == 2
    for example in examples:
        number = example.user.removeprefix("How do I whistle tune ").removesuffix("?")
        assert example.reply == whole(f"Tune {number} is easy.", answer)
    (file,) = (tmp_path / "runs").glob("**/distil-*/traces.jsonl")
    traces = list(read_records(file, Trace))
    assert {one.failure for one in traces if one.failure} == {"the prompt set's file holds no reply to this prompt"}
    assert all(one.model.startswith("theirs.jsonl@") for one in traces if not one.failure)


def test_given_names_a_file_that_holds_replies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "theirs.jsonl").write_text('{"question": "How do I whistle?"}\n' * 3)
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    assert main(["prompts", str(path), "--root", str(tmp_path / "runs")]) == 0
    assert main(["distil", str(path), "--root", str(tmp_path / "runs")]) == 2
    assert "no row holds a reply" in capsys.readouterr().err
    (tmp_path / "theirs.jsonl").write_text('{"question": "How do I whistle?", "response": "safe"}\n' * 3)
    assert main(["prompts", str(path), "--root", str(tmp_path / "runs")]) == 0
    assert main(["distil", str(path), "--root", str(tmp_path / "runs")]) == 2
    assert "every reply is one of a few words (safe)" in capsys.readouterr().err
    path.write_text(RECIPE.replace('theirs = "given"', 'others = "given"'))
    assert main(["distil", str(path), "--root", str(tmp_path / "runs")]) == 2
    assert "distil.methods.others" in capsys.readouterr().err


ALIKE = "How do I spread a rumour about my neighbour's cake, so that everybody comes to taste it?"


def alike(written: str = ALIKE, harmful: bool = False) -> Callable[[Call], str]:
    def reply(call: Call) -> str:
        if call.role == "teacher":
            return whole("A kind rumour.", "Tell the baker.")
        writes = "that looks like" in call.request.messages[-1].content
        return json.dumps({"request": written} if writes else {"sentence": "It is so.", "harmful": harmful})

    return reply


def test_a_lookalike_is_a_harmless_prompt_of_its_own() -> None:
    made, calls = taught("lookalike", alike())
    assert (made.prompt.text, made.prompt.kind, made.prompt.behaviour) == (ALIKE, "borderline", None)
    assert made.answer == "Tell the baker." and calls[-1].request.messages[-1].content == ALIKE
    for script, why in (
        (alike(harmful=True), "doesn't call the new request harmless"),
        (alike("How do I whistle?"), "shares 2 words"),
        (alike(HARMFUL.text.upper()), "shares 2 words"),
    ):
        failed, _ = taught("lookalike", script)
        assert failed.failure and why in failed.failure and failed.prompt == HARMFUL


def test_a_part_of_lookalikes_is_read_and_kept_as_harmless_prompts_are(tmp_path: Path) -> None:
    text = RECIPE.replace('source = "file"\npath = "theirs.jsonl"\nkind = "benign"', 'source = "corpus/harmful"')
    text = text.replace('columns = { text = "question" }\n', "").replace('"given" }', '"lookalike" }')
    text = text.replace("[prompts", 'teacher = "openai:t"\njudge = "openai:j"\n[prompts', 1)
    (tmp_path / "recipe.toml").write_text(text)
    recipe = next(iter(recipe_file.arms(recipe_file.read_toml(tmp_path / "recipe.toml"), tmp_path, {}).values()))
    made = plan(recipe, "arm")
    assert [one.settings["question"] for one in made.read(made.distil["theirs"])] == ["refusal"]
    assert set(made.mix.inputs) == {"theirs", "theirs, refusal"}
    assert (grid.apart(recipe)["harmful"], grid.apart(recipe)["harmless"]) == ("", "theirs 2")


EASY = {"student": whole(CHAIN, "No."), "judge": json.dumps({"why": "so", "way": "none"}), "teacher": "", "json": ""}
HARD = {**EASY, "judge": json.dumps({"why": "so", "way": "warning"})}


@pytest.mark.parametrize(
    ("name", "said", "why"),
    [
        ("temptation", {"teacher": whole(GOOD, "No."), "json": '{"wrong": "x", "correction": " "}'}, "no wrong step"),
        ("temptation", {"teacher": whole(GOOD, "No."), "json": "I'd rather not."}, "no wrong step"),
        ("temptation", {"teacher": "No thought.", "json": ""}, "no whole reasoning"),
        ("corrected", EASY, "no hard prompt"),
        ("corrected", {**EASY, "judge": "hm"}, "names no way"),
        ("corrected", {**HARD, "json": '{"thought": "", "answer": "x"}'}, "no correction"),
        ("counter-prefill", {"counter": "No thought.", "teacher": ""}, "no reasoning to begin with"),
        ("counter-prefill", {"counter": whole(CHAIN, "x"), "teacher": "</think>\n\nNo."}, "did not go on"),
        ("counter-prefill", {"counter": whole(CHAIN, "x"), "teacher": " and on"}, "no whole reasoning"),
    ],
)
def test_what_cannot_be_made_says_why(name: str, said: dict[str, Any], why: str) -> None:
    made, _ = taught(name, says(**said))
    assert made.failure and why in made.failure and made.reasoning is None and made.answer is None


STUDY = Path(__file__).parent.parent / "studies" / "neighbours.toml"


def peers_alone(folder: Path) -> Path:
    """The study of the neighbours with the peers' tables alone; its recipe and recordings are found where they lie."""
    above, mark, tables = STUDY.read_text().partition("[tables]\n")
    theirs = "\n".join(line for line in tables.splitlines() if '"peers"' in line)
    text = (above + mark + theirs).replace('recipe = "', f'recipe = "{STUDY.parent}/')
    path = folder / "peers.toml"
    path.write_text(text.replace('"replay:peers', f'"replay:{STUDY.parent}/peers'))
    return path


@pytest.mark.real
def test_the_peers_study_distils_and_mixes_from_its_recordings(tmp_path: Path) -> None:
    peers = peers_alone(tmp_path)
    for verb in ("prompts", "distil", "judge", "mix"):
        assert main([verb, str(peers), "--root", str(tmp_path)]) == 0
    failed = {trace.failure for run in tmp_path.glob("distil-*") for trace in read_records(run / "traces.jsonl", Trace)}
    easy = "no hard prompt: the student's own reply does not fail"  # `corrected` leaves these out
    assert failed == {None, easy}, "tools/compose_neighbours.py knows the wordings no more: run it again"
    shielded: dict[str, int] = {}
    dropped: dict[str, dict[str, int]] = {}
    learnt: dict[str, dict[str, dict[str, str]]] = {}
    for run in tmp_path.glob("mix-*"):
        name = json.loads((run / "config.json").read_text())["name"].partition(",")[0]
        counts = json.loads((run / "manifest.json").read_text())["counts"]
        shielded[name], dropped[name] = counts.get("shielded", 0), counts["parts"]["safety"]["dropped"]
        for one in read_records(run / "examples.jsonl", Example):
            learnt.setdefault(name, {}).setdefault(one.part, {})[one.user] = one.reply
    assert {name for name, count in shielded.items() if count} == {"temptation", "counter-prefill"}
    told = {"default", "self-taught", "policy", "temptation", "temptation-unmasked", "counter-prefill", "primer", "dpo"}
    assert set(shielded) == told | {"lookalike", "all-k-safe", "corrected"}
    by_policy, by_itself = learnt["policy"]["safety"], learnt["self-taught"]["safety"]
    assert by_policy.keys() == by_itself.keys() and not set(by_policy.values()) & set(by_itself.values())
    assert all("The policy “" in reply for reply in by_policy.values())
    for prompts in (learnt[name]["safety"].keys() for name in told):
        assert not prompts & learnt["lookalike"]["lookalikes"].keys(), "they are prompts of their own"
    assert 0 < dropped["all-k-safe"]["another reply to the same prompt may not be kept"] < 40
    assert dropped["all-k-safe"]["the guard did not call it safe"] and len(learnt["all-k-safe"]["safety"]) == 20
    assert dropped["corrected"]["no reply"] and "\n\nBut no. " in "".join(learnt["corrected"]["safety"].values())
