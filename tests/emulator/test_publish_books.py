"""What the server notes when a publish has ended, and what becomes of it when that fails."""

from __future__ import annotations

import asyncio

import pytest

from tests.emulator.harness import GatedArchive
from tests.emulator.test_uploads import ROW, table1


@pytest.mark.parametrize("call", ["save", "discard", "forget"])
@pytest.mark.parametrize("fails", [False, True], ids=["success", "failure"])
async def test_bookkeeping_that_fails_changes_no_outcome(light, caplog, call, fails):
    archive = GatedArchive()
    archive.gate.set()
    if fails:
        archive.fail = ValueError("no key")
    api = await light(archive=archive)
    session = await api.session(await api.dataset(), table1())
    await api.put(session, [ROW])

    publish = archive.publish

    def broken(*_):
        raise OSError("No space left on device")

    def publish_and_break(*arguments):
        try:
            return publish(*arguments)
        finally:
            setattr(archive, call, broken)

    archive.publish = publish_and_break
    outcome = await api.publish(session)
    assert (outcome["status"], outcome["message"]) == (
        (3, "no key") if fails else (1, "result ready")
    )
    await api.ok("DELETE", session)
    assert (fails and call == "save") or "No space left on device" in caplog.text


async def test_deleting_a_session_waits_for_what_its_publish_still_notes(light):
    """Who closes the storage cancels every session first: nothing may come after that."""
    archive = GatedArchive()
    archive.gate.set()
    go = asyncio.Event()
    api = await light(archive=archive)
    session = await api.session(await api.dataset(), table1())
    api.emulator._save = lambda _: go.wait()
    assert (await api.publish(session))["status"] == 1
    (upload,) = api.emulator.uploads
    cancelled = asyncio.create_task(api.emulator.cancel(upload))
    for _ in range(5):  # more often than a cancel asks the storage
        await api.emulator.store(lambda: None)
    assert not cancelled.done()
    go.set()
    await cancelled
    assert upload.publishing.done()
