#include "widths.h"

#include <algorithm>
#include <cstdlib>

#include "indices.h"
#include "source.h"

namespace encode {
namespace {

constexpr int64_t COMMA = 1;
constexpr int64_t QUOTES = 2;
constexpr int64_t NULL_WIDTH = 4;

// In the place of a width.
constexpr int64_t VARIES = -1;
constexpr int64_t OTHER = -2;

// As many rows as stay in the innermost cache while one column after the other is added.
constexpr int64_t SLICE = 1024;

// Returns what every value of a type takes; VARIES for texts and binary values, OTHER for what is
// built from other types.
int64_t width_of(const ArrowSchema& schema) {
    // The metadata may say that it is an extension type, some of which have widths of their own.
    if (schema.metadata != nullptr || schema.dictionary != nullptr) return OTHER;
    const char* const format = schema.format;
    switch (format[0]) {
        case 'n': return NULL_WIDTH;
        case 'b': return 5;
        case 'c': case 'C': case 's': case 'S': case 'i': case 'I': case 'l': case 'L':
        case 'e': case 'f': case 'g': return 8;
        case 'd': return std::min(std::strtol(format + 2, nullptr, 10), 12L);
        case 'w': return std::strtol(format + 2, nullptr, 10) * 4 / 3 + QUOTES;
        case 'u': case 'U': case 'z': case 'Z': case 'v': return VARIES;
        case 't':
            switch (format[1]) {
                case 'd': return 12;
                case 't': return 10;
                case 's': return 21;
                default: return 8;  // durations and intervals
            }
        default: return OTHER;
    }
}

bool has_values(const ArrowArray& array) {
    return array.n_buffers > 1 && array.buffers[1] != nullptr;
}

const char* values_of(const ArrowArray& array, int64_t first, int64_t width) {
    return static_cast<const char*>(array.buffers[1]) + (array.offset + first) * width;
}

template <class Size>
void add_sizes(const ArrowArray& array, int64_t first, int64_t count, int64_t* widths, Size size) {
    if (array.null_count == 0) {
        for (int64_t row = 0; row < count; ++row) widths[row] += size(row) + QUOTES + COMMA;
        return;
    }
    const Validity valid = validity_of(array);
    for (int64_t row = 0; row < count; ++row)
        widths[row] += COMMA + (valid[first + row] ? size(row) + QUOTES : NULL_WIDTH);
}

template <class Offset>
void add_spans(const ArrowArray& array, int64_t first, int64_t count, int64_t* widths) {
    constexpr int64_t size = sizeof(Offset);
    const char* const from = values_of(array, first, size);
    add_sizes(array, first, count, widths, [from](int64_t row) -> int64_t {
        return load<Offset>(from + (row + 1) * size) - load<Offset>(from + row * size);
    });
}

// Adds what some texts or binary values take, in any of Arrow's layouts.
void add_texts(char format, const ArrowArray& array, int64_t first, int64_t count,
               int64_t* widths) {
    switch (format) {
        case 'u': case 'z': return add_spans<int32_t>(array, first, count, widths);
        case 'U': case 'Z': return add_spans<int64_t>(array, first, count, widths);
        default: break;
    }
    // A view begins with its length.
    const char* const from = values_of(array, first, 16);
    add_sizes(array, first, count, widths,
              [from](int64_t row) -> int64_t { return load<int32_t>(from + row * 16); });
}

// A column whose values take different numbers of bytes.
struct Varying {
    char format;
    const ArrowArray* array;
    std::vector<int64_t> entries;  // the widths of a dictionary's, each with a comma
};

// Reads the widths of a dictionary's entries. False if that is for the Python path: as for one with
// the entries of a whole file, a million perhaps, and few rows.
bool read_entries(const ArrowSchema& schema, const ArrowArray& array, Varying& column) {
    if (schema.metadata != nullptr || !is_index(schema.format) || !has_values(array)) return false;
    const ArrowArray& entries = *array.dictionary;
    if (entries.length == 0 || entries.length > array.length) return false;
    const int64_t width = width_of(*schema.dictionary);
    if (width == OTHER || (width == VARIES && !has_values(entries))) return false;
    column.entries.resize(static_cast<size_t>(entries.length), width == VARIES ? 0 : width + COMMA);
    if (width == VARIES)
        add_texts(schema.dictionary->format[0], entries, 0, entries.length, column.entries.data());
    return true;
}

// Read as unsigned: a negative index, which no valid array has, stays within the entries or is refused.
template <class Index>
bool add_named(const Varying& column, int64_t first, int64_t count, int64_t* widths) {
    const char* const indices = values_of(*column.array, first, sizeof(Index));
    const Validity valid = validity_of(*column.array);
    const uint64_t entries = column.entries.size();
    for (int64_t row = 0; row < count; ++row) {
        if (!valid[first + row]) {
            widths[row] += NULL_WIDTH + COMMA;
            continue;
        }
        const uint64_t index = load<Index>(indices + static_cast<size_t>(row) * sizeof(Index));
        if (index >= entries) return false;
        widths[row] += column.entries[index];
    }
    return true;
}

bool add(const Varying& column, int64_t first, int64_t count, int64_t* widths) {
    if (column.entries.empty()) {
        add_texts(column.format, *column.array, first, count, widths);
        return true;
    }
    switch (index_width(column.format)) {
        case 1: return add_named<uint8_t>(column, first, count, widths);
        case 2: return add_named<uint16_t>(column, first, count, widths);
        case 4: return add_named<uint32_t>(column, first, count, widths);
        default: return add_named<uint64_t>(column, first, count, widths);
    }
}

}  // namespace

bool tell_widths(const ArrowSchema& schema, const ArrowArray& batch, int64_t* widths,
                 std::vector<size_t>& others) {
    int64_t fixed = 0;
    std::vector<Varying> varying;
    for (int64_t place = 0; place < schema.n_children; ++place) {
        const ArrowSchema& child = *schema.children[place];
        const ArrowArray& array = *batch.children[place];
        Varying column{child.format[0], &array, {}};
        const int64_t width = width_of(child);
        if (width >= 0) {
            fixed += width + COMMA;
        } else if (child.dictionary != nullptr ? read_entries(child, array, column)
                                               : width == VARIES && has_values(array)) {
            varying.push_back(std::move(column));
        } else {
            others.push_back(static_cast<size_t>(place));
        }
    }
    std::fill(widths, widths + batch.length, fixed);
    for (int64_t first = 0; first < batch.length; first += SLICE) {
        const int64_t count = std::min(SLICE, batch.length - first);
        for (const Varying& column : varying)
            if (!add(column, first, count, widths + first)) return false;
    }
    return true;
}

}  // namespace encode
