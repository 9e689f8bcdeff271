"""How sure a ratio within one sweep is: intervals by the bootstrap, for few runs of many settings.

All settings of a sweep take their turns in every repetition, so what slows down the server slows
down both sides of such a ratio. Between two sweeps that does not hold: see ``repetitions``.

What is compared are medians, because now and then a run is slow for reasons of its own; and their
logarithms, because noise on a shared machine or network is a share of what is measured. Three runs
of a setting say little about its noise, but the runs of all settings of a sweep together say much:
the deviations of each run from the mean of its setting are pooled, and the bootstrap draws from
that pool. What few deviations still do not tell is made up for as in Student's t: the interval is
widened by t / z.
"""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

__all__ = ["Noise", "Ratio", "Verdict", "ratio_of", "student_factor", "welch_freedom"]

LEVEL = 0.95
"""How often an interval holds the truth."""

RESAMPLES = 10_000

_LEAST_FREEDOM = 2
"""Fewer degrees of freedom make an interval so wide that it says nothing."""

_Z = 1.959963984540054
"""97.5 % of the normal distribution lie below."""


class Verdict(enum.StrEnum):
    """What a ratio means."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no difference"
    TOO_FEW_RUNS = "too few runs to say"
    TOO_FEW_SETTINGS = "too few settings in common to say"


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of throughputs.

    Attributes:
        value: The ratio of the medians.
        low: Where its 95 % interval begins; None: nothing can be said.
        high: Where it ends.
        unknown: The verdict where there is no interval.
    """

    value: float
    low: float | None = None
    high: float | None = None
    unknown: Verdict = Verdict.TOO_FEW_RUNS

    @property
    def verdict(self) -> Verdict:
        """Says whether there is a difference: there is none where the interval contains 1."""
        if self.low is None or self.high is None:
            return self.unknown
        if self.low > 1:
            return Verdict.FASTER
        return Verdict.SLOWER if self.high < 1 else Verdict.NO_DIFFERENCE

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        return {
            "ratio": self.value,
            "low": self.low,
            "high": self.high,
            "verdict": self.verdict.value,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """How far runs deviate from the mean of their setting, in logarithms.

    Attributes:
        deviations: Of all runs whose setting has several, scaled up by what a mean of few takes
            away.
        freedom: Degrees of freedom: runs less settings.
    """

    deviations: npt.NDArray[np.float64]
    freedom: int

    @classmethod
    def of(cls, settings: Sequence[Sequence[float]]) -> Self:
        """Returns the noise of the throughputs of settings, each above 0."""
        found = []
        freedom = 0
        for rates in settings:
            count = len(rates)
            if count > 1:
                logs = np.log(np.asarray(rates, dtype=np.float64))
                found.append((logs - logs.mean()) * math.sqrt(count / (count - 1)))
                freedom += count - 1
        return cls(np.concatenate(found) if found else np.empty(0), freedom)

    @property
    def is_known(self) -> bool:
        """Whether there are enough runs to tell."""
        return self.freedom >= _LEAST_FREEDOM

    @property
    def variance(self) -> float:
        """Variance of one run."""
        return float(np.mean(self.deviations**2)) if self.deviations.size else 0.0

    def medians(self, runs: int, generator: np.random.Generator) -> npt.NDArray[np.float64]:
        """Returns how far many medians of so many runs deviate from what they are on average."""
        medians = np.median(generator.choice(self.deviations, size=(RESAMPLES, runs)), axis=1)
        # Of lopsided noise the median of the deviations from the mean is not 0.
        centred: npt.NDArray[np.float64] = medians - medians.mean()
        return centred


def ratio_of(
    a: Sequence[float], b: Sequence[float], noise_a: Noise, noise_b: Noise, *, seed: int
) -> Ratio:
    """Returns the ratio b / a of two settings of a sweep, with its interval.

    Args:
        a: Throughputs, each above 0.
        b: Throughputs to compare with them.
        noise_a: The noise of runs like those of ``a``.
        noise_b: The noise of runs like those of ``b``.
        seed: Of the bootstrap.
    """
    centre = math.log(statistics.median(b) / statistics.median(a))
    if not (noise_a.is_known and noise_b.is_known):
        return Ratio(math.exp(centre))
    generator = np.random.default_rng(seed)
    deviations = noise_b.medians(len(b), generator) - noise_a.medians(len(a), generator)
    freedom = welch_freedom(
        [(noise.variance / len(one), noise.freedom) for one, noise in ((a, noise_a), (b, noise_b))]
    )
    return _with_interval(centre, deviations * student_factor(freedom))


def _with_interval(centre: float, deviations: npt.NDArray[np.float64]) -> Ratio:
    # The basic bootstrap: the figure deviates from the truth as resampled figures do from it.
    low, high = np.quantile(deviations, [0.025, 0.975])
    value = math.exp(centre)
    # Without any noise the ends may miss the middle by a rounding error.
    return Ratio(
        value, min(math.exp(centre - float(high)), value), max(math.exp(centre - float(low)), value)
    )


def welch_freedom(parts: Sequence[tuple[float, int]]) -> float:
    """Returns the degrees of freedom of a sum of variances, each with its own; of none infinitely.

    Source: Welch and Satterthwaite.
    """
    known = [(variance, freedom) for variance, freedom in parts if variance and freedom]
    if not known:
        return math.inf
    # As shares of the largest: the square of a variance of next to nothing would be nothing.
    largest = max(variance for variance, _ in known)
    shares = [(variance / largest, freedom) for variance, freedom in known]
    whole = math.fsum(share for share, _ in shares)
    return whole**2 / math.fsum(share**2 / freedom for share, freedom in shares)


def student_factor(freedom: float) -> float:
    """Returns how much wider a 95 % interval is with so many degrees of freedom than with many.

    Within 1 % from 2 degrees on. Source: Cornish and Fisher's expansion of Student's t (Abramowitz
    and Stegun, 26.7.5).
    """
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return 1 + sum(term / freedom**power for power, term in enumerate(terms, 1)) / z
