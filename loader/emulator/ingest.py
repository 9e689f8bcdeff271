"""From the body of a call to a checked chunk: PUTs of an upload session, one-request calls."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from loader.emulator.bodies import END, read_body, skim_body
from loader.emulator.call import Call
from loader.emulator.definitions import Column, Orientation, Table
from loader.emulator.envelope import Envelope, decode_base64, read_envelope
from loader.emulator.indices import Admission
from loader.emulator.options import Ingest
from loader.emulator.refusals import invalid, unsupported

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from loader.emulator.core import Emulator
    from loader.emulator.uploads import UploadSession, UploadTable

__all__ = ["decode_records", "put_chunk"]

_QUANTUM = 4
"""Characters of base64 that make three bytes."""

_WINDOW = 16
"""How far an index may run ahead with ``--order window``, unless ``--window`` says."""


async def put_chunk(call: Call) -> None:
    """Takes one chunk in (multiple-requests document, "Add data to the upload session").

    Returns when the chunk is kept, after the time that the model of a slow server asks for.

    Raises:
        Refusal: Any rule that the chunk breaks, or the model's limits.
    """
    emulator, session = call.emulator, call.session()
    call.require_json()
    session.require_open("data")
    if session.puts and not emulator.options.parallel:
        raise unsupported(
            f"Another PUT of upload session {session.id} is under way: send one at a time "
            "(--no-parallel)."
        )
    take = _sink if emulator.options.ingest is Ingest.SINK else _take
    received = asyncio.Event()
    session.puts += 1
    try:
        await emulator.answer_limit.within(take(call, session, received), received)
    finally:
        session.puts -= 1


async def _take(call: Call, session: UploadSession, received: asyncio.Event) -> None:
    emulator = call.emulator
    # Until there is room the body stays unread: the connection fills up, the client waits.
    async with emulator.room.hold(call.request.content_length or 0):
        body = await read_body(call.request, emulator)
        received.set()
        envelope = read_envelope(body)
        upload = _admit(emulator, session, envelope)
        async with _at_work(emulator):
            raw = await emulator.decode(decode_base64, body, envelope)
            del body  # the request's largest buffer: let go before the next one is made
            size = len(raw)
            chunk = await emulator.decode(_decode_chunk, raw, upload)
            del raw
            await _keep(call, session, envelope, chunk, size)


async def _sink(call: Call, session: UploadSession, received: asyncio.Event) -> None:
    envelope, size = await _skim(call)
    received.set()
    _admit(call.emulator, session, envelope)
    async with _at_work(call.emulator):
        await _keep(call, session, envelope, None, size)


@asynccontextmanager
async def _at_work(emulator: Emulator) -> AsyncIterator[None]:
    """Holds one of the server's connections; what each PUT costs at least is over on entering."""
    async with emulator.pool.place():
        await emulator.clock.sleep(emulator.options.latency)
        yield


async def decode_records(emulator: Emulator, text: str, table: Table, where: str) -> Any:
    """Decodes the data of a one-request call: records, in base64 (one-request document).

    Args:
        emulator: The server.
        text: The base64 text.
        table: What the records must be, its columns in the order of the call's headers.
        where: The field's path, for messages.

    Returns:
        The rows in the dataset's own column order; None where nothing is decoded (``--ingest
        sink``).

    Raises:
        Refusal: Not base64, not JSON, or not rows of this table.
    """
    encoded = text.encode("utf-8")
    envelope = Envelope(table.name, 1, 0, len(encoded))
    raw = await emulator.decode(decode_base64, encoded, envelope)
    if emulator.options.ingest is Ingest.SINK:
        return None
    return await emulator.decode(_decode, raw, table.columns, Orientation.RECORDS, where)


def _admit(emulator: Emulator, session: UploadSession, envelope: Envelope) -> UploadTable:
    """Finds the table of a chunk and checks its index before anything is decoded."""
    upload = session.table(envelope.table)
    _admission(emulator, upload, envelope.index)
    return upload


def _admission(emulator: Emulator, upload: UploadTable, index: int) -> Admission:
    options = emulator.options
    window = options.window or _WINDOW
    return upload.indices.admit(index, options.order, window, options.repeat_index)


async def _keep(
    call: Call, session: UploadSession, envelope: Envelope, chunk: Any, size: int
) -> None:
    """Stages a chunk at the ingest rate, if what happened meanwhile still allows it."""
    emulator = call.emulator
    await emulator.intake.passage(size)
    async with session.lock:
        session.require_open("data")
        upload = session.table(envelope.table)
        admission = _admission(emulator, upload, envelope.index)
        if admission is not Admission.SKIP:
            if call.faults is not None:
                call.faults.before_store()
            await emulator.store(
                emulator.archive.stage,
                session.id,
                upload.table,
                envelope.index,
                chunk,
                append=admission is Admission.APPEND,
            )
            upload.accept(envelope.index, size, append=admission is Admission.APPEND)
        upload.json_bytes += size


async def _skim(call: Call) -> tuple[Envelope, int]:
    """Checks a PUT's envelope and length, not its data; returns the JSON's size too."""
    skeleton = await skim_body(call.request, call.emulator)
    envelope = read_envelope(skeleton.body)
    if skeleton.cut and not envelope.start <= END <= envelope.end:
        raise invalid("data must be the one large member of the request body (--ingest sink).")
    length = envelope.end - envelope.start + skeleton.cut
    if length % _QUANTUM:
        raise invalid(f"data is not base64: its length {length} is no multiple of {_QUANTUM}.")
    padding = skeleton.body[max(envelope.start, envelope.end - 2) : envelope.end].count(b"=")
    return envelope, length // _QUANTUM * 3 - padding


def _decode_chunk(raw: bytes, upload: UploadTable) -> Any:
    chunk = _decode(raw, upload.columns, upload.orientation, f"data of table {upload.table.name!r}")
    # The storage keeps the dataset's own order; selecting columns copies nothing.
    return chunk.select([column.name for column in upload.table.columns])


def _decode(raw: bytes, columns: Sequence[Column], orientation: Orientation, where: str) -> Any:
    # Here and not above: a sink needs no decoder.
    from loader.emulator.decode import ChunkRefused, decode  # noqa: PLC0415

    try:
        return decode(raw, columns, orientation)
    except ChunkRefused as error:
        raise invalid(f"{where}: {error}") from error
