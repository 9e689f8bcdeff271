"""Where the server is and the way to it: profile, then environment, then flags."""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loader.cli.server_options import ServerFlags
from loader.errors import UsageError

if TYPE_CHECKING:
    from loader.api import Connection

__all__ = ["config_file", "connect"]

logger = logging.getLogger("loader.cli")

_PROFILE_KEYS = frozenset(
    {
        *("url", "username", "project", "login_mode", "password_file", "password_command"),
        *("ca_bundle", "client_cert", "client_key", "proxy"),
    }
)
_SECRET_KEYS = frozenset(
    {"password", "token", "api_token", "identity_token", "client_key_password"}
)
_NO_SECRETS = (
    "a secret does not belong in a configuration file: name a password_file or a password_command, "
    "or use the environment or the keyring"
)


def config_file() -> Path:
    """Returns where profiles are read from; ``MSTR_LOADER_CONFIG`` names another file."""
    named = os.environ.get("MSTR_LOADER_CONFIG")
    if named:
        return Path(named)
    import platformdirs  # noqa: PLC0415 - only commands that connect need it

    return platformdirs.user_config_path("mstr-loader") / "config.toml"


def connect(options: ServerFlags) -> Connection:
    """Returns the connection.

    Raises:
        UsageError: The server or the user is missing, or a profile, file or command does not work.
    """
    from loader.api import Connection  # noqa: PLC0415 - aiohttp is slow to import
    from loader.cli.credentials import choose_credentials  # noqa: PLC0415 - the same

    profile = _profile(options.profile) if options.profile else {}
    url = options.url or profile.get("url")
    if not url:
        raise UsageError(
            "no server was named",
            hint="--url https://HOST/MicroStrategyLibrary, MSTR_URL, a --profile, or --local",
        )
    proxy = _proxy(options, profile)
    who = choose_credentials(options, profile, url)
    # A flag says what this run wants, a profile what is usual.
    usual = {} if options.insecure else profile
    cert = options.client_cert or _path(profile, "client_cert")
    connection = Connection(
        url,
        username=who.username,
        password=who.password,
        token=who.token,
        project=options.project or profile.get("project"),
        login_mode=who.login_mode,
        ca_bundle=options.ca_bundle or _path(usual, "ca_bundle"),
        insecure=options.insecure,
        client_cert=cert,
        # The profile's key is that of the profile's certificate.
        client_key=options.client_key
        or (None if options.client_cert else _path(profile, "client_key")),
        client_key_password=os.environ.get("MSTR_CLIENT_KEY_PASSWORD", "") if cert else "",
        proxy=proxy,
    )
    # Files that cannot be used are known before a long scan of the source, not after it.
    connection.certificate_checks()
    connection.route()
    return connection


def _path(profile: Mapping[str, str], key: str) -> Path | None:
    return Path(profile[key]).expanduser() if profile.get(key) else None


def _proxy(options: ServerFlags, profile: Mapping[str, str]) -> str | None:
    from loader.api.proxy import NO_PROXY, parse_proxy  # noqa: PLC0415 - as above
    from loader.cli.credentials import from_flag  # noqa: PLC0415 - as above

    proxy = options.proxy or profile.get("proxy")
    if proxy is None or proxy.strip().lower() == NO_PROXY:
        return proxy
    if options.proxy is None and parse_proxy(proxy, "the profile").authorization is not None:
        raise UsageError(
            f"the proxy of profile {options.profile!r} holds a user or a password",
            hint="a secret does not belong in a configuration file: set MSTR_PROXY",
        )
    typed = from_flag(options.proxy, "MSTR_PROXY")
    if typed and parse_proxy(typed, "--proxy").password:
        logger.warning(
            "The password in --proxy can be read by all users of this machine: set MSTR_PROXY"
        )
    return proxy


def _profile(name: str) -> dict[str, Any]:
    path = config_file()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"--profile {name}: there is no configuration file {path}",
            hint="create it with a section [profiles.NAME] and keys such as url and username",
        ) from error
    except OSError as error:
        raise UsageError(
            f"--profile {name}: {path} cannot be read: {error.strerror}",
            hint="create it with a section [profiles.NAME] and keys such as url and username",
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{path} is not valid TOML: {error}", hint="correct the file, or leave out --profile"
        ) from error
    profiles = document.get("profiles", {})
    if name not in profiles:
        raise UsageError(
            f"{path} has no profile {name!r}", hint=f"profiles: {', '.join(profiles) or 'none'}"
        )
    profile: dict[str, Any] = profiles[name]
    wrong = sorted(key for key, value in profile.items() if not isinstance(value, str))
    if wrong:
        raise UsageError(
            f"profile {name!r} in {path}: {', '.join(wrong)} must be a text",
            hint="put the value into quotes",
        )
    unknown = sorted(set(profile) - _PROFILE_KEYS)
    if unknown:
        known = f"known keys: {', '.join(sorted(_PROFILE_KEYS))}"
        raise UsageError(
            f"profile {name!r} in {path} has unknown keys: {', '.join(unknown)}",
            hint=known if _SECRET_KEYS.isdisjoint(unknown) else _NO_SECRETS,
        )
    return profile
