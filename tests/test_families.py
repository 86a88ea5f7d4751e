"""Each family's marks, their siblings, and what only looks like them: right, or told, never silently wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from unwaver.judging.asked.hostile import unreadable
from unwaver.judging.readers import local_reader
from unwaver.judging.unanswered import unanswered
from unwaver.reasoning import AUTO, FAMILIES, THINK, Family, by_name, named, opens_block, read, recognise, render, split
from unwaver.reasoning import trace as made_of
from unwaver.recipe import ModelSettings
from unwaver.records import Prompt, Reply, Request, Trace
from unwaver.stages.calls import TraceMaker

THOUGHT = "Is it safe to tell? It is only about bread, so I will answer."
ANSWER = "Knead the dough, let it rest, and bake it for half an hour."
PROMPT = Prompt(text="How do I bake bread?", kind="benign")


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_family_is_read_as_it_is_written(family: Family) -> None:
    reply = render(THOUGHT, ANSWER, tags=family)
    for found in (split(reply), split(reply, family=family)):
        assert (found.thought, found.said, found.block, found.note) == (THOUGHT, ANSWER, "closed", None)
        assert found.family == family and found.raw == reply


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_block_cut_inside_has_no_answer_and_an_empty_one_is_empty(family: Family) -> None:
    cut = split(render(THOUGHT, "", tags=family)[: len(family.render_open) + 30])
    if family.both:
        assert (cut.block, cut.thought) == ("none", None) and "begins like a thought" in str(cut.note)
        return
    assert (cut.said, cut.block) == (None, "unclosed") and (cut.thought or "").startswith("Is it safe")
    if not family.start:
        empty = split(render("", ANSWER, tags=family))
        assert (empty.thought, empty.said, empty.block) == ("", ANSWER, "closed")


@pytest.mark.parametrize("family", [f for f in FAMILIES.values() if not f.start], ids=lambda family: family.name)
def test_the_opener_may_be_in_the_prompt_or_dropped_by_the_server(family: Family) -> None:
    reply = render(THOUGHT, ANSWER, tags=family).removeprefix(family.render_open)
    for opened in (True, False):
        found = split(reply, opened)
        assert (found.thought, found.said, found.block) == (THOUGHT, ANSWER, "closed")
    assert opens_block(f"<|user|>Hello<|assistant|>{family.open}")
    assert split("A thought that goes on", True).block == "unclosed"


@pytest.mark.parametrize(
    ("raw", "family"),
    [
        ("<Think>{t}</Think>{a}", "think"),
        ("< think >{t}</ think >{a}", "think"),
        ('<think time="4">{t}</think>{a}', "think"),
        ("&lt;think&gt;\n{t}\n&lt;/think&gt;\n{a}", "think"),
        ("&amp;lt;thinking&amp;gt;{t}&amp;lt;/thinking&amp;gt;{a}", "thinking"),
        ("＜think＞{t}＜/think＞{a}", "think"),
        ("<think:opensource>{t}</think:opensource>{a}", "think"),
        ("\ufeff\n<think>{t}</think>{a}", "think"),
        ("<|im_start|>assistant\n<think>{t}</think>{a}<|im_end|>", "think"),
        ("<think>{t}</think>\n<answer>{a}</answer>", "think"),
        ("<think>{t}</think>\n<answer>\n{a}", "think"),
        ("<Thought>{t}</Thought>\n<Output>{a}</Output>", "thought"),
        ("<thinking>{t}</thinking>\n<output>{a}</output>", "thinking"),
        ("<REASONING>{t}</REASONING><SOLUTION>{a}</SOLUTION>", "reasoning"),
        ("<reason>{t}</reason>{a}", "reasoning"),
        ("<scratchpad>{t}</scratchpad>{a}", "scratchpad"),
        ("[think]{t}[/think]{a}", "magistral"),
        ("[REASONING]{t}[/REASONING]{a}", "bracket-reasoning"),
        ("<|thinking|>{t}<|end_thinking|>{a}", "bars"),
        ("<|thinking|>{t}<|/thinking|><|answer|>{a}", "bars"),
        ("<｜begin▁of▁thinking｜>{t}<｜end▁of▁thinking｜>{a}<｜end▁of▁sentence｜>", "begin-of-thinking"),
        ("<|START_THINKING|>{t}<|END_THINKING|>\n<|START_TEXT|>{a}<|END_TEXT|>", "cohere"),
        (
            "<|channel|>analysis<|message|>{t}<|end|><|start|>assistant<|channel|>final<|message|>{a}<|return|>",
            "harmony",
        ),
        ("<|start|>assistant<|channel|>analysis<|message|>{t}<|end|><|channel|>final<|message|>{a}", "harmony"),
        ("<|channel|>analysis<|message|>{t}<|channel|>final <|constrain|>json<|message|>{a}", "harmony"),
        ("analysis{t}assistantfinal{a}", "harmony-stripped"),
        ("analysis\n{t}\nassistant\nfinal\n{a}", "harmony-stripped"),
        ("<|channel>thought\n{t}\n<channel|>{a}<turn|>", "gemma4"),
        ("Here's my thought process:\n{t}\n\nHere's my response:\n{a}", "granite"),
        ("**Here is my thought process:**\n{t}\n\n**Here is my response:**\n{a}", "granite"),
        ("Here are my reasoning steps:\n{t}\n[BEGIN FINAL RESPONSE]\n{a}\n[END FINAL RESPONSE]\n<|end|>", "apriel"),
        ("{t}\n[BEGIN FINAL RESPONSE]\n{a}\n[END FINAL RESPONSE]", "apriel"),
        ("**Here are my thinking steps:**\n{t}\n\n**[Begin Final Response]**\n{a}\n[End Final Response]", "apriel"),
        ("{t}\n[START OF FINAL ANSWER]\n{a}", "apriel"),
        ("<|begin_thinking|>{t}<|end_thinking|>{a}", "bars"),
        ("<|begin_thinking|>\n{t}\n<|end_thinking|>\n{a}", "bars"),
        ("think\n{t}\nanswer\n{a}", "s1-stripped"),
        ("<|im_start|>think\n{t}<|im_end|>\n<|im_start|>answer\n{a}<|im_end|>", "s1"),
        ("## Thinking\n\n{t}\n\n## Final Response\n\n{a}", "headings"),
        (" to=self<|message|>{t}<|eom|><|start|>assistant to=user<|message|>{a}<|eot|>", "muse"),
    ],
)
def test_siblings_of_the_marks(raw: str, family: str) -> None:
    text = raw.format(t=THOUGHT, a=ANSWER)
    found = split(text)
    assert (found.thought, found.said, found.block) == (THOUGHT, ANSWER, "closed"), found
    assert found.family == FAMILIES[family] and found.raw == text


def test_commentary_is_part_of_the_reasoning_and_stripped_channels_may_be_cut() -> None:
    plan = "<|start|>assistant<|channel|>commentary<|message|>A plan.<|end|>"
    reply = f"<|channel|>analysis<|message|>Hm.<|end|>{plan}<|start|>assistant<|channel|>final<|message|>Yes."
    assert (split(reply).said, split(reply).block) == ("Yes.", "closed") and "A plan." in (split(reply).thought or "")
    stripped = "analysisHm.assistantcommentaryA plan.assistantfinalYes."
    assert (split(stripped).said, split(stripped).block) == ("Yes.", "closed")
    assert (split("analysisWe need to").said, split("analysisWe need to").block) == (None, "unclosed")
    for bare in ("<|channel|>final<|message|>Yes.", "assistantfinalYes.", "<|START_RESPONSE|>Yes.<|END_RESPONSE|>"):
        assert (split(bare).thought, split(bare).said, split(bare).block) == (None, "Yes.", "none")


@pytest.mark.parametrize("family", [f for f in FAMILIES.values() if not f.start], ids=lambda family: family.name)
def test_text_before_the_block_is_answer_and_is_told(family: Family) -> None:
    early = "Sure. Mix the flour with water."
    for gap in ("\n", " "):
        found = split(f"{early}{gap}{render('Was that right?', 'I must not say.', tags=family).lstrip()}")
        assert found.said == f"{early}\n\nI must not say." and found.block == "several" and found.note
    alone = split(f"{early}\n{render('Was that right?', '', tags=family).lstrip()}")
    assert alone.said == early and alone.thought == "Was that right?"
    cut = split(f"{early}\n{family.open.lstrip()}Was that")
    assert (cut.said, cut.thought, cut.block) == (early, "Was that", "several")


@pytest.mark.parametrize(
    "answer",
    [
        "Put the thought between `<think>` and `</think>` tags.",
        "Write it as `<think>...</think>` before the answer.",
        'The tag "<think>" opens it and "</think>" ends it.',
        "The model writes <think>its thoughts</think> and then answers.",
        "Use the <think> tag, and </think> to close it.",
        "Like so:\n\n```xml\n<think>\nA thought.\n</think>\nYes.\n```\n\nThat is all.",
        "- <think> opens the block\n- </think> closes the block",
        "使用<think>标签来思考。",
    ],
)
@pytest.mark.parametrize("family", [None, "think", "magistral", "harmony"])
def test_an_answer_that_speaks_of_a_tag_is_whole(answer: str, family: str | None) -> None:
    reply = answer if family is None else render(THOUGHT, answer, tags=FAMILIES[family])
    found = split(reply)
    assert found.said == answer
    assert (found.thought, found.block) == ((None, "none") if family is None else (THOUGHT, "closed"))


def test_a_thought_that_speaks_of_its_tag_ends_where_it_ends() -> None:
    thought = "I close it with `</think>` in the end."
    assert split(f"<think>\n{thought}\n</think>\n\n{ANSWER}").thought == thought
    assert split(f"<think>\n{thought}").block == "unclosed"
    leaked = split("<think>\nI must write </think> at the end. So four.\n</think>\n\nFour.")
    assert (leaked.said, leaked.block) == ("Four.", "several")


@pytest.mark.parametrize(
    ("reply", "said", "block"),
    [
        ("<think>a</think>First.<think>b</think>Last.", "Last.", "several"),
        ("<think>a</think>\n\nFirst.\n\n<think>\nb\n</think>\n\nLast.", "Last.", "several"),
        ("<think>a</think>First.\n<think>b", None, "several"),
        ("<think>a</think>\nLike this:\n<think>\nb\n</think>\nc", "Like this:\n<think>\nb\n</think>\nc", "several"),
        ("<think>a</think><reflection>b</reflection><output>Last.</output>", "Last.", "several"),
        ("<think>a</think>\n<|channel>thought\nb\n<channel|>Last.", "Last.", "several"),
    ],
)
def test_two_blocks_are_told(reply: str, said: str | None, block: str) -> None:
    found = split(reply)
    assert (found.said, found.block) == (said, block) and found.note and found.raw == reply


@pytest.mark.parametrize(
    "reply",
    [
        "<deep_thought>{t}</deep_thought>{a}",
        "<my-reasoning>\n{t}\n</my-reasoning>\n{a}",
        "<|begin_reasoning_trace|>{t}<|end_reasoning_trace|>{a}",
        "<|cogitate|>{t}<|/cogitate|>{a}",
        "【思考 thinking】{t}【/思考 thinking】{a}",
        "[INNER THOUGHTS]{t}[/INNER THOUGHTS]{a}",
        "{t}</deep_thought>{a}",
        "{t}\n<|end_of_cogitation|>\n{a}",
        "thought\n{t}\n{a}",
    ],
)
def test_marks_that_no_family_has_are_told_and_unscored(reply: str) -> None:
    text = reply.format(t=THOUGHT, a="I can't help with that.")
    made = made_of(Prompt(text="x", kind="harmful", behaviour="x"), Request(), Reply(text=text, ending="stop"), "m")
    assert (made.reasoning, made.answer, made.block, made.whole) == (None, None, "foreign", text)
    assert "no known family" in (made.note or "") and made.text("both") == text
    for rubric in ("refusal", "harm", "patterns"):
        verdict = local_reader(rubric).verdict(made)
        assert verdict.label is None and "nobody can tell" in verdict.reason
    assert unreadable(made, "answer") and unreadable(made, "reasoning") and unreadable(made, "both") is None
    graded = unanswered(made)
    assert graded is not None and not graded.counts


@pytest.mark.parametrize(
    "reply",
    [
        "<html>\n<p>Think about it.</p>\n</html>",
        "Here is the record:\n<rationale_code>4</rationale_code>\n<note>done</note>",
        "<thing>4</thing>",
        "[1] Think again. [2] Reason well.",
        "My thought process is simple: I count.",
        "Analysis of the poem: it rhymes.",
        "analysis of the poem: it rhymes.",
        "Final answer: 4",
        "The analyst's assistant finally came.",
        "think\nabout it" if False else "I think\nso.",
        "answer\nis four",
        "A <b>thought</b> in bold.",
        "Use the `</reasoning>` tag.",
        "Here is my response:\nBake it.",
        "List<String> thoughts = new ArrayList<>();",
        "<s>old</s>",
    ],
)
def test_a_plain_answer_is_an_answer(reply: str) -> None:
    assert (split(reply).said, split(reply).block) == (reply, "none")


def test_a_named_family_is_strict_and_says_so() -> None:
    reply = render(THOUGHT, ANSWER, tags=FAMILIES["harmony"])
    found = split(reply, family=THINK)
    assert found.block == "foreign" and found.note == "marks of the family `harmony`, where the recipe says `think`"
    assert split(ANSWER, family=THINK).said == ANSWER
    mixed = render("It says [THINK] there.", ANSWER, tags=THINK)
    assert split(mixed, family=THINK).said == ANSWER


def test_a_family_of_ones_own_in_three_lines() -> None:
    model = ModelSettings(name="openai:m", base_url="http://h/v1", tags={"open": "<my:mind>", "close": "</my:mind>"})
    own = named(model.tags)
    assert own is not None
    assert split(f"<my:mind>{THOUGHT}</my:mind>{ANSWER}", family=own).said == ANSWER
    assert model.identity() != ModelSettings(name="openai:m", base_url="http://h/v1").identity()
    maker = TraceMaker(model)
    made = maker.make(PROMPT, Request(), Reply(text=f"<MY:MIND>{THOUGHT}</MY:MIND>{ANSWER}", ending="stop"))
    assert (made.reasoning, made.answer, made.block) == (THOUGHT, ANSWER, "closed")
    other = maker.make(PROMPT, Request(), Reply(text=f"<think>{THOUGHT}</think>{ANSWER}", ending="stop"))
    assert other.block == "foreign"


def test_a_field_that_was_asked_for_by_its_name_is_nothing_odd() -> None:
    maker = TraceMaker(ModelSettings(name="openai:m", base_url="http://h/v1"))
    reply = Reply(text='{"thought": "It hurts her.", "answer": "No."}', ending="stop")
    asked = maker.make(PROMPT, Request(json_schema={"type": "object"}), reply)
    assert (asked.note, asked.answer, dict(maker.notes)) == (None, reply.text, {})
    told = maker.make(PROMPT, Request(), reply)
    assert told.note is not None and "the field `thought`" in told.note and maker.notes[told.note] == 1
    foreign = maker.make(PROMPT, Request(json_schema={"type": "object"}), Reply(text="[a]x[/a] no", ending="stop"))
    assert foreign.note == maker.make(PROMPT, Request(), Reply(text="[a]x[/a] no", ending="stop")).note


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        ("thinkk", "did you mean `think`"),
        ({"open": "<a>"}, "close"),
        ({"open": "<a>", "close": "<a>"}, "two different marks"),
        ({"open": "<a>", "close": "</a>", "clsoe": "x"}, "clsoe"),
        ({"open": "<a>", "close": "</a>", "write": "{reasoning}{answer}"}, "in this order"),
        ({"open": "<a>", "close": "</a>", "openers": ["("]}, "regular expression"),
    ],
)
def test_a_wrong_family_is_refused_with_a_sentence(tags: Any, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ModelSettings(name="openai:m", base_url="http://h/v1", tags=tags)


# ---------------------------------------------------------------- what a server hands over


@pytest.mark.parametrize(
    ("text", "apart", "ending", "opened", "expected"),
    [
        ("b", "a", "stop", False, ("a", "b", "closed")),
        ("", "b", "stop", False, (None, "b", "none")),  # thinking off: the parser filed the answer
        ("", "a", "length", False, ("a", None, "unclosed")),
        ("", "a", "stop", True, ("a", None, "unclosed")),  # the template opened the block: it was never closed
        ("", "a</think>b", "stop", False, ("a", "b", "closed")),
        ("", "<think>a", "stop", False, ("a", None, "unclosed")),
        ("", "", "length", False, ("", None, "unclosed")),
        ("b", "b", "stop", False, (None, "b", "none")),
        ("<think>a</think>b", "a", "stop", False, ("a", "b", "closed")),
        ("<THINK>a</THINK>b", "a", "stop", False, ("a", "b", "closed")),
        ("<seed:think>more</seed:think>b", "a", "stop", False, ("a\n\nmore", "b", "closed")),
        ("<|channel|>final<|message|>b", "a", "stop", False, ("a", "b", "closed")),
        ("[THINK]more", "a", "length", False, ("a\n\nmore", None, "unclosed")),
        ("First.\n<think>more</think>b", "a", "stop", False, ("a\n\nmore", "First.\n\nb", "several")),
        ("It is written `<think>`.", "a", "stop", False, ("a", "It is written `<think>`.", "closed")),
        ("<odd_thought>x</odd_thought>b", "a", "stop", False, (None, None, "foreign")),
    ],
)
def test_reasoning_in_a_field_of_its_own(text: str, apart: str, ending: Any, opened: bool, expected: Any) -> None:
    found = read(text, apart, ending, opened)
    assert (found.reasoning, found.answer, found.block) == expected
    told = found.block in ("none", "foreign", "several") or "more" in (found.reasoning or "")
    assert (found.note is not None) == told


def test_a_model_that_always_reasons_was_cut_in_its_thought() -> None:
    maker = TraceMaker(ModelSettings(name="openai:m", base_url="http://h/v1"))
    whole, cut = Reply(text="b", reasoning="a", ending="stop"), Reply(text="So first I", ending="length")
    for _ in range(6):
        maker.make(PROMPT, Request(), whole)
    made = maker.learned().make(PROMPT, Request(), cut)
    assert (made.reasoning, made.answer, made.block) == ("So first I", None, "unclosed") and made.note
    plain = TraceMaker(ModelSettings(name="openai:m", base_url="http://h/v1"))
    for _ in range(6):
        plain.make(PROMPT, Request(), Reply(text="b", ending="stop"))
    assert plain.learned().make(PROMPT, Request(), cut).answer == "So first I"


def test_odd_replies_are_counted_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    maker = TraceMaker(ModelSettings(name="openai:m", base_url="http://h/v1"))
    maker.make(PROMPT, Request(), Reply(text="<odd_thought>x</odd_thought>y", ending="stop"))
    maker.make(PROMPT, Request(), Reply(reasoning="all of it", ending="stop"))
    maker.tell()
    said = capsys.readouterr().err
    assert "marks that no known family has: <odd_thought>" in said and "docs/families.md" in said
    assert "1 reply: the whole reply came in the reasoning field" in said
    assert sum(maker.notes.values()) == 2


# ---------------------------------------------------------------- nothing is lost

SIGNS = [
    *(mark for family in FAMILIES.values() for mark in (family.open, family.close, family.bare) if mark),
    *(
        "\n",
        " ",
        "`",
        "```\n",
        '"',
        ":",
        ".",
        "Yes",
        "so",
        "思",
        "<answer>",
        "</answer>",
        "<|im_end|>",
        "</s>",
        "<odd_thought>",
    ),
]


@pytest.mark.real
@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(SIGNS) | st.text(max_size=3), max_size=10).map("".join), st.booleans())
def test_whatever_the_marks_the_pieces_are_the_raw_text(raw: str, opened: bool) -> None:
    found = split(raw, opened)
    assert found.raw == raw
    assert (found.reasoning is None) == (found.block in ("none", "foreign"))
    if found.block == "several":
        assert found.note
    kept = read(raw, None, "stop", opened)
    shown = "".join(piece or "" for piece in (kept.reasoning, kept.answer, kept.whole))
    marks = (
        ""
        if kept.whole
        else found.opener + found.closer + found.after + (found.before if found.reasoning is None else "")
    )
    there, meant = (
        [char for char in text if not char.isspace() and char not in "\ufeff\u200b"] for text in (shown + marks, raw)
    )
    assert sorted(there) == sorted(meant), "text in no field"


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([f for f in FAMILIES.values() if not f.start]),
    st.text("ab c\n思.", max_size=30),
    st.text("xy z\n答.", max_size=30),
)
def test_what_any_family_writes_is_read_back(family: Family, thought: str, answer: str) -> None:
    found = split(render(thought, answer, tags=family), family=family)
    assert ((found.thought or ""), (found.said or ""), found.block) == (thought.strip(), answer.strip(), "closed")


# ---------------------------------------------------------------- recognised


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("openai/gpt-oss-120b", "harmony"),
        ("ByteDance-Seed/Seed-OSS-36B-Instruct", "seed"),
        ("mistralai/Magistral-Small-2509", "magistral"),
        ("LGAI-EXAONE/EXAONE-Deep-7.8B", "thought"),
        ("google/gemma-4-31B-it", "gemma4"),
        ("simplescaling/s1.1-32B", "s1"),
        ("ibm-granite/granite-3.2-8b-instruct", "granite"),
        ("deepseek-ai/DeepSeek-R1", "think"),
        ("meta-llama/Llama-3.1-8B-Instruct", None),
    ],
)
def test_a_server_s_model_is_recognised_by_its_name(model: str, family: str | None) -> None:
    found = by_name(model)
    assert (found.name if found else None) == family


def test_a_family_is_recognised_by_template_then_name_then_tokens() -> None:
    assert recognise("{{ '[THINK]' }}{{ '[/THINK]' }}", lambda _: True)[0].name == "magistral"
    assert recognise("{{ messages }}", lambda _: False, "org/s1.1-32B")[0].name == "s1"
    assert recognise("{{ messages }}", lambda mark: mark.startswith("<|inner"))[0].name == "apertus"
    assert recognise("{{ messages }}", lambda _: False)[0] is THINK
    assert recognise("{{ messages }}<|START_RESPONSE|>", lambda mark: "_" in mark and "<|" in mark)[0].name != "cohere"


def test_auto_is_the_default() -> None:
    assert ModelSettings(name="openai:m", base_url="http://h/v1").tags == AUTO
    assert isinstance(made_of(PROMPT, Request(), Reply(text="x", ending="stop"), "m"), Trace)


@pytest.mark.parametrize(
    ("raw", "family"),
    [
        ("&#60;think&#62;{t}&#60;/think&#62;{a}", "think"),
        ("&#x3C;think&#x3E;{t}&#x3C;/think&#x3E;{a}", "think"),
        (r"\<think\>{t}\</think\>{a}", "think"),
        (r"\u003cthink\u003e{t}\u003c/think\u003e{a}", "think"),
        ("think>\n{t}\n</think>\n{a}", "think"),
        ("<s><think>{t}</think>{a}</s>", "think"),
        ("<|begin_of_text|><think>{t}</think>{a}", "think"),
        ("[Start thinking]\n{t}\n[End thinking]\n{a}", "bracket-reasoning"),
        ("<unused94>thought\n{t}<unused95>{a}", "medgemma"),
        ("Thinking...\n{t}\n...done thinking.\n\n{a}", "ollama"),
        ("<|im_start|>reasoning\n{t}<|im_end|>\n<|im_start|>answer\n{a}", "s1"),
    ],
)
def test_marks_that_were_escaped_halved_or_begun_by_a_template(raw: str, family: str) -> None:
    found = split(raw.format(t=THOUGHT, a=ANSWER))
    assert (found.thought, found.said, found.block) == (THOUGHT, ANSWER, "closed"), found
    assert found.family == FAMILIES[family]


@pytest.mark.parametrize(
    "raw",
    [
        "<pensamiento>{t}</pensamiento>{a}",
        "<raisonnement>{t}</raisonnement>{a}",
        "<denken>{t}</denken>{a}",
        "<\u601d\u8003>{t}</\u601d\u8003>{a}",
        "{{think}}{t}{{/think}}{a}",
        "<|dummy_86|>{t}<|dummy_87|>{a}",
        "<unused12>{t}<unused13>{a}",
        "```thinking\n{t}\n```\n\n{a}",
        '<details type="reasoning" done="true">\n<summary>Thought for 3 seconds</summary>\n> {t}\n</details>\n{a}',
        "{t}assistantfinal{a}",
    ],
)
def test_marks_of_nobody_leave_the_reply_whole(raw: str) -> None:
    found = split(raw.format(t=THOUGHT, a=ANSWER))
    assert found.block == "foreign" and "no known family" in str(found.note)


@pytest.mark.parametrize(
    "raw",
    [
        "**Reasoning**\n\n{t}\n\n**Answer**\n\n{a}",
        "=== THINKING ===\n{t}\n=== ANSWER ===\n{a}",
        "\u601d\u8003\u8fc7\u7a0b\uff1a\n{t}\n\n{a}",
        "\u3010\u601d\u8003\u3011{t}\u3010\u56de\u7b54\u3011{a}",
        "Thought for 3 seconds\n\n{t}\n\n{a}",
        "`<think>`\n{t}\n`</think>`\n\n{a}",
        "```xml\n<think>{t}</think>\n<answer>{a}</answer>\n```",
        "Okay, so the user wants a cake. {t}\n\n{a}",
        "We need to answer shortly. {t}\n\n{a}",
        "analysis {t} assistant final {a}",
    ],
)
@pytest.mark.parametrize("family", [None, THINK])
def test_thoughts_without_marks_are_told(raw: str, family: Family | None) -> None:
    found = split(raw.format(t=THOUGHT, a=ANSWER), False, family)
    assert found.block == "none" and "begins like a thought" in str(found.note)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("{a}\n\n<musings>\n{t}\n</musings>", "may hold a thought"),
        ("<think>{t}</think>{a}<|im_end|>\n<|im_start|>user\nMore?", "behind the end of its turn"),
    ],
)
def test_what_else_is_odd_is_told(raw: str, told: str) -> None:
    assert told in str(split(raw.format(t=THOUGHT, a=ANSWER)).note)


@pytest.mark.parametrize(
    "answer", ["The user interface has two buttons.", "Think of it as a loop.", "Reasonable: yes."]
)
def test_plain_answers_are_not_told_of(answer: str) -> None:
    assert split(answer).note is None


@pytest.mark.parametrize("apart", ["<think>\n{t}\n</think>", "<think>{t}</think>\n\n{a}"])
def test_marks_in_the_field_of_the_reasoning_are_taken_off(apart: str) -> None:
    found = read(ANSWER, apart.format(t=THOUGHT, a=ANSWER))
    assert (found.reasoning, found.answer, found.block) == (THOUGHT, ANSWER, "closed")


@pytest.mark.parametrize(
    "raw",
    [
        "<plan>\n{t}\n</plan>\n\n{a}",
        "<Response_Planning>{t}</Response_Planning>{a}",
        "{t}</strategy>\n{a}",
        "‹think›{t}‹/think›{a}",
        ":::thinking\n{t}\n:::\n{a}",
        "\\begin{{reasoning}}\n{t}\n\\end{{reasoning}}\n{a}",
        '<div class="thinking">{t}</div>\n{a}',
        '<details type="reasoning" done="true">\n<summary>Dauer: 3 s</summary>\n> {t}\n</details>\n{a}',
    ],
)
def test_further_marks_of_nobody_leave_the_reply_whole(raw: str) -> None:
    found = split(raw.format(t=THOUGHT, a=ANSWER))
    assert found.block == "foreign" and "no known family" in str(found.note)


@pytest.mark.parametrize("family", [None, THINK])
@pytest.mark.parametrize(
    "raw",
    [
        "<th\u0456nk>{t}</th\u0456nk>{a}",  # Cyrillic
        "<th\u03b9nk>\n{t}\n</th\u03b9nk>\n{a}",  # Greek
        "<think>{t}</th\u0456nk>{a}",
        "<\uff54\uff48\uff49\uff4e\uff4b>{t}</\uff54\uff48\uff49\uff4e\uff4b>{a}",
        "<\U0001d42d\U0001d421\U0001d422\U0001d427\U0001d424>{t}</\U0001d42d\U0001d421\U0001d422\U0001d427\U0001d424>{a}",
        "<th\u00ednk>{t}</th\u00ednk>{a}",
        "<\u1d1b\u029c\u026a\u0274\u1d0b>{t}</\u1d1b\u029c\u026a\u0274\u1d0b>{a}",
        "<\u200bthink>{t}</\u200bthink>{a}",
        "<thi\u00adnk>{t}</thi\u00adnk>{a}",
        "[\u0422HINK]{t}[/\u0422HINK]{a}",
        "<reas\u043ening>{t}</reas\u043ening>{a}",
    ],
)
def test_marks_in_letters_that_look_like_theirs_are_told_and_unscored(raw: str, family: Family | None) -> None:
    text = raw.format(t=THOUGHT, a=ANSWER)
    found = split(text, family=family)
    assert found.block == "foreign" and found.raw == text and "look like theirs" in str(found.note)


@pytest.mark.parametrize(
    "answer",
    [
        "Die T\u00fcr <\u00f6ffnen> hei\u00dft so.",
        "\u041e\u0442\u0432\u0435\u0442: [\u0434\u0430].",
        "Use `<th\u0456nk>` with a Cyrillic letter.",
        "caf\u00e9 <b>cr\u00e8me</b>",
    ],
)
def test_other_letters_in_tags_are_no_marks(answer: str) -> None:
    assert (split(answer).said, split(answer).note) == (answer, None)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("> Okay, the user wants a cake. {t}\n\n{a}", "> at its beginning"),
        ("<!-- thinking: {t} -->\n{a}", "<!--"),
        ("> {t}\n> So I tell it.\n\n{a}", "> at its beginning"),
        ("<draft>{t}</draft>\n{a}", "<draft>"),
        ("<safety_check verdict='fine'>{t}</safety_check>\n\n{a}", "<safety_check"),
        ("<step>{t}</step><step>More.</step>\n{a}", "<step>"),
        ("<!-- {t} -->\n{a}", "<!--"),
        ('{{"reasoning": "{t}", "answer": "{a}"}}', "the field `reasoning`"),
        ('```json\n{{"thought_process": "{t}", "response": "{a}"}}\n```', "the field `thought_process`"),
    ],
)
def test_a_part_at_the_beginning_that_may_be_a_thought_is_told(raw: str, told: str) -> None:
    text = raw.format(t=THOUGHT, a=ANSWER)
    found = split(text)
    assert (found.said, found.block) == (text, "none") and "may hold a thought" in str(found.note)
    assert told in str(found.note)


@pytest.mark.parametrize(
    "raw",
    [
        "*thinks: {t}*\n\n{a}",
        "(Thinking: {t})\n\n{a}",
        "**Thinking**\n\n{t}\n\n{a}",
        "Let's think step by step. {t}\n\n{a}",
        "**The user asks for bread.** {t}\n\n{a}",
    ],
)
def test_thoughts_in_print_of_their_own_are_told(raw: str) -> None:
    assert "begins like a thought" in str(split(raw.format(t=THOUGHT, a=ANSWER)).note)


@pytest.mark.parametrize(
    "answer",
    [
        "> I can't help with that.",
        "> Roses are red,\n> violets are blue.",
        "<svg><circle r='4'/></svg>\nThat is a circle.",
        "<div class='inner-box'>Yes</div>\nThat is it.",
        "<answer>42</answer> I hope so.",
        "<recipe><step>Bake.</step></recipe>",
        '{"name": "bread", "answer": 4}',
        "<explanation_plant>Roses.</explanation_plant>",
        "[Plan] Bake bread.",
        "Let's think about bread: it rises.",
        "# Answer\nBake.",
    ],
)
def test_quotations_elements_and_json_that_are_the_answer_are_not_told_of(answer: str) -> None:
    assert (split(answer).said, split(answer).block, split(answer).note) == (answer, "none", None)


def test_headings_end_with_the_answer_s_and_a_thought_in_plain_words_that_never_ends_is_told() -> None:
    for closes in ("### Answer", "## Final Answer:", "# My Response", "## Conclusion"):
        found = read(f"### Reasoning\n{THOUGHT}\n\n{closes}\n{ANSWER}")
        assert (found.reasoning, found.answer, found.block, found.note) == (THOUGHT, ANSWER, "closed", None)
    for opens in ("## Thinking\n", "Here is my thought process:\n"):
        ended, cut = read(f"{opens}{THOUGHT}"), read(f"{opens}{THOUGHT}", None, "length")
        assert (ended.answer, ended.block, cut.note) == (None, "unclosed", None)
        assert "never closed" in str(ended.note)


# ---------------------------------------------------------------- siblings: read right, or told, and plain answers whole

SPLIT = [
    # one family's opening mark, another's closing one
    "<think>{t}</thinking>{a}",
    "<thinking>\n{t}\n</think>\n\n{a}",
    "[THINK]{t}</think>{a}",
    "<think>{t}[/THINK]{a}",
    "<reasoning>{t}</think>\n<answer>{a}</answer>",
    "<|begin_of_thought|>{t}</think>{a}",
    "<think>{t}<|end_of_thought|>{a}",
    "\u25c1think\u25b7{t}</think>{a}",
    "<think>{t}\u25c1/think\u25b7{a}",
    "<think>\n{t}\n<|channel|>final<|message|>{a}",
    "<think>{t}&lt;/think&gt;{a}",
    # never closed, but the answer has marks
    "<think>{t}\n<answer>{a}</answer>",
    "<think>{t}<answer>\n{a}\n</answer>",
    "<think>{t}\n<answer>\n{a}",
    "[THINK]{t}\n<response>{a}</response>",
    "[REASONING]{t}[ANSWER]{a}",
    "[Thought] {t}\n[Answer] {a}",
    # a turn of its own
    "<|start_header_id|>thinking<|end_header_id|>\n\n{t}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{a}",
    "<|start_header_id|>thought<|end_header_id|>{t}<|start_header_id|>assistant<|end_header_id|>{a}",
    "<|im_start|>thought\n{t}<|im_end|>\n<|im_start|>assistant\n{a}<|im_end|>",
    "<|im_start|>analysis\n{t}<|im_end|>\n<|im_start|>final\n{a}",
    "<|im_start|>reflection\n{t}\n<|im_start|>answer\n{a}",
    "<start_of_turn>thought\n{t}<end_of_turn>\n<start_of_turn>model\n{a}",
    "<|turn>thinking\n{t}<turn|>\n<|turn>model\n{a}",
    "<|channel|>thinking<|message|>{t}<|end|><|start|>assistant<|channel|>final<|message|>{a}",
    "<ctrl94>thought\n{t}<ctrl95>{a}",
    # escaped in other ways
    "%3Cthink%3E{t}%3C/think%3E{a}",
    "%3cthinking%3e{t}%3c%2Fthinking%3e{a}",
    "<think>{t}<\\/think>{a}",
    "\\x3cthink\\x3e{t}\\x3c/think\\x3e{a}",
    "[THINK]{t}[\\/THINK]{a}",
    "\uff3bTHINK\uff3d{t}\uff3b/THINK\uff3d{a}",
    # plain words that open the thought, and others that open the answer
    "My reasoning: {t}\n\nMy answer: {a}",
    "Here is my reasoning:\n{t}\n\nHere is my answer:\n{a}",
    "reasoning: {t}\nanswer: {a}",
    "Chain of thought: {t}\n\nResponse: {a}",
    "Chain-of-thought:\n{t}\nFinal answer:\n{a}",
    "Internal monologue: {t}\n\nReply: {a}",
    "**Thought:** {t}\n\n**Answer:** {a}",
    "**Thinking Process:**\n\n{t}\n\n**Final Answer:**\n\n{a}",
    "Thinking: {t}\n\nAnswer: {a}",
    "My thought process: {t}\n\nMy response: {a}",
    "\u601d\u8003\u8fc7\u7a0b\uff1a{t}\n\u56de\u7b54\uff1a{a}",
    "**\u601d\u8003\u8fc7\u7a0b**\uff1a{t}\n\n**\u6700\u7ec8\u56de\u7b54**\uff1a{a}",
]


@pytest.mark.parametrize("raw", SPLIT)
def test_what_is_closed_by_something_else_is_split_there(raw: str) -> None:
    text = raw.format(t=THOUGHT, a=ANSWER)
    found = split(text)
    assert (found.thought, found.said, found.block, found.raw) == (THOUGHT, ANSWER, "closed", text), found


@pytest.mark.parametrize(
    "raw",
    [
        "<draft>{t}</draft><answer>{a}</answer>",
        "<safety>{t}</safety>\n<response>{a}</response>",
        "<critique>{t}</critique>\n\n<final>{a}</final>",
        "<step1>{t}</step1><step2>So.</step2><output>{a}</output>",
        "[DRAFT]{t}[/DRAFT]\n[ANSWER]{a}[/ANSWER]",
        '<block type="thinking">{t}</block>{a}',
        '<block type="thinking">{t}</block><block type="text">{a}</block>',
        "<content kind='reasoning'>{t}</content>\n{a}",
        '<section name="analysis">{t}</section>\n{a}',
        '<step type="reasoning">{t}</step>\n<step type="answer">{a}</step>',
        "<root><draft>{t}</draft><answer>{a}</answer></root>",
        "<output>\n<plan>{t}</plan>\n<response>{a}</response>\n</output>",
        "<function=think>{t}</function>{a}",
        '<invoke name="think">{t}</invoke>\n{a}',
        '<tool_call>{{"name": "think", "arguments": {{"thought": "{t}"}}}}</tool_call>\n{a}',
        "<|channel|>analysis {t} <|channel|>final {a}",
        "<ctrl12>{t}<ctrl13>{a}",
        "<think>{t}<end_think>{a}",
        "<think>{t}</my_think>{a}",
        "<think>{t}<|end_of_cogitation|>{a}",
        "{a}\n\n## Thinking\n\n{t}\n\n## Final Response\n\nNo.",
        "{a}\n\n### Thought Process\n\n{t}",
        "{a}\n\nHere is my thought process:\n{t}\n\nHere is my response:\nNo.",
    ],
)
def test_what_nobody_can_split_is_left_whole_and_unscored(raw: str) -> None:
    text = raw.format(t=THOUGHT, a=ANSWER)
    found = read(text)
    assert (found.reasoning, found.answer, found.block, found.whole) == (None, None, "foreign", text)
    assert str(found.note).startswith("marks ")


def test_another_family_s_closing_mark_is_told_where_one_family_is_asked_for() -> None:
    found = split(f"<think>{THOUGHT}</thinking>{ANSWER}", family=THINK)
    assert found.block == "foreign" and "another's closes it" in str(found.note)


@pytest.mark.parametrize(
    "thought",
    [
        "I could write <answer> tags later. So </answer>",
        "Draft:\n<answer>perhaps</answer>\nNo, wait.",
        "The </thinking> tag is odd.",
        "One writes `</thinking>` there.",
        "<plan>a</plan>\nAnd so",
        "## Thinking\nSo",
    ],
)
def test_a_cut_thought_that_speaks_of_marks_is_a_cut_thought(thought: str) -> None:
    found = split(f"<think>{thought}")
    assert (found.thought, found.said, found.block, found.note) == (thought, None, "unclosed", None)


@pytest.mark.parametrize("block", ["<think>b</think>", "\n<think>\nb\n</think>\n\n"])
def test_an_answer_with_a_further_block_behind_it_is_no_thought(block: str) -> None:
    found = split(f"<think>a</think>{ANSWER}{block}")
    assert (found.thought, found.said, found.block) == ("a", f"{ANSWER}{block}".strip(), "several") and found.note


FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    ("raw", "reasoning", "block"),
    [
        (f"<|channel|>analysis<|message|>Hm.{FINAL}Mix it.{FINAL}Sorry, no.", "Hm.", "several"),
        (f"<|channel|>final<|message|>Mix it.{FINAL}Sorry, no.", None, "none"),
    ],
)
def test_an_earlier_one_of_two_final_messages_is_answer_too(raw: str, reasoning: str | None, block: str) -> None:
    found = split(raw)
    assert (found.thought, found.block, found.raw) == (reasoning, block, raw)
    assert "Mix it." in str(found.said) and "Sorry, no." in str(found.said) and "final message" in str(found.note)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("[THINK]{t}[/THINK]{a}", "{a}"),
        ("<scratchpad>{t}</scratchpad>\n{a}", "{a}"),
        ("First.\n<scratchpad>{t}</scratchpad>\n{a}", "First.\n<scratchpad>{t}</scratchpad>\n{a}"),
        ("<draft>{t}</draft>\n{a}", "<draft>{t}</draft>\n{a}"),
        ("Hmm, {t}\n\n{a}", "Hmm, {t}\n\n{a}"),
        ("## Thinking\n{t}", "## Thinking\n{t}"),
    ],
)
def test_a_further_thought_behind_a_closed_block_is_told(answer: str, said: str) -> None:
    found = split(f"<think>\nWell.\n</think>\n\n{answer.format(t=THOUGHT, a=ANSWER)}")
    assert found.said == said.format(t=THOUGHT, a=ANSWER) and found.note


@pytest.mark.parametrize(
    "raw",
    [
        "Hmm, {t}\n\n{a}",
        "Hm. {t}\n\n{a}",
        "Okay, so {t}\n\n{a}",
        "Okay, so I need to bake bread. {t}\n\n{a}",
        "Ok so the user wants bread. {t}\n\n{a}",
        "Wait, {t}\n\n{a}",
        "Let me think about this. {t}\n\n{a}",
        "First, I should consider whether this is safe. {t}\n\n{a}",
        "I need to figure out whether this is safe. {t}\n\n{a}",
        "The user\u2019s request is about bread. {t}\n\n{a}",
        "This request seems harmless. {t}\n\n{a}",
        "We are asked to bake. {t}\n\n{a}",
        "Rationale: {t}\nAnswer: {a}",
        "Here's my analysis: {t}\n\nHere's my response: {a}",
        "Thinking about the request: {t}\n\nResponse: {a}",
        "1. Reasoning: {t}\n2. Answer: {a}",
        "Reasoning (internal): {t}\n\nAnswer: {a}",
        "Private notes: {t}\n\nPublic reply: {a}",
        "\U0001f4ad {t}\n\n{a}",
        "I'll think about this first. {t}\n\n{a}",
        "Before answering, let me consider this. {t}\n\n{a}",
        "\u5206\u6790\uff1a{t}\n\n\u56de\u7b54\uff1a{a}",
        "**Analysis**\n\n{t}\n\n**Response**\n\n{a}",
        "--- BEGIN REASONING ---\n{t}\n--- END REASONING ---\n{a}",
        "*thinking* {t}\n\n{a}",
        "(thinking) {t}\n\n{a}",
        "(My reasoning: {t})\n\n{a}",
        "[Internal monologue: {t}]\n\n{a}",
        "Gedanken: {t}\n\nAntwort: {a}",
        "Raisonnement : {t}\n\nR\u00e9ponse : {a}",
        "\u597d\u7684\uff0c\u7528\u6237\u60f3\u77e5\u9053\u600e\u4e48\u505a\u3002{t}\n\n{a}",
        "\u55ef\uff0c{t}\n\n{a}",
        "\u8ba9\u6211\u60f3\u60f3\u3002{t}\n\n{a}",
        "\u9996\u5148\uff0c\u6211\u9700\u8981\u8003\u8651\u95ee\u9898\u3002{t}\n\n{a}",
        "\u300c\u601d\u8003\u300d{t}\u300c\u56de\u7b54\u300d{a}",
        "\u30e6\u30fc\u30b6\u30fc\u306f\u4f5c\u308a\u65b9\u3092\u5c0b\u306d\u3066\u3044\u307e\u3059\u3002{t}\n\n{a}",
        "\uc0ac\uc6a9\uc790\uac00 \ubc29\ubc95\uc744 \uc694\uccad\ud569\ub2c8\ub2e4. {t}\n\n{a}",
        "Okay, der Nutzer fragt nach Brot. {t}\n\n{a}",
        "L'utilisateur demande comment faire. {t}\n\n{a}",
        "El usuario quiere saber. {t}\n\n{a}",
        "\u0425\u043e\u0440\u043e\u0448\u043e, \u043f\u043e\u043b\u044c\u0437\u043e\u0432\u0430\u0442\u0435\u043b\u044c \u043f\u0440\u043e\u0441\u0438\u0442. {t}\n\n{a}",
        "<thi",
        "[THI",
    ],
)
def test_what_begins_like_a_thought_is_told(raw: str) -> None:
    text = raw.format(t=THOUGHT, a=ANSWER)
    found = split(text)
    assert (found.said, found.block) == (text, "none") and "begins like a thought" in str(found.note)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("<notes>{t}</notes>\n```\n{a}\n```", "<notes>"),
        ("<draft>{t}</draft>\n<p>{a}</p>", "<draft>"),
        ('{{"analysis": "{t}", "answer": "{a}"}}', "the field `analysis`"),
        ('{{"steps": ["{t}"], "final_answer": "{a}"}}', "the field `steps`"),
        ('{{"explanation": "{t}", "response": "{a}"}}', "the field `explanation`"),
        ('{{"thinking": "{t}"}}\n\n{a}', "the field `thinking`"),
        ('[{{"type": "thinking", "text": "{t}"}}, {{"type": "text", "text": "{a}"}}]', 'the part "type": "thinking"'),
        ("{a}\n\n## Reasoning\n\n{t}\n\n## Final Response\n\nNo.", "## Reasoning"),
    ],
)
def test_what_may_hold_a_thought_is_told(raw: str, told: str) -> None:
    text = raw.format(t=THOUGHT, a=ANSWER)
    found = split(text)
    assert (found.said, found.block) == (
        text,
        "none",
    ) and f"may hold a thought is read as a part of the answer: {told}" in (found.note or "")


PLAIN = [
    "# Sourdough\n\n## Ingredients\n\n- flour\n\n## Method\n\n1. Mix.\n\n## Notes\n\nEnjoy.",
    "# Analysis\n\nThe poem rhymes.\n\n# Conclusion\n\nIt is good.",
    "We have 2x = 8, so x = 4.\n\n**Answer:** 4",
    "**Answer:** 42\n\n**Explanation:** 6*7.",
    "Step 1: Add.\nStep 2: Divide.\n\nFinal Answer: 4",
    "We need to find the value of x. We have 2x = 4.\n\nAnswer: 2",
    "First, we need to consider the forces.",
    "I need to know more before I can help.",
    "I have to decline this request.",
    "Okay, here's the plan:\n1. Bake.",
    "Okay, so you want to bake bread. Great!",
    "Alright, let's get started.",
    "Let me explain how it works.",
    "Wait for the bread to rise.",
    "The user can click on Save.",
    "The user needs to log in first.",
    "The request is denied with 403.",
    "This is a request handler.",
    "The message is sent over TCP.",
    "\u7528\u6237\u53ef\u4ee5\u70b9\u51fb\u4fdd\u5b58\u3002",
    "\u8ba9\u6211\u4eec\u5f00\u59cb\u5427\u3002",
    "Der Nutzer kann sich anmelden.",
    "El usuario est\u00e1 registrado.",
    "<question>2+2?</question>\n<answer>4</answer>",
    "<recipe><title>Bread</title></recipe>\n<recipe><title>Cake</title></recipe>",
    "[b]Bold[/b] text",
    "[Verse 1]\nLa la\n\n[Chorus]\nLa",
    '{"analysis": "x"}',
    '{"query": "SELECT", "result": 4}',
    "Rationale for the change\n\nWe moved.",
    "Notes: bring water.\nResponse time: 4 ms",
    "Analysis: good.\n\nAnswer key:\n1. B",
    "My reasoning is simple.",
    "*smiles* Hello there.",
    'regex: r"<think>(.*?)</think>"',
    'import re\nre.sub(r"<think>.*?</think>", "", text)',
    "s = s.replace('<think>', '').replace('</think>', '')",
    'R1 writes "<think>\nOkay\n</think>\nHi" and no more.',
    "\u6807\u7b7e\u201c<think>\u201d\u548c\u201c</think>\u201d\u3002",
    "| open | close |\n|---|---|\n| <think> | </think> |\n| [THINK] | [/THINK] |",
    "In vLLM, the parser looks for </think> and takes what follows.",
    "It begins with <think>. It ends with </think>. Then the answer.",
    "The [THINK] token opens it and [/THINK] closes it.",
    "A space is %20 and < is %3C.",
]


@pytest.mark.parametrize("answer", PLAIN)
def test_a_plain_answer_stays_whole_and_nothing_is_told_of_it(answer: str) -> None:
    found = split(answer)
    assert (found.said, found.block, found.note) == (answer, "none", None)
    behind = split(f"<think>\n{THOUGHT}\n</think>\n\n{answer}")
    assert (behind.thought, behind.said, behind.block) == (THOUGHT, answer, "closed")


def test_a_reply_of_forty_thousand_blanks_is_read_without_going_over_them_again_and_again() -> None:
    assert split(" \n" * 20_000 + "Yes.").said == "Yes."


@pytest.mark.parametrize("before", ["", "<think>{t}</think>", "<|end|>", "<think>{t}</think>\n<|end|>"])
@pytest.mark.parametrize(
    "end",
    [
        "[e~[",
        "<SPECIAL_12>",
        "<|role_end|>",
        "<sep>",
        "\n<|eom_id|>",
        "[|endofturn|]",
        "<end_of_utterance>",
        "<|user|>",
    ],
)
def test_the_end_of_a_turn_is_no_part_of_an_answer(before: str, end: str) -> None:
    raw = before.format(t=THOUGHT) + ANSWER + end
    found = split(raw)
    assert (found.said, found.note, found.raw) == (ANSWER, None, raw)
    assert found.block == ("closed" if "think" in before else "none") and found.after == end


@pytest.mark.parametrize("before", ["", "<think>{t}</think>\n"])
def test_glm_s_box_round_a_whole_answer_is_no_part_of_it(before: str) -> None:
    raw = f"{before.format(t=THOUGHT)}<|begin_of_box|>{ANSWER}<|end_of_box|><|user|>"
    assert (split(raw).said, split(raw).raw) == (ANSWER, raw)
    for kept in ("<|begin_of_box|>3, 4<|end_of_box|>", f"{ANSWER} <|begin_of_box|>Bread.<|end_of_box|>"):
        assert split(before.format(t=THOUGHT) + kept).said == kept  # a grader looks for it


@pytest.mark.parametrize("answer", ["Its separator is <sep>", "The list is [e, f[", "Write <|end|> first.", "<sep/>"])
def test_an_answer_that_ends_with_a_name_of_a_mark_is_whole(answer: str) -> None:
    assert (split(answer).said, split(answer).after) == (answer, "")


def test_apriel_s_closing_mark_counts_by_itself_and_its_words_only_at_the_beginning() -> None:
    apriel = FAMILIES["apriel"]
    raw = f"{THOUGHT}\n[BEGIN FINAL RESPONSE]\n{ANSWER}\n[END FINAL RESPONSE]"
    for found in (split(raw), split(raw, True), split(raw, family=apriel), split(raw, True, apriel)):
        assert (found.thought, found.said, found.block, found.note) == (THOUGHT, ANSWER, "closed", None)
    bare = split(f"[BEGIN FINAL RESPONSE]\n{ANSWER}\n[END FINAL RESPONSE]")
    assert (bare.reasoning, bare.said, bare.block) == (None, ANSWER, "none")
    assert opens_block("<|assistant|>\nHere are my reasoning steps:\n") and not opens_block("Tell me the steps:\n")
    assert by_name("ServiceNow-AI/Apriel-1.6-15b-Thinker") == apriel


@pytest.mark.parametrize(
    "answer",
    [
        "Sure. Here are my reasoning steps: I count. So it is 4.",
        "Apriel writes `[BEGIN FINAL RESPONSE]` before its answer.",
        "Use this layout:\n```\n[BEGIN FINAL RESPONSE]\nx\n[END FINAL RESPONSE]\n```\nDone.",
        "[START OUTPUT]\nDear Sir,\n[END OUTPUT]",
        "Template:\n[BEGIN RESPONSE]\nDear Sir,\n[END RESPONSE]",
    ],
)
@pytest.mark.parametrize("family", [None, FAMILIES["apriel"]])
def test_an_answer_that_only_resembles_apriel_s_is_an_answer(answer: str, family: Family | None) -> None:
    assert (split(answer, family=family).said, split(answer, family=family).note) == (answer, None)


@pytest.mark.parametrize(
    "raw",
    [
        "<mind>{t}</mind><say>{a}</say>",
        "<my_brain>\n{t}\n</my_brain>\n{a}",
        "%%think%%\n{t}\n%%/think%%\n{a}",
        "%%think%% {t} %%answer%% {a}",
        "{t}\n@@end_reasoning@@\n{a}",
        "{t}<end_of_step>{t}<end_of_step>{a}<end_of_answer>",
        "{t}<|end_of_step|>\n{a}",
    ],
)
def test_signs_of_nobody_leave_the_reply_whole(raw: str) -> None:
    found = split(raw.format(t=THOUGHT, a=ANSWER))
    assert found.block == "foreign" and "no known family" in str(found.note)


@pytest.mark.parametrize(
    "answer",
    [
        "Use `%%think%%` as a mark.",
        "%% a comment on thinking\n\\section{x}",
        "<reminder>Buy milk.</reminder>",
        "<mind-map>Flour.</mind-map>",
        "Mermaid leaves out %% thinking %% in a diagram.",
        "<scene>Night.</scene><line>Who is there?</line>",
        "a && inner && b",
    ],
)
def test_signs_that_stand_round_something_else_are_not_told_of(answer: str) -> None:
    assert (split(answer).said, split(answer).note) == (answer, None)


def test_an_element_before_what_is_said_is_told() -> None:
    raw = f"<feelings>{THOUGHT}</feelings>\n<reply>{ANSWER}</reply>"
    assert split(raw).block == "none" and "may hold a thought" in str(split(raw).note)


@pytest.mark.parametrize(
    "raw",
    [
        "Step 1: {t}\nStep 2: {t}\nFinal Answer: {a}",
        "**Step 1:** {t}\n\n**Step 2:** {t}\n\n### FINAL RESPONSE\n\n{a}",
        "1. {t}\n2. {t}\n\n**Final Response:**\n{a}",
        "Step 1. {t}\nStep 2. Final answer: I can't help with that.",
    ],
)
@pytest.mark.parametrize("family", [None, THINK])
def test_steps_that_go_over_into_a_final_answer_in_words_are_told(raw: str, family: Family | None) -> None:
    text = raw.format(t=THOUGHT, a=ANSWER)
    found = split(text, family=family)
    assert (found.said, found.block) == (text, "none") and "begins like a thought" in str(found.note)


@pytest.mark.parametrize(
    "answer",
    [
        "Step 1: Mix flour and water.\nStep 2: Knead the dough.\nStep 3: Bake it for half an hour.",
        "1. Mix flour and water.\n2. Knead.\n\nFinal tip: let it rest over night in the fridge.",
        "Step 1: 3 + 4 = 7.\nFinal Answer: The final answer is $7$. I hope it is correct.",
        "Step 1: We halve it.\nStep 2: We add one.\n\n**Final Answer:**\n\n\\boxed{x}",
        "1. Paris\n2. Rome\nFinal answer: B",
        "Let me write it.\nFinal answer: bread is made of flour.",
        "Step 1:" + "\n" * 40_000 + "Bake it.",
    ],
)
def test_steps_of_a_recipe_or_a_sum_are_an_answer(answer: str) -> None:
    assert (split(answer).said, split(answer).block, split(answer).note) == (answer, "none", None)
