"""Reads a mapping file, and tells every mistake in it by line, path and cure."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from loader.errors import UsageError
from loader.model.definition import Role
from loader.model.mapping import (
    AttributeMapping,
    ColumnMapping,
    ColumnName,
    DatasetMapping,
    Mapping,
    MetricMapping,
    TableMapping,
)
from loader.model.names import LONGEST, name_fault, yaml_text
from loader.model.types import DataType

__all__ = ["MappingFile", "Place", "parse_mapping", "read_mapping"]

Place: TypeAlias = tuple[str | int, ...]
"""The keys and positions that lead to a value of the file."""

_NOTHING = ColumnMapping()


@dataclass(frozen=True, slots=True)
class MappingFile:
    """A mapping file that was read and is of the right form; its names are not yet looked up.

    Attributes:
        file: Its path, for messages.
        said: What it says.
        lines: The line of each place, from 1.
        text: The file as it was read.
    """

    file: str
    said: Mapping
    lines: dict[Place, int] = field(repr=False, compare=False, default_factory=dict)
    text: str = field(repr=False, compare=False, default="")

    @property
    def dataset(self) -> DatasetMapping:
        """What is said of the dataset."""
        return self.said.dataset or DatasetMapping()

    @property
    def tables(self) -> dict[str, TableMapping]:
        """What is said of each table."""
        return {name: said or TableMapping() for name, said in (self.said.tables or {}).items()}

    @property
    def attributes(self) -> dict[str, AttributeMapping]:
        """The attributes that are put together by hand."""
        return self.said.attributes or {}

    @property
    def metrics(self) -> dict[str, MetricMapping]:
        """The metrics that are put together by hand."""
        return self.said.metrics or {}

    def columns(self, table: str) -> dict[str, ColumnMapping]:
        """Returns what is said of the columns of a table, by their names in the source."""
        return {name: said or _NOTHING for name, said in self._said_of(table).items()}

    def column(self, table: str, name: str) -> ColumnMapping:
        """Returns what is said of a column, which may be nothing."""
        return self._said_of(table).get(name) or _NOTHING

    def _said_of(self, table: str) -> dict[str, ColumnMapping | None]:
        said = (self.said.tables or {}).get(table)
        return (said and said.columns) or {}

    def error(self, place: Place, problem: str, hint: str) -> UsageError:
        """Returns the error about something that the file says."""
        return _error(self.file, self.lines, place, problem, hint)


def read_mapping(path: str | os.PathLike[str]) -> MappingFile:
    """Reads a mapping file.

    Raises:
        UsageError: It cannot be read, is no YAML, or says what no mapping can say.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"--mapping {os.fspath(path)}: {error.strerror or error}",
            hint="name a YAML file; plan --write-mapping FILE writes one to edit",
            file=os.fspath(path),
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--mapping {os.fspath(path)} is not UTF-8 text: {error.reason} at byte {error.start}",
            hint="save it as UTF-8",
            file=os.fspath(path),
        ) from error
    return parse_mapping(text, os.fspath(path))


def parse_mapping(text: str, file: str = "mapping") -> MappingFile:
    """Reads the text of a mapping file (YAML 1.2).

    Keys and texts are taken as they are written: a column may be called ``no``, ``2024`` or
    ``1.0`` without quotes. A key without a value counts as not written.

    Raises:
        UsageError: It is no YAML, or says what no mapping can say.
    """
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        lines: dict[Place, int] = {(): mark.line + 1} if mark else {}
        raise _error(file, lines, (), f"no YAML: {error.problem or error.context}", _YAML) from None
    except YAMLError as error:
        raise _error(file, {}, (), f"no YAML: {error}", _YAML) from None
    except RecursionError:
        raise _error(file, {}, (), "it is nested too deep to be read", _YAML) from None
    reader = _Reader(file)
    document = reader.plain(root, (), ())
    if not document:
        raise _error(
            file, {}, (), "it says nothing", "write dataset:, tables:, attributes: or metrics:"
        )
    try:
        said = msgspec.convert(document, Mapping)
    except msgspec.ValidationError as error:
        raise _explained(file, reader.lines, document, str(error)) from None
    return MappingFile(file, said, reader.lines, text)


