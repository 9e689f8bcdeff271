"""How far a load is: one model that every printer reads."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Phase", "Progress"]


class Phase(enum.StrEnum):
    """What a load is doing, in words a user knows."""

    READING = "reading the source"
    CONNECTING = "connecting"
    CHECKING_KEYS = "looking for duplicate keys"
    LOADING = "loading"
    PUBLISHING = "publishing"
    VERIFYING = "verifying"
    CLOSING = "closing"


@dataclass(slots=True)
class Progress:
    """Counters of a load; they only grow, until everything has to be sent again.

    Encoded, sent and accepted are kept apart: bytes handed to the network are not yet stored, and a
    body counts as accepted only with the server's 2xx.

    Attributes:
        phase: What is being done.
        rows_scanned: Rows seen while types of CSV files were decided or keys were checked.
        trouble: Why something has to be tried again; None: all goes well.
        rows_total: Rows of the source where known, else None.
        rows_encoded: Rows turned into JSON.
        rows_rejected: Rows left out because they cannot be loaded.
        rows_accepted: Rows the server has accepted.
        encoded_bytes: JSON made.
        sent_bytes: JSON handed to the network (its base64 is a third larger).
        accepted_bytes: JSON accepted by the server.
        earlier_bytes: What of that was sent by earlier processes of the job.
        chunks_cut: Chunks cut so far.
        chunks_accepted: Chunks accepted.
    """

    phase: Phase = Phase.READING
    rows_scanned: int = 0
    trouble: str | None = None
    rows_total: int | None = None
    rows_encoded: int = 0
    rows_rejected: int = 0
    rows_accepted: int = 0
    encoded_bytes: int = 0
    sent_bytes: int = 0
    accepted_bytes: int = 0
    earlier_bytes: int = 0
    chunks_cut: int = 0
    chunks_accepted: int = 0

    def start_over(self) -> None:
        """Counts from 0 again what belongs to one pass over the source."""
        self.rows_encoded = self.rows_rejected = self.rows_accepted = 0
        self.encoded_bytes = self.sent_bytes = self.accepted_bytes = self.earlier_bytes = 0
        self.chunks_cut = self.chunks_accepted = 0
