// Where the values of a tile go: the two ways in which they are put together.
#pragma once

#include "bits.h"

namespace encode {

// One behind the other, with commas: a column.
struct Chain {
    char* out;

    ENCODE_INLINE char* begin(int) const { return out; }
    ENCODE_INLINE void end(int, char* end) {
        *end = ',';
        out = end + 1;
    }
};

// Each behind what its row has so far. The loop over a column's values has no other branches then,
// and no value waits for the length of the one before it.
struct SideBySide {
    char opening;
    char** ends;

    ENCODE_INLINE char* begin(int row) const {
        *ends[row] = opening;
        return ends[row] + 1;
    }
    ENCODE_INLINE void end(int row, char* end) const { ends[row] = end; }
};

}  // namespace encode
