"""Model folders that are broken or mean harm: one line with the model's name, exit code 2, and nothing of theirs run."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs the extra `train`")

import report_runs
import tiny

from unwaver import cli, recipe_file
from unwaver.errors import RecipeError, RecordError
from unwaver.kept import measured
from unwaver.models import template
from unwaver.models.loading import load_config, load_tokenizer, load_weights
from unwaver.models.weights import locate
from unwaver.store import read_manifest, sealed
from unwaver.study.steps import plans

pytestmark = pytest.mark.real

RECIPE = """
name = "bad"
[models]
student = "hf:{student}"
teacher = "replay:corpus"
[prompts.mine]
source = "file"
path = "mine.jsonl"
kind = "benign"
[mix]
parts = {{ }}
[evaluate]
max_tokens = 4
[evaluate.sets.mine]
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.llama(tmp_path_factory.mktemp("whole") / "model", tiny.THINKS)


def evaluated(folder: Path, student: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    """The exit code of an evaluation, and its last line on stderr."""
    (folder / "mine.jsonl").write_text('{"text": "Hello"}\n')
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(student=student))
    words = [str(recipe), "--root", str(folder / "runs"), *flags]
    assert cli.main(["prompts", *words]) == 0
    capsys.readouterr()
    code = cli.main(["evaluate", *words])
    return code, capsys.readouterr().err.rstrip().rpartition("\n")[2]


def tensors(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """A safetensors file with another header."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


def first(**fields: Any) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        next(value for key, value in header.items() if key != "__metadata__").update(fields)

    return change


def left_out(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    held = load_file(folder / "model.safetensors")
    held.pop(next(key for key in held if "q_proj" in key))
    save_file(held, folder / "model.safetensors", {"format": "pt"})


def put_in(**tensors: Any) -> Callable[[Path], None]:
    """Further tensors, or other ones; names with `__` for a dot."""

    def change(folder: Path) -> None:
        import torch
        from safetensors.torch import load_file, save_file

        held = {
            **load_file(folder / "model.safetensors"),
            **{key.replace("__", "."): torch.tensor(one) for key, one in tensors.items()},
        }
        save_file(held, folder / "model.safetensors", {"format": "pt"})

    return change


def no_number(part: str, value: float, dtype: str = "float32") -> Callable[[Path], None]:
    """One number of one tensor of the model."""

    def change(folder: Path) -> None:
        import torch
        from safetensors.torch import load_file, save_file

        held = {key: one.to(getattr(torch, dtype)) for key, one in load_file(folder / "model.safetensors").items()}
        held[next(key for key in held if part in key)].view(-1)[-1] = value
        save_file(held, folder / "model.safetensors", {"format": "pt"})

    return change


def another_tokenizer(folder: Path) -> None:
    """One with a token more than the weights have rows for, which every prompt of the template holds."""
    words = tiny.tokenizer(tiny.THINKS, ("user", "Hello"))
    words.save_pretrained(folder)


def other_shape(header: dict[str, Any]) -> None:
    tensor = next(value for key, value in header.items() if "q_proj" in key)
    tensor["shape"] = [tensor["shape"][0] // 2, tensor["shape"][1] * 2]


def settings(name: str, **fields: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return change


def content(name: str, data: bytes | str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())

    return change


def weights(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    return lambda folder: tensors(folder / "model.safetensors", change)


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def gone(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def pickled(folder: Path) -> None:
    import torch

    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": torch.zeros(2, 2)}, folder / "pytorch_model.bin")


def malicious(folder: Path) -> None:
    import torch

    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": Touches(folder / "RAN")}, folder / "pytorch_model.bin")


class Touches:
    """What makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


CODE = "from pathlib import Path\nPath(__file__).with_name('RAN').touch()\nfrom transformers import PretrainedConfig\nclass Own(PretrainedConfig): model_type = 'own'\n"


def remote(folder: Path) -> None:
    (folder / "own.py").write_text(CODE)
    settings("config.json", model_type="own", auto_map={"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"})(
        folder
    )


def remote_tokenizer(folder: Path) -> None:
    (folder / "own.py").write_text(CODE)
    settings("tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": ["own.Own", None]})(folder)


