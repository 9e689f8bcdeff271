"""Reads the values of DATE, TIME and DATETIME columns: ISO 8601, or the column's own format."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.emulator.dateformats import DEFAULT_FORMAT, DateFormat
from loader.emulator.kinds import Kind, Misfit, all_match, each

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Date", "DateTime", "Time"]

_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_FRACTION = r"(?:\.[0-9]{1,9})?"
_NANOSECONDS = r"\.[0-9]{7,9}$"
_LOOSE_DATE = r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
_FIRST_DAY = (dt.date(1, 1, 1) - dt.date(1970, 1, 1)).days
_DAY_MICROSECONDS = 86_400_000_000
# Whole microseconds that 64 bits of nanoseconds can count. Casts are not left to find out: some
# versions of Arrow overflow silently.
_NS_REACH = 2**63 // 1000


class _Temporal(Kind):
    """What dates, times and both have in common: texts in ISO 8601 or in the column's format."""

    element = str | None

    def __init__(self, name: str | None, *, date: bool, time: bool) -> None:
        self._format = (
            None
            if name is None or name == DEFAULT_FORMAT
            else DateFormat(name, date=date, time=time)
        )

    def arrow(self, values: Sequence[Any]) -> pa.Array:
        return pa.array(values, pa.string())

    def settle(self, array: pa.Array) -> pa.Array:
        if self._format is None:
            fast = self._fast(array)
            if fast is not None:
                return fast
        fast = self._fast(each(array, self._normal_in_format))
        assert fast is not None, "a normal text is one that the kernels know"
        return fast

    def _normal_in_format(self, text: str) -> str:
        if self._format is None:
            return self._normal(text)
        iso = self._format.iso(text)
        if iso is None:
            raise Misfit(0, text, f"its dateFormat is {self._format.pattern}")
        try:
            return self._normal(iso)
        except Misfit as misfit:
            raise Misfit(0, text, misfit.why) from None

    def _fast(self, array: pa.Array) -> pa.Array | None:
        """Returns the converted array, or None when some value needs ``_normal``."""
        raise NotImplementedError

    def _normal(self, text: str) -> str:
        """Returns the form of ``text`` that ``_fast`` takes, or raises ``Misfit``."""
        raise NotImplementedError


class Date(_Temporal):
    """``date32``."""

    type = pa.date32()

    def __init__(self, name: str | None) -> None:
        super().__init__(name, date=True, time=False)

    def _fast(self, array: pa.Array) -> pa.Array | None:
        try:
            dates = pc.cast(array, self.type)
        except pa.ArrowInvalid:
            return None
        first = pc.min(dates.view(pa.int32())).as_py()
        return None if first is not None and first < _FIRST_DAY else dates

    def _normal(self, text: str) -> str:
        found = re.fullmatch(_LOOSE_DATE, text)
        if found is None:
            raise Misfit(0, text, "written YYYY-MM-DD")
        return _day(text, found)


class Time(_Temporal):
    """``time64[us]``, or ``string`` where a value has nanoseconds, which no SQL TIME holds."""

    _known = rf"^{_CLOCK}:[0-5][0-9]{_FRACTION}$"

    def __init__(self, name: str | None) -> None:
        super().__init__(name, date=False, time=True)

    def _fast(self, array: pa.Array) -> pa.Array | None:
        if not all_match(array, self._known):
            return None
        array, nanoseconds = _trimmed(array)
        if nanoseconds:
            return array
        # Arrow reads no times of day, but date and time: borrow a date.
        moments = pc.cast(pc.binary_join_element_wise("1970-01-01", array, "T"), pa.timestamp("us"))
        return pc.cast(moments, pa.time64("us"))

    def _normal(self, text: str) -> str:
        if re.fullmatch(self._known, text) is None:
            raise Misfit(0, text, "written HH:MM:SS[.fraction]")
        return text

    def unify(self, parts: list[pa.Array]) -> pa.ChunkedArray:
        """Returns text if any part has become text, for its nanoseconds."""
        if all(part.type == pa.time64("us") for part in parts):
            return pa.chunked_array(parts, pa.time64("us"))
        return pa.chunked_array([_text(part) for part in parts], pa.string())


