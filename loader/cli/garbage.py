"""Python's garbage collector, which is to look seldom while modules are imported."""

from __future__ import annotations

import atexit
import gc
import sys

__all__ = ["collect_as_usual", "collect_seldom"]

_USUAL = gc.get_threshold()
# More than all imports of a load make.
_SELDOM = 200_000


def collect_seldom() -> None:
    """Has the collector look seldom, in a process of the command line's own, until the work begins.

    Importing makes some 10^5 objects that stay, through which it would go 150 times: 5 % of the CPU
    of a small load. At its end Python looks through them twice more, for longer yet; that is left
    out. Nothing is lost with it: files, sessions and threads end where their use does, and what
    modules have registered for the end is still called.
    """
    gc.set_threshold(_SELDOM, *_USUAL[1:])
    # Registered before nearly all others, so called after them.
    atexit.register(_end)


def collect_as_usual() -> None:
    """Begins a command's work, whose garbage may hold chunks: a few tens of MB if looked for late.

    What is there by now is taken out of the collector's sight.
    """
    if gc.get_threshold() != _USUAL:
        gc.freeze()
        gc.set_threshold(*_USUAL)


def _end() -> None:
    if "duckdb" in sys.modules:
        # On stderr its bindings would call a leak what is not taken apart.
        gc.unfreeze()
    else:
        gc.freeze()
