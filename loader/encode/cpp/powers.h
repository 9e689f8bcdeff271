// Powers of ten to 128 bits, as far as the digits of a double need them.
#pragma once

#include "bits.h"

namespace encode {

class PowersOfTen {
  public:
    struct Power {
        uint64_t high, low;
    };

    static const PowersOfTen& shared();

    // Returns 10^exponent, scaled by a power of two into [2^127, 2^128) and rounded up.
    const Power& operator[](int exponent) const { return powers_[exponent - SMALLEST]; }

    // Returns floor(log2(10^exponent)): 1741647 / 2^19 is log2(10), a little too small.
    static constexpr int log2(int exponent) { return (exponent * 1'741'647) >> 19; }

  private:
    static constexpr int SMALLEST = -292;
    static constexpr int LARGEST = 324;

    PowersOfTen();

    Power powers_[LARGEST - SMALLEST + 1];
};

}  // namespace encode
