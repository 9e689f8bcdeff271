from __future__ import annotations

import os
from pathlib import Path

import pyarrow.fs as pfs
import pytest

from loader.errors import SourceError, SourceNotFound, SourceUnreadable, UsageError
from loader.sources import locate as locate_module
from loader.sources.locate import _Found, locate, split
from loader.sources.remote import Location, _Store


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def found(*sources: str, form=None) -> dict[str, list[str]]:
    return {name: files.paths for name, files in locate(map(split, sources), form).items()}


def test_a_file_is_named_after_its_stem(tree):
    tree("lineitem.parquet", "orders.csv.gz", "a.b.PQ", "x.TSV")
    assert found("lineitem.parquet", "orders.csv.gz", "a.b.PQ", "x.TSV") == {
        "lineitem": ["lineitem.parquet"],
        "orders": ["orders.csv.gz"],
        "a.b": ["a.b.PQ"],
        "x": ["x.TSV"],
    }


def test_table_equals_path(tree):
    tree("x.csv")
    assert found("Sales 2024=x.csv") == {"Sales 2024": ["x.csv"]}


def test_sources_of_one_table_add_up_in_the_order_given(tree):
    tree("b.csv", "a.csv", "c.csv")
    assert found("t=b.csv", "u=c.csv", "t=a.csv") == {"t": ["b.csv", "a.csv"], "u": ["c.csv"]}


@pytest.mark.parametrize(
    "source", ["year=2024/a.parquet", "./year=2024", "year=2024", "year=*/*.parquet", "a=b.csv"]
)
def test_an_existing_path_with_an_equals_sign_is_a_path(tree, source):
    tree("year=2024/a.parquet", "a=b.csv")
    assert split(source) == (None, source)


def test_an_absolute_path_with_an_equals_sign_is_a_path(tree):
    assert split("/data/year=2024/x.parquet") == (None, "/data/year=2024/x.parquet")


def test_table_may_have_a_path_with_an_equals_sign(tree):
    tree("year=2024/a.parquet")
    assert split("sales=year=2024/a.parquet") == ("sales", "year=2024/a.parquet")


@pytest.mark.parametrize("source", ["=x.csv", "t=", "*=x.csv"])
def test_what_is_no_table_name_is_no_table(source, tree):
    assert split(source) == (None, source)


def test_a_directory_is_walked_sorted_without_hidden_files(tree):
    tree(
        "d/b.parquet",
        "d/a.parquet",
        "d/sub/c.pq",
        "d/_SUCCESS",
        "d/_temporary/x.parquet",
        "d/.hidden.parquet",
        "d/.crc/x.parquet",
        "d/readme.txt",
    )
    assert found("d") == {"d": ["d/a.parquet", "d/b.parquet", "d/sub/c.pq"]}


def test_the_current_directory_has_a_name_too(tree, tmp_path):
    tree("a.csv")
    assert found(".") == {tmp_path.name: ["./a.csv"]}


def test_a_directory_with_an_extension_is_named_without_it(tree):
    tree("lineitem.parquet/part-0.parquet")
    assert found("lineitem.parquet/") == {"lineitem": ["lineitem.parquet/part-0.parquet"]}


def test_a_given_format_takes_every_visible_file(tree):
    tree("d/part-0", "d/part-1.dat", "d/_SUCCESS")
    assert found("d", form="csv") == {"d": ["d/part-0", "d/part-1.dat"]}


def test_globs(tree):
    tree("d/x-2.csv", "d/x-1.csv", "d/y.csv", "d/deep/er/x-3.csv", "d/_x.csv")
    assert found("d/x-*.csv") == {"d": ["d/x-1.csv", "d/x-2.csv"]}
    assert found("d/**/*.csv") == {"d": ["d/deep/er/x-3.csv", "d/x-1.csv", "d/x-2.csv", "d/y.csv"]}
    assert found("d/y*") == {"y": ["d/y.csv"]}
    assert found("t=d/[xy]*.csv") == {"t": ["d/x-1.csv", "d/x-2.csv", "d/y.csv"]}


def test_a_glob_that_names_directories_walks_them(tree):
    tree("data/a/1.csv", "data/b/2.csv")
    assert found("data/*") == {"data": ["data/a/1.csv", "data/b/2.csv"]}


def test_a_glob_leaves_out_what_is_in_hidden_directories(tree):
    tree("d/a/1.csv", "d/_temporary/2.csv", "d/.x/3.csv", "d/_k=1/4.csv")
    assert found("d/**/*.csv") == {"d": ["d/_k=1/4.csv", "d/a/1.csv"]}
    assert found("d/*/*.csv") == {"d": ["d/_k=1/4.csv", "d/a/1.csv"]}
    assert found("d/_temporary/*.csv") == {"2": ["d/_temporary/2.csv"]}


def test_home_is_expanded_after_the_table(tree, tmp_path, monkeypatch):
    tree("x.csv")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert found("t=~/x.csv") == {"t": [str(tmp_path / "x.csv")]}


