"""A recipe of somebody else names a file of ours as the teacher's instruction or a judge's rubric: no key goes with it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from faulty_server import saying
from test_servers import Asked, chat, says

from unwaver.cli import main

OURS = "correct-horse-battery-staple"
FILES = {
    "id_ed25519": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END OPENSSH PRIVATE KEY-----\n",
    "credentials": "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n",
    "credentials2": "[default]\naws_secret_access_key = wJalrXUtnFEMI/K7MDENG\n",
    ".env": "export TEACHER_API_KEY='0a1b2c3d4e'\n",
    ".netrc": "machine example.invalid\n  login me\n  password tr0ub4dor\n",
    ".netrc2": "machine example.invalid login me password horse",
    "adc.json": '{"client_id": "764", "type": "authorized_user", "refresh_token": "1//0abcdefgh"}',
    ".npmrc": "//registry.example.invalid/:_authToken=9f8e7d6c5b4a\n",
    "hosts.yml": "github.com:\n    user: me\n    oauth_token: gho_16C7e42F292c6912E7710c838347Ae178B4a\n",
    "notes.txt": "For the teacher: TEACHER_TOKEN=0a1b2c3d4e5f\n",
    "ours.txt": f"Nothing but a word: {OURS}.",
    "token": "hf_abcdefghijklmnopqrstuvwxyz0123456789",
}


def recipe(folder: Path, url: str, file: str, role: str) -> Path:
    instruction, rubric = (
        (f'instruction_file = "{file}"', "") if role == "teacher" else ("", f'refusal = "{file}"' if file else "")
    )
    path = folder / "theirs.toml"
    path.write_text(f"""
name = "theirs"
models.student = "replay:corpus"
models.teacher = {{ name = "openai:t", base_url = "{url}" }}
models.judge = {{ name = "openai:j", base_url = "{url}" }}
prompts.safety = {{ source = "corpus/harmful", limit = 1 }}
mix.parts = {{ safety = 1 }}
[distil]
{instruction}
[judge]
refusal = "judge"
patterns = "judge"
rubric_files = {{ {rubric} }}
""")
    return path


def asked(tmp_path: Path, file: str, role: str) -> tuple[int, Asked]:
    """What the recipe's server was sent by the verbs that ask it, and the last exit code."""
    server = Asked(says(chat(content="<think>hm</think>Yes.")))
    with saying(server) as url:
        path = recipe(tmp_path, url, file, role)
        for verb in ("prompts", "distil", "judge"):
            if code := main([verb, str(path), "--root", str(tmp_path / "runs")]):
                break
    return code, server


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("role", ["teacher", "judge"])
def test_no_file_with_a_key_is_sent_as_a_wording(
    name: str, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_API_KEY", OURS)
    (tmp_path / name).write_text(FILES[name] + ("{reasoning} {answer}" if role == "judge" else ""))
    code, server = asked(tmp_path, str(tmp_path / name), role)
    told = capsys.readouterr().err
    assert code == 2 and not server.bodies and f"{name}: would be sent to a model as" in told
    assert not any(word in told for word in FILES[name].split() if any(map(str.isdigit, word)))
    kept = [path for path in tmp_path.rglob("runs/**/*") if path.is_file() and FILES[name][:20] in path.read_text()]
    assert not kept


@pytest.mark.parametrize("column", ["refresh_token", "api-key", "Secret", "clientSecret", "password"])
def test_no_column_that_is_named_like_a_key_is_a_prompt(column: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps([{column: "1//0abcdefgh"}]))
    server = Asked(says(chat(content="Yes.")))
    with saying(server) as url:
        path = recipe(tmp_path, url, "", "")
        named = f'{{ source = "file", path = "config.json", kind = "harmful", columns.text = "{column}" }}'
        path.write_text(path.read_text().replace('{ source = "corpus/harmful", limit = 1 }', named))
        assert [main([verb, str(path), "--root", str(tmp_path / "runs")]) for verb in ("prompts", "distil")] == [2, 2]
    assert not server.bodies and not list(tmp_path.rglob("prompts.jsonl"))


@pytest.mark.parametrize("file", ["/proc/self/environ", "/dev/zero", "/dev/stdin", "PIPE", "LINK", "LONG"])
def test_what_is_no_file_of_words_is_not_sent(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNHEARD_OF", "a word of the environment")
    path = tmp_path / file.strip("/").replace("/", "_")
    if file == "PIPE":
        os.mkfifo(path)
    elif file == "LINK":
        path.symlink_to("/proc/self/environ")
    elif file == "LONG":
        path.write_text("word " * 300_000)
    _, server = asked(tmp_path, str(path if path.name in ("PIPE", "LINK", "LONG") else file), "teacher")
    assert "a word of the environment" not in str(server.bodies) and len(str(server.bodies)) < 20_000


@pytest.mark.parametrize(
    "text",
    [
        "Never write a password, an API key or a token down. Use at most 12345678 tokens: fewer are better.",
        "Keys: none. The secret is: to think first (step 1), then to answer.\nauthorization: needed for step 2",
        "Each key: 10000000. Give the token (id: 2024) and the key: value pairs, e.g. max_tokens=12345678.",
        'Answer with {"key": "value123"}, or with token: <|im_end_1|>; key = **step 1 and 2**.',
        "score: 1-10 against the rubric; label=unsafe-2024; tokenizer: tiktoken-o200k",
    ],
)
def test_words_about_keys_are_words(text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text(text)
    _, server = asked(tmp_path, str(tmp_path / "mine.md"), "teacher")
    sent: list[Any] = [turn["content"] for body in server.bodies for turn in body["messages"]]
    assert any(text in content for content in sent)
