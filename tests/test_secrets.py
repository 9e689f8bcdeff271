"""That no test can let a secret be seen without failing, and that all planted ones are known."""

from __future__ import annotations

import ast
import base64
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus
from xml.etree import ElementTree as ET

import pytest

from tests.leaks import PLANTED
from tests.planted import ORDINARY, SECRETS, forms

TESTS = Path(__file__).parent

# -- the registry ----------------------------------------------------------------------------------

GIVEN_AS = {
    "api_token",
    "client_key_password",
    "credentials",
    "identity_token",
    "identityToken",
    "password",
    "secret",
    "token",
}
"""Arguments and keys whose values are secrets."""
VARIABLE = re.compile(
    r"MSTR_(EMULATOR_)?(PASSWORD|API_TOKEN|IDENTITY_TOKEN|CLIENT_KEY_PASSWORD)"
    r"|AWS_(SECRET_ACCESS_KEY|SESSION_TOKEN)"
)
CONSTANT = re.compile(r".*(PASSWORD|SECRET|TOKEN|PLANTED|KEY)")
IN_URI = re.compile(
    r"://[^/@\s:'\"]*:(?P<password>[^/@\s{}'\"]+)@"
    r"|[?&;#](?:sig|signature|secret|secret_key|token|session_token|password)="
    r"(?P<value>[^&#\s{}'\"]+)"
)


def secrets_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yields the literals that a module uses as secrets, with their lines."""
    for node in ast.walk(tree):
        pairs: list[tuple[str, ast.expr]] = []
        match node:
            case ast.keyword(arg=str(name), value=value) if name in GIVEN_AS:
                pairs.append((name, value))
            case ast.Dict(keys=keys, values=values):
                pairs += [
                    (key.value, value)
                    for key, value in zip(keys, values, strict=True)
                    if isinstance(key, ast.Constant) and _names_a_secret(key.value)
                ]
            case ast.Call(args=[ast.Constant(value=name), value, *_]) if _names_a_secret(name):
                pairs.append((name, value))
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if CONSTANT.fullmatch(name):
                pairs.append((name, value))
            case ast.Constant(value=str(text)):
                for found in IN_URI.finditer(text):
                    yield node.lineno, found["password"] or found["value"]
        for _, value in pairs:
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                yield value.lineno, value.value


def _names_a_secret(name: object) -> bool:
    return isinstance(name, str) and (name in GIVEN_AS or bool(VARIABLE.fullmatch(name)))


def test_every_literal_that_is_given_as_a_secret_is_registered():
    known, seen, unknown = ORDINARY | set(SECRETS), set(), []
    for path in sorted(TESTS.rglob("*.py")):
        for line, secret in secrets_of(ast.parse(path.read_text("utf-8"))):
            seen.add(secret)
            if secret not in known:
                unknown.append(f"{path.relative_to(TESTS)}:{line}")
    assert unknown == [], "add them to SECRETS (or ORDINARY) of tests/planted.py"
    assert len(seen) > 30  # it does find them


@pytest.mark.parametrize(
    "code",
    [
        "Connection(url, password='hidden-word')",
        "{'MSTR_API_TOKEN': 'hidden-word'}",
        "monkeypatch.setenv('MSTR_PASSWORD', 'hidden-word')",
        "API_TOKEN = 'hidden-word'",
        "push('http://user:hidden-word@host/t.csv')",
        "push('https://host/t.csv?sig=hidden-word&x=1')",
    ],
)
def test_a_literal_that_is_given_as_a_secret_is_found(code):
    assert [secret for _, secret in secrets_of(ast.parse(code))] == ["hidden-word"]


def test_what_cannot_be_looked_for_is_not_registered():
    assert not ORDINARY & set(SECRETS)
    assert min(map(len, SECRETS)) >= 5


# -- what is looked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encode",
    [
        str,
        lambda secret: f"x{secret}y",
        quote,
        quote_plus,
        lambda secret: quote(secret, safe=""),
        lambda secret: re.sub("%..", lambda code: code[0].lower(), quote(secret, safe="")),
        json.dumps,
        lambda secret: json.dumps(secret, ensure_ascii=False),
        lambda secret: repr({"is": secret}),
        lambda secret: repr(secret.encode()),
        lambda secret: secret.encode().hex(),
    ],
)
def test_a_secret_is_found_in_every_form(encode):
    for secret in SECRETS:
        assert any(form in encode(secret) for form in forms(secret))


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "u", "me", "you", "administrator:"])
@pytest.mark.parametrize("after", ["", "!", "!!", "!!!"])
def test_a_secret_is_found_in_base64_wherever_it_stands(encode, before, after):
    for secret in SECRETS:
        text = encode(f"{before}{secret}{after}".encode()).decode()
        assert any(form in text for form in forms(secret))


def test_what_is_masked_shows_nothing():
    text = " ".join(form for secret in SECRETS for form in forms(secret))
    assert PLANTED.found(PLANTED.masked(text)) == set()


def test_innocent_texts_are_left_alone():
    text = "The server does not accept the password of user 'ada' (HTTP 401, ERR003, ticket 5f)."
    assert PLANTED.found(text) == set()
    assert PLANTED.masked(text) == text


# -- the plugin ------------------------------------------------------------------------------------

PASSWORD = "correct-horse-battery"

LEAKING = """
import asyncio, base64, json, logging, os, sqlite3, subprocess, sys
import pytest
from loader.api import Connection
from loader.api.login import CookieJar, SharedLogin
from loader.emulator import EmulatorOptions
from loader.emulator.sessions import Logins
from loader.errors import SourceUnreadable, UsageError

