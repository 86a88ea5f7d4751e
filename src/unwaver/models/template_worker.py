"""Renders chat templates in a process of its own: a line of JSON in, a line of JSON out, until the input ends.

A template is a program that comes with a model. Here it may take so much memory and so much processor time and no
more; the kernel ends the process where it takes more time. Run as a file, so that nothing of ours is imported.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys


def main() -> None:
    """Answer whoever started this process; the limits are its arguments: bytes, seconds, characters."""
    memory, seconds, longest = (int(word) for word in sys.argv[1:4])
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a library prints
    import jinja2
    from transformers.utils.chat_template_utils import render_jinja_template

    hard = resource.getrlimit(resource.RLIMIT_AS)[1]  # it can't be raised
    memory = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        asked = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends a process that has no handler for it
        try:
            text = render_jinja_template(
                conversations=[asked["messages"]],
                chat_template=asked["template"],
                add_generation_prompt=asked["add_generation_prompt"],
                **asked["more"],
            )[0][0]
            reply = {"text": text} if len(text) <= longest else {"fault": f"writes more than {longest:,} characters"}
        except jinja2.TemplateError as error:
            reply = {"fault": f"refuses the conversation: {str(error)[:500]}"}
        except MemoryError:
            reply = {"fault": f"takes more than {memory >> 20:,} MiB of memory"}
        except Exception as error:  # noqa: BLE001 - a template can raise anything
            reply = {"fault": f"fails on the conversation: {type(error).__name__}: {str(error)[:500]}"}
        signal.setitimer(signal.ITIMER_PROF, 0)
        try:
            written = json.dumps(reply)
        except MemoryError:
            written = json.dumps({"fault": f"takes more than {memory >> 20:,} MiB of memory"})
        print(written, file=replies, flush=True)


if __name__ == "__main__":
    main()
