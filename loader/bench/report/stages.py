"""The stages that an upload waits for, with their words and colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["WAITS", "Stage"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage.

    Attributes:
        key: Its field of ``loader.job.timing.StageTimes``.
        name: What an upload does meanwhile, in words.
        colour: The name of its colour.
        always: Whether it is shown even where nothing waited for it.
    """

    key: str
    name: str
    colour: str
    always: bool = True


WAITS: Final = (
    Stage("reading", "reading", "@read"),
    Stage("encoding", "encoding", "@encode"),
    Stage("server", "waiting for the server", "@put"),
    Stage("rate", "rate limit", "@rate", always=False),
)
"""They add up to the seconds of the upload."""
