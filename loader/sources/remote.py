"""URIs: the file system behind one, its files, and a text of it without secrets.

pyarrow's own file systems come first (S3, Google Cloud Storage, Azure, HDFS); whatever pyarrow does
not speak (``https://``, ``sftp://``, …) goes through fsspec, whose package for the protocol must be
installed. Paths are taken as they are written: ``%20`` in one is no space, as with the stores' own
tools; ``?`` begins the options of a URI and is no wildcard.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import urllib.parse
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.fs as pfs

from loader.errors import UsageError
from loader.sources.files import StoredFile

__all__ = ["Location", "is_uri", "redacted"]

_URI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?]*)([^?]*)(?:\?(.*))?", re.DOTALL)
# What a streamed file is fetched in: a request's latency then costs little.
_STREAM_BUFFER: Final = 8 << 20
# Seconds that Google's client goes on trying; its own 15 minutes look like a hang.
_PATIENCE: Final = 60
_HTTP: Final = frozenset({"http", "https"})
_GONE: Final = frozenset({404, 410})
# What the file systems of fsspec call the things that change with a file.
_VERSIONS: Final = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "modified")
# Options that are no secrets; what else a URI has there may be one.
_PLAIN_OPTIONS: Final = frozenset({"scheme", "region", "endpoint_override"})
# Shorter parts of a URI may be part of any word.
_SHORTEST_SECRET: Final = 4


def is_uri(source: str) -> bool:
    """Whether a source is a URI, ``scheme://…``."""
    return _URI.match(source) is not None


def redacted(source: str) -> str:
    """Returns a URI, or a ``TABLE=URI``, without user, password and options.

    Any other text is returned as it is.
    """
    table, found = _parted(source)
    return source if found is None else table + _shown(found)


def _parted(source: str) -> tuple[str, re.Match[str] | None]:
    start = re.search(r"[A-Za-z][A-Za-z0-9+.-]*://", source)
    if start is None:
        return "", None
    return source[: start.start()], _URI.fullmatch(source, start.start())


def _shown(found: re.Match[str]) -> str:
    user, at, host = found[2].rpartition("@")
    # The container of abfs://container@account… is no secret, and nor is "anonymous".
    if at and (":" in user or found[1].lower() in _HTTP):
        user = "***"
    path = found[3]
    if found[1].lower() in _HTTP:
        path = path.partition("#")[0]  # no server is sent it, and some put tokens there
    return f"{found[1]}://{user}{at}{host}{path}"


