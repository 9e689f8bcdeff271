// Which digits: Raffaello Giulietti, "The Schubfach way to render doubles" (2020), sections 8 and 9.
// The digits of a value come from one multiplication of its significand with a power of ten that is
// kept to 128 bits, and two more for the ends of the interval that rounds to it.
#include "floats.h"

#include "digits.h"
#include "powers.h"

namespace encode {
namespace {

struct Shortest {
    uint64_t digits;
    int exponent;  // the value is digits * 10^exponent
};

// floor(log10(2^e)) and floor(log10(3/4 * 2^e)) for |e| < 2000: 1262611 / 2^22 is log10(2), a
// little too small; 524031 / 2^22 is -log10(3/4).
constexpr int log10_of_power_of_two(int e) { return (e * 1'262'611) >> 22; }
constexpr int log10_of_three_quarters(int e) { return (e * 1'262'611 - 524'031) >> 22; }

// The product's upper part, its lowest bit set if anything was cut off: enough to compare with.
inline uint64_t multiply_to_odd(const PowersOfTen::Power& power, uint64_t factor) {
    const uint128 low = static_cast<uint128>(power.low) * factor;
    const uint128 high = static_cast<uint128>(power.high) * factor + (low >> 64);
    return static_cast<uint64_t>(high >> 64) | (static_cast<uint64_t>(high) > 1);
}

// Returns the shortest digits of c * 2^q, and of those the nearest. `narrow` says that the next
// smaller value is only half as far away as the next greater one.
Shortest shortest(uint64_t c, int q, bool narrow) {
    const bool odd = (c & 1) != 0;
    const int k = narrow ? log10_of_three_quarters(q) : log10_of_power_of_two(q);
    const PowersOfTen::Power& power = PowersOfTen::shared()[-k];
    const int h = q + PowersOfTen::log2(-k) + 1;

    // Four times the value and the ends of its interval, in units of 10^k. An odd significand does
    // not own the ends: readers round ties to even.
    const uint64_t value = multiply_to_odd(power, 4 * c << h);
    const uint64_t lower = multiply_to_odd(power, (4 * c - 2 + narrow) << h) + odd;
    const uint64_t upper = multiply_to_odd(power, (4 * c + 2) << h) - odd;

    const uint64_t below = value / 4;
    if (below >= 10) {  // one digit less may do
        const uint64_t tens = below / 10;
        const bool down = lower <= 40 * tens;
        const bool up = 40 * tens + 40 <= upper;
        if (down != up) return {tens + up, k + 1};
    }
    const bool down = lower <= 4 * below;
    const bool up = 4 * below + 4 <= upper;
    if (down != up) return {below + up, k};
    const uint64_t middle = 4 * below + 2;
    return {below + (value > middle || (value == middle && (below & 1) != 0)), k};
}

// Cuts zeros off the end, which the digits of round values have many of.
inline void trim(Shortest& number) {
    if (number.digits % TEN_8 == 0) {
        number.digits /= TEN_8;
        number.exponent += 8;
    }
    while (number.digits % 100 == 0) {
        number.digits /= 100;
        number.exponent += 2;
    }
    if (number.digits % 10 == 0) {
        number.digits /= 10;
        number.exponent += 1;
    }
}

char* write_zeros(int count, char* out) {
    for (; count > 0; --count) *out++ = '0';
    return out;
}

char* write_exponent(int exponent, char* out) {
    *out++ = 'e';
    *out++ = exponent < 0 ? '-' : '+';
    return write_small(static_cast<uint32_t>(exponent < 0 ? -exponent : exponent), out);
}

// Which powers of ten of the first digit are spelt without an exponent: orjson's own limits.
struct Positional {
    int first, last;
};
constexpr Positional OF_DOUBLES{-5, 15};
constexpr Positional OF_FLOATS{-6, 12};

char* spell(Shortest number, Positional positional, char* out) {
    trim(number);
    char digits[32];
    const int count = static_cast<int>(write_unsigned(number.digits, digits) - digits);
    const int first = number.exponent + count - 1;
    if (first < positional.first || first > positional.last) {
        *out++ = digits[0];
        if (count > 1) {
            *out++ = '.';
            copy<16>(out, digits + 1);
            out += count - 1;
        }
        return write_exponent(first, out);
    }
    if (first < 0) {
        *out++ = '0';
        *out++ = '.';
        out = write_zeros(-first - 1, out);
        copy<24>(out, digits);
        return out + count;
    }
    copy<24>(out, digits);
    if (number.exponent >= 0) {
        out = write_zeros(number.exponent, out + count);
        *out++ = '.';
        *out++ = '0';
        return out;
    }
    out += first + 1;
    *out = '.';
    copy<16>(out + 1, digits + first + 1);
    return out + 1 + (count - first - 1);
}

char* write_zero(char* out) {
    copy<3>(out, "0.0");
    return out + 3;
}

// A format of IEEE 754: its significand's stored bits and the exponent of the least of them.
template <int stored_bits, int least_exponent>
char* write_bits(uint64_t significand, int exponent, Positional positional, char* out) {
    constexpr uint64_t hidden = uint64_t{1} << stored_bits;
    if (exponent == 0) {
        if (significand == 0) return write_zero(out);
        return spell(shortest(significand, least_exponent, false), positional, out);
    }
    const bool narrow = significand == 0 && exponent > 1;
    const uint64_t c = significand | hidden;
    const int q = exponent - 1 + least_exponent;
    // Whole numbers up to the width of the significand have no shorter digits than their own.
    if (-stored_bits <= q && q <= 0 && (c & ((uint64_t{1} << -q) - 1)) == 0) {
        out = write_unsigned(c >> -q, out);
        copy<2>(out, ".0");
        return out + 2;
    }
    return spell(shortest(c, q, narrow), positional, out);
}

}  // namespace

char* write_double(double value, char* out) {
    const uint64_t bits = load<uint64_t>(&value);
    *out = '-';
    out += bits >> 63;
    const uint64_t significand = bits & ((uint64_t{1} << 52) - 1);
    return write_bits<52, -1074>(significand, static_cast<int>(bits >> 52 & 0x7ff), OF_DOUBLES, out);
}

char* write_float(float value, char* out) {
    const uint32_t bits = load<uint32_t>(&value);
    *out = '-';
    out += bits >> 31;
    const uint64_t significand = bits & ((1u << 23) - 1);
    return write_bits<23, -149>(significand, static_cast<int>(bits >> 23 & 0xff), OF_FLOATS, out);
}

// The digits are a half's own, the spelling is that of the double they make.
char* write_half(uint16_t bits, char* out) {
    *out = '-';
    out += bits >> 15;
    const uint64_t significand = bits & 0x3ffu;
    return write_bits<10, -24>(significand, bits >> 10 & 0x1f, OF_DOUBLES, out);
}

}  // namespace encode