def sharded(index: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
        (folder / "model.safetensors.index.json").write_text(index if isinstance(index, str) else json.dumps(index))

    return change


SHARDS = {
    "metadata": {},
    "weight_map": {
        "lm_head.weight": "model-00001-of-00002.safetensors",
        "model.norm.weight": "model-00002-of-00002.safetensors",
    },
}


def elsewhere(place: str) -> Callable[[Path], None]:
    """Whole weights that lie where a folder's content doesn't reach."""

    def change(folder: Path) -> None:
        from safetensors.torch import load_file

        names = dict.fromkeys(load_file(folder / "model.safetensors"), place.format(folder=folder))
        target = folder / place.format(folder=folder)
        target.parent.mkdir(exist_ok=True)
        (folder / "model.safetensors").rename(target)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))

    return change


def on_another_base(folder: Path) -> None:
    """An adapter beside whole weights, whose base lies elsewhere: the library would take that in their place."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = folder.with_name("base")
    shutil.copytree(folder, base)
    auto: Any = AutoModelForCausalLM
    lora = LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(auto.from_pretrained(base), lora).save_pretrained(folder)


OWN_FILES = "names what are no files beside it: "
FOLDERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights in the folder above": (elsewhere("../above.safetensors"), f"{OWN_FILES}../above.safetensors"),
    "weights below": (elsewhere("below/model.safetensors"), f"{OWN_FILES}below/model.safetensors"),
    "weights under a whole path": (elsewhere("{folder}.safetensors"), OWN_FILES),
    "weights that are hidden": (elsewhere(".model.safetensors"), f"{OWN_FILES}.model.safetensors"),
    "weights of another folder under an adapter": (on_another_base, "an adapter on weights that lie elsewhere"),
    "weights cut": (cut("model.safetensors", 1000), "can't be loaded"),
    "weights cut behind the header": (cut("model.safetensors", 20_000), "can't be loaded"),
    "weights empty": (content("model.safetensors", b""), "can't be loaded"),
    "weights of noise": (content("model.safetensors", bytes(range(256)) * 40), "can't be loaded"),
    "header without end": (content("model.safetensors", struct.pack("<Q", 2**62) + b"{}"), "can't be loaded"),
    "header no JSON": (content("model.safetensors", struct.pack("<Q", 4) + b"nope"), "can't be loaded"),
    "shape without end": (weights(first(shape=[2**40, 2**40])), "can't be loaded"),
    "another shape": (weights(other_shape), "can't be loaded"),
    "unknown type": (weights(first(dtype="F7")), "can't be loaded"),
    "offsets turned round": (weights(first(data_offsets=[100, 0])), "can't be loaded"),
    "a tensor left out": (left_out, "can't be loaded: its weights leave out"),
    "no weights": (gone("model.safetensors"), "can't be loaded"),
    "a shard missing": (sharded(SHARDS), "can't be loaded"),
    "index no JSON": (sharded("{"), "can't be loaded"),
    "index of another form": (sharded({"weight_map": 3}), "can't be loaded"),
    "pickle": (pickled, "no weights as safetensors"),
    "pickle that acts": (malicious, "no weights as safetensors"),
    "code of its own": (remote, "code of its own, which is not run"),
    "tokenizer's own code": (remote_tokenizer, "can't be loaded"),
    "no config": (gone("config.json"), "can't be loaded"),
    "config no JSON": (content("config.json", '{"model_type"'), "can't be loaded"),
    "config a list": (content("config.json", "[]"), "can't be loaded"),
    "config deep": (content("config.json", "[" * 100_000), "can't be loaded"),
    "config names no type": (content("config.json", "{}"), "can't be loaded"),
    "unknown type of model": (settings("config.json", model_type="no-such-model"), "can't be loaded"),
    "a million layers": (settings("config.json", num_hidden_layers=10**6), "num_hidden_layers = 1,000,000"),
    "more layers than weights": (settings("config.json", num_hidden_layers=7), "its weights leave out"),
    "no layers": (settings("config.json", num_hidden_layers=0), "num_hidden_layers = 0"),
    "layers below none": (settings("config.json", num_hidden_layers=-1), "num_hidden_layers = -1"),
    "fewer layers than weights": (
        settings("config.json", num_hidden_layers=1),
        "its config.json leaves out what its weights hold: model.layers.1.",
    ),
    "a bias that the config leaves out": (
        put_in(model__layers__0__self_attn__q_proj__bias=[0.0] * 32),
        "leaves out what its weights hold: model.layers.0.self_attn.q_proj.bias",
    ),
    "scales that nobody multiplies by": (
        put_in(model__layers__0__self_attn__q_proj__weight_scale_inv=[2.0]),
        "leaves out what its weights hold: model.layers.0.self_attn.q_proj.weight_scale_inv",
    ),
    "an unmerged adapter": (
        put_in(model__layers__0__self_attn__q_proj__lora_A__weight=[2.0]),
        "leaves out what its weights hold: model.layers.0.self_attn.q_proj.lora_A.weight",
    ),
    "weights with NaN": (no_number("q_proj", float("nan")), "no number (NaN or infinity) in model.layers.0"),
    "weights with infinity": (no_number("norm", float("inf")), "no number (NaN or infinity) in model.layers.0"),
    "a head with minus infinity": (no_number("lm_head", float("-inf"), "bfloat16"), "infinity) in lm_head.weight"),
    "an embedding with NaN": (no_number("embed", float("nan"), "float16"), "infinity) in model.embed_tokens.weight"),
    "an epsilon below nothing": (settings("config.json", rms_norm_eps=-1.0), "its scores are no numbers (NaN)"),
    "NaN in the config": (settings("config.json", rms_norm_eps=float("nan")), "rms_norm_eps = NaN"),
    "another model's tokenizer": (another_tokenizer, "its tokenizer gives token 257, and its weights know 257"),
    "a vocabulary without end": (settings("config.json", vocab_size=10**9), "can't be loaded"),
    "no width": (settings("config.json", hidden_size=0), "can't be loaded"),
    "a word for a number": (settings("config.json", num_attention_heads="two"), "can't be loaded"),
    "tokenizer cut": (cut("tokenizer.json", 400), "can't be loaded"),
    "tokenizer no JSON": (content("tokenizer.json", '{"version":"1.0"'), "can't be loaded"),
    "tokenizer empty": (content("tokenizer.json", "{}"), "can't be loaded"),
    "no tokenizer": (gone("tokenizer.json"), "can't be loaded"),
    "generation_config cut": (content("generation_config.json", '{"eos_token_id": "x"'), "can't be loaded"),
    "generation_config of another form": (
        content("generation_config.json", '{"eos_token_id": "x"}'),
        "can't be loaded",
    ),
}


@pytest.mark.parametrize("which", FOLDERS)
def test_a_folder_that_is_no_model_is_told_in_one_line(
    which: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, told = FOLDERS[which]
    student = tmp_path / "student"
    shutil.copytree(whole, student)
    change(student)
    code, line = evaluated(tmp_path, student, capsys)
    assert code == 2, line
    assert line.startswith(f"unwaver evaluate: hf:{student}: ") and told in line, line
    assert not (student / "RAN").exists()


@pytest.mark.parametrize("which", ["as it is", *(name for name in FOLDERS if name.startswith("weights "))])
def test_a_model_of_the_hub_is_looked_at_as_a_folder_is(
    which: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what was fetched before: the hub itself can't be asked here."""
    spoil, told = FOLDERS.get(which, (lambda _: None, ""))
    fetched = tmp_path / "models--some--model"
    (fetched / "refs").mkdir(parents=True)
    (fetched / "refs" / "main").write_text("a" * 40)
    student = shutil.copytree(whole, fetched / "snapshots" / ("a" * 40))
    spoil(student)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    code, line = evaluated(tmp_path, Path("some/model"), capsys)
    assert code == (2 if told else 0), line
    assert told in line


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        bytes(range(250, 256)) * 90,
        b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62) + b"x",
        b"GGUF" + struct.pack("<IQQ", 3, 0, 0),
    ],
)
def test_a_file_that_is_no_gguf_is_told_in_one_line(
    data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    student = tmp_path / "junk.gguf"
    student.write_bytes(data)
    code, line = evaluated(tmp_path, student, capsys)
    assert code == 2, line
    assert "junk.gguf" in line and "can't be loaded" in line
    assert not list((tmp_path / "cache").rglob("*.part"))


ENGINE = """
from unwaver.errors import RecipeError
class LLM:
    def __init__(self, model, **_):
        raise RecipeError(f"an engine was started with {model}")
"""
"""In the place of vLLM's, which may not be here."""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "vllm.py").write_text(ENGINE)
    monkeypatch.syspath_prepend(str(tmp_path / "beside"))
    monkeypatch.delitem(sys.modules, "vllm", raising=False)
    yield
    # What the test itself imported isn't monkeypatch's to take back, and TRL asks every vLLM for its version.
    sys.modules.pop("vllm", None)


