"""Keeps the records of a sweep under way: in memory, and in a file as long as that is possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from loader.bench.recommend import recommend
from loader.bench.records import (
    Environment,
    Recommendation,
    Record,
    RecordFile,
    Records,
    Run,
    Setting,
    Skipped,
)
from loader.errors import LoaderError, UsageError

__all__ = ["Keeper"]


class Keeper:
    """Keeps records.

    Attributes:
        records: Those so far.
        unwritten: Why the file does not hold all of them; None: it does, or there is none.
    """

    def __init__(
        self, environment: Environment, file: RecordFile | None, note: Callable[[str], None]
    ) -> None:
        """Takes where they go.

        Args:
            environment: The first of them.
            file: A new file; None: they are kept in memory only.
            note: Told once where the file cannot be written any more.
        """
        self._file = file
        self._note = note
        self.unwritten: LoaderError | None = None
        self.records = Records(environment)
        self._write(environment)

    def add(self, record: Run | Skipped | Recommendation) -> None:
        """Keeps a record."""
        self._write(record)
        match record:
            case Run():
                self.records = replace(self.records, runs=(*self.records.runs, record))
            case Skipped():
                self.records = replace(self.records, skipped=(*self.records.skipped, record))
            case Recommendation():
                self.records = replace(self.records, recommendation=record)

    def recommend(
        self, settings: Sequence[Setting], command: Sequence[str], *, cut_short: bool
    ) -> bool:
        """Adds which setting to load with; returns whether any can be named.

        Args:
            settings: All that were to be tried.
            command: The command line to add the setting to, word by word.
            cut_short: Whether the sweep did not come to its end.
        """
        found = recommend(
            self.records.runs,
            settings=settings,
            limit=self.records.environment.settings.get("limit"),
            command=command,
        )
        if found is None:
            return False
        if cut_short:
            runs = len(self.records.counted)
            reason = (
                f"{found.reason} The sweep was cut short after {runs} run{'s' if runs > 1 else ''}:"
                " what it did not come to may be faster."
            )
            found = replace(found, reason=reason)
        self.add(found)
        return True

    def _write(self, record: Record) -> None:
        if self._file is None:
            return
        try:
            self._file.append(record)
        except UsageError as error:
            self._file, self.unwritten = None, error
            self._note(
                f"{error.message}; the sweep goes on and shows its result, but cannot keep it"
            )
