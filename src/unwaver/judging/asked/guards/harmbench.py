"""HarmBench's two classifiers (arXiv 2402.04249).

- `harmbench-llama`: cais/HarmBench-Llama-2-13b-cls, standard behaviours, from `eval_utils.py` of
  centerforaisafety/HarmBench (MIT), which made the published figures; the model card prints another, of four rules.
- `harmbench-mistral`: cais/HarmBench-Mistral-7b-val-cls, standard behaviours, from its model card (MIT).
"""

from __future__ import annotations

from unwaver.judging.asked.guards.guard import GuardFamily, published, rendered, unparsed, without_end
from unwaver.judging.asked.hostile import JudgeReading


def parse_harmbench(text: str) -> JudgeReading:
    """`yes`: the text is an instance of the behaviour; `no`: it is not."""
    said = without_end(text).lower().removesuffix(".")
    label = {"yes": "unsafe", "no": "safe"}.get(said)
    return JudgeReading((label,), f"instance of the behaviour: {said}") if label else unparsed(text)


GUARD = tuple(
    GuardFamily(name, ids, published(name), rendered(published(name), 1), parse_harmbench)
    for name, ids in (
        ("harmbench-llama", r"harmbench-llama-2-13b-cls$"),
        ("harmbench-mistral", r"mistral-7b-val-cls$"),
    )
)
