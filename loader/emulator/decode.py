"""Reads the JSON of a chunk strictly and exactly: text -> Arrow table, or what is wrong with it.

Written from the API documents ("Add data to the upload session", "Create a dataset"), on purpose
not from the loader's own type table, so that a mistake there cannot hide here.
"""

from __future__ import annotations

import json
import operator
import re
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loader.emulator.definitions import Orientation
from loader.emulator.kinds import Misfit
from loader.emulator.slices import BETWEEN_RECORDS, BETWEEN_ROWS, BETWEEN_VALUES, slices
from loader.emulator.values import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loader.emulator.definitions import Column
    from loader.emulator.kinds import Kind
    from loader.emulator.slices import Slice

__all__ = ["ChunkRefused", "decode"]

# Enough values to make the fixed cost of an Arrow kernel vanish, few enough for the cache.
_SETTLE_ROWS = 1 << 16

_SPACE = re.compile(rb"[ \t\r\n]*")
_COLON = re.compile(rb"\\u003[aA]")
_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_BYTE = re.compile(r" \(byte (\d+)\)$")

_TOKENS = msgspec.json.Decoder(list[msgspec.Raw])


class ChunkRefused(ValueError):
    """The data of a chunk is not what its columns promise.

    The message says what is wrong and where, such as ``row 3, column 'Cost': 'abc' is not a
    DOUBLE``. Rows count from 1 within the chunk.
    """


def decode(raw: bytes, columns: Sequence[Column], orientation: Orientation) -> pa.Table:
    """Returns the rows of a chunk as a table with a column for each of ``columns``, in that order.

    The types: STRING string; INTEGER int32; BIGINTEGER int64; BOOL bool; DOUBLE double; BIGDECIMAL
    decimal64 or decimal128 of as many digits and decimals as needed, or string with the texts as
    they came where 38 digits do not hold every value; DATE date32; TIME time64[us], or string
    (``HH:MM:SS.fffffffff``) where a value has nanoseconds; DATETIME timestamp[us], timestamp[ns]
    where a value has nanoseconds, or string (``YYYY-MM-DD HH:MM:SS.fffffffff``) where it has those
    and a year out of their reach.

    Accepted beyond the obvious, because the documents or the vendor's client do it: white space
    anywhere; dates without leading zeros; a DATETIME without seconds or time of day, or with a
    ``Z`` (UTC, dropped); an INTEGER or BIGINTEGER written with a zero fraction (7.0); a BIGDECIMAL
    as a text; a STRING as a bare number or boolean, which becomes the text it is written with.

    A BIGDECIMAL in a column of text keeps the digits of the chunk's own type if the chunk fits one,
    so 1.5 beside 2.25 becomes ``1.50``. A DOUBLE written ``-0`` is 0.0; ``-0.0`` keeps its sign.

    Memory: besides ``raw`` about the size of the result, and texts of BIGDECIMAL columns until all
    of them are known.

    Args:
        raw: UTF-8 JSON without a byte order mark.
        columns: What the chunk's columns are; with names for RECORDS, in order for ROW and COLUMN.
        orientation: How the arrays are nested.

    Raises:
        ChunkRefused: The text is not JSON, not of that shape, or has a value that does not fit.
    """
    if not columns:
        raise ChunkRefused("the table has no columns")
    _check_utf8(raw)
    readers = [_Reader(column) for column in columns]
    if orientation is Orientation.COLUMN:
        _read_columns(raw, readers)
    elif orientation is Orientation.ROW:
        _read_rows(raw, readers)
    else:
        _read_records(raw, readers)
    return pa.table([reader.finish() for reader in readers], [column.name for column in columns])


