"""Record batches in, JSON segments out; base64 slice by slice while sending."""

from loader.encode.base64 import Base64Text
from loader.encode.block import BlockEncoder, Encoded
from loader.encode.chunk import Chunk, assemble, chunk_overhead, row_overhead
from loader.encode.keys import row_keys
from loader.encode.native import native_available, native_missing
from loader.encode.orientation import Orientation
from loader.encode.refusal import ValueRefused
from loader.encode.runs import Rows
from loader.encode.width import row_widths

__all__ = [
    "Base64Text",
    "BlockEncoder",
    "Chunk",
    "Encoded",
    "Orientation",
    "Rows",
    "ValueRefused",
    "assemble",
    "chunk_overhead",
    "native_available",
    "native_missing",
    "row_keys",
    "row_overhead",
    "row_widths",
]
