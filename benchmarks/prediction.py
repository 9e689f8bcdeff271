"""Predicts how long a load takes from measured rates: the formula of docs/capacity.md."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from itertools import accumulate

from loader.job.publish import intervals
from loader.planning import ChunkRules, plan_memory
from loader.units import MB

__all__ = ["WIRE", "Limit", "Load", "Prediction", "Rates", "predict"]

WIRE = 4 / 3
"""Bytes of a PUT's body for each byte of its JSON: base64; the envelope has some hundred bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What was measured of a host, a network and a server; infinite: never the limit.

    Attributes:
        host: JSON that the host makes where nothing waits for the server, MB (10**6 bytes) a
            second: H.
        bandwidth: Bodies that the network carries, all PUTs together, MB a second: B.
        ingest: JSON that the server takes in, all PUTs together, MB a second: R.
        stream: JSON of a single PUT that the server takes in, MB a second: r.
        latency: What a PUT takes whatever its size, in seconds: L.
        publish_time: What a publish takes whatever its size, in seconds.
        publish_rate: JSON that a publish gets through, MB a second.
    """

    host: float
    bandwidth: float = math.inf
    ingest: float = math.inf
    stream: float = math.inf
    latency: float = 0.0
    publish_time: float = 0.0
    publish_rate: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is to be loaded, and with which settings.

    Attributes:
        json: JSON in all, MB: J.
        chunk: ``--chunk-size``, MB: S.
        concurrency: ``--concurrency``; None: ``auto`` where it finds that more are faster, or no
            slower.
        memory: ``--memory``, MB.
        encoders: Encoding threads: one a core, at most 4.
    """

    json: float
    chunk: float = 100.0
    concurrency: int | None = None
    memory: float = 1000.0
    encoders: int = 4


class Limit(enum.StrEnum):
    """What more of would make the upload faster."""

    HOST = "host"
    NETWORK = "network"
    INGEST = "server in all"
    PUTS = "PUTs at once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """How a load will go; seconds.

    Attributes:
        chunks: How many there are: c.
        at_once: PUTs at once that memory and chunks allow: n.
        put: A PUT of a full chunk that has network and server to itself: t.
        upload: From the first read to the last 2xx: U.
        publish: From the call to publish to the look that finds it done: P.
        limit: What bounds the upload.
    """

    chunks: int
    at_once: int
    put: float
    upload: float
    publish: float
    limit: Limit

    @property
    def seconds(self) -> float:
        """Upload and publish."""
        return self.upload + self.publish


def predict(load: Load, rates: Rates) -> Prediction:
    """Returns how a load will go: the formula of docs/capacity.md, in its letters.

    Raises:
        UsageError: The memory is too small for the chunks.
    """
    J, S, H = load.json, load.chunk, rates.host  # noqa: N806 - the document's letters
    plan = plan_memory(
        round(load.memory * MB),
        ChunkRules.of(round(S * MB)),
        concurrency=load.concurrency,
        encoders=load.encoders,
    )
    M = plan.json / MB  # noqa: N806
    c = max(1, math.floor(J / S + 0.5))
    n = min(plan.concurrency, math.floor(M / S - 0.5), c)

    D = WIRE * S / rates.bandwidth  # noqa: N806
    slope = WIRE / rates.bandwidth + 1 / min(rates.stream, rates.ingest)
    t = rates.latency + slope * S
    g = max(0.0, (n + 1.5) * S - M) / H if c > n else 0.0
    turn = _shared(n, D, t - D) + g
    s = max(D, S / rates.ingest)
    T = max(n * s, turn)  # noqa: N806

    def ready(i: int) -> float:
        """When chunk i, counted from 0, can be sent: a cut needs half a chunk more at hand."""
        return min((i + 1.5) * S, J) / H

    def end(i: int) -> float:
        """When the answer to chunk i comes: the j-th of the wave after m full ones."""
        m, j = divmod(i, n)
        begin = max(ready(i), ready(j) + m * T, ready(0) + m * T + j * s)
        size = S if i < c - 1 else J - (c - 1) * S
        return begin + rates.latency + slope * size

    bounds = {
        Limit.HOST: H,
        Limit.NETWORK: rates.bandwidth / WIRE,
        Limit.INGEST: rates.ingest,
        Limit.PUTS: n * S / turn if turn else math.inf,
    }
    return Prediction(
        chunks=c,
        at_once=n,
        put=t,
        # The last chunk has between half and one and a half of S: the one before may end later.
        upload=max(end(i) for i in range(max(0, c - 2), c)),
        publish=_seen(rates.publish_time + J / rates.publish_rate),
        limit=min(bounds, key=bounds.__getitem__),
    )


def _shared(n: int, wire: float, rest: float) -> float:
    """Returns how long a PUT takes beside others that use the same network.

    That is mean value analysis of one queue that all share: a PUT finds there what one PUT less
    would have left on average. It lies between PUTs that never meet and PUTs that go in step.

    Args:
        n: PUTs at once.
        wire: Seconds on the network, alone.
        rest: Seconds elsewhere.
    """
    waiting = 0.0
    for k in range(1, n + 1):
        passing = wire * (1 + waiting)
        waiting = k * passing / (passing + rest) if passing else 0.0
    return passing + rest


def _seen(seconds: float) -> float:
    """Returns when the end of a publish is seen: at the first of the loader's looks after it."""
    if not seconds:
        return 0.0
    return next(look for look in accumulate(intervals()) if look >= seconds)
