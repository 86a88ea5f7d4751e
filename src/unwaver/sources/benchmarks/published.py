"""The prompt sets that are known by name.

Pinned revisions are commits found in public sources; docs/sources.md says which sets were read here as real files.
GSM8K's reference answer is what follows its `####`; AIME's and MATH's stand in a column of their own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache
from importlib import resources

from unwaver.errors import RecordError
from unwaver.records import Kind
from unwaver.sources import livecodebench
from unwaver.sources.files import RawRow
from unwaver.sources.overlap import words
from unwaver.sources.source import Draft, Home, Source, columns
from unwaver.sources.traces import STUDY, STUDY_RECIPES, TRACES, prompt_of

CORPUS: dict[str, Kind] = {"harmful": "harmful", "borderline": "borderline", "plain": "benign", "maths": "maths"}
"""The packaged corpus: its sets and what their prompts are."""

XSTEST = Home("Paul/XSTest", "f600c994b256f12867dfa5b3eb3d545a3e62f8b5")

JBB = Home("JailbreakBench/JBB-Behaviors", "886acc352a31533ffbcf4ef22c744658688086fc", config="behaviors")

WILDJAILBREAK = Home(
    "allenai/wildjailbreak",
    "5ddc12ee397b402a35d575dbf1cd1f026ee4021a",
    config="eval",
    options={"delimiter": "\t", "keep_default_na": False},
)


def _corpus(name: str, kind: Kind) -> Source:
    read = columns(kind, {field: (field,) for field in ("text", "category", "target", "split")})
    title = f"{name} prompts written for this package, mild on purpose"
    return Source(f"corpus/{name}", title, kind, "Apache-2.0", read, splits=True)


def _standard(row: RawRow) -> bool:
    """HarmBench's plain behaviours; copies that hold nothing else have no such column."""
    return bool(row.get("FunctionalCategory", "standard") == "standard")


def _unsafe(row: RawRow) -> bool:
    """XSTest's contrast prompts, also in copies without the column `label`."""
    return str(row.get("type", "")).startswith("contrast") or row.get("label") == "unsafe"


def _xstest_safe(row: RawRow, place: str) -> Draft | None:
    read = columns("borderline", {"text": ("prompt",), "category": ("type",)}, lambda row: not _unsafe(row))
    draft = read(row, place)
    return draft and replace(draft, split=xstest_split().get(text_digest(draft.text)))


@cache
def xstest_split() -> dict[str, str]:
    """Digest of a safe prompt's text -> `train` or `heldout`, from the packaged `xstest_split.json`.

    The paper's own division into 100 and 150 was never published; ours is ten of each of the ten types for training,
    those whose id has the smallest blake2b digest under the seed in the file.
    """
    content = json.loads((resources.files("unwaver.sources") / "xstest_split.json").read_text(encoding="utf-8"))
    return {digest: part for part in ("train", "heldout") for digest in content[part].values()}


def text_digest(text: str) -> str:
    """12 hex characters from the folded words of a text, so that copies with other quotation marks agree."""
    return hashlib.blake2b(" ".join(words(text)).encode(), digest_size=6).hexdigest()


def _gsm8k(row: RawRow, place: str) -> Draft | None:
    draft = columns("maths", {"text": ("question",), "target": ("answer",)})(row, place)
    if draft is None or draft.target is None or "####" not in draft.target:
        raise RecordError(f"{place}: answer: expected a solution that ends in `#### RESULT`")
    return replace(draft, target=draft.target.rpartition("####")[2].strip().replace(",", ""))


def _pap(row: RawRow, place: str) -> Draft | None:
    fields = {"text": ("final_query",), "behaviour": ("query",), "category": ("category",)}
    draft = columns("harmful", fields)(row, place)
    return draft and replace(draft, attack="pap")


def _wild(kind: Kind) -> Source:
    adversarial = f"adversarial_{'harmful' if kind == 'harmful' else 'benign'}"
    read = columns(
        kind,
        {"text": ("adversarial",), "behaviour": ("vanilla",), "category": ("data_type",)},
        lambda row: row.get("data_type") == adversarial,
    )

    def wrapped(row: RawRow, place: str) -> Draft | None:
        draft = read(row, place)
        return draft and replace(draft, attack="wildjailbreak")

    name, title = f"wildjailbreak/{kind}", f"WildJailbreak's evaluation set, {kind} prompts in jailbreak wording"
    size = 2000 if kind == "harmful" else 210
    return Source(name, title, kind, "ODC-BY (gated)", wrapped, WILDJAILBREAK, size=size)


def _safechain(kind: Kind) -> Source:
    """The prompts of SafeChain's traces, by the word in its `label`."""
    word = "harmful" if kind == "harmful" else "benign"

    def read(row: RawRow, place: str) -> Draft | None:
        label = str(row.get("label", ""))
        if ("harmful" in label) == ("benign" in label):
            raise RecordError(f"{place}: label: expected harmful or benign in it, got {label[:40]!r}")
        return columns(kind, {"text": ("instruction",), "category": ("label",)}, lambda row: word in label)(row, place)

    known = TRACES["safechain"]
    return Source(f"safechain/{kind}", f"SafeChain's {word} prompts", kind, known.licence, read, known.home)


