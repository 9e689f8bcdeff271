"""A network that fails: a TCP proxy on loopback that cuts, delays, throttles and refuses."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

__all__ = ["CUTS", "Direction", "Kind", "Plan", "Trouble", "Weather", "Wire", "calm"]

T = TypeVar("T")

_HOST = "127.0.0.1"
_BLOCK = 1 << 14
_LIMIT = 30.0
"""Seconds that starting or stopping may take."""
_LINGER = struct.pack("ii", 1, 0)
"""``SO_LINGER`` for no seconds: closing sends RST in place of FIN."""


class Direction(enum.Enum):
    """Which way bytes go."""

    UP = "up"
    """From the client to the server."""
    DOWN = "down"
    """From the server to the client."""


class Kind(enum.Enum):
    """What happens to a connection."""

    RESET = "reset"
    """Both ends get RST."""
    CLOSE = "close"
    """Both ends get FIN, as from a proxy that ends in order."""
    DELAY = "delay"
    """Each block waits for ``seconds``."""
    THROTTLE = "throttle"
    """At most ``rate`` bytes a second."""
    REFUSE = "refuse"
    """It is reset at once, and nobody listens any more for ``seconds``."""


CUTS = (Kind.RESET, Kind.CLOSE, Kind.REFUSE)
"""What ends a connection before its time."""
_MIDWAY = (Kind.RESET, Kind.CLOSE)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What one connection suffers.

    Attributes:
        kind: What it is.
        direction: Which bytes are counted, cut off or held up.
        after: It begins after so many of them.
        seconds: Of a delay, for each block; of a refusal, as a whole.
        rate: Bytes a second, of a throttle.
    """

    kind: Kind
    direction: Direction = Direction.UP
    after: int = 0
    seconds: float = 0.0
    rate: int = 0


Plan = Callable[[int], Sequence[Trouble]]
"""What the n-th connection, from 0, is to suffer."""


def calm(_: int) -> Sequence[Trouble]:
    """The plan of a network that works."""
    return ()


@dataclass(frozen=True, slots=True)
class Weather:
    """A plan that is drawn: the same seed and the same number of a connection, the same trouble.

    Attributes:
        seed: What it is drawn with.
        cut: The share of connections that are cut, by RST or FIN.
        slow: The share that is delayed; as many are throttled.
        refuse: The share that is turned away.
        reach: Cuts in a body come before so many bytes, small ones more often.
        last: From this connection on all is well, so that a load can end.
    """

    seed: int
    cut: float = 0.0
    slow: float = 0.0
    refuse: float = 0.0
    reach: int = 200_000
    last: int = 40

    def __call__(self, number: int) -> Sequence[Trouble]:
        """Returns what a connection is to suffer."""
        if number >= self.last:
            return ()
        draw = random.Random(f"{self.seed}/{number}")
        if draw.random() < self.refuse:
            return [Trouble(Kind.REFUSE, seconds=draw.uniform(0.05, 0.3))]
        found = []
        direction = draw.choice(list(Direction))
        if draw.random() < self.cut:
            # Answers are shorter than bodies.
            reach = self.reach if direction is Direction.UP else 2000
            after = int(reach * draw.random() ** 2)
            found.append(Trouble(draw.choice(_MIDWAY), direction, after))
        if draw.random() < self.slow:
            found.append(Trouble(Kind.DELAY, direction, seconds=draw.uniform(0.002, 0.03)))
        if draw.random() < self.slow:
            found.append(Trouble(Kind.THROTTLE, rate=draw.randrange(500_000, 3_000_000)))
        return found


