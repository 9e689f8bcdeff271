"""What the runs of a sweep come to, setting by setting: medians, ranges, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from loader.bench.records import Records, Run, Setting

__all__ = ["Measured", "Summary", "summarise"]


@dataclass(frozen=True, slots=True)
class Measured:
    """All that a sweep knows of one setting.

    Attributes:
        setting: The setting.
        runs: Its runs that count, in the order of running.
        failures: Why others failed.
        skipped: Why others were not run.
    """

    setting: Setting
    runs: tuple[Run, ...]
    failures: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def median(self, figure: Callable[[Run], float]) -> float:
        """Returns the median of a figure over the runs; 0 of none."""
        return median(map(figure, self.runs)) if self.runs else 0.0

    @property
    def json_rate(self) -> float:
        """Median of the bytes of JSON accepted a second, comparable within an orientation only."""
        return self.median(lambda run: run.json_rate)

    @property
    def rows_per_second(self) -> float:
        """Median of the rows accepted a second: the same rows are more JSON in row orientation."""
        return self.median(lambda run: run.rows_per_second)

    @property
    def typical(self) -> Run:
        """The run in the middle by throughput: medians of parts would not add up to a whole."""
        ordered = sorted(self.runs, key=lambda run: run.rows_per_second)
        return ordered[(len(ordered) - 1) // 2]


@dataclass(frozen=True, slots=True)
class Summary:
    """A sweep, setting by setting.

    Attributes:
        measured: Every setting that was run or was to be run, in the order of settings.
    """

    measured: tuple[Measured, ...]

    @property
    def orientations(self) -> list[str]:
        """The orientations."""
        return sorted({one.setting.orientation for one in self.measured})

    @property
    def chunk_sizes(self) -> list[int]:
        """The sizes of chunks, ascending."""
        return sorted({one.setting.chunk_size for one in self.measured})

    @property
    def concurrencies(self) -> list[int]:
        """The numbers of PUTs at once, ascending."""
        return sorted({one.setting.concurrency for one in self.measured})

    @property
    def ranked(self) -> list[Measured]:
        """The settings with runs, the fastest first."""
        ran = (one for one in self.measured if one.runs)
        return sorted(ran, key=lambda one: -one.rows_per_second)

    @property
    def repeated(self) -> bool:
        """Whether any setting has several runs, so that there are medians and ranges."""
        return any(len(one.runs) > 1 for one in self.measured)

    def of(self, setting: Setting) -> Measured:
        """Returns what is known of a setting; nothing of one that was not part of the sweep."""
        return next((one for one in self.measured if one.setting == setting), Measured(setting, ()))


def summarise(records: Records) -> Summary:
    """Returns what the records of a sweep come to; warm-up runs do not count."""
    runs: Sequence[Run] = [run for run in records.runs if not run.warm_up]
    tried = {run.setting for run in runs}
    settings = sorted(tried | {one.setting for one in records.skipped})
    return Summary(
        tuple(
            Measured(
                setting,
                tuple(run for run in runs if run.setting == setting and run.error is None),
                tuple(run.error.message for run in runs if run.setting == setting and run.error),
                tuple(one.reason for one in records.skipped if one.setting == setting),
            )
            for setting in settings
        )
    )
