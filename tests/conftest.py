"""What every test directory shares."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import aiohttp
import aioresponses.core
import pytest
from hypothesis import settings


class _Response(aiohttp.ClientResponse):
    """Gives aioresponses what aiohttp 3.14 asks for: ``stream_writer`` is a required argument."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", SimpleNamespace(output_size=0))
        super().__init__(*args, **kwargs)


aioresponses.core.ClientResponse = _Response

# Speed is no property of an example: machines are shared, and tests run side by side.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

pytest_plugins = ("tests.leaks",)


@pytest.fixture(scope="session", autouse=True)
def _state_directory(tmp_path_factory):
    """Keeps journals out of the home directory of whoever runs the tests."""
    os.environ["MSTR_LOADER_STATE"] = str(tmp_path_factory.mktemp("state"))
