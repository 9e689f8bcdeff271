"""What the readers of the data types have in common: three steps from JSON values to Arrow.

``arrow`` turns the few thousand values of a slice into an Arrow array, ``settle`` checks and
converts some ten thousand of them with Arrow's kernels, which do not hold the interpreter lock, and
``unify`` gives the settled parts of a whole chunk one type. Values that the kernels do not know,
though the documents allow them ("2017-12-5"), go one by one through Python, which also names the
culprit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Kind", "Misfit", "all_match", "each"]

_SHOWN = 40


class Misfit(ValueError):
    """A value that its column does not take.

    Attributes:
        index: Its position among the values handed in.
        shown: The value as a message may show it: shortened, texts in quotes.
        why: The reason where the type's name does not say it all, or "".
    """

    def __init__(self, index: int, value: Any, why: str = "") -> None:
        self.index = index
        self.shown = _show(value)
        self.why = why
        super().__init__(self.shown)


def _show(value: Any) -> str:
    if isinstance(value, bytes):  # a JSON token
        text = value.decode("utf-8", "replace")
        if text.startswith('"'):
            return _show(msgspec.json.decode(value))
    elif isinstance(value, str):
        text = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
        return repr(text)
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


class Kind:
    """One column's reading of JSON values; an instance serves one chunk and may keep state.

    Attributes:
        element: The type that msgspec decodes the values to; what it refuses goes to ``other``.
        type: The Arrow type of the result, where it does not depend on the values.
    """

    element: Any
    type: Any

    def loose(self, tokens: Sequence[Any]) -> list[Any]:
        """Returns the values of JSON tokens of which not all are of ``element``.

        Raises:
            Misfit: A token stands for nothing in this column.
        """
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(self.element)
        values: list[Any] = []
        for index, token in enumerate(tokens):
            try:
                values.append(decoder.decode(token))
            except msgspec.ValidationError:
                try:
                    values.append(self.other(bytes(token)))
                except Misfit as misfit:
                    misfit.index = index
                    raise
        return values

    def other(self, token: bytes) -> Any:
        """Returns what a JSON value that is not of ``element`` stands for.

        Raises:
            Misfit: It stands for nothing in this column.
        """
        raise Misfit(0, token)

    def arrow(self, values: Sequence[Any]) -> pa.Array:
        """Returns the decoded values as an Arrow array.

        Raises:
            Misfit: A value does not fit.
        """
        return pa.array(values, self.type)

    def settle(self, array: pa.Array) -> pa.Array:
        """Returns the checked and converted array.

        Raises:
            Misfit: A value does not fit.
        """
        return array

    def unify(self, parts: list[pa.Array]) -> pa.ChunkedArray:
        """Returns all settled parts as one column."""
        return pa.chunked_array(parts, self.type)


def all_match(array: pa.Array, pattern: str) -> bool:
    """Tells whether every text that is not null matches."""
    return bool(pc.match_substring_regex(array, pattern).false_count == 0)


def each(array: pa.Array, convert: Callable[[str], str]) -> pa.Array:
    """Returns the texts converted one by one; a ``Misfit`` gets its index."""
    texts: list[str | None] = []
    for text in array.to_pylist():
        try:
            texts.append(None if text is None else convert(text))
        except Misfit as misfit:
            misfit.index = len(texts)
            raise
    return pa.array(texts, pa.string())
