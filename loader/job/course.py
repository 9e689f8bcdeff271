"""What a load through an upload session works with once its dataset is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from loader.api import Client
from loader.job.dataset import Target
from loader.job.retrier import Retrier
from loader.job.upload_sessions import UploadSessions

__all__ = ["Course"]


@dataclass(frozen=True, slots=True)
class Course:
    """One load from the moment its dataset is known.

    Attributes:
        client: Logged in, with a project.
        target: The dataset.
        retrier: Makes the calls that may be repeated.
        sessions: Opens and deletes upload sessions.
        before: The rows of the tables before the publish.
    """

    client: Client
    target: Target
    retrier: Retrier
    sessions: UploadSessions
    before: Mapping[str, int | None]
