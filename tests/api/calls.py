"""What tests of the calls send and expect."""

from __future__ import annotations

DATASET = "D13539E5433CDB837363F086C6DA6B5C"
SESSION = "9A4EE1C04C4EA20C8A976A8172034DD0"
SESSIONS = f"/api/datasets/{DATASET}/uploadSessions"


class Base64:
    """Two slices of base64."""

    def __len__(self):
        return 12

    def __iter__(self):
        return iter([b"WyBbMSwg", b"Ml0="])


def user_headers(server):
    return {"X-MSTR-AuthToken": server.token}


def project_headers(server):
    return user_headers(server) | {"X-MSTR-ProjectID": server.project.id}
