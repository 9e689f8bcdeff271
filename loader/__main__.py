"""Runs the command line: ``python -m loader`` is ``mstr-loader``."""

from __future__ import annotations

import signal
from typing import NoReturn

from loader.cli.run_signals import STOP_SIGNALS

__all__ = ["main"]


def main() -> NoReturn:
    """Runs the command line; a Ctrl-C during its imports waits for who can answer it."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    from loader.cli.main import main as run  # noqa: PLC0415 - takes a fifth of a second

    run()


if __name__ == "__main__":
    main()
