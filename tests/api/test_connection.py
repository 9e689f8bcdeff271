"""Connections: what is accepted as a URL, what is refused, and that no repr shows a password."""

from __future__ import annotations

import pickle
import ssl

import pytest
import trustme

from loader.api import Client, Connection, LoginMode
from loader.errors import UsageError


@pytest.mark.parametrize(
    "given",
    [
        "https://host:8443/MicroStrategyLibrary",
        "https://host:8443/MicroStrategyLibrary/",
        "https://host:8443/MicroStrategyLibrary/api",
        "https://host:8443/MicroStrategyLibrary/api/",
        "  https://host:8443/MicroStrategyLibrary/api//  ",
    ],
)
def test_url_is_kept_without_api_and_slashes(given):
    connection = Connection(given)
    assert connection.url == "https://host:8443/MicroStrategyLibrary"
    assert connection.server == "https://host:8443"
    assert connection.tls


def test_url_may_have_no_path_and_a_path_that_only_ends_like_api():
    assert Connection("http://host").url == "http://host"
    assert Connection("http://host/api").url == "http://host"
    assert Connection("http://host/myapi").url == "http://host/myapi"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "host/MicroStrategyLibrary",
        "ftp://host/MicroStrategyLibrary",
        "https://",
        "https://host:port/MicroStrategyLibrary",
        "https://host:99999/MicroStrategyLibrary",
        "https://[::1/MicroStrategyLibrary",
        "https://ho st/MicroStrategyLibrary",
        "https://host..example.com/MicroStrategyLibrary",
        f"https://{'a' * 70}/MicroStrategyLibrary",
        "https://host/MicroStrategyLibrary?x=1",
        "https://host/MicroStrategyLibrary#x",
    ],
)
def test_url_that_cannot_be_one_is_a_usage_error_with_a_hint(given):
    with pytest.raises(UsageError) as caught:
        Connection(given)
    assert "https://host.example.com/MicroStrategyLibrary" in caught.value.hint


def test_url_with_credentials_is_refused_without_showing_them():
    with pytest.raises(UsageError) as caught:
        Connection("https://user:hidden-text@host/MicroStrategyLibrary")
    assert "hidden-text" not in repr(caught.value.as_dict()) + repr(caught.value)
    assert caught.value.__context__ is None


def test_no_repr_shows_the_password():
    connection = Connection("http://host", username="loader", password="hidden-text")
    assert "hidden-text" not in repr(connection)
    assert "hidden-text" not in repr(Client(connection))
    assert "loader" in repr(connection)


def test_connection_pickles_for_worker_processes():
    connection = Connection("http://host/api", username="u", login_mode=LoginMode.LDAP)
    assert pickle.loads(pickle.dumps(connection)) == connection


def test_login_modes_are_the_documented_numbers():
    assert {mode.label: int(mode) for mode in LoginMode} == {
        "standard": 1,
        "anonymous": 8,
        "ldap": 16,
        "api-token": 4096,
        "identity-token": -1,
    }


def test_certificates_are_checked_unless_insecure(tmp_path):
    assert Connection("https://host").certificate_checks() is True
    assert Connection("https://host", insecure=True).certificate_checks() is False
    bundle = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(bundle)
    context = Connection("https://host", ca_bundle=bundle).certificate_checks()
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname


def test_ca_bundle_and_insecure_contradict_each_other(tmp_path):
    with pytest.raises(UsageError, match="switched off"):
        Connection("https://host", ca_bundle=tmp_path / "ca.pem", insecure=True)


def test_ca_bundle_that_is_missing_or_no_pem_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        Connection("https://host", ca_bundle=tmp_path / "none.pem").certificate_checks()
    (tmp_path / "text.pem").write_text("no certificate")
    with pytest.raises(UsageError, match=r"text\.pem cannot be used"):
        Connection("https://host", ca_bundle=tmp_path / "text.pem").certificate_checks()


async def test_client_refuses_a_bad_ca_bundle_when_it_is_opened(tmp_path):
    with pytest.raises(UsageError, match="CA bundle"):
        async with Client(Connection("https://host", ca_bundle=tmp_path / "none.pem")):
            pass
