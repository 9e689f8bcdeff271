"""The calls of an upload session: open, put chunks, publish, ask, delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from loader.api.answer import Answer, integer_of, nothing, object_of, text_of
from loader.api.exchange import Call
from loader.api.payload import Base64Data
from loader.api.status import PublishStatus, publish_state
from loader.errors import UsageError

__all__ = [
    "UploadTable",
    "checked_policy",
    "delete_session",
    "open_session",
    "publish",
    "publish_status",
    "put_chunk",
]

_POLICIES = ("add", "update", "upsert", "replace")
_ORIENTATIONS = ("ROW", "COLUMN")


def checked_policy(policy: str) -> str:
    """Returns an update policy in lower case, as the multiple-requests document lists them.

    Raises:
        UsageError: It is none of the four.
    """
    if policy.lower() not in _POLICIES:
        raise UsageError(
            f"{policy!r} is not an update policy.", hint=f"One of {', '.join(_POLICIES)}."
        )
    return policy.lower()


@dataclass(frozen=True, slots=True)
class UploadTable:
    """How the chunks of one table are laid out, and what publishing them does.

    Attributes:
        name: The table's name in the dataset.
        update_policy: ``add``, ``update``, ``upsert`` or ``replace``, in any case.
        orientation: ``ROW`` or ``COLUMN``, in any case.
        column_headers: The columns' names in the order of the data; empty: the dataset's own order.

    Raises:
        UsageError: The policy or the orientation does not exist.
    """

    name: str
    update_policy: str
    orientation: str
    column_headers: Sequence[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "update_policy", checked_policy(self.update_policy))
        object.__setattr__(self, "orientation", self.orientation.upper())
        object.__setattr__(self, "column_headers", tuple(self.column_headers))
        if self.orientation not in _ORIENTATIONS:
            raise UsageError(
                f"{self.orientation!r} is not an orientation.",
                hint=f"One of {', '.join(_ORIENTATIONS)}.",
            )

    def as_json(self) -> dict[str, Any]:
        """Returns the table's entry in the body of ``POST …/uploadSessions``."""
        entry: dict[str, Any] = {
            "name": self.name,
            "updatePolicy": self.update_policy,
            "orientation": self.orientation,
        }
        if self.column_headers:
            entry["columnHeaders"] = list(self.column_headers)
        return entry


def open_session(dataset_id: str, tables: Sequence[UploadTable]) -> Call[str]:
    """Opens an upload session; the result is its id.

    Source: multiple-requests document, "Create an upload session on the IServer".
    """
    return Call(
        aim=f"open an upload session for dataset {dataset_id}",
        method="POST",
        path=_sessions(dataset_id),
        body={"tables": [table.as_json() for table in tables]},
        read=lambda answer: text_of(object_of(answer), "uploadSessionId"),
    )


def put_chunk(
    dataset_id: str, session_id: str, *, table: str, index: int, data: Base64Data
) -> Call[None]:
    """Adds one chunk; ``index`` goes out as a number, though the document's sample has a text.

    Source: multiple-requests document, "Add data to the upload session (with multiple calls)".
    """
    return Call(
        aim=f"upload chunk {index} of table {table!r}",
        method="PUT",
        path=_session(dataset_id, session_id),
        # The data comes last, so that a server reading as it goes knows where it belongs.
        body={"tableName": table, "index": index, "data": data},
        read=nothing,
    )


def publish(dataset_id: str, session_id: str) -> Call[None]:
    """Starts the publish (multiple-requests document, "Publish the dataset")."""
    return Call(
        aim=f"publish dataset {dataset_id}",
        method="POST",
        path=f"{_session(dataset_id, session_id)}/publish",
        read=nothing,
    )


def publish_status(dataset_id: str, session_id: str) -> Call[PublishStatus]:
    """Asks how far the publish is; a GET, though the document's list says POST.

    Source: multiple-requests document, "Check to see if the dataset has been published".
    """
    return Call(
        aim=f"read the publish status of dataset {dataset_id}",
        method="GET",
        path=f"{_session(dataset_id, session_id)}/publishStatus",
        read=_publish_status,
    )


def _publish_status(answer: Answer) -> PublishStatus:
    document = object_of(answer)
    code = integer_of(document, "status")
    message = document.get("message")
    return PublishStatus(
        state=publish_state(code), code=code, message=message if isinstance(message, str) else ""
    )


def delete_session(dataset_id: str, session_id: str) -> Call[None]:
    """Ends the upload session; before the publish ended it cancels it and discards the data.

    Source: multiple-requests document, "Delete the upload session".
    """
    return Call(
        aim=f"delete upload session {session_id}",
        method="DELETE",
        path=_session(dataset_id, session_id),
        read=nothing,
    )


def _sessions(dataset_id: str) -> str:
    return f"/api/datasets/{quote(dataset_id, safe='')}/uploadSessions"


def _session(dataset_id: str, session_id: str) -> str:
    return f"{_sessions(dataset_id)}/{quote(session_id, safe='')}"
