"""Publishes an upload session once: asks for it, looks what became of it, waits for its end."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from loader.api import Client, PublishState, PublishStatus
from loader.errors import (
    ApiError,
    LoaderError,
    NotFound,
    OutcomeUnknown,
    ProtocolViolation,
    PublishFailed,
    Recovery,
    Refused,
    Unreachable,
)
from loader.job.outcome import may_have_happened
from loader.job.retrier import Repeat, once

__all__ = [
    "HOW_TO_CHECK",
    "Found",
    "Look",
    "SessionLost",
    "continue_publish",
    "look_at_publish",
    "publish_and_wait",
]

FIRST_INTERVAL = 0.02
GROWTH = 1.5
LONGEST_INTERVAL = 10.0

UNCLEAR_LIMIT = 10.0
"""Seconds: an answer that says neither yes nor no may pass; one that stays is taken as the last."""

PAUSES = (0.5, 1.0, 4.0)
"""Seconds before the publish is asked for the first, second and third time, when it may have been
before: a request that was lost may still be on its way, and would find the session published. There
is no fourth time."""

HOW_TO_CHECK = (
    "look at the dataset's row count and time of change in the Library before loading again"
)

_CONFLICT = 409


class SessionLost(OutcomeUnknown):
    """The upload session is gone, and with it the server's word on what became of its publish."""


class Found(enum.Enum):
    """What a look at a publish shows."""

    DONE = "done"
    RUNNING = "running"
    NOT_BEGUN = "not begun"
    """The server says that the session was not published."""
    UNCLEAR = "unclear"
    """The server answers, and does not tell."""
    GONE = "gone"
    """The server does not know the upload session."""


@dataclass(frozen=True, slots=True)
class Look:
    """A look at a publish.

    Attributes:
        found: What it shows.
        words: What the server said.
        status: The status, where it told one.
    """

    found: Found
    words: str
    status: PublishStatus | None = None


_FOUND = {
    PublishState.DONE: Found.DONE,
    PublishState.RUNNING: Found.RUNNING,
    PublishState.UNKNOWN: Found.UNCLEAR,
}


async def look_at_publish(
    client: Client, dataset_id: str, session_id: str, *, call: Repeat
) -> Look:
    """Looks what became of a publish that may have been asked for.

    That a publish has not begun is what an error of the API with HTTP 409 says: the state of the
    session does not allow the question. Any other refusal, and a status code that nobody knows,
    may mean a publish as well as none.

    Args:
        client: Logged in, with a project.
        dataset_id: The dataset.
        session_id: The upload session.
        call: Makes the call. With ``once`` a server that is being started, and finds nothing yet,
            looks like one that has lost the session.

    Raises:
        PublishFailed: It has failed.
        LoaderError: The server could not be asked.
    """
    try:
        status = await call(lambda: client.publish_status(dataset_id, session_id))
    except NotFound as error:
        return Look(Found.GONE, error.message)
    except ProtocolViolation as error:
        return Look(Found.UNCLEAR, error.message)
    except Refused as error:
        of_the_api = error.code is not None or error.iserver_code is not None
        not_begun = error.status == _CONFLICT and of_the_api
        return Look(Found.NOT_BEGUN if not_begun else Found.UNCLEAR, error.message)
    if status.state is PublishState.FAILED:
        raise _failed(status)
    return Look(_FOUND[status.state], f"status {_spoken(status)}", status)


