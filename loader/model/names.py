"""Which names the API takes for datasets, tables and columns."""

from __future__ import annotations

from collections.abc import Iterable

from loader.errors import NameRefused

__all__ = ["check_name", "check_unique"]

# Clients of the API enforce both limits; what a server does beyond them is not documented.
LONGEST = 250
FORBIDDEN = '\\"[]'

# What mends a name depends on what it names.
_MENDS = {
    "dataset": "name it with --dataset NAME",
    "table": "name it with TABLE=PATH",
    "column": "rename it at the source",
}


def check_name(kind: str, name: str, *, where: str) -> None:
    r"""Checks one name.

    Raises:
        NameRefused: It is empty, longer than 250 characters, or has one of ``\ " [ ]``.
    """
    if not name.strip():
        raise NameRefused(f"{where}: a {kind} has no name", hint=_MENDS[kind], name=name)
    if len(name) > LONGEST:
        raise NameRefused(
            f"{where}: the {kind} name {name[:40]!r}… has {len(name)} characters; "
            f"the API takes {LONGEST}",
            hint=_MENDS[kind],
            name=name,
        )
    found = sorted(set(name) & set(FORBIDDEN))
    if found:
        raise NameRefused(
            f"{where}: the {kind} name {name!r} contains {' '.join(found)}, "
            'and the API forbids \\ " [ ]',
            hint=_MENDS[kind],
            name=name,
        )


def check_unique(kind: str, names: Iterable[str], *, where: str) -> None:
    """Checks that no name occurs twice.

    Raises:
        NameRefused: One does.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise NameRefused(
                f"{where}: two {kind}s are called {name!r}, and the API tells them apart by name",
                hint=_MENDS[kind],
                name=name,
            )
        seen.add(name)
