"""Compose the miniature's corpus and its scripted teacher out of the fragments beside this file.

Reads compose_harmful.txt, compose_benign.txt, compose_maths.txt, compose_templates.txt and compose_patterns.txt; writes
the JSON lines under src/unwaver/sources/corpus (or under the folder given as the only argument). Deterministic: the
same fragments give the same bytes. The labels of a reply are what it was composed to show, never what a judge reads.
"""

from __future__ import annotations

import ast
import json
import operator
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from unwaver.records import OVERTHINKING, PATTERNS
from unwaver.sources.corpus import PER_TEXT, frame, pairs

HERE = Path(__file__).parent
CORPUS = HERE.parent / "src" / "unwaver" / "sources" / "corpus"

LACK, STRONG, WEAK, ADDITIONS, INCONSISTENT = PATTERNS
MINORS, SELF_HARM = "sexual/minors", "self-harm"
SLOTS = ("act", "hurt", "who", "thing", "standin", "needs", "comply")
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

Row = dict[str, object]


@dataclass(frozen=True)
class Template:
    """A train template with what replies say about it."""

    text: str
    noun: str
    ideas: tuple[str, ...]
    wrappers: tuple[str, ...]


@dataclass(frozen=True)
class Ask:
    """One train prompt and the fragments its replies are filled with."""

    prompt: str
    category: str
    slots: dict[str, str]
    template: Template | None = None


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
        """Whether there is a mild way to show it: no complying about children, no additions about self-harm."""
        if ask.category == MINORS:
            return self.answer == "refuse" and not self.unsafe
        if ask.category == SELF_HARM:
            return self.answer in ("refuse", "comply") and ADDITIONS not in self.patterns
        return True


REFUSAL = {"refuse": "refusal", "stand-in": "partial", "leak": "partial", "comply": "compliance", "help": "compliance"}
"""How each sort of answer is labelled."""

DEFAULT_PLANS = (
    Plan(38, (), "refuse"),
    Plan(56, (WEAK,), "refuse"),
    Plan(10, (WEAK,), "stand-in"),
    Plan(10, (STRONG, WEAK), "refuse"),
    Plan(4, (STRONG,), "refuse"),
    Plan(6, (LACK, INCONSISTENT), "refuse"),
    Plan(66, (LACK,), "comply", True),
    Plan(8, (STRONG,), "comply", True, "default.yield"),
    Plan(4, (STRONG, INCONSISTENT), "comply", True),
    Plan(8, (STRONG, ADDITIONS, INCONSISTENT), "leak", True),
    Plan(8, (STRONG, ADDITIONS), "comply", True, "default.yield"),
    Plan(4, (ADDITIONS,), "refuse", True),
    Plan(6, (WEAK, ADDITIONS), "refuse", True),
    Plan(4, (WEAK, ADDITIONS, INCONSISTENT), "leak", True),
    Plan(6, (STRONG, WEAK, ADDITIONS), "refuse", True),
    Plan(2, (INCONSISTENT,), "comply", True),
)
"""240 replies. Aim: about 30 % lack of awareness, 20 % strong and 40 % weak vacillation, 15 % additions, 10 %
inconsistency, and weak vacillation commoner among the safe ones, roughly as in DeepSeek-R1 (arXiv 2505.15404 section 3)."""

REALSAFE_PLANS = (
    Plan(142, (), "refuse"),
    Plan(79, (WEAK,), "refuse"),
    Plan(14, (STRONG,), "refuse"),
    Plan(5, (STRONG, WEAK), "refuse"),
)
"""Always aware; part of the overthinking is left, since the instruction doesn't repair it (arXiv 2505.15404 section 2)."""

CLEAN_PLANS = (Plan(240, (), "refuse"),)
HELP_PLANS = (Plan(600, (), "help"),)


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


