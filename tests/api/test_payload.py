"""Bodies: cut where the data belongs, written in slices, never longer or shorter than promised."""

from __future__ import annotations

import asyncio
import base64

import orjson
import pytest

from loader.api.payload import SLICE_BYTES, SlicedPayload, _CallerFailed, body_parts


class Data:
    """Slices as given, with a length that may lie."""

    def __init__(self, *slices, length=None):
        self.slices = slices
        self.length = sum(map(len, slices)) if length is None else length

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter(self.slices)


class Writer:
    """Keeps what is written."""

    def __init__(self):
        self.chunks = []

    async def write(self, chunk):
        self.chunks.append(chunk)


def test_data_is_cut_out_of_the_json_where_it_belongs():
    first, second = Data(b"QUJD"), Data(b"REVG")
    parts = body_parts({"a": [{"data": first}], "é": '"\\', "data": second, "end": 1})
    assert parts == [
        b'{"a":[{"data":"',
        first,
        b'"}],"\xc3\xa9":"\\"\\\\","data":"',
        second,
        b'","end":1}',
    ]
    assert orjson.loads(SlicedPayload(parts).decode())["data"] == "REVG"


def test_body_without_data_is_plain_json():
    assert body_parts({"data": "QUJD"}) == [b'{"data":"QUJD"}']


def test_bytes_are_refused_instead_of_being_sent_as_numbers():
    with pytest.raises(TypeError):
        body_parts({"data": b"QUJD"})


def test_payload_knows_its_length_and_says_it_is_json():
    payload = SlicedPayload(body_parts({"data": Data(b"QUJD", b"RA==")}))
    assert payload.size == payload.length == len(b'{"data":"QUJDRA=="}')
    assert payload.content_type == "application/json"
    assert payload.consumed  # aiohttp is not to send it again by itself
    assert payload.autoclose


async def test_envelope_comes_first_then_each_slice_then_the_end():
    payload = SlicedPayload(body_parts({"tableName": "t", "index": 1, "data": Data(b"AA", b"BB")}))
    writer = Writer()
    await payload.write(writer)
    assert writer.chunks == [b'{"tableName":"t","index":1,"data":"', b"AA", b"BB", b'"}']
    assert payload.complete
    assert payload.sent == payload.length


async def test_large_json_is_written_in_slices_too():
    text = "x" * (3 * SLICE_BYTES)
    payload = SlicedPayload(body_parts({"text": text}))
    writer = Writer()
    await payload.write(writer)
    assert max(map(len, writer.chunks)) == SLICE_BYTES
    assert orjson.loads(b"".join(writer.chunks)) == {"text": text}


async def test_every_slice_is_counted():
    counts = []

    async def on_slice(count):
        counts.append(count)

    encoded = base64.b64encode(bytes(range(256)) * 40)
    data = Data(*(encoded[at : at + 4096] for at in range(0, len(encoded), 4096)))
    payload = SlicedPayload(body_parts({"data": data}), on_slice=on_slice)
    writer = Writer()
    await payload.write(writer)
    assert b"".join(writer.chunks) == b'{"data":"%b"}' % encoded
    assert counts == [len(piece) for piece in data.slices]


async def test_slices_are_counted_before_the_body_is_complete():
    """Otherwise the answer could end the request while the last call is still waiting."""
    seen = []

    async def on_slice(count):
        seen.append(payload.complete)

    payload = SlicedPayload(body_parts({"data": Data(b"AA", b"BB")}), on_slice=on_slice)
    await payload.write(Writer())
    assert seen == [False, False]


@pytest.mark.parametrize(
    "data",
    [
        Data(b"AAAA", length=3),
        Data(b"AAAA", length=5),
        Data(length=1),
        Data(b"AA", b"BB", length=2),
    ],
)
async def test_wrong_length_fails_before_too_much_is_written(data):
    payload = SlicedPayload(body_parts({"data": data}))
    writer = Writer()
    with pytest.raises(_CallerFailed):
        await payload.write(writer)
    assert isinstance(payload.failure, ValueError)
    assert not payload.complete
    assert sum(map(len, writer.chunks)) <= payload.length - len(b'"}')


async def test_data_that_fails_is_remembered_as_the_failure():
    class Broken(Data):
        def __iter__(self):
            yield b"AA"
            raise OSError(5, "no such segment")

    payload = SlicedPayload(body_parts({"data": Broken(length=4)}))
    # Not an OSError: that would look like a failure of the connection.
    with pytest.raises(_CallerFailed):
        await payload.write(Writer())
    assert str(payload.failure) == "[Errno 5] no such segment"


async def test_transport_that_takes_nothing_times_out():
    class Stuck(Writer):
        async def write(self, chunk):
            await asyncio.Event().wait()

    payload = SlicedPayload(body_parts({"data": Data(b"AA")}), stall_timeout=0.001)
    with pytest.raises(TimeoutError):
        await payload.write(Stuck())
    assert payload.failure is None
    assert payload.sent == 0
