"""Options of the connection: login modes and their secrets, client certificates, proxies."""

from __future__ import annotations

import ssl
import typing
from types import SimpleNamespace

import keyring
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trustme
from keyring.backend import KeyringBackend

from loader.api import LoginMode
from loader.cli.server_options import ServerFlags
from loader.emulator.server import _tls
from tests.api.proxies import Proxy
from tests.cli.harness import PROJECT, USER, Push

API_TOKEN = "planted-api-token"
IDENTITY_TOKEN = "planted-identity-token"


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"k": ["a"], "v": [1]}), path)
    return path


@pytest.fixture
def open_server(serve):
    """A server that takes every login mode."""
    return serve(api_token=API_TOKEN, identity_token=IDENTITY_TOKEN, anonymous=True)


@pytest.fixture
def push_to(command, good, monkeypatch):
    """Runs ``push --json`` with nothing but what a test says; planted secrets never come out."""

    def push(server, *arguments, username=None, environ=None):
        for name, value in (environ or {}).items():
            monkeypatch.setenv(name, value)
        user = ["--username", username] if username else []
        target = ["--url", server.url, "--project", PROJECT]
        outcome = command("push", good, *target, *user, *arguments, "--json")
        assert "planted" not in outcome.out + outcome.err
        return outcome

    return push


# -- login modes ---------------------------------------------------------------------------------


def test_every_login_mode_can_be_named():
    annotation = typing.get_type_hints(ServerFlags, include_extras=True)["login_mode"]
    literal = typing.get_args(typing.get_args(annotation)[0])[0]
    assert set(typing.get_args(literal)) == {mode.label for mode in LoginMode}


@pytest.mark.parametrize(
    ("mode", "environ", "username"),
    [
        ("standard", {}, USER),
        ("ldap", {}, USER),
        ("anonymous", {}, None),
        ("api-token", {"MSTR_API_TOKEN": API_TOKEN}, None),
        ("identity-token", {"MSTR_IDENTITY_TOKEN": IDENTITY_TOKEN}, None),
        # What the environment holds for other modes is left alone when the mode is named.
        ("api-token", {"MSTR_API_TOKEN": API_TOKEN, "MSTR_USERNAME": "somebody"}, None),
        ("anonymous", {"MSTR_API_TOKEN": "planted-x", "MSTR_USERNAME": "somebody"}, None),
        ("standard", {"MSTR_API_TOKEN": "planted-x", "MSTR_IDENTITY_TOKEN": "planted-y"}, USER),
    ],
)
def test_a_named_mode(push_to, open_server, mode, environ, username):
    push_to(open_server, "--login-mode", mode, username=username, environ=environ).succeeded()
    assert open_server.called("POST", "/auth/delegate") == ([204] if "identity" in mode else [])
    open_server.left_nothing()


@pytest.mark.parametrize(
    ("variable", "mode"),
    [("MSTR_API_TOKEN", "api-token"), ("MSTR_IDENTITY_TOKEN", "identity-token")],
)
def test_a_token_alone_in_the_environment_chooses_its_mode(
    push_to, open_server, caplog, variable, mode
):
    caplog.set_level("DEBUG", "loader")
    token = {"api-token": API_TOKEN, "identity-token": IDENTITY_TOKEN}[mode]
    push_to(open_server, environ={variable: token}).succeeded()
    assert f"login mode {mode}, since {variable} is set" in caplog.text
    assert f"logging in: {mode}" in caplog.text
    assert "planted" not in caplog.text


def test_a_user_means_standard(push_to, open_server, caplog):
    caplog.set_level("DEBUG", "loader")
    push_to(open_server, username=USER).succeeded()
    assert "login mode standard, since a user was named" in caplog.text


@pytest.mark.parametrize(
    ("environ", "arguments", "says"),
    [
        (
            {"MSTR_API_TOKEN": API_TOKEN},
            ["--username", USER],
            "it is not clear who logs in: there is MSTR_API_TOKEN and the user",
        ),
        (
            {"MSTR_API_TOKEN": API_TOKEN, "MSTR_IDENTITY_TOKEN": IDENTITY_TOKEN},
            [],
            "there is MSTR_API_TOKEN and MSTR_IDENTITY_TOKEN",
        ),
        ({}, [], "no user was named"),
        ({"MSTR_API_TOKEN": API_TOKEN}, ["--password-command", "true"], "no user was named"),
        ({}, ["--login-mode", "standard"], "no user was named"),
        ({}, ["--login-mode", "api-token"], "no API token"),
        ({}, ["--login-mode", "identity-token"], "no identity token"),
        ({}, ["--login-mode", "api-token", "--username", USER], "--username cannot be used"),
        ({}, ["--login-mode", "anonymous", "--username", USER], "--username cannot be used"),
        (
            {},
            ["--login-mode", "anonymous", "--password-file", "x", "--password-command", "y"],
            "--password-file and --password-command cannot be used",
        ),
        ({"MSTR_API_TOKEN": ""}, ["--login-mode", "api-token"], "needs a token"),
        ({}, ["--login-mode", "trusted"], "trusted"),
    ],
)
def test_contradictions(push_to, open_server, environ, arguments, says):
    outcome = push_to(open_server, *arguments, environ=environ)
    assert outcome.code == 2
    assert outcome.error["kind"] == "usage"
    assert says in outcome.error["message"]
    assert outcome.error["hint"]
    assert open_server.requests == []