class _Reader:
    """Collects one column's values."""

    def __init__(self, column: Column) -> None:
        self.name = column.name
        self._type = column.data_type
        try:
            self.kind: Kind = kind_of(column)
        except ValueError as error:
            raise ChunkRefused(f"column {column.name!r}: {error}") from error
        element: Any = self.kind.element
        self.decoder = msgspec.json.Decoder(list[element])
        self.rows = 0
        self._settled = 0
        self._pending: list[pa.Array] = []
        self._parts: list[pa.Array] = []

    def arrow(self, values: Sequence[Any]) -> pa.Array:
        """Returns the next values, which are of the kind's ``element``, as an array."""
        return self._guard(self.kind.arrow, values, self.rows)

    def add(self, array: pa.Array) -> None:
        """Takes an array that ``arrow`` returned."""
        self._pending.append(array)
        self.rows += len(array)
        if self.rows - self._settled >= _SETTLE_ROWS:
            self._settle()

    def tokens(self, tokens: Sequence[msgspec.Raw]) -> None:
        """Takes JSON values of any type; slow where they are not of the kind's ``element``."""
        try:
            values = self.decoder.decode(b"[" + b",".join(tokens) + b"]")
        except msgspec.ValidationError:
            values = self._guard(self.kind.loose, tokens, self.rows)
        self.add(self.arrow(values))

    def finish(self) -> pa.ChunkedArray:
        """Returns the column."""
        if self._pending or not self._parts:
            self._settle()
        return self.kind.unify(self._parts)

    def _settle(self) -> None:
        array = pa.concat_arrays(self._pending) if self._pending else self.kind.arrow([])
        self._pending = []
        self._parts.append(self._guard(self.kind.settle, array, self._settled))
        self._settled = self.rows

    def _guard(self, step: Callable[[Any], Any], values: Any, row: int) -> Any:
        try:
            return step(values)
        except Misfit as misfit:
            article = "an" if self._type.startswith("I") else "a"
            why = f" ({misfit.why})" if misfit.why else ""
            raise ChunkRefused(
                f"row {row + misfit.index + 1}, column {self.name!r}: {misfit.shown} is not"
                f" {article} {self._type}{why}"
            ) from None


def _read_columns(raw: bytes, readers: Sequence[_Reader]) -> None:
    columns = _strict(_TOKENS, raw, 0)
    if columns is None:
        raise ChunkRefused("the data is not an array of columns")
    if len(columns) != len(readers):
        raise ChunkRefused(f"there are {len(columns)} columns of data for {len(readers)} columns")
    position = 0
    for token, reader in zip(columns, readers, strict=True):
        # The tokens are views without a position: find it again behind "[" or ",".
        position = _after_space(raw, _after_space(raw, position) + 1)
        end = position + memoryview(token).nbytes
        if raw[position] != ord("["):
            raise ChunkRefused(f"column {reader.name!r} is not an array")
        for part in slices(raw, BETWEEN_VALUES, position, end):
            values = _strict(reader.decoder, part.text, part.offset)
            if values is None:
                reader.tokens(_some(_strict(_TOKENS, part.text, part.offset), part))
            elif _some(values, part):
                reader.add(reader.arrow(values))
        if reader.rows != readers[0].rows:
            raise ChunkRefused(
                f"the columns differ in length: {readers[0].name!r} has {readers[0].rows} values,"
                f" {reader.name!r} has {reader.rows}"
            )
        position = end


def _read_rows(raw: bytes, readers: Sequence[_Reader]) -> None:
    elements: Any = tuple(reader.kind.element for reader in readers)
    decoder = msgspec.json.Decoder(list[tuple[elements]])
    columns = [operator.itemgetter(number) for number in range(len(readers))]
    for part in slices(raw, BETWEEN_ROWS, 0, len(raw)):
        rows = _strict(decoder, part.text, part.offset)
        if rows is None:
            _read_odd_rows(part, readers)
        elif _some(rows, part):
            for reader, column in zip(readers, columns, strict=True):
                reader.add(reader.arrow(list(map(column, rows))))


def _read_odd_rows(part: Slice, readers: Sequence[_Reader]) -> None:
    """Takes rows with a value of an unusual JSON type, or says what is wrong."""
    tokens = _strict(_TOKENS, part.text, part.offset)
    if tokens is None:
        raise ChunkRefused("the data is not an array of rows")
    rows = []
    for number, token in enumerate(tokens, readers[0].rows + 1):
        try:
            row = _TOKENS.decode(token)
        except msgspec.ValidationError:
            raise ChunkRefused(f"row {number} is not an array") from None
        if len(row) != len(readers):
            raise ChunkRefused(f"row {number} has {len(row)} values for {len(readers)} columns")
        rows.append(row)
    for reader, column in zip(readers, zip(*_some(rows, part), strict=True), strict=False):
        reader.tokens(column)


def _read_records(raw: bytes, readers: Sequence[_Reader]) -> None:
    decoder, columns = _record_decoder(readers)
    for part in slices(raw, BETWEEN_RECORDS, 0, len(raw)):
        records = _strict(decoder, part.text, part.offset) if decoder else None
        if records is None:
            _read_odd_records(part, readers)
        elif _some(records, part):
            arrays = [
                reader.arrow(list(map(column, records)))
                for reader, column in zip(readers, columns, strict=True)
            ]
            if _repeats_keys(part.text, readers, arrays):
                _read_odd_records(part, readers)
            else:
                for reader, array in zip(readers, arrays, strict=True):
                    reader.add(array)


