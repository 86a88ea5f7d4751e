"""What figures share: estimates as rows, arms as axes and colours. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from unwaver.records import Estimate
from unwaver.report import setting
from unwaver.report.charts import SERIES, hues
from unwaver.report.facts import Facts
from unwaver.report.tables import mostly_unscored

ROW = 22
"""Height of one arm's row."""


LABELLED = 12
"""Most arms that are named in the scatter; above, the front has letters and the raw students their names."""


PER_CENT = alt.Scale(domain=[0, 100])


def as_rows(estimate: Estimate | None, **more: Any) -> list[dict[str, Any]]:
    """A rate as a chart's row, in per cent; none where there is no value, or more is left out of it than in."""
    if estimate is None or estimate.value is None or mostly_unscored(estimate):
        return []
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    ends = {"value": estimate.value, "low": low, "high": high, "lowest": estimate.lowest, "highest": estimate.highest}
    return [{**{name: None if end is None else 100 * end for name, end in ends.items()}, "n": estimate.n, **more}]


def names(facts: Facts) -> list[str]:
    """The arms as charts call them."""
    return list(facts.labels.values())


def hue_of(facts: Facts) -> dict[str, str]:
    """Each arm's colour, the same on the whole page: grey for raw students, a colour for each arm, and where several
    recipes have several arms each or the arms are too many, one for each recipe."""
    trained = [arm for arm in facts.arms if not facts.is_raw(arm)]
    methods = {arm: str(facts.cell(arm).get("method", arm)) for arm in trained}
    by_method = 1 < len(set(methods.values())) < len(trained) or len(trained) > len(SERIES)
    groups = [(methods[arm] if by_method else arm) if arm in methods else None for arm in facts.arms]
    return dict(zip(facts.arms, hues(groups), strict=True))


def colours(facts: Facts) -> alt.Scale:
    """The arms' colours, by the names charts call them."""
    return alt.Scale(domain=names(facts), range=list(hue_of(facts).values()))


PANELS = 8
"""Most arms that are drawn side by side; the tables have all."""


def comparable(facts: Facts, *rubrics: str) -> str:
    """What may be compared of the teachers' traces: as far as teacher, prompts and their readers go."""
    of_traces = {"recipe", "teacher", "training prompts"}
    found = [setting.of_training(facts, arm, ()) for arm in facts.arms if not facts.is_raw(arm)]
    kept = [{key: text for key, text in one.items() if key in of_traces} for one in found]
    return setting.sentence(setting.together([*kept, setting.of_filter(facts, *rubrics)]))


def first(arms: Sequence[str]) -> tuple[str, ...]:
    return (f"Only the first {PANELS} of {len(arms)} arms are drawn.",) if len(arms) > PANELS else ()


def rows_of(count: int) -> alt.Scale:
    """Rows 0 to `count` - 1 from top to bottom, placed by number, so that marks may stand between them."""
    return alt.Scale(domain=[count - 0.5, -0.5], nice=False, zero=False)


def numbered(texts: Sequence[str]) -> alt.Axis:
    """The axis that names rows placed by number."""
    label = f"{_listed(texts)}[datum.value]"
    return alt.Axis(values=list(range(len(texts))), labelExpr=label, title=None, grid=False, ticks=False)


def _listed(texts: Sequence[str]) -> str:
    """The names as a list in Vega's expression language; whatever could end a string there is put as a code."""

    def quoted(text: str) -> str:
        safe = (c if c.isalnum() or c in " ,.;:_+-=/()" else "".join(map(_code, c)) for c in text)
        return f"'{''.join(safe)}'"

    return "[" + ",".join(map(quoted, texts)) + "]"


def _code(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
