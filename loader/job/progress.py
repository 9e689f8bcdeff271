"""How far a load is: one model that every printer reads."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["Phase", "Progress"]


class Phase(enum.StrEnum):
    """What a load is doing, in words a user knows."""

    READING = "reading the source"
    CONNECTING = "connecting"
    LOADING = "loading"
    PUBLISHING = "publishing"
    VERIFYING = "verifying"
    CLOSING = "closing"


@dataclass(slots=True)
class Progress:
    """Counters of a load; they only grow.

    Encoded, sent and accepted are kept apart: bytes handed to the network are not yet stored, and a
    body counts as accepted only with the server's 2xx.

    Attributes:
        phase: What is being done.
        rows_scanned: Rows seen while the types of CSV files were decided.
        trouble: What keeps a publish from being seen, while the server cannot be asked.
        rows_total: Rows of the source where known, else None.
        rows_encoded: Rows turned into JSON.
        rows_rejected: Rows left out because they cannot be loaded.
        rows_accepted: Rows the server has accepted.
        encoded_bytes: JSON made.
        sent_bytes: JSON handed to the network (its base64 is a third larger).
        accepted_bytes: JSON accepted by the server.
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
    chunks_cut: int = 0
    chunks_accepted: int = 0