def _record_decoder(
    readers: Sequence[_Reader],
) -> tuple[msgspec.json.Decoder[Any] | None, list[operator.attrgetter[Any]]]:
    """Returns a decoder of records and what gets each column's value from one."""
    # Struct fields are Python names; the JSON's keys are whatever the columns are called.
    fields = [f"c{number}" for number in range(len(readers))]
    getters = [operator.attrgetter(field) for field in fields]
    if any(_ESCAPED.search(reader.name) for reader in readers):
        return None, getters  # msgspec knows no keys that JSON writes with a backslash
    record: Any = msgspec.defstruct(
        "Record",
        [(field, reader.kind.element) for field, reader in zip(fields, readers, strict=True)],
        rename={field: reader.name for field, reader in zip(fields, readers, strict=True)},
        forbid_unknown_fields=True,
        gc=False,  # holds no containers: nothing to collect
    )
    return msgspec.json.Decoder(list[record]), getters


def _repeats_keys(text: bytes, readers: Sequence[_Reader], arrays: Sequence[pa.Array]) -> bool:
    """Tells whether an object may name a key twice, of which the decoder keeps the last silently.

    Every pair has one colon. More colons than pairs, names and values account for are more pairs.
    """
    if _COLON.search(text):
        return True
    colons = len(arrays[0]) * sum(1 + reader.name.count(":") for reader in readers)
    for array in arrays:
        if pa.types.is_string(array.type):
            colons += pc.sum(pc.count_substring(array, ":")).as_py() or 0
    return text.count(b":") != colons


def _read_odd_records(part: Slice, readers: Sequence[_Reader]) -> None:
    """Takes objects with a value of an unusual JSON type, or says what is wrong."""
    tokens = _strict(_TOKENS, part.text, part.offset)
    if tokens is None:
        raise ChunkRefused("the data is not an array of objects")
    wanted = {reader.name for reader in readers}
    records: list[dict[str, msgspec.Raw]] = []
    for number, token in enumerate(tokens, readers[0].rows + 1):
        try:
            record = msgspec.json.decode(token, type=dict[str, msgspec.Raw])
        except msgspec.ValidationError:
            raise ChunkRefused(f"row {number} is not an object") from None
        _check_keys(number, bytes(token), wanted)
        records.append(record)
    _some(records, part)
    for reader in readers:
        reader.tokens([record[reader.name] for record in records])


def _check_keys(number: int, token: bytes, wanted: set[str]) -> None:
    """Refuses an object with missing, unknown or repeated keys."""
    # The hook is called for the outermost object last, and its result is the result.
    keys = json.loads(token, object_pairs_hook=lambda pairs: [key for key, _ in pairs])
    seen: set[str] = set()
    for key in keys:
        if key not in wanted:
            raise ChunkRefused(f"row {number} has the key {key!r}, which is no column")
        if key in seen:
            raise ChunkRefused(f"row {number} has the key {key!r} twice")
        seen.add(key)
    if missing := wanted - seen:
        raise ChunkRefused(f"row {number} lacks the key {min(missing)!r}")


def _strict(decoder: msgspec.json.Decoder[Any], text: bytes, offset: int) -> Any:
    """Returns the decoded text, or None when it is JSON of other types than the decoder's.

    Raises:
        ChunkRefused: It is no JSON.
    """
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        return None
    except msgspec.DecodeError as error:
        what = str(error).removeprefix("JSON is malformed: ")
        found = _BYTE.search(what)
        if found is None:  # an unpaired surrogate is reported as if the text ended there
            where = f"in the {len(text)} bytes from byte {max(offset, 0)}"
            what = "the text ends early, or half of a surrogate pair stands alone"
        else:
            where = f"at byte {offset + int(found[1])}"
            what = what[: found.start()]
        raise ChunkRefused(f"the data is not valid JSON: {what} ({where})") from None
    except RecursionError:
        raise ChunkRefused("the data is nested too deeply") from None


def _some(elements: Any, part: Slice) -> Any:
    """Returns the elements of a slice, if no comma stood alone before or after it."""
    if not elements and not part.alone:
        raise ChunkRefused(
            f"the data is not valid JSON: a comma without a value (near byte {part.offset})"
        )
    return elements


def _check_utf8(raw: bytes) -> None:
    # One value of an Arrow text array, checked without a copy and without the interpreter lock.
    offsets = pa.py_buffer(np.array([0, len(raw)], np.int64))
    try:
        pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(raw)).validate(full=True)
    except pa.ArrowInvalid:
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise ChunkRefused(
                f"the data is not UTF-8: {error.reason} at byte {error.start}"
            ) from None
        raise


def _after_space(raw: bytes, position: int) -> int:
    found = _SPACE.match(raw, position)
    assert found is not None, "the pattern matches the empty text"
    return found.end()
