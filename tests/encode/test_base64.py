from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from loader.encode import Base64Text
from loader.encode.base64 import SLICE_BYTES


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_slices_make_the_base64_of_the_whole(segments):
    text = Base64Text(segments)
    whole = base64.b64encode(b"".join(segments))
    assert b"".join(text) == whole
    assert len(text) == len(whole)


def test_a_text_is_made_in_slices_of_a_mebibyte_and_can_be_made_again():
    segments = [bytes([n]) * 500_001 for n in range(5)]
    text = Base64Text([memoryview(segment) for segment in segments])
    first = list(text)
    assert {len(piece) for piece in first[:-1]} == {SLICE_BYTES // 3 * 4} == {1 << 20}
    assert b"".join(first) == base64.b64encode(b"".join(segments))
    assert list(text) == first


def test_one_large_segment_is_sliced_too():
    data = bytes(3 * SLICE_BYTES + 1)
    assert b"".join(Base64Text([data])) == base64.b64encode(data)
