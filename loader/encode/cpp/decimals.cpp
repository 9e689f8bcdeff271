#include "decimals.h"

namespace encode {
namespace {

constexpr int LIMB_DIGITS = 19;
constexpr uint64_t TEN_19 = POWERS_OF_TEN[LIMB_DIGITS];

// Divides in place and returns the remainder.
uint64_t divide_by_ten_19(Wide& number) {
    uint64_t rest = 0;
    for (int limb = 3; limb >= 0; --limb) {
        const uint128 part = static_cast<uint128>(rest) << 64 | number.limbs[limb];
        number.limbs[limb] = static_cast<uint64_t>(part / TEN_19);
        rest = static_cast<uint64_t>(part % TEN_19);
    }
    return rest;
}

bool is_zero(const Wide& number) {
    return (number.limbs[0] | number.limbs[1] | number.limbs[2] | number.limbs[3]) == 0;
}

// Writes all digits and returns their number; 256 bits have at most 78.
int write_digits(Wide number, char* digits) {
    uint64_t groups[5];
    int count = 0;
    do {
        groups[count++] = divide_by_ten_19(number);
    } while (!is_zero(number));
    char* out = write_unsigned(groups[--count], digits);
    while (count > 0) {
        const uint64_t group = groups[--count];
        out = write_padded(static_cast<uint32_t>(group / TEN_16), LIMB_DIGITS - 16, out);
        out = write_padded(static_cast<uint32_t>(group / TEN_8 % TEN_8), 8, out);
        out = write_padded(static_cast<uint32_t>(group % TEN_8), 8, out);
    }
    return static_cast<int>(out - digits);
}

char* write_zeros(int count, char* out) {
    std::memset(out, '0', static_cast<size_t>(count));
    return out + count;
}

char* write_text(const char* text, int count, char* out) {
    std::memcpy(out, text, static_cast<size_t>(count));
    return out + count;
}

}  // namespace

char* write_wide_decimal(Wide magnitude, int scale, char* out) {
    char digits[5 * LIMB_DIGITS + 16];
    const int count = write_digits(magnitude, digits);
    if (scale <= 0) {
        out = write_text(digits, count, out);
        return is_zero(magnitude) ? out : write_zeros(-scale, out);
    }
    const int whole = count - scale;
    if (whole > 0) {
        out = write_text(digits, whole, out);
        *out++ = '.';
        return write_text(digits + whole, scale, out);
    }
    *out++ = '0';
    *out++ = '.';
    out = write_zeros(-whole, out);
    return write_text(digits, count, out);
}

char* write_long_decimal(uint64_t magnitude, int scale, char* out) {
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

char* write_decimal_256(const uint8_t* bytes, int scale, char* out) {
    Wide number = load<Wide>(bytes);
    if (number.limbs[3] >> 63) {
        *out++ = '-';
        uint128 carry = 1;
        for (uint64_t& limb : number.limbs) {
            carry += ~limb;
            limb = static_cast<uint64_t>(carry);
            carry >>= 64;
        }
    }
    if ((number.limbs[1] | number.limbs[2] | number.limbs[3]) == 0)
        return write_decimal(number.limbs[0], scale, out);
    return write_wide_decimal(number, scale, out);
}

}  // namespace encode
