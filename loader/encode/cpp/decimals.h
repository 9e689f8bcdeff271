// Decimals with all their digits: integers with a point put in, never a float.
#pragma once

#include "bits.h"
#include "digits.h"

namespace encode {

// Beyond what any decimal of Arrow's own makes sense with; such columns take the Python path.
constexpr int LARGEST_SCALE = 100;

// Magnitudes of up to 256 bits, lowest limb first.
struct Wide {
    uint64_t limbs[4];
};

// Writes any magnitude at any scale.
char* write_wide_decimal(Wide magnitude, int scale, char* out);

// Writes a magnitude of 64 bits at any scale.
char* write_long_decimal(uint64_t magnitude, int scale, char* out);

// Writes a number of eight digits with a point before the last one to seven of them. What is before
// the point and what is behind it are two overlapping stores from one register.
ENCODE_INLINE char* write_point(uint64_t digits, int scale, char* out) {
    // The guard keeps one digit before the point.
    const int leading = __builtin_ctzll(digits | uint64_t{1} << 8 * (7 - scale)) >> 3;
    const uint64_t text = digits | ZEROS;
    store(out, text >> 8 * leading);
    out += 8 - scale - leading;
    *out = '.';
    store(out + 1, text >> 8 * (8 - scale));
    return out + 1 + scale;
}

constexpr bool has_point_inside(int scale) {
    return static_cast<unsigned>(scale - 1) < 7;
}

// Writes a magnitude of 64 bits with `scale` digits behind the point.
ENCODE_INLINE char* write_decimal(uint64_t magnitude, int scale, char* out) {
    const bool is_usual = magnitude < TEN_8 && has_point_inside(scale);
    if (!ENCODE_LIKELY(is_usual)) return write_long_decimal(magnitude, scale, out);
    return write_point(eight_digits(static_cast<uint32_t>(magnitude)), scale, out);
}

// Writes a magnitude that may be of 128 bits.
ENCODE_INLINE char* write_decimal(int128 value, int scale, char* out) {
    *out = '-';
    const bool negative = value < 0;
    const uint128 bits = static_cast<uint128>(value);
    const uint128 magnitude = negative ? 0 - bits : bits;
    const uint64_t low = static_cast<uint64_t>(magnitude);
    const uint64_t high = static_cast<uint64_t>(magnitude >> 64);
    if (ENCODE_LIKELY(high == 0)) return write_decimal(low, scale, out + negative);
    return write_wide_decimal({{low, high, 0, 0}}, scale, out + negative);
}

// Writes a number of 256 bits in two's complement.
char* write_decimal_256(const uint8_t* bytes, int scale, char* out);

// Returns the most bytes that a decimal takes whose digits are at most so many.
constexpr size_t decimal_room(int digits, int scale) {
    const int whole = scale < 0 ? digits - scale : digits > scale ? digits : scale + 1;
    return static_cast<size_t>(whole) + 2;  // a sign and a point
}

}  // namespace encode
