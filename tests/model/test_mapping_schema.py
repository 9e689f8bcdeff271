"""The JSON schema of mapping files."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from loader.model.mapping import schema_text

DOCS = Path(__file__).parents[2] / "docs"


def test_the_committed_schema_is_current():
    assert (DOCS / "mapping.schema.json").read_text() == schema_text()


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("dataset: {name: Sales}", True),
        ("tables: {t: {columns: {c: {type: DATE, dateFormat: dd/MM/yyyy, as: text}}}}", True),
        ("tables: {t: {columns: {c: }}}", True),
        ("attributes: {a: {forms: {ID: [t.c, {table: t, column: c}], DESC: c}}}", True),
        ("metrics: {a: {columns: c}}", True),
        ("tables: {t: {columns: {c: {typ: DATE}}}}", False),
        ("tables: {t: {columns: {c: {type: date}}}}", False),
        ("tables: {t: {columns: {c: {name: 'a[b'}}}}", False),
        ("attributes: {a: {}}", False),
        ("metrics: {a: {columns: 1}}", False),
        ("dataset: 1", False),
    ],
)
def test_the_schema_takes_what_the_loader_takes(text, valid):
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    assert validator.is_valid(YAML(typ="safe", pure=True).load(text)) is valid
