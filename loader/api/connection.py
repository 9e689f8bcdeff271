"""Where the server is and who logs in, checked before the first request."""

from __future__ import annotations

import enum
import ssl
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from loader.errors import UsageError

__all__ = ["Connection", "LoginMode"]


class LoginMode(enum.IntEnum):
    """How the server checks the credentials; the values are the API's ``loginMode``.

    Source: both documents, "Log in" (1); public clients (16).
    """

    STANDARD = 1
    LDAP = 16


@dataclass(frozen=True, slots=True)
class Connection:
    """A server, a user and how the two are checked.

    Attributes:
        url: The Library's address, ``https://host/MicroStrategyLibrary``; given with or without
            ``/api`` and a slash at its end, kept without both.
        username: The user's name.
        password: The user's password; never part of a repr, a log line or an error.
        project: The project's name or id, for the caller of ``Client.select_project``.
        login_mode: Standard or LDAP.
        ca_bundle: A PEM file with the certificate authorities to trust *in place of* the system's.
        insecure: Accept any certificate.

    Raises:
        UsageError: The URL cannot be one, or the options contradict each other.
    """

    url: str
    _: KW_ONLY
    username: str = ""
    password: str = field(default="", repr=False)
    project: str | None = None
    login_mode: LoginMode = LoginMode.STANDARD
    ca_bundle: Path | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _normalised(self.url))
        if self.insecure and self.ca_bundle is not None:
            raise UsageError(
                "A CA bundle cannot be used while certificate checks are switched off.",
                hint="Give either --ca-bundle or --insecure.",
            )

    @property
    def server(self) -> str:
        """Scheme, host and port: what messages name."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith("https:")

    def certificate_checks(self) -> ssl.SSLContext | bool:
        """Returns aiohttp's ``ssl`` setting; reads the CA bundle, so call it off the event loop.

        Raises:
            UsageError: The CA bundle is missing or holds no certificate.
        """
        if self.ca_bundle is None:
            return not self.insecure
        try:
            # An ssl.SSLError is an OSError too: a file that is no PEM file ends here as well.
            return ssl.create_default_context(cafile=self.ca_bundle)
        except OSError as error:
            raise UsageError(
                f"The CA bundle {self.ca_bundle} cannot be used: {error.strerror or error}.",
                hint="--ca-bundle takes a file of PEM certificates.",
                file=str(self.ca_bundle),
            ) from error


def _normalised(url: str) -> str:
    """Returns the Library's address without ``/api`` and slashes at its end.

    Error messages show no part of a URL that may hold a password.
    """
    hint = "The URL looks like https://host.example.com/MicroStrategyLibrary"
    try:
        parts = urlsplit(url.strip())
        host, _port, credentials = parts.hostname, parts.port, "@" in parts.netloc
        # The resolver would fail with a UnicodeError on labels that are empty or too long.
        (host or "").encode("idna")
    except ValueError as error:
        raise UsageError(f"The server's URL is not valid: {error}.", hint=hint) from None
    if credentials:
        raise UsageError(
            "The server's URL holds credentials.",
            hint="Give them with --username and MSTR_PASSWORD.",
        )
    if parts.scheme not in {"http", "https"} or not host or any(map(str.isspace, host)):
        raise UsageError(
            f"The server's URL {url!r} is not an http or https address.",
            hint=hint,
        )
    if parts.query or parts.fragment:
        raise UsageError("The server's URL has a query or a fragment.", hint=hint)
    path = parts.path.rstrip("/").removesuffix("/api").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"
