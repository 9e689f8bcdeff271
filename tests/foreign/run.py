"""Goes over the Parquet, Arrow and CSV files below directories: which load, which not, and why.

``python -m tests.foreign.run DIR… [--report FILE]``: each file in a process of its own, with
bounded time and memory. Exits with 1 if a file differs, hangs, crashes the process or meets a
defect.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.foreign.one import End, Outcome, confined
from tests.foreign.readings import Kind

SECONDS = 60
FINE = (End.EQUAL, End.REFUSED, End.UNCHECKED)


def kind_of(path: Path) -> Kind | None:
    """Tells what a file is meant to be; fuzzed ones have no extension but a telling directory."""
    if path.name.startswith("README"):
        return None
    if path.suffix in {".parquet", ".encrypted"}:
        return Kind.PARQUET
    if path.suffix in {".arrow", ".arrow_file", ".stream", ".arrows", ".feather"}:
        return Kind.ARROW
    if ".csv" in path.suffixes or "csv" in path.parts[-3:-1]:
        return Kind.CSV
    if path.suffix not in {"", ".fuzz"}:
        return None  # documents, keys, golden values
    if any("arrow-ipc" in part and "tensor" not in part for part in path.parts[-3:-1]):
        return Kind.ARROW
    if "parquet" in path.parts[-3:-1] and "encoding-fuzzing" not in path.parts:
        return Kind.PARQUET
    return None


def run(
    path: Path, kind: Kind, seconds: float = SECONDS, target: Callable[..., None] = confined
) -> Outcome:
    """Loads one file in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.foreign.one"])
    answer, ours = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(str(path), kind.value, ours), daemon=True)
    process.start()
    ours.close()
    try:
        if not answer.poll(seconds):
            process.kill()
            return Outcome(End.HUNG, 0, f"no end within {seconds} s")
        return answer.recv()
    except EOFError:
        process.join()
        code = process.exitcode or 0
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Outcome(End.CRASHED, 0, name)
    finally:
        process.join()


def outcomes(roots: Sequence[Path], workers: int) -> Iterator[tuple[Path, Path, Kind, Outcome]]:
    """Yields the outcome of every file, with the directory it was found below."""
    found = [
        (root, path, kind)
        for root in roots
        for path in sorted(root.rglob("*"))
        if path.is_file() and (kind := kind_of(path))
    ]
    with ThreadPoolExecutor(workers) as pool:
        ended = pool.map(lambda each: run(each[1], each[2]), found)
        for (root, path, kind), outcome in zip(found, ended, strict=True):
            yield root, path.relative_to(root), kind, outcome


def report(rows: Sequence[tuple[Path, Path, Kind, Outcome]]) -> str:
    """Returns the counts by directory, and every file that did not simply load, as Markdown."""
    groups = collections.defaultdict(list)
    for root, path, kind, outcome in rows:
        below = path.parent.parts[0] if path.parent.parts else ""
        groups[f"{root.name}/{below}".rstrip("/"), kind].append(outcome)
    bad = sorted({row[3].end for row in rows} - set(FINE), key=list(End).index)
    ends = [End.REFUSED, End.UNCHECKED, *bad]
    titles = ["directory", "format", "files", "loaded and equal", "compared with", *ends, "rows"]
    lines = [_line(titles), "|---" * len(titles) + "|"]
    for (name, kind), group in groups.items():
        by = collections.Counter(each.detail for each in group if each.end is End.EQUAL)
        told = ", ".join(f"{reader}: {count}" for reader, count in sorted(by.items()))
        counts = [sum(each.end is end for each in group) for end in ends]
        total = sum(each.rows for each in group)
        lines.append(_line([name, kind, len(group), by.total(), told, *counts, f"{total:,}"]))
    lines += ["", _line(["file", "ended", "why", "other readers"]), "|---|---|---|---|"]
    for root, path, _, outcome in rows:
        if outcome.end is not End.EQUAL:
            name = f"{root.name}/{path}"
            lines.append(_line([name, outcome.end, outcome.detail, outcome.others]))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[object]) -> str:
    told = (" ".join(str(cell).replace("|", "\\|").split()) for cell in cells)
    return f"| {' | '.join(told)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs over the directories and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roots", nargs="+", type=Path)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(arguments)
    rows = []
    for row in outcomes([root.resolve() for root in given.roots], given.workers):
        rows.append(row)
        if row[3].end not in FINE:
            sys.stderr.write(f"{row[3].end}: {row[1]}: {row[3].detail}\n")
    text = report(rows)
    if given.report:
        given.report.write_text(text)
    else:
        sys.stdout.write(text)
    return any(row[3].end not in FINE for row in rows)


if __name__ == "__main__":
    sys.exit(main())
