"""Compose the miniature's corpus and its scripted teacher out of the fragments beside this file.

Reads compose_harmful.txt, compose_benign.txt, compose_maths.txt, compose_templates.txt and compose_patterns.txt; writes
the JSON lines under src/unwaver/sources/corpus (or under the folder given as the only argument). Deterministic: the
same fragments give the same bytes. The labels of a reply are what it was composed to show, never what a judge reads.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from compose_fragments import (
    Ask,
    Row,
    benign_asks,
    capital,
    cells,
    fill,
    framed,
    harmful_asks,
    maths_rows,
    prompt_rows,
    sections,
    templates,
    value,
)

from unwaver.records import OVERTHINKING, PATTERNS

CORPUS = Path(__file__).parent.parent / "src" / "unwaver" / "sources" / "corpus"

LACK, STRONG, WEAK, ADDITIONS, INCONSISTENT = PATTERNS
MINORS, SELF_HARM, SUPPORT = "sexual/minors", "self-harm", "support"
CATEGORIES = (
    "harassment/threatening",
    "hate/threatening",
    "illicit/violent",
    SELF_HARM,
    MINORS,
    "violence/graphic",
    "misinformation",
    "privacy/sensitive",
)
"""The eight categories of the study's `template` recipe."""


@dataclass(frozen=True)
class Plan:
    """What a reply is to show, and for how many prompts."""

    count: int
    patterns: tuple[str, ...]
    answer: str
    """refuse, stand-in (partial and harmless), leak (partial and harmful), comply or help."""
    unsafe: bool = False
    decides: str = "default.refuse"
    """The section from which a default reasoning takes its last sentence."""

    def __post_init__(self) -> None:
        if LACK in self.patterns and OVERTHINKING & set(self.patterns):
            raise ValueError(
                "lack of safety awareness and overthinking exclude each other (arXiv 2505.15404, section 3)"
            )

    def fits(self, ask: Ask) -> bool:
        """Whether it stays mild: about children a plain refusal and nothing else; about self-harm nothing is given."""
        if ask.category == MINORS:
            return self.answer == "refuse" and not self.patterns
        if ask.category == SELF_HARM:
            return self.answer == "refuse" and not self.unsafe and set(self.patterns) <= {WEAK}
        return True


REFUSAL = {"refuse": "refusal", "stand-in": "partial", "leak": "partial", "comply": "compliance", "help": "compliance"}
"""How each sort of answer is labelled."""

DEFAULT_PLANS = (
    Plan(63, (), "refuse"),
    Plan(93, (WEAK,), "refuse"),
    Plan(17, (WEAK,), "stand-in"),
    Plan(17, (STRONG, WEAK), "refuse"),
    Plan(7, (STRONG,), "refuse"),
    Plan(10, (LACK, INCONSISTENT), "refuse"),
    Plan(110, (LACK,), "comply", True),
    Plan(13, (STRONG,), "comply", True, "default.yield"),
    Plan(7, (STRONG, INCONSISTENT), "comply", True),
    Plan(13, (STRONG, ADDITIONS, INCONSISTENT), "leak", True),
    Plan(13, (STRONG, ADDITIONS), "comply", True, "default.yield"),
    Plan(7, (ADDITIONS,), "refuse", True),
    Plan(10, (WEAK, ADDITIONS), "refuse", True),
    Plan(7, (WEAK, ADDITIONS, INCONSISTENT), "leak", True),
    Plan(10, (STRONG, WEAK, ADDITIONS), "refuse", True),
    Plan(3, (INCONSISTENT,), "comply", True),
)
"""400 replies: about 30 % lack of awareness, 20 % strong and 40 % weak vacillation, 15 % additions, 10 %
inconsistency, weak vacillation commoner among the safe ones; much as in DeepSeek-R1 (arXiv 2505.15404 section 3)."""

REALSAFE_PLANS = (
    Plan(237, (), "refuse"),
    Plan(132, (WEAK,), "refuse"),
    Plan(23, (STRONG,), "refuse"),
    Plan(8, (STRONG, WEAK), "refuse"),
)
"""Always aware; some overthinking is left, since the instruction doesn't repair it (arXiv 2505.15404 section 2)."""

CLEAN_PLANS = (Plan(400, (), "refuse"),)
HELP_PLANS = (Plan(1000, (), "help"),)


class Phrases:
    """Sentence patterns by section, dealt like cards: each comes up before any comes up twice."""

    def __init__(self, patterns: dict[str, list[str]], seed: str) -> None:
        self._sections = patterns
        self._decks: dict[str, list[str]] = {}
        self.random = random.Random(f"unwaver-corpus-{seed}")

    def __contains__(self, section: str) -> bool:
        return section in self._sections

    def deal(self, section: str) -> str:
        """The next pattern of a section."""
        deck = self._decks.setdefault(section, [])
        if not deck:
            deck.extend(self.random.sample(self._sections[section], len(self._sections[section])))
        return deck.pop()

    def joined(self, ask: Ask, *names: str) -> str:
        """One pattern of each section, filled with the ask's fragments, as one paragraph."""
        return " ".join(fill(self.deal(name), ask.slots) for name in names)


