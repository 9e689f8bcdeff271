"""After which ends a load can go on: a decision by the error alone."""

from __future__ import annotations

import asyncio

import pytest

from loader.errors import (
    BadValue,
    Defect,
    Interrupted,
    JournalUnusable,
    LoginFailed,
    ModelMismatch,
    NotAllowed,
    NotFound,
    OutcomeUnknown,
    ProtocolViolation,
    PublishFailed,
    Refused,
    RejectsUnwritable,
    SessionExpired,
    SourceUnreadable,
    TooManyBadRows,
    Unavailable,
    Unreachable,
    VerificationFailed,
)
from loader.job.ends import command_of, is_passing

PASSING = [
    *(asyncio.CancelledError(), Interrupted("x"), OutcomeUnknown("x")),
    *(JournalUnusable("x"), RejectsUnwritable("x"), LoginFailed("x"), SessionExpired("x")),
    *(Unavailable("x"), Unreachable("x")),
]
FINAL = [
    *(BadValue("x"), TooManyBadRows("x"), SourceUnreadable("x"), ModelMismatch("x")),
    *(Refused("x"), NotFound("x"), NotAllowed("x"), ProtocolViolation("x")),
    *(PublishFailed("x"), VerificationFailed("x"), Defect("x")),
    *(ValueError("x"), KeyboardInterrupt(), MemoryError()),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_another_process_may_find_mended(error):
    assert is_passing(error)


@pytest.mark.parametrize("error", FINAL, ids=lambda error: type(error).__name__)
def test_what_would_only_come_again(error):
    assert not is_passing(error)


def test_the_command():
    assert command_of("20261121-2251-k3f9") == "mstr-loader resume 20261121-2251-k3f9"
