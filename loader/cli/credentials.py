"""Who logs in and how: the login mode, the user, and where the secret comes from."""

from __future__ import annotations

import getpass
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loader.api import LoginMode
from loader.cli.server_options import ServerFlags
from loader.errors import UsageError

__all__ = ["Credentials", "choose_credentials", "from_flag"]

logger = logging.getLogger("loader.cli")

_KEYRING_SERVICE = "mstr-loader"
_COMMAND_TIMEOUT = 60.0

# What the secret of a mode is called, and the environment variable that holds it.
_SECRETS = {
    LoginMode.STANDARD: ("password", "MSTR_PASSWORD"),
    LoginMode.LDAP: ("password", "MSTR_PASSWORD"),
    LoginMode.API_TOKEN: ("API token", "MSTR_API_TOKEN"),
    LoginMode.IDENTITY_TOKEN: ("identity token", "MSTR_IDENTITY_TOKEN"),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a ``Connection`` needs to log in."""

    login_mode: LoginMode
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


def from_flag(value: str | None, variable: str) -> str | None:
    """Returns an option's value if it was typed, None if the environment gave it."""
    return None if value == os.environ.get(variable) else value


def choose_credentials(options: ServerFlags, profile: Mapping[str, Any], url: str) -> Credentials:
    """Returns who logs in.

    A login mode that was named decides what is needed; what else the environment or the profile
    holds is left alone, but an option typed for another mode is a mistake. Without one a user means
    ``standard``, and a token in the environment its own mode.

    Raises:
        UsageError: The mode is not clear, or what it needs is missing.
    """
    username = options.username or profile.get("username")
    mode = _named_mode(options, profile) or _only_mode(options, username)
    _refuse_other_modes_flags(options, mode)
    if mode is LoginMode.ANONYMOUS:
        return Credentials(mode)
    if mode.by_token:
        return Credentials(mode, token=_secret(mode, options, profile, url, owner=mode.label))
    if not username:
        raise UsageError("no user was named", hint="--username NAME or MSTR_USERNAME")
    password = _secret(mode, options, profile, url, owner=username)
    return Credentials(mode, username=username, password=password)


def _named_mode(options: ServerFlags, profile: Mapping[str, Any]) -> LoginMode | None:
    name = options.login_mode or profile.get("login_mode")
    if name is None:
        return None
    for mode in LoginMode:
        if mode.label == name:
            source = "--login-mode" if options.login_mode else "the profile"
            logger.debug("login mode %s, as %s says", name, source)
            return mode
    modes = ", ".join(mode.label for mode in LoginMode)
    raise UsageError(f"login mode {name!r} is not one of {modes}", hint="correct --login-mode")


def _only_mode(options: ServerFlags, username: str | None) -> LoginMode:
    """Returns the one mode that what is there can be meant for."""
    tokens = {
        mode: variable
        for mode, (_, variable) in _SECRETS.items()
        if mode.by_token and os.environ.get(variable)
    }
    candidates = {mode.label: variable for mode, variable in tokens.items()}
    if username:
        candidates["standard"] = f"the user {username!r}"
    if len(candidates) > 1:
        raise UsageError(
            f"it is not clear who logs in: there is {' and '.join(candidates.values())}",
            hint=f"say which by --login-mode {' or '.join(candidates)}",
        )
    if username:
        logger.debug("login mode standard, since a user was named")
        return LoginMode.STANDARD
    if not tokens or options.password_file or options.password_command:
        raise UsageError(
            "no user was named",
            hint="--username NAME or MSTR_USERNAME; for a token MSTR_API_TOKEN, or "
            "--login-mode api-token with --password-file or --password-command",
        )
    [(mode, variable)] = tokens.items()
    logger.debug("login mode %s, since %s is set and no user was named", mode.label, variable)
    return mode


def _refuse_other_modes_flags(options: ServerFlags, mode: LoginMode) -> None:
    if mode.by_password:
        return
    typed = {"--username": from_flag(options.username, "MSTR_USERNAME")}
    if mode is LoginMode.ANONYMOUS:
        typed["--password-file"] = str(options.password_file or "")
        typed["--password-command"] = options.password_command
    wrong = [flag for flag, value in typed.items() if value]
    if wrong:
        raise UsageError(
            f"{' and '.join(wrong)} cannot be used with login mode {mode.label}",
            hint="leave it out, or choose --login-mode standard or ldap",
        )


def _secret(
    mode: LoginMode, options: ServerFlags, profile: Mapping[str, Any], url: str, *, owner: str
) -> str:
    what, variable = _SECRETS[mode]
    if options.password_file and options.password_command:
        raise UsageError("--password-file and --password-command are both given", hint="use one")
    if options.password_file:
        return _from_file(options.password_file, what)
    if options.password_command:
        return _from_command(options.password_command, what)
    if variable in os.environ:
        return os.environ[variable]
    if "password_file" in profile:
        return _from_file(Path(profile["password_file"]).expanduser(), what)
    if "password_command" in profile:
        return _from_command(profile["password_command"], what)
    stored = _from_keyring(url, owner)
    if stored is not None:
        return stored
    if sys.stdin.isatty():
        return getpass.getpass(f"{what[:1].upper()}{what[1:]} of {owner}: ")
    raise UsageError(
        f"no {what} for {owner!r}",
        hint=f"set {variable}, use --password-file or --password-command, store it in the keyring, "
        "or run in a terminal to be asked",
    )


def _from_file(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(
            f"the password file {path} cannot be read: {reason}",
            hint=f"--password-file names a text file that holds nothing but the {what}",
        ) from None


def _from_command(command: str, what: str) -> str:
    hint = f"run it by hand: it must print the {what} and nothing else, without asking"
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
            f"the password command ended with status {error.returncode}", hint=hint
        ) from None
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"the password command did not end within {_COMMAND_TIMEOUT:.0f} s", hint=hint
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its output or quoting is wrong"
        raise UsageError(
            f"the password command {command.split()[:1]} cannot be run (without a shell): {reason}",
            hint=hint,
        ) from None
    return done.stdout.rstrip("\r\n")


def _from_keyring(url: str, owner: str) -> str | None:
    try:
        import keyring  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    try:
        return keyring.get_password(_KEYRING_SERVICE, f"{owner}@{url}")
    except keyring.errors.KeyringError:
        # No keyring on this host, or a locked one: the other ways are left.
        return None
