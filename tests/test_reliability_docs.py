"""docs/reliability.md: the tests that it names exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
TEXT = TESTS.parent.joinpath("docs/reliability.md").read_text(encoding="utf-8")


def test_every_test_that_a_promise_names_exists():
    named = re.findall(r"`([\w/]+\.py)(?:::(test_\w+))?`", TEXT)
    assert len(named) > 40
    missing = [
        f"{file}::{test}"
        for file, test in named
        if (test and f"def {test}(" not in TESTS.joinpath(file).read_text(encoding="utf-8"))
        or not TESTS.joinpath(file).exists()
    ]
    assert missing == []
