"""What every test directory shares."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiohttp
import aioresponses.core


class _Response(aiohttp.ClientResponse):
    """Gives aioresponses what aiohttp 3.14 asks for: ``stream_writer`` is a required argument."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **kwargs)


aioresponses.core.ClientResponse = _Response