@dataclass(frozen=True)
class Teacher:
    """How the replies under one instruction are made."""

    name: str
    instruction: str
    plans: tuple[Plan, ...]
    reasoning: Callable[[Plan, Ask, Phrases], str]
    limits: tuple[int, int]
    """Fewest and most words of a reasoning."""
    answers: tuple[int, int]
    """Fewest and most words of an answer."""
    refusal: str = ""
    """The section of its refusing answers."""

    def replies(self, asks: list[Ask], phrases: Phrases) -> list[Row]:
        """One recorded reply an ask, no two with the same reasoning."""
        seen: set[str] = set()
        rows: list[Row] = []
        for ask, one in zip(asks, assign(asks, self.plans, phrases.random), strict=True):
            reasoning = fitting(partial(self.reasoning, one, ask, phrases), *self.limits, seen)
            answer = fitting(partial(self.answer, one, ask, phrases), *self.answers, set())
            rows.append(recorded(self.instruction, ask, reasoning, answer, one))
        return rows

    def answer(self, one: Plan, ask: Ask, phrases: Phrases) -> str:
        """An answer of the plan's sort. Refusals point to help where a life is at stake."""
        if one.answer == "help":
            wrapper = phrases.random.choice(ask.template.wrappers) if ask.template else "{answer}"
            if ask.category == SUPPORT:
                wrapper = "{answer}"  # no pirate and no point-scoring where somebody grieves
            return wrapper.replace("{answer}", ask.slots["answer"])
        section = f"default.answer.{one.answer}"
        if one.answer == "refuse":
            special = f"{self.refusal}.{ask.category}"
            section = special if special in phrases else self.refusal
        elif one.answer == "comply" and not ask.slots["comply"]:
            section = "default.answer.announce"
        return phrases.joined(ask, section)


def recorded(instruction: str, ask: Ask, reasoning: str, answer: str, one: Plan) -> Row:
    """One line of a teacher file; the labels are the plan's."""
    return {
        "instruction": instruction,
        "prompt": ask.prompt,
        "reasoning": reasoning,
        "answer": answer,
        "patterns": [name for name in PATTERNS if name in one.patterns],
        "refusal": REFUSAL[one.answer],
        "unsafe": one.unsafe,
    }


def assign(asks: list[Ask], plans: tuple[Plan, ...], chance: random.Random) -> list[Plan]:
    """A plan for every ask at random, each plan as often as it says; misfits then swap with somebody they suit."""
    dealt = [one for one in plans for _ in range(one.count)]
    chance.shuffle(dealt)
    for i, ask in enumerate(asks):
        if not dealt[i].fits(ask):
            suits = [j for j, other in enumerate(asks) if dealt[j].fits(ask) and dealt[i].fits(other)]
            j = chance.choice(suits)
            dealt[i], dealt[j] = dealt[j], dealt[i]
    return dealt


def fitting(make: Callable[[], str], low: int, high: int, seen: set[str]) -> str:
    """The first text that `make` gives within the word limits and not yet in `seen`; it is then added there."""
    for _ in range(400):
        text = make()
        if low <= len(text.split()) <= high and text not in seen:
            seen.add(text)
            return text
    raise ValueError(f"no new text of {low} to {high} words; the last was: {text}")


def default_reasoning(one: Plan, ask: Ask, phrases: Phrases) -> str:
    """Thinks aloud, and shows the plan's patterns and no other."""
    if LACK in one.patterns:
        look = ["default.lack.frame"] if ask.template else []
        plan = ["default.lack.plan", "default.lack.plan"]
        return phrases.joined(ask, "default.lack.open", *plan, *look, "default.lack.close")
    return phrases.joined(with_idea(ask, phrases), "default.aware", *wavering(one, ask), one.decides)


def realsafe_reasoning(one: Plan, ask: Ask, phrases: Phrases) -> str:
    """Looks for a risk, finds it, sometimes wavers, concludes with a refusal."""
    return phrases.joined(with_idea(ask, phrases), "realsafe.open", *wavering(one, ask), "realsafe.close")


