"""Which names the API takes, and what to write in place of others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from loader.errors import NameRefused

__all__ = [
    "FORBIDDEN",
    "LONGEST",
    "check_name",
    "check_unique",
    "column_entry",
    "name_fault",
    "suggested_name",
    "yaml_text",
]

# Clients of the API enforce both limits; what a server does beyond them is not documented.
LONGEST = 250
FORBIDDEN = '\\"[]'


def name_fault(name: str) -> str | None:
    r"""Returns why the API does not take a name, as the end of a sentence; None: it does.

    Names are refused that are empty, longer than 250 characters, or have one of ``\ " [ ]``.
    """
    if not name.strip():
        return "is empty"
    if len(name) > LONGEST:
        return f"has {len(name)} characters; the API takes {LONGEST}"
    found = sorted(set(name) & set(FORBIDDEN))
    if found:
        return f'contains {" ".join(found)}, and the API forbids \\ " [ ]'
    return None


def check_name(kind: str, name: str, *, where: str, hint: str) -> None:
    """Checks one name.

    Raises:
        NameRefused: The API does not take it.
    """
    fault = name_fault(name)
    if fault is not None:
        shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
        raise NameRefused(f"{where}: the {kind} name {shown!r} {fault}", hint=hint, name=name)


_SHOWN = 40


def suggested_name(name: str, taken: Iterable[str]) -> str:
    """Returns a name that the API takes, like one that it does not, and none of ``taken``."""
    base = re.sub(r"_{2,}", "_", re.sub(r'[\\"\[\]\s]+', "_", name)).strip("_") or "column"
    known = set(taken)
    number, candidate = 1, base[:LONGEST]
    while candidate in known:
        number += 1
        candidate = f"{base[: LONGEST - 4]}_{number}"
    return candidate


# What YAML reads as that very text without quotes, also within braces.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[ .-][A-Za-z0-9_]+)*")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def yaml_text(text: str) -> str:
    """Returns a text as a mapping file writes it: in quotes where YAML would misread it."""
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED:
        return text
    # A JSON string is a YAML string, but for characters beyond ASCII that YAML does not print.
    return "".join(
        character if character.isprintable() else _escaped(character)
        for character in json.dumps(text, ensure_ascii=False)
    )


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code <= _BASIC_PLANE else f"\\U{code:08x}"


_BASIC_PLANE = 0xFFFF


def column_entry(table: str, column: str, said: Mapping[str, str]) -> str:
    """Returns the line of a mapping file that says something of a column."""
    words = ", ".join(f"{key}: {value}" for key, value in said.items())
    return f"tables: {{{yaml_text(table)}: {{columns: {{{yaml_text(column)}: {{{words}}}}}}}}}"


def check_unique(kind: str, names: Iterable[str], *, where: str, hint: str) -> None:
    """Checks that no name occurs twice.

    Raises:
        NameRefused: One does.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise NameRefused(
                f"{where}: two {kind}s are called {name!r}, and the API tells them apart by name",
                hint=hint,
                name=name,
            )
        seen.add(name)
