"""Keeps a session alive while nothing else is asked of the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Protocol, Self

from loader.errors import LoaderError, LoginFailed

__all__ = ["KeepAlive", "Session"]

logger = logging.getLogger("loader.api")

_PERIODS = 3
"""In how many parts a timeout is divided: two calls may go wrong before the session ends."""

_AGAIN = 4
"""How much sooner than usual a call is repeated that went wrong."""

_SHORTEST = 0.05
_GRACE = 1.0
"""Seconds that a call under way has at the end."""

_UNKNOWN_TIMEOUT = 180.0
"""Seconds taken for the timeout while the server does not tell; few have a shorter one."""


class Session(Protocol):
    """What is kept alive: a ``Client``."""

    async def session_timeout(self) -> int:
        """Returns after how many idle seconds the server ends the session."""

    async def keep_alive(self) -> None:
        """Extends the session."""


class KeepAlive:
    """``async with KeepAlive(client):`` extends the session three times in each timeout.

    Needed where nothing is sent for long: while a slow source is read, while a ``--max-rate`` or
    an outage holds the workers back. What goes wrong is no failure of the load: it is logged and
    tried again sooner, unless the credentials are refused: more attempts would lock the account. A
    ``Client`` renews a login that has ended by itself. Leave the block before logging out.

    Attributes:
        extended: How often the session was extended.
        failures: How often that, or asking for the timeout, went wrong.
    """

    def __init__(
        self,
        session: Session,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Takes the session; asks nothing yet.

        Args:
            session: What is kept alive, logged in.
            sleep: Waits; tests bring their own.
        """
        self._session = session
        self._sleep = sleep
        self._task: asyncio.Task[None] | None = None
        self._calling = False
        self._ending = False
        self.extended = 0
        self.failures = 0

    def __repr__(self) -> str:
        state = "running" if self._task and not self._task.done() else "idle"
        return f"<KeepAlive {state}, {self.extended} extended, {self.failures} failures>"

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="keep-alive")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends it, after a call under way. Nothing that went wrong in it comes out here."""
        assert self._task is not None
        self._ending = True
        if self._calling:
            # A connection that is dropped while it is being made outlives the client.
            await asyncio.wait({self._task}, timeout=_GRACE)
        self._task.cancel()
        [outcome] = await asyncio.gather(self._task, return_exceptions=True)
        if isinstance(outcome, Exception):
            logger.error("the session was not kept alive", exc_info=outcome)

    async def _run(self) -> None:
        timeout: float | None = None
        while not self._ending:
            self._calling = True
            try:
                if timeout is None:
                    timeout = await self._session.session_timeout()
                    if timeout <= 0:
                        logger.debug("the session does not time out")
                        return
                else:
                    await self._session.keep_alive()
                    self.extended += 1
            except LoaderError as error:
                if not self._goes_on_after(error):
                    return
                period = (timeout or _UNKNOWN_TIMEOUT) / _PERIODS / _AGAIN
            else:
                period = timeout / _PERIODS
            finally:
                self._calling = False
            if not self._ending:
                await self._sleep(max(period, _SHORTEST))

    def _goes_on_after(self, error: LoaderError) -> bool:
        self.failures += 1
        logger.warning("the session could not be kept alive: %s", error)
        return not isinstance(error, LoginFailed)