_YAML = "indent with spaces, write `key: value`, and put texts with : or # in quotes"


def _error(file: str, lines: dict[Place, int], place: Place, problem: str, hint: str) -> UsageError:
    line = lines.get(place)
    path = _dotted(place)
    where = file + (f", line {line}" if line else "") + (f", {path}" if path else "")
    return UsageError(f"{where}: {problem}", hint=hint, file=file, line=line, path=path or None)


def _dotted(place: Place) -> str:
    path = ""
    for key in place:
        if isinstance(key, int):
            path += f"[{key}]"
        else:
            text = yaml_text(key)
            path += ("." if path else "") + (f'"{text}"' if "." in text and text == key else text)
    return path


class _Reader:
    """Turns the nodes of a YAML document into plain values, and remembers their lines."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.lines: dict[Place, int] = {}

    def plain(self, node: Any, place: Place, within: tuple[int, ...]) -> Any:
        if node is None:
            return None
        self.lines.setdefault(place, node.start_mark.line + 1)
        if id(node) in within:
            raise _error(self._file, self.lines, place, "it contains itself", "take the * out")
        within += (id(node),)
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if isinstance(node, SequenceNode):
            return [
                self.plain(item, (*place, index), within) for index, item in enumerate(node.value)
            ]
        assert isinstance(node, MappingNode)
        return self._mapping(node, place, within)

    def _mapping(self, node: MappingNode, place: Place, within: tuple[int, ...]) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                self.lines[place] = line
                raise _error(
                    self._file,
                    self.lines,
                    place,
                    "a key is not a text",
                    "put a key that begins with [ or { in quotes",
                )
            inner = (*place, key.value)
            if key.value in plain:
                first, self.lines[inner] = self.lines[inner], line
                raise _error(
                    self._file,
                    self.lines,
                    inner,
                    f"the key is there twice, in line {first} too",
                    "keep one of them",
                )
            self.lines[inner] = line
            plain[key.value] = self.plain(value, inner, within)
        return plain


_TAG = "tag:yaml.org,2002:"


def _scalar(node: ScalarNode) -> str | bool | None:
    """Everything but true, false and null is the text that is written there."""
    if node.tag == f"{_TAG}bool":
        return bool(node.value.lower() == "true")
    return None if node.tag == f"{_TAG}null" else str(node.value)


# -- mistakes --------------------------------------------------------------------------------------

_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[\.\.\.\]")


def _explained(file: str, lines: dict[Place, int], document: Any, message: str) -> UsageError:
    """Says what msgspec found in the words of the file."""
    fault, _, path = message.partition(" - at `")
    place = _located(document, path.removesuffix("`"))
    value = document
    for key in place:
        value = value[key]
    if named := re.match(r"Object contains unknown field `(.*)`", fault):
        return _unknown_key(file, lines, place, named.group(1))
    if named := re.match(r"Object missing required field `(.*)`", fault):
        key = named.group(1)
        return _error(file, lines, place, f"lacks the key {key}", f"write {_EXAMPLES[key]}")
    key = place[-1] if place else ""
    if isinstance(value, str) and (allowed := _allowed(place)):
        close = [word for word in allowed if word.lower() == value.lower()]
        return _error(
            file,
            lines,
            place,
            f"{value!r} is none that is known",
            f"write {close[0]}" if close else f"write {' or '.join(allowed)}",
        )
    if isinstance(value, str) and fault.startswith("Expected `str` "):
        problem = (key == "name" and name_fault(value)) or (
            f"has {len(value)} characters; the API takes {LONGEST}"
        )
        return _error(file, lines, place, f"{value[:_SHOWN]!r} {problem}", "write another one")
    wanted = _WORDS.get(fault.partition("`")[2].partition("`")[0].partition(" |")[0], "a text")
    hint = f"write {wanted}"
    if isinstance(value, bool):
        hint += f': in quotes, "{str(value).lower()}" is a text'
    elif place and (example := _EXAMPLES.get(str(key))):
        hint += f", as in {example}"
    return _error(file, lines, place, f"{_shown(value)} is not {wanted}", hint)


_SHOWN = 40
_WORDS = {"object": "keys with values", "bool": "true or false", "array": "a list", "str": "a text"}
_EXAMPLES = {
    "forms": "forms: {ID: table.column, DESC: table.column}",
    "columns": "columns: [table.column]",
    "table": "{table: …, column: …}",
    "column": "{table: …, column: …}",
    "tables": "tables: {sales: {columns: {id: {role: attribute}}}}",
    "dataset": "dataset: {name: Sales}",
    "attributes": "attributes: {Customer: {forms: {ID: id, DESC: name}}}",
    "metrics": "metrics: {Revenue: {columns: price}}",
}


def _shown(value: Any) -> str:
    if isinstance(value, bool | None):
        return "nothing" if value is None else str(value).lower()
    if isinstance(value, str):
        return repr(value[:_SHOWN])
    return "a list" if isinstance(value, list) else "a block of keys"


def _unknown_key(file: str, lines: dict[Place, int], place: Place, key: str) -> UsageError:
    known = [item.encode_name for item in msgspec.structs.fields(_struct_at(place))]
    close = difflib.get_close_matches(key.lower(), [word.lower() for word in known], 1)
    meant = next((word for word in known if [word.lower()] == close), None)
    return _error(
        file,
        lines,
        (*place, key),
        f"the key {key!r} is not known here",
        (f"write {meant}; " if meant else "") + f"known are {', '.join(known)}",
    )


_TABLE, _ENTRY, _COLUMN = 2, 2, 4


def _struct_at(place: Place) -> type[msgspec.Struct]:
    """Returns what the keys at a place are those of."""
    if not place:
        return Mapping
    section = place[0]
    if section == "tables":
        return TableMapping if len(place) == _TABLE else ColumnMapping
    if len(place) > _ENTRY:
        return ColumnName
    if section == "dataset":
        return DatasetMapping
    return AttributeMapping if section == "attributes" else MetricMapping


def _allowed(place: Place) -> Sequence[str]:
    """Returns the words of which the value at a place is one; none where it is any text."""
    if len(place) <= _COLUMN or place[0] != "tables":
        return ()
    words: dict[str, Iterable[str]] = {"type": DataType, "role": Role, "as": ("text",)}
    return [str(word) for word in words.get(str(place[-1]), ())]


def _located(document: Any, path: str) -> Place:
    """Returns the place that a path of msgspec means, which names no keys of dictionaries."""
    place: Place = ()
    for step in _STEP.finditer(path):
        name, index = step.groups()
        if name is not None:
            place += (name,)
        elif index is not None:
            place += (int(index),)
        else:
            place += (_culprit(document, place, path),)
    return place


def _culprit(document: Any, place: Place, path: str) -> str:
    """Returns the key of a dictionary whose value is at fault: without the others it still is."""
    keys = document
    for key in place:
        keys = keys[key]
    for key, value in keys.items():
        try:
            msgspec.convert(_replaced(document, place, {key: value}), Mapping)
        except msgspec.ValidationError as error:
            if str(error).endswith(f"`{path}`"):
                return str(key)
    raise AssertionError(f"nothing is wrong at {path}")


def _replaced(document: Any, place: Place, value: Any) -> Any:
    if not place:
        return value
    copy: Any = document.copy()
    copy[place[0]] = _replaced(document[place[0]], place[1:], value)
    return copy
