"""Makes one HTML file of a page: everything inlined, nothing fetched, every text escaped."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from loader.bench.report.content import Page
from loader.bench.report.words import clean

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["render"]

_POLICY: Final = (
    "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src 'none'; form-action 'none'; base-uri 'none'"
)
"""Nothing may be fetched, and no script runs but those that the page was made with.

plotly.js writes styles into its elements, and makes an image of a chart for who wants to keep it.
"""


def render(page: Page) -> str:
    """Returns the page as HTML."""
    # Imported here: both are an extra, whose absence is an error of its own (``writing``).
    import jinja2  # noqa: PLC0415
    from plotly.offline import get_plotlyjs  # noqa: PLC0415

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalised,
    )
    environment.filters["whole"] = _whole
    scripts = [get_plotlyjs(), _text("page.js")]
    return environment.from_string(_text("page.html")).render(
        page=page,
        policy=_POLICY.format(scripts=" ".join(map(_digest, scripts))),
        style=_text("page.css"),
        scripts=scripts,
        json=_json,
    )


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _digest(script: str) -> str:
    """Returns how the policy names a script: by what stands between its tags."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _finalised(value: Any) -> Any:
    # Markup is a str too, and none of ours has such characters: what is cleaned must be text.
    return clean(value) if type(value) is str else value


_OPTION: Final = re.compile(r"(--[a-z]+(?:-[a-z]+)*)")


def _whole(text: str) -> Markup:
    """Returns a text whose options are not broken over two lines: browsers do that at hyphens."""
    from markupsafe import Markup  # noqa: PLC0415 - as above

    parts = _OPTION.split(clean(text))
    return Markup().join(
        Markup('<span class="option">{}</span>').format(part) if place % 2 else part
        for place, part in enumerate(parts)
    )


def _json(value: Any) -> str:
    """Returns JSON for a ``script`` element or an attribute: ASCII, and no text can end it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
