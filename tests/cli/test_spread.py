"""Options shared by commands: a dataclass parameter becomes one option for each of its fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from loader.cli.spread import spread


@dataclass(frozen=True, kw_only=True)
class Sizes:
    width: Annotated[int, typer.Option(help="How wide.")] = 3
    tall_name: Annotated[str | None, typer.Option("--tall", envvar="TALL")] = None


def run(*arguments: str, **environment: str):
    app = typer.Typer()
    seen = []

    def command(*, name: str, sizes: Sizes, loud: bool = False) -> None:
        """Says what it was given."""
        seen.append((name, sizes, loud))

    # The hints of a local function are found where its types are.
    command.__annotations__ = {"name": str, "sizes": Sizes, "loud": bool, "return": None}
    app.command()(spread(command))
    outcome = CliRunner().invoke(app, arguments, env=environment)
    return outcome, seen


def test_fields_are_options_and_arrive_as_their_dataclass():
    outcome, seen = run("--width", "5", "--tall", "x", "--loud", "me")
    assert outcome.exit_code == 0, outcome.output
    assert seen == [("me", Sizes(width=5, tall_name="x"), True)]


def test_defaults_and_environment():
    outcome, seen = run("me", TALL="y")
    assert outcome.exit_code == 0, outcome.output
    assert seen == [("me", Sizes(width=3, tall_name="y"), False)]


def test_help_is_that_of_the_fields():
    outcome, _ = run("--help")
    assert "How wide." in outcome.output
    assert "--tall" in outcome.output
    assert "Says what it was given." in outcome.output


def test_two_groups_with_one_name_are_a_mistake_of_the_programmer():
    def command(*, one: Sizes, two: Sizes) -> None:
        """Cannot work."""

    command.__annotations__ = {"one": Sizes, "two": Sizes, "return": None}
    with pytest.raises(ValueError, match="duplicate parameter name"):
        spread(command)
