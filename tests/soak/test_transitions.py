"""Every transition of the journal is killed with ``kill -9``, and the load goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.soak.dying import Death, Moment
from tests.soak.nursery import Nursery
from tests.soak.play import UNKNOWN, Excuses, Play
from tests.soak.processes import Host
from tests.soak.server import Server
from tests.soak.tables import Policy, TableCase

pytestmark = pytest.mark.slow

TIMEOUT = 2.0
# Each transition of a push that succeeds, in its order; of the chunks a later one.
NTH = {"planned": 5, "accepted": 4}
PUSH = (
    *("created", "dataset_known", "session_opened", "planned", "accepted"),
    *("uploaded", "publishing", "published", "session_ended", "ended"),
)
DEATHS = [Death(kind, moment, NTH.get(kind, 1)) for kind in PUSH for moment in Moment]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """One server for all tests: each has a dataset of its own."""
    directory = tmp_path_factory.mktemp("server")
    with Server(directory, "--session-timeout", str(TIMEOUT), "--publish-time", "0.1") as server:
        yield server


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Starts all processes."""
    with Nursery() as nursery:
        yield nursery


@pytest.fixture
def make(server, nursery, tmp_path, request) -> Callable[..., Play]:
    """Makes loads; of a table without a key a second publish would double the rows."""

    def make(policy: Policy = Policy.ADD) -> Play:
        play = Play(
            Host(tmp_path / "state", nursery),
            server,
            tmp_path,
            # Each has a dataset of its own.
            "d" + "".join(letter for letter in request.node.name if letter.isalnum()),
            [TableCase("t", 9_000, keyed=False, policy=policy)],
            ("--chunk-size", "30kB", "--concurrency", "2"),
            # What a killed process has left may hide something, where the server forgets it too.
            excuses=lambda: Excuses(hides=True) if restarted else Excuses(),
            session_timeout=TIMEOUT,
        )
        play.prepare()
        return play

    restarted = "restart" in request.node.name
    return make


def die(play: Play, death: Death) -> None:
    ended = play.resume(death=death) if play.is_unfinished else play.push(death=death)
    assert ended.killed, ended
    assert death.last_words in ended.err


def finish(play: Play) -> None:
    """Goes on until it is published; a job of which nothing is written down begins again."""
    for _ in range(4):
        ended = play.resume() if play.is_unfinished else play.push()
        if ended.code == 0:
            return
        assert play.is_blocked(ended.json), "\n".join(play.history)
        play.wait_for_logins()
    raise AssertionError("\n".join(play.history))


@pytest.mark.parametrize("death", DEATHS, ids=str)
def test_a_push_killed_there_is_resumed(make, death):
    play = make()
    die(play, death)
    if play.state != "closed":
        finish(play)


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.value)
def test_a_resume_killed_as_it_begins_is_resumed(make, moment):
    play = make()
    die(play, Death("accepted", Moment.COMMITTED, 3))
    die(play, Death("resumed", moment))
    finish(play)


@pytest.mark.parametrize("kind", ["session_opened", "accepted", "uploaded", "published"])
def test_a_push_killed_there_is_resumed_after_a_restart(make, server, kind):
    play = make()
    die(play, Death(kind, Moment.COMMITTED))
    server.restart()
    finish(play)


def test_a_replace_whose_publish_is_in_doubt_is_resumed_after_a_restart(make, server):
    play = make(Policy.REPLACE)
    die(play, Death("publishing", Moment.COMMITTED))
    server.restart()
    finish(play)


def test_an_add_whose_publish_is_in_doubt_is_unknown_after_a_restart(make, server):
    play = make()
    die(play, Death("publishing", Moment.COMMITTED))
    server.restart()
    assert play.resume().code in {0, UNKNOWN}
