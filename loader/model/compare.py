"""Whether an existing dataset has the tables and columns that a source is about to fill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loader.model.definition import DatasetModel

__all__ = ["differences"]


def differences(
    model: DatasetModel, existing: Mapping[str, Mapping[str, str | None]]
) -> Sequence[str]:
    """Returns what differs, in words; nothing means that the load fits.

    Args:
        model: What the source wants to load.
        existing: The dataset's tables: column name to data type, None where the server tells none.
    """
    found: list[str] = []
    for table in model.tables:
        if table.name not in existing:
            there = ", ".join(repr(name) for name in existing) or "none"
            found.append(f"the dataset has no table {table.name!r} (it has {there})")
            continue
        columns = existing[table.name]
        for column in table.columns:
            if column.name not in columns:
                found.append(f"table {table.name!r} has no column {column.name!r}")
                continue
            theirs = columns[column.name]
            if theirs is not None and theirs.upper() != column.data_type.value:
                found.append(
                    f"column {column.name!r} of table {table.name!r} is {theirs.upper()} there "
                    f"and {column.data_type} in the source"
                )
        ours = set(table.column_names)
        found += [
            f"the source has no column {name!r}, which table {table.name!r} has"
            for name in columns
            if name not in ours
        ]
    return found
