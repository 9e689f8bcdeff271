"""Reads the body of a PUT, ``{"tableName", "index", "data"}``, without copying or parsing its data.

The data of one chunk may have hundreds of megabytes. Its closing quote is found by a memory search,
so the cost does not depend on what is in it; and because only the ends matter, the same reader
works on a *skeleton*, the body with the middle of its data cut out, which is all that ``--ingest
sink`` keeps.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pybase64

from loader.emulator.fields import Fields
from loader.emulator.indices import parse_index
from loader.emulator.refusals import invalid, missing

__all__ = ["Envelope", "decode_base64", "read_envelope"]

_SPACE = re.compile(rb"[ \t\r\n]*")
_SCALAR = re.compile(rb"[^,}\]\[{\"\s]+")
_PADDING = ord("=")
_SLICE = 4 << 20
"""Encoded bytes decoded at once, a multiple of 4: pybase64 holds the interpreter meanwhile."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a PUT's body says.

    Attributes:
        table: The table's name.
        index: The chunk's index, from 1.
        start: Where the base64 text starts in the body.
        end: Where it ends.
    """

    table: str
    index: int
    start: int
    end: int


def read_envelope(body: bytes | bytearray) -> Envelope:
    """Finds the members of a PUT's body.

    Source: multiple-requests document, "Add data to the upload session".

    Raises:
        Refusal: No JSON object, a member missing or of the wrong type.
    """
    members, span = _members(body)
    fields = Fields(members)
    table = fields.text("tableName")
    if not fields.has("index"):
        raise missing("index is missing.")
    index = parse_index(fields.raw("index"))
    if span is None:
        raise missing("data is missing; it must be the chunk's JSON, encoded as base64.")
    return Envelope(table, index, *span)


def decode_base64(body: bytes | bytearray, envelope: Envelope) -> bytes:
    """Decodes a chunk's base64 text: the standard alphabet, padded, nothing else in it.

    Blocks: call it in a worker thread.

    Raises:
        Refusal: The text is not base64.
    """
    with memoryview(body)[envelope.start : envelope.end] as text:
        # JSON allows a slash to be escaped; only such a text has backslashes and needs a copy.
        if body.find(b"\\", envelope.start, envelope.end) >= 0:
            return _decode(memoryview(_unescaped(bytes(text))))
        return _decode(text)


def _decode(text: memoryview) -> bytes:
    if len(text) % 4:
        raise invalid(f"data is not base64: its length {len(text)} is no multiple of 4.")
    parts = []
    for start in range(0, len(text), _SLICE):
        piece = text[start : start + _SLICE]
        last = start + _SLICE >= len(text)
        if not last and piece[-1] == _PADDING:
            raise invalid(f"data is not base64: padding before its end, at {start + len(piece)}.")
        try:
            parts.append(pybase64.b64decode(piece, validate=True))
        except ValueError:
            raise invalid(f"data is not base64: {_culprit(bytes(piece), start)}.") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _culprit(piece: bytes, start: int) -> str:
    """Names the first character that base64 does not have."""
    found = re.search(rb"[^A-Za-z0-9+/=]", piece)
    if found is None:
        return f"wrong padding between {start} and {start + len(piece)}"
    character = chr(piece[found.start()])
    return f"character {character!r} at {start + found.start()}"


def _unescaped(text: bytes) -> bytes:
    try:
        return bytes(json.loads(b'"%s"' % text), "utf-8")
    except ValueError as error:
        raise invalid(f"data is not a JSON string: {error}.") from None


def _members(body: bytes | bytearray) -> tuple[dict[str, object], tuple[int, int] | None]:
    """Reads the object's members; of ``data`` only where it starts and ends."""
    members: dict[str, object] = {}
    span: tuple[int, int] | None = None
    at = _skip(body, _expect(body, _skip(body, 0), b"{"))
    while body[at : at + 1] != b"}":
        key_end = _string_end(body, _expect(body, at, b'"'))
        key = str(_loads(body[at : key_end + 1], at))
        start = _skip(body, _expect(body, _skip(body, key_end + 1), b":"))
        at = _value_end(body, start, key)
        if key in members:
            raise invalid(f"The request body has two members {key!r}.")
        if key != "data":
            members[key] = _loads(body[start:at], start)
        elif body[start : start + 1] == b'"':
            members[key], span = None, (start + 1, at - 1)
        else:
            raise invalid("data must be a string: the chunk's JSON, encoded as base64.")
        at = _next_member(body, _skip(body, at))
    if _skip(body, at + 1) != len(body):
        raise invalid(f"The request body is not JSON: there is more after its end at byte {at}.")
    return members, span


def _value_end(body: bytes | bytearray, start: int, key: str) -> int:
    """Returns where a member's value, a string or a scalar, ends."""
    if body[start : start + 1] == b'"':
        return _string_end(body, start + 1) + 1
    scalar = _SCALAR.match(body, start)
    if scalar is None:
        raise invalid(f"The request body's member {key!r} is no string and no number.")
    return scalar.end()


def _next_member(body: bytes | bytearray, at: int) -> int:
    """Returns where the next member starts, or the object's closing brace is."""
    if body[at : at + 1] == b"}":
        return at
    at = _skip(body, _expect(body, at, b","))
    if body[at : at + 1] == b"}":
        raise invalid(f"The request body is not JSON: a member must follow at byte {at}.")
    return at


def _skip(body: bytes | bytearray, at: int) -> int:
    space = _SPACE.match(body, at)
    assert space is not None  # the pattern matches the empty string
    return space.end()


def _expect(body: bytes | bytearray, at: int, character: bytes) -> int:
    if body[at : at + 1] != character:
        found = bytes(body[at : at + 1]) or b"its end"
        raise invalid(
            f"The request body is not JSON: {character.decode()!r} must be at byte {at}, "
            f"not {found.decode('latin-1')!r}."
        )
    return at + 1


def _string_end(body: bytes | bytearray, start: int) -> int:
    """Returns where the closing quote of a string is."""
    at = start
    while (end := body.find(b'"', at)) >= 0:
        backslashes = 0
        while body[end - 1 - backslashes : end - backslashes] == b"\\":
            backslashes += 1
        if backslashes % 2 == 0:
            return end
        at = end + 1
    raise invalid(f"The request body is not JSON: the string at byte {start - 1} does not end.")


def _loads(text: bytes | bytearray, at: int) -> object:
    try:
        value: object = json.loads(text)
    except ValueError:
        shown = bytes(text[:30]).decode("latin-1")
        raise invalid(f"The request body is not JSON: {shown!r} at byte {at}.") from None
    return value
