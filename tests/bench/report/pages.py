"""What is in a page that was written."""

from __future__ import annotations

import json
import re

__all__ = ["figures", "shown"]


def figures(page) -> dict[str, dict]:
    """The figures of a page by the names of their charts."""
    found = re.findall(
        r'<script type="application/json" data-figure="chart-([^"]*)">(.*?)</script>',
        page.read_text("utf-8"),
    )
    return {name: json.loads(text) for name, text in found}


def shown(page) -> str:
    """What a page says, without its scripts."""
    return page.read_text("utf-8").split("<footer>")[0]
