"""Uses of the public functions that the type checker must accept; it is never run."""

from __future__ import annotations

from pathlib import Path

import loader


async def in_a_coroutine(frame: object) -> None:
    """Loads from a coroutine."""
    connection = loader.Connection(
        "https://mstr.example.com/MicroStrategyLibrary",
        username="me",
        password="secret",
        project="Sales",
        login_mode=loader.LoginMode.LDAP,
    )
    result: loader.Result = await loader.push(
        {"lineitem": "lineitem/*.parquet", "orders": [Path("orders.csv")], "more": frame},
        connection=connection,
        dataset="Sales",
        policy="upsert",
        table_policies={"orders": loader.UpdatePolicy.ADD},
        orientation="row",
        ordering=loader.Ordering.STRICT,
        chunk_size=80_000_000,
        concurrency=4,
        memory=2_000_000_000,
        max_rate=50e6,
        attributes=["l_orderkey"],
        metrics=("o_comment",),
        types={"lineitem.l_partkey": loader.DataType.STRING, "o_custkey": "STRING"},
        on_progress=show,
        publish_timeout=60,
    )
    tables: list[loader.TableResult] = result.tables
    seconds: float = result.seconds
    status: loader.Status = result.status
    print(tables, seconds, status, result.as_dict()["error"])  # noqa: T201 - an example


async def again_in_a_coroutine(connection: loader.Connection) -> None:
    """Goes on with the latest job from a coroutine."""
    options: loader.ResumeOptions = {"concurrency": 2, "verify": False}
    latest: loader.Result = await loader.resume(connection=connection, **options)
    named: loader.Result = await loader.resume(
        latest.job,
        connection=connection,
        sources=["lineitem.parquet"],
        on_progress=show,
        memory=10**9,
    )
    print(named.rows)  # noqa: T201 - an example


def show(progress: loader.Progress) -> None:
    """Takes a progress."""
    total: int | None = progress.rows_total
    print(progress.phase is loader.Phase.LOADING, total)  # noqa: T201 - an example


def in_a_script(frame: object, connection: loader.Connection) -> None:
    """Loads from a script, and plans."""
    try:
        result: loader.Result = loader.push_sync(frame, connection=connection, publish=False)
    except loader.LoaderError as error:
        code: int = error.exit_code
        hint: str | None = error.hint
        print(code, hint, error.message)  # noqa: T201 - an example
        raise
    rest: loader.Result = loader.resume_sync(result.job, connection=connection, chunk_size=10**8)
    print(rest.resume)  # noqa: T201 - an example
    plan: loader.LoadPlan = loader.plan("lineitem.parquet", orientation=loader.Orientation.COLUMN)
    print(result.rows, plan.memory.formula())  # noqa: T201 - an example


def refused(connection: loader.Connection) -> None:
    """Names what the checker must refuse: an unused ignore is an error."""
    loader.push_sync("x", connection=connection, orientation="diagonal")  # type: ignore[arg-type]
    loader.push_sync("x", connection=connection, colour="red")  # type: ignore[call-arg]
    loader.resume_sync(connection=connection, policy="add")  # type: ignore[call-arg]
    loader.push_sync("x")  # type: ignore[call-arg]
    loader.plan("x", chunk_size="100MB")  # type: ignore[arg-type]