def test_a_refused_token(push_to, open_server):
    outcome = push_to(open_server, environ={"MSTR_API_TOKEN": "planted-wrong-one"})
    assert outcome.code == 4
    assert outcome.error["kind"] == "login"
    assert "MSTR_API_TOKEN" in outcome.error["hint"]


def test_a_token_from_a_file_and_from_a_command(push_to, open_server, tmp_path):
    secret = tmp_path / "token"
    secret.write_text(f"{API_TOKEN}\n")
    by_token = ["--login-mode", "api-token"]
    push_to(open_server, *by_token, "--password-file", secret).succeeded()
    push_to(open_server, *by_token, "--password-command", f"cat {secret}").succeeded()
    outcome = push_to(open_server, *by_token, "--password-command", "false")
    assert "the API token and nothing else" in outcome.error["hint"]


def test_a_token_from_the_keyring(push_to, open_server):
    class Ring(KeyringBackend):
        priority = 1

        def get_password(self, service, username):
            right = service == "mstr-loader" and username == f"api-token@{open_server.url}"
            return API_TOKEN if right else None

        def set_password(self, service, username, password):
            raise NotImplementedError

    keyring.set_keyring(Ring())
    push_to(open_server, "--login-mode", "api-token").succeeded()


def test_a_profile_names_mode_and_command(command, open_server, good, tmp_path, monkeypatch):
    secret = tmp_path / "token"
    secret.write_text(API_TOKEN)
    head = f'url = "{open_server.url}"\nproject = "{PROJECT}"\n'
    by_token = f'login_mode = "api-token"\npassword_command = "cat {secret}"\n'
    (tmp_path / "config.toml").write_text(
        f"[profiles.robot]\n{head}{by_token}\n"
        f'[profiles.odd]\n{head}login_mode = "trusted"\n'
        f'[profiles.leaky]\n{head}api_token = "planted"\n'
        f'[profiles.proxied]\n{head}username = "u"\nproxy = "http://u:planted@p:1"\n'
    )
    # What the environment says of users is not what this profile is about.
    monkeypatch.setenv("MSTR_USERNAME", "somebody")
    command("push", good, "--profile", "robot", "--json").succeeded()
    for name, says in [
        ("odd", "'trusted' is not one of standard"),
        ("leaky", "api_token"),
        ("proxied", "holds a user or a password"),
    ]:
        outcome = command("push", good, "--profile", name, "--json")
        assert outcome.code == 2
        assert says in outcome.error["message"]
        assert outcome.error["hint"]
        assert "planted" not in outcome.out + outcome.err


# -- client certificates -------------------------------------------------------------------------


@pytest.fixture
def tls(serve, tmp_path, monkeypatch):
    """An https server that demands a client certificate; returns it and the files."""
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "server.pem"
    )
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("loader@example.com")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")

    def demanding(options):
        context = _tls(options)
        if context is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            authority.configure_trust(context)
        return context

    monkeypatch.setattr("tests.cli.harness._tls", demanding)
    return serve(tls_cert=tmp_path / "server.pem")


def test_a_client_certificate(command, good, tls, tmp_path):
    push = Push(command, tls)
    trust = ["--ca-bundle", tmp_path / "ca.pem"]
    outcome = push(good, *trust)
    assert outcome.code == 5
    assert "--client-cert" in outcome.error["hint"]
    shown = ["--client-cert", tmp_path / "cert.pem", "--client-key", tmp_path / "key.pem"]
    push(good, *trust, *shown).succeeded()
    assert tls.sql("SELECT * FROM t.t") == [("a", 1)]


