"""Who answers: endpoints, local models, recorded replies; and the engine that asks them.

A model is anything with a `label` and an async `reply(request)`. It raises `Transient` for what may pass (the engine
tries again), `Refused` for what will not (this call fails, the others go on), and an error of the command line for what
no call survives: RecipeError (a key that is missing or refused, a model that isn't there), RunError (no credit left).
"""

from __future__ import annotations

from typing import Protocol

from unwaver.recipe import ModelSettings
from unwaver.records import Reply, Request


class Transient(Exception):  # noqa: N818 - it is a state, not an error a person meets
    """A call failed in a way that may pass: 429, 5xx, a time-out, a lost connection, an empty or unreadable reply."""

    def __init__(
        self,
        reason: str,
        wait: float | None = None,
        crowded: bool = False,
        spent: tuple[int, int] = (0, 0),
        absent: bool = False,
    ) -> None:
        super().__init__(reason)
        self.wait = wait
        """Seconds the server asked everybody to wait; None where it did not say."""
        self.crowded = crowded
        """There were too many calls at once; it is not this call's fault."""
        self.spent = spent
        """Tokens in and out that the server counted all the same."""
        self.absent = absent
        """Nothing listens at the address."""


class Refused(Exception):  # noqa: N818
    """The server will not take this call, however often it is made: it is too long, say."""


class Model(Protocol):
    """One model, reached one way."""

    label: str
    """`name@revision`, as records carry it."""

    async def reply(self, request: Request) -> Reply:
        """One reply. Raises Transient, Refused, RecipeError or RunError; never returns an error text as a reply."""

    async def close(self) -> None:
        """Give back connections and memory."""


def open_model(settings: ModelSettings) -> Model:
    """The model behind a recipe's name. Local libraries are imported only when such a model is asked for."""
    if settings.door == "openai":
        from unwaver.models.endpoint import Endpoint

        return Endpoint(settings)
    if settings.door == "replay":
        from unwaver.models.replay import Replay

        return Replay(settings)
    from unwaver.models.local import LocalModel

    return LocalModel(settings)
