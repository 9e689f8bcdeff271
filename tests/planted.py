"""The secrets that tests plant, in one place: after every test ``tests.leaks`` looks for them.

A test that needs a password, a token or a URI with one takes a literal of ``SECRETS``, or adds one;
``test_secrets.py`` finds those that were forgotten.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

__all__ = ["ORDINARY", "SECRETS", "forms"]

SECRETS = (
    # Passwords of users.
    "correct-horse-battery",
    "hidden-text",
    "pass-of-the-user",
    "pl4nted-s3cret",
    "planted",
    "planted-and-wrong",
    "planted-password",
    "planted-secret",
    "s3cret",
    "staple-battery-horse",
    "wr0ng",
    "MARKER-password",
    # API tokens, identity tokens and tokens of sessions.
    "planted-api-token",
    "planted-identity-token",
    "planted-wrong-one",
    "planted-x",
    "planted-y",
    "t0ken",
    "the-token",
    "token-of-the-session",
    "MARKER-token",
    # Of keys of client certificates.
    "planted-key-password",
    "MARKER-key",
    # Of proxies.
    "planted:s€cret/",
    "user:planted",
    "MARKER-secret",
    # Of URIs: users' passwords, keys of object stores, signatures.
    "AKIAexampleexample",
    "hidden-word",
    "s3cr3t",
    "s3cr3t/with+signs",
    "sesame",
)
"""What must not be seen anywhere."""

ORDINARY = frozenset(
    {"1", "b", "c", "open", "other", "p", "p w", "pw", "secret", "t", "testing", "wrong", "x"}
)
"""What tests give as a password or token too, but stands in any text: it cannot be looked for."""

_SHORTEST = 6
"""A piece of base64 with fewer characters occurs by chance."""


def forms(secret: str) -> frozenset[str]:
    """Returns every text in which a secret can be read: quoted, escaped or encoded."""
    data = secret.encode()
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    escaped = {
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(data)[2:-1],
        data.decode("latin-1"),
    }
    return frozenset(
        {secret, data.hex(), *quoted, *map(_lower_hex, quoted), *escaped, *_base64(data)}
    )


def _lower_hex(quoted: str) -> str:
    """Returns a percent-encoded text with small digits, as some libraries write them."""
    head, *rest = quoted.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


def _base64(data: bytes) -> Iterator[str]:
    """Yields the characters that stand for these bytes, whatever comes before and after them.

    Three bytes make four characters, so there are three ways, by where in a group the first byte
    falls; characters that hold bits of a neighbour too are left out.
    """
    for before in range(3):
        text = base64.b64encode(bytes(before) + data).decode()
        own = text[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        if len(own) >= _SHORTEST:
            yield own
            yield own.translate(str.maketrans("+/", "-_"))