async def publish_and_wait(
    client: Client,
    dataset_id: str,
    session_id: str,
    *,
    timeout: float,  # noqa: ASYNC109 - measured by the injected clock
    call: Repeat,
    on_note: Callable[[str], None],
    on_trouble: Callable[[str | None], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> PublishStatus:
    """Publishes the uploaded data and polls until the server reports status 1.

    Where it may have begun without an answer, the server is looked at before anything else is done.
    It is asked for again only where the server then says twice that it has not begun.

    Args:
        client: Logged in, with a project.
        dataset_id: The dataset.
        session_id: The upload session.
        timeout: Seconds to wait for the end, after each time it was asked for.
        call: Repeats what does no harm twice: looks, and asking where that surely did nothing.
        on_note: Told what the user should know: that the publish was asked for again, and why.
        on_trouble: Told why the server cannot be asked, and None when it can be again.
        clock: Monotonic seconds.
        sleep: Waits.

    Returns:
        The last status, which is done.

    Raises:
        PublishFailed: The server reported a failure.
        SessionLost: The upload session is gone, and the publish may have happened.
        OutcomeUnknown: The publish may have happened, or may still happen.
        ApiError: The server refused to publish; nothing was published. ``NotFound``: the upload
            session had gone before.
        Unreachable: The server never got to hear of it.
    """
    publish = _Publish(
        *(client, dataset_id, session_id), timeout, call, on_note, on_trouble, clock, sleep
    )
    return await publish.settle(await publish.ask())


async def continue_publish(
    client: Client,
    dataset_id: str,
    session_id: str,
    *,
    timeout: float,  # noqa: ASYNC109 - measured by the injected clock
    call: Repeat,
    on_note: Callable[[str], None],
    on_trouble: Callable[[str | None], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> PublishStatus:
    """Goes on with a publish that an earlier process has asked for, or was about to.

    As ``publish_and_wait``, but it begins with a look. What the server refuses now is no longer
    proof that nothing was published: ``OutcomeUnknown`` takes the place of ``ApiError`` and
    ``Unreachable``.
    """
    publish = _Publish(
        *(client, dataset_id, session_id), timeout, call, on_note, on_trouble, clock, sleep
    )
    publish.doubt = "an earlier process was about to publish, or did"
    return await publish.settle(await publish.look())


def intervals() -> Iterator[float]:
    """Yields the seconds between two looks: short for small publishes, few for long ones."""
    interval = FIRST_INTERVAL
    while True:
        yield interval
        interval = min(LONGEST_INTERVAL, interval * GROWTH)


# What a call that failed can say of the publish; anything else, such as being told to stop, is not
# about it.
_OF_THE_CALL = (ApiError, Unreachable, ProtocolViolation)


@dataclass(slots=True)
class _Publish:
    """One publish, from the first request to the word that it is done.

    Attributes:
        doubt: Why it may have begun; None: it surely has not.
    """

    client: Client
    dataset_id: str
    session_id: str
    timeout: float
    call: Repeat
    on_note: Callable[[str], None]
    on_trouble: Callable[[str | None], None]
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    asked: int = 0
    accepted: bool = False
    doubt: str | None = None

    async def settle(self, look: Look) -> PublishStatus:
        """Does what a look calls for, until the publish is done."""
        while True:
            match look:
                case Look(Found.DONE, status=PublishStatus() as status):
                    return status
                case Look(Found.GONE):
                    raise SessionLost(
                        f"it is not known whether the data was published: {self.doubt}, then the "
                        f"upload session was gone: {look.words}",
                        hint=HOW_TO_CHECK,
                    )
                case Look(Found.NOT_BEGUN):
                    look = await self._ask_again(look)
                case _:
                    look = await self._wait()

    async def look(self) -> Look:
        """Looks, through passing trouble.

        Raises:
            PublishFailed: It has failed.
            OutcomeUnknown: The server could not be asked.
        """
        try:
            return await self._look(self.call)
        except _OF_THE_CALL as error:
            raise self._unknown(f"the server could not be asked: {error.message}") from error

    async def _look(self, call: Repeat) -> Look:
        return await look_at_publish(self.client, self.dataset_id, self.session_id, call=call)

    async def ask(self) -> Look:
        """Asks for the publish, and where it may have begun unheard, looks.

        Raises:
            ApiError: It has surely not begun.
            Unreachable: The same.
            PublishFailed: It has failed.
            OutcomeUnknown: It may have begun.
        """
        self.asked += 1
        before = self.doubt
        try:
            lost = await self.call(self._attempt)
        except _OF_THE_CALL as error:
            refused = error.details.get("status") == _CONFLICT
            if before is None and not refused:
                raise
            # Refused by the state of the session: somebody on the way may have asked twice.
            self.doubt = before or error.message
            look = await self.look()
            if look.found is not Found.NOT_BEGUN:
                return look
            if before is None:
                raise
            raise self._unknown(error.message) from error
        if lost is not None:
            self.doubt = f"no answer came to the publish: {lost.message.removesuffix('.')}"
            return await self.look()
        self.doubt, self.accepted = "the server had taken on the publish", True
        return Look(Found.RUNNING, "accepted")

    async def _attempt(self) -> LoaderError | None:
        """Posts the publish; returns the failure after which it may have begun all the same."""
        try:
            await self.client.publish(self.dataset_id, self.session_id)
        except LoaderError as error:
            if may_have_happened(error):
                return error
            raise
        return None

    async def _ask_again(self, look: Look) -> Look:
        if self.asked == len(PAUSES):
            raise self._unknown(
                f"it was asked for {self.asked} times, and the server says that it has not begun: "
                f"{look.words}"
            )
        await self.sleep(PAUSES[self.asked])
        look = await self.look()
        if look.found is not Found.NOT_BEGUN:
            return look
        self.on_note(
            f"the publish was asked for again: {self.doubt}; the server then said that it had not "
            f"begun: {look.words}"
        )
        return await self.ask()

    async def _wait(self) -> Look:
        """Polls until the publish is not running any more."""
        deadline = self.clock() + self.timeout
        unclear_since: float | None = None
        for interval in intervals():
            look = await self._glance()
            if isinstance(look, Look):
                self.on_trouble(None)
                if look.found is Found.RUNNING:
                    unclear_since = None
                elif look.found is not Found.UNCLEAR:
                    return look
                elif unclear_since is None:
                    unclear_since = self.clock()
                elif self.clock() - unclear_since >= UNCLEAR_LIMIT:
                    raise self._never_clear(look)
            else:
                self.on_trouble(look.message)
            if self.clock() + interval > deadline:
                last = look.words if isinstance(look, Look) else look.message
                raise self._unknown(
                    f"it did not end within {self.timeout:.0f} s, and may still be running; the "
                    f"last answer: {last}"
                )
            await self.sleep(interval)
        raise AssertionError  # intervals() never ends

    async def _glance(self) -> Look | LoaderError:
        """Looks once; returns the trouble where the server cannot be asked now."""
        try:
            look = await self._look(once)
            if look.found is Found.GONE:
                # A server that is being started finds nothing either, for a while.
                look = await self._look(self.call)
        except _OF_THE_CALL as error:
            if error.recovery is Recovery.RETRY:
                return error
            raise self._unknown(f"the server could not be asked: {error.message}") from error
        return look

    def _never_clear(self, look: Look) -> LoaderError:
        if self.accepted and look.status is not None:
            return _failed(look.status)
        return self._unknown(f"the server does not tell: {look.words}")

    def _unknown(self, reason: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"it is not known whether the data was published: {self.doubt}; {reason}",
            hint=HOW_TO_CHECK,
        )


def _failed(status: PublishStatus) -> PublishFailed:
    return PublishFailed(
        f"the server reports that the publish failed: status {_spoken(status)}",
        hint="a dataset that was there before keeps its old data; the server's logs may say more",
        publish_status=status.code,
        known=status.state is PublishState.FAILED,
    )


def _spoken(status: PublishStatus) -> str:
    return f"{status.code}, {status.message!r}" if status.message else f"{status.code}"