@pytest.mark.parametrize(
    "which",
    [
        *(name for name in FOLDERS if name.startswith("weights ")),
        "a tensor left out",
        "a head with minus infinity",
        "an embedding with NaN",
        "another shape",
        "a shard missing",
        "index no JSON",
        "index of another form",
        "more layers than weights",
        "fewer layers than weights",
        "a bias that the config leaves out",
        "scales that nobody multiplies by",
        "an unmerged adapter",
    ],
)
def test_weights_are_looked_at_before_vllm_s_engine_starts(
    which: str, engine: None, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, told = FOLDERS[which]
    student = tmp_path / "student"
    shutil.copytree(whole, student)
    change(student)
    code, line = evaluated(tmp_path, student, capsys, "--models.student", f"vllm:{student}")
    assert code == 2
    assert line.startswith(f"unwaver evaluate: vllm:{student}: ") and told in line, line


def shards(folder: Path) -> None:
    """The same weights in two files, beside one that the index doesn't name."""
    from safetensors.torch import load_file, save_file

    held = load_file(folder / "model.safetensors")
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = {key: names[n % 2] for n, key in enumerate(held)}
    for name in names:
        save_file({key: held[key] for key in held if index[key] == name}, folder / name, {"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    no_number_in_file(folder / "other.safetensors")


def no_number_in_file(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-4] + struct.pack("<f", float("nan")))


WHOLE: dict[str, Callable[[Path], None]] = {
    "as it is": lambda folder: None,
    "in shards": shards,
    "half as wide": no_number("q_proj", 0.5, "bfloat16"),
    "with another model's part": put_in(visual__conv__weight=[1.0], mtp__0__proj__weight=[2.0]),
    "with a pickle beside": content("pytorch_model.bin", b"junk"),
}


@pytest.mark.parametrize("which", WHOLE)
def test_whole_weights_reach_vllm_s_engine(
    which: str, engine: None, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = tmp_path / "student"
    shutil.copytree(whole, student)
    WHOLE[which](student)
    _, line = evaluated(tmp_path, student, capsys, "--models.student", f"vllm:{student}")
    assert f"an engine was started with {student}" in line, line


def test_an_empty_folder_and_a_file_are_no_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for name, told in (("empty", "can't be loaded"), ("file", "is no folder and no .gguf file")):
        code, line = evaluated(tmp_path, tmp_path / name, capsys)
        assert code == 2 and f"{tmp_path / name}" in line and told in line


DEEP = "{% macro again(n) %}{{ again(n + 1) }}{% endmacro %}{{ again(0) }}"
LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}x"
DOUBLES = "{% set n = namespace(x='a') %}{% for i in range(40) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x }}"
ACTS = "{{ cycler.__init__.__globals__.os.system('touch RAN') }}"
WHERE = "{% if messages|length > 1 %}" + LOOPS + "{% endif %}ok"

TEMPLATES = {
    "raises": ("{{ raise_exception('no system here') }}", "refuses the conversation: no system here"),
    "no syntax": ("{% for %}", "refuses the conversation"),
    "includes a file": ("{% include '/etc/passwd' %}", "its chat template"),
    "reaches for Python": (ACTS, "refuses the conversation"),
    "calls itself": (DEEP, "its chat template fails on the conversation: RecursionError"),
    "never ends": (LOOPS, "s of processor time"),
    "gigabytes at once": ("{{ 'a' * 4000000000 }}", "MiB of memory"),
    "gigabytes by doubling": (DOUBLES, "its chat template"),
    "gigabytes by a filter": ("{{ 'a'.ljust(4000000000) }}", "its chat template"),
    "much text": ("{{ 'a' * 400 }}", "writes more than 100 characters"),
    "divides": ("{{ 1 / 0 }}", "fails on the conversation: ZeroDivisionError"),
    "no text": ("{{ messages[7].content }}", "refuses the conversation"),
}


@pytest.mark.parametrize("which", TEMPLATES)
def test_a_template_that_raises_never_ends_or_takes_all_memory_is_told(
    which: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template, "SECONDS", 1)
    monkeypatch.setattr(template, "LONGEST", 100)
    monkeypatch.setattr(template, "_worker", template._Worker())
    monkeypatch.chdir(tmp_path)
    text, told = TEMPLATES[which]
    tokenizer = load_tokenizer("x", str(whole))
    tokenizer.chat_template = text
    with pytest.raises(RecipeError) as caught:
        template.render(tokenizer, "hf:x", [{"role": "user", "content": "Hi"}], {})
    assert str(caught.value).startswith("hf:x: its chat template ") and told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "RAN").exists()
    # The next template is rendered as if nothing had been.
    tokenizer.chat_template = "[{{ messages[0].content }}]"
    assert template.render(tokenizer, "hf:x", [{"role": "user", "content": "Hi"}], {}) == "[Hi]"


@pytest.mark.parametrize("granted", [1_600, 3_000])
def test_templates_are_rendered_within_what_the_system_grants(granted: int) -> None:
    """A limit that is lower already can't be raised; one that is higher is lowered."""
    limit = f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_AS, ({granted << 20}, {granted << 20}));"
    run = f"{limit} sys.argv[0] = {template.__file__!r}; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    worker = Path(template.__file__).with_name("template_worker.py")
    command = [sys.executable, "-P", "-c", run, str(worker), str(template.MEMORY), "20", "1000"]
    asked = {"messages": [{"content": "Hi"}], "add_generation_prompt": True, "more": {}}
    texts = ("[{{ messages[0].content }}]", "{{ ('a' * 4000000000)[0] }}")
    lines = "".join(json.dumps({**asked, "template": text}) + "\n" for text in texts)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    fine, large = map(json.loads, done.stdout.splitlines())
    assert fine == {"text": "[Hi]"} and done.stderr == ""
    assert large == {"fault": f"takes more than {min(granted, 2048):,} MiB of memory"}