class DateTime(_Temporal):
    """``timestamp[us]``; with nanoseconds ``timestamp[ns]``, or ``string`` beyond its years."""

    _known = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[T ]{_CLOCK}(?::[0-5][0-9]{_FRACTION})?Z?)?$"
    _loose = re.compile(
        rf"(?P<date>[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}})"
        rf"(?P<rest>[T ]{_CLOCK}(?::[0-5][0-9]{_FRACTION})?Z?)?"
    )

    def __init__(self, name: str | None) -> None:
        super().__init__(name, date=True, time=True)
        self._far = False

    def _fast(self, array: pa.Array) -> pa.Array | None:
        if not all_match(array, self._known):
            return None
        if pc.any(pc.ends_with(array, "Z")).as_py():
            array = pc.utf8_rtrim(array, "Z")
        array, nanoseconds = _trimmed(array)
        # Microseconds first in any case: the years that nanoseconds reach are far fewer.
        micro = pc.replace_substring_regex(array, r"(\.[0-9]{6})[0-9]+$", r"\1")
        try:
            moments = pc.cast(micro if nanoseconds else array, pa.timestamp("us"))
        except pa.ArrowInvalid:
            return None
        ends = pc.min_max(moments.view(pa.int64())).as_py()
        if ends["min"] is not None:
            if ends["min"] < _FIRST_DAY * _DAY_MICROSECONDS:
                return None
            self._far |= not -_NS_REACH <= ends["min"] <= ends["max"] < _NS_REACH
        return _sql_text(array) if nanoseconds else moments

    def _normal(self, text: str) -> str:
        found = self._loose.fullmatch(text)
        if found is None:
            raise Misfit(0, text, "written YYYY-MM-DD[THH:MM[:SS[.fraction]]]")
        date = re.fullmatch(_LOOSE_DATE, found["date"])
        assert date is not None, "both patterns read dates alike"
        return _day(text, date) + (found["rest"] or "")

    def unify(self, parts: list[pa.Array]) -> pa.ChunkedArray:
        """Returns nanoseconds if any part has become text for them, if they reach every year."""
        if all(part.type == pa.timestamp("us") for part in parts):
            return pa.chunked_array(parts, pa.timestamp("us"))
        if self._far:
            return pa.chunked_array([_text(part) for part in parts], pa.string())
        return pa.chunked_array([pc.cast(part, pa.timestamp("ns")) for part in parts])


def _trimmed(array: pa.Array) -> tuple[pa.Array, bool]:
    """Returns the texts without zeros behind the microseconds, and whether nanoseconds remain."""
    if not pc.match_substring_regex(array, _NANOSECONDS).true_count:
        return array, False
    array = _without_zeros(array)
    return array, bool(pc.match_substring_regex(array, _NANOSECONDS).true_count)


def _without_zeros(array: pa.Array) -> pa.Array:
    """Returns times and moments without zeros at the end of their fractions."""
    array = pc.replace_substring_regex(array, r"(\.[0-9]*[1-9])0+$", r"\1")
    return pc.replace_substring_regex(array, r"\.0+$", "")


def _sql_text(array: pa.Array) -> pa.Array:
    """Returns ISO 8601 moments as SQL writes them: ``2017-12-05 11:00:00.5``."""
    array = pc.replace_substring(array, "T", " ")
    array = pc.replace_substring_regex(array, r"^(.{10})$", r"\1 00:00:00")
    return pc.replace_substring_regex(array, r"^(.{16})$", r"\1:00")


def _text(part: pa.Array) -> pa.Array:
    """Returns times or moments as text, as SQL writes them: no zeros at the end of a fraction."""
    if pa.types.is_string(part.type):
        return part
    return _without_zeros(pc.cast(part, pa.string()))


def _day(text: str, found: re.Match[str]) -> str:
    """Returns the padded date of a match of ``_LOOSE_DATE``."""
    year, month, day = (int(number) for number in found.groups())
    try:
        return dt.date(year, month, day).isoformat()
    except ValueError as error:
        raise Misfit(0, text, f"there is no such day: {error}") from None
