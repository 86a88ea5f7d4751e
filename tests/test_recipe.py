"""A recipe file: what is right loads, what is wrong names the file, the key and what was expected."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unwaver import keys, recipe_file
from unwaver.errors import RecipeError
from unwaver.recipe import DIVIDED, ModelSettings
from unwaver.sources import SOURCES
from unwaver.stages.prompts import gather
from unwaver.study import grid

ROOT = Path(__file__).parent.parent

GOOD = """
name = "try"
[models]
student = "hf:some/model"
teacher = { name = "openai:big", concurrency = 8 }
[prompts.safety]
source = "corpus/harmful"
[prompts.benign]
source = "corpus/plain"
[evaluate.sets.safety]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["default", "realsafe", "improved", "short", "template", "none"])
def test_a_recipe_of_the_study_asks_what_the_study_asks(tmp_path: Path, name: str) -> None:
    """200 behaviours in 20 templates are 4,000 prompts, and every column of the paper's Table 1 is evaluated."""
    copy = tmp_path / "behaviours.jsonl"
    copy.write_text("".join(json.dumps({"Behavior": f"Spread rumour number {n}"}) + "\n" for n in range(200)))
    path = ROOT / "studies/paper.toml"
    cells = grid.cells(grid.load(path), path, {"prompts.safety.path": str(copy)})
    found = next(cell.recipe for cell in cells if cell.arm == f"{name}, R1-Qwen-7B")
    assert found.distil.method == name
    prompts, _ = gather(found.prompts["safety"])
    assert len(prompts) == len({prompt.text for prompt in prompts}) == 4000
    assert Counter(prompt.behaviour for prompt in prompts) == dict.fromkeys((p.behaviour for p in prompts), 20)
    assert None not in {prompt.attack for prompt in prompts}
    sets = found.evaluate.sets
    assert {"advbench", "pap", "xstest", "math500", "aime2024", "livecodebench"} <= set(sets)
    assert found.prompts["livecodebench"].source == "livecodebench"
    assert found.sampling("code", sets["livecodebench"]).max_tokens == 30_000


def test_a_good_recipe_has_the_papers_defaults(tmp_path: Path) -> None:
    found = recipe_file.load(write(tmp_path, GOOD))
    assert found.train.learning_rate == 5e-6
    assert found.train.global_batch == 48
    assert found.models["teacher"].concurrency == 8
    assert found.sampling("maths", found.evaluate.sets["safety"]).max_tokens == 32768


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("[mix]\nkeeep = 'everything'", ["mix.keeep", "unknown key", "did you mean `keep`"]),
        ("[train]\nlearning_rate = 'fast'", ["train.learning_rate", "number", "'fast'"]),
        ("[train]\nepochs = -1", ["train.epochs", "greater than 0"]),
        ("[mix]\nkeep = 'some'", ["mix.keep", "pattern-free"]),
        ("[mix]\nparts = { safty = 3 }", ["mix.parts.safty", "did you mean `safety`"]),
        ("[models.other]\nname = 'gpt-4'", ["models.other.name", "openai:NAME"]),
        ("[judge]\nguard = 'nobody'", ["judge.guard", "no judge `nobody`"]),
        ("[prompts.mine]\nsource = 'file'", ["prompts.mine", "`path` and `kind`"]),
        ("seed = ", ["not readable as TOML"]),
        ("title = mine", ["not readable as TOML", "a text stands between quotes"]),
        ("[train]\nepochs = inf", ["train.epochs", "finite number"]),
        ("[train]\nglobal_batch = true", ["train.global_batch", "expected a number"]),
        ("[train]\nreport_to = 'wandb'", ["train.report_to", "expected a list"]),
        ("[judge]\nguard = []", ["judge.guard", "at least 1"]),
        (
            "[judge]\nrubric_files = { pattern = 'mine.md' }",
            ["judge", "rubric_files.pattern", "did you mean `patterns`"],
        ),
        ("[prompts.mine]\nsource = 'file'\nkind = 'benign'\npath = ''", ["prompts.mine.path", "empty name"]),
        (
            "[models.other]\nname = 'openai:m'\nmax_cost = 1\nprice_in = 1",
            ["models.other", "max_cost needs price_in and price_out"],
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, change: str, expected: list[str]) -> None:
    path = write(tmp_path, GOOD + change)
    with pytest.raises(RecipeError) as caught:
        recipe_file.load(path)
    for piece in [str(path), *expected]:
        assert piece in str(caught.value)


