"""Puts the emulator behind HTTP: the application, the listening socket, the life of the process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
import stat
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from aiohttp import web

from loader.emulator.control import add_control
from loader.emulator.core import Emulator
from loader.emulator.injection import inject, injection_of
from loader.emulator.page import CONTENT_SECURITY_POLICY, page, status
from loader.emulator.refusals import Code, Refusal, not_found
from loader.emulator.routes import ENDPOINTS
from loader.emulator.routes.auth import BASE
from loader.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from loader.emulator.call import Endpoint
    from loader.emulator.options import EmulatorOptions

__all__ = ["BASE", "Listener", "make_app", "serve"]

_LOG = logging.getLogger("loader.emulator")

_READ_BUFFER = 4 << 20
"""Body bytes that aiohttp holds for one connection before it stops reading from the socket.

The default, 64 KiB, is less than one read of a fast connection: it would pause and resume for
each."""

_CLIENT_GONE = 499
"""What the log says when nobody waited for the answer."""

_GRACE = 5.0
"""Seconds that calls under way have to end when the server stops."""


def make_app(emulator: Emulator) -> web.Application:
    """Builds the application: the API with and without its base, the page at ``/``.

    The application starts and closes the emulator.
    """
    app = web.Application(middlewares=[_answer(emulator)])
    for endpoint in ENDPOINTS:
        handler = _handler(endpoint, emulator)
        for base in (f"{BASE}/api", "/api"):
            app.router.add_route(endpoint.method, base + endpoint.path, handler)

    async def show_page(_: web.Request) -> web.Response:
        return web.Response(
            text=page(),
            content_type="text/html",
            headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY},
        )

    async def show_status(_: web.Request) -> web.Response:
        return web.json_response(await status(emulator), headers={"Cache-Control": "no-store"})

    app.router.add_get("/", show_page)
    app.router.add_get("/status.json", show_status)

    async def life(_: web.Application) -> AsyncIterator[None]:
        await emulator.start()
        yield
        await emulator.close()

    async def end_stalls(_: web.Application) -> None:
        emulator.closing.set()

    app.cleanup_ctx.append(life)
    app.on_shutdown.append(end_stalls)
    if emulator.options.fault_control:
        add_control(app, emulator)
    return app


def _handler(endpoint: Endpoint, emulator: Emulator) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.StreamResponse:
        if emulator.faults:
            return await inject(endpoint, request, emulator)
        return await endpoint.answer(request, emulator)

    return handle


def _answer(emulator: Emulator) -> Any:
    """Returns the middleware that makes error bodies of refusals and notes requests."""

    @web.middleware
    async def answer(request: web.Request, handler: Any) -> web.StreamResponse:
        start = time.perf_counter()
        status_code, message = _CLIENT_GONE, "the client went away"
        try:
            response, message = await _respond(request, handler)
            status_code = response.status
        finally:
            faults = injection_of(request)
            if faults is not None and faults.fired:
                told = [f"fault {rule}" for rule in faults.fired]
                message = "; ".join([*told, message] if message else told)
            if request.path.startswith((BASE, "/api")):
                emulator.traffic.note(
                    method=request.method,
                    path=request.path,
                    status=status_code,
                    milliseconds=(time.perf_counter() - start) * 1000,
                    size=request.content.total_bytes,
                    message=message,
                )
        return response

    return answer


async def _respond(request: web.Request, handler: Any) -> tuple[web.StreamResponse, str]:
    """Runs a handler; returns its answer and, for refusals, what they say."""
    try:
        response: web.StreamResponse = await handler(request)
    except Refusal as error:
        refusal = error
    except web.HTTPNotFound:
        refusal = not_found(f"There is no endpoint {request.method} {request.path}.")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        refusal = Refusal(
            405, Code.UNSUPPORTED, f"{request.path} takes {allowed}, not {request.method}."
        )
    except web.HTTPException as error:
        refusal = Refusal(error.status, Code.GENERAL, error.reason)
    except (ConnectionError, aiohttp.ClientError, aiohttp.http.HttpProcessingError):
        # The body did not arrive: nobody reads this answer, and aiohttp would log a traceback.
        gone = web.Response(status=_CLIENT_GONE)
        gone.force_close()
        return gone, "the client went away"
    except Exception:  # noqa: BLE001 - logged, and answered with the API's error body
        _LOG.exception("%s %s failed", request.method, request.path)
        refusal = Refusal(500, Code.SERVER, "The server failed; its log says how.")
    else:
        return response, ""
    return web.json_response(refusal.body(), status=refusal.status), refusal.message


class Listener:
    """A running server: ``async with Listener(options) as listener: … listener.url``.

    Args:
        options: How it behaves.
        emulator: Its state; made from the options unless a test brings its own.

    Raises:
        UsageError: On entering: the address cannot be listened on, or the certificate cannot be
            used.
    """

    def __init__(self, options: EmulatorOptions, emulator: Emulator | None = None) -> None:
        self.emulator = emulator or Emulator(options)
        self._options = options
        self._runner = web.AppRunner(
            make_app(self.emulator),
            access_log=None,  # the emulator writes its own, which has no headers and no queries
            read_bufsize=_READ_BUFFER,
            shutdown_timeout=_GRACE,
        )
        self._port = options.port

    def __repr__(self) -> str:
        return f"<Listener {self.url} {self.emulator!r}>"

    @property
    def url(self) -> str:
        """What clients are given; ``/api`` follows it."""
        scheme = "https" if self._options.tls_cert else "http"
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        return f"{scheme}://{host}:{self._port}{BASE}"

    async def __aenter__(self) -> Self:
        context = _tls(self._options)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, self._options.host, self._options.port, ssl_context=context
        )
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(
                f"Cannot listen on {self._options.host}:{self._options.port}: {error.strerror}.",
                hint="Choose another --port (0 takes a free one) or another --host.",
            ) from error
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def _tls(options: EmulatorOptions) -> ssl.SSLContext | None:
    if options.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"The certificate {options.tls_cert} cannot be used: {error}.",
            hint="--tls-cert and --tls-key name PEM files that belong together.",
        ) from error
    return context


async def serve(
    options: EmulatorOptions,
    *,
    started: Callable[[Listener], None],
    until_stdin_closes: bool = False,
) -> None:
    """Runs a server until SIGTERM, SIGINT or, if asked for, the end of standard input.

    Args:
        options: How it behaves.
        started: Called once it listens.
        until_stdin_closes: Ends with the process that holds the other end, however that one died.

    Raises:
        UsageError: It cannot start.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if until_stdin_closes:
        # A thread's read would keep the process from ending; the loop's reader does not.
        mode = os.fstat(sys.stdin.fileno()).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            raise UsageError(
                "--ready needs a pipe as standard input, whose other end tells when to stop.",
                hint="Start it from a program that holds the pipe open, or leave out --ready.",
            )
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        watch = asyncio.create_task(_drain(reader, stop))
    emulator = Emulator(options, crash=_kill_self)
    async with Listener(options, emulator) as listener:
        started(listener)
        await stop.wait()
    if until_stdin_closes:
        watch.cancel()


def _kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _drain(reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
    while await reader.read(1024):
        pass
    stop.set()