@dataclass(frozen=True, slots=True)
class _Store:
    """A file system, with the secrets that its messages must not show."""

    filesystem: pfs.FileSystem
    secrets: tuple[str, ...]

    def open_input(self, key: str) -> pa.NativeFile:
        return self.filesystem.open_input_file(key)

    def open_stream(self, key: str) -> pa.NativeFile:
        return self.filesystem.open_input_stream(key, compression=None, buffer_size=_STREAM_BUFFER)

    def look(self, key: str) -> tuple[int | None, Hashable]:
        handler = getattr(self.filesystem, "handler", None)
        if isinstance(handler, _Bridge):
            return handler.look(key)
        info = self.filesystem.get_file_info(key)
        if info.type is pfs.FileType.NotFound:
            raise FileNotFoundError(key)
        return info.size, info.mtime_ns

    def clean(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


class _Bridge(pfs.FSSpecHandler):  # type: ignore[misc] # pyarrow has no types
    """Reads through fsspec as pyarrow's own bridge does, but without its caches.

    A Parquet file is read in many places at once, each with a buffer of Arrow's. fsspec's cache of
    one block would fetch megabytes for every one of them.
    """

    def open_input_file(self, path: str) -> pa.PythonFile:
        """Opens a file for reading anywhere in it."""
        file = self.fs.open(path, mode="rb", cache_type="none")
        try:
            # seekable() is true of HTTP streams too, which then refuse.
            file.seek(0, os.SEEK_END)
            file.seek(0)
        except (TypeError, ValueError) as error:
            file.close()
            raise OSError(
                "its server only sends whole files; download it and load the copy"
            ) from error
        return pa.PythonFile(file, mode="r")

    def open_input_stream(self, path: str) -> pa.PythonFile:
        """Opens a file for reading it from its beginning to its end."""
        file = self.fs.open(path, mode="rb", block_size=_STREAM_BUFFER, cache_type="readahead")
        return pa.PythonFile(file, mode="r")

    def info(self, path: str) -> dict[str, Any]:
        """Returns what the file system knows of a file."""
        try:
            return dict(self.fs.info(path))
        except FileNotFoundError as error:
            # Over HTTP a server that does not answer, or forbids, is taken for a missing file too.
            cause = error.__cause__
            missing = getattr(cause, "status", None) in _GONE
            if cause is None or missing or isinstance(cause, FileNotFoundError):
                raise
            raise OSError(str(cause) or type(cause).__name__) from cause

    def get_file_info(self, paths: Sequence[str]) -> list[pfs.FileInfo]:
        """Looks at files, and raises what keeps it from that."""
        infos = []
        for path in paths:
            try:
                infos.append(self._create_file_info(path, self.info(path)))
            except FileNotFoundError:
                infos.append(pfs.FileInfo(path, pfs.FileType.NotFound))
        return infos

    def look(self, path: str) -> tuple[int | None, Hashable]:
        """Returns size and version, not from what a listing once said."""
        self.fs.invalidate_cache()
        info = self.info(path)
        version = next((info[name] for name in _VERSIONS if info.get(name)), None)
        return info.get("size"), str(version)


@dataclass(frozen=True, slots=True)
class Location:
    """A file or directory that a URI names.

    Attributes:
        shown: The URI without secrets.
        store: The file system.
        key: The name of the file or directory there; ends with a slash if the URI does.
    """

    shown: str
    store: _Store
    key: str

    @classmethod
    def of(cls, uri: str) -> Location:
        """Finds the file system of a URI.

        Raises:
            UsageError: No file system is known for it, or it lacks something.
        """
        found = _URI.fullmatch(uri)
        if found is None:
            raise UsageError(f"{redacted(uri)} is no URI", hint="A URI is SCHEME://HOST/PATH.")
        shown = _shown(found)
        secrets = _secrets(found)
        authority, path, query = found[2], found[3], found[4]
        options = [option for option in (query or "").split("&") if option]
        if found[1].lower() in {"gs", "gcs"} and "retry_limit_seconds" not in (query or ""):
            options.append(f"retry_limit_seconds={_PATIENCE}")
        root = f"{found[1]}://{authority}" + (f"?{'&'.join(options)}" if options else "")
        native = _native(root, shown, secrets)
        if native is None:
            return _through_fsspec(uri, found, shown, secrets)
        filesystem, base = native
        key = base.rstrip("/") + path if base else path.lstrip("/")
        return cls(shown, _Store(filesystem, secrets), key)

    def child(self, relative: str) -> Location:
        """Returns what has that name below a directory."""
        return Location(_below(self.shown, relative), self.store, _below(self.key, relative))

    def file(self) -> StoredFile:
        """Returns the file as a path that every reader takes."""
        return StoredFile(self.shown, self.store, self.key)

    @property
    def path(self) -> str:
        """The path of the URI."""
        return self.shown.partition("://")[2].partition("/")[2]

    def kind(self) -> Literal["file", "directory"] | None:
        """Returns what is there; None for nothing."""
        if self.key.endswith("/") or not self.path:
            return "directory"
        info = self.store.filesystem.get_file_info(self.key)
        if info.type is pfs.FileType.NotFound:
            return None
        return "directory" if info.type is pfs.FileType.Directory else "file"

    def fixed(self) -> tuple[Location, list[str]]:
        """Returns the directory of a glob before its first wildcard, and the names from there."""
        names = self.path.split("/")
        first = next(at for at, name in enumerate(names) if glob.has_magic(name))
        pattern = "/".join(names[first:])
        if not self.key.endswith(pattern):
            raise UsageError(
                f"{self.shown} has wildcards and options",
                hint="Name each file by a URI of its own.",
            )
        directory = Location(
            self.shown.removesuffix(pattern), self.store, self.key.removesuffix(pattern)
        )
        return directory, names[first:]

    def matches(self, pattern: Sequence[str]) -> Iterator[tuple[str, bool]]:
        """Yields what below a directory fits a glob: relative name, and whether it is a directory.

        Without ``**`` only the levels and directories that the pattern names are listed.
        """
        if "**" in pattern:
            for name, directory in self.entries(recursive=True):
                if _fits(name.split("/"), pattern):
                    yield name, directory
            return
        for name, directory in self.entries(recursive=False):
            if not _fits([name], pattern[:1]):
                continue
            if len(pattern) == 1:
                yield name, directory
            elif directory:
                for below, kind in self.child(name).matches(pattern[1:]):
                    yield f"{name}/{below}", kind

    def entries(self, *, recursive: bool) -> Iterator[tuple[str, bool]]:
        """Yields what is below a directory, sorted: relative name, and whether it is a directory.

        Raises:
            FileNotFoundError: There is no such directory.
        """
        base = self.key.rstrip("/")
        selector = pfs.FileSelector(base, recursive=recursive)
        found = []
        for info in self.store.filesystem.get_file_info(selector):
            # HTTP listings also link to places outside.
            inside = info.path.startswith(f"{base}/") if base else True
            relative = info.path[len(base) :].strip("/") if inside else ""
            if relative:
                found.append((relative, info.type is pfs.FileType.Directory))
        yield from sorted(set(found), key=lambda entry: entry[0].split("/"))


def _below(directory: str, relative: str) -> str:
    if not directory or directory.endswith("/"):
        return directory + relative
    return f"{directory}/{relative}"


def _fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        rest = range(len(names) + 1)
        return any(
            _fits(names[skipped:], pattern[1:])
            for skipped in rest
            if not any(name.startswith(".") for name in names[:skipped])
        )
    if not names or (names[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatch.fnmatchcase(names[0], pattern[0]) and _fits(names[1:], pattern[1:])


def _secrets(found: re.Match[str]) -> tuple[str, ...]:
    """Returns what of a URI must not be shown, as it is written and decoded; longest first."""
    parts = []
    user, at, _ = found[2].rpartition("@")
    if at and "***" in _shown(found):
        parts += [user, *user.split(":", 1)]
    if found[1].lower() in _HTTP:
        parts.append(found[3].partition("#")[2])
    for option in (found[4] or "").split("&"):
        name, _, value = option.partition("=")
        if name not in _PLAIN_OPTIONS:
            parts += [option, value]
    decoded = [urllib.parse.unquote_plus(part) for part in parts]
    long = {part for part in parts + decoded if len(part) >= _SHORTEST_SECRET}
    return tuple(sorted(long, key=len, reverse=True))


def _native(root: str, shown: str, secrets: Sequence[str]) -> tuple[pfs.FileSystem, str] | None:
    """Returns a file system of pyarrow's and the name of its root; None if it has none for it."""
    try:
        filesystem, base = pfs.FileSystem.from_uri(root)
    except pa.ArrowNotImplementedError:
        return None
    except (pa.ArrowInvalid, OSError, ValueError, TypeError) as error:
        if "Unrecognized filesystem" in str(error):
            return None
        raise _unusable(shown, error, secrets) from None
    return filesystem, base


def _through_fsspec(uri: str, found: re.Match[str], shown: str, secrets: Sequence[str]) -> Location:
    # fsspec takes a tenth of a second to import, and few loads need it.
    import fsspec.core  # type: ignore[import-untyped] # noqa: PLC0415 - it has no types

    try:
        filesystem, key = fsspec.core.url_to_fs(uri)
    except ImportError as error:
        # It says which package the protocol needs.
        raise UsageError(
            f"{shown} needs a package that is not installed: {str(error).splitlines()[0]}",
            hint=f"Install the fsspec package for {found[1]}:// beside this program.",
        ) from error
    except Exception as error:  # noqa: BLE001 - any client's own, and what it makes of odd URIs
        if isinstance(error, ValueError) and "Protocol not known" in str(error):
            raise UsageError(
                f"{shown}: nothing is known of the protocol {found[1]}://",
                hint="Use a local path, or s3://, gs://, abfs://, https:// or another protocol "
                "that fsspec has a package for.",
            ) from None
        raise _unusable(shown, error, secrets) from None
    if uri.endswith("/") and not key.endswith("/"):
        key += "/"
    return Location(shown, _Store(pfs.PyFileSystem(_Bridge(filesystem)), tuple(secrets)), key)


def _unusable(shown: str, error: Exception, secrets: Sequence[str]) -> UsageError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    for secret in secrets:
        reason = reason.replace(secret, "***")
    hint = "Check the URI and the settings (credentials, region, endpoint) it needs."
    if shown.startswith("abfs"):
        hint = "An Azure URI is abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH."
    return UsageError(f"{shown} cannot be used: {reason}", hint=hint)
