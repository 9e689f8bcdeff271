"""Loads that never were, and what is advised after them."""

from __future__ import annotations

from loader.errors import Unavailable, Unreachable
from loader.job.advice import Circumstances, advice
from loader.job.puts import Puts
from loader.job.settings import LoadSettings
from loader.job.timing import Latencies, StageTimes
from loader.job.tuner import Reason
from loader.planning import ChunkRules, plan_memory
from loader.units import MB

FLAT = (Reason.FLAT, "3 PUTs at once: 4 brought no more")
FAILED = (Reason.FAILED, "4 PUTs at once: the server failed at 5")
TRYING = (Reason.TRYING, "6 PUTs at once: the load was too short to find out")
MOST = (Reason.MOST, "8 PUTs at once: the most there may be")
STARVED = (Reason.STARVED, "4 PUTs at once: reading and encoding could not keep more busy")
ASKED = (Reason.ASKED, "1 PUT at once: as asked")

SERVER = {"server": 84.0, "reading": 9.0, "encoding": 7.0}
READING = {"server": 10.0, "reading": 70.0, "encoding": 20.0}
ENCODING = {"server": 10.0, "reading": 20.0, "encoding": 70.0}


def times(waits: dict[str, float], *, under_way=3.7, senders=4, **more) -> StageTimes:
    seconds = sum(waits.values())
    return StageTimes(
        **waits, seconds=seconds, put_busy=under_way * seconds, senders=senders, **more
    )


def latencies(count: int, seconds: float = 2.0) -> Latencies:
    found = Latencies()
    for _ in range(count):
        found.add(seconds)
    return found


BUSY = Unavailable("Busy.", status=503)
TOO_MANY = Unavailable("Too many.", status=429)
CUT_OFF = Unavailable("Cut off.", status=504)
SILENT = Unreachable("No answer.", phase="answer")


def puts(count: int, each=100 * MB, *, seconds=2.0, waiting=0.0, again=()) -> Puts:
    """PUTs of the same size, or of those given in turn; ``seconds`` may depend on the size."""
    found = Puts()
    sizes = [each] if isinstance(each, int) else each
    for n in range(count):
        size = sizes[n % len(sizes)]
        taken = seconds(size) if callable(seconds) else seconds
        found.answered(size, taken, waiting * taken)
    for failure in again:
        found.sent_again(failure)
    return found


def load(
    found=ASKED, *, memory=1000 * MB, encoders=2, compiled=True, container=False, **wanted
) -> Circumstances:
    settings = LoadSettings(memory=None if container else memory, **wanted)
    rules = ChunkRules.of(settings.chunk_size)
    return Circumstances(
        settings=settings,
        rules=rules,
        memory=plan_memory(memory, rules, concurrency=settings.concurrency, encoders=encoders),
        reason=found[0],
        why=found[1],
        limit=settings.concurrency or int(found[1].split()[0]),
        compiled=compiled,
    )


def said(waits, circumstances, *, chunks=64, went=None, **more) -> str | None:
    went = went or puts(chunks)
    return advice(times(waits, **more), latencies(went.count), went, circumstances)[1]


def of_server(*arguments, **more) -> str | None:
    found = said(SERVER, *arguments, **more)
    return found and found.removeprefix("84 % of the time waiting for the server: ")
