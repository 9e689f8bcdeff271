// Floats as the shortest text that reads back the same, spelt as orjson spells it.
#pragma once

#include "bits.h"

namespace encode {

// The most bytes one takes: a sign, 17 digits, a point and an exponent like e-308; or the zeros of
// a number that is spelt without one.
constexpr size_t FLOAT_ROOM = 26;

// Each writes a finite value of its own width; infinities and NaN are the caller's to find.
char* write_double(double value, char* out);
char* write_float(float value, char* out);
char* write_half(uint16_t bits, char* out);

inline bool is_finite(double value) {
    return (load<uint64_t>(&value) & 0x7ff0'0000'0000'0000) != 0x7ff0'0000'0000'0000;
}
inline bool is_finite(float value) {
    return (load<uint32_t>(&value) & 0x7f80'0000) != 0x7f80'0000;
}
inline bool is_finite_half(uint16_t bits) {
    return (bits & 0x7c00) != 0x7c00;
}

}  // namespace encode
