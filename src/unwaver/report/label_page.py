"""The page on which a person labels traces: one file that asks for nothing from anywhere.

It is blind (no model, run or verdict stands in it) and safe to open: texts are gzipped JSON in base64, made visible,
and put into the page as text nodes; its policy allows this script and these styles only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from unwaver.judging.people import ASKED, digest_of
from unwaver.plain import visible
from unwaver.records import Trace, digest
from unwaver.report.browser import packed
from unwaver.report.page import policy, styles
from unwaver.stages.label import DrawnQuestion, Stratum

FOLDER = Path(__file__).parent


def made(traces: Sequence[Trace], question: DrawnQuestion, strata: Sequence[Stratum], reader: str) -> str:
    """The page's HTML; `reader`: whose name its labels bear unless somebody writes another.

    What a browser kept of a smaller sample of the same strata stands in a larger one's page too.
    """
    asked = ASKED[question.rubric]
    script, css = ((FOLDER / f"label.{kind}").read_text(encoding="utf-8") for kind in ("js", "css"))
    css = styles() + css
    data = {
        "sample": digest([question.rubric, question.part, [(one.run, one.verdict) for one in strata]]),
        "rubric": question.rubric,
        "part": question.part,
        "several": asked.several,
        "traces": [
            {"id": one.id, "text": digest_of(one, question.part), "texts": shown(one, question), "cut": one.truncated}
            for one in traces
        ],
    }
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined)
    return environment.get_template("label.html").render(
        rubric=question.rubric,
        question=asked.question,
        answers=dict(asked.answers),
        labels=list(asked.answers),
        several=asked.several,
        reader=visible(reader),
        data=packed(data),
        policy=policy(script, css),
        script=script,
        css=css,
    )


def shown(trace: Trace, question: DrawnQuestion) -> list[tuple[str, str]]:
    """What a person is shown of a trace, by name: the prompt, the harm that is sought, and the parts in question."""
    prompt, trace = trace.prompt, trace.learnt  # what readers read
    said = [(turn.role, turn.content) for turn in prompt.turns] + [("prompt", prompt.text)]
    if prompt.behaviour and prompt.behaviour != prompt.text:
        said.append(("harm that is sought", prompt.behaviour))
    if trace.whole is not None:
        said.append(("reply", trace.whole))
    for part in ("reasoning", "answer"):
        text = trace.reasoning if part == "reasoning" else trace.answer
        if text and trace.whole is None and question.part in (part, "both"):
            said.append((part, text))
    return [(name, visible(text)) for name, text in said]
