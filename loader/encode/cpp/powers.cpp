// Computed at first use, in exact arithmetic: 20 microseconds in place of 600 lines of constants.
#include "powers.h"

namespace encode {
namespace {

// Enough for 5^324 (753 bits), and for 2^959 / 5^292 with more than 128 bits left.
constexpr int LIMBS = 15;

struct Big {
    uint64_t limbs[LIMBS] = {};

    void multiply_by_five() {
        uint128 carry = 0;
        for (uint64_t& limb : limbs) {
            carry += static_cast<uint128>(limb) * 5;
            limb = static_cast<uint64_t>(carry);
            carry >>= 64;
        }
    }

    // Returns whether anything was cut off.
    bool divide_by_five() {
        uint64_t rest = 0;
        for (int limb = LIMBS - 1; limb >= 0; --limb) {
            const uint128 part = static_cast<uint128>(rest) << 64 | limbs[limb];
            limbs[limb] = static_cast<uint64_t>(part / 5);
            rest = static_cast<uint64_t>(part % 5);
        }
        return rest != 0;
    }

    int bits() const {
        int limb = LIMBS - 1;
        while (limbs[limb] == 0) --limb;
        return 64 * limb + 64 - __builtin_clzll(limbs[limb]);
    }

    // Returns 64 bits from the given place on; below the lowest there are zeros.
    uint64_t window(int place) const {
        uint64_t value = 0;
        for (int bit = 0; bit < 64; ++bit) {
            const int from = place + bit;
            if (from >= 0) value |= (limbs[from / 64] >> (from % 64) & 1) << bit;
        }
        return value;
    }

    bool any_below(int place) const {
        for (int bit = 0; bit < place; ++bit)
            if (limbs[bit / 64] >> (bit % 64) & 1) return true;
        return false;
    }
};

PowersOfTen::Power rounded_up(const Big& number, bool cut_off) {
    const int lowest = number.bits() - 128;
    const uint64_t high = number.window(lowest + 64);
    const uint64_t low = number.window(lowest);
    // No power of five is so close to a power of two that the carry would leave 128 bits.
    const bool up = cut_off || number.any_below(lowest);
    return {high + (up && low == ~uint64_t{0}), low + up};
}

}  // namespace

const PowersOfTen& PowersOfTen::shared() {
    static const PowersOfTen powers;
    return powers;
}

// A factor of two only moves the point, so powers of five have the same bits as powers of ten.
PowersOfTen::PowersOfTen() {
    Big number;
    number.limbs[0] = 1;
    for (int exponent = 0; exponent <= LARGEST; ++exponent) {
        powers_[exponent - SMALLEST] = rounded_up(number, false);
        number.multiply_by_five();
    }
    Big inverse;
    inverse.limbs[LIMBS - 1] = uint64_t{1} << 63;
    bool cut_off = false;
    for (int exponent = -1; exponent >= SMALLEST; --exponent) {
        cut_off |= inverse.divide_by_five();  // floors of floors are the floor of the whole
        powers_[exponent - SMALLEST] = rounded_up(inverse, cut_off);
    }
}

}  // namespace encode
