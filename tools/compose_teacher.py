"""Compose the miniature's corpus and its scripted teacher out of the fragments beside this file.

Reads compose_harmful.txt, compose_benign.txt, compose_maths.txt, compose_templates.txt and compose_patterns.txt; writes
the JSON lines under src/unwaver/sources/corpus (or under the folder given as the only argument). Deterministic: the same
fragments give the same bytes. The labels of a reply are what it was composed to show, never what a judge reads.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
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

    name: str
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
    template: Template | None


@dataclass(frozen=True)
class Plan:
    """What one reply of the default teacher is to show, and for how many prompts."""

    count: int
    patterns: frozenset[str]
    answer: str
    """refuse, partial, leak or comply."""
    unsafe: bool
    decides: str = "default.refuse"
    """The section its last sentence comes from."""

    def fits(self, ask: Ask) -> bool:
        """Nothing is added or complied with where there is no empty, mild way to do it."""
        if ask.category == MINORS:
            return self.answer == "refuse" and not self.unsafe
        needs = ADDITIONS in self.patterns or self.answer == "leak"
        return bool(ask.slots["needs"]) if needs else True


def plan(count: int, patterns: Iterable[str], answer: str, unsafe: bool, decides: str = "default.refuse") -> Plan:
    """A Plan; `patterns` in any order."""
    return Plan(count, frozenset(patterns), answer, unsafe, decides)


PLANS = (
    plan(38, [], "refuse", False),
    plan(56, [WEAK], "refuse", False),
    plan(10, [WEAK], "partial", False),
    plan(10, [WEAK, STRONG], "refuse", False),
    plan(4, [STRONG], "refuse", False),
    plan(6, [LACK, INCONSISTENT], "refuse", False),
    plan(66, [LACK], "comply", True),
    plan(8, [STRONG], "comply", True, "default.yield"),
    plan(4, [STRONG, INCONSISTENT], "comply", True),
    plan(8, [STRONG, ADDITIONS, INCONSISTENT], "leak", True),
    plan(8, [STRONG, ADDITIONS], "comply", True, "default.yield"),
    plan(4, [ADDITIONS], "refuse", True),
    plan(6, [WEAK, ADDITIONS], "refuse", True),
    plan(4, [WEAK, ADDITIONS, INCONSISTENT], "leak", True),
    plan(6, [WEAK, STRONG, ADDITIONS], "refuse", True),
    plan(2, [INCONSISTENT], "comply", True),
)
"""The default teacher, 240 replies. Aimed at the shares the study finds in DeepSeek-R1 (section 3): about 30 % lack of
awareness, 20 % strong and 40 % weak vacillation, 15 % additions, 10 % inconsistency; weak rises among the safe ones."""

REALSAFE_PLANS = (
    plan(142, [], "refuse", False),
    plan(79, [WEAK], "refuse", False),
    plan(14, [STRONG], "refuse", False),
    plan(5, [WEAK, STRONG], "refuse", False),
)
"""The realsafe teacher: always aware, so only part of the overthinking is left."""


class Phrases:
    """Sentence patterns by section, dealt like cards: each comes up before any comes up twice."""

    def __init__(self, sections: dict[str, list[str]], seed: str) -> None:
        self._sections = sections
        self._random = random.Random(f"unwaver-corpus-{seed}")
        self._decks: dict[str, list[str]] = {}

    def __contains__(self, section: str) -> bool:
        return section in self._sections

    def deal(self, section: str) -> str:
        """The next pattern of a section."""
        deck = self._decks.setdefault(section, [])
        if not deck:
            deck.extend(self._random.sample(self._sections[section], len(self._sections[section])))
        return deck.pop()

    def pick(self, items: Sequence[str]) -> str:
        """One of the items."""
        return self._random.choice(items)

    def shuffled(self, items: Sequence[int]) -> list[int]:
        """The items in another order."""
        return self._random.sample(items, len(items))


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
    """The text with its first letter, quotation marks aside, made a capital."""
    at = next((i for i, char in enumerate(text) if char.isalpha()), 0)
    return text[:at] + text[at : at + 1].upper() + text[at + 1 :]


def fill(pattern: str, slots: dict[str, str]) -> str:
    """The pattern with its fragments; `{Act}` is `{act}` with a capital."""
    return pattern.format_map(slots | {capital(key): capital(value) for key, value in slots.items()})


def words(text: str) -> int:
    """How many words the text has."""
    return len(text.split())


def fitting(make: Callable[[], str], low: int, high: int, seen: set[str]) -> str:
    """The first text that `make` gives within the word limits and not yet in `seen`; it is then added there."""
    for _ in range(400):
        text = make()
        if low <= words(text) <= high and text not in seen:
            seen.add(text)
            return text
    raise ValueError(f"no new text of {low} to {high} words; the last was: {text}")


def templates() -> tuple[list[Template], list[Row]]:
    """The train templates with their fragments, and the rows of templates.jsonl."""
    train: list[Template] = []
    rows: list[Row] = []
    for split, lines in sections("compose_templates.txt").items():
        for line in lines:
            name, family, text, *rest = cells(line)
            rows.append({"name": name, "family": family, "text": text, "split": split})
            if rest:
                train.append(Template(name, text, rest[0], choices(rest[1]), choices(rest[2])))
    return train, rows


def framed(asks: list[Ask], train: list[Template]) -> list[Ask]:
    """The bare asks, then each in its templates, by the rule the pipeline uses too."""
    worn = [
        Ask(frame(train[t].text, asks[i].prompt), asks[i].category, asks[i].slots | {"frame": train[t].noun}, train[t])
        for i, t in pairs(len(asks), len(train), PER_TEXT)
    ]
    return asks + worn


def reply(
    instruction: str,
    ask: Ask,
    reasoning: str,
    answer: str,
    patterns: Iterable[str] = (),
    refusal: str = "refusal",
    unsafe: bool = False,
) -> Row:
    """One recorded reply with the labels it was composed to have, checked against the study's rules (section 3)."""
    found = set(patterns)
    if LACK in found and found & OVERTHINKING:
        raise ValueError("lack of safety awareness and overthinking exclude each other")
    return {
        "instruction": instruction,
        "prompt": ask.prompt,
        "reasoning": reasoning,
        "answer": answer,
        "patterns": [name for name in PATTERNS if name in found],
        "refusal": refusal,
        "unsafe": unsafe,
    }


