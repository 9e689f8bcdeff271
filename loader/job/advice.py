"""Where the time of a load went, and what would make it faster: one line of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loader.encode import Orientation
from loader.job.puts import Puts
from loader.job.settings import DEFAULT_MEMORY, LoadSettings, Ordering, Workflow
from loader.job.timing import Latencies, StageTimes
from loader.job.tuner import Reason
from loader.planning import (
    MOST_CONCURRENT,
    RECOMMENDED_HIGH,
    RECOMMENDED_LOW,
    SMALLEST_TARGET,
    ChunkRules,
    MemoryPlan,
)
from loader.units import MB, size

__all__ = ["SHORTEST", "Circumstances", "advice"]

SHORTEST = 5.0
"""Seconds below which there is nothing to gain that anybody would notice."""

# What takes a smaller share of the time is not what limits a load.
_MOST_OF_IT = 0.5
# A preparation of a smaller share of the load is not worth a word.
_WORTH_A_WORD = 0.1
# With a smaller share of the PUTs under way that may be, something else holds them back.
_NEARLY_ALL = 0.75
# With a smaller share of the PUTs sent again the rest of them is what took the time.
_NOTABLE = 0.1
# More PUTs at once than these, if --concurrency auto finds no limit at its most, may be faster.
_BEYOND = 2 * MOST_CONCURRENT
# Chunks that are larger by less gain nothing that is worth an option.
_LARGER = 1.5
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
        limit: How many that was in the end.
        compiled: Whether the compiled encoder was at work.
        copied: Whether a pipe had to be copied to a file.
        scanned: Whether CSV files were read once more, for their types.
    """

    settings: LoadSettings
    rules: ChunkRules
    memory: MemoryPlan
    reason: Reason
    why: str
    limit: int
    compiled: bool
    copied: bool = False
    scanned: bool = False


def advice(
    times: StageTimes, latencies: Latencies, puts: Puts, load: Circumstances
) -> tuple[str, str | None]:
    """Returns where the time went, and one advice; None: there is none that is known to help.

    Args:
        times: What the upload waited for; ``senders`` is the highest limit that PUTs had.
        latencies: How long PUTs took.
        puts: Which were sent again, and what their time depended on.
        load: What it was done with.
    """
    return _before(times) + _where(times, latencies), _advice(times, puts, load)


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


def _percent(shares: Mapping[str, float]) -> dict[str, int]:
    """Returns shares as whole numbers that add up to 100, in the same order."""
    shown = {stage: int(100 * share) for stage, share in shares.items()}
    missing = 100 - sum(shown.values()) if any(shares.values()) else 0
    for stage in sorted(shares, key=lambda one: shown[one] - 100 * shares[one])[:missing]:
        shown[stage] += 1
    return shown


def _before(times: StageTimes) -> str:
    if times.preparing <= _WORTH_A_WORD * (times.preparing + times.seconds):
        return ""
    return f"preparing the source {_time(times.preparing)}; the upload {_time(times.seconds)}: "


def _where(times: StageTimes, latencies: Latencies) -> str:
    shown = _percent(_shares(times)).items()
    waits = ", ".join(f"{stage} {share} %" for stage, share in shown if share)
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


def _advice(times: StageTimes, puts: Puts, load: Circumstances) -> str | None:
    if times.preparing + times.seconds + times.publishing < SHORTEST:
        return None
    if times.preparing > max(times.seconds, times.publishing):
        return (
            f"preparing the source took {_time(times.preparing)} and the upload "
            f"{_time(times.seconds)}: {_of_preparing(load)}"
        )
    if times.publishing > times.seconds:
        return (
            f"publishing took {_time(times.publishing)} and the upload {_time(times.seconds)}: "
            "the server's work on the dataset is the limit, which no option makes faster"
        )
    shares = _shares(times)
    stage, share = next(iter(shares.items()))
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
        remedy = _of_server(times, puts, load)
    return remedy and f"{_percent(shares)[stage]} % of the time waiting for {stage}: {remedy}"


def _of_preparing(load: Circumstances) -> str:
    remedies = []
    if load.copied:
        remedies.append(
            "a pipe was copied before it could be read, which a file is not; an Arrow stream is "
            "loaded as it comes"
        )
    if load.scanned:
        remedies.append("--csv-types sample looks only at the start of each CSV file")
    return "; ".join(remedies) or "a faster disk or network to the source"


def _of_encoding(times: StageTimes, load: Circumstances) -> str | None:
    if not load.compiled:
        return "install with a C++ compiler at hand, for the compiled encoder"
    if load.settings.orientation is Orientation.ROW:
        return "--orientation column is encoded faster"
    if times.encoders < _MOST_ENCODERS:
        cores = "one core" if times.encoders == 1 else f"{times.encoders} cores"
        return f"more cores (it has {cores}, and up to {_MOST_ENCODERS} encode)"
    return None


