"""Fixtures for tests that load into a real server; a conftest.py imports them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import keyring
import pytest
from keyring.backends.null import Keyring

from loader.emulator import EmulatorOptions
from tests.cli.harness import PASSWORD, Command, Push, Server

__all__ = ["command", "own_environment", "push", "serve", "server", "start"]


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path):
    """Nothing of the user's: no settings, no state, no keyring."""
    for name in [name for name in os.environ if name.startswith("MSTR_")]:
        monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("MSTR_PASSWORD", PASSWORD)
    monkeypatch.setenv("MSTR_LOADER_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("MSTR_LOADER_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("COLUMNS", "200")
    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())
    yield
    keyring.set_keyring(before)


@pytest.fixture
def serve():
    """Starts servers; settings are those of EmulatorOptions."""
    with contextlib.ExitStack() as stack:

        def start(*, archive=None, fault=None, **settings) -> Server:
            options = EmulatorOptions(**{"port": 0, "password": PASSWORD, **settings})
            return stack.enter_context(Server(options, archive=archive, fault=fault))

        yield start


@pytest.fixture
def server(serve) -> Server:
    """A server with defaults."""
    return serve()


@pytest.fixture
def command(capsys) -> Command:
    """Runs the command line."""
    return Command(capsys)


@pytest.fixture
def push(command, server) -> Push:
    """Runs ``push --json`` against the server."""
    return Push(command, server)


@pytest.fixture
def start():
    """Starts the command line in a process of its own, which does not outlive the test."""
    started = []

    def run(*arguments, program=("-m", "loader"), **settings):
        process = subprocess.Popen(
            [sys.executable, *program, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **settings,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
