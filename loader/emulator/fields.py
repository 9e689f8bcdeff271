"""Reads JSON strictly: every refusal names the field by its path, such as ``tables[0].name``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from loader.emulator.refusals import invalid, missing

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Fields", "parse_json"]


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def parse_json(body: bytes | bytearray, what: str = "The request body") -> Any:
    """Parses JSON as RFC 8259 defines it: UTF-8, no NaN, no infinities, nothing after the value.

    Raises:
        Refusal: The text is no JSON; the message says where.
    """
    if not body:
        raise missing(f"{what} is empty; it must be JSON.")
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise invalid(f"{what} is not UTF-8: {error.reason} at byte {error.start}.") from None
    except (ValueError, RecursionError) as error:
        raise invalid(f"{what} is not JSON: {error}.") from None


class Fields:
    """A JSON object whose fields are read by name and type.

    Args:
        value: The parsed JSON that must be an object.
        where: Its path within the body; empty for the body itself.
    """

    def __init__(self, value: Any, where: str = "") -> None:
        if not isinstance(value, dict):
            raise invalid(f"{where or 'The request body'} must be a JSON object.")
        self._value: dict[str, Any] = value
        self.where = where

    def path(self, key: str) -> str:
        """Returns the path of a field, for messages."""
        return f"{self.where}.{key}" if self.where else key

    def has(self, key: str) -> bool:
        """Whether the field is there and not null."""
        return self._value.get(key) is not None

    def text(self, key: str) -> str:
        """Returns a field that must be a string."""
        if not self.has(key):
            raise missing(f"{self.path(key)} is missing.")
        value = self._value[key]
        if not isinstance(value, str):
            raise invalid(f"{self.path(key)} must be a string, not {_kind(value)}.")
        return value

    def text_or(self, key: str, default: str) -> str:
        """Returns a string field, or the default where it is absent or null."""
        return self.text(key) if self.has(key) else default

    def array(self, key: str, *, required: bool = True) -> list[Any]:
        """Returns a field that must be an array, and not an empty one where it is required."""
        if not self.has(key):
            if required:
                raise missing(f"{self.path(key)} is missing.")
            return []
        value = self._value[key]
        if not isinstance(value, list):
            raise invalid(f"{self.path(key)} must be an array, not {_kind(value)}.")
        if required and not value:
            raise invalid(f"{self.path(key)} is empty; it must have at least one element.")
        return value

    def objects(self, key: str, *, required: bool = True) -> Iterator[Fields]:
        """Yields the elements of an array, each of which must be an object."""
        for position, value in enumerate(self.array(key, required=required)):
            yield Fields(value, f"{self.path(key)}[{position}]")

    def texts(self, key: str) -> list[str]:
        """Returns a required array of strings."""
        values = self.array(key)
        for position, value in enumerate(values):
            if not isinstance(value, str):
                raise invalid(f"{self.path(key)}[{position}] must be a string, not {_kind(value)}.")
        return values

    def raw(self, key: str) -> Any:
        """Returns a field as it is, None where it is absent."""
        return self._value.get(key)

    def without(self, *keys: str) -> dict[str, Any]:
        """Returns the object without some fields."""
        return {key: value for key, value in self._value.items() if key not in keys}


def _kind(value: Any) -> str:
    """Names the JSON type of a parsed value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, list):
        return "an array"
    return "an object" if isinstance(value, dict) else "a number"
