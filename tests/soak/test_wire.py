"""The failing network itself, and loads that go through it: published exactly once."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from tests.soak.wire import Direction, Kind, Trouble, Weather, Wire, calm

LIMIT = 60


@pytest.fixture
def echo():
    """A server that sends back what it gets, and its port; ``got`` are the ends of connections."""
    listener = socket.create_server(("127.0.0.1", 0))
    ends: list[str] = []
    threads = []

    def talk(end: socket.socket) -> None:
        with end:
            end.settimeout(LIMIT)
            try:
                while block := end.recv(1 << 16):
                    end.sendall(block)
                ends.append("end")
            except OSError as error:
                ends.append(type(error).__name__)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                end, _ = listener.accept()
                thread = threading.Thread(target=talk, args=[end])
                thread.start()
                threads.append(thread)

    server = threading.Thread(target=serve)
    server.start()
    yield listener.getsockname()[1], ends
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in [server, *threads]:
        thread.join(LIMIT)


def client(wire: Wire) -> socket.socket:
    return socket.create_connection(("127.0.0.1", wire.port), timeout=LIMIT)


def exchange(end: socket.socket, data: bytes) -> bytes:
    """Sends bytes, and returns all that comes back until the end; whoever notices a reset says so.

    A socket reports it once, to the thread that sends or to the one that receives.
    """
    failed: list[OSError] = []

    def send() -> None:
        try:
            end.sendall(data)
            end.shutdown(socket.SHUT_WR)
        except OSError as error:
            failed.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    back = bytearray()
    try:
        while block := end.recv(1 << 16):
            back += block
    finally:
        sender.join(LIMIT)
    if failed:
        raise failed[0]
    return bytes(back)


def attempt(wire: Wire, data: bytes = b"x") -> bytes:
    """Connects, which may be reset too, and exchanges."""
    with client(wire) as end:
        return exchange(end, data)


# A client that writes to what was reset before sees a broken pipe.
GONE = (ConnectionResetError, BrokenPipeError)

DATA = bytes(range(256)) * 1000


def test_a_calm_wire_passes_everything_on_and_ends_in_order(echo):
    port, ends = echo
    with Wire(port) as wire:
        assert attempt(wire, DATA) == DATA
    assert ends == ["end"]
    assert wire.fired == {}
    assert wire.passed == {Direction.UP: len(DATA), Direction.DOWN: len(DATA)}


@pytest.mark.parametrize("direction", Direction)
def test_a_reset_comes_after_exactly_so_many_bytes(echo, direction):
    port, ends = echo
    plan = {0: [Trouble(Kind.RESET, direction, after=100_001)]}
    with Wire(port, lambda number: plan.get(number, ())) as wire:
        with pytest.raises(GONE):
            attempt(wire, DATA)
        assert wire.passed[direction] == 100_001
        assert attempt(wire, DATA) == DATA
    assert wire.fired == {"reset": 1}
    # Downwards the server may have been through with it before.
    assert "ConnectionResetError" in ends or direction is Direction.DOWN


def test_a_close_is_an_ordinary_end_that_comes_too_early(echo):
    port, _ = echo
    with (
        Wire(port, lambda _: [Trouble(Kind.CLOSE, Direction.DOWN, after=5)]) as wire,
        client(wire) as end,
    ):
        end.sendall(b"0123456789")
        assert end.recv(100) == b"01234"
        assert end.recv(100) == b""
    assert wire.fired == {"close": 1}


def test_a_cut_before_the_first_byte(echo):
    port, _ = echo
    with Wire(port, lambda _: [Trouble(Kind.RESET)]) as wire:
        with pytest.raises(GONE):
            attempt(wire)
        assert wire.passed[Direction.UP] == 0
    assert wire.fired == {"reset": 1}


def test_delays_and_throttles_count_once_and_lose_nothing(echo):
    port, _ = echo
    slow = [
        Trouble(Kind.DELAY, Direction.DOWN, seconds=0.001),
        Trouble(Kind.THROTTLE, Direction.UP, rate=2_000_000),
    ]
    with Wire(port, lambda _: slow) as wire:
        assert attempt(wire, DATA) == DATA
    assert wire.fired == {"delay": 1, "throttle": 1}


def test_refusing_ends_by_itself_and_by_a_change_of_plan(echo):
    port, _ = echo
    with Wire(port, lambda _: [Trouble(Kind.REFUSE, seconds=LIMIT)]) as wire:
        with pytest.raises(GONE):
            attempt(wire)
        with pytest.raises(ConnectionRefusedError):
            client(wire)
        wire.change(calm)
        assert attempt(wire, DATA) == DATA
    assert wire.fired == {"refuse": 1}


def test_a_server_that_is_not_there_is_a_reset():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Wire(port) as wire, pytest.raises(GONE):
        attempt(wire)


def test_leaving_ends_what_is_open(echo):
    port, ends = echo
    with Wire(port) as wire:
        end = client(wire)
        end.sendall(b"x")
        assert end.recv(1) == b"x"
    with end, pytest.raises(ConnectionResetError):
        end.recv(1)
    assert ends in ([], ["ConnectionResetError"])


def test_weather_is_the_same_for_the_same_seed_and_ends():
    weather = Weather(7, cut=0.5, slow=0.5, refuse=0.1, last=100)
    drawn = [tuple(weather(number)) for number in range(100)]
    assert drawn == [
        tuple(Weather(7, cut=0.5, slow=0.5, refuse=0.1, last=100)(n)) for n in range(100)
    ]
    assert {trouble.kind for one in drawn for trouble in one} == set(Kind)
    assert drawn != [
        tuple(Weather(8, cut=0.5, slow=0.5, refuse=0.1, last=100)(n)) for n in range(100)
    ]
    assert weather(100) == ()