def test_directories_are_those_below_what_was_named(tree):
    tree("t/year=2023/month=1/a.parquet", "t/year=2024/b.parquet")

    def directories(path: str) -> list[str]:
        return locate([("t", path)], None)["t"].directories

    assert directories("t") == ["year=2023/month=1", "year=2024"]
    assert directories("./t/") == ["year=2023/month=1", "year=2024"]
    assert directories("t/*/*.parquet") == ["year=2024"]
    assert directories("t/year=2023/**/*.parquet") == ["month=1"]
    assert directories("t/year=2024") == [""]
    assert directories("t/year=2024/b.parquet") == [""]


def test_an_underscored_partition_is_not_hidden(tree):
    tree("t/_part=1/a.parquet")
    assert found("t") == {"t": ["t/_part=1/a.parquet"]}


def test_links_are_followed_but_not_in_circles(tree, tmp_path):
    tree("real/a.csv", "d/b.csv")
    (tmp_path / "d/link").symlink_to(tmp_path / "real")
    (tmp_path / "d/loop").symlink_to(tmp_path / "d")
    assert found("d") == {"d": ["d/b.csv", "d/link/a.csv"]}


@pytest.mark.parametrize("source", ["no.csv", "t=no.csv", "no/*.csv", "empty", "odd=no.csv"])
def test_nothing_there(tree, tmp_path, source):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceNotFound) as error:
        found(source)
    assert error.value.details["file"] in source
    assert error.value.hint


def test_a_broken_link(tree, tmp_path):
    (tmp_path / "gone.csv").symlink_to("nowhere")
    with pytest.raises(SourceNotFound, match="link"):
        found("gone.csv")


def test_a_file_uri_is_a_local_path(tree, tmp_path):
    tree("a b/year=1/x.csv", "y.csv")
    assert found(f"t=file://{tmp_path}/a%20b") == {"t": [f"{tmp_path}/a b/year=1/x.csv"]}
    assert found(f"file://localhost{tmp_path}/y.csv") == {"y": [f"{tmp_path}/y.csv"]}
    with pytest.raises(UsageError, match="host 'server'"):
        found("file://server/x.csv")


@pytest.mark.parametrize("source", ["-", "/dev/stdin"])
def test_standard_input(tree, source):
    assert found(source, form="csv") == {"stdin": ["<stdin>"]}
    assert found(f"t={source}", form="parquet") == {"t": ["<stdin>"]}
    with pytest.raises(UsageError, match="format of <stdin>"):
        found(source)
    with pytest.raises(UsageError, match="<stdin> is a source twice"):
        found("t=-", f"u={source}", form="csv")


def test_an_unknown_extension_needs_a_format(tree):
    tree("data.dat")
    with pytest.raises(UsageError, match=r"data\.dat") as error:
        found("data.dat")
    assert "--format" in error.value.hint
    assert found("data.dat", form="csv") == {"data.dat": ["data.dat"]}


def test_files_of_unknown_extension_only(tree):
    tree("d/a.txt", "d/b.txt")
    with pytest.raises(SourceNotFound, match="2 files"):
        found("d/*")


def test_mixed_formats(tree):
    tree("a.csv", "b.parquet")
    with pytest.raises(UsageError, match="mixes formats"):
        found("t=a.csv", "t=b.parquet")


def test_the_same_file_twice(tree, tmp_path):
    tree("d/a.csv")
    (tmp_path / "alias.csv").symlink_to("d/a.csv")
    for sources in (["t=d/a.csv", "t=d"], ["t=d/a.csv", "t=alias.csv"], ["t=d/a.csv"] * 2):
        with pytest.raises(UsageError, match="twice"):
            found(*sources)
    assert set(found("t=d/a.csv", "u=d/a.csv")) == {"t", "u"}


def test_a_pipe_that_is_named(tree, tmp_path):
    os.mkfifo(tmp_path / "p.csv")
    assert found("p.csv") == {"p": ["p.csv"]}


@pytest.mark.parametrize("source", ["*.csv", "."])
def test_a_pipe_among_files_is_none(tree, tmp_path, source):
    os.mkfifo(tmp_path / "p.csv")
    with pytest.raises(SourceUnreadable, match="not a regular file"):
        found(source)


def test_a_device_is_no_file(tree):
    with pytest.raises(SourceUnreadable, match="not a regular file"):
        found("/dev/null", form="csv")


@pytest.mark.parametrize(("marker", "word"), [("_delta_log", "Delta"), (".hoodie", "Hudi")])
def test_directories_of_table_formats_are_refused(tree, marker, word):
    tree(f"t/{marker}/0.json", "t/a.parquet")
    with pytest.raises(SourceError, match=word):
        found("t")


def test_files_of_one_name_in_two_stores_are_two_files(tmp_path, monkeypatch):
    def find(path, _form):
        host, name = path.removeprefix("sftp://").split("/")
        filesystem = pfs.SubTreeFileSystem(str(tmp_path / host), pfs.LocalFileSystem())
        return _Found("t", [(Location(path, _Store(filesystem, ()), name).file(), "")])

    monkeypatch.setattr(locate_module, "_find", find)
    paths = ["sftp://one/a.csv", "sftp://two/a.csv"]
    assert locate([("t", path) for path in paths], None)["t"].paths == paths
    with pytest.raises(UsageError, match="twice"):
        locate([("t", path) for path in (*paths, "sftp://one/a.csv")], None)