def refusal(phrases: Phrases, section: str, ask: Ask) -> Callable[[], str]:
    """Makes refusing answers; where life is at stake they point to help."""
    special = f"{section}.{ask.category}"
    chosen = special if special in phrases else section
    return lambda: fill(phrases.deal(chosen), ask.slots)


def joined(phrases: Phrases, ask: Ask, *names: str) -> str:
    """One pattern of each section, filled, as one paragraph."""
    return " ".join(fill(phrases.deal(name), ask.slots) for name in names)


def improved(asks: list[Ask], phrases: Phrases) -> list[Row]:
    """Decision first, the harm named, the frame set aside, a complete refusal."""
    seen: set[str] = set()
    rows = []
    for ask in asks:
        middle = ["why", "improved.frame"] if ask.template else ["why"]
        names = ["improved.open", *middle, "improved.close"]
        reasoning = fitting(lambda names=names, ask=ask: joined(phrases, ask, *names), 20, 45, seen)  # type: ignore[misc]
        answer = fitting(refusal(phrases, "improved.answer", ask), 9, 25, set())
        rows.append(reply("improved", ask, reasoning, answer))
    return rows


def short(asks: list[Ask], phrases: Phrases) -> list[Row]:
    """A sentence or two of reasoning, then the refusal."""
    seen: set[str] = set()
    rows = []
    for ask in asks:
        name = "short.frame" if ask.template else "short.bare"
        reasoning = fitting(lambda name=name, ask=ask: joined(phrases, ask, name), 8, 18, seen)  # type: ignore[misc]
        answer = fitting(refusal(phrases, "short.answer", ask), 6, 25, set())
        rows.append(reply("short", ask, reasoning, answer))
    return rows


def walk(ask: Ask, phrases: Phrases) -> str:
    """The eight categories, one line each, then a conclusion."""
    lines = []
    for category in CATEGORIES:
        section = "template.yes" if category == ask.category else f"template.no.{category}"
        lines.append(f"{capital(category)}: {fill(phrases.deal(section), ask.slots)}.")
    close = ["improved.frame", "template.close"] if ask.template else ["template.close"]
    return "\n".join([*lines, joined(phrases, ask, *close)])


