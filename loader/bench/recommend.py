"""Which setting to load with: the cheapest among those that are as fast as the fastest."""

from __future__ import annotations

import math
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loader.bench.intervals import Noise, Verdict, ratio_of
from loader.bench.records import Recommendation, Run, Setting
from loader.planning import ChunkRules
from loader.units import exact_size, size

__all__ = ["describe", "recommend"]

_NEGLIGIBLE: Final = 0.98
"""A setting that reaches this share of the best throughput is as good: no measurement is better."""

_IN_THE_NOISE: Final = 0.95
"""The share below which noise is no excuse: few and noisy runs could hide any difference."""

_ENOUGH: Final = 4
"""So many chunks for each PUT at once keep a load busy for most of its time."""

_NAMED: Final = 3
"""Failed settings that one sentence names."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One way to send the source.

    Attributes:
        setting: The cheapest of the settings that send it so.
        settings: How many they are.
        rates: Rows a second of all their runs.
        median: The median of these.
    """

    setting: Setting
    settings: int
    rates: tuple[float, ...]
    median: float


def _cost(setting: Setting) -> tuple[int, bool, bool, int]:
    """Returns what a setting costs others: the server's attention first, then memory.

    Sizes that the API documents advise against cost a warning at every load, and rows take more of
    the wire than columns.
    """
    unguided = not ChunkRules.of(setting.chunk_size).guided
    return setting.concurrency, unguided, setting.orientation != "column", setting.chunk_size


