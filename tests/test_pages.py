"""The pages lead where they say: links, anchors, files that are named; and the site holds every page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
EXAMPLE = DOCS / "example_report"
"""What a run wrote; of it only the first page stands in the site's navigation."""


def tokens(page: Path) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
        yield token
        yield from token.children or ()


def links(page: Path) -> list[str]:
    found = [
        str(one.attrs.get("href", one.attrs.get("src"))) for one in tokens(page) if one.type in ("link_open", "image")
    ]
    return [target for target in found if "://" not in target and not target.startswith("mailto:")]


@cache
def anchors(page: Path) -> set[str]:
    """As code hosts make them of headings: small letters, no punctuation, hyphens for spaces, a number at a second one."""
    found: dict[str, int] = {}
    names: set[str] = set()
    all_tokens = list(tokens(page))
    for at, token in enumerate(all_tokens):
        if token.type == "heading_open":
            said = "".join(
                one.content for one in all_tokens[at + 1].children or () if one.type in ("text", "code_inline")
            )
            slug = re.sub(r"[^\w\- ]", "", said.strip().lower()).replace(" ", "-")
            names.add(f"{slug}-{found[slug]}" if slug in found else slug)
            found[slug] = found.get(slug, 0) + 1
        names |= set(re.findall(r'<a (?:id|name)="([^"]+)"', token.content)) if token.type.startswith("html") else set()
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        target, _, anchor = link.partition("#")
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), link
        if anchor:
            assert anchor in anchors(there), f"{link}; there are {sorted(anchors(there))}"


def test_a_heading_becomes_the_anchor_a_code_host_makes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `key.name`, and *more*\n\n## Why?\n\n```sh\n# no heading\n```\n\n## Why?\n\n[no](link) `[x](y)`\n"
    )
    assert anchors(page) == {"a-keyname-and-more", "why", "why-1"}
    assert links(page) == ["link"]


def test_a_page_that_is_named_is_there() -> None:
    """Also where code, a recipe or a message names it, which is no link."""
    files = [
        *(page for page in PAGES if EXAMPLE not in page.parents),
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "tools").glob("*.py"),
        *ROOT.glob("*/*.toml"),
        ROOT / "Makefile",
    ]
    named = {
        (name, file.name)
        for file in files
        for name in re.findall(r"\bdocs/[\w/]+\.(?:md|json|ipynb)\b", file.read_text(encoding="utf-8"))
    }
    assert len(named) > 50
    assert [(name, where) for name, where in sorted(named) if not (ROOT / name).exists()] == []


def config() -> dict[str, object]:
    return dict(tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"])


def test_every_page_stands_in_the_site_once() -> None:
    def pages(entry: object) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        for below in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
            yield from pages(below)

    told = list(pages(config()["nav"]))
    ours = [page for page in DOCS.rglob("*.md") if EXAMPLE not in page.parents or page.name == "README.md"]
    there = {str(page.relative_to(DOCS)) for page in ours}
    assert sorted(told) == sorted(there)


def test_pages_of_the_site_link_to_nothing_outside_of_it() -> None:
    """The site holds no code: a file beside docs/ is named and not linked."""
    for page in DOCS.rglob("*.md"):
        for link in links(page):
            target = link.partition("#")[0]
            assert not target or (page.parent / target).resolve().is_relative_to(DOCS), f"{page.name}: {link}"


@pytest.mark.real
@pytest.mark.skipif(find_spec("zensical") is None, reason="needs the extra `docs`")
def test_the_site_is_built_and_asks_for_nothing_elsewhere(tmp_path: Path) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    words = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = tmp_path / "site"
    for page in (tmp_path / "docs").rglob("*.md"):
        name = page.relative_to(tmp_path / "docs").with_suffix(".html")
        html = (built / (name.with_name("index.html") if name.name == "README.html" else name)).read_text()
        assert re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="https?://', html) == []