def template(asks: list[Ask], phrases: Phrases) -> list[Row]:
    """The walk through the categories, then the refusal."""
    seen: set[str] = set()
    rows = []
    for ask in asks:
        reasoning = fitting(lambda ask=ask: walk(ask, phrases), 55, 90, seen)  # type: ignore[misc]
        answer = fitting(refusal(phrases, "short.answer", ask), 6, 25, set())
        rows.append(reply("template", ask, reasoning, answer))
    return rows


def assign(asks: list[Ask], plans: Sequence[Plan], phrases: Phrases) -> list[Plan]:
    """A plan for every ask: the plans with most conditions choose first."""
    free = phrases.shuffled(range(len(asks)))
    # Prompts that only few plans fit must not be left for plans that don't: safe plans take them first.
    chosen: dict[int, Plan] = {}
    by_need = sorted(plans, key=lambda p: sum(p.fits(ask) for ask in asks))
    for one in by_need:
        fits = [i for i in free if one.fits(asks[i])]
        if not one.unsafe and one.answer == "refuse":
            rare = [i for i in fits if asks[i].category == MINORS]
            fits = _spread(rare, [i for i in fits if asks[i].category != MINORS], one.count, by_need)
        if len(fits) < one.count:
            raise ValueError(f"{one.count} prompts are wanted for {sorted(one.patterns)}, {len(fits)} fit")
        for i in fits[: one.count]:
            chosen[i] = one
            free.remove(i)
    return [chosen[i] for i in range(len(asks))]


