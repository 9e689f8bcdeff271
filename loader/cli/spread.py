"""Gives a command one option for each field of a dataclass, so that commands can share options."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["spread"]

Answer = TypeVar("Answer")


def spread(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Returns the command with its dataclass parameters replaced by their fields.

    typer reads options off a function's signature; this one is put together from the command's own
    parameters and the fields of every parameter whose type is a dataclass. When it is called, the
    dataclasses are made again of the values, so that the command sees typed groups.
    """
    hints = typing.get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if not dataclasses.is_dataclass(hints[name]):
            parameters.append(parameter.replace(annotation=hints[name]))
            continue
        groups[name] = hints[name]
        types = typing.get_type_hints(hints[name], include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=types[field.name],
            )
            for field in dataclasses.fields(hints[name])
        ]

    def spread_out(**values: Any) -> Answer:
        made = {
            name: group(**{field.name: values.pop(field.name) for field in _fields(group)})
            for name, group in groups.items()
        }
        return command(**values, **made)

    spread_out.__name__ = command.__name__
    spread_out.__doc__ = command.__doc__
    # Keyword-only throughout: the order of a signature is then the order of its help.
    spread_out.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # mypy knows none
        [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    )
    spread_out.__annotations__ = {}
    return spread_out


def _fields(group: type[Any]) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(group)
