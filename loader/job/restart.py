"""Whether a load whose upload session is of no more use begins again: decisions alone."""

from __future__ import annotations

from dataclasses import dataclass

from loader.encode import Chunk
from loader.errors import LoaderError, NotFound
from loader.job.publish import SessionLost
from loader.planning import ChunkRules
from loader.units import MB, size

__all__ = ["MOST_LOSSES", "Restarts", "StartOver"]

MOST_LOSSES = 3
"""How often a load goes on after losing its upload session: a server that loses every one of them
must not be sent the same data for ever."""

_CONTENT_TOO_LARGE = 413


class StartOver(Exception):
    """Ends one pass over the source, because everything is to be sent again.

    Attributes:
        reason: What made it necessary, in words: an error would hold on to its chunk.
        lost: Whether the server has lost the upload session, so that there is none to delete.
        rules: Where chunks are cut from now on; None: where they were.
    """

    def __init__(self, reason: str, *, lost: bool = False, rules: ChunkRules | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lost = lost
        self.rules = rules

    def let_go(self) -> None:
        """Forgets where it came from: tracebacks, in cycles, hold on to chunks of 100 MB."""
        self.__traceback__ = self.__context__ = None


@dataclass(slots=True)
class Restarts:
    """Decides which errors end a pass and not the load; ``note`` keeps count.

    Attributes:
        rereadable: Whether the source can be read again from its beginning.
        losses: Upload sessions that were lost.
        last_loss: What the server said the last time.
        too_large: Chunk sizes that were too large for the server, in the order they were tried.
        reasons: What else made it necessary.
    """

    rereadable: bool
    losses: int = 0
    last_loss: str | None = None
    too_large: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()

    def after_chunk(self, error: LoaderError, chunk: Chunk, rules: ChunkRules) -> StartOver | None:
        """Returns what follows from a chunk that could not be sent; None: the load has failed."""
        if error.details.get("status") == _CONTENT_TOO_LARGE:
            return self._after_too_large(error, chunk, rules)
        return self.after_loss(error)

    def after_loss(self, error: LoaderError) -> StartOver | None:
        """Returns what follows when the server says that it knows no such upload session."""
        if not isinstance(error, NotFound | SessionLost):
            return None
        if not self.rereadable:
            error.add(
                "the upload session was lost, and the source cannot be read a second time to be "
                "sent again"
            )
            error.hint = (
                "nothing was published; run the load again from the beginning of its source. From "
                "files or a table everything would have been sent again without being asked"
            )
            return None
        if self.losses >= MOST_LOSSES:
            error.add(f"the server has lost {self.losses + 1} upload sessions of this load")
            error.hint = "nothing was published; does something end sessions on the server?"
            return None
        return StartOver(error.message, lost=True)

    def _after_too_large(
        self, error: LoaderError, chunk: Chunk, rules: ChunkRules
    ) -> StartOver | None:
        smaller = rules.halved(chunk.json_bytes)
        if smaller is None:
            return None
        if chunk.rows == 1:
            error.hint = "nothing was published; a single row is too large for the server"
            return None
        if not self.rereadable:
            error.add("smaller chunks would need the source to be read a second time")
            error.hint = (
                f"nothing was published; run the load again with --chunk-size {_option(smaller)}"
            )
            return None
        return StartOver(error.message, rules=smaller)

    def note(self, again: StartOver, rules: ChunkRules) -> None:
        """Counts a pass that has ended: once, however many chunks were under way when it did.

        Args:
            again: Why.
            rules: Those that it had.
        """
        if again.lost:
            self.losses += 1
            self.last_loss = again.reason
        elif again.rules is not None:
            self.too_large = (*self.too_large, rules.target)
        else:
            self.reasons = (*self.reasons, again.reason)

    def warnings(self, rules: ChunkRules) -> list[str]:
        """Returns what the user should know; ``rules`` are those of the last pass."""
        warnings = [f"everything was sent again: {reason}" for reason in self.reasons]
        if self.last_loss is not None:
            times = "once" if self.losses == 1 else f"{self.losses} times"
            warnings.append(
                f"the server lost the upload session {times}: a new one was opened and everything "
                f"was sent again; what it said: {self.last_loss}"
            )
        if self.too_large:
            tried = ", then ".join(map(size, self.too_large))
            warnings.append(
                f"chunks of {tried} were too large for the server or a proxy before it (HTTP 413): "
                f"everything was sent again in chunks of {size(rules.target)}; "
                f"--chunk-size {_option(rules)} does so from the start"
            )
        return warnings


def _option(rules: ChunkRules) -> str:
    """Returns the chunk size as the option takes it."""
    return f"{rules.target / MB:.3g}MB"
