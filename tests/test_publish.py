"""`unwaver publish`: a trained model's folder with its card and figures, and what a hub is sent."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from killing import held, killed_everywhere
from local_server import Handler, serving
from training_fixtures import make_recipe, make_step, many_examples, save_student

from unwaver.basis import Basis
from unwaver.cli import main
from unwaver.plain import in_markdown
from unwaver.records import Estimate
from unwaver.report import before
from unwaver.report.tables import NOTHING
from unwaver.stages import train
from unwaver.stages.calls import Workplace
from unwaver.verbs import publish as publishing

pytestmark = pytest.mark.real

DATA_CARD = "What it was trained on.\n\n## How to read it\n\nWith care.\n"
BASIS = Basis("local@1a2b3c4d", "harm@5e6f", "both", "0a1b", "temperature 0", 96)


def estimate(run: str, value: float, arm: str, metric: str = "asr", slice: str = "harmful|unseen") -> Estimate:
    return Estimate(
        metric=metric, arm=arm, slice=slice, value=value, low=max(0, value - 0.1), high=min(1, value + 0.1), n=30,
        n_unscored=2, method="Wilson 95 %", basis=BASIS, runs=(run,),
    )  # fmt: skip


def evaluated(root: Path, name: str, **inputs: str) -> None:
    (root / name).mkdir()
    (root / name / "config.json").write_text(json.dumps({"stage": "evaluate", "inputs": inputs}))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained tiny model, an evaluation of it and of its base, and two reports, the older with other figures."""
    root = tmp_path_factory.mktemp("runs") / "kind"
    root.mkdir()
    student = save_student(root.parent / "student")
    (student / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Base\n")
    recipe = make_recipe(student, {"train.method": "lora"})
    step = make_step(root, recipe, many_examples(16))
    train.run(step, recipe, Workplace(root))
    run = step.directory(root)
    data = step.inputs["mix"].directory(root) / "dataset"
    data.mkdir()
    (data / "README.md").write_text(DATA_CARD)
    evaluated(root, "evaluate-00000001")
    evaluated(root, "evaluate-00000002", train=run.name)
    evaluated(root, "evaluate-00000003", train="train-ffffffff")
    for age, (name, value) in enumerate((("report-new", 0.1), ("report-old", 0.9))):
        (root / name).mkdir()
        rates = (
            estimate("evaluate-00000001", 0.8, "raw"),
            estimate("evaluate-00000003", 0.5, "another"),
            estimate("evaluate-00000002", value, "improved"),
            estimate("evaluate-00000002", 0.3, "improved", "over_refusal", "borderline"),
            estimate("evaluate-00000002", 61.5, "improved", "reply_tokens"),
        )
        before.write_rates(root / name, rates)
        page = root / name / "report.html"
        page.write_text("a page")
        os.utime(page, (page.stat().st_atime, page.stat().st_mtime - 1000 * age))
    return root


@pytest.fixture
def run(root: Path) -> Path:
    return next(root.glob("train-*"))


def test_the_card_holds_every_rate_with_what_it_rests_on(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", str(run), "--to", "me/kind", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    card = Path(out.strip())
    text = card.read_text()
    assert "nothing was sent" in err
    row = "| attack success | harmful\\|unseen | 80 % \\[70 to 90\\] | 10 % \\[0 to 20\\] | 30 | 2 | lower |"
    assert row in text.replace("\u00a0", " ")
    assert str(run.parent) not in text and "| Student | student (a folder" in text
    assert in_markdown("rank 16, alpha 32, dropout 0, on down_proj, gate_proj, k_proj") in text
    assert f"| over-refusal | borderline | {in_markdown(NOTHING)} |" in text and "reply_tokens" not in text
    assert (
        "read by local@1a2b3c4d as harm@5e6f in both; replies drawn with temperature 0, at most 96 tokens"
        in text.replace("\\", "")
    )
    assert "transformers 5." in text and text.rstrip().endswith("a safer one.")
    from huggingface_hub import ModelCard

    header = ModelCard.load(card).data
    assert header.license == "apache-2.0" and header.library_name == "transformers"
    found = {(one.metric_type, one.dataset_name): (one.metric_value, one.metric_args) for one in header.eval_results}
    assert found["asr", "harmful|unseen"][0] == 0.1 and found["asr", "harmful|unseen"][1]["n"] == 30
    assert len(found) == 2
    assert (card.parent / "training_data.md").read_text() == DATA_CARD
    assert len((card.parent / "estimates.jsonl").read_text().splitlines()) == 3
    weights = (card.parent / "model.safetensors").stat(), (run / "model" / "model.safetensors").stat()
    assert weights[0].st_ino == weights[1].st_ino  # not doubled
    assert "What was measured" not in (run / "model" / "README.md").read_text()
    assert main(["verify", str(run)]) == 0


def test_what_can_not_be_published_is_said(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*arguments: str) -> str:
        assert main(["publish", *arguments]) == 2
        return capsys.readouterr().err

    assert "expected OWNER/NAME" in told(str(run), "--to", "kind", "--dry-run")
    assert "expected a finished run of train" in told(str(tmp_path), "--to", "me/kind", "--dry-run")
    assert f"finished run of train; it holds {run.name} (" in told(str(run.parent), "--to", "me/kind", "--dry-run")
    alone = tmp_path / "alone" / run.name
    shutil.copytree(run, alone)
    for content in (b"\xff", b"---\na: [\n---\n", b"---\n- a\n---\n", b"---\nmodel_name: x\n---\n"):
        shutil.copytree(run.parent, tmp_path / "other", dirs_exist_ok=True)
        (tmp_path / "other" / run.name / "model" / "README.md").write_bytes(content)
        said = told(str(tmp_path / "other" / run.name), "--to", "me/kind", "--dry-run")
        assert "README.md: is no model card (" in said and len(said.splitlines()) == 1
    assert "no report beside it has figures of this model" in told(str(alone), "--to", "me/kind", "--dry-run")
    with (alone / "loss.jsonl").open("a") as log:
        log.write("{}\n")
    assert "nothing is published" in told(str(alone), "--to", "me/kind", "--dry-run")


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Path:
    """The same training in a folder of its own, to spoil."""
    shutil.copytree(root, tmp_path / "kind", ignore=shutil.ignore_patterns("published*", ".published*"))
    return next((tmp_path / "kind").glob("train-*"))


def published(run: Path) -> str:
    assert main(["publish", str(run), "--to", "me/kind", "--dry-run"]) == 0
    return (run / "published" / "README.md").read_text().replace("\u00a0", " ")


def test_the_report_that_was_given_last_is_published_whatever_its_times(copied: Path) -> None:
    """A copy need not keep times; the link beside the reports says which was the last."""
    assert "| 10 % \\[0 to 20\\] |" in published(copied)
    for folder, given in (("report-old", 9e8), ("report-new", 8e8)):
        os.utime(copied.parent / folder / "report.html", (given, given))
    assert "| 90 % " in published(copied)
    (copied.parent / "latest").symlink_to("report-new")
    assert "| 10 % \\[0 to 20\\] |" in published(copied)


def test_half_of_a_report_is_none(copied: Path) -> None:
    """A report is whole when its page is there, which is written last."""
    new = copied.parent / "report-new"
    (new / "report.html").rename(new / "report.html.1a2b3c4d.part")
    (new / "report.json").unlink()
    (new / "estimates.jsonl").write_text("")
    assert "| 90 % " in published(copied)


OTHERWISE: dict[str, Callable[[list[str]], list[str]]] = {
    "cut": lambda lines: lines[:3],
    "empty": lambda lines: [],
    "doubled": lambda lines: [*lines, lines[2]],
    "edited": lambda lines: [line.replace('"value": 0.1', '"value": 0.0') for line in lines],
    "turned round": lambda lines: lines[::-1],
}


@pytest.mark.parametrize("how", OTHERWISE)
def test_no_rate_is_published_that_its_report_did_not_write(
    how: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = copied.parent / "report-new" / "estimates.jsonl"
    lines = rates.read_text().splitlines(keepends=True)
    assert OTHERWISE[how](lines) != lines
    rates.write_text("".join(OTHERWISE[how](lines)))
    assert main(["publish", str(copied), "--to", "me/kind", "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert f"{rates}: " in told and "delete this report and give `unwaver report RECIPE` again" in told
    assert not (copied / "published").exists()


@pytest.mark.parametrize("content", [None, "", "{}", '{"estimates.jsonl": 3}', "[]"])
def test_a_report_that_does_not_say_what_it_wrote_is_not_published(
    content: str | None, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = copied.parent / "report-new" / "report.json"
    said.unlink() if content is None else said.write_text(content)
    assert main(["publish", str(copied), "--to", "me/kind", "--dry-run"]) == 2
    assert "report.json" in capsys.readouterr().err


def ended_early(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


MISSING: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "the weights": ("train-*/model/model.safetensors", Path.unlink, "its weights are not here; nothing is published"),
    "the end of the card": ("train-*/model/README.md", ended_early, "README.md: is no model card (its last sentence"),
    "all of the card": ("train-*/model/README.md", lambda path: path.write_text(""), "its last sentence"),
    "the end of the data card": ("mix-*/dataset/README.md", ended_early, "dataset/README.md: its last part"),
    "an evaluation": ("evaluate-00000003/config.json", Path.unlink, "evaluate-00000003: figures of report-new rest on"),
    "an evaluation's settings": ("evaluate-00000003/config.json", ended_early, "evaluate-00000003: figures of"),
}


@pytest.mark.parametrize("which", MISSING)
def test_nothing_is_published_of_which_a_part_is_gone(
    which: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whose an evaluation was is in its settings: without them its figures would be taken for the base's."""
    place, spoil, told = MISSING[which]
    spoil(next(copied.parent.glob(place)))
    assert main(["publish", str(copied), "--to", "me/kind", "--dry-run"]) == 2
    assert told in capsys.readouterr().err
    assert not (copied / "published").exists()


def test_a_training_whose_data_card_is_away_is_published_and_it_is_said(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = next(copied.parent.glob("mix-*/dataset/README.md"))
    card.unlink()
    published(copied)
    assert f"{card}: there is no such file; it is published without the card of" in capsys.readouterr().err


def test_a_training_is_published_by_any_name(
    copied: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copied)
    assert "| 10 % \\[0 to 20\\] |" in published(Path())
    assert (copied / "published" / "training_data.md").read_text() == DATA_CARD
    link = copied.parent.parent / "mine"
    link.symlink_to(copied)
    shutil.rmtree(copied / "published")
    published(link)
    assert (copied / "published" / "training_data.md").is_file()


def test_a_killed_publish_leaves_a_whole_folder_or_none(copied: Path) -> None:
    """Of the figures before, or of those that are new; the run stays what it was, and the same command ends whole."""
    folder, kept = copied / "published", copied.parent.parent / "kept"
    page = copied.parent / "report-old" / "report.html"
    os.utime(page, (9e9, 9e9))
    published(copied)
    former = held(folder)
    page.unlink()
    shutil.copytree(copied.parent, kept)
    published(copied)
    then = held(folder)
    assert then != former and set(then) == set(former)

    def anew() -> None:
        shutil.rmtree(copied.parent)
        shutil.copytree(kept, copied.parent)

    command = ["publish", str(copied), "--to", "me/kind", "--dry-run"]
    kills = list[bool]()
    for at in killed_everywhere(lambda: main(command), 2, anew):
        assert not folder.exists() or held(folder) in (former, then), f"half a folder, killed after {at}"
        kills.append(folder.exists())
        assert main(["verify", str(copied)]) == 0
        published(copied)
        assert held(folder) == then and not list(copied.glob("*.part"))
    assert len(kills) > 5 and not all(kills)


def test_of_two_who_publish_at_once_one_waits(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that one sends is not taken away by the other."""
    begun, sent = threading.Event(), list[dict[str, bytes]]()

    def send(folder: Path, to: str, private: bool) -> None:
        begun.set()
        time.sleep(1)
        sent.append(held(folder))

    monkeypatch.setattr(publishing, "_send", send)
    first = threading.Thread(target=lambda: publishing.run("publish", arguments, {}))
    arguments = Namespace(run=copied, to="me/kind", private=False, dry_run=False)
    first.start()
    assert begun.wait(60)
    assert publishing.run("publish", arguments, {}) == 0
    first.join()
    assert len(sent) == 2 and sent[0] == sent[1] and {"README.md", "model.safetensors"} <= set(sent[0])


@pytest.mark.parametrize("place", ["train/model/README.md", "train/model/more", "mix/dataset/README.md", "mix/dataset"])
def test_a_link_in_somebody_s_run_publishes_no_file_of_ours(
    run: Path, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").mkdir()
    secret = tmp_path / "home" / "README.md"
    secret.write_text("password: horse")
    theirs = tmp_path / "theirs"
    shutil.copytree(run.parent, theirs, ignore=shutil.ignore_patterns("published*"))
    stage, rest = place.split("/", 1)
    link = next(theirs.glob(f"{stage}-*")) / rest
    shutil.rmtree(link) if link.is_dir() else link.unlink(missing_ok=True)
    link.symlink_to(secret.parent if rest == "dataset" else secret)
    assert main(["publish", str(theirs / run.name), "--to", "me/kind", "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert "nothing is published" in told and "horse" not in told
    assert not [path for path in theirs.glob("*/published*/**/*") if path.is_file()]


class _Hub(Handler):
    """Enough of a hub to be given a model; what it was asked for and sent is kept."""

    seen: list[tuple[str, Any]] = []
    refuses = False

    def do_POST(self) -> None:
        if self.headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.body()
        self.seen.append((self.path, body))
        if self.refuses:
            return self._say(403, {"error": "this token may not write here"})
        if self.path.endswith("/preupload/main"):
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            return self._say(200, {"files": files})
        if self.path.endswith("/commit/main"):
            return self._say(200, {"commitUrl": f"{self._here}/me/kind/commit/1", "commitOid": "1", "success": True})
        return self._say(200, {"url": f"{self._here}/me/kind", "name": "me/kind", "warnings": [], "errors": []})

    def do_GET(self) -> None:
        self._say(200, {"id": "me/kind", "sha": "0", "siblings": [], "private": True, "tags": []})

    @property
    def _here(self) -> str:
        host, port = self.server.server_address[:2]
        return f"http://{host!s}:{port}"

    def _say(self, status: int, content: Any) -> None:
        self.send(json.dumps(content).encode(), status)


@pytest.fixture
def hub() -> Iterator[str]:
    _Hub.seen, _Hub.refuses = [], False
    with serving(_Hub) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def publish(
    run: Path, hub: str, tmp_path: Path, *more: str, token: str = "hf_notatoken"
) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the hub's library reads its address when it is loaded."""
    env = {**os.environ, "HF_ENDPOINT": hub, "HF_TOKEN": token, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    env["HF_HOME"] = str(tmp_path)
    command = [sys.executable, "-m", "unwaver", "publish", str(run), "--to", "me/kind", *more]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)


def test_a_hub_is_sent_the_folder_whole_and_private(run: Path, hub: str, tmp_path: Path) -> None:
    done = publish(run, hub, tmp_path, "--private")
    assert done.returncode == 0, done.stderr
    made = json.loads(next(body for path, body in _Hub.seen if path == "/api/repos/create"))
    assert (made["organization"], made["name"]) == ("me", "kind") and "private" in (
        made.get("visibility"),
        *[key for key in made if made[key] is True],
    )
    commit = next(body for path, body in _Hub.seen if path.endswith("/commit/main"))
    files = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"])
        for line in map(json.loads, commit.splitlines())
        if line["key"] == "file"
    }
    folder = run / "published"
    assert files == {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {"README.md", "model.safetensors", "tokenizer.json", "estimates.jsonl"} <= set(files)
    assert "hf_notatoken" not in done.stdout + done.stderr
    assert not [path for path in run.rglob("*") if path.is_file() and b"hf_notatoken" in path.read_bytes()]


def test_a_hub_that_refuses_is_told_in_one_line(run: Path, hub: str, tmp_path: Path) -> None:
    _Hub.refuses = True
    done = publish(run, hub, tmp_path)
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert "me/kind: not published" in done.stderr and "the same command tries again" in done.stderr


@pytest.mark.parametrize(
    ("address", "token", "code", "told"),
    [
        ("http://127.0.0.1:1", "hf_notatoken", 3, "me/kind: not published: [Errno 111] Connection refused"),
        ("http://127.0.0.1:1", "hf_\u00e9secret", 2, "HF_TOKEN: holds characters that no key has"),
        ("http://[::1", "hf_notatoken", 2, "HF_ENDPOINT=http://[::1: this address can't be used"),
    ],
)
def test_a_hub_that_is_not_there_and_a_token_that_is_none_are_told_in_one_line(
    run: Path, address: str, token: str, code: int, told: str, tmp_path: Path
) -> None:
    done = publish(run, address, tmp_path, token=token)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert told in done.stderr.splitlines()[-1] and token not in done.stderr
