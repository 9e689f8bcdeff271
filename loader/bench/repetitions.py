"""How sure the ratios of two sweeps are: intervals by the bootstrap, over whole repetitions.

A sweep runs all its settings once in every repetition, in an order of its own. What slowed down a
repetition slowed down all of it, so the noise of a run has two parts: how far its repetition is
from the others, and how far the run is from its repetition. The bootstrap draws both: a repetition
for all settings, and for each run a deviation from it. A figure of all settings together is then no
surer than a few repetitions can make it, however many settings there are.

What is compared are medians, because now and then a run is slow for reasons of its own; and their
logarithms, because noise on a shared machine or network is a share of what is measured. What few
deviations do not tell is made up for as in Student's t: each figure that is drawn is divided by
what a spread of so few degrees of freedom may be.

The intervals of the settings are simultaneous: *all* of them hold the truth in 95 of 100 pairs of
sweeps whose circumstances are the same, rather more where all settings are equally noisy, and in 92
where their noise is very unequal (simulated). What changed on the server or the network between two
sweeps is in no run of either, and in no interval.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from loader.bench.intervals import LEVEL, RESAMPLES, Ratio, Verdict, welch_freedom

__all__ = ["LEAST_SETTINGS", "Rates", "ratios_of"]

Rates = Mapping[int, float]
"""The throughput of each repetition of a setting, each above 0."""

LEAST_SETTINGS: Final = 3
"""Of fewer settings in common nothing is said of all: they need not be like the others."""

_LEAST_REPETITIONS: Final = 2

_FARTHEST: Final = 500.0
"""No end of an interval is farther away, in logarithms: a float must hold it."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Sweep:
    """The noise of one sweep, in logarithms.

    Attributes:
        repetitions: How far each repetition is from their mean.
        runs: How far each setting's runs are from their repetitions, setting by setting.
        freedom: Degrees of freedom of ``runs``.
    """

    repetitions: _Array
    runs: tuple[_Array, ...]
    freedom: int

    @classmethod
    def of(cls, settings: Sequence[Rates]) -> _Sweep:
        """Takes the settings apart, as far as they were repeated."""
        away = [_deviations(rates) for rates in settings]
        found = sorted({repetition for one in away for repetition in one})
        shared = {
            repetition: statistics.fmean(one[repetition] for one in away if repetition in one)
            for repetition in found
        }
        runs = tuple(np.array([one[key] - shared[key] for key in one]) for one in away)
        repeated = sum(bool(one) for one in away)
        count = sum(map(len, away))
        return cls(
            np.array(list(shared.values())),
            runs,
            max(0, count - repeated - (len(shared) - 1)),
        )

    @property
    def count(self) -> int:
        """How many repetitions there are."""
        return len(self.repetitions)

    @property
    def spread(self) -> float:
        """Variance of a run around its repetition."""
        every = np.concatenate(self.runs)
        return float(np.mean(every**2)) if every.size else 0.0

    @property
    def shared(self) -> float:
        """Variance of a repetition."""
        return float(np.mean(self.repetitions**2))

    def drawn(self, count: int, generator: np.random.Generator) -> _Array:
        """Returns repetitions, drawn again and again.

        Of three repetitions the middle one of three draws is one of few figures, and those lie
        apart. So half of the variance of what is drawn is spread evenly: a smoothed bootstrap.
        """
        size = (RESAMPLES, count)
        smooth = generator.normal(0, math.sqrt(self.shared), size)
        drawn: _Array = generator.choice(self.repetitions, size=size) + smooth
        return drawn * math.sqrt(0.5)

    def medians(
        self, repetitions: _Array, count: int, scale: float, generator: np.random.Generator
    ) -> _Array:
        """Returns how far medians of so many runs in these repetitions are from the truth."""
        every = np.concatenate(self.runs)
        runs = generator.choice(every, size=(RESAMPLES, count)) * scale
        return _centred(np.median(repetitions[:, :count] + runs, axis=1))


def _deviations(rates: Rates) -> dict[int, float]:
    """Returns how far runs are from their mean, scaled up by what a mean of few takes away."""
    count = len(rates)
    if count < _LEAST_REPETITIONS:
        return {}
    logs = {repetition: math.log(rate) for repetition, rate in rates.items()}
    mean = statistics.fmean(logs.values())
    scale = math.sqrt(count / (count - 1))
    return {repetition: scale * (log - mean) for repetition, log in logs.items()}


