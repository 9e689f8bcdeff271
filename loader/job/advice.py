"""Where the time of a load went, and what would make it faster: one line of each."""

from __future__ import annotations

from dataclasses import dataclass

from loader.encode import Orientation
from loader.job.settings import DEFAULT_MEMORY, LoadSettings, Ordering, Workflow
from loader.job.timing import Latencies, StageTimes
from loader.job.tuner import Reason
from loader.planning import MOST_CONCURRENT, RECOMMENDED_LOW, ChunkRules, MemoryPlan
from loader.units import MB, size

__all__ = ["SHORTEST", "Circumstances", "advice"]

SHORTEST = 5.0
"""Seconds below which there is nothing to gain that anybody would notice."""

# What takes a smaller share of the time is not what limits a load.
_MOST_OF_IT = 0.5
# With a smaller share of the PUTs under way that may be, something else holds them back.
_NEARLY_ALL = 0.75
_MOST_ENCODERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a load was done with.

    Attributes:
        settings: What the user asked for.
        rules: Where chunks were cut.
        memory: How the memory was shared out.
        reason: Why so many PUTs went at once.
        why: The same in words.
        compiled: Whether the compiled encoder was at work.
    """

    settings: LoadSettings
    rules: ChunkRules
    memory: MemoryPlan
    reason: Reason
    why: str
    compiled: bool


def advice(times: StageTimes, latencies: Latencies, load: Circumstances) -> tuple[str, str | None]:
    """Returns where the time went, and one advice; None: there is none that is known to help.

    Args:
        times: What the upload waited for; ``senders`` is the highest limit that PUTs had.
        latencies: How long PUTs took.
        load: What it was done with.
    """
    return _where(times, latencies), _advice(times, latencies, load)


_SERVER, _READING, _ENCODING, _RATE = "the server", "reading", "encoding", "--max-rate"


def _shares(times: StageTimes) -> dict[str, float]:
    """Returns for what share of the time each stage was waited for, the largest first."""
    waits = {
        _SERVER: times.server,
        _READING: times.reading,
        _ENCODING: times.encoding,
        _RATE: times.rate,
    }
    whole = max(sum(waits.values()), 1e-9)
    return {
        stage: seconds / whole
        for stage, seconds in sorted(waits.items(), key=lambda wait: -wait[1])
    }


def _where(times: StageTimes, latencies: Latencies) -> str:
    shown = {stage: round(100 * share) for stage, share in _shares(times).items()}
    waits = ", ".join(f"{stage} {share} %" for stage, share in shown.items() if share)
    if not waits:
        return "nothing was waited for"
    line = f"waiting for {waits}; PUTs under way: {_under_way(times):.1f} (at most {times.senders})"
    if latencies.count:
        line += f", each {_time(latencies.quantile(0.5))} (the median)"
    return line


def _under_way(times: StageTimes) -> float:
    return times.put_busy / times.seconds if times.seconds else 0.0


def _time(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"


def _advice(times: StageTimes, latencies: Latencies, load: Circumstances) -> str | None:
    if times.seconds + times.publishing < SHORTEST:
        return None
    if times.publishing > times.seconds:
        return (
            f"publishing took {_time(times.publishing)} and the upload {_time(times.seconds)}: "
            "the server's work on the dataset is the limit, which no option makes faster"
        )
    stage, share = next(iter(_shares(times).items()))
    if times.seconds < SHORTEST or share < _MOST_OF_IT:
        return None
    if stage == _RATE:
        return f"--max-rate {size(load.settings.max_rate or 0)}/s is the limit, as asked"
    if stage == _READING:
        remedy: str | None = (
            "a faster disk or network to the source, or fewer --columns; CSV is slower to read "
            "than Parquet"
        )
    elif stage == _ENCODING:
        remedy = _of_encoding(times, load)
    else:
        remedy = _of_server(times, latencies, load)
    return remedy and f"{100 * share:.0f} % of the time waiting for {stage}: {remedy}"


def _of_encoding(times: StageTimes, load: Circumstances) -> str | None:
    if not load.compiled:
        return "install with a C++ compiler at hand, for the compiled encoder"
    if load.settings.orientation is Orientation.ROW:
        return "--orientation column is encoded faster"
    if times.encoders < _MOST_ENCODERS:
        cores = "one core" if times.encoders == 1 else f"{times.encoders} cores"
        return f"more cores (it has {cores}, and up to {_MOST_ENCODERS} encode)"
    return None


def _of_server(times: StageTimes, latencies: Latencies, load: Circumstances) -> str | None:
    settings = load.settings
    if settings.workflow is Workflow.ONE_REQUEST:
        return None
    if settings.ordering is Ordering.STRICT:
        several = "--ordering strict sends one at a time, as asked; --ordering windowed sends more"
        return several if latencies.count > 1 else None
    if latencies.count <= times.senders:
        return _of_few_chunks(latencies.count, load)
    if settings.concurrency is None:
        return _of_auto(load)
    return _of_asked(settings.concurrency, times, load)


def _of_few_chunks(chunks: int, load: Circumstances) -> str | None:
    """All of them were under way at once."""
    smaller = max(RECOMMENDED_LOW, load.rules.target // 2)
    if chunks >= MOST_CONCURRENT or smaller >= load.rules.target:
        return None
    there = "there is only one chunk" if chunks == 1 else f"there are only {chunks} chunks"
    return f"{there}; --chunk-size {_option(smaller)} makes more that go at once"


def _of_auto(load: Circumstances) -> str | None:
    if load.reason is Reason.TRYING:
        return (
            "too few chunks for --concurrency auto to find the best number; "
            f"--concurrency {load.memory.concurrency} may be faster"
        )
    if load.reason in {Reason.MOST, Reason.STARVED} and load.memory.concurrency < MOST_CONCURRENT:
        return _more_memory(load)
    # Senders short of chunks, though nothing but the server was waited for: it was a near thing.
    return None if load.reason is Reason.STARVED else _at_its_limit(load)


def _of_asked(asked: int, times: StageTimes, load: Circumstances) -> str | None:
    window = load.settings.window
    if window is not None and window < asked:
        return f"--window {window} holds PUTs back: leave it out"
    fitting = _fitting(load)
    if fitting < asked and _under_way(times) < _NEARLY_ALL * asked:
        return _more_memory(load, min(asked, MOST_CONCURRENT))
    if asked >= MOST_CONCURRENT:
        return _at_its_limit(load)
    if fitting <= asked:
        return f"{_more_memory(load)}; and leave out --concurrency"
    return "raise --concurrency, or leave it out: auto finds the best number"


def _at_its_limit(load: Circumstances) -> str:
    """The server, or the way to it, does what it can."""
    smaller = load.settings.orientation is Orientation.ROW
    return (
        f"it, or the network, is the limit ({load.why})"
        f"{'; --orientation column sends fewer bytes' if smaller else ''}"
    )


def _fitting(load: Circumstances) -> int:
    """Returns how many chunks the memory lets be under way: see ``plan_memory``."""
    return max(1, (load.memory.json - load.rules.hold) // load.rules.target)


def _more_memory(load: Circumstances, wanted: int = MOST_CONCURRENT) -> str:
    """Returns what lets so many chunks be under way."""
    memory, rules = load.memory, load.rules
    remedies = []
    # By default it is less than that only where the container has no more.
    if load.settings.memory is not None or memory.total >= DEFAULT_MEMORY:
        enough = memory.total - memory.json + rules.hold + wanted * rules.target
        remedies.append(f"raise --memory to {_option(enough)}")
    # What is under way, and what is held back: one and a half.
    smaller = memory.json * 2 // (2 * wanted + 3) // MB * MB
    if RECOMMENDED_LOW <= smaller < rules.target:
        remedies.append(f"lower --chunk-size to {_option(smaller)}")
    fitting = _fitting(load)
    return (
        f"--memory lets only {fitting} chunk{'' if fitting == 1 else 's'} be under way: "
        f"{', or '.join(remedies) or 'it takes a larger container'}"
    )


def _option(amount: int) -> str:
    """Returns at least so many bytes as an option takes them: three digits, and no space."""
    step = 10 ** max(0, len(str(amount)) - 3)
    return size(-(-amount // step) * step).replace(" ", "")
