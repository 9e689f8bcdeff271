// How many bytes of JSON rows take, by the rules of loader/encode/width.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "abi.h"

namespace encode {

// Tells for each row of a batch what its columns take, the comma behind each value included. Leaves
// out columns whose types are for the Python path, and names them. False where an index names no
// entry of its dictionary.
bool tell_widths(const ArrowSchema& schema, const ArrowArray& batch, int64_t* widths,
                 std::vector<size_t>& others);

}  // namespace encode
