"""Where the server is, the way to it and who logs in, checked before the first request."""

from __future__ import annotations

import enum
import os
import ssl
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from loader.api.certificates import tls_context
from loader.api.proxy import Proxy, choose_proxy
from loader.errors import UsageError

__all__ = ["Connection", "LoginMode"]


class LoginMode(enum.IntEnum):
    """How the server checks who logs in; the values are the API's ``loginMode``.

    Source: both documents, "Log in" (1); public clients (8, 16, 4096, -1). Trusted authentication
    (64) is not among them: it lives on headers that a sign-on gateway puts into the requests of
    people's browsers, and a loader has none.
    """

    STANDARD = 1
    ANONYMOUS = 8
    LDAP = 16
    API_TOKEN = 4096
    IDENTITY_TOKEN = -1

    @property
    def label(self) -> str:
        """Its name on the command line and in messages."""
        return self.name.lower().replace("_", "-")

    @property
    def by_password(self) -> bool:
        """Whether it takes a user and a password."""
        return self in {LoginMode.STANDARD, LoginMode.LDAP}

    @property
    def by_token(self) -> bool:
        """Whether it takes a token, which stands for its user."""
        return self in {LoginMode.API_TOKEN, LoginMode.IDENTITY_TOKEN}


@dataclass(frozen=True, slots=True)
class Connection:
    """A server, the way to it, a user and how the user is checked.

    No secret is part of a repr, a log line or an error. Pickles, secrets included.

    Attributes:
        url: The Library's address, ``https://host/MicroStrategyLibrary``; given with or without
            ``/api`` and a slash at its end, kept without both.
        username: The user's name.
        password: The user's password.
        token: The API token or identity token, with the login modes of these names.
        project: The project's name or id, for the caller of ``Client.select_project``.
        login_mode: How the server checks the user.
        ca_bundle: A PEM file with the certificate authorities to trust *in place of* the system's,
            by the server and by an https proxy.
        insecure: Accept any certificate.
        client_cert: A PEM file with the certificate to show where one is asked for, and the
            authorities between it and its root.
        client_key: A PEM file with its key, where ``client_cert`` does not hold it.
        client_key_password: Opens an encrypted key; nobody is ever asked for it.
        proxy: The proxy's URL, ``none`` for a direct connection; None leaves it to the environment
            (``HTTPS_PROXY``, ``HTTP_PROXY``, ``NO_PROXY``).

    Raises:
        UsageError: A URL cannot be one, or the settings contradict each other.
    """

    url: str
    _: KW_ONLY
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    project: str | None = None
    login_mode: LoginMode = LoginMode.STANDARD
    ca_bundle: Path | None = None
    insecure: bool = False
    client_cert: Path | None = None
    client_key: Path | None = None
    client_key_password: str = field(default="", repr=False)
    proxy: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _normalised(self.url))
        object.__setattr__(self, "login_mode", LoginMode(self.login_mode))
        self._check_login()
        self._check_tls()
        if self.proxy is not None:
            choose_proxy(self.url, self.proxy, {})

    def _check_login(self) -> None:
        mode = self.login_mode
        if mode.by_token and not self.token:
            raise UsageError(
                f"Login mode {mode.label} needs a token.",
                hint=f"Give one (to the command line as MSTR_{mode.name}), or another login mode.",
            )
        if self.token and not mode.by_token:
            raise UsageError(
                f"A token has no meaning with login mode {mode.label}.",
                hint="Choose the login mode api-token or identity-token, or leave it out.",
            )
        if not mode.by_password and (self.username or self.password):
            given = "user" if self.username else "password"
            raise UsageError(
                f"A {given} has no meaning with login mode {mode.label}.",
                hint="Choose the login mode standard or ldap, or leave it out.",
            )

    def _check_tls(self) -> None:
        if self.insecure and self.ca_bundle is not None:
            raise UsageError(
                "A CA bundle cannot be used while certificate checks are switched off.",
                hint="Give either --ca-bundle or --insecure.",
            )
        if self.client_cert is None:
            if self.client_key is not None:
                raise UsageError(
                    "A client key needs its certificate.",
                    hint="Name the certificate's file with --client-cert.",
                )
        elif not self.tls:
            raise UsageError(
                "A client certificate cannot be shown to a server whose URL says http.",
                hint="Does the URL have to say https? Else leave out --client-cert.",
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

    @property
    def who(self) -> str:
        """The user; the login mode where that is all that is known."""
        mode = self.login_mode
        return f"user {self.username!r}" if mode.by_password else mode.label

    def certificate_checks(self) -> ssl.SSLContext | bool:
        """Returns aiohttp's ``ssl`` setting; reads files, so call it off the event loop.

        Raises:
            UsageError: The CA bundle, the client certificate or its key cannot be used.
        """
        return tls_context(
            ca_bundle=self.ca_bundle,
            insecure=self.insecure,
            client_cert=self.client_cert,
            client_key=self.client_key,
            client_key_password=self.client_key_password,
        )

    def route(self) -> Proxy | None:
        """Returns the proxy to go through, of this process's environment if none was named.

        Raises:
            UsageError: The environment's proxy cannot be used.
        """
        return choose_proxy(self.url, self.proxy, os.environ)


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