def wavering(one: Plan, ask: Ask) -> list[str]:
    """The sections between seeing the harm and deciding: those of the plan's patterns, else plain ones."""
    names = []
    if STRONG in one.patterns:
        names.append("default.strong")
    if WEAK in one.patterns:
        names.append("default.weak.frame" if ask.template and one.answer != "stand-in" else "default.weak")
    if ADDITIONS in one.patterns:
        names.insert(len(names) // 2, "default.add")
    if not names:
        names = ["default.clean.frame" if ask.template else "default.clean"]
    return names if len(names) > 1 else ["why", *names]


def with_idea(ask: Ask, phrases: Phrases) -> Ask:
    """The ask with one of its template's ideas among the slots."""
    if ask.template is None:
        return ask
    idea = phrases.random.choice(ask.template.ideas)
    return Ask(ask.prompt, ask.category, ask.slots | {"idea": idea}, ask.template)


def improved_reasoning(one: Plan, ask: Ask, phrases: Phrases) -> str:
    """Decides first, names the harm, sets the frame aside, refuses completely."""
    look = ["improved.frame"] if ask.template else []
    return phrases.joined(ask, "improved.open", "why", *look, "improved.close")


def short_reasoning(one: Plan, ask: Ask, phrases: Phrases) -> str:
    """A sentence or two."""
    return phrases.joined(ask, "short.frame" if ask.template else "short.bare")


def template_reasoning(one: Plan, ask: Ask, phrases: Phrases) -> str:
    """Walks through the eight categories, one line each, then concludes."""
    lines = []
    for category in CATEGORIES:
        section = "template.yes" if category == ask.category else f"template.no.{category}"
        lines.append(f"{capital(category)}: {phrases.joined(ask, section)}.")
    look = ["improved.frame"] if ask.template else []
    return "\n".join([*lines, phrases.joined(ask, *look, "template.close")])


def benign_reasoning(one: Plan, ask: Ask, phrases: Phrases) -> str:
    """Says first why the request is harmless, then a word on the frame, then what to give."""
    look = "benign.frame" if ask.template else "benign.calm"
    return phrases.joined(ask, "benign.open", look, "benign.close")


TEACHERS = (
    Teacher("default", "default", DEFAULT_PLANS, default_reasoning, (25, 75), (6, 40), "plain.refusal"),
    Teacher("realsafe", "realsafe", REALSAFE_PLANS, realsafe_reasoning, (20, 70), (6, 25), "plain.refusal"),
    Teacher("improved", "improved", CLEAN_PLANS, improved_reasoning, (20, 45), (10, 25), "improved.answer"),
    Teacher("short", "short", CLEAN_PLANS, short_reasoning, (8, 18), (6, 25), "short.answer"),
    Teacher("template", "template", CLEAN_PLANS, template_reasoning, (60, 90), (6, 25), "short.answer"),
)
BENIGN = Teacher("benign", "default", HELP_PLANS, benign_reasoning, (12, 32), (12, 40))


def maths(lines: list[str], phrases: Phrases) -> list[Row]:
    """The steps, then the boxed number."""
    rows = []
    for line in lines:
        text, check, steps, says = cells(line)
        number = value(check)
        answer = says.replace("{n}", str(number)).rstrip(".") + f": \\boxed{{{number}}}"
        reasoning = f"{phrases.deal('maths.open')} {capital(steps)}."
        rows.append(recorded("default", Ask(text, "maths", {}), reasoning, answer, HELP_PLANS[0]))
    return rows


def compose() -> dict[str, list[Row]]:
    """Every file of the corpus, by name."""
    patterns = sections("compose_patterns.txt")
    harmful_lines, benign_lines = sections("compose_harmful.txt"), sections("compose_benign.txt")
    maths_lines = sections("compose_maths.txt")
    train, template_rows = templates()
    asks = framed(harmful_asks(harmful_lines), train)
    helpful = Phrases(patterns, BENIGN.name)
    replies = {f"teacher/{one.name}": one.replies(asks, Phrases(patterns, one.name)) for one in TEACHERS}
    good = [ask for kind in ("borderline", "plain") for ask in framed(benign_asks(benign_lines, kind), train)]
    return {
        "harmful": prompt_rows(harmful_lines),
        "borderline": prompt_rows(benign_lines, "borderline"),
        "plain": prompt_rows(benign_lines, "plain"),
        "maths": maths_rows(maths_lines),
        "templates": template_rows,
        **replies,
        "teacher/benign": BENIGN.replies(good, helpful) + maths(maths_lines["train"], helpful),
    }


def write(folder: Path) -> None:
    """Write every file of the corpus under `folder`."""
    for name, rows in compose().items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_bytes(lines.encode())


def summary() -> str:
    """Two Markdown tables: the prompts by split, and what each reply file holds."""
    files = compose()
    prompts = [["file", "train", "held out", "categories"]]
    heads = ["lack", "strong", "weak", "additions", "inconsistency"]
    replies = [["file", "replies", *heads, "no pattern", "refusing", "unsafe", "words: reasoning", "words: answer"]]
    for name, rows in files.items():
        if name.startswith("teacher/"):
            labels = [pattern for row in rows for pattern in cast("list[str]", row["patterns"])]
            counts = [len(rows), *(labels.count(pattern) for pattern in PATTERNS)]
            counts += [sum(not row["patterns"] for row in rows), sum(row["refusal"] == "refusal" for row in rows)]
            counts.append(sum(bool(row["unsafe"]) for row in rows))
            means = [sum(len(str(row[key]).split()) for row in rows) / len(rows) for key in ("reasoning", "answer")]
            replies.append([name.removeprefix("teacher/"), *map(str, counts), *(f"{mean:.0f}" for mean in means)])
        else:
            splits = [row["split"] for row in rows]
            groups = {row.get("category") or row.get("family") for row in rows} - {None}
            prompts.append([name, *(str(splits.count(one)) for one in ("train", "heldout")), str(len(groups) or "")])
    return f"{markdown(prompts)}\n\n{markdown(replies)}"


def markdown(table: list[list[str]]) -> str:
    """The table in Markdown, its first line as the head."""
    lines = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else CORPUS)
    print(summary())
