"""Starts the publish and waits for its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

from loader.api import Client, PublishState, PublishStatus
from loader.errors import LoaderError, OutcomeUnknown, PublishFailed, Recovery
from loader.job.outcome import may_have_happened

__all__ = ["HOW_TO_CHECK", "publish_and_wait"]

FIRST_INTERVAL = 0.1
GROWTH = 1.5
LONGEST_INTERVAL = 10.0
# Seconds: a state outside of the known ones may pass; one that stays is a failure.
UNKNOWN_LIMIT = 10.0

HOW_TO_CHECK = (
    "look at the dataset's row count and time of change in the Library before loading again"
)


def intervals() -> Iterator[float]:
    """Yields the seconds between two looks: short for small publishes, few for long ones."""
    interval = FIRST_INTERVAL
    while True:
        yield interval
        interval = min(LONGEST_INTERVAL, interval * GROWTH)


async def publish_and_wait(
    client: Client,
    dataset_id: str,
    session_id: str,
    *,
    timeout: float,  # noqa: ASYNC109 - measured by the injected clock
    on_trouble: Callable[[str | None], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> PublishStatus:
    """Publishes the uploaded data and polls until the server reports status 1.

    Args:
        client: Logged in, with a project.
        dataset_id: The dataset.
        session_id: The upload session.
        timeout: Seconds to wait for the end.
        on_trouble: Told why the server cannot be asked, and None when it can be again.
        clock: Monotonic seconds.
        sleep: Waits.

    Returns:
        The last status, which is done.

    Raises:
        PublishFailed: The server reported a failure.
        OutcomeUnknown: The publish may or may not have happened.
        ApiError: The server refused to publish; nothing was published.
    """
    deadline = clock() + timeout
    await _start(client, dataset_id, session_id)
    unknown_since: float | None = None
    trouble: LoaderError | None = None
    for interval in intervals():
        try:
            status = await client.publish_status(dataset_id, session_id)
        except LoaderError as error:
            if error.recovery is not Recovery.RETRY:
                raise _unknown(f"the publish was started, then: {error.message}") from error
            trouble = error
        else:
            trouble = None
            if status.state is PublishState.DONE:
                return status
            if status.state is not PublishState.UNKNOWN:
                unknown_since = None
            elif unknown_since is None:
                unknown_since = clock()
            lasting = unknown_since is not None and clock() - unknown_since >= UNKNOWN_LIMIT
            if status.state is PublishState.FAILED or lasting:
                raise _failed(status)
        on_trouble(trouble.message if trouble else None)
        if clock() + interval > deadline:
            raise _unknown(
                f"the publish did not end within {timeout:.0f} s"
                + (f"; the last answer: {trouble.message}" if trouble else "")
            ) from trouble
        await sleep(interval)
    raise AssertionError  # intervals() never ends


async def _start(client: Client, dataset_id: str, session_id: str) -> None:
    """Posts the publish; where the answer is lost, looks whether it was understood."""
    try:
        await client.publish(dataset_id, session_id)
    except LoaderError as error:
        if not may_have_happened(error):
            raise
        try:
            status = await client.publish_status(dataset_id, session_id)
        except LoaderError:
            raise _unknown(f"the answer to the publish was lost: {error.message}") from error
        if status.state is PublishState.FAILED:
            raise _failed(status) from error
        if status.state is PublishState.UNKNOWN:
            raise _unknown(f"the answer to the publish was lost: {error.message}") from error


def _failed(status: PublishStatus) -> PublishFailed:
    return PublishFailed(
        f"the server reports that the publish failed: status {status.code}"
        + (f", {status.message!r}" if status.message else ""),
        hint="a dataset that was there before keeps its old data; the server's logs may say more",
        publish_status=status.code,
        known=status.state is PublishState.FAILED,
    )


def _unknown(reason: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"it is not known whether the data was published: {reason}", hint=HOW_TO_CHECK
    )
