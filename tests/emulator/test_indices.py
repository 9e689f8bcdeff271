"""Which indices are admitted: the decisions alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.emulator import Order, RepeatIndex
from loader.emulator.indices import Admission, Indices, parse_index
from loader.emulator.refusals import Refusal


def admit(indices, index, order=Order.FREE, window=4, repeat=RepeatIndex.REPLACE):
    return indices.admit(index, order, window, repeat)


@pytest.mark.parametrize("value", [1, "1", "007", 10**6])
def test_indices_as_clients_write_them(value):
    assert parse_index(value) == int(value)


@pytest.mark.parametrize("value", [0, -1, 1.0, "", "1.0", "-1", "¹", "9" * 5000, None, False, [1]])
def test_what_is_no_index(value):
    with pytest.raises(Refusal, match="whole number from 1"):
        parse_index(value)


@given(st.lists(st.integers(1, 12), max_size=20))
def test_the_lowest_missing_one(order):
    indices = Indices()
    for index in order:
        indices.accept(index)
    assert indices.lowest_missing == min(set(range(1, 14)) - set(order))
    assert len(indices) == len(set(order))
    gap = indices.gap("t")
    assert (gap is None) == (set(order) == set(range(1, len(set(order)) + 1)))


def test_a_gap_names_a_few_of_many():
    indices = Indices()
    indices.accept(1000)
    gap = indices.gap("t")
    assert gap is not None
    assert "but 1, 2, 3, 4, 5 and 994 more were not uploaded" in gap.message


def test_nothing_at_all_is_contiguous():
    assert Indices().gap("t") is None


@pytest.mark.parametrize(
    ("repeat", "admission"),
    [
        (RepeatIndex.REPLACE, Admission.KEEP),
        (RepeatIndex.APPEND, Admission.APPEND),
        (RepeatIndex.IGNORE, Admission.SKIP),
    ],
)
def test_repetitions(repeat, admission):
    indices = Indices()
    indices.accept(1)
    assert admit(indices, 1, order=Order.STRICT, repeat=repeat) is admission


def test_the_window_moves_with_the_lowest_missing_one():
    indices = Indices()
    assert admit(indices, 5, Order.WINDOW) is Admission.KEEP
    with pytest.raises(Refusal, match="too far ahead: 1 is missing, and at most 4"):
        admit(indices, 6, Order.WINDOW)
    indices.accept(1)
    assert admit(indices, 6, Order.WINDOW) is Admission.KEEP
