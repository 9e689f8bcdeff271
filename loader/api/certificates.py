"""The TLS settings of a connection: whom it trusts, and the certificate it shows of its own."""

from __future__ import annotations

import ssl
from pathlib import Path

from loader.errors import UsageError

__all__ = ["tls_context"]

_BOTH = "--client-cert and --client-key take PEM files; the key may be in the certificate's file."


def tls_context(
    *,
    ca_bundle: Path | None,
    insecure: bool,
    client_cert: Path | None,
    client_key: Path | None,
    client_key_password: str,
) -> ssl.SSLContext | bool:
    """Returns aiohttp's ``ssl`` setting; reads files.

    True and False, checks with the system's authorities and no checks, stand for contexts that
    aiohttp keeps.

    Raises:
        UsageError: A file is missing, is not what it should be, or needs another password.
    """
    if ca_bundle is None and client_cert is None:
        return not insecure
    context = _trusting(ca_bundle)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if client_cert is not None:
        _show(context, client_cert, client_key, client_key_password)
    return context


def _trusting(bundle: Path | None) -> ssl.SSLContext:
    try:
        # An ssl.SSLError is an OSError too: a file that is no PEM file ends here as well.
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise UsageError(
            f"The CA bundle {bundle} cannot be used: {error.strerror or error}.",
            hint="--ca-bundle takes a file of PEM certificates.",
            file=str(bundle),
        ) from error


class _LockedKey(Exception):
    """The key asks for a password and none was given."""


def _show(context: ssl.SSLContext, certificate: Path, key: Path | None, password: str) -> None:
    for path in filter(None, (certificate, key)):
        _require_readable(path)
    asked = False

    def unlock() -> str:
        # Without this function OpenSSL would ask on the terminal, and a job would hang there.
        nonlocal asked
        asked = True
        if not password:
            raise _LockedKey
        return password

    where = key or certificate
    try:
        context.load_cert_chain(certificate, key, password=unlock)
    except _LockedKey:
        raise UsageError(
            f"The client key in {where} is encrypted, and its password was not given.",
            hint="Set MSTR_CLIENT_KEY_PASSWORD.",
            file=str(where),
        ) from None
    except ValueError:  # OpenSSL takes a password of at most 1023 bytes
        raise UsageError(
            f"The password of the client key in {where} is too long.",
            hint="Correct MSTR_CLIENT_KEY_PASSWORD.",
            file=str(where),
        ) from None
    except ssl.SSLError as error:
        raise _unusable(error, certificate, key, asked=asked) from None


def _require_readable(path: Path) -> None:
    # OpenSSL does not say which of the two files it is that it cannot open.
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise UsageError(
            f"The client certificate's file {path} cannot be read: {error.strerror}.",
            hint=_BOTH,
            file=str(path),
        ) from error


def _unusable(
    error: ssl.SSLError, certificate: Path, key: Path | None, *, asked: bool
) -> UsageError:
    where = key or certificate
    if error.reason == "KEY_VALUES_MISMATCH":
        message, hint = f"The client key in {where} is not that of the certificate.", _BOTH
    elif asked:
        message = f"The client key in {where} cannot be opened with the password given."
        hint = "Correct MSTR_CLIENT_KEY_PASSWORD."
    else:
        message = f"The client certificate {certificate} cannot be used with the key in {where}."
        hint = _BOTH
    return UsageError(message, hint=hint, file=str(where))
