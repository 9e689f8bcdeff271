"""Where chunks are cut and how memory is shared out: pure functions over sizes, no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loader.errors import UsageError
from loader.units import MB, size

__all__ = [
    "ONE_REQUEST",
    "ChunkRules",
    "Cutter",
    "MemoryPlan",
    "block_bytes",
    "plan_memory",
]

# Many-requests document, "Add data to the upload session", the tip on chunking.
RECOMMENDED_TARGET = 100 * MB
RECOMMENDED_LOW = 50 * MB
RECOMMENDED_HIGH = 200 * MB

ONE_REQUEST = 50 * MB
"""The most JSON that goes into one request: the documents advise chunks for more than that."""

SMALLEST_TARGET = 1 * MB
"""Where halving ends: a server that takes no body of that size takes no load."""

LARGEST_BLOCK = 4 * MB
SMALLEST_BLOCK = 16_000
_BLOCKS_A_CHUNK = 16


@dataclass(frozen=True, slots=True)
class ChunkRules:
    """The sizes of chunks, in bytes of decoded JSON.

    The documents recommend one chunk for at most 50 MB, and chunks of 50 to 200 MB, ideally 100 MB,
    beyond. A size of the user's own shifts all three in proportion.

    Attributes:
        target: The size wanted.
        low: No chunk is smaller, unless it is the only one.
        high: No chunk is larger, unless a single row is.
    """

    target: int = RECOMMENDED_TARGET
    low: int = RECOMMENDED_LOW
    high: int = RECOMMENDED_HIGH

    @classmethod
    def of(cls, chunk_size: int | None) -> ChunkRules:
        """Returns the rules for a size of the user's own, or the documents' for None."""
        if chunk_size is None:
            return cls()
        return cls(chunk_size, chunk_size // 2, chunk_size * 2)

    @classmethod
    def one_request(cls) -> ChunkRules:
        """Returns rules under which everything is one chunk, and a cut means that it is too much.

        The first byte beyond makes the first cut: what cannot be sent is found early.
        """
        return cls(target=ONE_REQUEST + 1, low=0, high=ONE_REQUEST)

    def halved(self, too_large: int) -> ChunkRules | None:
        """Returns rules for chunks of half the size, or None where they are small enough.

        Args:
            too_large: Bytes of a chunk that was too large, which may be less than the target.
        """
        target = max(SMALLEST_TARGET, min(self.target, too_large) // 2)
        return ChunkRules.of(target) if target < self.target else None

    @property
    def hold(self) -> int:
        """Bytes at hand before a cut: a cut near the target then leaves enough for a last chunk."""
        return self.target + self.low

    @property
    def guided(self) -> bool:
        """Whether the target lies within what the documents recommend."""
        return RECOMMENDED_LOW <= self.target <= RECOMMENDED_HIGH


def block_bytes(rules: ChunkRules) -> int:
    """Returns the estimated JSON bytes of one block, the piece of work of an encoder.

    Cuts fall between blocks, so a chunk has many; beyond 4 MB a block gains no speed.
    """
    return max(SMALLEST_BLOCK, min(LARGEST_BLOCK, rules.target // _BLOCKS_A_CHUNK))


class Cutter:
    """Decides, block after block, how many of them make the next chunk of one table.

    It always holds back what a last chunk needs: with less than ``rules.hold`` at hand nothing is
    cut, and a cut leaves at least ``rules.low``. Whatever the length of the stream, the last chunk
    is then not too small, and what is left at the end goes as one.
    """

    def __init__(self, rules: ChunkRules, overhead: int = 0) -> None:
        self._rules = rules
        self._overhead = overhead
        self._sizes: list[int] = []
        self._held = 0

    def feed(self, size: int) -> Iterator[int]:
        """Takes the size of the next block; yields how many blocks each finished chunk has."""
        self._sizes.append(size)
        self._held += size
        while self._held + self._overhead >= self._rules.hold and len(self._sizes) > 1:
            yield self._cut()

    def finish(self) -> Iterator[int]:
        """Yields the block counts of the last chunks; nothing for a table without rows."""
        while self._held + self._overhead > self._rules.high and len(self._sizes) > 1:
            yield self._cut()
        if self._sizes:
            yield len(self._sizes)
            self._sizes.clear()
            self._held = 0

    def _cut(self) -> int:
        """Removes the first blocks up to the best cut and returns their number."""
        best, best_cost = 1, None
        size = self._overhead
        for count, block in enumerate(self._sizes[:-1], start=1):
            size += block
            cost = self._cost(size, self._held + 2 * self._overhead - size)
            if best_cost is None or cost < best_cost:
                best, best_cost = count, cost
        self._held -= sum(self._sizes[:best])
        del self._sizes[:best]
        return best

    def _cost(self, size: int, rest: int) -> tuple[int, int, int]:
        """Ranks a cut: rules broken first (too large weighs more than too small), then distance."""
        rules = self._rules
        too_large = max(0, size - rules.high)
        too_small = max(0, rules.low - size) + max(0, rules.low - rest)
        return too_large, too_small, abs(size - rules.target)


# Measured with the group `memory` of the benchmarks; benchmarks/README.md has the figures.
BASE = 200 * MB
READER = 200 * MB
ENCODER = 25 * MB

MOST_CONCURRENT = 8


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a memory budget is shared out; the parts add up to at most ``total``.

    Attributes:
        total: The budget, in bytes.
        base: The interpreter and the libraries.
        reader: Buffers of the reader and the batches at hand.
        encoders: Work space of the encoding threads.
        json: Encoded JSON alive at once: held back, queued and in flight. It is the part that a
            pipeline enforces by waiting.
        concurrency: PUTs in flight at once.
    """

    total: int
    base: int
    reader: int
    encoders: int
    json: int
    concurrency: int

    def formula(self) -> str:
        """Returns the plan as a sum with numbers, for people."""
        parts = (
            f"{self.base / MB:.0f} MB base",
            f"{self.reader / MB:.0f} MB reader",
            f"{self.encoders / MB:.0f} MB encoders",
            f"{self.json / MB:.0f} MB JSON held back and in flight",
        )
        return f"{' + '.join(parts)} <= {self.total / MB:.0f} MB"


def plan_memory(
    memory: int, rules: ChunkRules, *, concurrency: int | None, encoders: int
) -> MemoryPlan:
    """Shares out a memory budget.

    Args:
        memory: All the memory the process may use, in bytes.
        rules: The chunk rules.
        concurrency: PUTs at once, or None for as many as the budget keeps busy, at most 8.
        encoders: Encoding threads.

    Raises:
        UsageError: The budget is too small for the chunk size.
    """
    block = block_bytes(rules)
    spent = BASE + READER + encoders * ENCODER
    json = memory - spent
    # A cut needs `hold` at hand while every encoder finishes one more block; then one chunk of up
    # to `hold` is in flight.
    least = rules.hold + (encoders + 1) * block
    if json < least:
        fitting = max(0, json - (encoders + 1) * LARGEST_BLOCK) * 2 // 3
        hint = f"raise --memory to {-(-(spent + least) // MB)}MB"
        if fitting > MB:
            hint += f", or lower --chunk-size to {fitting // MB}MB"
        raise UsageError(
            f"--memory {size(memory)} is too small for chunks of {size(rules.target)}",
            hint=hint,
        )
    if concurrency is None:
        concurrency = max(1, min(MOST_CONCURRENT, (json - rules.hold) // rules.target))
    return MemoryPlan(
        total=memory,
        base=BASE,
        reader=READER,
        encoders=encoders * ENCODER,
        json=json,
        concurrency=concurrency,
    )
