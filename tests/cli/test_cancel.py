"""``mstr-loader cancel``: an unfinished job is given up, and its dataset is free again."""

from __future__ import annotations

import asyncio
import signal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loader.cli.recorded import with_recorded
from loader.cli.server_options import ServerFlags
from loader.emulator.process import EmulatorProcess
from loader.errors import UsageError
from loader.job.journal import Journal
from loader.job.journal.description import ServerRecord
from loader.job.journal.list import read_job
from tests.cli.ends import Left
from tests.cli.harness import PASSWORD, PROJECT, USER, connection
from tests.cli.test_signals import LIMIT, Hold, ended, said
from tests.job.journals import FakeTarget, description


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"k": [f"key{n:06}" for n in range(20_000)], "v": list(range(20_000))})
    pq.write_table(table, path, row_group_size=2000)
    return path


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "state" / "jobs"


@pytest.fixture
def cancel(command):
    def run(*arguments):
        return command("cancel", *arguments, "--json")

    return run


@pytest.fixture
def jobs(command):
    def run():
        return command("jobs", "--json").succeeded().json["jobs"]

    return run


@pytest.fixture
def killed_at(server, file, start):
    """Kills a real load with ``kill -9`` while the server holds one of its requests."""

    def run(method, part, *, after=0, wait=True, options=()):
        server.fault = hold = Hold(method, part, after=after, wait=wait)
        chunks = ("--chunk-size", "30kB", "--concurrency", "2")
        process = start("push", file, *connection(server), *chunks, *options, "--json")
        assert hold.reached.wait(LIMIT)
        process.kill()
        process.wait(LIMIT)
        server.fault = None

    return run


async def lose_sessions(server):
    """Ends all upload sessions, as a server does that is restarted."""
    for session in server.emulator.uploads:
        await server.emulator.cancel(session)
        server.emulator.uploads.remove(session)


async def published(server):
    """Waits for the end of every publish."""
    for session in server.emulator.uploads:
        await session.publishing


# -- after kill -9 ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_upload(server, killed_at, cancel, jobs, push, file):  # noqa: PLR0917 - fixtures
    killed_at("PUT", "/uploadSessions/", after=3)
    (job,) = jobs()
    assert (job["state"], job["driver"]) == ("uploading", None)
    assert job["chunks"] >= 2
    assert server.sessions == 1
    outcome = cancel().succeeded()
    assert outcome.json == {
        "status": "cancelled",
        "job": job["job"],
        "dataset_id": None,
        "dataset": "t",
        "session": "deleted",
        "dataset_deleted": True,
        "warnings": [],
        "error": None,
    }
    assert server.sessions == 0
    assert server.datasets == {}
    (job,) = jobs()
    assert job["state"] == "cancelled"
    push(file).succeeded()
    assert server.sql("SELECT count(*), count(DISTINCT k) FROM t.t") == [(20_000, 20_000)]


@pytest.mark.slow
def test_a_dataset_that_was_there_before_stays(server, killed_at, cancel, push, file):
    push(file).succeeded()
    killed_at("PUT", "/uploadSessions/", after=3)
    outcome = cancel().succeeded()
    assert outcome.json["session"] == "deleted"
    assert not outcome.json["dataset_deleted"]
    assert outcome.json["dataset_id"] == server.datasets["t"]
    assert server.sql("SELECT count(*) FROM t.t") == [(20_000,)]
    push(file).succeeded()


@pytest.mark.slow
def test_a_session_that_is_gone_already(server, killed_at, cancel, jobs):
    killed_at("PUT", "/uploadSessions/", after=3)
    server.call(lose_sessions(server))
    assert server.sessions == 0
    outcome = cancel().succeeded()
    assert outcome.json["session"] == "gone"
    assert outcome.json["dataset_deleted"]
    assert jobs()[0]["state"] == "cancelled"


@pytest.mark.slow
def test_a_dataset_that_somebody_has_filled_since_stays(  # noqa: PLR0917 - fixtures
    server, killed_at, cancel, push, file, jobs
):
    killed_at("PUT", "/uploadSessions/", after=3)
    server.call(lose_sessions(server))
    (killed,) = jobs()
    push(file).succeeded()
    outcome = cancel(killed["job"]).succeeded()
    assert outcome.json["session"] == "gone"
    assert not outcome.json["dataset_deleted"]
    assert any("another load" in warning for warning in outcome.json["warnings"])
    assert server.sql("SELECT count(*) FROM t.t") == [(20_000,)]


