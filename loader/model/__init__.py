"""What a dataset is: the type table, tables with their columns, attributes and metrics."""

from loader.model.build import Roles, build_model
from loader.model.compare import differences, role_differences
from loader.model.definition import Column, DatasetModel, Role, Table
from loader.model.types import DataType, arrow_type_for, data_type_of

__all__ = [
    "Column",
    "DataType",
    "DatasetModel",
    "Role",
    "Roles",
    "Table",
    "arrow_type_for",
    "build_model",
    "data_type_of",
    "differences",
    "role_differences",
]
