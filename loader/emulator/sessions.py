"""Logins: who is in, by which token and cookie, and until when."""

from __future__ import annotations

import hmac
import secrets
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loader.emulator.model import derived_id
from loader.emulator.refusals import Code, Refusal, invalid, session_invalid

if TYPE_CHECKING:
    from loader.emulator.options import EmulatorOptions
    from loader.emulator.slow import Clock

__all__ = ["Login", "Logins"]

_ALPHABET = string.ascii_lowercase + string.digits
_TOKEN_LENGTH = 26  # as in the documents' samples

_STANDARD, _ANONYMOUS, _LDAP, _API_TOKEN, _IDENTITY_TOKEN = 1, 8, 16, 4096, -1
_GUEST = "Guest"


@dataclass(slots=True)
class Login:
    """One login.

    Attributes:
        user: The user's name.
        id: Names the login where its token must not be shown.
        token: The value of ``X-MSTR-AuthToken``.
        cookie: The value of the cookie ``JSESSIONID``, which every call must bring too.
        expires: When it ends if no call comes, on the emulator's clock.
        calls: Calls under way; while there are any it does not end.
        alive: False once it was logged out or timed out.
    """

    user: str
    id: str
    token: str = field(repr=False)
    cookie: str = field(repr=False)
    expires: float
    calls: int = 0
    alive: bool = True

    @property
    def user_id(self) -> str:
        """The object id of the user."""
        return derived_id("user", self.user.casefold())


class Logins:
    """All logins of the server.

    Args:
        options: Whom to let in, and for how long.
        clock: Where time comes from.
    """

    def __init__(self, options: EmulatorOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._by_token: dict[str, Login] = {}

    def __len__(self) -> int:
        self._expire()
        return len(self._by_token)

    def open(self, mode: object, username: object, password: object) -> Login:
        """Logs in (both documents, "Log in").

        Args:
            mode: ``loginMode``; absent means 1.
            username: The user's name; with mode 4096 the API token.
            password: The password; absent means empty.

        Raises:
            Refusal: Wrong credentials, or a login mode that this server does not offer.
        """
        return self._enter(self._authenticate(_mode(mode), username, password))

    def _enter(self, user: str) -> Login:
        self._expire()
        token = "".join(secrets.choice(_ALPHABET) for _ in range(_TOKEN_LENGTH))
        login = Login(
            user=user,
            id=secrets.token_hex(4),
            token=token,
            cookie=secrets.token_hex(16).upper(),
            expires=self._clock.now() + self._options.session_timeout,
        )
        self._by_token[token] = login
        return login

    def delegate(self, mode: object, identity_token: object) -> Login:
        """Logs in with an identity token (public clients).

        Args:
            mode: ``loginMode``; has to be -1.
            identity_token: The token.

        Raises:
            Refusal: It is another one, or this server accepts none.
        """
        right = self._options.identity_token
        if mode != _IDENTITY_TOKEN:
            raise invalid(f"loginMode must be {_IDENTITY_TOKEN}, not {mode!r}.")
        if right is None or not _same(identity_token, right):
            raise Refusal(401, Code.AUTHENTICATION, "The identity token is wrong.")
        return self._enter(self._options.username)

    def find(self, token: str | None, cookie: str | None) -> Login:
        """Returns the login of a call and lets it live on.

        Raises:
            Refusal: No token, one that no login has (any more), or not the cookie that belongs to
                it.
        """
        if token is None:
            raise session_invalid("The header X-MSTR-AuthToken is missing; log in first.")
        self._expire()
        login = self._by_token.get(token)
        if login is None:
            raise session_invalid("The token belongs to no login: it was logged out or timed out.")
        if cookie is None:
            raise session_invalid(
                "The cookie JSESSIONID is missing; the login's answer set it, and every call needs "
                "it together with the token."
            )
        if not hmac.compare_digest(cookie.encode(), login.cookie.encode()):
            raise session_invalid("The cookie JSESSIONID belongs to another login than the token.")
        self.touch(login)
        return login

    def by_token(self, token: str) -> Login | None:
        """Returns the login that has a token, if there is one; it lives no longer for that."""
        return self._by_token.get(token)

    def touch(self, login: Login) -> None:
        """Lets a login live for another whole timeout."""
        login.expires = self._clock.now() + self._options.session_timeout

    def close(self, login: Login) -> None:
        """Ends a login."""
        login.alive = False
        self._by_token.pop(login.token, None)

    def _authenticate(self, mode: int, username: object, password: object) -> str:
        wrong = Refusal(401, Code.AUTHENTICATION, "The user name or the password is wrong.")
        if mode in (_STANDARD, _LDAP):
            right = self._options.username
            if not isinstance(username, str) or username.casefold() != right.casefold():
                raise wrong
            if not _same(password if password is not None else "", self._options.password):
                raise wrong
            return right
        if mode == _API_TOKEN and self._options.api_token is not None:
            if not _same(username, self._options.api_token):
                raise Refusal(401, Code.AUTHENTICATION, "The API token is wrong.")
            return self._options.username
        if mode == _ANONYMOUS and self._options.anonymous:
            return _GUEST
        raise Refusal(401, Code.AUTHENTICATION, f"loginMode {mode} is not enabled on this server.")

    def _expire(self) -> None:
        now = self._clock.now()
        for login in list(self._by_token.values()):
            if not login.calls and login.expires <= now:
                self.close(login)


def _mode(value: object) -> int:
    """Reads ``loginMode``; a form sends it as text."""
    if value is None:
        return _STANDARD
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:  # noqa: PLR2004
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(f"loginMode must be a number, not {value!r}.")
    return value


def _same(given: object, right: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(), right.encode())
