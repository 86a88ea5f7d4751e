"""A conversation through a model's own chat template, as transformers renders it, within limits.

The template is somebody else's program: it may never end, take all memory or refuse. So it runs in a process of its own
(`template_worker`), one for all models, which is begun anew where a template was the end of it. What is wrong with a
template is a RecipeError with the model's name.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from unwaver.errors import RecipeError, RunError
from unwaver.models.loading import loading

MEMORY = 2 << 30
"""Bytes of address space of the process; it needs a tenth of that itself."""
SECONDS = 20
"""Seconds of processor time for one conversation; a usual template takes a thousandth of one."""
LONGEST = 50_000_000
"""Characters of a rendered conversation."""


class Refusal(RecipeError):  # noqa: N818 - it is an answer
    """The template does not take this conversation; it may take another."""


def render(
    tokenizer: Any,
    name: str,
    messages: Sequence[Mapping[str, Any]],
    more: Mapping[str, Any],
    add_generation_prompt: bool = True,
) -> str:
    """The text that `tokenizer.apply_chat_template` makes of a conversation; `more` are the template's variables."""
    from transformers import PreTrainedTokenizerBase

    options = {"add_generation_prompt": add_generation_prompt, **more}
    if type(tokenizer).apply_chat_template is not PreTrainedTokenizerBase.apply_chat_template:
        with loading(name):  # one that has no template, but code of the library's in its place
            return str(tokenizer.apply_chat_template(list(messages), tokenize=False, **options))
    with loading(name):
        template = tokenizer.get_chat_template()
    asked = {
        "template": template,
        "messages": list(messages),
        "add_generation_prompt": add_generation_prompt,
        "more": {**tokenizer.special_tokens_map, **more},
    }
    reply = _worker.ask(json.dumps(asked, default=str))
    if (fault := reply.get("fault")) is not None:
        system = any(turn["role"] == "system" for turn in messages)
        hint = "; it may take no system turn: leave out models.student.system" if system and "refuse" in fault else ""
        kind = Refusal if fault.startswith(("refuses", "fails")) else RecipeError
        raise kind(f"{name}: its chat template {' '.join(fault.split())}{hint}")
    return str(reply["text"])


class _Worker:
    """The process, begun when it is first asked; one conversation at a time, from whichever thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def ask(self, line: str) -> dict[str, str]:
        """What became of one conversation: its `text`, or a `fault`."""
        with self._lock:
            process = self._begun()
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(line + "\n")
                process.stdin.flush()
                answer = process.stdout.readline()
            except BrokenPipeError:
                answer = ""
            if answer.endswith("\n"):
                found: dict[str, str] = json.loads(answer)
                return found
            self._process = None
            code = process.wait()
            if code == -signal.SIGPROF:
                return {"fault": f"takes more than {SECONDS} s of processor time over one conversation"}
            if code < 0:
                return {"fault": f"ended the process that renders it ({signal.Signals(-code).name})"}
            raise RunError(f"chat templates can't be rendered: the process for them ended with exit code {code}")

    def _begun(self) -> subprocess.Popen[str]:
        if self._process is None or self._owner != os.getpid():  # a fork's pipes would be its parent's too
            command = [sys.executable, "-P", str(Path(__file__).with_name("template_worker.py"))]
            self._process = subprocess.Popen(
                [*command, str(MEMORY), str(SECONDS), str(LONGEST)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="ascii",
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                process_group=0,  # Ctrl-C is for us; it ends when its input does
            )
            self._owner = os.getpid()
        return self._process


_worker = _Worker()