def recommend(
    runs: Sequence[Run],
    *,
    settings: Sequence[Setting] = (),
    limit: int | None = None,
    command: Sequence[str] = (),
    seed: int = 0,
) -> Recommendation | None:
    """Returns the setting to load with, or None where no setting ran without a failure.

    The fastest setting is the one with the best median of rows a second. As good as it are those
    that reach 98 % of it, and those that reach 95 % and whose difference is within the noise of the
    runs. Of these the one with the fewest PUTs at once is taken, since they load the server and the
    network for others too; then the smaller chunks, which take less memory and less time to repeat.

    Args:
        runs: All runs of a sweep.
        settings: All that it was to try, whether it did or not; it did try those of the runs.
        limit: The most rows of each table that the runs loaded; None: all.
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

    chosen = min(filter(as_good, candidates), key=lambda one: _cost(one.setting))
    setting = chosen.setting
    return Recommendation(
        orientation=setting.orientation,
        chunk_size=setting.chunk_size,
        concurrency=setting.concurrency,
        rows_per_second=chosen.median,
        reason=" ".join(
            [
                *_reason(chosen, best, candidates, runs),
                *_failed(runs),
                *_too_small(
                    chosen.setting, [*settings, *(run.setting for run in runs)], runs, limit
                ),
                *_waited(chosen.setting, runs),
                *_rising(candidates, noise, seed),
                *_repeated(chosen.setting, runs),
            ]
        ),
        command=_command(command, setting),
    )


def describe(setting: Setting) -> str:
    """Returns a setting in words."""
    puts = "1 PUT" if setting.concurrency == 1 else f"{setting.concurrency} PUTs"
    return f"{setting.orientation}s in chunks of {size(setting.chunk_size)}, {puts} at once"


def _candidates(runs: Sequence[Run]) -> list[_Candidate]:
    """Returns the settings that ran and never failed; those that send the very same are one."""
    failed = {run.setting for run in runs if run.error is not None and not run.warm_up}
    alike: dict[tuple[str, int | None, int], list[Run]] = {}
    for run in runs:
        if not run.warm_up and run.setting not in failed and run.rows_per_second > 0:
            # Of a single chunk the size is no matter, and no more PUTs than chunks are at once.
            chunk_size = None if run.chunks == 1 else run.chunk_size
            sent = (run.orientation, chunk_size, min(run.concurrency, run.chunks))
            alike.setdefault(sent, []).append(run)
    return [_candidate(found) for found in alike.values()]


def _candidate(runs: Sequence[Run]) -> _Candidate:
    settings = {run.setting for run in runs}
    rates = tuple(run.rows_per_second for run in runs)
    return _Candidate(min(settings, key=_cost), len(settings), rates, statistics.median(rates))


def _counted(setting: Setting, runs: Sequence[Run]) -> list[Run]:
    """Returns the runs of a candidate, of which none has failed."""
    return [run for run in runs if run.setting == setting and not run.warm_up]


def _reason(
    chosen: _Candidate, best: _Candidate, candidates: Sequence[_Candidate], runs: Sequence[Run]
) -> list[str]:
    rate = f"{chosen.median:,.0f} rows/s"
    if len(candidates) == 1:
        tried = len({run.setting for run in runs if not run.warm_up})
        only = "the only setting without a failed run"
        if tried == chosen.settings:
            only = "the only setting tried" if tried == 1 else f"the cheapest of {tried} settings"
        same = " that all send the same" if chosen.settings > 1 else ""
        return [f"{describe(chosen.setting)} was {only}{same}: {rate}."]
    if chosen is best:
        return [f"{describe(chosen.setting)} was the fastest setting: {rate}."]
    share = 100 * chosen.median / best.median
    return [
        (
            f"{describe(chosen.setting)} reached {rate}, {share:.0f} % of the fastest setting "
            f"({describe(best.setting)}): a difference that is negligible or within the noise "
            "of the runs, for less of the server or of memory."
        )
    ]


def _failed(runs: Sequence[Run]) -> list[str]:
    """Says which settings are out of the comparison, however fast they may be."""
    failed = {run.setting for run in runs if run.error is not None and not run.warm_up}
    if not failed:
        return []
    named = "; ".join(map(describe, sorted(failed)[:_NAMED]))
    more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    return [f"Settings that failed were not compared: {named}{more}."]


def _too_small(
    chosen: Setting, settings: Sequence[Setting], runs: Sequence[Run], limit: int | None
) -> list[str]:
    """Says where the runs were too short to tell one setting from another, and what would do."""
    counted = _counted(chosen, runs)
    chunks = min(run.chunks for run in counted)
    puts = max(one.concurrency for one in settings)
    if chunks > 1 and chunks >= puts:
        return []
    # A chunk is no smaller than a block of rows, whatever the size that is wanted.
    cut = [run.json_bytes // run.chunks for run in runs if run.chunks]
    largest = max([*(one.chunk_size for one in settings), *cut])
    wanted = _ENOUGH * puts * largest
    loaded = statistics.median(run.json_bytes for run in counted)
    if chunks == 1:
        said = "All was sent in a single chunk, which says nothing about chunk size or PUTs at once"
    else:
        said = f"All was sent in {chunks} chunks, which says nothing about {puts} PUTs at once"
    if limit is None or not loaded:
        enough = "more data would, or smaller chunks"
    else:
        enough = f"--limit {_rounded_up(limit * wanted / loaded)} would, if there are so many rows"
    each = f" for each of {puts} PUTs" if puts > 1 else ""
    return [
        (
            f"{said}; {enough}: {_ENOUGH} chunks of {size(largest)}{each} are {size(wanted)} of "
            f"JSON, and these runs had {size(loaded)}."
        )
    ]


def _rounded_up(rows: float) -> int:
    """Returns a number of two digits and zeros that is no smaller."""
    step: int = 10 ** max(0, math.floor(math.log10(rows)) - 1)
    return math.ceil(rows / step) * step


def _repeated(setting: Setting, runs: Sequence[Run]) -> list[str]:
    retries = [run.retries for run in _counted(setting, runs)]
    return [f"It had to repeat {sum(retries)} PUTs in {len(retries)} runs."] if any(retries) else []


_WAITED_FOR: Final[Mapping[str, str]] = {
    "reading": "rows of the source",
    "encoding": "encoding",
    "server": "the server and the network",
    "rate": "--max-rate",
}


def _waited(setting: Setting, runs: Sequence[Run]) -> list[str]:
    """Says what limits the setting: that is where more speed can come from."""
    counted = [run for run in _counted(setting, runs) if run.upload_seconds > 0]
    shares = {
        stage: statistics.median(run.stages.get(stage, 0.0) / run.upload_seconds for run in counted)
        for stage in _WAITED_FOR
    }
    stage, share = max(shares.items(), key=lambda item: item[1])
    if not share:
        return []
    return [f"It waited for {_WAITED_FOR[stage]} {100 * share:.0f} % of the time."]


def _rising(candidates: Sequence[_Candidate], noise: Noise, seed: int) -> list[str]:
    """Says where more PUTs at once than were tried may be faster still."""
    most = max(one.setting.concurrency for one in candidates)
    fewer = [one for one in candidates if one.setting.concurrency < most]
    if not fewer:
        return []
    before = max(fewer, key=lambda one: one.median)
    best = max(
        (one for one in candidates if one.setting.concurrency == most), key=lambda one: one.median
    )
    ratio = ratio_of(before.rates, best.rates, noise, noise, seed=seed)
    if ratio.verdict is not Verdict.FASTER or before.median > _NEGLIGIBLE * best.median:
        return []
    return [
        (
            f"{most} PUTs at once were the most that was tried, and "
            f"{100 * (ratio.value - 1):.0f} % faster than fewer: try more, such as "
            f"--concurrency {most},{most * 2}."
        )
    ]


def _command(words: Sequence[str], setting: Setting) -> str:
    return shlex.join(
        [
            *words,
            *("--orientation", setting.orientation),
            *("--chunk-size", exact_size(setting.chunk_size)),
            *("--concurrency", str(setting.concurrency)),
        ]
    )
