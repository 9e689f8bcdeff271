// Integers as decimal text, eight digits at a time in one register.
#pragma once

#include "bits.h"

namespace encode {

// Values are prepared in tiles of so many rows: one word of validity bits, few enough to stay in
// the processor's nearest cache for all columns of a row.
constexpr int TILE = 64;

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
ENCODE_INLINE uint64_t eight_digits(uint32_t number) {
    const uint64_t fours = number / 10'000 | static_cast<uint64_t>(number % 10'000) << 32;
    const uint64_t hundreds = (fours * 10'486 >> 20) & 0x0000007f'0000007f;
    const uint64_t twos = hundreds | (fours - hundreds * 100) << 16;
    const uint64_t tens = (twos * 103 >> 10) & 0x000f'000f'000f'000f;
    return tens | (twos - tens * 10) << 8;
}

// Writes up to eight digits, leading zeros included.
ENCODE_INLINE char* write_padded(uint32_t number, int digits, char* out) {
    store(out, (eight_digits(number) | ZEROS) >> 8 * (8 - digits));
    return out + digits;
}

// Writes a number whose eight digits are at hand, without leading zeros. Stores eight bytes, whatever
// the length.
ENCODE_INLINE char* write_digits(uint64_t digits, char* out) {
    const int leading = __builtin_ctzll(digits | uint64_t{1} << 56) >> 3;
    store(out, (digits | ZEROS) >> 8 * leading);
    return out + 8 - leading;
}

// Writes a number below 10^8.
ENCODE_INLINE char* write_small(uint32_t number, char* out) {
    return write_digits(eight_digits(number), out);
}

// Numbers of one tile, and the digits of each as eight_digits has them.
struct TileDigits {
    alignas(64) uint32_t numbers[TILE];
    alignas(64) uint64_t digits[TILE];

    // Finds the digits of numbers below 10^8. For all numbers at once, which takes a third of the
    // time: every loop is one that compilers turn into vector instructions.
    void find();
};

// Writes a number from 10^8 on.
char* write_large(uint64_t number, char* out);

// Writes any number. May store up to eight bytes beyond its own 20.
ENCODE_INLINE char* write_unsigned(uint64_t number, char* out) {
    if (ENCODE_LIKELY(number < TEN_8)) return write_small(static_cast<uint32_t>(number), out);
    return write_large(number, out);
}

ENCODE_INLINE char* write_signed(int64_t number, char* out) {
    *out = '-';
    const bool negative = number < 0;
    const uint64_t magnitude = static_cast<uint64_t>(number);
    return write_unsigned(negative ? 0 - magnitude : magnitude, out + negative);
}

}  // namespace encode
