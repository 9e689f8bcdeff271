"""A plugin of pytest: a test that lets a secret be seen fails, whatever it is about.

The secrets are those of ``tests.planted``, and every token and cookie that an emulator of this
process has given out or that the loader has got while the test ran. They are looked for in

- what was written to standard output and standard error, here and by processes whose output is
  taken with ``communicate`` or ``run``,
- the records of all loggers of ``loader``, which are made down to DEBUG, with their tracebacks,
- every file in the state directories (``MSTR_LOADER_STATE``) of this process and its children, and
  every journal that the test keeps elsewhere,
- every error of the loader: when it is made, changed and printed, and when it or the test ends,
  together with the foreign exceptions behind it,
- the reprs of what holds secrets.

``@pytest.mark.shows_secrets("reason")`` exempts a test that shows one on purpose.
"""

from __future__ import annotations

import asyncio.subprocess
import functools
import logging
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

import pytest

from tests.planted import SECRETS, forms

_SHORTEST_TOKEN = 7
"""Tokens of stand-in servers that are shorter (``t1``) stand in any text."""


class Needles:
    """The texts to look for, each with a name that may be shown."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._names = {form: name for secret, name in secrets.items() for form in forms(secret)}

    def add(self, secret: str, name: str) -> None:
        """Looks for one more from now on."""
        # Made anew: another thread may be going through the old one.
        self._names = {**dict.fromkeys(forms(secret), name), **self._names}

    def copy(self) -> Needles:
        other = Needles({})
        other._names = self._names
        return other

    def found(self, text: str) -> set[str]:
        """Returns the names of the secrets that a text shows."""
        return {name for form, name in self._names.items() if form in text}

    def masked(self, text: str) -> str:
        """Returns a text without them."""
        for form in sorted(self._names, key=len, reverse=True):
            text = text.replace(form, "***")
        return text


def _name(secret: str) -> str:
    return f"the secret {secret[:3]}… ({len(secret)} characters)"


PLANTED = Needles({secret: _name(secret) for secret in sorted(SECRETS, key=len)})


class Watch:
    """What was found while one test ran.

    Attributes:
        leaks: What leaked and where, in the order of its finding.
        states: The state directories that it and its children used.
        own: Where the test keeps files of its own; of these only journals are looked at.
    """

    def __init__(self) -> None:
        self.leaks: dict[str, None] = {}
        self.states: set[Path] = set()
        self.own: Path | None = None
        self._needles = PLANTED.copy()
        self._errors: dict[int, weakref.ref[Any]] = {}

    def learn(self, secret: object, name: str) -> None:
        """Takes note of a secret that was given out just now."""
        if isinstance(secret, str) and len(secret) >= _SHORTEST_TOKEN:
            self._needles.add(secret, name)

    def look(self, text: object, where: str) -> None:
        """Looks for secrets in a text."""
        if isinstance(text, bytes | bytearray):
            text = text.decode("latin-1")  # every byte; `forms` knows UTF-8 that was read so
        if isinstance(text, str) and text:
            for name in self._needles.found(text):
                self.leaks.setdefault(f"{name} is in {where}")

    def look_at_error(self, error: Any) -> None:
        """Looks at an error of the loader and all that is behind it."""
        kind = type(error).__name__
        shown = (str(error), repr(error), error.message, error.hint, repr(error.details))
        for text in shown:
            self.look(text, f"a {kind}: its message, hint or details")
        for other in _behind(error):
            self.look(f"{other} {other!r}", f"the {type(other).__name__} behind a {kind}")

    def made(self, error: Any) -> None:
        """Looks at an error that was made just now, and remembers to look once more."""
        self.look_at_error(error)
        self._errors[id(error)] = weakref.ref(error)

    def ends(self, error: Any) -> None:
        """Looks at an error that is about to go, and now has a cause and a context."""
        if self._errors.pop(id(error), None) is not None:
            self.look_at_error(error)

    def note_state(self, environment: Mapping[str, str]) -> None:
        """Remembers the state directory that an environment names."""
        if named := environment.get("MSTR_LOADER_STATE"):
            self.states.add(Path(named))

    def finish(self) -> None:
        """Looks at what is left: errors as they are now, and files."""
        for reference in list(self._errors.values()):
            if (error := reference()) is not None:
                self.look_at_error(error)
        for directory in sorted(self.states):
            for path in _files(directory, "*"):
                self.look(_new_content(path), f"the file {path.relative_to(directory)}")
        if self.own is not None:
            for path in _files(self.own, "*.sqlite*"):
                self.look(_new_content(path), f"the journal {path.relative_to(self.own)}")

    def masked(self, text: str) -> str:
        return self._needles.masked(text)


def _behind(error: BaseException) -> Iterator[BaseException]:
    """Yields the exceptions that a traceback shows before this one."""
    seen = {id(error)}
    other: BaseException | None = error
    while other is not None:
        other = other.__cause__ or (None if other.__suppress_context__ else other.__context__)
        if other is None or id(other) in seen:
            return
        seen.add(id(other))
        yield other


def _files(directory: Path, pattern: str) -> Iterable[Path]:
    return (path for path in sorted(directory.rglob(pattern)) if path.is_file())


_seen_files: dict[Path, tuple[int, int, int]] = {}


def _new_content(path: Path) -> bytes:
    """Returns what a file holds, unless it was looked at and is as it was then."""
    try:
        status = path.stat()
        mark = (status.st_ino, status.st_size, status.st_mtime_ns)
        if _seen_files.get(path) == mark:
            return b""
        content = path.read_bytes()
    except OSError:  # it has gone, or may not be read
        return b""
    _seen_files[path] = mark
    return content


_watch: Watch | None = None


class _LogReader(logging.Handler):
    """Looks at every record as it would be printed."""

    def emit(self, record: logging.LogRecord) -> None:
        if _watch is not None:
            where = f"a log record of {record.name} ({record.levelname})"
            _watch.look(self.format(record), where)


# -- what is hooked --------------------------------------------------------------------------------


def _after(hook: Callable[..., None], function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that calls a hook with its result, itself and its arguments."""

    @functools.wraps(function)
    def hooked(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = function(self, *args, **kwargs)
        if _watch is not None:
            hook(_watch, result, self, *args, **kwargs)
        return result

    return hooked


def _after_async(hook: Callable[..., None], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def hooked(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = await function(self, *args, **kwargs)
        if _watch is not None:
            hook(_watch, result, self)
        return result

    return hooked


def _error_made(watch: Watch, _: None, error: Any, *__: Any, **___: Any) -> None:
    watch.made(error)


def _error_changed(watch: Watch, _: None, error: Any, *__: Any) -> None:
    watch.look_at_error(error)


def _error_printed(watch: Watch, shown: dict[str, Any], error: Any) -> None:
    watch.look(repr(shown), f"the JSON of a {type(error).__name__}")


def _error_ends(error: Any) -> None:
    # A reference of our own instead would keep alive all that its traceback holds.
    if _watch is not None:
        _watch.ends(error)


def _shown(watch: Watch, _: None, instance: Any, *__: Any, **___: Any) -> None:
    watch.look(f"{instance!r} {instance}", f"the repr of a {type(instance).__name__}")


def _given_out(watch: Watch, login: Any, *_: Any) -> None:
    watch.learn(login.token, "a token of the emulator")
    watch.learn(login.cookie, "a cookie of the emulator")
    watch.look(repr(login), "the repr of a login of the emulator")


def _logged_in(watch: Watch, _: None, login: Any) -> None:
    watch.learn(login.token, "a token of a session")


def _cookies_set(watch: Watch, _: None, __: Any, headers: Iterable[str], ___: Any) -> None:
    for header in headers:
        try:
            cookies = SimpleCookie(header)
        except CookieError:
            continue
        if "JSESSIONID" in cookies:
            watch.learn(cookies["JSESSIONID"].value, "a cookie of a session")


def _read(watch: Watch, captured: Any, *_: Any) -> None:
    watch.look(captured.out, "what was printed to standard output")
    watch.look(captured.err, "what was printed to standard error")


def _communicated(watch: Watch, texts: Any, *_: Any, **__: Any) -> None:
    # What the loader asks of a process is the secret itself: --password-command.
    caller = sys._getframe()
    while caller.f_back and caller.f_globals["__name__"] in {__name__, "subprocess"}:
        caller = caller.f_back
    if caller.f_globals["__name__"].startswith("loader."):
        return
    for text, name in zip(texts, ("output", "error"), strict=True):
        watch.look(text, f"what a process wrote to standard {name}")


def _started(watch: Watch, _: None, __: Any, *___: Any, **settings: Any) -> None:
    watch.note_state(settings.get("env") or os.environ)


def _install() -> Callable[[], None]:
    """Sets all hooks; returns what takes them away again."""
    from loader.api import Client, Connection  # noqa: PLC0415 - only where tests run
    from loader.api.answer import Answer  # noqa: PLC0415
    from loader.api.exchange import Call  # noqa: PLC0415
    from loader.api.login import CookieJar, SharedLogin  # noqa: PLC0415
    from loader.api.proxy import Proxy  # noqa: PLC0415
    from loader.cli.credentials import Credentials  # noqa: PLC0415
    from loader.emulator import EmulatorOptions  # noqa: PLC0415
    from loader.emulator.sessions import Logins  # noqa: PLC0415
    from loader.errors import LoaderError  # noqa: PLC0415
    from loader.job import Result  # noqa: PLC0415

    hooks: list[tuple[type, str, Callable[..., Any]]] = [
        (LoaderError, "__init__", _after(_error_made, LoaderError.__init__)),
        (LoaderError, "add", _after(_error_changed, LoaderError.add)),
        (LoaderError, "as_dict", _after(_error_printed, LoaderError.as_dict)),
        (Logins, "_enter", _after(_given_out, Logins._enter)),
        (SharedLogin, "_attempt", _after_async(_logged_in, SharedLogin._attempt)),
        (
            CookieJar,
            "update_cookies_from_headers",
            _after(_cookies_set, CookieJar.update_cookies_from_headers),
        ),
        (pytest.CaptureFixture, "readouterr", _after(_read, pytest.CaptureFixture.readouterr)),
        (subprocess.Popen, "__init__", _after(_started, subprocess.Popen.__init__)),
        (subprocess.Popen, "communicate", _after(_communicated, subprocess.Popen.communicate)),
        (
            asyncio.subprocess.Process,
            "communicate",
            _after_async(_communicated, asyncio.subprocess.Process.communicate),
        ),
        # As it is when it is logged in, and when it is done.
        (Client, "login", _after_async(_shown, Client.login)),
        (Client, "__aexit__", _after_async(_shown, Client.__aexit__)),
    ]
    holders = (Answer, Call, Client, Connection, Credentials, EmulatorOptions, Proxy, Result)
    hooks += [(holder, "__init__", _after(_shown, holder.__init__)) for holder in holders]
    before = [(owner, name, owner.__dict__[name]) for owner, name, _ in hooks]
    for owner, name, hooked in hooks:
        setattr(owner, name, hooked)
    LoaderError.__del__ = _error_ends  # type: ignore[attr-defined] # it has none of its own

    def remove() -> None:
        del LoaderError.__del__  # type: ignore[attr-defined] # the one just set
        for owner, name, original in before:
            setattr(owner, name, original)

    return remove


# -- pytest ----------------------------------------------------------------------------------------

_MARKER = "shows_secrets"
_reader = _LogReader()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{_MARKER}(reason): shows planted secrets on purpose; not looked at"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in item.iter_markers(_MARKER):
            if not (len(marker.args) == 1 and marker.args[0]):
                raise pytest.UsageError(f"{item.nodeid}: {_MARKER} needs a reason")


def pytest_collection_finish(session: pytest.Session) -> None:
    # Not earlier: the process that only hands out tests to others needs none of it.
    session.config.add_cleanup(_install())
    logger = logging.getLogger("loader")
    logger.addHandler(_reader)
    session.config.add_cleanup(lambda: logger.removeHandler(_reader))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global _watch  # noqa: PLW0603 - one test runs at a time
    _watch = None if item.get_closest_marker(_MARKER) else Watch()
    logger = logging.getLogger("loader")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        return (yield)
    finally:
        _watch = None
        logger.setLevel(level)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    try:
        return (yield)
    finally:
        if _watch is not None:
            # Now, before fixtures take the test's environment away.
            _watch.note_state(os.environ)
            _watch.own = getattr(item, "funcargs", {}).get("tmp_path")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if _watch is None:
        return report
    # The last report has what was captured in all of the test.
    if call.when == "teardown":
        for title, text in report.sections:
            _watch.look(text, f"{title[:1].lower()}{title[1:]}")
        _watch.finish()
        if _watch.leaks:
            told = "\n".join(["A secret could be seen:", *(f"- {leak}" for leak in _watch.leaks)])
            report.longrepr = f"{report.longrepr}\n\n{told}" if report.failed else told
            report.outcome = "failed"
    if report.failed:
        report.sections = [(title, _watch.masked(text)) for title, text in report.sections]
    return report
