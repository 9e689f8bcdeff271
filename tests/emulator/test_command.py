"""The command ``mstr-loader emulator``: its options, and what it says when it cannot run."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect

import pytest
import typer

from loader.cli.emulator import emulator
from loader.emulator import EmulatorOptions, Ingest
from loader.errors import UsageError


def test_every_setting_is_an_option_with_the_same_default():
    parameters = inspect.signature(emulator).parameters
    for setting in dataclasses.fields(EmulatorOptions):
        # These come from a file or the environment.
        if setting.name in {"password", "api_token", "identity_token"}:
            continue
        assert parameters[setting.name].default == setting.default, setting.name


def test_every_option_has_help():
    for name, parameter in inspect.signature(emulator, eval_str=True).parameters.items():
        assert parameter.annotation.__metadata__[0].help, name


def test_without_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="needs duckdb and msgspec") as error:
        emulator(port=0)
    assert error.value.hint == "pip install 'mstr-loader[emulator]'"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"port": 65536}, "--port 65536"),
        ({"port": -1}, "--port -1"),
        ({"username": ""}, "--username"),
        ({"window": 0}, "--window 0"),
        ({"window": 4}, "--window 4 has no meaning with --order free"),
        ({"latency": -1.0}, "--latency -1.0"),
        ({"publish_time": float("nan")}, "--publish-time nan"),
        ({"bandwidth": 0.0}, "--bandwidth 0.0"),
        ({"stream_rate": 0.0}, "--stream-rate 0.0"),
        ({"publish_rate": -1.0}, "--publish-rate -1.0"),
        ({"answer_limit": 0.0}, "--answer-limit 0.0"),
        ({"pool": 0}, "--pool 0"),
        ({"overload": 0, "ingest_rate": 1.0}, "--overload 0"),
        ({"overload": 4}, "--overload 4 slows down what has no rate"),
        ({"ingest_rate": -2.0}, "--ingest-rate -2.0"),
        ({"session_timeout": 0.0}, "--session-timeout"),
        ({"max_body": float("inf")}, "--max-body inf"),
        ({"tls_key": "key.pem"}, "--tls-key needs --tls-cert"),
        ({"data": "there", "ingest": "sink"}, "--ingest sink keeps nothing"),
        ({"order": "random"}, "--order 'random' is unknown"),
    ],
)
def test_settings_that_cannot_work(settings, says):
    with pytest.raises(UsageError) as error:
        EmulatorOptions(**settings)
    assert says in error.value.message
    assert error.value.hint


@pytest.fixture
def asked(monkeypatch):
    """Runs the command; returns the settings that it would have served with."""

    def run(*options):
        settings = []
        monkeypatch.setattr("loader.cli.emulator._run", lambda given, **_: settings.append(given))
        app = typer.Typer()
        app.command()(emulator)
        app(options, standalone_mode=False)
        return settings[0]

    return run


def test_times_and_rates_have_units_or_none(asked):
    options = asked(
        *("--latency", "0.25", "--answer-limit", "120s", "--publish-time", "2m"),
        *("--bandwidth", "1GB/s", "--ingest-rate", "50MB/s", "--stream-rate", "12.5"),
        *("--publish-rate", "500kB/s", "--pool", "4", "--overload", "8"),
    )
    assert options.model() == {
        "latency": 0.25,
        "bandwidth": 1000,
        "stream_rate": 12.5,
        "ingest_rate": 50,
        "overload": 8,
        "pool": 4,
        "answer_limit": 120,
        "publish_time": 120,
        "publish_rate": 0.5,
    }


def test_no_model_is_the_default(asked):
    assert asked().model() == {}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--latency", "soon"), "--latency: 'soon' is not a duration"),
        (("--ingest-rate", "fast"), "--ingest-rate: 'fast' is not a size"),
        (("--ingest-rate", "nan"), "--ingest-rate nan must be above 0"),
    ],
)
def test_times_and_rates_that_are_none(asked, options, says):
    with pytest.raises(UsageError) as error:
        asked(*options)
    assert says in error.value.message


def test_choices_may_be_given_as_texts():
    assert EmulatorOptions(ingest="sink").ingest is Ingest.SINK