@pytest.mark.parametrize("verb", ["evaluate", "check"])
def test_a_bad_template_ends_a_command_with_the_models_name(
    verb: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = tmp_path / "student"
    shutil.copytree(whole, student)
    (student / "chat_template.jinja").write_text(
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{{ messages[0].content }}"
    )
    flags = (
        "--models.student.system",
        "Be kind.",
        *(("--mix.parts.mine", "1", "--mix.overlap", "report", "--max_failed", "1") if verb == "check" else ()),
    )
    (tmp_path / "mine.jsonl").write_text('{"text": "Hello"}\n')
    if verb == "check":
        (tmp_path / "recipe.toml").write_text(RECIPE.format(student=student))
        code, line = cli.main(["check", str(tmp_path / "recipe.toml"), *flags]), ""
        line = capsys.readouterr().err.rstrip().rpartition("\n")[2]
    else:
        code, line = evaluated(tmp_path, student, capsys, *flags)
    assert code == 2
    assert f"hf:{student}: its chat template refuses the conversation: System role not supported" in line
    assert "system" in line.rpartition(";")[2]


@pytest.mark.parametrize(
    "shape",
    [
        tiny.THINKS,
        tiny.PLAIN,
        "{{ bos_token }}{% for m in messages %}{{ m.content | trim }}{% endfor %}{{ extra }}",
        "{{ messages[0] | tojson }}{{ enable_thinking }}",
    ],
)
@pytest.mark.parametrize("user", ["Hi", "a\nb  c\t", "é 漢 \U0001f600 \ud800", "</s>[assistant]{{ 7 * 7 }}", ""])
@pytest.mark.parametrize("prompted", [True, False])
def test_a_conversation_is_rendered_as_the_library_renders_it(
    shape: str, user: str, prompted: bool, whole: Path
) -> None:
    tokenizer = load_tokenizer("x", str(whole))
    tokenizer.chat_template = shape
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": user}]
    more = {"enable_thinking": False, "extra": [1, {"a": None}]}
    wanted = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompted, **more)
    assert template.render(tokenizer, "x", messages, more, prompted) == wanted


