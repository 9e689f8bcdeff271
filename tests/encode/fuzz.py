"""Random tables through the compiled encoder and through Arrow's kernels, for a bounded time.

``make fuzz`` runs it under the sanitizers. Values are random bits, lengths and edges, hundreds of
rows at once: what the property tests do not have the time for. A failure prints the seed that
repeats it.
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np
import pyarrow as pa

from loader.encode import BlockEncoder, Orientation, native_missing
from loader.model import DataType
from tests.encode.reading import rows_of, table_of

ALPHABETS = ("abcdefgh ", 'a"\\\n\x01', "aéß\u20ac\U0001f600", "\x00\x7f\u2028\uffff")
PIECES = (b"a" * 15, b"\xff", b"\xc3", b"\xe2\x82\xac", b"\xed\xa0\x80", b'"', b"\\", b"\x1f", b"z")
FIXED = (
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float16(), pa.float32(), pa.float64()),
    *(pa.decimal32(9, 2), pa.decimal64(18, 3), pa.decimal128(38, 7), pa.decimal256(76, 20)),
    *(pa.decimal128(20, -5), pa.decimal128(10, 12), pa.decimal128(15, 2)),
    *(pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
    *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC")),
    *(pa.duration("ms"), pa.binary(16), pa.binary(3)),
)
# Where most values of a type are, in units of its storage; beyond them is what is refused.
USUAL = {
    "date32": (-719_162, 2_932_896),
    "time32[s]": (0, 86_399),
    "time32[ms]": (0, 86_399_999),
    "time64[us]": (0, 86_399_999_999),
    "time64[ns]": (0, 86_399_999_999_999),
    "timestamp[s": (-62_135_596_800, 253_402_300_799),
    "timestamp[ms": (-62_135_596_800_000, 253_402_300_799_999),
    "timestamp[us": (-62_135_596_800_000_000, 253_402_300_799_999_999),
}


class Tables:
    """Makes record batches from random numbers."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._numbers = np.random.default_rng(seed)

    def batch(self) -> pa.RecordBatch:
        """Returns a batch of up to four columns, as a slice."""
        offset = self._random.choice((0, 0, 1, 7, 64))
        size = self._random.choice((1, 5, 63, 64, 65, 130, 700)) + offset
        count = self._random.randint(1, 4)
        arrays = [self._column(size, 2) for _ in range(count)]
        names = ["a", 'b"', "\u00e9", "long name of a column"][:count]
        return pa.RecordBatch.from_arrays(arrays, names).slice(offset)

    def _column(self, size: int, depth: int) -> pa.Array:
        makers = [self._fixed, self._fixed, self._texts, self._texts, self._booleans]
        if depth:
            makers += [self._dictionary, self._run_ends, self._list, self._struct]
        return self._random.choice(makers)(size, depth)

    def _fixed(self, size: int, _depth: int) -> pa.Array:
        arrow = self._random.choice(FIXED)
        width = arrow.bit_width // 8
        raw = self._numbers.bytes(size * width)
        usual = next((span for name, span in USUAL.items() if str(arrow).startswith(name)), None)
        if usual is not None and self._random.random() < 0.9:
            stored = np.int32 if width == 4 else np.int64
            raw = self._numbers.integers(*usual, size, endpoint=True).astype(stored).tobytes()
        elif pa.types.is_date64(arrow):
            days = self._numbers.integers(-719_162, 2_932_897, size)
            raw = (days * 86_400_000).tobytes()
        elif self._is_short(arrow):
            raw = self._short(size, width)
        return pa.Array.from_buffers(arrow, size, [self._validity(size), pa.py_buffer(raw)])

    def _is_short(self, arrow: pa.DataType) -> bool:
        width = arrow.bit_width // 8
        if pa.types.is_decimal(arrow) and width < 16:  # Arrow casts these, and then it checks
            return True
        return width in {4, 8, 16, 32} and self._random.random() < 0.6

    def _short(self, size: int, width: int) -> bytes:
        """Numbers of every length, the negative ones as well."""
        numbers = (
            self._random.choice((1, -1)) * self._random.getrandbits(self._random.randint(1, 29))
            for _ in range(size)
        )
        return b"".join(number.to_bytes(width, "little", signed=True) for number in numbers)

    def _texts(self, size: int, _depth: int) -> pa.Array:
        longest = self._random.choice((0, 5, 13, 20, 40, 70))
        if self._random.random() < 0.8:
            alphabet = self._random.choice(ALPHABETS)
            values = [
                "".join(self._random.choices(alphabet, k=self._random.randint(0, longest))).encode()
                for _ in range(size)
            ]
        else:
            values = [b"".join(self._random.choices(PIECES, k=2)) for _ in range(size)]
        for row in self._numbers.integers(0, size, self._random.choice((0, 0, 3))):
            values[row] = None
        if self._random.random() < 0.05:
            values[0] = self._random.choice((b"x", b"\n", b"\xff")) * 9_000
        kind = self._random.choice(
            (
                *((pa.binary(), pa.string()), (pa.binary_view(), pa.string_view())),
                *((pa.large_binary(), pa.large_string()), (pa.binary(), pa.binary())),
            )
        )
        stored = pa.array(values, kind[0])
        return pa.Array.from_buffers(kind[1], size, stored.buffers())

    def _booleans(self, size: int, _depth: int) -> pa.Array:
        return pa.array(self._numbers.integers(0, 2, size).astype(bool))

    def _dictionary(self, size: int, depth: int) -> pa.Array:
        entries = self._column(self._random.choice((1, 3, 100)), depth - 1)
        indices = self._numbers.integers(0, len(entries), size)
        index = self._random.choice((pa.int8(), pa.uint16(), pa.int32(), pa.int64()))
        shown = pa.array(indices, index, mask=self._numbers.random(size) < 0.1)
        return pa.DictionaryArray.from_arrays(shown, entries)

    def _run_ends(self, size: int, depth: int) -> pa.Array:
        ends = sorted({*self._numbers.integers(1, size + 1, 5).tolist(), size})
        values = self._column(len(ends), depth - 1)
        try:
            return pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int32()), values)
        except pa.ArrowInvalid:  # it looks at texts, which are no UTF-8 sometimes
            return self._booleans(size, depth)

    def _list(self, size: int, depth: int) -> pa.Array:
        lengths = self._numbers.integers(0, 4, size)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        values = self._column(max(int(ends[-1]), 1), depth - 1)
        if self._random.random() < 0.5:
            return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)
        starts, sizes = pa.array(ends[:-1], pa.int64()), pa.array(lengths, pa.int64())
        return pa.LargeListViewArray.from_arrays(starts, sizes, values)

    def _struct(self, size: int, depth: int) -> pa.Array:
        fields = [self._column(size, depth - 1) for _ in range(2)]
        return pa.StructArray.from_arrays(fields, ['x"', "y"])

    def _validity(self, size: int) -> pa.Buffer | None:
        if self._random.random() < 0.5:
            return None
        return pa.py_buffer(self._numbers.bytes(size // 8 + 1))


def agree(seed: int) -> None:
    """Encodes one table on both paths, in every orientation."""
    batch = Tables(seed).batch()
    pick = random.Random(seed)
    as_text = {name for name in batch.schema.names if pick.random() < 0.2}
    types = {name: DataType.STRING for name in batch.schema.names if pick.random() < 0.1}
    table = table_of(batch.schema, types, as_text)
    for orientation in Orientation:
        blocks = [
            BlockEncoder(table, orientation, native=native).encode([rows_of(batch)])
            for native in (True, False)
        ]
        ours, theirs = (
            (
                [b",".join(map(bytes, lane)) for lane in block.lanes],
                block.size,
                block.non_finite,
                block.rejected,
            )
            for block in blocks
        )
        assert ours == theirs, f"seed {seed}, {orientation}: {batch.schema}"


def main() -> None:
    """Goes from seed to seed until the time is over."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, help="only this one")
    given = options.parse_args()
    assert native_missing() is None, native_missing()
    if given.seed is not None:
        agree(given.seed)
        return
    first = seed = random.randrange(2**40)
    end = time.monotonic() + given.seconds
    while time.monotonic() < end:
        try:
            agree(seed)
        except BaseException:
            print(f"seed {seed}: python -m tests.encode.fuzz --seed {seed}", flush=True)  # noqa: T201
            raise
        seed += 1
    print(f"{seed - first} tables, seeds {first} to {seed - 1}")  # noqa: T201


if __name__ == "__main__":
    main()
