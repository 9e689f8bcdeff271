"""The status page at ``/``: what is there and what happened last, for people who look."""

from __future__ import annotations

import functools
import importlib.resources
from typing import TYPE_CHECKING, Any

from loader.emulator.catalogue import PROJECTS

if TYPE_CHECKING:
    from loader.emulator.catalogue import Dataset
    from loader.emulator.core import Emulator
    from loader.emulator.uploads import UploadSession

__all__ = ["CONTENT_SECURITY_POLICY", "page", "status"]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
)
"""The page is one file: it may talk to its own server and load nothing."""


@functools.cache
def page() -> str:
    """Returns the page, which fetches everything it shows from ``/status.json``."""
    return importlib.resources.files(__package__).joinpath("page.html").read_text("utf-8")


async def status(emulator: Emulator) -> dict[str, Any]:
    """Returns what the page shows: no token, no cookie, no password."""
    options = emulator.options
    projects = {project.id: project.name for project in PROJECTS}
    datasets = [
        await _dataset(emulator, dataset, projects[dataset.project_id])
        for dataset in emulator.catalogue
    ]
    return {
        "ingest": options.ingest,
        "data": str(options.data) if options.data else None,
        "model": options.model(),
        "pool": {"busy": emulator.pool.busy, "waiting": emulator.pool.waiting},
        "logins": len(emulator.logins),
        "requests": emulator.traffic.requests,
        "bytes": emulator.traffic.bytes,
        "datasets": datasets,
        "faults": emulator.faults.report(),
        "sessions": [_session(session) for session in reversed(list(emulator.uploads))],
        "last": emulator.traffic.last(),
    }


async def _dataset(emulator: Emulator, dataset: Dataset, project: str) -> dict[str, Any]:
    rows = await emulator.row_counts(dataset)
    return {
        "id": dataset.id,
        "name": dataset.model.name,
        "project": project,
        "folder": dataset.folder.name,
        "schema": dataset.schema,
        "published": dataset.published,
        "modified": dataset.modified,
        "tables": [
            {"name": table.name, "columns": len(table.columns), "rows": rows[table.name]}
            for table in dataset.model.tables
        ],
    }


def _session(session: UploadSession) -> dict[str, Any]:
    return {
        "id": session.id,
        "dataset": session.dataset.model.name,
        "state": session.state.value,
        "message": session.message,
        "puts": session.puts,
        "tables": [
            {
                "name": name,
                "policy": upload.policy.lower(),
                "orientation": upload.orientation.lower(),
                "chunks": len(upload.indices),
                "json_bytes": upload.json_bytes,
            }
            for name, upload in session.tables.items()
        ],
    }