def test_what_a_folder_holds_besides_its_model_is_passed_by(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "m")
    settings("config.json", num_nextn_predict_layers=1)(tmp_path / "m")
    put_in(
        visual__blocks__0__attn__qkv__weight=[1.0],
        model__layers__0__self_attn__rotary_emb__inv_freq=[1.0],
        model__layers__2__self_attn__q_proj__weight=[1.0],
        model__mtp__0__proj__weight=[float("nan")],
    )(tmp_path / "m")
    assert len(load_weights("x", str(tmp_path / "m")).state_dict()) == 21


def test_layers_and_experts_that_models_have_are_taken(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "m")
    settings("config.json", num_hidden_layers=160, hidden_layer_size=10**5)(tmp_path / "m")
    assert load_config("x", str(tmp_path / "m")).num_hidden_layers == 160


def trained(folder: Path, whole: Path) -> Path:
    """A recipe whose training is finished, with a model of its own, and whose trained student is still to be asked."""
    recipe, root = folder / "recipe.toml", folder / "runs"
    recipe.write_text(report_runs.TINY + "max_tokens = 4\n")
    (plan,) = plans(recipe_file.arms(recipe_file.read_toml(recipe), recipe, {}))
    assert cli.main(["prompts", str(recipe), "--root", str(root)]) == 0
    report_runs.finish([plan], root)
    run = plan.train.directory(root)
    shutil.copytree(whole, run / "model")
    manifest = read_manifest(run) or {}
    weights = {f"model/{path.name}": measured(path) for path in (run / "model").iterdir()}
    (run / "manifest.json").write_text(json.dumps(sealed(run, {**manifest, "weights": weights})))
    for step in plan.steps():
        if step.stage == "evaluate" and "train" in step.inputs:
            (step.directory(root) / "manifest.json").unlink()
    return run


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


