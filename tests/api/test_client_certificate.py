"""Client certificates over real TLS: shown where asked for, refused with a reason."""

from __future__ import annotations

import pickle
import socket
import ssl
import threading

import pytest
import trustme
from aiohttp import web
from cryptography.hazmat.primitives import serialization

from loader.api import Client, Connection
from loader.errors import LoginFailed, Unreachable, UsageError

PASSWORD = "planted-key-password"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def issued(authority):
    return authority.issue_cert("loader@example.com")


@pytest.fixture
def files(authority, issued, tmp_path):
    """Writes the certificate, its key in three forms, and both in one file."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )
    (tmp_path / "locked.pem").write_bytes(locked)
    return tmp_path


def demanding(authority, *, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    if version is not None:
        context.maximum_version = version
    return context


@pytest.fixture
async def url(library, authority):
    """A server that lets in who shows a certificate of the authority; it says whose it was."""

    async def login(request):
        await request.read()
        subject = request.transport.get_extra_info("peercert")["subjectAltName"]
        return web.Response(status=204, headers={"X-MSTR-AuthToken": subject[0][1]})

    return await library.serve(web.post("/api/auth/login", login), tls=demanding(authority))


@pytest.mark.parametrize(
    "named",
    [
        {"client_cert": "cert.pem", "client_key": "key.pem"},
        {"client_cert": "both.pem"},
        {
            "client_cert": "cert.pem",
            "client_key": "locked.pem",
            "client_key_password": PASSWORD,
        },
        # A password for a key that needs none is no mistake.
        {"client_cert": "both.pem", "client_key_password": PASSWORD},
    ],
)
@pytest.mark.parametrize("insecure", [False, True])
async def test_the_certificate_is_shown(url, files, named, insecure):
    settings = {
        name: value if name == "client_key_password" else files / value
        for name, value in named.items()
    }
    trust = {"insecure": True} if insecure else {"ca_bundle": files / "ca.pem"}
    connection = Connection(url, **settings, **trust)
    assert PASSWORD not in repr(connection)
    assert pickle.loads(pickle.dumps(connection)) == connection
    async with Client(connection) as client:
        await client.login()
        assert client._login.token == "loader@example.com"


async def test_with_a_client_certificate_servers_are_still_checked(url, files):
    async with Client(Connection(url, client_cert=files / "both.pem")) as client:
        with pytest.raises(Unreachable, match="cannot be verified"):
            await client.login()


def serve_blocking(context):
    """Serves with OpenSSL's own calls: unlike asyncio's server it says why it ends a handshake."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    stopping = threading.Event()

    def serve():
        while not stopping.is_set():
            raw, _ = listener.accept()
            try:
                with raw, context.wrap_socket(raw, server_side=True) as connection:
                    connection.recv(65536)
            except OSError:
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    def stop():
        stopping.set()
        socket.create_connection(address).close()  # ends the wait for one more
        thread.join(5)
        listener.close()

    return f"https://127.0.0.1:{address[1]}/MicroStrategyLibrary", stop


@pytest.fixture
def tls_1_2(authority):
    url, stop = serve_blocking(demanding(authority, version=ssl.TLSVersion.TLSv1_2))
    yield url
    stop()


@pytest.fixture
def tls_1_3(authority):
    url, stop = serve_blocking(demanding(authority))
    yield url
    stop()


async def refused(url, files, **settings):
    connection = Connection(url, ca_bundle=files / "ca.pem", **settings)
    async with Client(connection) as client:
        with pytest.raises(Unreachable) as caught:
            await client.login()
    return caught.value


async def test_a_server_that_demands_one_says_so_in_tls_1_2(tls_1_2, files):
    error = await refused(tls_1_2, files)
    assert "refused the TLS handshake (handshake failure)" in error.message
    assert "--client-cert" in error.hint
    assert error.details["phase"] == "tls"


async def test_a_certificate_of_another_authority_in_tls_1_2(tls_1_2, files):
    trustme.CA().issue_cert("me").private_key_and_cert_chain_pem.write_to_path(files / "other.pem")
    error = await refused(tls_1_2, files, client_cert=files / "other.pem")
    assert "does not accept the client certificate (unknown ca)" in error.message
    assert "authorities" in error.hint
    assert error.details["phase"] == "tls"


