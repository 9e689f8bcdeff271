"""What a dataset is: the type table, tables with their columns, attributes and metrics."""

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
from loader.model.mapping_file import MappingFile, parse_mapping, read_mapping
from loader.model.mapping_text import save_mapping, write_mapping
from loader.model.types import DataType, arrow_type_for, data_type_of
from loader.model.wishes import Wishes

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