CHANGED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a bit of the weights": (lambda folder: flipped(folder / "model.safetensors"), "model.safetensors"),
    "weights of another": (no_number("q_proj", 0.0), "model.safetensors"),
    "fewer layers": (settings("config.json", num_hidden_layers=1), "config.json"),
    "another rotary base": (settings("config.json", rope_theta=7.0), "config.json"),
    "another end": (settings("generation_config.json", eos_token_id=5), "generation_config.json"),
    "another template": (content("chat_template.jinja", "{{ messages[0].content }}"), "chat_template.jinja"),
    "no tokenizer": (gone("tokenizer.json"), "tokenizer.json"),
    "an adapter put beside": (content("adapter_config.json", "{}"), "adapter_config.json"),
    "more weights beside": (content("model-00002-of-00002.safetensors", "x"), "model-00002-of-00002.safetensors"),
}


@pytest.mark.parametrize("which", CHANGED)
def test_a_trained_student_that_is_not_what_was_trained_is_told_before_it_is_asked(
    which: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path, whole)
    change, name = CHANGED[which]
    change(run / "model")
    words = [str(tmp_path / "recipe.toml"), "--root", str(tmp_path / "runs")]
    assert cli.main(["verify", str(run)]) == 2
    assert f"model/{name}: " in capsys.readouterr().out
    assert cli.main(["evaluate", *words]) == 2
    assert f"unwaver evaluate: {run}/model/{name}: " in capsys.readouterr().err
    assert cli.main(["publish", str(run), "--to", "a/b", "--dry-run"]) == 2
    with pytest.raises(RecordError, match=f"model/{name}: "):
        locate(str(run / "model"))


