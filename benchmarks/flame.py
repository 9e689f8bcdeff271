"""Draws a flame graph of a push by stage, library and function, from samples of the whole process.

    perf record -F 499 -g -o perf.data -- mstr-loader push …
    perf script -i perf.data -F ip,sym,dso | python -m benchmarks.flame flame.html

A stack belongs to the stage whose library is in it: readers and decompression to reading, the
compiled encoder or orjson to encoding, base64 and the socket to sending. Arrow's kernels serve
both; where nothing says for whom, they are a stage of their own. Functions of less than 0.4 % of
the whole are left out.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import plotly.graph_objects as go

STAGES = {
    "read": ("libparquet", "arrow::.*(BinaryView|DictionaryConverter|bpacking)", "snappy", "ZSTD"),
    "encode": ("_native", "orjson"),
    "send": ("_pybase64", "sock_sendmsg|tcp_|_copy_from_iter", "uvloop/loop", "aiohttp"),
    "digest": ("_xxhash",),
    "measure rows": ("_multiarray_umath",),
    "Arrow's kernels": ("libarrow",),
    "interpreter": ("libpython", "python3"),
}
"""Stages by what a frame of theirs has in its function or its library; the first one wins."""

COLOURS = {
    "read": "#4477aa",
    "encode": "#228833",
    "send": "#ee6677",
    "digest": "#66ccee",
    "measure rows": "#aa3377",
    "Arrow's kernels": "#ee8866",
    "interpreter": "#ccbb44",
    "the rest": "#bbbbbb",
}
LEAST = 0.004
_FRAME = re.compile(r"^\s+[0-9a-f]+ (?P<name>.*) \((?P<library>[^)]*)\)$")


def stacks(lines: Iterable[str]) -> Iterator[list[tuple[str, str]]]:
    """Yields stacks of functions and libraries, the innermost first."""
    stack: list[tuple[str, str]] = []
    for line in lines:
        if found := _FRAME.match(line):
            stack.append((found["name"], found["library"]))
        elif stack:
            yield stack
            stack = []
    if stack:
        yield stack


def staged(stack: list[tuple[str, str]]) -> tuple[str, str, str]:
    """Returns the stage of a stack, and the library and the function that ran."""
    name, library = stack[0]
    where = "kernel" if library.startswith("[") else Path(library).name.partition(".")[0]
    function = re.sub(r"\(.*|<.*", "", name).rpartition("::")[2] or name
    for stage, marks in STAGES.items():
        for frame, home in stack:
            if any(re.search(mark, home) or re.search(mark, frame) for mark in marks):
                return stage, where, function[:40]
    return "the rest", where, function[:40]


def figure(lines: Iterable[str]) -> go.Figure:
    """Returns the graph."""
    counts: Counter[tuple[str, ...]] = Counter()
    for stack in stacks(lines):
        path = staged(stack)
        for depth in range(1, len(path) + 1):
            counts[path[:depth]] += 1
    whole = sum(number for path, number in counts.items() if len(path) == 1)
    paths = [path for path, number in counts.items() if number >= LEAST * whole]
    return go.Figure(
        go.Icicle(
            ids=[";".join(path) for path in paths],
            parents=[";".join(path[:-1]) for path in paths],
            labels=[
                f"{path[-1]} {100 * counts[path] / whole:.0f} %" if len(path) == 1 else path[-1]
                for path in paths
            ],
            values=[counts[path] for path in paths],
            branchvalues="total",
            tiling={"orientation": "v", "pad": 1},
            pathbar={"visible": False},
            marker={"colors": [COLOURS[path[0]] for path in paths]},
            textfont={"size": 13},
        ),
        layout={"margin": dict.fromkeys("tlbr", 4), "width": 1400, "height": 260},
    )


def main() -> None:
    """Reads stacks, writes a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    figure(sys.stdin).write_html(parser.parse_args().page)


if __name__ == "__main__":
    main()