PASSWORD = "correct-horse-battery"
USER_AND_PASSWORD = base64.b64encode(f"user:{PASSWORD}".encode()).decode()

def test_innocent(capsys):
    logging.getLogger("loader.api").debug("logging in")
    print("nothing")

def test_debug_log():
    logging.getLogger("loader.any.where").debug("with %s", PASSWORD)

def test_traceback_in_a_log():
    try:
        raise ValueError(PASSWORD)
    except ValueError:
        logging.getLogger("loader").exception("it failed")

def test_stdout():
    print(PASSWORD)

def test_stderr_in_base64():
    sys.stderr.write(f"Proxy-Authorization: Basic {USER_AND_PASSWORD}")

@pytest.fixture
def loud():
    yield
    print(PASSWORD)

def test_stdout_of_a_fixture(loud):
    pass

def test_capsys(capsys):
    print(PASSWORD)
    capsys.readouterr()

def test_error():
    UsageError("no", url=f"http://u:{PASSWORD}@host")

def test_error_that_grows():
    UsageError("no").add(PASSWORD)

def test_details_that_change():
    error = UsageError("no", why={})
    error.details["why"]["not"] = PASSWORD
    error.as_dict()

def test_hint_that_changes(request):
    request.node.kept = error = UsageError("no")
    error.hint = PASSWORD

def test_cause():
    try:
        try:
            raise OSError(f"cannot open {PASSWORD}")
        except OSError as error:
            raise SourceUnreadable("cannot open it") from error
    except SourceUnreadable:
        pass

def test_context():
    try:
        try:
            raise OSError(f"cannot open {PASSWORD}")
        except OSError:
            raise SourceUnreadable("cannot open it")
    except SourceUnreadable:
        pass

def test_what_no_traceback_shows():
    try:
        try:
            raise OSError(f"cannot open {PASSWORD}")
        except OSError:
            raise SourceUnreadable("cannot open it") from None
    except SourceUnreadable:
        pass

def test_not_its_context():
    try:
        raise OSError(f"cannot open {PASSWORD}")
    except OSError:
        error = SourceUnreadable("cannot open it")
    with pytest.raises(SourceUnreadable):
        raise error

def test_repr():
    Connection("http://host", username=PASSWORD)

def test_run():
    subprocess.run(["echo", PASSWORD], stdout=subprocess.PIPE)

def test_communicate():
    with subprocess.Popen("echo $HIDDEN >&2", shell=True, stderr=subprocess.PIPE,
                          env={"HIDDEN": PASSWORD}) as process:
        process.communicate()

async def test_communicate_async():
    process = await asyncio.create_subprocess_exec("echo", PASSWORD, stdout=subprocess.PIPE)
    await process.communicate()

def test_file(tmp_path, monkeypatch):
    monkeypatch.setenv("MSTR_LOADER_STATE", str(tmp_path))
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "rejects.json").write_text(json.dumps(["a", PASSWORD]))

def test_file_of_a_child(tmp_path):
    script = f"printf x{PASSWORD} > $MSTR_LOADER_STATE/t.json"
    subprocess.run(script, shell=True, env={"MSTR_LOADER_STATE": str(tmp_path)})

def test_journal_elsewhere(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "job.sqlite-wal").write_bytes(b"..." + PASSWORD.encode() + b"...")
    (tmp_path / "password").write_text(PASSWORD)

def test_write_ahead_log(tmp_path, monkeypatch):
    monkeypatch.setenv("MSTR_LOADER_STATE", str(tmp_path))
    sys.kept = database = sqlite3.connect(tmp_path / "job.sqlite")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE t (x)")
    database.execute("INSERT INTO t VALUES (?)", [PASSWORD])
    database.commit()
    assert PASSWORD.encode() not in (tmp_path / "job.sqlite").read_bytes()

