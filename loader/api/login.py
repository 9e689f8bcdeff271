"""The one login that all calls of a client share: its token, and its renewal when it has ended."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar

import aiohttp
from yarl import URL

from loader.errors import LoaderError, LoginFailed, SessionExpired

__all__ = ["CookieJar", "SharedLogin", "answering"]

logger = logging.getLogger("loader.api")

_answering: ContextVar[int] = ContextVar("answering", default=0)


@contextmanager
def answering(login: int) -> Iterator[None]:
    """Says to which login the answers belong that this task gets meanwhile."""
    before = _answering.set(login)
    try:
        yield
    finally:
        _answering.reset(before)


class SharedLogin:
    """The token that calls carry; when it has ended, one of them renews it and the others wait.

    Every attempt to log in has a number, and so has the login that it makes. A call that is told
    that its login has ended names the number under which it was sent: if there is a newer login by
    then, somebody else has renewed it, and the call has only to be repeated.

    Attributes:
        token: The current token; None before a login and after the logout.
        number: The number of the current login.
        latest: The number of the latest attempt: from its start on, answers to calls of an earlier
            login must not touch the cookies.
        made: How many logins were made.
    """

    def __init__(self, log_in: Callable[[], Awaitable[str]]) -> None:
        """Takes what logs in and returns the token; does not log in."""
        self._log_in = log_in
        # Held by whoever logs in or out.
        self._changing = asyncio.Lock()
        self._failures = 0
        self._failure: LoaderError | None = None
        self._ended = False
        self.token: str | None = None
        self.number = 0
        self.latest = 0
        self.made = 0

    async def start(self) -> None:
        """Logs in, whatever there was before.

        Raises:
            LoaderError: It did not work; ``LoginFailed`` if the credentials were not accepted.
        """
        async with self._changing:
            await self._attempt()

    async def replace(self, log_out: Callable[[str], Awaitable[None]]) -> None:
        """Ends the login and makes a new one, whether or not the logout works.

        Raises:
            LoaderError: There is no new one; ``LoginFailed`` if the credentials were not accepted.
        """
        async with self._changing:
            if self.token is not None and not self._ended:
                with suppress(LoaderError):
                    await log_out(self.token)
            self._ended = True
            await self._attempt()

    async def end(self) -> str | None:
        """Forgets the token and returns it, to be logged out with; None if there is no login."""
        async with self._changing:
            token = None if self._ended else self.token
            self.token = None
            return token

    async def settle(self) -> None:
        """Renews a login that is known to have ended; waits for one that is being renewed.

        A body of 100 MB is not worth sending with a token that is known to be refused.

        Raises:
            LoaderError: As ``renew``.
        """
        if self._ended or self._changing.locked():
            await self._renew(self.number, None)

    async def renew(self, number: int, told: SessionExpired) -> None:
        """Logs in again, unless somebody did since.

        All who wait for an attempt that fails get its failure. Credentials that were refused are
        not tried again: servers lock an account after a few wrong passwords.

        Args:
            number: The login that has ended.
            told: How the server said so.

        Raises:
            LoaderError: The login failed.
            SessionExpired: ``told``, if there was a logout since.
        """
        await self._renew(number, told)

    async def _renew(self, number: int, told: SessionExpired | None) -> None:
        failures = self._failures
        async with self._changing:
            if self.number != number:
                return
            if self.token is None:
                if told is None:
                    return
                raise told
            if told is None and not self._ended:
                return
            self._ended = True
            failure = self._failure
            if failure and (self._failures > failures or isinstance(failure, LoginFailed)):
                raise copy.copy(failure)
            logger.debug("login %d has ended: logging in again", self.number)
            await self._attempt()

    async def _attempt(self) -> None:
        self.latest += 1
        self._failure = None
        try:
            with answering(self.latest):
                token = await self._log_in()
        except LoaderError as error:
            if self.made and isinstance(error, LoginFailed):
                error.hint = f"It was accepted before: did something change? {error.hint or ''}"
            # A copy: the original's traceback holds on to all that the login had at hand.
            self._failure = copy.copy(error)
            self._failures += 1
            raise
        self.token, self.number, self._ended = token, self.latest, False
        self.made += 1


class CookieJar(aiohttp.CookieJar):
    """Keeps the cookies of the current login, not those that answers to an earlier one still bring.

    A server that no longer knows a session may start an anonymous one and set its cookie in the
    refusal. If a late one of those replaced the cookie of the new login, that login would be lost
    too: token and cookie have to belong together.
    """

    def __init__(self, login: SharedLogin) -> None:
        # unsafe: keep the cookies of servers named by an IP address too. quote_cookie: a load
        # balancer does not recognise its "!ab/cd==" when it comes back in quotes.
        super().__init__(unsafe=True, quote_cookie=False)
        self._login = login

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        """Takes the cookies of an answer, unless it is one to an earlier login."""
        if _answering.get() >= self._login.latest:
            super().update_cookies_from_headers(headers, response_url)
