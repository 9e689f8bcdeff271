"""Keeps all figures in results.json and writes the tables of README.md from it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import Comparison, Group, Measured, Results
from benchmarks.setting import HERE

__all__ = ["Report", "marks_table", "table"]

_MARKS = "marks"
_MACHINE = "machine"


class Report:
    """The figures of every group's last run, and the page that shows them.

    Args:
        groups: All that there are.
        directory: Where README.md and results.json are.

    Raises:
        ValueError: README.md has no place for a table.
    """

    def __init__(self, groups: Sequence[Group], directory: Path = HERE) -> None:
        self._groups = groups
        self._page = directory / "README.md"
        self._file = directory / "results.json"
        text = self._page.read_text("utf-8")
        for name in (_MARKS, _MACHINE, *(group.name for group in groups)):
            if not _place(name).search(text):
                raise ValueError(f"{self._page} has no <!-- {name} --> … <!-- /{name} -->")

    def keep(
        self, group: Group, measured: Sequence[Measured], circumstances: Mapping[str, Any]
    ) -> None:
        """Puts a group's figures in the place of its earlier ones, and renews the page."""
        kept = self._kept()
        kept[group.name] = {**circumstances, "contenders": [one.as_dict() for one in measured]}
        self._file.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
        self._write(kept)

    def _kept(self) -> dict[str, Any]:
        """Returns the figures of the groups that there still are."""
        if not self._file.exists():
            return {}
        known = {group.name for group in self._groups}
        found = json.loads(self._file.read_text("utf-8"))
        return {name: run for name, run in found.items() if name in known}

    def _write(self, kept: Mapping[str, Any]) -> None:
        results = {
            name: {one["name"]: Measured.of(one) for one in run["contenders"]}
            for name, run in kept.items()
        }
        run_groups = [group for group in self._groups if _fits(group, results.get(group.name))]
        text = self._page.read_text("utf-8")
        for group in run_groups:
            text = _put(text, group.name, _dated(group, kept[group.name], results[group.name]))
        text = _put(text, _MARKS, marks_table(run_groups, results))
        text = _put(text, _MACHINE, _machines(run_groups, kept))
        self._page.write_text(text, "utf-8")


def _fits(group: Group, results: Results | None) -> bool:
    """Whether there are figures, and of the contenders and the kind that the group has now."""
    if results is None:
        return False
    try:
        table(group, results)
        marks_table([group], {group.name: results})
    except KeyError:
        return False
    return True


def table(group: Group, results: Results) -> str:
    """Returns a group's table."""
    rows = [
        [one.name, *(column.text(one, results) for column in group.columns)]
        for one in results.values()
    ]
    return _lines(["what", *(column.title for column in group.columns)], rows)


def marks_table(groups: Sequence[Group], results: Mapping[str, Results]) -> str:
    """Returns the table of what the project has set itself, and what was measured."""
    rows = [
        _mark(comparison, results[group.name])
        for group in groups
        for comparison in group.comparisons
    ]
    return _lines(["what", "measured", "mark", "wanted"], rows)


def _mark(comparison: Comparison, results: Results) -> list[str]:
    value = comparison.value(results)
    met = value <= comparison.bar if comparison.at_most else value >= comparison.bar
    bar, aim = (comparison.form.format(mark) for mark in (comparison.bar, comparison.aim))
    shown = comparison.form.format(value)
    side = "at most" if comparison.at_most else "at least"
    return [comparison.what, shown if met else f"**{shown}**", f"{side} {bar}", aim]


def _lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rules = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rules, *rows))


def _dated(group: Group, run: Mapping[str, Any], results: Results) -> str:
    return f"{table(group, results)}\n\n{run['date']}; loader {run['loader']}"


def _machines(groups: Sequence[Group], kept: Mapping[str, Any]) -> str:
    by_machine: dict[str, list[str]] = {}
    for group in groups:
        by_machine.setdefault(kept[group.name]["machine"], []).append(group.name)
    if len(by_machine) == 1:
        return f"{next(iter(by_machine))}."
    return "\n".join(f"- {', '.join(names)}: {machine}" for machine, names in by_machine.items())


def _place(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)


def _put(text: str, name: str, body: str) -> str:
    return _place(name).sub(lambda _: f"\n{body}\n\n", text)
