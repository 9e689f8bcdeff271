"""Decisions about repeating a request and about beginning again: no loop, no clock, no network."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.api.answer import Answer
from loader.api.failures import failure
from loader.encode import Chunk
from loader.errors import (
    ApiError,
    BadValue,
    LoginFailed,
    NotFound,
    ProtocolViolation,
    Refused,
    SessionExpired,
    Unavailable,
    Unreachable,
)
from loader.job.restart import MOST_LOSSES, Restarts
from loader.job.retry import LONGEST_WAIT, RetryBudget, Tries, Trouble, longest_wait, trouble_of
from loader.planning import ChunkRules
from loader.units import MB

BUDGET = RetryBudget(retries=8, deadline=300.0)


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (Unreachable("x", phase="connect"), Trouble.SERVER),
        (Unreachable("x", phase="send"), Trouble.SERVER),
        (Unreachable("x", phase="answer"), Trouble.SERVER),
        (Unreachable("x", phase="tls"), Trouble.LASTING),
        (Unavailable("x", status=502), Trouble.SERVER),
        (Unavailable("x", status=503), Trouble.SERVER),
        (Unavailable("x", status=504), Trouble.SERVER),
        (Unavailable("x", status=503, code="ERR001"), Trouble.CALL),
        (Unavailable("x", status=500, code="ERR013"), Trouble.SERVER),
        (Unavailable("x", status=500, code="ERR0016"), Trouble.SERVER),
        (Unavailable("x", status=500), Trouble.CALL),
        (Unavailable("x", status=500, code="ERR002"), Trouble.CALL),
        (Unavailable("x", status=500, iserver_code=-2147206497), Trouble.CALL),
        (Unavailable("x", status=408), Trouble.CALL),
        (Unavailable("x", status=425), Trouble.CALL),
        (Unavailable("x", status=429), Trouble.CALL),
        (NotFound("x", status=404), Trouble.SERVER),
        (NotFound("x", status=404, code="ERR004"), Trouble.LASTING),
        (Refused("x", status=413), Trouble.LASTING),
        (Refused("x", status=500, iserver_code=-2147205488), Trouble.LASTING),
        (SessionExpired("x", status=401), Trouble.LASTING),
        (LoginFailed("x", status=401), Trouble.LASTING),
        (ProtocolViolation("x"), Trouble.LASTING),
        (BadValue("x"), Trouble.LASTING),
    ],
    ids=lambda value: repr(getattr(value, "details", value)),
)
def test_whom_a_failure_concerns(error, trouble):
    assert trouble_of(error) is trouble


def error_of(status: int, body: dict | None = None, **headers: str) -> ApiError:
    text = b"<html><title>x</title></html>" if body is None else json.dumps(body).encode()
    return failure("upload chunk 1", Answer(status, "reason", headers, text))


@pytest.mark.parametrize("body", [None, {}, {"code": "ERR001", "message": "?"}, {"code": "ERR002"}])
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_answers_that_pass(status, body):
    assert trouble_of(error_of(status, body)) is not Trouble.LASTING


@pytest.mark.parametrize("code", [-2147205488, -2147216959, -2147024891, -2147072488, -1])
@pytest.mark.parametrize("status", [400, 500])
def test_what_the_intelligence_server_refuses_lasts(status, code):
    """-2147205488: the row limit was reached, so data was cut."""
    body = {"code": "ERR002", "message": "no", "iServerCode": code}
    assert trouble_of(error_of(status, body)) is Trouble.LASTING


@pytest.mark.parametrize("status", [301, 400, 401, 403, 405, 409, 413, 415, 422, 501, 505])
@pytest.mark.parametrize("body", [None, {}])
def test_answers_that_last(status, body):
    assert trouble_of(error_of(status, body)) is Trouble.LASTING


@pytest.mark.parametrize(
    "code", ["ERR004", "ERR005", "ERR006", "ERR007", "ERR009", "ERR0010", "ERR014", "ERR015"]
)
def test_a_server_error_that_the_api_explains_lasts(code):
    assert trouble_of(error_of(500, {"code": code, "message": "no"})) is Trouble.LASTING


@pytest.mark.parametrize(
    "headers",
    [
        {"retry-after": "90"},
        {
            "retry-after": "Sun, 22 Nov 2026 12:01:30 GMT",
            "date": "Sun, 22 Nov 2026 12:00:00 GMT",
        },
    ],
    ids=["seconds", "date"],
)
@pytest.mark.parametrize("status", [429, 503])
def test_what_the_server_asks_for_is_waited(status, headers):
    error = error_of(status, **headers)
    assert Tries(BUDGET).failed(error, 0.0, 0.5) == 90.0


def test_pauses_double_up_to_the_longest():
    assert [longest_wait(failures) for failures in (1, 2, 3, 6, 7, 8)] == [0.5, 1, 2, 16, 30, 30]
    assert longest_wait(10**9) == LONGEST_WAIT


@given(
    retries=st.integers(0, 20),
    deadline=st.floats(0.1, 1000),
    draws=st.lists(st.floats(0, 1), min_size=25, max_size=25),
    took=st.floats(0, 100),
    asked=st.none() | st.floats(0, 2000),
)
def test_a_budget_bounds_attempts_and_time(retries, deadline, draws, took, asked):
    tries = Tries(RetryBudget(retries, deadline))
    now = first = 1000.0
    error = Unavailable("x", status=503, retry_after=asked)
    for failures, draw in enumerate(draws, start=1):
        wait = tries.failed(error, now, draw)
        if wait is None:
            break
        assert failures <= retries
        assert 0 <= wait <= max(longest_wait(failures), asked or 0)
        assert wait >= min(asked or 0, deadline - (now - first))
        # Nothing is begun after the deadline.
        assert now + wait - first <= deadline + 1e-6
        now += wait + took
    else:
        pytest.fail("it never ended")
    assert tries.failures <= retries + 1


@given(st.floats(0, 10_000), st.floats(0, 1))
def test_a_pause_for_the_whole_server_costs_nothing(pause, draw):
    tries = Tries(BUDGET)
    error = Unreachable("x", phase="connect")
    assert tries.failed(error, 0.0, draw) is not None
    tries.paused(pause)
    assert tries.failed(error, pause, draw) == pytest.approx(draw * 1.0)


def test_the_jitter_is_full():
    waits = [Tries(BUDGET).failed(Unavailable("x", status=500), 0.0, draw) for draw in (0, 0.5, 1)]
    assert waits == [0, 0.25, 0.5]


def test_retry_after_comes_first_and_ends_at_the_deadline():
    def wait(seconds):
        return Tries(BUDGET).failed(Unavailable("x", status=503, retry_after=seconds), 0.0, 1.0)

    assert [wait(seconds) for seconds in (0.0, 0.1, 7.0, 3600.0)] == [0.5, 0.5, 7.0, 300.0]


def test_not_found_without_the_apis_code_is_believed_the_second_time():
    tries = Tries(BUDGET)
    assert tries.failed(NotFound("x", status=404), 0.0, 0.5) is not None
    assert tries.failed(NotFound("x", status=404), 1.0, 0.5) is None


def test_the_last_error_sums_up():
    tries = Tries(RetryBudget(1, 300))
    error = Unavailable("Cannot do it: busy (HTTP 503).", hint="wait", status=503)
    tries.failed(error, 0.0, 1.0)
    tries.failed(error, 41.0, 1.0)
    tries.sum_up(error, 41.0)
    assert str(error) == error.message
    assert error.message == "Cannot do it: busy (HTTP 503); it was tried 2 times in 41 s."
    again = pickle.loads(pickle.dumps(error))
    assert (again.message, again.hint) == (error.message, "wait")
    assert again.details == {"status": 503, "attempts": 2, "seconds": 41.0}


def test_what_failed_once_has_nothing_to_sum_up():
    tries, error = Tries(BUDGET), Refused("no", status=400)
    assert tries.failed(error, 0.0, 1.0) is None
    tries.sum_up(error, 0.0)
    assert (error.message, error.details) == ("no", {"status": 400})


# -- beginning again -----------------------------------------------------------------------------


def chunk(json_bytes=100 * MB, rows=1000) -> Chunk:
    return Chunk("t", 1, 0, rows, rows, (), json_bytes)


def too_large() -> Refused:
    return Refused("too large", status=413, hint="Lower --chunk-size.")


@given(st.integers(1, 400 * MB), st.integers(1, 400 * MB))
def test_halving_comes_to_an_end(target, too_large):
    rules, steps = ChunkRules.of(target), 0
    while (smaller := rules.halved(min(too_large, rules.high))) is not None:
        assert MB <= smaller.target < rules.target
        assert smaller.target <= max(MB, too_large // 2, 1)
        assert smaller.high <= max(2 * MB, too_large)
        rules, steps = smaller, steps + 1
    assert steps <= 10
    assert rules.target <= MB or too_large < 0


def test_a_chunk_that_is_too_large_makes_half_as_large_ones():
    restarts = Restarts(rereadable=True)
    rules = ChunkRules()
    again = restarts.after_chunk(too_large(), chunk(), rules)
    assert again.rules == ChunkRules.of(50 * MB)
    # Two were under way: it is still one pass that ended.
    assert restarts.after_chunk(too_large(), chunk(), rules).rules == again.rules
    restarts.note(again, rules)
    rules = again.rules
    again = restarts.after_chunk(too_large(), chunk(45 * MB), rules)
    assert again.rules.target == 22_500_000
    restarts.note(again, rules)
    (warning,) = restarts.warnings(again.rules)
    assert "chunks of 100 MB, then 50 MB were too large" in warning
    assert "--chunk-size 22.5MB" in warning


@pytest.mark.parametrize(
    ("rereadable", "target", "rows", "says"),
    [
        (True, MB, 1000, "Lower --chunk-size"),
        (True, 100 * MB, 1, "a single row is too large"),
        (False, 100 * MB, 1000, "--chunk-size 50MB"),
    ],
)
def test_a_chunk_that_is_too_large_for_good(rereadable, target, rows, says):
    error = too_large()
    restarts = Restarts(rereadable=rereadable)
    assert restarts.after_chunk(error, chunk(rows=rows), ChunkRules.of(target)) is None
    assert says in error.hint
    assert restarts.warnings(ChunkRules.of(target)) == []


def test_lost_sessions_are_counted():
    restarts, rules = Restarts(rereadable=True), ChunkRules()
    for lost in range(1, MOST_LOSSES + 1):
        for _ in range(3):  # several chunks were under way
            again = restarts.after_chunk(NotFound("gone", code="ERR004"), chunk(), rules)
            assert again.rules is None
        restarts.note(again, rules)
        assert restarts.losses == lost
    error = NotFound("gone", code="ERR004")
    assert restarts.after_chunk(error, chunk(), rules) is None
    assert error.message == "gone; the server has lost 4 upload sessions of this load."
    (warning,) = restarts.warnings(rules)
    assert "3 times" in warning


def test_a_lost_session_of_a_source_that_is_read_once():
    error = NotFound("gone", code="ERR004")
    assert Restarts(rereadable=False).after_loss(error) is None
    assert "cannot be read a second time" in error.message
    assert error.exit_code == 5
    assert error.hint


def test_other_errors_end_the_load():
    restarts = Restarts(rereadable=True)
    for error in (Unavailable("x", status=503), Refused("x", status=400), Unreachable("x")):
        assert restarts.after_chunk(error, chunk(), ChunkRules()) is None
        assert restarts.after_loss(error) is None
