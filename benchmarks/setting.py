"""What groups are measured on: the files, and how much of everything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["FULL", "HERE", "ROOT", "TRIAL", "Amounts", "Files", "Setting"]

HERE = Path(__file__).parent
ROOT = HERE.parent


@dataclass(frozen=True, slots=True)
class Files:
    """The data.

    Attributes:
        lineitem: TPC-H lineitem, Parquet.
        csv: The same rows as CSV.
        large: The same table at a scale ten times as large.
        wide: A Parquet file whose only row group holds 2 GB.
    """

    lineitem: Path
    csv: Path
    large: Path
    wide: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """How much of everything.

    Attributes:
        vendor_rows: Rows for the vendor's client, whose memory grows with them.
        concurrencies: Settings of ``--concurrency``; None: the default.
        encoder_rows: Rows that are encoded over and over; as Python objects they take 1 kB each.
        encoder_passes: How often in one turn.
        sent_bytes: How much is sent where sending alone is measured.
        latency: Seconds added to each PUT where the time is spent waiting for the server.
        latency_rows: Rows sent there. With ``latency_chunk`` they make 64 chunks: a multiple of
            eight, because eight at once need as long for the last one as for eight.
        latency_chunk: ``--chunk-size`` there.
        latency_chunks: The chunks that have to come of it, at least.
        memory_latency: Seconds added to each PUT where memory is measured: then everything is in
            flight that may be.
        cap: What the server takes in, in MB a second, where it is the limit.
    """

    vendor_rows: int
    concurrencies: tuple[int | None, ...]
    encoder_rows: int
    encoder_passes: int
    sent_bytes: int
    latency: float
    latency_rows: int
    latency_chunk: str
    latency_chunks: int
    memory_latency: float
    cap: int


FULL = Amounts(
    vendor_rows=1_000_000,
    concurrencies=(None, 1, 2, 4),
    encoder_rows=200_000,
    encoder_passes=50,
    sent_bytes=953 << 20,
    latency=2.0,
    latency_rows=898_000,
    latency_chunk="2MB",
    latency_chunks=64,
    memory_latency=0.5,
    cap=50,
)

TRIAL = Amounts(
    vendor_rows=2_000,
    concurrencies=(None,),
    encoder_rows=2_000,
    encoder_passes=1,
    sent_bytes=16 << 20,
    latency=0.01,
    latency_rows=10_000,
    latency_chunk="40kB",
    latency_chunks=8,
    memory_latency=0.01,
    cap=50,
)
"""Shows that everything runs. The figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a group needs to know.

    Attributes:
        files: The data.
        amounts: How much of everything.
        scratch: A directory of this run's own.
        trial: Whether it is only to be seen that everything runs.
    """

    files: Files
    amounts: Amounts
    scratch: Path
    trial: bool
