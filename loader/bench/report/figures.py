"""What all charts of a report have in common: axes, fonts, and colours that follow the theme.

A figure is plain data as plotly.js takes it. Its colours are names such as ``@read``, which the
page replaces by those of ``page.css`` for the theme that is shown; so they stand in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["SERIES", "Chart", "Figure", "View", "axis", "bars", "hover", "layout", "note", "scale"]

Figure = dict[str, Any]

SERIES = [
    (f"@series-{place}", symbol, dash)
    for place, (symbol, dash) in enumerate(
        [
            ("circle", "solid"),
            ("square", "dash"),
            ("diamond", "dot"),
            ("triangle-up", "dashdot"),
            ("cross", "longdash"),
            ("star", "longdashdot"),
        ]
    )
]
"""Colour, symbol and dash of each series: told apart without seeing colours."""


@dataclass(frozen=True, slots=True)
class View:
    """A part of a long chart to look at more closely.

    Attributes:
        label: What it shows.
        layout: Changes of the layout, as ``Plotly.relayout`` takes them.
    """

    label: str
    layout: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its words.

    Attributes:
        name: Unique within the page.
        figure: What plotly.js draws.
        caption: What it shows, as a heading.
        description: What it shows, for those who cannot see it.
        views: Parts to look at; none: all of it.
    """

    name: str
    figure: Figure
    caption: str
    description: str
    views: tuple[View, ...] = ()

    @property
    def height(self) -> int:
        """Its height in pixels."""
        return int(self.figure["layout"]["height"])


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Returns an axis; ``title`` names the unit too."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 12, "color": "@dim"}},
        "automargin": True,
        "gridcolor": "@grid",
        "linecolor": "@line",
        "zerolinecolor": "@line",
        "tickfont": {"size": 12, "color": "@dim"},
        "ticks": "",
        # 0.0008, not 800µ: the unit stands in the title.
        "exponentformat": "none",
        "zeroline": False,
        **more,
    }


def layout(height: int, x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Returns the layout of a chart that is as wide as there is room.

    Args:
        height: In pixels.
        x: The horizontal axis.
        y: The vertical axis.
        more: Whatever else it has.
    """
    return {
        "autosize": True,
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8, "pad": 4},
        "paper_bgcolor": "@card",
        "plot_bgcolor": "@card",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "@text"},
        "hoverlabel": {
            "bgcolor": "@page",
            "bordercolor": "@line",
            "font": {"family": "system-ui, sans-serif", "size": 12, "color": "@text"},
            "align": "left",
        },
        "hovermode": "closest",
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yanchor": "bottom",
            "font": {"size": 12, "color": "@text"},
            "traceorder": "normal",
        },
        "xaxis": x,
        "yaxis": y,
        **more,
    }


def hover(texts: list[str]) -> dict[str, Any]:
    """Returns what makes a trace show texts of its own, one for each point."""
    return {"hoverinfo": "text", "hovertext": texts}


def bars(name: str, colour: str, **more: Any) -> dict[str, Any]:
    """Returns a trace of horizontal bars."""
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "marker": {"color": colour, "line": {"width": 0}},
        **more,
    }


def note(text: str, x: float, y: float, **more: Any) -> dict[str, Any]:
    """Returns a small text in a chart."""
    return {
        "text": text,
        "x": x,
        "y": y,
        "showarrow": False,
        "font": {"size": 11, "color": "@dim"},
        **more,
    }


def scale() -> list[list[Any]]:
    """Returns the colours from nothing to most, which differ in lightness alone."""
    return [[step / 4, f"@heat-{step}"] for step in range(5)]
