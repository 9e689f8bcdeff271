"""Errors go to other processes and into JSON whole: message, hint, details, exit code, result."""

from __future__ import annotations

import copy
import importlib
import json
import os
import pickle
import pkgutil
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import loader
from loader.errors import BadValue, LoaderError, SourceError
from loader.job import Result, Status
from loader.sources import SourceOptions, open_tables
from loader.sources.files import StoredFile

for module in pkgutil.walk_packages(loader.__path__, "loader."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)


def family(cls: type[LoaderError]) -> list[type[LoaderError]]:
    """A class and all that were made of it, wherever."""
    return [cls, *(one for child in cls.__subclasses__() for one in family(child))]


class Store:
    """Where a file is: nothing that another process could use."""

    def __init__(self) -> None:
        self.secret = "s3cr3t"
        self.lock = threading.Lock()

    def clean(self, text: str) -> str:
        return text


def stored(name: str) -> StoredFile:
    return StoredFile(name, Store(), "key")


texts = st.text(max_size=8)
values = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | texts
    | texts.map(stored)
    | st.sampled_from([Path("a/b"), Status.UNKNOWN, threading.Lock()]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(texts, inner, max_size=3)
        | st.frozensets(texts.map(stored), max_size=3)
    ),
    max_leaves=6,
)
names = st.text("abcdefgh", min_size=1, max_size=8)


@given(
    cls=st.sampled_from(family(LoaderError)),
    message=texts,
    hint=st.none() | texts,
    details=st.dictionaries(names, st.none() | values, max_size=4),
    more=st.none() | texts,
    result=st.none() | st.builds(Result, seconds=st.floats(0, 9)),
)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_every_error_is_whole_in_another_process(  # noqa: PLR0917 - one for each attribute
    again, cls, message, hint, details, more, result
):
    error = cls(message, hint=hint, **details)
    if more is not None:
        error.add(more)
    if result is not None:
        error.result, result.error = result, error
    there = again(error)
    assert type(there) is cls
    assert (there.message, there.hint, there.details) == (error.message, hint, error.details)
    assert (str(there), there.args) == (str(error), error.args) == (error.message, (error.message,))
    assert (there.kind, there.exit_code, there.recovery) == (cls.kind, cls.exit_code, cls.recovery)
    if result is None:
        assert there.result is None
    else:
        assert there.result.seconds == result.seconds
        assert there.result.exit_code == result.exit_code
    assert json.loads(json.dumps(there.as_dict())) == there.as_dict()


@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy])
def test_a_copy_has_details_of_its_own(again):
    error = SourceError("x", row=3)
    again(error).details["attempts"] = 2
    assert error.details == {"row": 3}


def test_details_are_plain_values():
    error = SourceError("x", file=stored("s3://b/f"), first={"source": stored("f")}, row=3, at=None)
    assert error.details == {"file": "s3://b/f", "first": {"source": "f"}, "row": 3}
    assert type(error.details["file"]) is str
    assert type(error.details["first"]["source"]) is str
    assert b"s3cr3t" not in pickle.dumps(error)


def test_what_a_pipe_holds_that_is_no_parquet(tmp_path):
    """A pipe is copied to a file without a name, which only its own process can read."""
    pipe = tmp_path / "t.parquet"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"no parquet at all",))
    writer.start()
    with pytest.raises(SourceError) as caught:
        open_tables([str(pipe)], SourceOptions())
    writer.join(10)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.as_dict() == caught.value.as_dict()
    assert again.details["file"] == str(pipe)


def test_a_bad_row_of_a_stored_file():
    error = pickle.loads(pickle.dumps(BadValue("x", file=stored("<stdin>"), row=2, value="é")))
    assert (error.details["file"], error.exit_code) == ("<stdin>", 3)
