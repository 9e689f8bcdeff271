// Dates, times of day and timestamps as ISO 8601 text, quotes included.
#pragma once

#include "bits.h"
#include "digits.h"

namespace encode {

// ISO 8601 without agreement between the parties ends at four digits of year.
constexpr int64_t FIRST_DAY = -719'162;  // 0001-01-01
constexpr int64_t LAST_DAY = 2'932'896;  // 9999-12-31
constexpr int64_t DAY_SECONDS = 86'400;

constexpr int64_t floor_div(int64_t value, int64_t by) {
    return value / by - (value % by < 0);
}

// The texts of two centuries of days, quotes included: nearly every date of business data is one
// load away. Others are computed.
class Calendar {
  public:
    // The one calendar; it is made when the first column needs it.
    static const Calendar& shared();

    // Writes `"YYYY-MM-DD"`, 12 bytes of the 16 it stores. The day has to be in range.
    ENCODE_INLINE char* write_date(int64_t day, char* out) const {
        const uint64_t place = static_cast<uint64_t>(day - FIRST);
        if (place < DAYS) {
            copy<16>(out, texts_ + 16 * place);
        } else {
            compute(day, out);
        }
        return out + 12;
    }

  private:
    static constexpr int64_t FIRST = -25'567;  // 1900-01-01
    static constexpr uint64_t DAYS = 73'049;   // up to 2099-12-31

    Calendar();
    static void compute(int64_t day, char* out);

    char texts_[16 * DAYS];
};

ENCODE_INLINE char* write_two(uint32_t number, char* out) {
    const uint32_t tens = number * 103 >> 10;
    out[0] = static_cast<char>('0' + tens);
    out[1] = static_cast<char>('0' + number - tens * 10);
    return out + 2;
}

// Writes `HH:MM:SS`.
ENCODE_INLINE char* write_clock(uint32_t second_of_day, char* out) {
    const uint32_t minutes = second_of_day / 60;
    out = write_two(minutes / 60, out);
    *out++ = ':';
    out = write_two(minutes % 60, out);
    *out++ = ':';
    return write_two(second_of_day % 60, out);
}

// Writes the fewest of 3, 6 and 9 digits that lose nothing, and nothing for a whole second.
template <int64_t per_second>
ENCODE_INLINE char* write_fraction(uint32_t fraction, char* out) {
    if (per_second == 1 || fraction == 0) return out;
    *out++ = '.';
    if (per_second == 1'000) return write_padded(fraction, 3, out);
    const uint32_t micros = per_second == 1'000'000'000 ? fraction / 1'000 : fraction;
    if (per_second == 1'000'000'000 && micros * 1'000 != fraction) {
        *out++ = static_cast<char>('0' + fraction / 100'000'000);
        return write_padded(fraction % 100'000'000, 8, out);
    }
    if (micros % 1'000 == 0) return write_padded(micros / 1'000, 3, out);
    return write_padded(micros, 6, out);
}

}  // namespace encode