MADE_UP = "sk-notakey0notakey0notakey0"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            f'{{ name = "openai:m", api_key = "{MADE_UP}" }}',
            "models.other.api_key: unknown key; a key belongs in the env",
        ),
        (f'{{ name = "openai:m", key_env = "{MADE_UP}" }}', "key_env: expected the name of an environment variable"),
        ('{ name = "openai:m", key_env = "notakey0notakey0notakey0" }', "key_env: expected the name of an environ"),
        (f'"{MADE_UP}"', "models.other.name: expected one of openai:NAME"),
        (f'{{ name = "openai:m", base_url = "https://me:{MADE_UP}@host/v1" }}', "base_url: expected http"),
        (f'{{ name = "openai:m", base_url = "https://host/v1?key={MADE_UP}" }}', "base_url: expected http"),
        ('{ name = "openai:m", base_url = "localhost:8000" }', "base_url: expected http"),
        ('{ name = "openai:m", base_url = "" }', "base_url: expected http"),
        ('{ name = "openai:m", base_url = "http:///v1" }', "base_url: expected http"),
        ('{ name = "openai:m", base_url = "http://[half/v1" }', "base_url: expected http"),
        (f'{{ name = "openai:m", extra_body = {{ api_key = "{MADE_UP}" }} }}', "extra_body.api_key: a key belongs in"),
        (
            f'{{ name = "openai:m", extra_body = {{ extra_headers = {{ Authorization = "Bearer {MADE_UP}" }} }} }}',
            "extra_body.extra_headers.Authorization: a key belongs in",
        ),
        (f'{{ name = "hf:m", load = {{ token = "{MADE_UP}" }} }}', "load.token: a key belongs in"),
    ],
)
def test_a_key_in_a_recipe_is_refused_and_told_to_nobody(tmp_path: Path, model: str, expected: str) -> None:
    path = write(tmp_path, GOOD.replace("[prompts.safety]", f"other = {model}\n[prompts.safety]"))
    with pytest.raises(RecipeError) as caught:
        recipe_file.load(path)
    assert expected in str(caught.value)
    assert "notakey" not in str(caught.value)


def test_what_only_sounds_like_a_key_is_none(tmp_path: Path) -> None:
    extra = '{ prompt_cache_key = "mine", max_completion_tokens = 5, stop_token_ids = [1], token = "" }'
    path = write(tmp_path, GOOD.replace("concurrency = 8", f'key_env = "MY_2ND_KEY", extra_body = {extra}'))
    assert recipe_file.load(path).models["teacher"].key_env == "MY_2ND_KEY"


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert recipe_file.load(path).name == "try"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no such file"):
        recipe_file.load(tmp_path / "nothing.toml")


def test_a_file_without_end_is_no_recipe(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # a hole, which reads as zeros
    with pytest.raises(RecipeError, match="more than 16 million characters"):
        recipe_file.load(path)


def test_flags_are_laid_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    found = recipe_file.load(
        path, {"train.learning_rate": 1e-4, "mix.parts.safety": 7, "models.teacher.revision": "v2"}
    )
    assert (found.train.learning_rate, found.mix.parts["safety"]) == (1e-4, 7)
    assert found.models["teacher"].label == "openai:big@v2"


@pytest.mark.parametrize(
    ("text", "value"),
    [("5e-6", 5e-6), ("3", 3), ("true", True), ("plain words", "plain words"), ("[1, 2]", [1, 2]), ('"7"', "7")],
)
def test_a_flags_value_reads_as_toml_or_as_itself(text: str, value: object) -> None:
    assert recipe_file.parse_value(text) == value


@given(st.text())
def test_any_flag_value_can_be_read(text: str) -> None:
    recipe_file.parse_value(text)


def test_arms_are_laid_over_the_file_and_flags_over_both(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "[arms.a]\ndistil.method = 'short'\n[arms.b.train]\nepochs = 3\n")
    found = recipe_file.arms(recipe_file.read_toml(path), path, {"seed": 5})
    assert list(found) == ["a", "b"]
    assert (found["a"].distil.method, found["b"].train.epochs, found["b"].seed) == ("short", 3, 5)


def test_a_flag_over_what_an_arm_sets_is_told_and_never_makes_two_arms_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, GOOD + "[arms.a]\ndistil.method = 'short'\n[arms.b]\ndistil.method = 'improved'\n")
    tree = recipe_file.read_toml(path)
    for flags in ({"distil.method": "template"}, {"distil": {"method": "template"}}):
        with pytest.raises(RecipeError, match=r"the arms a, b set it themselves.*one under several names"):
            recipe_file.arms(tree, path, flags)
    tree["arms"]["b"]["train"] = {"epochs": 3}
    found = recipe_file.arms(tree, path, {"train.epochs": 1, "seed": 5})
    assert [one.train.epochs for one in found.values()] == [1, 1]
    assert capsys.readouterr().err == "--train.epochs takes the place of what these arms set: b\n"


def test_an_arm_with_a_wrong_key_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "[arms.a]\ndistil.instrction = 'short'\n")
    with pytest.raises(RecipeError, match="instrction"):
        recipe_file.arms(recipe_file.read_toml(path), path)


