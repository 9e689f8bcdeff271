"""What both workflows of a load share: counters, the way of rows to the server, counting them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final, Protocol

from loader.api import Client, Connection
from loader.encode import Chunk
from loader.errors import Interrupted, LoaderError, VerificationFailed
from loader.job.cuts import Cut
from loader.job.dataset import Target
from loader.job.journal import Steps, Unjournalled
from loader.job.keys import check_keys
from loader.job.limits import Throttle
from loader.job.pipeline import Pipeline
from loader.job.prepare import Prepared, share_out
from loader.job.progress import Phase, Progress
from loader.job.puts import Puts
from loader.job.rejects import Rejects
from loader.job.result import Amount, Result, TableResult
from loader.job.sending import Send
from loader.job.settings import LoadSettings, OnBadRow, Ordering, UpdatePolicy, Workflow
from loader.job.timing import Timing
from loader.job.tuner import FIRST, Fixed, Tuner
from loader.job.verify import SentTable, count_before, verify
from loader.model import DatasetModel
from loader.planning import ChunkRules, block_bytes
from loader.units import size

__all__ = ["Running", "Workload"]

NO_CUTS: Final[Mapping[str, Sequence[Cut]]] = {}

# A server that is gone must not keep a failed load from ending.
CLOSING_TIMEOUT = 20.0


class Workload(Protocol):
    """The part of a load that the workflow decides: from the project to the published data."""

    def leaves_open(self, error: BaseException | None, /) -> bool:
        """Whether an end leaves everything as it is, for a later process to go on."""

    @property
    def lost(self) -> str | None:
        """What is lost already if nothing gets published, for a warning."""

    async def run(self, client: Client, closing: AsyncExitStack, /) -> None:
        """Loads, publishes and verifies; what it makes on the server it registers to be closed."""

    def stopped_in_publish(self) -> Interrupted:
        """Returns what being stopped in the middle of the publish means."""

    def stopped_at_once(self) -> Interrupted:
        """Returns what the end of the process, in the middle of whatever is done, means."""


class Running:
    """One running load: what it was asked for, how far it is, and what is the same in any workflow.

    Attributes:
        prepared: Sources, model and sizes.
        connection: The server.
        progress: Its counters.
        result: Its result so far.
        clock: Monotonic seconds.
        sleep: Waits.
        draw: Random numbers from 0 to 1.
        journal: Where its steps are written down.
        timing: Measures it.
        puts: How its PUTs went.
        tuner: Says how many PUTs there are at once.
    """

    def __init__(
        self,
        prepared: Prepared,
        connection: Connection,
        progress: Progress,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        journal: Steps | None = None,
        timeline: bool = False,
    ) -> None:
        self.prepared = prepared
        self.settings = prepared.settings
        self.connection = connection
        self.progress = progress
        self.clock = clock
        self.sleep = sleep
        self.draw = draw
        self.journal: Steps = journal or Unjournalled()
        self.result = Result(
            dataset=prepared.model.name,
            job=self.journal.job,
            tables=[TableResult(table.name) for table, _ in prepared.tables],
            warnings=list(prepared.warnings),
        )
        stages = prepared.stages
        self.timing = Timing(clock, timeline=timeline)
        self.timing.times.encoders = stages.encoders
        self.puts = Puts()
        self.tuner = _tuner(self.settings, stages.senders)
        self._passes = 0
        self.result.times = self.timing.times
        self.result.latencies = self.timing.latencies
        self.result.timeline = self.timing.timeline
        self._shares = {table.name: table for table in self.result.tables}
        rate = self.settings.max_rate
        self._throttle = Throttle(rate, clock=clock, sleep=sleep) if rate else None
        self._rejects: Rejects | None = None
        self._pipeline: Pipeline | None = None
        self._drained = asyncio.Event()
        self._pumped: list[str] = []

    def fit(self, target: Target) -> None:
        """Goes on with the model as the dataset takes it."""
        stale = self.prepared.warnings
        self.prepared = self.prepared.with_model(target.model)
        kept = [warning for warning in self.result.warnings if warning not in stale]
        self.result.warnings[:] = [*self.prepared.warnings, *kept]

    async def check_keys(self, model: DatasetModel) -> None:
        """Looks for rows that share a key of the model, if the user wants it.

        To be called before anything is made or changed on the server. Cancelled, it ends the search
        too, which removes its temporary files.

        Raises:
            DuplicateKeys: There are some.
            UsageError: It cannot be found out.
        """
        if not self.settings.check_keys:
            return
        phase, self.progress.phase = self.progress.phase, Phase.CHECKING_KEYS
        self.progress.rows_scanned = 0
        stopped = False

        def watch(rows: int) -> None:
            self.progress.rows_scanned += rows
            if stopped:
                raise Interrupted("stopped while keys were checked")

        try:
            await asyncio.to_thread(
                check_keys,
                self.prepared.with_model(model).tables,
                # The dataset tells no forms: what is known of them is what the user said.
                self.prepared.model.attributes,
                # Nothing is encoded yet: the search may have what the JSON will take.
                memory=self.prepared.memory.json,
                watch=watch,
            )
        finally:
            stopped = True
        self.progress.phase = phase

    def warn(self, *warnings: str) -> None:
        """Adds to the warnings of the result."""
        self.result.warnings += warnings

    def too_large(self, json_bytes: int) -> str | None:
        """Returns why a chunk of that size cannot be made within the memory; None: it can."""
        stages = self.prepared.stages
        if json_bytes + (stages.encoders + 1) * block_bytes(stages.rules) <= stages.json_budget:
            return None
        return (
            f"--memory leaves {size(stages.json_budget)} for JSON, and a chunk of before has "
            f"{size(json_bytes)}"
        )

    def count_earlier(self, cuts: Mapping[str, Sequence[Cut]], rejected: Mapping[str, int]) -> None:
        """Counts what earlier processes of the job have done.

        Args:
            cuts: Their chunks, by table.
            rejected: Rows that they left out of what they uploaded whole.
        """
        for table, found in cuts.items():
            for cut in found:
                if cut.accepted:
                    self._count(table, cut.rows, cut.json_bytes)
                    self.progress.chunks_accepted += 1
                    self.progress.rows_accepted += cut.rows
                    self.progress.accepted_bytes += cut.json_bytes
                    self.progress.earlier_bytes += cut.json_bytes
        self.result.earlier = Amount(self.result.rows, self.result.chunks, self.result.json_bytes)
        for table, rows in rejected.items():
            self.share(table).rejected = rows
        self._pumped = [
            f"table {table!r}: {rows:,} rows were left out when it was uploaded"
            for table, rows in rejected.items()
        ]
        self.warn(*self._pumped)

    def cut_by(self, rules: ChunkRules) -> None:
        """Cuts chunks by other rules from now on; of smaller ones more may be under way."""
        prepared = self.prepared
        stages, memory = replace(prepared.stages, rules=rules), prepared.memory
        if rules.target < prepared.stages.rules.target:
            stages, memory = share_out(replace(self.settings, chunk_size=rules.target))
        self.prepared = replace(prepared, stages=stages, memory=memory)

    async def pump(
        self, send: Send, progress: Progress, cuts: Mapping[str, Sequence[Cut]] = NO_CUTS
    ) -> None:
        """Sends the rows of all tables through the stages of the pipeline.

        When it returns, the bad rows are few enough and written down: the good ones may be
        published.

        Args:
            send: Sends a chunk.
            progress: Counts.
            cuts: The chunks that an earlier process has cut, by table.

        Raises:
            Interrupted: It was drained.
            LoaderError: Reading, encoding or sending failed.
        """
        rejects = Rejects(
            self.settings,
            self.prepared.model.name,
            rows=self.prepared.rows,
            job=self.journal.job,
        )
        self._rejects = rejects
        if self._passes:
            # What was found in an earlier pass is where this one begins.
            self.tuner = _tuner(self.settings, self.prepared.stages.senders, self.tuner.limit)
        self._passes += 1
        # Rows that may be left out are judged, counted and written down by one process.
        reread = self.settings.on_bad_row is not OnBadRow.FAIL
        pipeline = Pipeline(
            self.prepared.stages,
            progress,
            send,
            rejects,
            cuts,
            reread=reread,
            timing=self.timing,
            tuner=self.tuner,
        )
        self._pipeline = pipeline
        try:
            await pipeline.run(self.prepared.tables)
            await rejects.finish()
        finally:
            self._pipeline = None
            for table in self.result.tables:
                table.rejected = rejects.rejected_of(table.name)
            self._pumped = [*pipeline.warnings(), *rejects.warnings()]
            self.warn(*self._pumped)
            await rejects.close()

    @property
    def draining(self) -> bool:
        """Whether what is under way is the last to be sent."""
        return self._drained.is_set()

    def drain(self) -> bool:
        """Lets the PUTs under way end, and begins nothing more; no failed one is repeated.

        Returns:
            Whether there are any: ``pump`` ends with them. Otherwise the load is to be cancelled.
        """
        if self._pipeline is None or not self._pipeline.drain():
            return False
        self._drained.set()
        return True

    async def pause(self, seconds: float) -> None:
        """Waits before something is repeated, but not longer than anything is to be repeated."""
        tasks = [
            asyncio.ensure_future(self.sleep(seconds)),
            asyncio.ensure_future(self._drained.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def start_over(self, rules: ChunkRules | None) -> None:
        """Forgets what became of the rows so far: all of them will be read and sent again.

        What went over the network stays counted.

        Args:
            rules: Where chunks are cut from now on; None: where they were.

        Raises:
            RejectsUnwritable: The file of bad rows cannot be begun anew.
        """
        for table in self.result.tables:
            table.rows = table.chunks = table.json_bytes = table.rejected = 0
        if self.result.earlier is not None:
            self.result.earlier = Amount()
        self.progress.start_over()
        for warning in self._pumped:
            self.result.warnings.remove(warning)
        self._pumped = []
        if self._rejects is not None:
            await self._rejects.discard()
        if rules is not None:
            self.cut_by(rules)

    async def on_slice(self, size: int) -> None:
        """Counts base64 that was handed to the network, and holds it to the rate."""
        self.result.wire_bytes += size
        self.progress.sent_bytes += size * 3 // 4
        if self._throttle is not None:
            self.timing.throttled(1)
            try:
                await self._throttle.spend(size)
            finally:
                self.timing.throttled(-1)

    def share(self, table: str) -> TableResult:
        """Returns a table's share of the result."""
        return self._shares[table]

    def accepted(self, chunk: Chunk) -> None:
        """Counts what the server has said yes to."""
        self._count(chunk.table, chunk.rows, chunk.json_bytes)

    def _count(self, table: str, rows: int, json_bytes: int) -> None:
        share = self.share(table)
        share.rows += rows
        share.chunks += 1
        share.json_bytes += json_bytes

    async def count_before(self, client: Client, target: Target) -> Mapping[str, int | None]:
        """Counts the rows of the tables whose policy keeps some, for the comparison at the end."""
        tables = [
            table.name
            for table in self.result.tables
            if self.settings.policy_of(table.name) is not UpdatePolicy.REPLACE
        ]
        if target.created:
            return dict.fromkeys(tables, 0)
        if not self.settings.verify:
            return {}
        return await count_before(client, target.id, tables, clock=self.clock)

    def sent(self, before: Mapping[str, int | None]) -> Sequence[SentTable]:
        """Returns what was sent of each table.

        Args:
            before: The rows that tables had before.
        """
        return [
            SentTable(
                table.name, self.settings.policy_of(table.name), table.rows, before.get(table.name)
            )
            for table in self.result.tables
        ]

    async def verify(
        self,
        client: Client,
        dataset_id: str,
        before: Mapping[str, int | None],
        *,
        later: bool = False,
    ) -> None:
        """Compares what the server counts with what was sent, unless the user wants no comparison.

        Args:
            client: Logged in, with a project.
            dataset_id: The published dataset.
            before: The rows that tables had before.
            later: Whether an earlier process has published it: another load may have come since,
                and a difference is no more than a warning.

        Raises:
            VerificationFailed: A table that was replaced has other rows than were sent.
        """
        if not self.settings.verify:
            return
        self.progress.phase = Phase.VERIFYING
        findings = await verify(
            client, dataset_id, self.sent(before), clock=self.clock, sleep=self.sleep
        )
        failures = [one for one in findings.values() if isinstance(one, VerificationFailed)]
        self.warn(*(one for one in findings.values() if isinstance(one, str)))
        if later:
            self.warn(*(f"{one.message}; another load may have come since" for one in failures))
            return
        self.warn(*(failure.message for failure in failures[1:]))
        if failures:
            # Noted at once: a signal while the session is being closed must not hide it.
            self.result.error = failures[0]
            raise failures[0]

    async def note(self, step: Callable[[], Awaitable[None]]) -> None:
        """Writes down what has happened already: that it cannot be is only worth a warning."""
        await self.close("write the journal", step)

    async def close(self, aim: str, call: Callable[[], Awaitable[None]]) -> None:
        """Cleans up; what goes wrong then is a warning, and never hides how the load ended."""
        try:
            async with asyncio.timeout(CLOSING_TIMEOUT):
                await call()
        except TimeoutError:
            self.warn(f"could not {aim}: no answer in {CLOSING_TIMEOUT:.0f} s")
        except LoaderError as error:
            self.warn(f"could not {aim}: {error.message}")
        except Exception as error:  # noqa: BLE001 - closing never hides how the load ended
            self.warn(f"could not {aim}: {type(error).__name__}: {error}")


def _tuner(settings: LoadSettings, senders: int, first: int = FIRST) -> Tuner | Fixed:
    if settings.ordering is Ordering.STRICT:
        return Fixed(senders, "--ordering strict")
    if settings.workflow is Workflow.ONE_REQUEST:
        return Fixed(senders, "--workflow one-request")
    if settings.concurrency is not None:
        return Fixed(senders, "--concurrency")
    return Tuner(senders, first)
