"""What a dataset is: the type table, tables with their columns, attributes and metrics."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from loader.model.build import build_model
from loader.model.compare import Drift, ExistingDataset, fit
from loader.model.definition import (
    ID,
    Attribute,
    Column,
    ColumnRef,
    DatasetModel,
    Form,
    Metric,
    Role,
    Table,
)
from loader.model.types import DataType, arrow_type_for, data_type_of
from loader.model.wishes import Wishes

if TYPE_CHECKING:
    from loader.model.mapping_file import MappingFile, parse_mapping, read_mapping
    from loader.model.mapping_text import save_mapping, write_mapping

# Imported when first used: few loads have a mapping file, and YAML is slow to import.
_HOMES = {
    "MappingFile": "loader.model.mapping_file",
    "parse_mapping": "loader.model.mapping_file",
    "read_mapping": "loader.model.mapping_file",
    "save_mapping": "loader.model.mapping_text",
    "write_mapping": "loader.model.mapping_text",
}

__all__ = [
    "ID",
    "Attribute",
    "Column",
    "ColumnRef",
    "DataType",
    "DatasetModel",
    "Drift",
    "ExistingDataset",
    "Form",
    "MappingFile",
    "Metric",
    "Role",
    "Table",
    "Wishes",
    "arrow_type_for",
    "build_model",
    "data_type_of",
    "fit",
    "parse_mapping",
    "read_mapping",
    "save_mapping",
    "write_mapping",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