def test_a_client_certificate_of_a_profile(command, good, tls, tmp_path):
    (tmp_path / "config.toml").write_text(
        f'[profiles.here]\nurl = "{tls.url}"\nusername = "{USER}"\nproject = "{PROJECT}"\n'
        f'ca_bundle = "{tmp_path}/ca.pem"\n'
        f'client_cert = "{tmp_path}/cert.pem"\nclient_key = "{tmp_path}/key.pem"\n'
    )
    command("push", good, "--profile", "here", "--json").succeeded()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--client-cert", "absent.pem"], "absent.pem"),
        (["--client-key", "key.pem"], "needs its certificate"),
    ],
)
def test_client_certificates_that_cannot_be_used(command, good, arguments, says):
    target = ["--url", "https://mstr.example.com/MicroStrategyLibrary", "--username", USER]
    outcome = command("push", good, *target, *arguments, "--json")
    assert outcome.code == 2
    assert says in outcome.error["message"]
    assert outcome.error["hint"]


# -- proxies -------------------------------------------------------------------------------------


@pytest.fixture
def proxy_of():
    """Starts proxies in a server's event loop."""
    started = []

    def start(server, **settings):
        proxy = Proxy(**settings)
        server.call(proxy.__aenter__())
        started.append((server, proxy))
        return proxy

    yield start
    for server, proxy in started:
        server.call(proxy.__aexit__())


def test_a_proxy(push, server, good, proxy_of):
    proxy = proxy_of(server)
    push(good, "--proxy", proxy.url).succeeded()
    assert len(proxy.seen) == len(server.requests) > 5
    assert all(request.target.startswith(server.url) for request in proxy.seen)
    assert server.sql("SELECT * FROM t.t") == [("a", 1)]


def test_a_proxy_with_a_password(push_to, server, proxy_of, caplog):
    proxy = proxy_of(server, credentials="user:planted")
    secret = proxy.url.replace("//", "//user:planted@")
    outcome = push_to(server, "--proxy", proxy.url, username=USER)
    assert outcome.code == 5
    assert proxy.url in outcome.error["message"]
    assert "MSTR_PROXY" in outcome.error["hint"]

    push_to(server, "--proxy", secret, username=USER).succeeded()
    assert "read by all users of this machine: set MSTR_PROXY" in caplog.text
    caplog.clear()
    push_to(server, "--debug", username=USER, environ={"MSTR_PROXY": secret}).succeeded()
    assert "MSTR_PROXY" not in caplog.text
    assert "planted" not in caplog.text


def test_a_tunnel_through_an_https_proxy(command, serve, good, tmp_path, proxy_of):
    """On uvloop, as the command line runs: TLS in TLS."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = serve(tls_cert=tmp_path / "server.pem")
    proxy = proxy_of(server, tls=_tls(server.options))
    Push(command, server)(
        good, "--proxy", proxy.url, "--ca-bundle", tmp_path / "ca.pem"
    ).succeeded()
    assert set(proxy.methods) == {"CONNECT"}
    assert server.sql("SELECT * FROM t.t") == [("a", 1)]


def test_the_environments_proxy_and_none(push_to, server, proxy_of):
    proxy = proxy_of(server, refuse=403)
    away = SimpleNamespace(url=server.url.replace("127.0.0.1", "no-such-host.invalid"))
    outcome = push_to(away, username=USER, environ={"HTTP_PROXY": proxy.url})
    assert proxy.url in outcome.error["hint"]
    assert len(proxy.seen) == 1
    # This machine itself is never behind it, nor is anybody when there is none.
    push_to(server, username=USER).succeeded()
    outcome = push_to(away, "--proxy", "none", username=USER)
    assert "no address" in outcome.error["message"]
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("value", ["socks5://u:planted@p:1", "http://u:planted@p:x", "http://"])
@pytest.mark.parametrize("by", ["--proxy", "MSTR_PROXY", "HTTPS_PROXY"])
def test_proxies_that_are_none(push_to, caplog, value, by):
    flag = ["--proxy", value] if by == "--proxy" else []
    server = SimpleNamespace(url="https://mstr.example.com/MicroStrategyLibrary")
    environ = {} if flag else {by: value}
    outcome = push_to(server, *flag, username=USER, environ=environ)
    assert outcome.code == 2
    assert "proxy" in outcome.error["message"]
    assert outcome.error["hint"]
    assert "planted" not in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [["--client-cert", "x"], ["--client-key", "x"], ["--proxy", "http://p:1"]],
)
def test_with_local_none_of_them(command, good, arguments):
    outcome = command("push", good, "--local", *arguments, "--json")
    assert outcome.code == 2
    assert f"{arguments[0]} is for another server" in outcome.error["message"]
