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
