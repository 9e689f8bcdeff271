from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Generator

import pytest

from loader.sources.ahead import Limits, ahead, threads_here

PATIENCE = 30
TWO = Limits.of(2, 1)


def numbers(count: int) -> Generator[int, None, None]:
    yield from range(count)


def one(_item: int) -> int:
    return 1


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "ahead" in thread.name]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_outcomes_come_in_order(threads):
    squares = ahead(numbers(200), lambda item: item * item, one, Limits.of(threads, 1))
    assert list(squares) == [item * item for item in range(200)]
    assert not ours()


def test_items_are_worked_on_at_once_and_outcomes_wait_for_their_turn():
    second = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second.wait(PATIENCE)
        elif item == 1:
            second.set()
        return item

    assert list(ahead(numbers(4), work, one, TWO)) == [0, 1, 2, 3]


def test_an_error_of_the_work_comes_in_its_turn():
    later = threading.Event()

    def work(item: int) -> int:
        if item == 3:
            later.set()
            raise ValueError(item)
        if item == 2:
            assert later.wait(PATIENCE)
        return item

    outcomes = ahead(numbers(9), work, one, TWO)
    assert [next(outcomes) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="3"):
        next(outcomes)
    assert not ours()


def test_an_error_of_the_items_comes_after_those_before():
    def items() -> Generator[int, None, None]:
        yield from range(5)
        raise OSError("gone")

    outcomes = ahead(items(), lambda item: item, one, TWO)
    assert [next(outcomes) for _ in range(5)] == list(range(5))
    with pytest.raises(OSError, match="gone"):
        next(outcomes)


class Counted:
    """Items that know how many of them are in work whenever one is taken."""

    def __init__(self) -> None:
        self.most = 0
        self.taken = 0
        self.done = 0
        self.moved = threading.Condition()
        self.closed = False

    def __call__(self, count: int) -> Generator[int, None, None]:
        try:
            for item in range(count):
                with self.moved:
                    self.taken += 1
                    self.most = max(self.most, self.taken - self.done)
                    self.moved.notify_all()
                yield item
        finally:
            self.closed = True


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_so_many_items_are_in_work_and_no_more(threads):
    counted = Counted()
    count = 40
    outcomes = ahead(counted(count), lambda item: item, one, Limits.of(threads, 100))
    for used in range(count):
        assert next(outcomes) == used
        full = min(2 * threads, count - used)
        with counted.moved:
            assert counted.moved.wait_for(lambda full=full: in_work(counted) == full, PATIENCE)
            counted.done += 1
    assert next(outcomes, None) is None
    assert counted.most == 2 * threads


def in_work(counted: Counted) -> int:
    return counted.taken - counted.done


@pytest.mark.parametrize(("size", "most"), [(1, 4), (2, 2), (3, 2), (4, 1), (99, 1)])
def test_large_items_are_fewer(size, most):
    counted = Counted()
    for _ in ahead(counted(40), lambda item: item, lambda _item: size, Limits(4, 9, 4)):
        counted.done += 1
    assert counted.most <= most


def test_closing_ends_the_threads_and_closes_the_items():
    counted = Counted()
    outcomes = ahead(counted(1000), lambda item: item, one, TWO)
    next(outcomes)
    outcomes.close()
    assert not ours()
    assert counted.closed
    assert counted.taken <= TWO.items + 1


def test_closing_before_the_beginning_takes_nothing():
    counted = Counted()
    ahead(counted(9), lambda item: item, one, TWO).close()
    assert counted.taken == 0
    assert not ours()


@pytest.mark.parametrize("used", [1, 5])
def test_a_generator_that_nobody_closes_does_not_keep_a_process_alive(used):
    program = f"""
from loader.sources.ahead import Limits, ahead
kept = ahead((n for n in range(10**9)), lambda n: n, lambda n: 1, Limits.of(4, 1))
for _ in range({used}):
    print(next(kept))
kept = [kept]
kept.append(kept)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(n) for n in range(used)]


def test_threads_are_as_many_as_there_are_cores_but_at_most_four(monkeypatch):
    for cores, threads in ((1, 1), (2, 2), (4, 4), (64, 4)):
        monkeypatch.setattr(
            "os.sched_getaffinity", lambda _pid, cores=cores: set(range(cores)), raising=False
        )
        assert threads_here() == threads
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert threads_here() == 1
