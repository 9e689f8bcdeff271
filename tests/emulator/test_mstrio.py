"""The vendor's own client runs against the emulator unchanged."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-vendor" / "bin" / "python"
DRIVER = Path(__file__).with_name("mstrio_driver.py")


@pytest.fixture(scope="module")
def vendor():
    """An environment of its own: the vendor's client has dependencies that nobody else needs."""
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", ROOT / ".venv-vendor"], check=True)
        install = [PYTHON, "-m", "pip", "install", "--quiet", "mstrio-py>=11.5,<12"]
        subprocess.run(install, check=True)
    return PYTHON


class Driver:
    def __init__(self, process):
        self._process = process

    async def do(self, step):
        self._process.stdin.write(f"{step}\n".encode())
        line = await asyncio.wait_for(self._process.stdout.readline(), 60)
        assert line, f"the client failed at {step!r}; its traceback is above"
        return json.loads(line)


@contextlib.asynccontextmanager
async def driver(python, api):
    process = await asyncio.create_subprocess_exec(
        *(python, DRIVER, api.listener.url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Driver(process)
    finally:
        process.stdin.close()
        await process.wait()


def day(month, number):
    return dt.date(2024, month, number)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_create_update_upsert(vendor, emulate):
    api = await emulate()
    orders = 'FROM "Orders"."orders" ORDER BY "order"'
    shops = 'FROM "Orders"."shops" ORDER BY "size", "shop"'

    def stored(query):
        # Dates come as DATETIME or DATE, whichever the client makes of them.
        return [
            tuple(value.date() if isinstance(value, dt.datetime) else value for value in row)
            for row in api.sql(query)
        ]

    a, b, c = ("a", day(1, 31), 1.5, 1), ("b", day(2, 29), -2.25, 2), ("c", day(12, 31), 0.0, 3)
    async with driver(vendor, api) as client:
        made = await client.do("created")
        (dataset,) = api.emulator.catalogue
        assert made == {
            "id": dataset.id,
            "attributes": ["day", "order", "shop"],
            "metrics": ["amount", "pieces", "size"],
        }
        assert stored(orders) == [a, b, c]
        assert stored(shops) == [("Łódź", 10), ('say "hi"', 20)]

        assert await client.do("upserted") == {"name": "Orders"}
        d, e = ("d", day(12, 31), 9.0, 2), ("e", day(12, 31), 9.0, 3)
        assert stored(orders) == [a, b, ("c", day(12, 31), 9.0, 1), d, e]

        await client.do("updated")
        assert stored(orders)[0] == ("a", day(1, 31), 7.0, 1)
        assert len(stored(orders)) == 5

        await client.do("added")
        assert stored(shops) == [("Łódź", 10), ('say "hi"', 20), ("new", 99)]

        await client.do("replaced")
        assert stored(orders) == [c]

        # The same name again: the client finds it in the folder and refuses.
        assert "already exist" in (await client.do("refused"))["error"]

        assert await client.do("deleted") == {"deleted": True}
        assert list(api.emulator.catalogue) == []

        await client.do("closed")
        assert len(api.emulator.logins) == 0
    refusals = [item for item in api.emulator.traffic.last() if item["status"] >= 400]
    assert refusals == []