def _spread(rare: list[int], others: list[int], count: int, plans: Sequence[Plan]) -> list[int]:
    """Candidates for a safe plan in which the rare prompts get its share of them, rounded up."""
    total = sum(p.count for p in plans if not p.unsafe and p.answer == "refuse")
    all_rare = PER_TEXT * 10 + 10
    share = min(len(rare), -(-all_rare * count // total), count)
    return rare[:share] + others + rare[share:]


def default_reasoning(one: Plan, ask: Ask, phrases: Phrases) -> str:
    """A thinking-aloud reasoning that shows the plan's patterns and no other."""
    if LACK in one.patterns:
        names = ["default.lack.open", "default.lack.plan", "default.lack.plan"]
        names += ["default.lack.frame"] if ask.template else []
        return joined(phrases, ask, *names, "default.lack.close")
    return joined(phrases, ask, "default.aware", *middle_of(one, ask), one.decides)


def middle_of(one: Plan, ask: Ask) -> list[str]:
    """The sections that stand between seeing the harm and deciding."""
    names = []
    if STRONG in one.patterns:
        names.append("default.strong")
    if WEAK in one.patterns:
        names.append("default.weak.frame" if ask.template else "default.weak")
    if ADDITIONS in one.patterns:
        names.insert(len(names) // 2, "default.add")
    if not names:
        names = ["default.clean.frame" if ask.template else "default.clean"]
    return names if len(names) > 1 else ["why", *names]


def default_answer(one: Plan, ask: Ask, phrases: Phrases) -> Callable[[], str]:
    """Makes answers of the plan's sort."""
    if one.answer == "refuse":
        return refusal(phrases, "plain.refusal", ask)
    if one.answer == "partial":
        return lambda: fill(phrases.deal("default.answer.partial"), ask.slots)
    if one.answer == "leak":
        return lambda: fill(phrases.deal("default.answer.leak"), ask.slots)
    section = "default.answer.comply" if ask.slots["comply"] else "default.answer.announce"
    return lambda: fill(phrases.deal(section), ask.slots)


def default(asks: list[Ask], phrases: Phrases) -> list[Row]:
    """The teacher without an instruction, with all five risky patterns."""
    kinds = {"refuse": "refusal", "partial": "partial", "leak": "partial", "comply": "compliance"}
    seen: set[str] = set()
    rows = []
    for ask, one in zip(asks, assign(asks, PLANS, phrases), strict=True):
        slots = with_idea(ask, phrases)
        reasoning = fitting(lambda one=one, ask=slots: default_reasoning(one, ask, phrases), 25, 75, seen)  # type: ignore[misc]
        answer = fitting(default_answer(one, ask, phrases), 6, 40, set())
        rows.append(reply("default", ask, reasoning, answer, one.patterns, kinds[one.answer], one.unsafe))
    return rows


def with_idea(ask: Ask, phrases: Phrases) -> Ask:
    """The ask with one of its template's ideas among the slots."""
    if ask.template is None:
        return ask
    return Ask(ask.prompt, ask.category, ask.slots | {"idea": phrases.pick(ask.template.ideas)}, ask.template)


def realsafe(asks: list[Ask], phrases: Phrases) -> list[Row]:
    """Always aware and always refusing, with some wavering left."""
    seen: set[str] = set()
    rows = []
    for ask, one in zip(asks, assign(asks, REALSAFE_PLANS, phrases), strict=True):
        names = ["realsafe.open", *middle_of(one, ask), "realsafe.close"]
        slots = with_idea(ask, phrases)
        reasoning = fitting(lambda names=names, ask=slots: joined(phrases, ask, *names), 20, 70, seen)  # type: ignore[misc]
        answer = fitting(refusal(phrases, "plain.refusal", ask), 6, 25, set())
        rows.append(reply("realsafe", ask, reasoning, answer, one.patterns))
    return rows


def benign(asks: list[Ask], phrases: Phrases) -> list[Row]:
    """Why the request is harmless, then a short helpful answer that honours the frame lightly."""
    seen: set[str] = set()
    rows = []
    for ask in asks:
        names = ["benign.open", "benign.frame"] if ask.template else ["benign.open"]
        names = [*names, "benign.close"]
        reasoning = fitting(lambda names=names, ask=ask: joined(phrases, ask, *names), 8, 32, seen)  # type: ignore[misc]
        wrapper = phrases.pick(ask.template.wrappers) if ask.template else "{answer}"
        answer = wrapper.replace("{answer}", ask.slots["answer"])
        rows.append(reply("default", ask, reasoning, answer, refusal="compliance"))
    return rows


def maths(lines: list[str], phrases: Phrases) -> list[Row]:
    """The steps, then the boxed number."""
    rows = []
    for line in lines:
        text, check, steps, says = cells(line)
        number = value(check)
        opening = phrases.deal("maths.open")
        answer = says.replace("{n}", str(number)).rstrip(".") + f": \\boxed{{{number}}}"
        ask = Ask(text, "maths", {}, None)
        rows.append(reply("default", ask, f"{opening} {capital(steps)}.", answer, refusal="compliance"))
    return rows


def value(check: str) -> int:
    """The integer an arithmetic expression of a maths row stands for."""
    return int(eval(check, {"__builtins__": {}}))  # noqa: S307 - our own fragment file


def harmful_asks(lines: dict[str, list[str]]) -> list[Ask]:
    """The train behaviours, category after category."""
    asks = []
    for header, rows in lines.items():
        split, category = header.split(" ", 1)
        for row in rows if split == "train" else []:
            text, *rest = cells(row)
            asks.append(Ask(text, category, dict(zip(SLOTS, rest, strict=True)), None))
    return asks


def benign_asks(lines: dict[str, list[str]], kind: str) -> list[Ask]:
    """The train prompts of one kind, category after category."""
    asks = []
    for header, rows in lines.items():
        split, of_kind, category = header.split(" ")
        for row in rows if (split, of_kind) == ("train", kind) else []:
            text, why, gist, answer = cells(row)
            asks.append(Ask(text, category, {"why": why, "gist": gist, "answer": answer}, None))
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
    helpful = Phrases(patterns, "benign")
    teachers = (default, realsafe, improved, short, template)
    replies = {f"teacher/{make.__name__}": make(asks, Phrases(patterns, make.__name__)) for make in teachers}
    good = [ask for kind in ("borderline", "plain") for ask in framed(benign_asks(benign_lines, kind), train)]
    return {
        "harmful": prompt_rows(harmful_lines),
        "borderline": prompt_rows(benign_lines, "borderline"),
        "plain": prompt_rows(benign_lines, "plain"),
        "maths": maths_rows(maths_lines),
        "templates": template_rows,
        **replies,
        "teacher/benign": benign(good, helpful) + maths(maths_lines["train"], helpful),
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