def sections(name: str) -> dict[str, list[str]]:
    """The lines of a fragment file by section header; comment lines and blank ones are left out."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            lines = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return found


def cells(line: str) -> list[str]:
    """The cells of a fragment line."""
    return [cell.strip() for cell in line.split("|")]


def choices(cell: str) -> tuple[str, ...]:
    """The alternatives inside one cell."""
    return tuple(part.strip().replace("\\n", "\n") for part in cell.split(";;"))


def capital(text: str) -> str:
    """The text with its first letter, quotation marks aside, made a capital; a leading number stays."""
    at = next((i for i, char in enumerate(text) if char.isalnum()), 0)
    return text[:at] + text[at : at + 1].upper() + text[at + 1 :]


def fill(pattern: str, slots: dict[str, str]) -> str:
    """The pattern with its fragments; `{Act}` is `{act}` with a capital."""
    return pattern.format_map(slots | {capital(key): capital(value) for key, value in slots.items()})


def templates() -> tuple[list[Template], list[Row]]:
    """The train templates with their fragments, and the rows of templates.jsonl."""
    train: list[Template] = []
    rows: list[Row] = []
    for split, lines in sections("compose_templates.txt").items():
        for line in lines:
            name, family, text, *rest = cells(line)
            rows.append({"name": name, "family": family, "text": text, "split": split})
            if rest:
                train.append(Template(text, rest[0], choices(rest[1]), choices(rest[2])))
    return train, rows


def framed(asks: list[Ask], train: list[Template]) -> list[Ask]:
    """The bare asks, then each in its templates, by the rule the pipeline uses too."""
    worn = [(asks[i], train[t]) for i, t in pairs(len(asks), len(train), PER_TEXT)]
    return asks + [
        Ask(frame(one.text, ask.prompt), ask.category, ask.slots | {"frame": one.noun}, one) for ask, one in worn
    ]


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


def value(check: str) -> int:
    """The integer that an arithmetic expression of + - * // and brackets stands for."""

    def walk(node: ast.expr) -> int:
        if isinstance(node, ast.BinOp):
            return OPERATORS[type(node.op)](walk(node.left), walk(node.right))
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        raise ValueError(f"not a plain sum: {check}")

    return walk(ast.parse(check, mode="eval").body)


OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def harmful_asks(lines: dict[str, list[str]]) -> list[Ask]:
    """The train behaviours, category after category."""
    asks = []
    for header, rows in lines.items():
        split, category = header.split(" ", 1)
        for row in rows if split == "train" else []:
            text, *rest = cells(row)
            asks.append(Ask(text, category, dict(zip(SLOTS, rest, strict=True))))
    return asks


def benign_asks(lines: dict[str, list[str]], kind: str) -> list[Ask]:
    """The train prompts of one kind, category after category."""
    asks = []
    for header, rows in lines.items():
        split, of_kind, category = header.split(" ")
        for row in rows if (split, of_kind) == ("train", kind) else []:
            text, why, gist, answer = cells(row)
            asks.append(Ask(text, category, {"why": why, "gist": gist, "answer": answer}))
    return asks


def prompt_rows(lines: dict[str, list[str]], kind: str | None = None) -> list[Row]:
    """The rows of a prompts file: train first."""
    rows: list[Row] = []
    for header, texts in lines.items():
        split, *rest = header.split(" ")
        if kind is None or rest[0] == kind:
            rows += [{"text": cells(text)[0], "category": rest[-1], "split": split} for text in texts]
    return sorted(rows, key=lambda row: row["split"] != "train")


def maths_rows(lines: dict[str, list[str]]) -> list[Row]:
    """The rows of maths.jsonl."""
    return [
        {"text": text, "target": str(value(check)), "check": check, "split": split}
        for split, rows in lines.items()
        for text, check, *_ in map(cells, rows)
    ]


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
    """A Markdown table of what each reply file holds."""
    names = {LACK: "lack", STRONG: "strong", WEAK: "weak", ADDITIONS: "additions", INCONSISTENT: "inconsistency"}
    heads = ["file", "replies", *names.values(), "no pattern", "refusing", "unsafe"]
    table = [heads, ["---"] * len(heads)]
    for name, rows in compose().items():
        if name.startswith("teacher/"):
            counts = Counter(label for row in rows for label in row["patterns"])  # type: ignore[attr-defined]
            clean = sum(not row["patterns"] for row in rows)
            refusing = sum(row["refusal"] == "refusal" for row in rows)
            unsafe = sum(bool(row["unsafe"]) for row in rows)
            numbers = [len(rows), *(counts[label] for label in names), clean, refusing, unsafe]
            table.append([name.removeprefix("teacher/"), *map(str, numbers)])
    return "\n".join("| " + " | ".join(line) + " |" for line in table)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else CORPUS)
    print(summary())
