"""The Push Data REST API: one method a call, answers validated, failures as the loader's errors."""

from __future__ import annotations

from loader.api.client import Client
from loader.api.connection import Connection, LoginMode
from loader.api.dataset_calls import (
    CreatedDataset,
    DatasetColumn,
    DatasetObjects,
    DatasetRef,
    DatasetTable,
    DatasetTables,
)
from loader.api.keepalive import KeepAlive
from loader.api.payload import Base64Data, OnSlice
from loader.api.session_calls import Project, ServerInfo
from loader.api.status import PublishState, PublishStatus
from loader.api.upload_calls import UploadTable

__all__ = [
    "Base64Data",
    "Client",
    "Connection",
    "CreatedDataset",
    "DatasetColumn",
    "DatasetObjects",
    "DatasetRef",
    "DatasetTable",
    "DatasetTables",
    "KeepAlive",
    "LoginMode",
    "OnSlice",
    "Project",
    "PublishState",
    "PublishStatus",
    "ServerInfo",
    "UploadTable",
]
