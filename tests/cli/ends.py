"""Loads that ended such that a later process can go on: what they leave, and how it goes on."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from loader.job.journal.list import summary_of
from tests.cli.harness import Command, Outcome, Server

HOLDS_A_SESSION = frozenset({"uploading", "uploaded", "publishing"})
"""Stages of a job in which its upload session is open."""


@dataclass(frozen=True)
class Left:
    """A job that can go on, and what the server had of it when its load ended.

    Attributes:
        server: The server.
        line: The command that goes on, as the load has named it.
        accepted: Chunks that the journal says the server has.
    """

    server: Server
    line: str
    accepted: int

    @classmethod
    def by(
        cls, outcome: Outcome, server: Server, *, code: int = 6, stage: str = "uploading"
    ) -> Self:
        """Checks that a load left everything as it was, and said how to go on.

        Args:
            outcome: Of the load.
            server: Where it loaded.
            code: Its exit code.
            stage: How far it came.
        """
        assert outcome.code == code, outcome
        result = outcome.json
        assert result["status"] == ("unknown" if code == 8 else "interrupted")
        line = f"mstr-loader resume {result['job']}"
        assert outcome.error["resume"] == line
        assert outcome.error["hint"].startswith(line)
        path = Path(os.environ["MSTR_LOADER_STATE"], "jobs", f"{result['job']}.sqlite")
        summary = summary_of(path)
        record = summary.record
        assert record is not None
        assert (record.state, record.stage) == (result["status"], stage)
        assert record.end is not None
        assert record.end.exit_code == code
        assert result["dataset_id"] == server.datasets[result["dataset"]]
        open_now = {session.id for session in server.emulator.uploads}
        if stage in HOLDS_A_SESSION:
            assert record.session is not None
            assert open_now == {record.session.id}
        else:
            assert record.session is None
        # The journal may have written down one more than a worker that was stopped has counted.
        assert summary.chunks >= result["chunks"]
        return cls(server, line, summary.chunks)

    def resumed(self, command: Command, *arguments: object, code: int = 0) -> Outcome:
        """Goes on; checks that it sends only what is missing, publishes once and cleans up."""
        before, logins = set(self.server.puts), _logins(self.server)
        program, *words = shlex.split(self.line)
        assert program == "mstr-loader"
        outcome = command(*words, *arguments, "--json")
        assert outcome.code == code, outcome
        result = outcome.json
        assert result["status"] == "published"
        assert result["job"] == words[-1]
        assert result["error"] is None
        assert self.server.puts_of_others(before) == result["chunks"] - self.accepted
        assert self.server.sessions == 0
        # It has ended its own login. Those of before end by themselves one day.
        assert _logins(self.server) <= logins
        return outcome


def _logins(server: Server) -> frozenset[str]:
    return frozenset(server.emulator.logins._by_token)
