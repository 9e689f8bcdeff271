"""The report that people look at: one HTML file that holds all it shows."""

from __future__ import annotations

import os

from loader.bench.records import Records
from loader.bench.report.load import LoadFacts, load_page
from loader.bench.report.page import render
from loader.bench.report.sweep import sweep_page
from loader.bench.report.writing import check_report, written
from loader.errors import LoaderError
from loader.job import Result

__all__ = ["LoadFacts", "check_report", "write_load_report", "write_report"]


def write_report(
    records: Records, path: str | os.PathLike[str], error: LoaderError | None = None
) -> None:
    """Writes the report of a sweep; an older file is replaced, whole or not at all.

    Args:
        records: The sweep, finished or not.
        path: The HTML file.
        error: What ended it early, or was left behind; None: nothing.

    Raises:
        UsageError: It cannot be written (``check_report`` tells beforehand).
    """
    written(path, render(sweep_page(records, error)))


def write_load_report(result: Result, facts: LoadFacts, path: str | os.PathLike[str]) -> None:
    """Writes the report of one load, however it ended.

    Args:
        result: How it ended; its ``timeline`` where it was asked for.
        facts: What the result does not know.
        path: The HTML file.

    Raises:
        UsageError: It cannot be written (``check_report`` tells beforehand).
    """
    written(path, render(load_page(result, facts)))
