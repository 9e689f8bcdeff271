"""Compares two sweeps: is B faster than A, in which settings, and may one say so?"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loader.bench.intervals import Ratio
from loader.bench.records import SIZES, Environment, Records, Setting
from loader.bench.repetitions import ratios_of
from loader.errors import LoaderError, UsageError
from loader.units import exact_size, size

__all__ = ["Compared", "Comparison", "Difference", "compare", "failed_comparison", "rates_of"]

_SAME_FACTOR: Final = 1.5
_SAME_SECONDS: Final = 0.001
"""Round trips that differ by no more than one of these are called the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something besides the loads themselves in which two sweeps differ.

    Attributes:
        what: What differs, in words.
        a: What it was in the first sweep.
        b: What it was in the second one.
    """

    what: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Compared:
    """One setting in both sweeps.

    Attributes:
        setting: The setting.
        a: Rows a second of each run of the first sweep.
        b: Rows a second of each run of the second one.
        ratio: How much faster the second one is; its interval is one of all settings together.
    """

    setting: Setting
    a: tuple[float, ...]
    b: tuple[float, ...]
    ratio: Ratio


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing two sweeps.

    Attributes:
        differences: What else differs; the ratios may come of that.
        settings: The settings that both have run.
        only_a: Settings that only the first one has run.
        only_b: Settings that only the second one has run.
        overall: The geometric mean of all ratios, with an interval if there are several.
        same_sweep: Whether both are one sweep, which says nothing about any difference.
    """

    differences: tuple[Difference, ...]
    settings: tuple[Compared, ...]
    only_a: tuple[Setting, ...]
    only_b: tuple[Setting, ...]
    overall: Ratio
    same_sweep: bool

    def as_dict(self) -> dict[str, Any]:
        """Returns the object that ``bench compare --json`` prints."""
        return {
            "same_sweep": self.same_sweep,
            "differences": [{"what": one.what, "a": one.a, "b": one.b} for one in self.differences],
            "overall": self.overall.as_dict(),
            "settings": [
                {
                    **_setting(one.setting),
                    "a": statistics.median(one.a),
                    "b": statistics.median(one.b),
                    "runs_a": len(one.a),
                    "runs_b": len(one.b),
                    **one.ratio.as_dict(),
                }
                for one in self.settings
            ],
            "only_a": [_setting(setting) for setting in self.only_a],
            "only_b": [_setting(setting) for setting in self.only_b],
            "error": None,
        }


def failed_comparison(error: LoaderError) -> dict[str, Any]:
    """Returns the object that ``bench compare --json`` prints where there is none."""
    return {
        "same_sweep": None,
        "differences": [],
        "overall": None,
        "settings": [],
        "only_a": [],
        "only_b": [],
        "error": error.as_dict(),
    }


def _setting(setting: Setting) -> dict[str, Any]:
    return {
        "orientation": setting.orientation,
        "chunk_size": setting.chunk_size,
        "concurrency": setting.concurrency,
    }


def rates_of(records: Records) -> dict[Setting, dict[int, float]]:
    """Returns the rows a second of all runs that count, by their settings and repetitions."""
    rates: dict[Setting, dict[int, float]] = {}
    for run in records.counted:
        if run.rows_per_second > 0:
            rates.setdefault(run.setting, {})[run.repeat] = run.rows_per_second
    return rates


def compare(a: Records, b: Records, *, seed: int = 0) -> Comparison:
    """Compares two sweeps by the rows a second of their uploads.

    The intervals are of the noise of the runs: in 95 of 100 pairs of sweeps of one unchanged
    server, on one unchanged network, no setting seems to differ. What changed between the two
    sweeps is in none of their runs, so no interval can hold it; only more sweeps, in turns, tell.

    Args:
        a: What is compared with.
        b: What is compared.
        seed: Of the bootstrap: the same records always compare the same.

    Raises:
        UsageError: They have no setting in common, or one of them has measured nothing.
    """
    rates_a, rates_b = rates_of(a), rates_of(b)
    for name, rates in (("A", rates_a), ("B", rates_b)):
        if not rates:
            raise UsageError(
                f"{name} has no run that counts: it ended before the first one did, or all failed",
                hint="name the records of a sweep that has measured something",
            )
    common = sorted(rates_a.keys() & rates_b.keys())
    if not common:
        raise UsageError(
            "the two sweeps have no setting in common that both have run",
            hint="run bench with the same --orientation, --chunk-size and --concurrency",
        )
    ratios, overall = ratios_of([(rates_a[one], rates_b[one]) for one in common], seed=seed)
    settings = tuple(
        Compared(setting, tuple(rates_a[setting].values()), tuple(rates_b[setting].values()), ratio)
        for setting, ratio in zip(common, ratios, strict=True)
    )
    return Comparison(
        differences=tuple(_differences(a.environment, b.environment)),
        settings=settings,
        only_a=tuple(sorted(rates_a.keys() - rates_b.keys())),
        only_b=tuple(sorted(rates_b.keys() - rates_a.keys())),
        overall=overall,
        same_sweep=a.environment.sweep == b.environment.sweep,
    )


# -- what else differs -----------------------------------------------------------------------------

_PLAIN: Final = {
    "sources": "source",
    "server": "server",
    "server_version": "server's version",
    "loader": "loader",
    "compiled": "compiled encoder",
    "python": "Python",
    "pyarrow": "pyarrow",
    "orjson": "orjson",
    "aiohttp": "aiohttp",
    "platform": "platform",
    "cores": "cores",
    "memory": "memory",
}

_OF_THE_SWEEP: Final = frozenset({"repeat", "seed", "time_budget"})
"""Settings that say how much was measured, not what."""


def _differences(a: Environment, b: Environment) -> Iterator[Difference]:
    if _tables(a) != _tables(b):
        yield Difference("tables", _tables(a), _tables(b))
    for name, what in _PLAIN.items():
        one, other = getattr(a, name), getattr(b, name)
        if one != other:
            yield Difference(what, _shown(name, one), _shown(name, other))
    if a.round_trip and b.round_trip:
        low, high = sorted((a.round_trip, b.round_trip))
        if high > low * _SAME_FACTOR and high > low + _SAME_SECONDS:
            yield Difference(
                "round trip", f"{a.round_trip * 1000:.1f} ms", f"{b.round_trip * 1000:.1f} ms"
            )
    yield from _other_settings(a.settings, b.settings)


def _other_settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    for name in sorted((a.keys() | b.keys()) - _OF_THE_SWEEP):
        if a.get(name) != b.get(name):
            option = f"--{name.replace('_', '-')}"
            yield Difference(option, _of_option(name, a.get(name)), _of_option(name, b.get(name)))


def _tables(environment: Environment) -> str:
    return ", ".join(
        f"{table.name}: {_rows(table.rows)}, {table.columns} columns"
        for table in environment.tables
    )


def _rows(rows: int | None) -> str:
    return "unknown rows" if rows is None else f"{rows:,} rows"


def _of_option(name: str, value: Any) -> str:
    return exact_size(value) if name in SIZES and isinstance(value, int) else _text(value)


def _shown(name: str, value: Any) -> str:
    if name == "memory" and value is not None:
        return size(value)
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)
