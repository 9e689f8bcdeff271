"""Where the server, the user and the password come from: profile, then environment, then flags."""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loader.cli.server_options import ServerFlags
from loader.errors import UsageError

if TYPE_CHECKING:
    from loader.api import Connection

__all__ = ["config_file", "connect"]

_PROFILE_KEYS = frozenset(
    {
        "url",
        "username",
        "project",
        "login_mode",
        "ca_bundle",
        "password_file",
        "password_command",
    }
)

_WAYS = (
    "set MSTR_PASSWORD, use --password-file or --password-command, store it in the keyring, "
    "or run in a terminal to be asked"
)
_COMMAND_HINT = "run it by hand: it must print the password and nothing else, without asking"
_KEYRING_SERVICE = "mstr-loader"
_COMMAND_TIMEOUT = 60.0


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
    from loader.api import Connection, LoginMode  # noqa: PLC0415 - aiohttp is slow to import

    profile = _profile(options.profile) if options.profile else {}
    url = options.url or profile.get("url")
    if not url:
        raise UsageError(
            "no server was named",
            hint="--url https://HOST/MicroStrategyLibrary, MSTR_URL, a --profile, or --local",
        )
    username = options.username or profile.get("username")
    if not username:
        raise UsageError("no user was named", hint="--username NAME or MSTR_USERNAME")
    mode = (options.login_mode or profile.get("login_mode") or "standard").upper()
    if mode not in LoginMode.__members__:
        modes = ", ".join(name.lower() for name in LoginMode.__members__)
        raise UsageError(
            f"login mode {mode.lower()!r} is not one of {modes}", hint="correct --login-mode"
        )
    # A flag says what this run wants, a profile what is usual.
    ca_bundle = options.ca_bundle or (None if options.insecure else profile.get("ca_bundle"))
    connection = Connection(
        url,
        username=username,
        password=_password(options, profile, url, username),
        project=options.project or profile.get("project"),
        login_mode=LoginMode[mode],
        ca_bundle=Path(ca_bundle).expanduser() if ca_bundle else None,
        insecure=options.insecure,
    )
    # A CA bundle that cannot be used is known before a long scan of the source, not after it.
    connection.certificate_checks()
    return connection


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
        hint = f"known keys: {', '.join(sorted(_PROFILE_KEYS))}"
        if "password" in unknown:
            hint = "a password does not belong in a configuration file: " + _WAYS
        raise UsageError(
            f"profile {name!r} in {path} has unknown keys: {', '.join(unknown)}", hint=hint
        )
    return profile


def _password(options: ServerFlags, profile: Mapping[str, Any], url: str, username: str) -> str:
    if options.password_file and options.password_command:
        raise UsageError("--password-file and --password-command are both given", hint="use one")
    if options.password_file:
        return _from_file(options.password_file)
    if options.password_command:
        return _from_command(options.password_command)
    if "MSTR_PASSWORD" in os.environ:
        return os.environ["MSTR_PASSWORD"]
    if "password_file" in profile:
        return _from_file(Path(profile["password_file"]).expanduser())
    if "password_command" in profile:
        return _from_command(profile["password_command"])
    stored = _from_keyring(url, username)
    if stored is not None:
        return stored
    if sys.stdin.isatty():
        return getpass.getpass(f"Password of {username}: ")
    raise UsageError(f"no password for {username!r}", hint=_WAYS)


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"the password file {path} cannot be read: {reason}",
            hint="--password-file names a text file that holds nothing but the password",
        ) from None


def _from_command(command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the user's own command
            shlex.split(command),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=_COMMAND_TIMEOUT,
        )
    except subprocess.CalledProcessError as error:
        raise UsageError(
            f"the password command ended with status {error.returncode}", hint=_COMMAND_HINT
        ) from None
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"the password command did not end within {_COMMAND_TIMEOUT:.0f} s", hint=_COMMAND_HINT
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its output or quoting is wrong"
        raise UsageError(
            f"the password command {command.split()[:1]} cannot be run (without a shell): {reason}",
            hint=_COMMAND_HINT,
        ) from None
    return done.stdout.rstrip("\r\n")


def _from_keyring(url: str, username: str) -> str | None:
    try:
        import keyring  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    try:
        return keyring.get_password(_KEYRING_SERVICE, f"{username}@{url}")
    except keyring.errors.KeyringError:
        # No keyring on this host, or a locked one: the other ways are left.
        return None