@pytest.mark.slow
def test_before_anything_was_made_no_server_is_needed(server, killed_at, cancel, jobs):
    killed_at("POST", "/auth/login")
    (job,) = jobs()
    assert (job["state"], job["dataset_id"]) == ("created", None)
    server.requests.clear()
    assert cancel().succeeded().json["session"] is None
    assert server.requests == []


@pytest.mark.slow
def test_killed_when_the_dataset_was_made_and_no_session(server, killed_at, cancel, jobs):
    killed_at("POST", "/uploadSessions")
    (job,) = jobs()
    assert job["state"] == "created"
    assert job["dataset_id"] == server.datasets["t"]
    outcome = cancel().succeeded()
    assert outcome.json["session"] is None
    assert outcome.json["dataset_deleted"]
    assert server.datasets == {}


@pytest.mark.slow
def test_killed_while_publishing(serve, file, start, cancel, jobs):
    server = serve(publish_time=LIMIT)
    server.fault = hold = Hold("GET", "/publishStatus", after=1, wait=False)
    process = start("push", file, *connection(server), "--json")
    assert hold.reached.wait(LIMIT)
    process.kill()
    process.wait(LIMIT)
    server.fault = None
    (job,) = jobs()
    assert job["state"] == "publishing"
    assert "may be published" in job["hint"]
    outcome = cancel().succeeded()
    assert outcome.json["session"] == "deleted"
    assert not outcome.json["dataset_deleted"]
    assert any("publishing" in warning for warning in outcome.json["warnings"])
    assert server.sessions == 0


@pytest.mark.slow
def test_killed_when_the_publish_had_ended(server, killed_at, cancel, jobs):
    killed_at("GET", "/publishStatus")
    (job,) = jobs()
    assert job["state"] == "publishing"
    server.call(published(server))
    outcome = cancel()
    assert outcome.code == 2
    assert "is published" in outcome.error["message"]
    assert server.sql("SELECT count(*) FROM t.t") == [(20_000,)]
    (job,) = jobs()
    assert (job["state"], job["stage"], job["session"]) == ("closed", "published", None)
    assert server.sessions == 0


@pytest.mark.slow
def test_killed_while_publishing_and_nobody_can_tell(server, killed_at, cancel, jobs):
    killed_at("POST", "/publish")
    server.call(lose_sessions(server))
    outcome = cancel()
    assert outcome.code == 8
    assert outcome.error["hint"]
    assert jobs()[0]["state"] == "unknown"
    again = cancel(jobs()[0]["job"]).succeeded()
    (warning,) = again.json["warnings"]
    assert "is not known" in warning
    assert not again.json["dataset_deleted"]
    assert jobs()[0]["state"] == "cancelled"


@pytest.mark.slow
def test_killed_between_the_publish_and_the_end(server, killed_at, cancel, jobs):
    killed_at("DELETE", "/uploadSessions/")
    (job,) = jobs()
    assert job["state"] == "published"
    outcome = cancel(job["job"])
    assert outcome.code == 2
    assert "is published" in outcome.error["message"]
    assert cancel().error["kind"] == "unknown_job"


@pytest.mark.slow
def test_a_job_that_is_running(server, start, file, cancel, command, jobs):  # noqa: PLR0917 - fixtures
    server.fault = hold = Hold("PUT", "/uploadSessions/")
    process = start("push", file, *connection(server), "--json")
    assert hold.reached.wait(LIMIT)
    (job,) = jobs()
    assert job["driver"]["pid"] == process.pid
    for arguments in ([], [job["job"]]):
        outcome = cancel(*arguments)
        assert outcome.code == 2
        assert outcome.error["kind"] == "job_in_use"
        assert outcome.error["pid"] == process.pid
    assert command("jobs", "clean", "--all", "--json").json["removed"] == []
    process.kill()
    process.wait(LIMIT)


