"""Starts what is measured in processes of their own, and fails where it did not do its work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.measure import Failed, Sample
from benchmarks.setting import HERE, ROOT
from loader.emulator import EmulatorProcess

__all__ = [
    "COMMAND",
    "VENDOR",
    "Done",
    "program",
    "push",
    "require_all",
    "rows_of",
    "run",
    "sink",
]

COMMAND = Path(sys.executable).with_name("mstr-loader")
"""The command as users call it."""

VENDOR = ROOT / ".venv-vendor" / "bin" / "python"
"""The interpreter that has the vendor's client."""

_TOLD = 2000
"""The last characters of what a failed command had to say."""


@dataclass(frozen=True, slots=True)
class Done:
    """A process that did its work.

    Attributes:
        output: What it printed.
        seconds: Wall time of the whole process.
        cpu: CPU seconds of all its threads.
        peak: The most memory it had, in bytes.
    """

    output: str
    seconds: float
    cpu: float
    peak: int

    @property
    def result(self) -> dict[str, Any]:
        """The JSON object that it printed last."""
        result: dict[str, Any] = json.loads(self.output.splitlines()[-1])
        return result


def run(command: Sequence[str | Path]) -> Done:
    """Runs a command to its end.

    Raises:
        Failed: Its exit code is not 0.
    """
    texts = [str(part) for part in command]
    launcher = [sys.executable, "-I", "-S", str(HERE / "launcher.py")]
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(
            [*launcher, *texts],
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env=_environment(),
            check=False,
        )
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace")
    output, _, last = done.stdout.decode().rstrip("\n").rpartition("\n")
    report = json.loads(last) if done.returncode == 0 else {"code": done.returncode}
    if report["code"] != 0:
        told = f"{output}\n{said}"[-_TOLD:]
        raise Failed(f"{' '.join(texts)} ended with {report['code']}:\n{told}")
    return Done(output, report["seconds"], report["cpu"], report["peak"])


def program(name: str, *arguments: str | Path | int) -> Done:
    """Runs a program of this directory.

    Raises:
        Failed: It did.
    """
    return run([sys.executable, HERE / name, *map(str, arguments)])


def push(url: str, source: Path, *options: str | Path, rows: int) -> Sample:
    """Pushes a file as a user would.

    Args:
        url: The server.
        source: The file.
        *options: Of the command.
        rows: How many rows have to arrive.

    Returns:
        ``seconds`` is the command's own figure, from reading the footer to logging out, as the
        vendor's client is not charged for its imports either. Figures: ``process`` (seconds of the
        whole process), ``cpu``, ``peak``, ``chunks``.

    Raises:
        Failed: It failed, sent something twice, or not all rows arrived.
    """
    done = run(
        [
            *(COMMAND, "push", source, "--json", *options),
            *("--url", url, "--username", "administrator", "--project", "MicroStrategy Tutorial"),
        ]
    )
    result = done.result
    require_all(result, rows)
    return Sample(
        seconds=result["seconds"],
        rows=rows,
        json_bytes=result["json_bytes"],
        wire_bytes=result["wire_bytes"],
        figures={
            "process": done.seconds,
            "cpu": done.cpu,
            "peak": done.peak,
            "chunks": result["chunks"],
        },
    )


def require_all(result: dict[str, Any], rows: int) -> None:
    """Refuses the result of a load that is not published with all its rows, each sent once.

    Raises:
        Failed: It is not.
    """
    if result["status"] != "published" or result["rows"] != rows or result["retries"]:
        raise Failed(f"{rows} rows should be published at the first attempt, not {result}")


def sink(*options: str | Path) -> EmulatorProcess:
    """Returns a local server, in a process of its own, that takes bodies and keeps nothing."""
    return EmulatorProcess("--ingest", "sink", *map(str, options))


def rows_of(file: Path) -> int:
    """Returns the rows of a Parquet file."""
    rows: int = pq.read_metadata(file).num_rows
    return rows


def _environment() -> dict[str, str]:
    """Returns an environment without proxies and settings of whoever runs this."""
    proxies = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.lower() not in proxies and not name.startswith("MSTR_")
    }
    state = os.environ.get("MSTR_LOADER_STATE") or str(ROOT / "data" / "state")
    return {**kept, "MSTR_PASSWORD": "", "MSTR_LOADER_STATE": state}