async def test_a_server_that_demands_one_is_understood_in_tls_1_3(tls_1_3, files):
    """There the refusal crosses with the request, and may get lost when the connection is reset."""
    error = await refused(tls_1_3, files)
    assert "demands a client certificate" in error.message or "was lost" in error.message
    assert "--client-cert" in error.hint


async def test_a_certificate_of_another_authority_in_tls_1_3(tls_1_3, files):
    trustme.CA().issue_cert("me").private_key_and_cert_chain_pem.write_to_path(files / "other.pem")
    error = await refused(tls_1_3, files, client_cert=files / "other.pem")
    assert "Is the client certificate the right one" in error.hint


async def test_a_server_that_hangs_up_without_a_word(url, files, library, authority):
    """asyncio's and many a load balancer's way to refuse."""
    error = await refused(url, files)
    assert "--client-cert" in error.hint
    old = demanding(authority, version=ssl.TLSVersion.TLSv1_2)
    error = await refused(await library.serve(tls=old), files)
    assert "broke off the TLS handshake" in error.message
    assert "--client-cert" in error.hint
    assert error.details["phase"] == "connect"  # it may have been cut, too


async def test_a_refused_password_is_no_matter_of_certificates(library, authority, files):
    async def login(request):
        return web.json_response({"code": "ERR003", "message": "no"}, status=401)

    tls = demanding(authority)
    url = await library.serve(web.post("/api/auth/login", login), tls=tls)
    connection = Connection(url, ca_bundle=files / "ca.pem", client_cert=files / "both.pem")
    async with Client(connection) as client:
        with pytest.raises(LoginFailed):
            await client.login()


# -- files ---------------------------------------------------------------------------------------


def unusable(**settings):
    with pytest.raises(UsageError) as caught:
        Connection("https://host", **settings).certificate_checks()
    error = caught.value
    assert PASSWORD not in repr(error.as_dict())
    assert error.hint
    return error


def test_an_encrypted_key_is_never_asked_for_silently(files):
    """OpenSSL itself would open the terminal and wait for an answer."""
    error = unusable(client_cert=files / "cert.pem", client_key=files / "locked.pem")
    assert "locked.pem is encrypted" in error.message
    assert "MSTR_CLIENT_KEY_PASSWORD" in error.hint


@pytest.mark.parametrize("password", ["wrong", "w" * 2000])
def test_a_wrong_key_password(files, password):
    error = unusable(
        client_cert=files / "cert.pem",
        client_key=files / "locked.pem",
        client_key_password=password,
    )
    assert "locked.pem" in error.message
    assert "MSTR_CLIENT_KEY_PASSWORD" in error.hint


def test_a_key_that_is_not_the_certificates(files):
    trustme.CA().issue_cert("me").private_key_pem.write_to_path(files / "other.pem")
    error = unusable(client_cert=files / "cert.pem", client_key=files / "other.pem")
    assert "other.pem is not that of the certificate" in error.message


def test_a_file_that_is_missing_is_named(files):
    error = unusable(client_cert=files / "none.pem", client_key=files / "key.pem")
    assert "none.pem cannot be read: No such file" in error.message
    error = unusable(client_cert=files / "cert.pem", client_key=files / "none.pem")
    assert "none.pem cannot be read: No such file" in error.message
    error = unusable(client_cert=files)
    assert "Is a directory" in error.message


def test_files_that_hold_something_else(files):
    (files / "text.pem").write_text("no certificate")
    assert "text.pem cannot be used" in unusable(client_cert=files / "text.pem").message
    error = unusable(client_cert=files / "cert.pem")  # its key is elsewhere
    assert "cert.pem cannot be used" in error.message
    assert "--client-key" in error.hint


def test_contradictions(files):
    error = unusable(client_key=files / "key.pem")
    assert "needs its certificate" in error.message
    with pytest.raises(UsageError, match="URL says http"):
        Connection("http://host", client_cert=files / "both.pem")
