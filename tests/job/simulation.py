"""A load in simulated time: senders that a tuner directs, a source, and servers of many kinds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

CHUNK = 100_000_000

# Events closer together than this happen at once.
_EPSILON = 1e-9


@dataclass(frozen=True)
class Server:
    """What the other side does.

    Attributes:
        latency: Seconds that a PUT takes beside its transfer, by the time that is when it begins.
        total: Chunks a second that all transfers together get, by their number and the time;
            None: they take no time.
        single: Chunks a second that one transfer gets at most.
        pool: Transfers that go on at once: further ones wait, first come, first served.
        jitter: By what share each PUT varies, up and down.
        refuses: Whether an attempt fails, by how many others are under way and how many were made
            before.
    """

    latency: Callable[[float], float] = lambda _: 0.0
    total: Callable[[int, float], float] | None = None
    single: float = math.inf
    pool: int | None = None
    jitter: float = 0.0
    refuses: Callable[[int, int], bool] = lambda _under_way, _sent: False


@dataclass
class Put:
    """A PUT: first it is transferred, then the server thinks; after a failure it pauses."""

    began: float
    transfer: float = 0.0
    thinking: float = 0.0
    pause: float = 0.0
    fails: bool = False


@dataclass
class Found:
    """What came of a load.

    Attributes:
        seconds: How long it took.
        limits: The limit after each chunk.
        failures: How many attempts failed.
    """

    seconds: float
    limits: list[int]
    failures: int


class Load:
    """Sends chunks as a tuner says: see ``load``."""

    def __init__(self, tuner, server: Server, chunks: int, *, most, produce, first, seed) -> None:
        self.tuner = tuner
        self.server = server
        self.chunks = chunks
        self.most = most
        self.produce = produce
        self.draw = random.Random(seed)
        self.now = 0.0
        self.ready_at = first + produce
        self.produced = self.queue = self.sent = self.failures = 0
        self.puts: list[Put] = []
        self.starved = False
        self.limits: list[int] = []

    def run(self) -> Found:
        for _ in range(100_000):
            self.begin()
            if len(self.limits) == self.chunks:
                return Found(self.now, self.limits, self.failures)
            self.pass_time()
            self.end()
        raise AssertionError(f"stuck: {self.tuner!r}")

    def begin(self) -> None:
        """Makes the chunks that are due, and begins the PUTs that are allowed."""
        while self.is_producing() and self.now >= self.ready_at - _EPSILON:
            self.queue += 1
            self.produced += 1
            self.ready_at = max(self.now, self.ready_at) + self.produce
        while self.queue and len(self.puts) < self.tuner.limit:
            self.queue -= 1
            put = Put(self.now)
            self.attempt(put)
            self.puts.append(put)
        if len(self.puts) < self.tuner.limit:
            if self.produced == self.chunks:
                self.tuner.exhausted()
            else:
                self.starved = True

    def is_producing(self) -> bool:
        return self.produced < self.chunks and self.queue < self.most

    def attempt(self, put: Put) -> None:
        work = 1 + self.server.jitter * self.draw.uniform(-1, 1)
        others = sum(1 for other in self.puts if other is not put and not other.pause)
        put.fails = self.server.refuses(others, self.sent)
        self.sent += 1
        put.thinking = 0.5 if put.fails else self.server.latency(self.now) * work
        put.transfer = 0.0 if put.fails or self.server.total is None else work

    def moving(self) -> list[Put]:
        """Returns what is being transferred."""
        return [put for put in self.puts if put.transfer][: self.server.pool]

    def rate(self) -> float:
        """Returns the chunks a second of one transfer."""
        moving = len(self.moving())
        if not moving or self.server.total is None:
            return 0.0
        return min(self.server.single, self.server.total(moving, self.now) / moving)

    def pass_time(self) -> None:
        """Goes on to the next event."""
        rate, moving = self.rate(), self.moving()
        waits = [put.transfer / rate for put in moving]
        waits += [put.pause or put.thinking for put in self.puts if not put.transfer]
        if self.is_producing():
            waits.append(max(0.0, self.ready_at - self.now))
        step = min(waits)
        self.now += step
        for put in self.puts:
            if put.pause:
                put.pause = rest(put.pause, step)
                if not put.pause:
                    self.attempt(put)
            elif put.transfer:
                if any(put is other for other in moving):
                    put.transfer = rest(put.transfer, rate * step)
            else:
                put.thinking = rest(put.thinking, step)

    def end(self) -> None:
        """Tells the tuner of the attempts that have ended."""
        for put in [put for put in self.puts if not (put.pause or put.transfer or put.thinking)]:
            if put.fails:
                self.failures += 1
                put.pause = 1.0
                self.tuner.failed(self.now, began=put.began)
            else:
                self.puts.remove(put)
                self.tuner.accepted(self.now, CHUNK, began=put.began, starved=self.starved)
                self.limits.append(self.tuner.limit)
                self.starved = False


def rest(amount: float, less: float) -> float:
    return amount - less if amount - less > _EPSILON else 0.0


def load(
    tuner, server: Server, chunks: int, *, most: int = 8, produce=0.0, first=0.0, seed: int = 0
) -> Found:
    """Sends chunks as a tuner says.

    Args:
        tuner: Directs it.
        server: Takes them.
        chunks: How many.
        most: Places in the queue before the senders.
        produce: Seconds that the source takes for each.
        first: Seconds before it begins.
        seed: Of the jitter.
    """
    return Load(tuner, server, chunks, most=most, produce=produce, first=first, seed=seed).run()
