"""Makes records and words of what the process of a run told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from loader.bench.messages import Ended
from loader.bench.process import Died
from loader.bench.recommend import describe
from loader.bench.records import Failure, Run, Skipped
from loader.bench.schedule import Planned

__all__ = ["grouped", "measured"]

_SHOWN: Final = 3
"""Settings that one line names."""


def measured(ended: Ended | Died, planned: Planned, *, number: int, began: float) -> Run:
    """Returns the record of a run.

    Args:
        ended: What its process told, or that it told nothing.
        planned: What was to be run; repetition 0 is the warm-up.
        number: Its place among all runs.
        began: Seconds since the sweep's start.
    """
    setting = planned.setting
    known: dict[str, Any] = {
        "number": number,
        "order": planned.order,
        "orientation": setting.orientation,
        "chunk_size": setting.chunk_size,
        "concurrency": setting.concurrency,
        "repeat": planned.repeat,
        "warm_up": planned.repeat == 0,
        "began": began,
    }
    if isinstance(ended, Died):
        return Run(**known, error=Failure(kind=ended.kind, message=ended.message))
    error = ended.error
    seconds = ended.times.seconds
    json_bytes = sum(ended.table_bytes)
    p50, p95, p99 = ended.quantiles
    return Run(
        **known,
        rows=ended.rows,
        chunks=ended.chunks,
        json_bytes=json_bytes,
        wire_bytes=ended.wire_bytes,
        retries=ended.retries,
        upload_seconds=seconds,
        publish_seconds=ended.times.publishing,
        rows_per_second=_rate(ended.rows, seconds),
        json_rate=_rate(json_bytes, seconds),
        wire_rate=_rate(ended.wire_bytes, seconds),
        put_p50=p50,
        put_p95=p95,
        put_p99=p99,
        stages=ended.times.as_dict(),
        cpu_seconds=ended.cpu_seconds,
        peak_memory=ended.peak_memory,
        timeline=ended.timeline,
        error=None if error is None else Failure(kind=error.kind, message=error.message),
    )


def _rate(amount: int, seconds: float) -> float:
    return amount / seconds if seconds else 0.0


def grouped(found: Iterable[Skipped]) -> Iterator[tuple[str, str]]:
    """Yields each reason with what is skipped for it, in words."""
    groups: dict[tuple[str, int | None], list[Skipped]] = {}
    for one in found:
        groups.setdefault((one.reason, one.repeat), []).append(one)
    for (reason, repeat), skipped in groups.items():
        which = "" if repeat is None else f" in repetition {repeat}"
        yield reason, _settings(skipped) + which


def _settings(skipped: Sequence[Skipped]) -> str:
    if len(skipped) > _SHOWN:
        return f"{len(skipped)} settings"
    return "; ".join(describe(one.setting) for one in skipped)
