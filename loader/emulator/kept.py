"""What a restart keeps of upload sessions: their documents, and sessions made of them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loader.emulator.sessions import Login
from loader.emulator.uploads import State, UploadSession, parse_session

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from loader.emulator.catalogue import Dataset

__all__ = ["document", "restored"]


def document(session: UploadSession) -> dict[str, Any]:
    """Returns what must be kept to make a session again; the chunks are kept by the archive."""
    return {
        "dataset": session.dataset.id,
        "user": session.login.user,
        "body": session.body,
        "state": session.state.value,
        "message": session.message,
        "chunks": session.chunks,
    }


def restored(
    session_id: str,
    kept: Mapping[str, Any],
    dataset: Dataset,
    staged: Collection[tuple[str, int]],
) -> UploadSession:
    """Makes a session again, with a login that has ended: logins end with the server.

    A publish changes the tables and forgets the chunks in one step, so the chunks tell whether the
    server ended before it or after. Where it ended before, nothing was published, and the session
    is open as if its publish had never been asked for.

    Args:
        session_id: Its id.
        kept: Its document.
        dataset: What it uploads to.
        staged: The tables and indices of its chunks.
    """
    session = UploadSession(
        dataset=dataset,
        login=Login(user=kept["user"], id="", token="", cookie="", expires=0.0, alive=False),
        tables=parse_session(kept["body"], dataset),
        body=kept["body"],
        id=session_id,
        state=State(kept["state"]),
        message=kept["message"],
    )
    for table, index in staged:
        session.tables[table].indices.accept(index)
    if session.state is State.PUBLISHING:
        published = kept["chunks"] > 0 and not staged
        session.state = State.PUBLISHED if published else State.OPEN
    return session
