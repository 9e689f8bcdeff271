"""Drives the vendor's own client, unchanged, step by step; test_mstrio.py runs it.

Usage: mstrio_driver.py URL. Each line of standard input names a step; after it, one
JSON line on standard output says what the client made of it. It runs in an environment of its own.
"""

import json
import logging
import os
import sys

import pandas as pd
from mstrio import config
from mstrio.connection import Connection
from mstrio.project_objects.datasets import SuperCube

config.verbose = False
logging.disable(logging.WARNING)

ORDERS = pd.DataFrame(
    {
        "order": ["a", "b", "c"],
        # The client takes no other unit.
        "day": pd.Series(["2024-01-31", "2024-02-29", "2024-12-31"], dtype="datetime64[ns]"),
        "amount": [1.5, -2.25, 0.0],
        "pieces": [1, 2, 3],
    }
)
SHOPS = pd.DataFrame({"shop": ["Łódź", 'say "hi"'], "size": [10, 20]})


def main(url):  # noqa: C901 - a list of steps
    connection = Connection(
        base_url=url,
        username=os.environ.get("MSTRIO_USERNAME", "administrator"),
        password=os.environ.get("MSTRIO_PASSWORD", ""),
        project_name="MicroStrategy Tutorial",
        verbose=False,
    )
    known = {}

    def created():
        cube = SuperCube(connection, name="Orders", progress_bar=False)
        cube.add_table("orders", ORDERS, "replace", to_attribute=["order"])
        cube.add_table("shops", SHOPS, "replace")
        cube.create(chunksize=2)
        known["id"] = cube.id
        return {
            "id": cube.id,
            "attributes": sorted(item["name"] for item in cube.attributes),
            "metrics": sorted(item["name"] for item in cube.metrics),
        }

    def existing():
        return SuperCube(connection, id=known["id"], progress_bar=False)

    def upserted():
        cube = existing()
        more = ORDERS.assign(order=["c", "d", "e"], day=ORDERS["day"][2], amount=9.0)
        cube.add_table("orders", more, "upsert", to_attribute=["order"])
        cube.update()
        return {"name": cube.name}

    def updated():
        cube = existing()
        cube.add_table(
            "orders", ORDERS.assign(amount=7.0).head(1), "update", to_attribute=["order"]
        )
        cube.update()
        return {}

    def added():
        cube = existing()
        cube.add_table("shops", SHOPS.assign(shop=["Łódź", "new"], size=99), "add")
        cube.update()
        return {}

    def replaced():
        cube = existing()
        cube.add_table("orders", ORDERS.tail(1), "replace", to_attribute=["order"])
        cube.update(chunksize=1)
        return {}

    def refused():
        cube = SuperCube(connection, name="Orders", progress_bar=False)
        cube.add_table("orders", ORDERS, "replace")
        try:
            cube.create()
        except ValueError as error:
            return {"error": str(error)}
        return {"error": None}

    def deleted():
        return {"deleted": existing().delete(force=True)}

    def closed():
        connection.close()
        return {}

    steps = {
        step.__name__: step
        for step in (created, upserted, updated, added, replaced, refused, deleted, closed)
    }
    for line in sys.stdin:
        sys.stdout.write(json.dumps(steps[line.strip()]()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