@pytest.mark.slow
def test_an_interrupted_load_can_still_be_cancelled(server, start, file, cancel, jobs):
    server.fault = hold = Hold("PUT", "/uploadSessions/", after=3)
    chunks = ("--chunk-size", "30kB", "--concurrency", "2")
    process = start("push", file, *connection(server), *chunks, "--json")
    assert hold.reached.wait(LIMIT)
    process.send_signal(signal.SIGINT)
    said(process, "stopping after the PUTs under way")
    hold.let_go()
    outcome = ended(process)
    Left.by(outcome, server, code=130)
    (job,) = jobs()
    assert job["job"] == outcome.json["job"]
    assert (job["state"], job["stage"], job["driver"]) == ("interrupted", "uploading", None)
    assert job["end"]["exit_code"] == 130
    cancelled = cancel().succeeded().json
    assert (cancelled["job"], cancelled["session"]) == (job["job"], "deleted")
    assert cancelled["dataset_deleted"]
    assert jobs()[0]["finished"]
    assert server.datasets == {}
    assert server.sessions == 0


def test_a_load_out_of_retries_can_be_cancelled_and_then_not_go_on(
    push, command, server, file, cancel
):
    server.emulator.inject("put:nth=2-:status=503")
    outcome = push(file, "--chunk-size", "30kB", "--retries", "0")
    Left.by(outcome, server)
    assert cancel().succeeded().json["session"] == "deleted"
    assert server.datasets == {}
    again = command("resume", outcome.json["job"], "--json")
    assert again.code == 2
    assert "was cancelled" in again.error["message"]


@pytest.mark.slow
def test_with_every_process_a_real_one(tmp_path, file, monkeypatch, start):
    monkeypatch.setenv("MSTR_EMULATOR_PASSWORD", PASSWORD)
    with EmulatorProcess(
        "--data", str(tmp_path / "server"), "--fault", "put:nth=4:stall=after-store"
    ) as server:
        where = ("--url", server.url, "--username", USER, "--project", PROJECT)
        load = ("push", file, *where, "--chunk-size", "30kB", "--concurrency", "1", "--json")
        process = start(*load)
        for _ in range(600):
            state = ended(start("jobs", "--json")).json["jobs"]
            if state and state[0].get("chunks_planned") == 4:
                break
        process.kill()
        process.wait(LIMIT)
        (job,) = ended(start("jobs", "--json")).json["jobs"]
        assert (job["state"], job["chunks"], job["chunks_planned"]) == ("uploading", 3, 4)
        blocked = ended(start(*load))
        assert blocked.code == 5
        outcome = ended(start("cancel", job["job"], "--json")).succeeded()
        assert outcome.json["session"] == "deleted"
        published = ended(start(*load)).succeeded()
        assert published.json["rows"] == 20_000
        listed = ended(start("jobs", "--json")).json["jobs"]
        assert sorted(one["state"] for one in listed) == ["cancelled", "closed", "failed"]


# -- what cannot be cancelled ----------------------------------------------------------------------


def test_nothing_to_cancel(cancel):
    outcome = cancel()
    assert outcome.code == 2
    assert outcome.error["kind"] == "unknown_job"


def test_a_finished_job(push, file, cancel):
    job = push(file).succeeded().json["job"]
    outcome = cancel(job)
    assert outcome.code == 2
    assert "is published" in outcome.error["message"]
    assert cancel().error["kind"] == "unknown_job"


def test_a_failed_job_that_has_cleaned_up(push, file, cancel, server):
    server.emulator.inject("put:status=400")
    job = push(file).json["job"]
    outcome = cancel(job)
    assert outcome.code == 2
    assert "cleaned up" in outcome.error["message"]


def test_a_failed_job_whose_session_stayed_open(push, file, cancel, server, jobs):
    server.emulator.inject("put:status=400", "delete:status=503")
    job = push(file, "--retries", "0").json["job"]
    assert "may still be open" in jobs()[0]["hint"]
    server.emulator.faults.clear()
    # The logout of the load has taken it along.
    assert cancel(job).succeeded().json["session"] == "gone"
    assert jobs()[0]["hint"] == ""


def test_a_job_that_was_cancelled_before(cancel, directory):
    job = made(directory)
    cancel(job).succeeded()
    again = cancel(job).succeeded()
    assert again.json["warnings"] == ["it was cancelled before"]


