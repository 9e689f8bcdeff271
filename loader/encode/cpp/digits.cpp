#include "digits.h"

namespace encode {

char* write_large(uint64_t number, char* out) {
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

void TileDigits::find() {
    alignas(64) uint16_t fours[2 * TILE];
    alignas(64) uint16_t twos[4 * TILE];
    alignas(64) uint16_t ones[4 * TILE];
    for (int place = 0; place < TILE; ++place) {
        const uint32_t upper = numbers[place] / 10'000;
        store(fours + 2 * place, upper | (numbers[place] - upper * 10'000) << 16);
    }
    for (int place = 0; place < 2 * TILE; ++place) {
        // n * 5243 / 2^19 is n / 100 for n below 10^4.
        const uint16_t upper = static_cast<uint16_t>(uint32_t{fours[place]} * 5'243 >> 16) >> 3;
        const uint16_t lower = static_cast<uint16_t>(fours[place] - upper * 100);
        store(twos + 2 * place, uint32_t{upper} | uint32_t{lower} << 16);
    }
    for (int place = 0; place < 4 * TILE; ++place) {
        const uint16_t tens = static_cast<uint16_t>(twos[place] * 103) >> 10;
        ones[place] = static_cast<uint16_t>(tens | (twos[place] - tens * 10) << 8);
    }
    std::memcpy(digits, ones, sizeof digits);
}

}  // namespace encode
