"""A card for each arm: its measures with interval, n, what is unscored, and the word against the raw student."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unwaver.records import Estimate
from unwaver.report.choice import shown
from unwaver.report.facts import Facts
from unwaver.report.section import Material
from unwaver.report.summed import Change
from unwaver.report.tables import of, unscored
from unwaver.report.words import against, on_pairs


@dataclass(frozen=True)
class CardLine:
    """One measure of a card."""

    name: str
    text: str
    rests_on: str
    """How many replies it is a share of."""
    unscored: str
    """How many it leaves out; empty where none."""
    estimate: Estimate
    word: str
    """The verdict against raw; empty for raw students."""
    change: str
    """The difference and the verdict, in words."""
    hint: str


@dataclass(frozen=True)
class Card:
    """One arm, summed up."""

    arm: str
    raw: bool
    lines: Sequence[CardLine]


def cards(material: Material) -> list[Card]:
    """The arms that are shown, summed up; none where nothing is evaluated."""
    found = []
    for arm in shown(material.facts):
        mine = [change for (_, name), change in material.summed.items() if name == arm]
        if lines := [_line(change, change.now) for change in mine if change.now is not None]:
            found.append(Card(arm, material.facts.is_raw(arm), lines))
    return found


def _line(change: Change, now: Estimate) -> CardLine:
    c = change.comparison
    left = ", ".join(unscored(now))
    rests_on = f"n = {now.n:,}"
    word = "" if c is None else str(c.verdict)
    said = word if c is None or c.difference is None else f"{on_pairs(c)}: {word}"
    if change.apart and c is None:
        said = f"not compared: another {', '.join(change.apart)}"
    return CardLine(change.summed.title, of(now).text, rests_on, left, now, word, said, against(c))


def cards_note(facts: Facts) -> str:
    """How to read the cards."""
    more = ""
    if len(shown(facts)) < len(facts.arms):
        more = f" Of {len(facts.arms)} arms, raw and some that no other beats in harm and over-refusal both."
    return (
        f"Bars are 95 % intervals. Differences are from {facts.compared_with}, in pairs: prompts, or behaviours that "
        f"several prompts seek, scored in both arms. Words are corrected by Holm over all arms.{more}"
    )
