"""What all figures share: colours, the look of axes, and how a chart becomes SVG and PNG.

A figure is an Altair chart with a title, a caption and a text for those who can't see it. It is drawn once, in the
light colours; the page recolours it for dark mode by CSS, because every colour in it comes from `COLOURS`. The SVG is
taken apart and put together again from a list of harmless elements and attributes, so that no text in it can act.
"""

from __future__ import annotations

import re
import resource
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import altair as alt
import vl_convert

from unwaver.errors import RunError
from unwaver.plain import plain, visible

COLOURS: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#17181a"),
    "ink": ("#1d1d1b", "#ecebe6"),
    "soft": ("#62625c", "#a5a49c"),
    "line": ("#e2e1db", "#33353a"),
    "grey": ("#807f78", "#98978f"),
    "green": ("#00805f", "#4ec9a3"),
    "purple": ("#8a4499", "#d79bd3"),
    "amber": ("#a87d00", "#e8c04a"),
    "rose": ("#b5306b", "#f08ab5"),
    "brown": ("#7a5230", "#c79a70"),
    "slate": ("#4a5568", "#a8b3c7"),
    "olive": ("#6b7a1e", "#b9c86a"),
    "shade1": ("#d5d4ce", "#3b3d41"),
    "shade2": ("#a6a59e", "#63656a"),
    "shade3": ("#73726c", "#999ba0"),
    "shade4": ("#3d3d3a", "#d2d3d6"),
    "better": ("#0f6fae", "#3d8fcb"),
    "worse": ("#b84d00", "#cf6a1f"),
    "neutral": ("#e9e8e3", "#2c2e32"),
    "unknown": ("#f6f5f1", "#212327"),
}
"""Every colour of every figure, light and dark. One colour means one thing on the whole page: `better` and `worse` are
blue and orange and nothing else is; `SERIES` are the arms'; what is neither is in `SHADES` of grey."""

SERIES = ("green", "purple", "amber", "rose", "brown", "slate", "olive")
"""The colours of arms, in order; the raw student is grey."""

FONT = "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif"

SHADES = ("shade1", "shade2", "shade3", "shade4")
"""Greys from light to dark, for groups that are no arms."""


def light(name: str) -> str:
    """A colour as it is drawn."""
    return COLOURS[name][0]


@dataclass(frozen=True)
class Figure:
    """A chart with what belongs to it."""

    name: str
    """The name of its files."""
    title: str
    caption: str
    """What it shows, in plain sentences."""
    alt: str
    """What it shows, for those who can't see it."""
    chart: Any
    notes: Sequence[str] = ()
    """The paper's figures for the same, and what may be compared."""
    narrow: Any = None
    """The same chart for a telephone; None where the wide one is scrolled there."""


@dataclass(frozen=True)
class Drawn:
    """A figure as files."""

    figure: Figure
    svg: str
    """A whole document."""
    inline: str
    """To be put into a page: without the ground, its ids its own."""
    png: bytes
    narrow: str = ""
    """The drawing for a telephone, as `inline`."""


def data(rows: Sequence[dict[str, Any]]) -> Any:
    """Rows as a chart takes them."""
    return alt.Data(values=list(rows))  # type: ignore[no-untyped-call]


def short(text: str, longest: int = 34) -> str:
    """A name as it stands in a chart."""
    return plain(text, longest)


def row_axis() -> alt.Axis:
    """The axis that names the rows of a chart."""
    return alt.Axis(title=None, grid=False)


def titled(chart: Any, title: str, subtitle: str = "", size: float = 13, width: int = 60) -> Any:
    """A panel under its title, which begins where its plot does and breaks after `width` characters."""
    more: dict[str, Any] = {"subtitle": subtitle, "subtitleColor": light("soft"), "subtitleFontSize": 10.5}
    lines = textwrap.wrap(title, width) or [""]
    anchored = alt.TitleParams(lines, frame="group", offset=7, fontSize=size, **(more if subtitle else {}))
    return chart.properties(title=anchored)


def hues(groups: Sequence[str | None]) -> list[str]:
    """A colour for each group of arms, in order of appearance; grey for None, one for all where there are too many."""
    known = list(dict.fromkeys(group for group in groups if group is not None))
    few = len(known) <= len(SERIES)
    return [light("grey") if g is None else light(SERIES[known.index(g)] if few else SERIES[0]) for g in groups]


ADDRESSES = 80 << 30
"""Bytes of address space, not of memory, within which the converter can start (vl-convert 1.9: 64 GiB)."""


