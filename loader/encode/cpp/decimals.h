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

// Writes what the fast path below does not take: a magnitude beyond 64 bits, an unusual scale.
char* write_wide_decimal(Wide magnitude, int scale, char* out);

// Writes a magnitude of 64 bits with `scale` digits behind the point.
inline char* write_decimal(uint64_t magnitude, int scale, char* out) {
    if (magnitude < TEN_8 && 0 < scale && scale < 8) {
        // All digits are in one register: what is before the point and what is behind it are two
        // overlapping stores. The guard keeps one digit before the point.
        const uint64_t digits = eight_digits(static_cast<uint32_t>(magnitude));
        const int leading = __builtin_ctzll(digits | uint64_t{1} << 8 * (7 - scale)) >> 3;
        const uint64_t text = digits | ZEROS;
        store(out, text >> 8 * leading);
        out += 8 - scale - leading;
        *out = '.';
        store(out + 1, text >> 8 * (8 - scale));
        return out + 1 + scale;
    }
    if (scale == 0) return write_unsigned(magnitude, out);
    if (scale < 0 || scale > 16) return write_wide_decimal({{magnitude, 0, 0, 0}}, scale, out);
    out = write_unsigned(magnitude / POWERS_OF_TEN[scale], out);
    *out++ = '.';
    uint64_t fraction = magnitude % POWERS_OF_TEN[scale];
    if (scale > 8) {
        out = write_padded(static_cast<uint32_t>(fraction / TEN_8), scale - 8, out);
        fraction %= TEN_8;
        scale = 8;
    }
    return write_padded(static_cast<uint32_t>(fraction), scale, out);
}

inline char* write_decimal(int128 value, int scale, char* out) {
    *out = '-';
    const bool negative = value < 0;
    const uint128 bits = static_cast<uint128>(value);
    const uint128 magnitude = negative ? 0 - bits : bits;
    const uint64_t low = static_cast<uint64_t>(magnitude);
    const uint64_t high = static_cast<uint64_t>(magnitude >> 64);
    if (high != 0) return write_wide_decimal({{low, high, 0, 0}}, scale, out + negative);
    return write_decimal(low, scale, out + negative);
}

// Writes a number of 256 bits in two's complement.
char* write_decimal_256(const uint8_t* bytes, int scale, char* out);

// Returns the most bytes that a decimal takes whose digits are at most so many.
constexpr size_t decimal_room(int digits, int scale) {
    const int whole = scale < 0 ? digits - scale : digits > scale ? digits : scale + 1;
    return static_cast<size_t>(whole) + 2;  // a sign and a point
}

}  // namespace encode
