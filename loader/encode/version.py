"""The number of the bytes: which version of the encoders made a chunk."""

from __future__ import annotations

from typing import Final

__all__ = ["ENCODER_VERSION"]

ENCODER_VERSION: Final = 1
"""Raised with every change of what any value is encoded as, or how values are put together: a load
that was begun with other bytes cannot be continued chunk by chunk."""