def _of_server(times: StageTimes, puts: Puts, load: Circumstances) -> str | None:
    settings = load.settings
    if settings.workflow is Workflow.ONE_REQUEST:
        return None
    again = puts.busy + puts.late
    if again >= _NOTABLE * (puts.count + again) and again:
        # Those under way together fail together, also when a server is away once.
        return _of_repeats(times.senders, puts, load) if again > times.senders else None
    if settings.ordering is Ordering.STRICT:
        several = "--ordering strict sends one at a time, as asked; --ordering windowed sends more"
        return several if puts.count > 1 else None
    if puts.count <= times.senders:
        return _of_few_chunks(puts.count, load)
    if settings.concurrency is None:
        return _of_auto(puts, load)
    return _of_asked(settings.concurrency, times, puts, load)


def _of_repeats(senders: int, puts: Puts, load: Circumstances) -> str:
    """What met a busy server, or was given up, is no reason to send more."""
    remedies = []
    late = puts.late >= puts.busy
    if late and load.rules.target // 2 >= SMALLEST_TARGET:
        remedies.append(f"--chunk-size {_option(load.rules.target // 2)}")
    if senders > 1:
        # What it came down to, or half.
        fewer = load.limit if load.limit < senders else senders // 2
        remedies.append(f"--concurrency {fewer}")
    why = "no answer came in time (504, timeouts)" if late else "it was too busy (429, 503)"
    again = puts.busy + puts.late
    found = f"{again} of {puts.count + again} PUTs were sent again because {why}"
    return f"{found}; {', or '.join(remedies)} may send less in vain" if remedies else found


def _of_few_chunks(chunks: int, load: Circumstances) -> str | None:
    """All of them were under way at once."""
    smaller = max(RECOMMENDED_LOW, load.rules.target // 2)
    if chunks >= MOST_CONCURRENT or smaller >= load.rules.target:
        return None
    there = "there is only one chunk" if chunks == 1 else f"there are only {chunks} chunks"
    return f"{there}; --chunk-size {_option(smaller)} makes more that go at once"


def _of_auto(puts: Puts, load: Circumstances) -> str | None:
    if load.reason is Reason.TRYING:
        if puts.busy + puts.late:
            return None
        return (
            "too few chunks for --concurrency auto to find the best number; "
            f"--concurrency {load.memory.concurrency} may be faster"
        )
    if load.reason in {Reason.MOST, Reason.STARVED} and load.memory.concurrency < MOST_CONCURRENT:
        return _more_memory(load)
    # Senders short of chunks, though nothing but the server was waited for: it was a near thing.
    if load.reason is Reason.STARVED:
        return None
    return (
        _at_the_most(load.limit, puts, load) if load.reason is Reason.MOST else _at_its_limit(load)
    )


def _of_asked(asked: int, times: StageTimes, puts: Puts, load: Circumstances) -> str | None:
    window = load.settings.window
    if window is not None and window < asked:
        return f"--window {window} holds PUTs back: leave it out"
    fitting = _fitting(load)
    if fitting < asked and _under_way(times) < _NEARLY_ALL * asked:
        return _more_memory(load, min(asked, MOST_CONCURRENT))
    if asked >= MOST_CONCURRENT:
        return _at_the_most(asked, puts, load)
    if fitting <= asked:
        return f"{_more_memory(load)}; and leave out --concurrency"
    return "raise --concurrency, or leave it out: auto finds the best number"


def _at_the_most(at_once: int, puts: Puts, load: Circumstances) -> str:
    """More were not tried: where what takes time is not a PUT's bytes, there are two ways on."""
    grows = puts.grows
    if grows or (grows is None and puts.waiting < _MOST_OF_IT):
        return _at_its_limit(load)
    remedies = [larger] if (larger := _larger_chunks(at_once, puts, load)) else []
    # With fewer chunks than two for each the last round would be a large part of the load.
    if at_once < _BEYOND <= min(_fitting(load), puts.count // 2):
        remedies.append(f"--concurrency {_BEYOND}")
    if not remedies:
        return _at_its_limit(load)
    what = (
        f"{100 * puts.waiting:.0f} % of a PUT's time comes after its last byte"
        if grows is None
        else "a PUT takes hardly longer with more bytes"
    )
    return f"{what}; {', or '.join(remedies)} may be faster"


def _larger_chunks(at_once: int, puts: Puts, load: Circumstances) -> str | None:
    """Returns the options for as large chunks as there may be if all of so many are to be busy."""
    memory = load.memory
    wanted = min(RECOMMENDED_HIGH, puts.json_bytes // at_once)
    if not _may_have_more(load):
        wanted = min(wanted, memory.json * 2 // (2 * at_once + 3))
    wanted = _rounded_down(wanted)
    if wanted < _LARGER * load.rules.target:
        return None
    enough = memory.total - memory.json + ChunkRules.of(wanted).hold + at_once * wanted
    more = f" with --memory {_option(enough)}" if enough > memory.total else ""
    return f"--chunk-size {_option(wanted)}{more}"


def _may_have_more(load: Circumstances) -> bool:
    """Whether --memory may grow: by default it is less only where the container has no more."""
    return load.settings.memory is not None or load.memory.total >= DEFAULT_MEMORY


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
    if _may_have_more(load):
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
    return size(-_rounded_down(-amount)).replace(" ", "")


def _rounded_down(amount: int) -> int:
    """Returns three digits of an amount, and at most the amount."""
    step: int = 10 ** max(0, len(str(abs(amount))) - 3)
    return amount // step * step