class Clock:
    now = staticmethod(lambda: 0.0)

def test_token_of_the_emulator():
    print(Logins(EmulatorOptions(), Clock()).open(1, "administrator", "").token)

def test_cookie_of_the_emulator():
    print(Logins(EmulatorOptions(), Clock()).open(1, "administrator", "").cookie)

async def test_token_of_a_session():
    async def log_in():
        return "abcdefgh12345678"
    login = SharedLogin(log_in)
    await login.start()
    UsageError(f"{login.token} has ended")

async def test_cookie_of_a_session():
    from yarl import URL
    jar = CookieJar(SharedLogin(None))
    jar.update_cookies_from_headers(["JSESSIONID=ABCDEF0123456789; Path=/"], URL("http://host/"))
    print([cookie.value for cookie in jar])

def test_failing_and_leaking():
    print(PASSWORD)
    raise ValueError("wrong")

@pytest.mark.shows_secrets("to see that it may")
def test_exempt():
    print(PASSWORD)
"""

EXPECTED = {
    "test_innocent": None,
    "test_exempt": None,
    "test_debug_log": "a log record of loader.any.where (DEBUG)",
    "test_traceback_in_a_log": "a log record of loader (ERROR)",
    "test_stdout": "captured stdout call",
    "test_stderr_in_base64": "captured stderr call",
    "test_stdout_of_a_fixture": "captured stdout teardown",
    "test_capsys": "what was printed to standard output",
    "test_error": "a UsageError: its message, hint or details",
    "test_error_that_grows": "a UsageError: its message, hint or details",
    "test_details_that_change": "the JSON of a UsageError",
    "test_hint_that_changes": "a UsageError: its message, hint or details",
    "test_cause": "the OSError behind a SourceUnreadable",
    "test_context": "the OSError behind a SourceUnreadable",
    "test_what_no_traceback_shows": None,
    "test_not_its_context": None,
    "test_repr": "the repr of a Connection",
    "test_run": "what a process wrote to standard output",
    "test_communicate": "what a process wrote to standard error",
    "test_communicate_async": "what a process wrote to standard output",
    "test_file": "the file jobs/rejects.json",
    "test_file_of_a_child": "the file t.json",
    "test_journal_elsewhere": "the journal mine/job.sqlite-wal",
    "test_write_ahead_log": "the file job.sqlite-wal",
    "test_token_of_the_emulator": "captured stdout call",
    "test_cookie_of_the_emulator": "captured stdout call",
    "test_token_of_a_session": "a UsageError: its message, hint or details",
    "test_cookie_of_a_session": "captured stdout call",
    "test_failing_and_leaking": "captured stdout call",
}


def run(directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_it.py").write_text(textwrap.dedent(code))
    (directory / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "test_it.py", "-p", "tests.leaks"),
            *("-p", "no:cacheprovider", "--junitxml", "report.xml"),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": str(TESTS.parent),
            "MSTR_LOADER_STATE": str(directory / "state"),
        },
    )


@pytest.fixture(scope="module")
def leaking(tmp_path_factory):
    """What the plugin said of each test that leaks, and all that was printed."""
    directory = tmp_path_factory.mktemp("leaking")
    done = run(directory, LEAKING)
    said: dict[str, str] = {}
    for case in ET.parse(directory / "report.xml").iter("testcase"):
        errors = [error.text or "" for error in case.iter("error")]
        said[case.get("name") or ""] = "".join(errors)
    return said, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("test", "where"), EXPECTED.items())
def test_a_test_that_leaks_fails_and_is_told_where(leaking, test, where):
    said, _ = leaking
    assert ("A secret could be seen" in said[test]) == (where is not None)
    if where is not None:
        assert f" is in {where}" in said[test]


@pytest.mark.slow
def test_every_leaking_test_was_run(leaking):
    said, _ = leaking
    assert said.keys() == EXPECTED.keys()


@pytest.mark.slow
def test_a_report_of_a_leak_does_not_show_the_secret(leaking):
    said, printed = leaking
    assert "the secret cor… (21 characters) is in captured stdout" in said["test_stdout"]
    assert "Captured stdout call" in printed
    assert PLANTED.found(printed) == set()


@pytest.mark.slow
def test_an_exemption_needs_a_reason(tmp_path):
    done = run(
        tmp_path,
        """
        import pytest

        @pytest.mark.shows_secrets
        def test_it():
            pass
        """,
    )
    assert done.returncode == 4
    assert "shows_secrets needs a reason" in done.stderr
