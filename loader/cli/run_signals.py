"""The signals that stop a command: Ctrl-C, a supervisor's, and a terminal that went away."""

from __future__ import annotations

import signal

__all__ = ["STOP_SIGNALS"]

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
