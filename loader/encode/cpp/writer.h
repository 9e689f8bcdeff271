// Puts values together: one lane for each column, or one for all rows.
#pragma once

#include <string>
#include <vector>

#include "output.h"
#include "source.h"

namespace encode {

// Writes all values of a column, a comma behind each. Returns where it ended; null where a value is
// refused.
char* write_column(Source& source, int64_t rows, Output& output, char* out);

// What stands before each value of a row and at its end.
struct RowFrame {
    std::vector<std::string> openings;
    std::string closing;
};

// Writes all rows, a comma behind each. Returns where it ended; null where a value of the column that
// `refused` then tells is refused.
char* write_rows(const std::vector<SourcePtr>& columns, int64_t rows, const RowFrame& frame,
                 Output& output, char* out, size_t& refused);

}  // namespace encode
