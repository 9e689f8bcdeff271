"""Where the time of an upload goes: what it waits for, and when each chunk passed each stage."""

from __future__ import annotations

import enum
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

from loader.encode import Chunk

__all__ = [
    "ChunkTimes",
    "Latencies",
    "Limit",
    "Span",
    "StageTimes",
    "Timed",
    "Timing",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of time, in seconds since the upload began."""

    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.begin

    def joined(self, other: Span) -> Span:
        """Returns the piece from the earlier begin to the later end."""
        return Span(min(self.begin, other.begin), max(self.end, other.end))


class Timed(NamedTuple, Generic[T]):
    """What came of some work, and when it was done.

    Attributes:
        value: What came of it.
        span: From its begin to its end.
    """

    value: T
    span: Span


@dataclass(frozen=True, slots=True)
class ChunkTimes:
    """The way of one chunk.

    Attributes:
        table: The table's name.
        index: Its index within the table.
        rows: How many rows.
        json_bytes: Its decoded JSON.
        read: From asking for the first of its rows to having the last.
        encode: From the begin of its first block to the end of its last.
        put: From the first attempt to the server's 2xx.
        attempts: How often it was sent.
    """

    table: str
    index: int
    rows: int
    json_bytes: int
    read: Span
    encode: Span
    put: Span
    attempts: int


@dataclass(slots=True)
class StageTimes:
    """What an upload spent its time on, in seconds.

    ``reading``, ``encoding``, ``server`` and ``rate`` are what it had to wait for and add up to
    ``seconds``; the others are work, of which much goes on at once.

    Attributes:
        seconds: The upload: from the first read to the last 2xx.
        reading: Waiting for rows of the source.
        encoding: Waiting for JSON.
        server: Waiting for the server to accept chunks, the network included.
        rate: Waiting because of the user's own limit of the rate.
        reader_busy: The reading thread at work.
        encoder_busy: The encoding threads at work, all together.
        put_busy: PUTs under way, all together: divided by ``seconds`` their mean number.
        encoders: Encoding threads.
        senders: The most PUTs at once.
        publishing: From the call to publish to its end.
        preparing: Before the first request: opening the sources, with copies of pipes and scans of
            CSV files, and the journal.
    """

    seconds: float = 0.0
    reading: float = 0.0
    encoding: float = 0.0
    server: float = 0.0
    rate: float = 0.0
    reader_busy: float = 0.0
    encoder_busy: float = 0.0
    put_busy: float = 0.0
    encoders: int = 1
    senders: int = 1
    publishing: float = 0.0
    preparing: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Returns the figures by name."""
        return asdict(self)


class Latencies:
    """How long PUTs took, in a histogram of fixed size whose classes are 2 % wide."""

    _SHORTEST: Final = 1e-4
    _STEP: Final = math.log(1.02)

    def __init__(self) -> None:
        self._classes: dict[int, int] = {}
        self.count = 0

    def __repr__(self) -> str:
        return f"<Latencies of {self.count} PUTs, median {self.quantile(0.5):.3f} s>"

    def add(self, seconds: float) -> None:
        """Counts one."""
        place = round(math.log(max(seconds, self._SHORTEST) / self._SHORTEST) / self._STEP)
        self._classes[place] = self._classes.get(place, 0) + 1
        self.count += 1

    def quantile(self, share: float) -> float:
        """Returns the seconds that this share of the PUTs did not exceed, within 1 %; 0: of none.

        Args:
            share: From 0 to 1: 0.5 is the median.
        """
        left = max(1, math.ceil(share * self.count))
        for place in sorted(self._classes):
            left -= self._classes[place]
            if left <= 0:
                return self._SHORTEST * math.exp(place * self._STEP)
        return 0.0


class Limit(enum.Enum):
    """What an upload waits for."""

    READING = "reading"
    ENCODING = "encoding"
    SERVER = "server"


class _Passed(NamedTuple):
    end_row: int
    read: Span
    encode: Span


class Timing:
    """Measures one upload.

    What limits it is what the earliest stage that stands still waits for. The reader knows best:
    it is short of rows, or of memory because the server has not accepted what was sent. Where it
    merely waits for a place in the queue, or has come to its end, the cutter knows.

    Attributes:
        clock: Monotonic seconds; also called by the threads that read and encode.
        times: The figures so far.
        latencies: Of the PUTs that succeeded.
        timeline: The chunks, evenly thinned out; None: nobody wants them.
    """

    MOST_CHUNKS: Final = 4096

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, timeline: bool = False
    ) -> None:
        """Measures nothing yet.

        Args:
            clock: Monotonic seconds.
            timeline: Whether the times of each chunk are kept.
        """
        self.times = StageTimes()
        self.latencies = Latencies()
        self.timeline: list[ChunkTimes] | None = [] if timeline else None
        self.clock = clock
        self._began: float | None = None
        self._reader: Limit | None = None
        self._cutter: Limit | None = None
        self._throttled = 0
        self._since: float | None = None
        self._passed: deque[_Passed] = deque()
        self._under_way: dict[tuple[str, int], tuple[Span, Span]] = {}
        self._every = 1
        self._seen = 0

    def __repr__(self) -> str:
        return f"<Timing {self.times}>"

    # -- what is waited for ------------------------------------------------------------------------

    def begin(self) -> None:
        """Begins a pass over the source; there are several where one has to be repeated."""
        self._since = self.clock()
        if self._began is None:
            self._began = self._since
        self._reader, self._cutter = Limit.READING, None
        self._passed.clear()

    def end(self) -> None:
        """Ends it."""
        self._account()
        self._since = None

    def reader_waits(self, limit: Limit | None) -> None:
        """Notes what the reader waits for from now on; None: for nothing but the cutter."""
        self._account()
        self._reader = limit

    def cutter_waits(self, limit: Limit | None) -> None:
        """Notes what the cutter waits for from now on; None: it has come to its end."""
        self._account()
        self._cutter = limit

    def throttled(self, by: int) -> None:
        """Notes that one PUT more (1) or less (-1) is held up by the limit of the rate."""
        self._account()
        self._throttled += by

    def _account(self) -> None:
        """Books the time since the last change to what was waited for in it."""
        if self._since is None:
            return
        now = self.clock()
        seconds, self._since = now - self._since, now
        self.times.seconds += seconds
        limit = self._reader or self._cutter or Limit.SERVER
        if limit is Limit.READING:
            self.times.reading += seconds
        elif limit is Limit.ENCODING:
            self.times.encoding += seconds
        elif self._throttled:
            self.times.rate += seconds
        else:
            self.times.server += seconds

    # -- the way of a chunk ------------------------------------------------------------------------

    def timed(self, work: Callable[[], T]) -> Timed[T]:
        """Does some work, in whatever thread, and says when."""
        began = self._now()
        value = work()
        return Timed(value, Span(began, self._now()))

    def _now(self) -> float:
        """Returns the seconds since the upload began."""
        return self.clock() - (self._began or 0.0)

    def was_read(self, read: Span) -> None:
        """Counts the time of a reading, of which there may be nothing to send."""
        self.times.reader_busy += read.seconds

    def block(self, end_row: int, read: Span, encode: Span) -> None:
        """Notes when a block that is to be sent was read and encoded.

        Args:
            end_row: Where its rows end.
            read: When it was read.
            encode: When it was encoded.
        """
        self.times.encoder_busy += encode.seconds
        if self.timeline is not None:
            self._passed.append(_Passed(end_row, read, encode))

    def cut(self, chunk: Chunk) -> None:
        """Notes that a chunk is made of the blocks up to its end."""
        if self.timeline is None:
            return
        read = encode = None
        while self._passed and self._passed[0].end_row <= chunk.end_row:
            block = self._passed.popleft()
            read = block.read if read is None else read.joined(block.read)
            encode = block.encode if encode is None else encode.joined(block.encode)
        if read is not None and encode is not None:
            self._under_way[chunk.table, chunk.index] = (read, encode)

    def table_ends(self) -> None:
        """Notes that rows are counted from 0 again."""
        self._passed.clear()

    def answered(self, seconds: float) -> None:
        """Notes how long a PUT took that succeeded."""
        self.latencies.add(seconds)

    def accepted(self, chunk: Chunk, began: float, attempts: int) -> None:
        """Notes that the server has a chunk.

        Args:
            chunk: The chunk.
            began: When it was sent for the first time, by the clock.
            attempts: How often it was sent.
        """
        put = Span(began - (self._began or 0.0), self._now())
        self.times.put_busy += put.seconds
        spans = self._under_way.pop((chunk.table, chunk.index), None)
        if self.timeline is None or spans is None:
            return
        self._seen += 1
        if self._seen % self._every:
            return
        read, encode = spans
        self.timeline.append(
            ChunkTimes(
                table=chunk.table,
                index=chunk.index,
                rows=chunk.rows,
                json_bytes=chunk.json_bytes,
                read=read,
                encode=encode,
                put=put,
                attempts=attempts,
            )
        )
        if len(self.timeline) >= self.MOST_CHUNKS:
            # Every second one stays, and of those to come too.
            del self.timeline[::2]
            self._every *= 2
