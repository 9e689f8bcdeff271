"""docs/api.md: the tests and the code that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/api.md").read_text(encoding="utf-8")
SHORT = {
    "C": "api/test_calls.py",
    "L": "api/test_calls_login.py",
    "D": "api/test_calls_datasets.py",
    "U": "api/test_calls_upload.py",
    "W": "api/test_wire.py",
    "F": "api/test_failures.py",
    "P": "api/test_payload.py",
    "S": "api/test_status.py",
}


def test_every_test_that_the_rules_name_exists():
    named = re.findall(r"`([\w/.]+)::(test_\w+)`", TEXT)
    assert len(named) > 80
    missing = [
        f"{file}::{test}"
        for file, test in named
        if f"def {test}(" not in (ROOT / "tests" / SHORT.get(file, file)).read_text("utf-8")
    ]
    assert missing == []


def test_every_name_of_the_rest_layer_that_the_rules_give_exists():
    named = re.findall(r"`(api/(?!test_)\w+\.py)`((?:,? `\w+`)*)", TEXT)
    assert len(named) > 40
    missing = [
        f"{file} {name}"
        for file, names in named
        for name in re.findall(r"\w+", names)
        if not re.search(rf"\b{name}\b", (ROOT / "loader" / file).read_text("utf-8"))
    ]
    assert missing == []
