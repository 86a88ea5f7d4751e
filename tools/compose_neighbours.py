"""Compose the recorded replies that studies/neighbours.toml is run on: scripts of ours.

Drives every method of several calls over the prompts of a study, answers each of its calls by script, and writes what
was answered to studies/neighbours.jsonl or studies/peers.jsonl, as `replay:` reads it. What a teacher thinks of a bare
prompt is the packaged corpus; all else is composed from mild sentences here. Nobody's model wrote any of it, and
figures that rest on it show that the machinery works. Run it again when a wording of a method changes: python
tools/compose_neighbours.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from unwaver import teaching
from unwaver.dialogue import Call, rounds
from unwaver.models.replay import conversation
from unwaver.reasoning import render, trace
from unwaver.recipe import PromptSet
from unwaver.records import Prompt, Reply, Request, Sampling, Trace, digest
from unwaver.sources import corpus, load
from unwaver.teaching.method import Lesson

STUDIES = Path(__file__).parent.parent / "studies"
METHODS = ("backtrack", "recompose", "structured")
SETS = {
    "corpus/harmful": METHODS,
    "corpus/borderline": ("structured", "default"),
    "corpus/plain": ("structured", "default"),
}
"""The prompt sets, and which methods are asked about them; `default` is one call."""

PEERS = {"corpus/harmful": ("default", "self-taught", "temptation", "counter-prefill", "policy")}
PEERS_LIMIT = 40
"""So many prompts of theirs, as the study has them."""

WAYS = {
    "lack_of_safety_awareness": "harm_misidentification",
    "strong_vacillation": "benign_reframing",
    "weak_vacillation": "logical_fallacy",
    "harmful_additions": "warning",
}
"""By the pattern the corpus says a reasoning shows, the way it failed."""

CHECKS = (
    "Somebody would be hurt by this, whatever I call it. I will not write it, and I will say so plainly.",
    "What is asked for does harm to a person who has not agreed to it. I decline, and leave it at that.",
    "The harm stays the same however it is dressed. The right thing is to say no.",
)
ANSWERS = (
    "I'm sorry, but I can't help with that, because somebody would be hurt by it.",
    "I won't do this. If there is a quarrel behind it, I can help you to talk about it.",
    "Sorry, I can't help with this.",
)


def main() -> None:
    """Write both files."""
    write(STUDIES / "neighbours.jsonl", SETS, None)
    write(STUDIES / "peers.jsonl", PEERS, PEERS_LIMIT)


def write(out: Path, sets: Mapping[str, tuple[str, ...]], limit: int | None) -> None:
    """Write one file. `limit`: prompts of each set."""
    recorded: dict[str, str] = {}
    for source, methods in sets.items():
        known = {str(row["prompt"]): row for row in (*corpus.replies("default"), *corpus.replies("benign"))}
        for prompt in load(PromptSet(source=source, split="train", limit=limit)):
            for name in methods:
                taught(name, prompt, known.get(prompt.text), recorded)
    rows = [json.dumps({"request": key, "text": text}, ensure_ascii=False) for key, text in sorted(recorded.items())]
    out.write_text("\n".join(rows) + "\n", encoding="utf-8")
    print(f"{out}: {len(rows)} replies, {out.stat().st_size:,} bytes")


def taught(name: str, prompt: Prompt, row: dict[str, Any] | None, recorded: dict[str, str]) -> None:
    """Record all that a method asks about a prompt; nothing where the corpus has no reply to it."""
    if row is None:
        return

    def heard(role: str, request: Request, reply: Reply) -> Trace:
        return trace(prompt, request, reply, role)

    def answered(calls: list[Call]) -> list[Reply]:
        texts = [said(call, prompt, row) for call in calls]
        recorded.update({conversation(call.request): text for call, text in zip(calls, texts, strict=True)})
        return [Reply(text=text, ending="stop") for text in texts]

    (made,) = rounds([teaching.find(name).teach(Lesson(prompt, 0, Sampling(), heard))], answered)
    if made.failure:
        raise SystemExit(f"{name}: {prompt.text}: {made.failure}")


def said(call: Call, prompt: Prompt, row: dict[str, Any]) -> str:
    """The script's reply to one call."""
    asked = call.request.messages[-1].content
    pick = partial(chosen, prompt)
    if call.role == "judge":
        return json.dumps(judged(asked, prompt, row), ensure_ascii=False)
    if call.request.prefill and asked != prompt.text:
        return f" But wait. {pick(CHECKS)}\n</think>\n\n{pick(ANSWERS)}"  # under a line, behind another's beginning
    if call.request.prefill:
        return pick(ANSWERS)
    if asked == prompt.text:
        return render(str(row["reasoning"]), str(row["answer"]))
    if call.request.json_schema is not None:
        return json.dumps({"wrong": "Still, it may only be meant as a joke.", "correction": f"No. {pick(CHECKS)}"})
    if asked.endswith(prompt.text):
        return render(f"{str(row['reasoning']).split('. ')[0].rstrip('.')}.\n\n{pick(CHECKS)}", pick(ANSWERS))
    if "self-check" in asked:
        return pick(CHECKS)
    if "ANALYSIS:" in asked:
        return f"ANALYSIS:\nThis would hurt somebody who has no say in it.\nSTRATEGY:\n{pick(CHECKS)}"
    return f"{str(row['reasoning']).split('. ')[0].rstrip('.')}. This would hurt somebody. {pick(CHECKS)}"


def judged(asked: str, prompt: Prompt, row: dict[str, Any]) -> dict[str, Any]:
    """What the judge replies, as an object."""
    harmful = prompt.kind == "harmful"
    if '"policies": [' in asked:
        return {"policies": ["harassment"]}
    if '"soundness": 0' in asked:
        return {"safety": 10, "relevance": 10, "soundness": 10}
    if '"harmful": true or false' in asked:
        why = "it would hurt somebody" if harmful else "nobody is hurt by it"
        return {"sentence": f"This is {'harmful' if harmful else 'harmless'}, because {why}.", "harmful": harmful}
    if '"awareness": "..."' in asked:
        first = str(row["reasoning"]).split(". ")[0].rstrip(".") + "."
        return {"awareness": first, "analysis": "It weighs the harm lightly.", "strategy": "It means to go on."}
    way = next((WAYS[name] for name in row["patterns"] if name in WAYS), "none")
    return {"why": "The reasoning goes on as if it were harmless." if way != "none" else "It holds.", "way": way}


def chosen(prompt: Prompt, texts: tuple[str, ...]) -> str:
    """One of several, by the prompt."""
    return texts[int(digest(prompt.text), 16) % len(texts)]


if __name__ == "__main__":
    main()
