"""Which proxy a connection goes through, if any: the one that was named, else the environment's."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from loader.errors import UsageError

__all__ = ["NO_PROXY", "Proxy", "choose_proxy", "parse_proxy"]

NO_PROXY = "none"
"""What is given in place of a proxy's URL to connect directly, whatever the environment says."""

_HINT = "A proxy looks like http://proxy.example.com:3128, or none to use none."


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that requests go through.

    Attributes:
        address: Its URL without credentials: what messages name.
        source: Who named it: ``--proxy`` or an environment variable.
        authorization: The value of ``Proxy-Authorization``, or None.
        password: The password in the URL, which no message may show; may be empty.
    """

    address: str
    source: str
    authorization: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)


def choose_proxy(url: str, named: str | None, environ: Mapping[str, str]) -> Proxy | None:
    """Returns the proxy for a server, or None for a direct connection.

    A proxy that was named is used for every server. The environment's (``HTTPS_PROXY`` or
    ``HTTP_PROXY``, after the scheme of the server's URL; in lower case too, which wins as in curl)
    is not used for this machine itself and for what ``NO_PROXY`` lists.

    Args:
        url: The server's URL.
        named: A proxy's URL, ``none``, or None to look at the environment.
        environ: The environment.

    Raises:
        UsageError: The proxy's URL cannot be one.
    """
    if named is not None:
        return None if named.strip().lower() == NO_PROXY else parse_proxy(named, "--proxy")
    parts = urlsplit(url)
    name = f"{parts.scheme}_proxy"
    value, source = _variable(name, environ)
    if not value:
        return None
    exceptions, _ = _variable("no_proxy", environ)
    if _excepted(parts.hostname or "", parts.port or _port_of(parts.scheme), exceptions):
        return None
    return parse_proxy(value, source)


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Returns the value of a variable, empty without one, and the spelling that was found."""
    for spelling in (name, name.upper()):
        value = environ.get(spelling, "").strip()
        if value:
            return value, spelling
    return "", name


def parse_proxy(text: str, source: str) -> Proxy:
    """Returns the proxy that a URL names; without a scheme it is ``http``, as curl reads it.

    Args:
        text: ``http[s]://[user:password@]host[:port]``.
        source: Who named it.

    Raises:
        UsageError: It is no such URL. The message shows none that may hold a password.
    """
    text = text.strip()
    given = "" if "@" in text else f" {text!r}"
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
        # The resolver would fail with a UnicodeError on labels that are empty or too long.
        (host or "").encode("idna")
    except ValueError:
        host, port = None, None
    if not host or any(map(str.isspace, host)) or parts.path.strip("/") or parts.query:
        raise UsageError(
            f"The proxy{given} of {source} is not the URL of a proxy.", hint=_HINT, option=source
        )
    if parts.scheme not in {"http", "https"}:
        raise UsageError(
            f"The proxy{given} of {source} is a {parts.scheme} proxy; "
            "only http and https ones can be used.",
            hint=_HINT,
            option=source,
        )
    host = f"[{host}]" if ":" in host else host
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    authorization = None
    if user or password:
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        authorization = f"Basic {token}"
    return Proxy(
        address=f"{parts.scheme}://{host}:{port or _port_of(parts.scheme)}",
        source=source,
        authorization=authorization,
        password=password,
    )


def _port_of(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _excepted(host: str, port: int, exceptions: str) -> bool:
    """Whether the environment's proxy is not for this host."""
    address = _address(host)
    if host == "localhost" or host.endswith(".localhost") or (address and address.is_loopback):
        return True
    return any(
        _matches(host, address, port, entry)
        for entry in exceptions.lower().replace(",", " ").split()
    )


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _matches(host: str, address: _Address | None, port: int, entry: str) -> bool:
    """Whether an entry of ``NO_PROXY`` names a host: ``*``, a domain, an address or a network.

    A domain stands for its subdomains too, with and without a dot at its start; ``:port`` at its
    end limits it to that port.
    """
    if entry == "*":
        return True
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry.strip("[]"), strict=False)
        except ValueError:
            pass  # it has a port, or it is a domain
    name, _, wanted = entry.rpartition(":")
    if name and wanted.isdigit():
        if int(wanted) != port:
            return False
        entry = name
    domain = entry.strip("[]").removeprefix("*").removeprefix(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