def _study_data(name: str) -> Source:
    """The harmful prompts the study trained on; its harmless ones are XSTest's, which are left to `xstest/safe`."""

    def read(row: RawRow, place: str) -> Draft | None:
        text = prompt_of(row, place)
        return None if text_digest(text) in xstest_split() else Draft(text, "harmful", behaviour=text)

    known = TRACES[f"lrm-safety-study/{name}"]
    title = f"the harmful prompts of the study's training data, recipe `{name}`"
    return Source(f"lrm-safety-study/{name}", title, "harmful", known.licence, read, known.home)


def _advbench_file(name: str) -> Home:
    return Home(*STUDY, file=f"attack_refusal_evaluation/{name}")


def _jbb(kind: Kind, part: str) -> Source:
    read = columns(kind, {"text": ("Goal", "goal"), "category": ("Category", "category")})
    name, title = f"jailbreakbench/{part}", f"JailbreakBench's 100 {part} behaviours"
    return Source(name, title, kind, "MIT", read, replace(JBB, part=part), size=100)


ALL = [
    *(_corpus(name, kind) for name, kind in CORPUS.items()),
    Source(
        "corpus/numbers",
        "questions with a well-known number for an answer, written for this package",
        "maths",
        "Apache-2.0",
        columns("maths", {"text": ("text",), "target": ("target",)}),
        size=30,
    ),
    Source(
        "harmbench",
        "HarmBench's 200 standard behaviours",
        "harmful",
        "MIT",
        columns(
            "harmful",
            {
                "text": ("Behavior", "behavior", "prompt", "query"),
                "category": ("SemanticCategory", "semantic_category", "category"),
            },
            _standard,
        ),
        Home(
            "github:centerforaisafety/HarmBench",
            "8e1604d1171fe8a48d8febecd22f600e462bdcdd",
            file="data/behavior_datasets/harmbench_behaviors_text_all.csv",
        ),
        size=200,
    ),
    Source(
        "advbench50",
        "50 AdvBench behaviours, the subset of the PAIR paper",
        "harmful",
        "MIT",
        columns("harmful", {"text": ("query", "goal")}),
        _advbench_file("data/advbench/advbenchsub.jsonl"),
        size=50,
    ),
    Source(
        "advbench50/pap",
        "the same 50 rewritten by persuasion techniques, as fixed by the study",
        "harmful",
        "MIT",
        _pap,
        _advbench_file("results/pap_advbenchsub.jsonl"),
        size=50,
    ),
    Source(
        "xstest/safe",
        "XSTest's 250 safe prompts that sound alarming; 100 for training, 150 held out",
        "borderline",
        "CC-BY-4.0",
        _xstest_safe,
        XSTEST,
        splits=True,
        size=250,
    ),
    Source(
        "xstest/contrast",
        "XSTest's 200 unsafe contrast prompts",
        "harmful",
        "CC-BY-4.0",
        columns("harmful", {"text": ("prompt",), "category": ("type",)}, _unsafe),
        XSTEST,
        size=200,
    ),
    _jbb("harmful", "harmful"),
    _jbb("borderline", "benign"),
    Source(
        "strongreject",
        "StrongREJECT's 313 forbidden prompts",
        "harmful",
        "MIT",
        columns("harmful", {"text": ("forbidden_prompt", "prompt"), "category": ("category",)}),
        Home(
            "github:alexandrasouly/strongreject",
            "3432b2d696b428f242bd507df96d80f686571d5e",
            file="strongreject_dataset/strongreject_dataset.csv",
        ),
        size=313,
    ),
    _wild("harmful"),
    _wild("borderline"),
    Source(
        "or-bench-hard",
        "OR-Bench's hard set: about 1,300 safe prompts that models refuse",
        "borderline",
        "CC-BY-4.0",
        columns("borderline", {"text": ("prompt",), "category": ("category",)}),
        Home("bench-llm/or-bench", "e36d8b80e81837c8a8f264bbb2a49f1b32c7e272", config="or-bench-hard-1k"),
        size=1300,
    ),
    Source(
        "star-1",
        "STAR-1's 1,000 prompts",
        "harmful",
        TRACES["star-1"].licence,
        columns("harmful", {"text": ("question",), "category": ("category",)}),
        TRACES["star-1"].home,
    ),
    _safechain("harmful"),
    _safechain("borderline"),
    *(_study_data(name) for name in STUDY_RECIPES if name != "math"),
    Source(
        "math500",
        "MATH-500",
        "maths",
        "MIT",
        columns("maths", {"text": ("problem",), "category": ("subject",), "target": ("answer",)}),
        Home("HuggingFaceH4/MATH-500", "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be", part="test"),
        size=500,
    ),
    Source(
        "aime2024",
        "AIME 2024, 30 problems",
        "maths",
        "problems (c) Mathematical Association of America; for evaluation",
        columns("maths", {"text": ("problem", "Problem"), "target": ("answer", "Answer")}),
        Home("HuggingFaceH4/aime_2024", "2fe88a2f1091d5048c0f36abc874fb997b3dd99a"),
        size=30,
    ),
    Source(
        "gsm8k",
        "GSM8K's 1,319 test problems",
        "maths",
        "MIT",
        _gsm8k,
        Home("openai/gsm8k", "cc7b047b6e5bb11b4f1af84efc572db110a51b3c", config="main", part="test"),
        size=1319,
    ),
    Source(
        "livecodebench",
        "LiveCodeBench, October 2024 to January 2025",
        "code",
        "CC (as its card says, without a version)",
        livecodebench.read,
        Home("lighteval/code_generation_lite", "89e5fc5c2a8e748f50e95bc7235fab2372d49bfa", config="v5", part="test"),
        size=166,
    ),
]

SOURCE = tuple(ALL)
