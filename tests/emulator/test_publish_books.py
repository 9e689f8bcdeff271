"""What the server notes when a publish has ended, and what becomes of it when that fails."""

from __future__ import annotations

import asyncio
import threading

import pytest

from loader.emulator.uploads import State
from tests.emulator.harness import GatedArchive, until
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


async def test_a_dataset_that_is_deleted_as_its_publish_ends_stays_deleted(light):
    """What a publish still notes when its outcome is known must not bring the dataset back."""
    archive = GatedArchive()
    archive.gate.set()
    saving, go = threading.Event(), threading.Event()
    documents = {}
    archive.save = documents.__setitem__
    archive.forget = documents.pop

    def slow(key, document):
        saving.set()
        assert go.wait(10)
        documents[key] = document

    api = await light(archive=archive)
    dataset = await api.dataset()
    session = await api.session(dataset, table1())
    archive.save = slow
    await api.ok("POST", f"{session}/publish")
    await asyncio.to_thread(saving.wait, 10)
    (upload,) = api.emulator.uploads
    assert upload.state is State.PUBLISHED
    deletion = asyncio.create_task(api.ok("DELETE", f"/objects/{dataset.rsplit('/', 1)[1]}?type=3"))
    await until(lambda: not list(api.emulator.catalogue))
    go.set()
    await deletion
    assert documents == {}
