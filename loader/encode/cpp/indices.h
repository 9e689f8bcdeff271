// The integers by which dictionaries and run ends name their values.
#pragma once

#include <cstring>

#include "bits.h"

namespace encode {

// Reads an index of any of Arrow's widths; those of uint64 beyond int64 come out negative.
inline int64_t load_index(const uint8_t* indices, int64_t row, char format) {
    switch (format) {
        case 'c': return load<int8_t>(indices + row);
        case 'C': return load<uint8_t>(indices + row);
        case 's': return load<int16_t>(indices + row * 2);
        case 'S': return load<uint16_t>(indices + row * 2);
        case 'i': return load<int32_t>(indices + row * 4);
        case 'I': return load<uint32_t>(indices + row * 4);
        default: return load<int64_t>(indices + row * 8);
    }
}

inline int64_t index_width(char format) {
    switch (format) {
        case 'c': case 'C': return 1;
        case 's': case 'S': return 2;
        case 'i': case 'I': return 4;
        default: return 8;
    }
}

// Whether a format is that of an integer.
inline bool is_index(const char* format) {
    return format[0] != '\0' && format[1] == '\0' && std::strchr("cCsSiIlL", format[0]) != nullptr;
}

}  // namespace encode
