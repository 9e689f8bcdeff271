"""Small sweeps, somebody who watches them, and what they leave behind."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from tests.cli.harness import PROJECT, USER

__all__ = [
    "KB",
    "Watch",
    "left_nothing",
    "left_nothing_but_logins",
    "runs_under_way",
    "small",
    "target",
]

KB = 1000


def target(server):
    return ("--url", server.url, "--username", USER, "--project", PROJECT)


def small(file, server, *more):
    """A sweep of two settings."""
    return (
        *("bench", file, *target(server), "--orientation", "column"),
        *("--chunk-size", "100kB", "--concurrency", "1,2", "--repeat", "1", *more),
    )


class Watch:
    """Notes what it is told."""

    def __init__(self, begins=lambda: None):
        self._begins = begins
        self.notes, self.runs, self.beats, self.begun = [], [], [], []

    def note(self, text):
        self.notes.append(text)

    def begins(self, setting, *, number, left):
        self.begun.append((number, setting, left))
        self._begins()

    def beat(self, beat):
        self.beats.append(beat)

    def ends(self, run, *, left, seconds_left):
        self.runs.append(run)


def left_nothing(server):
    assert server.datasets == {}
    server.left_nothing()


def left_nothing_but_logins(server):
    """Those of killed processes time out."""
    assert server.datasets == {}
    assert server.sessions == 0


def runs_under_way():
    """The processes of runs that this process has started."""
    pid = os.getpid()
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found if b"loader.bench.run" in command_line(one)]


def command_line(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
