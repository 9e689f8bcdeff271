"""Which ends of a load leave everything on the server as it is, for a later process to go on."""

from __future__ import annotations

import asyncio

from loader.errors import (
    Interrupted,
    JournalUnusable,
    LoaderError,
    LoginFailed,
    OutcomeUnknown,
    Recovery,
    RejectsUnwritable,
    SessionExpired,
)

__all__ = ["command_of", "is_passing"]

# What another process may find mended: the user stopped it, the disk was full, the password had
# been changed, or the server did not say what became of the publish.
_PASSING = (
    *(asyncio.CancelledError, Interrupted, JournalUnusable, RejectsUnwritable),
    *(SessionExpired, LoginFailed, OutcomeUnknown),
)


def is_passing(error: BaseException) -> bool:
    """Whether nothing speaks against going on later where the load stopped.

    A refusal, a bad value, a publish that failed or a defect would only come again.
    """
    if isinstance(error, _PASSING):
        return True
    return isinstance(error, LoaderError) and error.recovery is Recovery.RETRY


def command_of(job: str) -> str:
    """Returns the command that goes on with a job; no secret is part of it."""
    return f"mstr-loader resume {job}"