class _Cut(Exception):
    """The connection ends here."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(eq=False)
class _Pipe:
    """One connection.

    Attributes:
        troubles: What it is still to suffer.
        writers: Its ends, as far as they are open.
        suffered: What it has suffered and was counted.
    """

    troubles: list[Trouble]
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    suffered: set[Trouble] = field(default_factory=set)

    def of(self, direction: Direction, *kinds: Kind) -> Trouble | None:
        """Returns the first trouble of these kinds in that direction."""
        fitting = (one for one in self.troubles if one.direction is direction and one.kind in kinds)
        return next(fitting, None)


class Wire:
    """Forwards connections to a port of loopback; a context manager with a thread of its own.

    It knows nothing of what it carries, so TLS goes through it as well.

    Args:
        target: The port of the server, which may come and go.
        plan: What connections suffer.

    Attributes:
        port: Where it listens.
        fired: How often each kind of trouble happened, not how often it was planned.
        connections: How many were accepted.
        passed: Bytes that went through, by direction.
    """

    def __init__(self, target: int, plan: Plan = calm) -> None:
        self._target = target
        self._plan = plan
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)
        self._open: dict[_Pipe, asyncio.Task[None]] = {}
        self._listener: asyncio.Server | None = None
        self._reopening: asyncio.TimerHandle | None = None
        self.port = 0
        self.fired: Counter[str] = Counter()
        self.connections = 0
        self.passed: Counter[Direction] = Counter()

    def __repr__(self) -> str:
        return f"<Wire {self.port} to {self._target}, {self.connections} connections>"

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._call(self._listen())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._call(self._close())
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_LIMIT)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT)

    def change(self, plan: Plan) -> None:
        """Lets new connections suffer otherwise; those that are open suffer no more."""
        self._call(self._change(plan))

    # -- in its own thread -------------------------------------------------------------------------

    async def _change(self, plan: Plan) -> None:
        self._plan = plan
        for pipe in self._open:
            pipe.troubles.clear()
        if self._reopening is not None:
            self._reopening.cancel()
            await self._listen()

    async def _listen(self) -> None:
        self._reopening = None
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, _HOST, self.port)
            self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._stop_listening()
        if self._reopening is not None:
            self._reopening.cancel()
        tasks = list(self._open.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pipe = _Pipe(list(self._plan(self.connections)), [writer])
        self.connections += 1
        task = self._loop.create_task(self._serve(pipe, reader, writer))
        self._open[pipe] = task
        task.add_done_callback(lambda _: self._open.pop(pipe))

    async def _serve(
        self, pipe: _Pipe, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        reset = True
        try:
            self._turn_away(pipe)
            back, there = await asyncio.open_connection(_HOST, self._target)
            pipe.writers.append(there)
            await self._both_ways(
                self._pump(pipe, Direction.UP, reader, there),
                self._pump(pipe, Direction.DOWN, back, writer),
            )
            reset = False
        except OSError:
            pass  # one end has gone, or is not there: so it is for the other
        except _Cut as cut:
            reset = cut.kind is not Kind.CLOSE
        finally:
            await _shut(pipe.writers, reset=reset)

    def _turn_away(self, pipe: _Pipe) -> None:
        for trouble in pipe.troubles:
            if trouble.kind is Kind.REFUSE and self._reopening is None:
                self._count(pipe, trouble)
                self._stop_listening()
                self._reopening = self._loop.call_later(
                    trouble.seconds, lambda: self._loop.create_task(self._listen())
                )
                raise _Cut(trouble.kind)

    @staticmethod
    async def _both_ways(*pumps: Coroutine[Any, Any, None]) -> None:
        tasks = [asyncio.ensure_future(pump) for pump in pumps]
        try:
            # The first one that fails ends it; one that has nothing more to carry does not.
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(
        self,
        pipe: _Pipe,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        passed = 0
        while True:
            cut = pipe.of(direction, *_MIDWAY)
            if cut is not None and passed >= cut.after:
                self._count(pipe, cut)
                raise _Cut(cut.kind)
            throttle = pipe.of(direction, Kind.THROTTLE)
            most = _BLOCK if throttle is None else max(1, min(_BLOCK, throttle.rate // 50))
            if cut is not None:
                most = min(most, cut.after - passed)
            block = await reader.read(most)
            if not block:
                break
            for trouble in (pipe.of(direction, Kind.DELAY), throttle):
                if trouble is not None and passed >= trouble.after:
                    self._count(pipe, trouble)
                    seconds = len(block) / trouble.rate if trouble.rate else trouble.seconds
                    await asyncio.sleep(seconds)
            writer.write(block)
            await writer.drain()
            passed += len(block)
            self.passed[direction] += len(block)
        with contextlib.suppress(OSError):
            writer.write_eof()

    def _count(self, pipe: _Pipe, trouble: Trouble) -> None:
        """Counts a trouble, once for each connection that suffers it."""
        if trouble not in pipe.suffered:
            pipe.suffered.add(trouble)
            self.fired[trouble.kind.value] += 1


async def _shut(writers: Sequence[asyncio.StreamWriter], *, reset: bool) -> None:
    """Closes both ends, the ones that were to have more data at once."""
    for writer in writers:
        if reset:
            end: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
            writer.transport.abort()
        else:
            writer.close()
    for writer in writers:
        try:
            await writer.wait_closed()
        except OSError:
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
