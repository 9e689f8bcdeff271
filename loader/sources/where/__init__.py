"""Conditions on rows, in the words of SQL: parsed, typed by the columns they meet, evaluated."""

from __future__ import annotations

from loader.sources.where.condition import Condition, possible
from loader.sources.where.syntax import parse

__all__ = ["Condition", "parse", "possible"]
