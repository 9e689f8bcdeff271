"""Reads dates and times that are written in the pattern of a column's ``dateFormat``."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["DEFAULT_FORMAT", "DateFormat"]

#: The default as the one-request document spells it ("Create a dataset", ``dateFormat``): ISO 8601.
DEFAULT_FORMAT: Final = "YYYY-MM-DD[(T)hh:mm:[ss]]"

_TOKENS = {
    "YYYY": ("year", 4),
    "yyyy": ("year", 4),
    "MM": ("month", 2),
    "DD": ("day", 2),
    "dd": ("day", 2),
    "hh": ("hour", 2),
    "HH": ("hour", 2),
    "mm": ("minute", 2),
    "ss": ("second", 2),
}
_TOKEN = re.compile("|".join(_TOKENS))
_DATE = {"year", "month", "day"}


class DateFormat:
    """One ``dateFormat``, compiled.

    The document names the option and its default, no grammar. Understood is a pattern made of
    ``YYYY MM DD hh mm ss`` (also ``yyyy``, ``dd``, ``HH``), each at most once, with separators that
    hold no letters or digits, but ``T``. ``MM`` is the month and ``mm`` the minute.

    Args:
        pattern: As in the column header.
        date: Whether the values have a date.
        time: Whether the values may have (with ``date``) or must have (without) a time of day.

    Raises:
        ValueError: The pattern is not of that kind or has the wrong parts.
    """

    def __init__(self, pattern: str, *, date: bool, time: bool) -> None:
        self.pattern = pattern
        names: list[str] = []
        expression = ""
        position = 0
        for token in _TOKEN.finditer(pattern):
            expression += self._separator(pattern[position : token.start()])
            name, width = _TOKENS[token.group()]
            if name in names:
                raise ValueError(f"dateFormat {pattern!r} names the {name} twice")
            # Between separators a digit may be missing ("5.12.2017"), in one run of digits it may
            # not.
            glued = bool(names and position == token.start()) or bool(
                _TOKEN.match(pattern, token.end())
            )
            digits = f"{{{width}}}" if glued or name == "year" else "{1,2}"
            expression += f"(?P<{name}>[0-9]{digits})"
            names.append(name)
            position = token.end()
        expression += self._separator(pattern[position:])
        self._check(set(names), date=date, time=time)
        self._expression = re.compile(expression)
        self._date = date
        self._time = "hour" in names

    def iso(self, text: str) -> str | None:
        """Returns ``text`` in ISO 8601 form, or None when it does not follow the pattern."""
        found = self._expression.fullmatch(text)
        if found is None:
            return None
        part = {name: int(digits) for name, digits in found.groupdict().items()}
        clock = (
            f"{part['hour']:02}:{part['minute']:02}:{part.get('second', 0):02}"
            if self._time
            else ""
        )
        if not self._date:
            return clock
        day = f"{part['year']:04}-{part['month']:02}-{part['day']:02}"
        return f"{day}T{clock}" if clock else day

    def _separator(self, text: str) -> str:
        if any(character.isalnum() and character != "T" for character in text):
            raise ValueError(
                f"dateFormat {self.pattern!r} is not understood: {text!r} is neither a separator"
                " nor one of YYYY, MM, DD, hh, mm, ss"
            )
        return re.escape(text)

    def _check(self, names: set[str], *, date: bool, time: bool) -> None:
        clock = names - _DATE
        if date and not names >= _DATE:
            raise ValueError(f"dateFormat {self.pattern!r} lacks YYYY, MM or DD")
        if not date and names & _DATE:
            raise ValueError(f"dateFormat {self.pattern!r} has a date in a column of times")
        if clock and not time:
            raise ValueError(f"dateFormat {self.pattern!r} has a time in a column of dates")
        if (clock or not date) and not {"hour", "minute"} <= clock:
            raise ValueError(f"dateFormat {self.pattern!r} lacks hh or mm")
