"""Whether an existing dataset has the tables and columns that a source is about to fill."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from loader.model.build import Roles
from loader.model.definition import DatasetModel

__all__ = ["differences", "role_differences"]


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


def role_differences(
    model: DatasetModel, roles: Roles, attributes: Collection[str], metrics: Collection[str]
) -> Sequence[str]:
    """Returns which of the user's wishes an existing dataset contradicts, in words.

    Args:
        model: What the source wants to load.
        roles: What the user says of single columns; columns it does not name are as they are there.
        attributes: The names of the dataset's attributes.
        metrics: The names of its metrics.
    """
    found: list[str] = []
    for table in model.tables:
        for column in table.columns:
            spellings = {column.name, f"{table.name}.{column.name}"}
            is_attribute, is_metric = column.name in attributes, column.name in metrics
            if spellings & set(roles.attributes) and is_metric and not is_attribute:
                found.append(f"column {column.name!r} is a metric there, and --attribute names it")
            if spellings & set(roles.metrics) and is_attribute and not is_metric:
                found.append(f"column {column.name!r} is an attribute there, and --metric names it")
    return found