def draw(figure: Figure, scale: float = 2.0) -> Drawn:
    """The figure as SVG and PNG; `scale` is of the PNG, 1 being 72 dots an inch.

    RunError where the system grants less than `ADDRESSES`: the converter would end the process.
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < ADDRESSES:
        raise RunError(
            f"figures take {ADDRESSES >> 30} GiB of address space (not of memory) while they are drawn, and this "
            f"process is granted {limit >> 20:,} MiB; give `ulimit -v unlimited`, and the same command again"
        )
    spec = _spec(figure.chart)
    svg = _clean(vl_convert.vegalite_to_svg(spec), figure.name, figure.alt)
    png = vl_convert.vegalite_to_png(spec, scale=scale)
    narrow = ""
    if figure.narrow is not None:
        narrow = _clean(vl_convert.vegalite_to_svg(_spec(figure.narrow)), f"{figure.name}-narrow", figure.alt)
    return Drawn(figure, svg, _inlined(svg), png, _inlined(narrow))


def _spec(chart: Any) -> Any:
    return _shown(chart.to_dict(validate=False) | {"config": _look()})


def _shown(part: Any) -> Any:
    """A part of a chart with every text in it made visible, wherever it came from: over some characters the converter
    ends the process, and no error could be caught.
    """
    if isinstance(part, str):
        return visible(part)
    if isinstance(part, dict):
        return {_shown(key): _shown(value) for key, value in part.items()}
    return [_shown(one) for one in part] if isinstance(part, list) else part


def _look() -> dict[str, Any]:
    """Vega-Lite's configuration of every chart."""
    ink, soft, line = light("ink"), light("soft"), light("line")
    text = {"labelColor": soft, "titleColor": ink, "labelFontSize": 11.5, "titleFontSize": 12, "labelLimit": 260}
    return {
        "font": FONT,
        "background": light("paper"),
        "padding": {"left": 24, "right": 14, "top": 6, "bottom": 6},
        "aria": False,
        "view": {"stroke": None, "continuousWidth": 300, "continuousHeight": 200},
        "axis": text
        | {"domainColor": line, "tickColor": line, "gridColor": line, "titleFontWeight": "normal"}
        | {"titlePadding": 8, "labelPadding": 5, "tickSize": 4},
        "axisY": {"domain": False, "ticks": False},
        "legend": text
        | {"titleFontWeight": "normal", "titleLimit": 400, "orient": "top", "columnPadding": 18}
        | {"symbolStrokeWidth": 2, "gradientStrokeColor": line},
        "title": {"color": ink, "fontSize": 13, "fontWeight": 600, "anchor": "start"},
    }


_SVG = "{http://www.w3.org/2000/svg}"
_ELEMENTS = frozenset(
    f"{_SVG}{name}" for name in ("svg", "g", "path", "rect", "line", "text", "tspan", "defs", "clipPath", "circle")
)
_ATTRIBUTES = frozenset(
    {"width", "height", "viewBox", "fill", "stroke", "stroke-width", "stroke-miterlimit", "stroke-dasharray"}
    | {"stroke-opacity", "fill-opacity", "opacity", "stroke-linecap", "stroke-linejoin", "transform", "d", "x", "y"}
    | {"x1", "y1", "x2", "y2", "r", "cx", "cy", "dx", "dy", "class", "text-anchor", "font-family", "font-size"}
    | {"font-weight", "font-style", "id", "clip-path", "clip-rule"}
)
_REFERENCE = re.compile(r"url\(#([\w-]+)\)")


def _clean(svg: str, name: str, told: str) -> str:
    """The drawing rebuilt from harmless parts, with its ids made its own and its text for those who can't see it."""
    ElementTree.register_namespace("", _SVG[1:-1])
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own converter's output
    prefix = re.sub(r"\W+", "-", name)

    def rebuilt(old: ElementTree.Element) -> ElementTree.Element | None:
        if old.tag not in _ELEMENTS or old.get("display") == "none":
            return None
        new = ElementTree.Element(old.tag)
        for key, value in old.attrib.items():
            if key in _ATTRIBUTES:
                kept = f"{prefix}-{value}" if key == "id" else _REFERENCE.sub(rf"url(#{prefix}-\1)", value)
                if "url(" not in kept or kept.startswith(f"url(#{prefix}-"):
                    new.set(key, kept)
        new.text, new.tail = old.text, old.tail
        new.extend(child for child in map(rebuilt, old) if child is not None)
        return new

    clean = rebuilt(root)
    if clean is None:
        raise ValueError(f"figure {name}: the drawing is no SVG")
    clean.set("role", "img")
    clean.set("aria-label", plain(told))
    return ElementTree.tostring(clean, encoding="unicode")


def _inlined(svg: str) -> str:
    """The drawing without a ground, so that the page's own shows through."""
    return re.sub(rf'<rect [^>]*\bfill="{light("paper")}" ?/>', "", svg, count=1)


def recolouring() -> str:
    """The CSS that gives a drawing the dark colours wherever `SCOPE` stands for the dark theme's selector."""
    rules = []
    for one, other in COLOURS.values():
        rules.append(f'SCOPE :is(.drawing,.swatch) [fill="{one}"]{{fill:{other}}}')
        rules.append(f'SCOPE .drawing [stroke="{one}"]{{stroke:{other}}}')
    return "\n".join(rules)
