"""Judge and repair: a trace is read by asking a model, once more where its reply can't be read, then it is unscored."""

from __future__ import annotations

from unwaver.dialogue import Call, Dialogue
from unwaver.judging import ModelReader
from unwaver.records import Reply, Trace, Verdict

JUDGE = "judge"
"""The role a reading asks."""


def read(trace: Trace, reader: ModelReader, judge: str) -> Dialogue[Verdict]:
    """The verdict of a model on a trace. `judge`: its `name@revision`."""
    request = reader.request(trace)
    if request is None:
        return reader.read(trace, Reply(ending="error", failure="no text to read"), judge)
    reply = yield Call(JUDGE, request)
    verdict = reader.read(trace, reply, judge)
    if verdict.label is None and reply.failure is None:
        again = reader.repair(trace, reply, verdict.reason)
        if again is not None:
            return reader.read(trace, (yield Call(JUDGE, again)), judge)
    return verdict
