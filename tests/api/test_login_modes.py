"""Ways to log in: what goes out for each, what a server makes of it, and that no secret shows."""

from __future__ import annotations

import pickle
import traceback

import pytest

from loader.api import Client, Connection, LoginMode
from loader.emulator import EmulatorOptions
from loader.emulator.server import Listener
from loader.errors import LoginFailed, UsageError

PASSWORD = "planted-password"
API_TOKEN = "planted-api-token"
IDENTITY_TOKEN = "planted-identity-token"
BY_PASSWORD = {"username": "administrator", "password": PASSWORD}

RIGHT = {
    LoginMode.STANDARD: BY_PASSWORD,
    LoginMode.LDAP: BY_PASSWORD,
    LoginMode.ANONYMOUS: {},
    LoginMode.API_TOKEN: {"token": API_TOKEN},
    LoginMode.IDENTITY_TOKEN: {"token": IDENTITY_TOKEN},
}


@pytest.mark.parametrize(
    ("mode", "path", "body"),
    [
        (LoginMode.STANDARD, "login", {"loginMode": 1, **BY_PASSWORD}),
        (LoginMode.LDAP, "login", {"loginMode": 16, **BY_PASSWORD}),
        (LoginMode.ANONYMOUS, "login", {"loginMode": 8}),
        (LoginMode.API_TOKEN, "login", {"loginMode": 4096, "username": API_TOKEN}),
        (LoginMode.IDENTITY_TOKEN, "delegate", {"loginMode": -1, "identityToken": IDENTITY_TOKEN}),
    ],
)
async def test_what_goes_out(server, mode, path, body):
    server.give("POST", f"/api/auth/{path}", status=204, headers={"X-MSTR-AuthToken": "t"})
    async with Client(Connection(server.url, login_mode=mode, **RIGHT[mode])) as client:
        await client.login()
    assert (server.request.path, server.request.body) == (f"/api/auth/{path}", body)
    assert server.request.headers == {}


@pytest.fixture
async def emulator():
    options = EmulatorOptions(
        port=0,
        ingest="sink",
        password=PASSWORD,
        api_token=API_TOKEN,
        identity_token=IDENTITY_TOKEN,
        anonymous=True,
    )
    async with Listener(options) as listener:
        yield listener


@pytest.fixture
async def strict():
    """A server that takes other secrets, and neither tokens nor strangers."""
    async with Listener(EmulatorOptions(port=0, ingest="sink", password="other")) as listener:
        yield listener


@pytest.mark.parametrize("mode", LoginMode)
async def test_the_emulator_lets_every_mode_in(emulator, mode):
    connection = Connection(emulator.url, login_mode=mode, **RIGHT[mode])
    async with Client(connection) as client:
        await client.login()
        assert await client.projects()
        await client.logout()


@pytest.mark.parametrize(
    ("mode", "hint"),
    [
        (LoginMode.STANDARD, "password"),
        (LoginMode.LDAP, "ldap"),
        (LoginMode.ANONYMOUS, "anonymous"),
        (LoginMode.API_TOKEN, "MSTR_API_TOKEN"),
        (LoginMode.IDENTITY_TOKEN, "MSTR_IDENTITY_TOKEN"),
    ],
)
async def test_a_refused_login_says_what_to_check_and_shows_no_secret(strict, mode, hint):
    connection = Connection(strict.url, login_mode=mode, **RIGHT[mode])
    async with Client(connection) as client:
        with pytest.raises(LoginFailed) as caught:
            await client.login()
        assert "planted" not in repr(client)
        assert client.logins == 0
    error = caught.value
    assert hint in error.hint
    shown = "".join(traceback.format_exception(error)) + repr(error.as_dict()) + repr(error.args)
    assert "planted" not in shown


@pytest.mark.parametrize("mode", [LoginMode.API_TOKEN, LoginMode.IDENTITY_TOKEN])
async def test_a_server_that_quotes_the_token_shows_none(server, mode):
    for path in ("login", "delegate"):
        body = {"code": "ERR003", "message": f"{RIGHT[mode]['token']} is unknown"}
        server.give("POST", f"/api/auth/{path}", status=401, payload=body)
    async with Client(Connection(server.url, login_mode=mode, **RIGHT[mode])) as client:
        with pytest.raises(LoginFailed, match=r"\*\*\* is unknown") as caught:
            await client.login()
    assert "planted" not in repr(caught.value.as_dict())


@pytest.mark.parametrize("mode", LoginMode)
def test_connections_pickle_with_their_secrets_and_show_none(mode):
    connection = Connection("https://host", login_mode=mode, project="P", **RIGHT[mode])
    again = pickle.loads(pickle.dumps(connection))
    assert again == connection
    assert again.login_mode is mode
    assert "planted" not in repr(connection) + str(connection) + repr(Client(connection))
    who = "user 'administrator'" if mode.by_password else mode.label
    assert who in repr(Client(connection))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"login_mode": LoginMode.API_TOKEN}, "api-token needs a token"),
        ({"login_mode": LoginMode.IDENTITY_TOKEN}, "identity-token needs a token"),
        ({"token": "planted"}, "token has no meaning with login mode standard"),
        ({"token": "planted", "login_mode": LoginMode.ANONYMOUS}, "token has no meaning"),
        ({"username": "u", "login_mode": LoginMode.ANONYMOUS}, "user has no meaning"),
        ({"password": "planted", "login_mode": LoginMode.ANONYMOUS}, "password has no meaning"),
        (
            {"username": "u", "token": "planted", "login_mode": LoginMode.API_TOKEN},
            "user has no meaning with login mode api-token",
        ),
        (
            {"password": "planted", "token": "planted", "login_mode": LoginMode.IDENTITY_TOKEN},
            "password has no meaning with login mode identity-token",
        ),
    ],
)
def test_contradictions_are_usage_errors(settings, says):
    with pytest.raises(UsageError, match=says) as caught:
        Connection("https://host", **settings)
    assert caught.value.hint
    assert "planted" not in repr(caught.value.as_dict())


def test_a_login_mode_may_be_given_by_its_number():
    connection = Connection("https://host", login_mode=4096, token="t")  # type: ignore[arg-type]
    assert connection.login_mode is LoginMode.API_TOKEN
