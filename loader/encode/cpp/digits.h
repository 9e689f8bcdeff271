// Integers as decimal text, eight digits at a time in one register.
#pragma once

#include "bits.h"

namespace encode {

constexpr uint64_t ZEROS = 0x3030303030303030;  // "00000000"
constexpr uint64_t TEN_8 = 100'000'000;
constexpr uint64_t TEN_16 = 10'000'000'000'000'000;

constexpr uint64_t POWERS_OF_TEN[20] = {
    1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000,
    10'000'000'000, 100'000'000'000, 1'000'000'000'000, 10'000'000'000'000, 100'000'000'000'000,
    1'000'000'000'000'000, 10'000'000'000'000'000, 100'000'000'000'000'000,
    1'000'000'000'000'000'000, 10'000'000'000'000'000'000u};

// Returns the digits of a number below 10^8, one per byte, the first in the lowest byte. Halving
// the number three times splits all lanes of the register at once.
inline uint64_t eight_digits(uint32_t number) {
    const uint64_t fours = number / 10'000 | static_cast<uint64_t>(number % 10'000) << 32;
    const uint64_t hundreds = (fours * 10'486 >> 20) & 0x0000007f'0000007f;
    const uint64_t twos = hundreds | (fours - hundreds * 100) << 16;
    const uint64_t tens = (twos * 103 >> 10) & 0x000f'000f'000f'000f;
    return tens | (twos - tens * 10) << 8;
}

// Writes up to eight digits, leading zeros included.
inline char* write_padded(uint32_t number, int digits, char* out) {
    store(out, (eight_digits(number) | ZEROS) >> 8 * (8 - digits));
    return out + digits;
}

// Writes a number below 10^8. May store eight bytes, whatever the length.
inline char* write_small(uint32_t number, char* out) {
    const uint64_t digits = eight_digits(number);
    const int leading = __builtin_ctzll(digits | uint64_t{1} << 56) >> 3;
    store(out, (digits | ZEROS) >> 8 * leading);
    return out + 8 - leading;
}

// Writes any number. May store up to eight bytes beyond its own 20.
inline char* write_unsigned(uint64_t number, char* out) {
    if (number < TEN_8) return write_small(static_cast<uint32_t>(number), out);
    uint64_t rest = number;
    if (number < TEN_16) {
        out = write_small(static_cast<uint32_t>(number / TEN_8), out);
    } else {
        out = write_small(static_cast<uint32_t>(number / TEN_16), out);
        rest = number % TEN_16;
        out = write_padded(static_cast<uint32_t>(rest / TEN_8), 8, out);
    }
    return write_padded(static_cast<uint32_t>(rest % TEN_8), 8, out);
}

inline char* write_signed(int64_t number, char* out) {
    *out = '-';
    const bool negative = number < 0;
    const uint64_t magnitude = static_cast<uint64_t>(number);
    return write_unsigned(negative ? 0 - magnitude : magnitude, out + negative);
}

}  // namespace encode
