"""Which setting to load with: the cheapest among those that are as fast as the fastest."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loader.bench.intervals import Noise, Verdict, ratio_of
from loader.bench.records import Recommendation, Run, Setting
from loader.planning import ChunkRules
from loader.units import MB, size

__all__ = ["describe", "recommend"]

_NEGLIGIBLE: Final = 0.98
"""A setting that reaches this share of the best throughput is as good: no measurement is better."""

_IN_THE_NOISE: Final = 0.95
"""The share below which noise is no excuse: few and noisy runs could hide any difference."""

_RISING: Final = 1.05
"""By how much the most PUTs at once have to be faster than fewer for more to be worth a try."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    setting: Setting
    rates: tuple[float, ...]
    median: float

    @property
    def cost(self) -> tuple[int, bool, bool, int]:
        """What the setting costs others: the server's attention first, then memory.

        Sizes that the API documents advise against cost a warning at every load, and rows take
        more of the wire than columns.
        """
        setting = self.setting
        unguided = not ChunkRules.of(setting.chunk_size).guided
        return setting.concurrency, unguided, setting.orientation != "column", setting.chunk_size


def recommend(
    runs: Sequence[Run], *, command: Sequence[str] = (), seed: int = 0
) -> Recommendation | None:
    """Returns the setting to load with, or None where no setting ran without a failure.

    The fastest setting is the one with the best median of rows a second. As good as it are those
    that reach 98 % of it, and those that reach 95 % and whose difference is within the noise of the
    runs. Of these the one with the fewest PUTs at once is taken, since they load the server and the
    network for others too; then the smaller chunks, which take less memory and less time to repeat.

    Args:
        runs: All runs of a sweep.
        command: The command line to add the setting to, word by word.
        seed: Of the bootstrap.
    """
    candidates = _candidates(runs)
    if not candidates:
        return None
    best = max(candidates, key=lambda one: one.median)
    noise = Noise.of([one.rates for one in candidates])

    def as_good(one: _Candidate) -> bool:
        if one.median >= _NEGLIGIBLE * best.median:
            return True
        ratio = ratio_of(best.rates, one.rates, noise, noise, seed=seed)
        return one.median >= _IN_THE_NOISE * best.median and (
            ratio.verdict is Verdict.NO_DIFFERENCE
        )

    chosen = min(filter(as_good, candidates), key=lambda one: one.cost)
    setting = chosen.setting
    return Recommendation(
        orientation=setting.orientation,
        chunk_size=setting.chunk_size,
        concurrency=setting.concurrency,
        rows_per_second=chosen.median,
        reason=" ".join(_reason(chosen, best, candidates, runs)),
        command=_command(command, setting),
    )


def describe(setting: Setting) -> str:
    """Returns a setting in words."""
    puts = "1 PUT" if setting.concurrency == 1 else f"{setting.concurrency} PUTs"
    return f"{setting.orientation}s in chunks of {size(setting.chunk_size)}, {puts} at once"


def _candidates(runs: Sequence[Run]) -> list[_Candidate]:
    """Returns the settings that ran and never failed."""
    failed = {run.setting for run in runs if run.error is not None and not run.warm_up}
    rates: dict[Setting, list[float]] = {}
    for run in runs:
        if not run.warm_up and run.setting not in failed and run.rows_per_second > 0:
            rates.setdefault(run.setting, []).append(run.rows_per_second)
    return [
        _Candidate(setting, tuple(found), statistics.median(found))
        for setting, found in rates.items()
    ]


def _reason(
    chosen: _Candidate, best: _Candidate, candidates: Sequence[_Candidate], runs: Sequence[Run]
) -> list[str]:
    rate = f"{chosen.median:,.0f} rows/s"
    if chosen is best:
        said = [f"{describe(chosen.setting)} was the fastest setting: {rate}."]
    else:
        share = 100 * chosen.median / best.median
        said = [
            (
                f"{describe(chosen.setting)} reached {rate}, {share:.0f} % of the fastest setting "
                f"({describe(best.setting)}): a difference that is negligible or within the noise "
                "of the runs, for less of the server or of memory."
            )
        ]
    said += _waited(chosen.setting, runs)
    said += _rising(candidates)
    retries = [run.retries for run in runs if run.setting == chosen.setting and not run.warm_up]
    if any(retries):
        said.append(f"It had to repeat {sum(retries)} PUTs in {len(retries)} runs.")
    return said


_WAITED_FOR: Final[Mapping[str, str]] = {
    "reading": "rows of the source",
    "encoding": "encoding",
    "server": "the server and the network",
    "rate": "--max-rate",
}


def _waited(setting: Setting, runs: Sequence[Run]) -> list[str]:
    """Says what limits the setting: that is where more speed can come from."""
    counted = [
        run for run in runs if run.setting == setting and not run.warm_up and run.upload_seconds > 0
    ]
    shares = {
        stage: statistics.median(run.stages.get(stage, 0.0) / run.upload_seconds for run in counted)
        for stage in _WAITED_FOR
    }
    stage, share = max(shares.items(), key=lambda item: item[1])
    if not share:
        return []
    return [f"It waited for {_WAITED_FOR[stage]} {100 * share:.0f} % of the time."]


def _rising(candidates: Sequence[_Candidate]) -> list[str]:
    """Says where the best setting lies at the edge of what was tried."""
    most = max(one.setting.concurrency for one in candidates)
    fewer = [one.median for one in candidates if one.setting.concurrency < most]
    best = max(one.median for one in candidates if one.setting.concurrency == most)
    if fewer and best > _RISING * max(fewer):
        return [
            (
                f"{most} PUTs at once were the most that was tried, and "
                f"{100 * (best / max(fewer) - 1):.0f} % faster than fewer: try more, such as "
                f"--concurrency {most},{most * 2}."
            )
        ]
    return []


def _command(words: Sequence[str], setting: Setting) -> str:
    return shlex.join(
        [
            *words,
            *("--orientation", setting.orientation),
            *("--chunk-size", _size(setting.chunk_size)),
            *("--concurrency", str(setting.concurrency)),
        ]
    )


def _size(amount: int) -> str:
    return f"{amount // MB}MB" if amount % MB == 0 else str(amount)