def test_relative_files_start_at_the_recipe(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "[prompts.mine]\nsource = 'file'\npath = 'rows.jsonl'\nkind = 'benign'\n")
    assert recipe_file.load(path).prompts["mine"].path == tmp_path / "rows.jsonl"
    path = write(tmp_path, GOOD + "[judge.rubric_files]\npatterns = 'mine.md'\n")
    assert recipe_file.load(path).judge.rubric_files == {"patterns": tmp_path / "mine.md"}
    path = write(tmp_path, GOOD + "[train]\nlaunch_config = 'mine.yaml'\n")
    assert recipe_file.load(path).train.launch_config == str(tmp_path / "mine.yaml")
    assert recipe_file.load(path, {"train.launch_config": "zero2"}).train.launch_config == "zero2"
    path = write(tmp_path, GOOD.replace('"hf:some/model"', '"replay:mine.jsonl"'))
    assert recipe_file.load(path).models["student"].target == str(tmp_path / "mine.jsonl")
    assert recipe_file.load(path, {"models.student": "replay:corpus"}).models["student"].target == "corpus"


def test_what_is_evaluated_is_the_held_out_half_unless_the_recipe_says_otherwise(tmp_path: Path) -> None:
    sets = """
[mix]
parts = { benign = 3 }
[prompts.alarming]
source = "xstest/safe"
[prompts.whole]
source = "xstest/safe"
split = "all"
[prompts.undivided]
source = "math500"
[evaluate.sets.alarming]
[evaluate.sets.whole]
[evaluate.sets.undivided]
[evaluate.sets.again]
prompts = "benign"
"""
    found = recipe_file.load(write(tmp_path, GOOD + sets)).prompts
    assert {name: entry.split for name, entry in found.items()} == {
        "safety": "heldout",
        "alarming": "heldout",
        "whole": "all",
        "undivided": "all",
        "benign": "all",  # it is trained on; the leak guard has a word with whoever evaluates it, too
    }
    assert set(DIVIDED) == {name for name, source in SOURCES.items() if source.splits}


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_loads(path: Path) -> None:
    assert recipe_file.arms(recipe_file.read_toml(path), path)


def test_the_sets_that_the_evaluation_recipe_only_mentions_can_be_taken_into_it(tmp_path: Path) -> None:
    text = (ROOT / "recipes" / "evaluation.toml").read_text()
    kept, _, further = text.partition("# Further sets")
    taken = "\n".join(line.removeprefix("# ") for line in further.splitlines()[1:])
    found = recipe_file.load(write(tmp_path, f"{kept}\n{taken}\n"))
    mentioned = {"pair", "or-bench-hard", "aime2024", "gsm8k", "livecodebench"}
    assert set(found.evaluate.sets) - set(recipe_file.load(write(tmp_path, text)).evaluate.sets) == mentioned
    assert {found.prompts[name].source for name in mentioned - {"pair"}} <= set(SOURCES)


def test_the_anatomy_is_read_by_models_alone(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert recipe_file.load(path).judge.anatomy == []
    assert recipe_file.load(path, {"judge.anatomy": "teacher"}).judge.anatomy == ["teacher"]
    with pytest.raises(RecipeError, match=r"judge\.anatomy: no model `local`; there are student, teacher"):
        recipe_file.load(path, {"judge.anatomy": "local"})


@pytest.mark.parametrize(
    "address",
    [
        *("http://[::1/v1", "http://h:abc/v1", "http://127.0.0.1:99999/v1", "http://127.0.0.1:-1/v1", "http://h:0/v1"),
        *(
            "https://",
            "http:///v1",
            "http://a b/v1",
            "http://localhost%00/v1",
            "ftp://h/v1",
            "socks5://h/v1",
            "h:80/v1",
        ),
        *(
            "https://evil\u3002example/v1",
            "https://h\u202e/v1",
            "https://h\u200b/v1",
            "https://a;b/v1",
            "https://a,b/v1",
        ),
        *("https://me:secret@h/v1", "https://h/v1?key=x", "https://h/v1#key", "//h/v1", "https://h\\evil/v1", ""),
    ],
)
def test_an_address_that_is_none_is_told_when_the_recipe_is_read(address: str) -> None:
    with pytest.raises(ValueError, match=r"base_url: expected http\(s\)://HOST:PORT/PATH"):
        ModelSettings(name="openai:m", base_url=address)


@pytest.mark.parametrize(
    "address",
    [
        "https://h/v1",
        "http://127.0.0.1:1",
        "HTTP://h:80/v1",
        "http://[::1]:8000/v1",
        "https://é.example/v1/",
        "http://[fe80::1%eth0]/v1",
    ],
)
def test_an_address_that_may_be_one_is_taken(address: str) -> None:
    assert ModelSettings(name="openai:m", base_url=address).base_url == address


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="abo.:/@#?[]%\\ \t\n;\u00e9\uff0e\u3002\uff0f\u200b\u202e-1_&=", max_size=14), st.integers(0, 2)
)
def test_the_host_that_a_key_is_judged_by_is_the_one_that_is_asked(text: str, place: int) -> None:
    address = (f"https://{text}", f"https://evil.example{text}.openai.com/v1", f"https://api.openai.com{text}")[place]
    try:
        asked = httpx2.URL(ModelSettings(name="openai:m", base_url=address).base_url or "")
    except (ValueError, httpx2.InvalidURL):
        return
    assert asked.host.rstrip(".").lower() == keys.host_of(address)