def made(directory, url="https://example.com/Library", *, session=False):
    async def make():
        journal = await Journal.create(
            description(server=ServerRecord(url=url, username=USER, project=PROJECT)),
            directory=directory,
        )
        if session:
            await journal.dataset_known(FakeTarget(), None)
            await journal.session_opened("S1", 100)
        await journal.close()
        return journal.job

    return asyncio.run(make())


def test_a_server_that_cannot_be_reached_leaves_the_job_as_it_is(cancel, directory, jobs):
    made(directory, "http://127.0.0.1:9/Library", session=True)
    outcome = cancel()
    assert outcome.code == 5
    assert jobs()[0]["state"] == "uploading"


def test_a_wrong_password(cancel, directory, server, jobs, monkeypatch):
    made(directory, server.url, session=True)
    monkeypatch.setenv("MSTR_PASSWORD", "wrong")
    assert cancel().code == 4
    assert jobs()[0]["state"] == "uploading"


def test_the_server_of_the_job_and_not_that_of_the_environment(
    cancel, directory, server, monkeypatch
):
    job = made(directory, server.url, session=True)
    monkeypatch.setenv("MSTR_URL", "http://127.0.0.1:9/Other")
    monkeypatch.setenv("MSTR_USERNAME", "somebody")
    monkeypatch.setenv("MSTR_PROJECT", "Other")
    outcome = cancel().succeeded()
    assert outcome.json["session"] == "gone"
    assert server.called("DELETE", "/S1") == [404]
    assert read_job(directory / f"{job}.sqlite").state == "cancelled"


def test_an_option_comes_before_the_journal(cancel, directory, server):
    made(directory, "http://127.0.0.1:9/Library", session=True)
    cancel("--url", server.url).succeeded()


def test_for_people(command, directory):
    job = made(directory)
    assert command("cancel", job).succeeded().out == (
        f"cancelled {job}: it had no upload session open\n"
    )


# -- the connection of a job -----------------------------------------------------------------------


def recorded(record, **flags):
    """Puts a journal's connection under options, of which those given were typed."""

    class Context:
        def get_parameter_source(self, name):
            source = "COMMANDLINE" if name in flags else "DEFAULT"
            return type("Source", (), {"name": source})

    return with_recorded(Context(), ServerFlags(**flags), record)


RECORD = ServerRecord(
    url="https://a.example.com",
    username="ada",
    project="P",
    ca_bundle="/ca.pem",
    client_cert="/c.pem",
    client_key="/k.pem",
    proxy="http://proxy:3128",
)


def test_everything_is_taken_from_the_journal():
    flags = recorded(RECORD)
    assert (flags.url, flags.username, flags.login_mode) == (RECORD.url, "ada", "standard")
    assert [str(path) for path in (flags.ca_bundle, flags.client_cert, flags.client_key)] == [
        *("/ca.pem", "/c.pem", "/k.pem")
    ]
    assert (flags.project, flags.proxy, flags.insecure) == ("P", "http://proxy:3128", False)


def test_what_is_typed_takes_its_counterpart_away(tmp_path):
    assert recorded(RECORD, insecure=True).ca_bundle is None
    assert recorded(RECORD, client_cert=tmp_path).client_key is None
    assert not recorded(ServerRecord(url="https://a", insecure=True), ca_bundle=tmp_path).insecure
    assert recorded(RECORD, login_mode="api-token").username is None
    profile = recorded(RECORD, profile="prod")
    assert (profile.url, profile.username, profile.project) == (None, None, "P")


def test_a_proxy_with_a_password_is_asked_again():
    record = ServerRecord(url="https://a", proxy="http://proxy:3128", proxy_login=True)
    with pytest.raises(UsageError, match="user and a password"):
        recorded(record)
    assert recorded(record, proxy="http://u:p@proxy:3128").proxy == "http://u:p@proxy:3128"


def test_a_local_server_is_started_again():
    assert recorded(ServerRecord(url="http://127.0.0.1:1/x", local=True)).local
    assert not recorded(ServerRecord(url="http://127.0.0.1:1/x", local=True), url="http://b").local
