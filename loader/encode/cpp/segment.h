// Pieces of JSON as Python objects.
#pragma once

#include "output.h"
#include "python.h"

namespace encode {

// Makes the type, which belongs to the module.
PyObject* make_segment_type(PyObject* module);

// Returns a read-only memoryview of the piece, or null with Python's error set. Either way the piece
// is no longer the caller's to drop.
PyObject* view_of_piece(PyObject* segment_type, const Piece& piece);

}  // namespace encode