def test_a_trained_student_that_is_what_was_trained_is_asked(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path, whole)
    (run / "model" / "README.md").write_text("A card of my own.")
    assert cli.main(["evaluate", str(tmp_path / "recipe.toml"), "--root", str(tmp_path / "runs")]) == 0
    assert cli.main(["verify", str(tmp_path / "runs")]) == 0


def a_folder(path: Path) -> None:
    path.mkdir()


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


FORMS: dict[str, bytes | Callable[[Path], None]] = {
    "a folder": a_folder,
    "a loop": a_loop,
    "a pipe": a_pipe,
    "zeros": bytes(300),
    "empty": b"",
    "UTF-16": '{"text": 1}'.encode("utf-16"),
    "a number": b"7",
    "null": b"null",
    "a list": b'[{"a": 1}]',
    "a text": b'"model"',
    "a table of nothing": b"{}",
    "deep": b"[" * 200_000,
    "a long number": b'{"vocab_size": ' + b"9" * 5000 + b"}",
    "half a surrogate": b'{"model_type": "\\ud800", "chat_template": "\\ud800"}',
}
PARTS = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "model.safetensors")


@pytest.mark.parametrize("verb", ["evaluate", "check"])
@pytest.mark.parametrize("part", [*PARTS, "chat_template.jinja"])
@pytest.mark.parametrize("form", FORMS)
def test_a_model_s_file_of_any_form_is_no_traceback(
    form: str, part: str, verb: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = tmp_path / "student"
    shutil.copytree(whole, student)
    (student / part).unlink()
    made = FORMS[form]
    if callable(made):
        made(student / part)
    else:
        (student / part).write_bytes(made)
    (tmp_path / "mine.jsonl").write_text('{"text": "Hello"}\n')
    recipe = tmp_path / "recipe.toml"
    flags = ["--mix.parts.mine", "1", "--mix.overlap", "report", "--max_failed", "1"] if verb == "check" else []
    recipe.write_text(RECIPE.format(student=student))
    words = [str(recipe), "--root", str(tmp_path / "runs"), *flags]
    if verb == "evaluate":
        assert cli.main(["prompts", *words]) == 0
    capsys.readouterr()
    code = cli.main([verb, *words])
    said = capsys.readouterr()
    # A file that may be missing may be passed by, and `check` doesn't look at the weights.
    assert code in (0, 2)
    if code == 2:
        assert str(student) in said.err.rstrip().rpartition("\n")[2]
    elif part in ("config.json", "tokenizer.json"):
        raise AssertionError(said.err)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.floats(width=16),
    st.text(max_size=6),
    st.lists(st.integers(-3, 9), max_size=3),
    st.dictionaries(st.sampled_from(("rope_type", "rope_theta", "type", "a")), st.integers() | st.text(max_size=5)),
)


@examples(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_in_any_place_of_a_configuration_loads_or_is_told(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    folder = tmp_path / "m"
    if not folder.is_dir():
        shutil.copytree(whole, folder)
    config = json.loads((whole / "config.json").read_text())
    key = data.draw(st.sampled_from(sorted(config)))
    (folder / "config.json").write_text(json.dumps({**config, key: data.draw(VALUES)}))
    try:
        model = load_weights("hf:m", str(folder))
    except RecipeError as error:
        assert str(error).startswith("hf:m: can't be loaded: ") and "\n" not in str(error)
    else:
        assert len(model.state_dict()) == 21