def _centred(deviations: _Array) -> _Array:
    # Of lopsided noise the median of the deviations from the mean is not 0.
    centred: _Array = deviations - deviations.mean()
    return centred


def ratios_of(
    pairs: Sequence[tuple[Rates, Rates]], *, seed: int
) -> tuple[tuple[Ratio, ...], Ratio]:
    """Returns the ratio b / a of each setting, and their geometric mean, with their intervals.

    Args:
        pairs: The throughputs of each setting in ``a`` and in ``b``.
        seed: Of the bootstrap.

    Returns:
        The ratios, whose intervals hold the truth together; and the mean, whose interval holds it
        by itself.
    """
    logs = [
        math.log(statistics.median(b.values()) / statistics.median(a.values())) for a, b in pairs
    ]
    middle = statistics.fmean(logs)
    a, b = (_Sweep.of([pair[side] for pair in pairs]) for side in (0, 1))
    few = min(a.count, b.count) < _LEAST_REPETITIONS
    generator = np.random.default_rng(seed)
    if few:
        each = tuple(Ratio(math.exp(log)) for log in logs)
    else:
        each = _settings(logs, pairs, a, b, generator)
    if len(pairs) < LEAST_SETTINGS:
        return each, Ratio(math.exp(middle), unknown=Verdict.TOO_FEW_SETTINGS)
    return each, Ratio(math.exp(middle)) if few else _overall(middle, pairs, a, b, generator)


def _overall(
    middle: float,
    pairs: Sequence[tuple[Rates, Rates]],
    a: _Sweep,
    b: _Sweep,
    generator: np.random.Generator,
) -> Ratio:
    """Returns the mean of all ratios: as sure as repetitions as a whole make it, and no surer."""
    deviations = np.zeros(RESAMPLES)
    parts = []
    for number, side in enumerate((a, b)):
        # Where time was short, some settings have fewer.
        runs = min(len(pair[number]) for pair in pairs)
        sign = 1 if side is b else -1
        deviations += sign * _centred(np.median(side.drawn(runs, generator), axis=1))
        parts.append((side.shared / runs, side.count - 1))
    deviations /= _uncertainty(welch_freedom(parts), generator)
    return _ratio(middle, float(np.quantile(np.abs(deviations), LEVEL)))


def _settings(
    logs: Sequence[float],
    pairs: Sequence[tuple[Rates, Rates]],
    a: _Sweep,
    b: _Sweep,
    generator: np.random.Generator,
) -> tuple[Ratio, ...]:
    """Returns the ratios of the settings with simultaneous intervals."""
    of_a = a.drawn(max(len(one) for one, _ in pairs), generator)
    of_b = b.drawn(max(len(one) for _, one in pairs), generator)
    usual = a.spread + b.spread
    spreads = []
    farthest = np.zeros(RESAMPLES)
    freedom = math.inf
    for (one, other), runs_a, runs_b in zip(pairs, a.runs, b.runs, strict=True):
        # A setting whose own runs are noisier than those of the others is taken at its word.
        own = sum(float(np.mean(runs**2)) if runs.size else 0.0 for runs in (runs_a, runs_b))
        scale = math.sqrt(max(1.0, own / usual)) if usual else 1.0
        drawn = b.medians(of_b, len(other), scale, generator)
        drawn -= a.medians(of_a, len(one), scale, generator)
        spreads.append(float(drawn.std()))
        if spreads[-1]:
            np.maximum(farthest, np.abs(drawn) / spreads[-1], out=farthest)
        parts = []
        for side, runs in ((a, len(one)), (b, len(other))):
            parts += [
                (side.shared / runs, side.count - 1),
                (side.spread * scale**2 / runs, side.freedom),
            ]
        freedom = min(freedom, welch_freedom(parts))
    reach = float(np.quantile(farthest / _uncertainty(freedom, generator), LEVEL))
    return tuple(_ratio(log, reach * spread) for log, spread in zip(logs, spreads, strict=True))


def _ratio(centre: float, reach: float) -> Ratio:
    reach = min(reach, _FARTHEST)
    return Ratio(math.exp(centre), math.exp(centre - reach), math.exp(centre + reach))


def _uncertainty(freedom: float, generator: np.random.Generator) -> _Array | float:
    """Returns what share of itself a spread with so many degrees of freedom may seem to be."""
    if math.isinf(freedom):
        return 1.0
    return np.sqrt(generator.chisquare(freedom, RESAMPLES) / freedom)
