"""The first calls of a load, repeated through passing trouble: logging in, choosing the project."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from loader.api import Client, Connection
from loader.errors import ApiError, LoaderError, NotFound, Unreachable, UsageError
from loader.job.progress import Progress
from loader.job.retrier import Retrier
from loader.job.retry import RetryBudget

__all__ = ["log_in_and_select"]


async def log_in_and_select(
    client: Client,
    connection: Connection,
    *,
    budget: RetryBudget,
    progress: Progress,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    draw: Callable[[], float],
) -> None:
    """Logs in and chooses the project, each as often as the budget of a call allows.

    Where the first thing ever seen is that nothing is there, at once or at the address that was
    named, it ends at once: that is a mistake in an option far more often than an outage. Refused
    credentials are never tried again: servers lock an account after a few wrong passwords.

    A login whose answer was lost may leave one behind that nobody can end. It opens nothing, keeps
    nobody out, and times out by itself.

    Args:
        client: Open, and not logged in.
        connection: Names the project.
        budget: What may be spent on each call.
        progress: Shows trouble that is not over yet.
        clock: Monotonic seconds.
        sleep: Waits.
        draw: Random numbers from 0 to 1.

    Raises:
        LoginFailed: The server does not accept the credentials.
        UsageError: No project was named, or one that the user does not see.
        LoaderError: The server could not be reached, or stayed unavailable.
    """
    # No gate: before the login there is no call that could tell that the server is back.
    retrier = Retrier(budget, None, progress, clock=clock, sleep=sleep, draw=draw)
    first = True

    def final(error: LoaderError) -> bool:
        nonlocal first
        ends, first = first and _nothing_there(error), False
        return ends

    await retrier.call(client.login, final=final)
    named = connection.project
    if named is None:
        names = ", ".join(project.name for project in await retrier.call(client.projects))
        raise UsageError(
            "no project was named", hint=f"--project NAME or MSTR_PROJECT; there are: {names}"
        )
    await retrier.call(lambda: client.select_project(named))


def _nothing_there(error: LoaderError) -> bool:
    """Whether a failure looks like one of the address, not of a server that was found there.

    A handshake that is cut is among them: so do servers that demand a client certificate.
    """
    if isinstance(error, Unreachable):
        return error.details.get("phase") in {"connect", "tls"}
    # A path that leads nowhere, or a proxy that says it has no way there.
    return isinstance(error, NotFound) or (isinstance(error, ApiError) and "proxy" in error.details)
