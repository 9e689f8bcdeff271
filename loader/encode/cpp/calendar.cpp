#include "calendar.h"

namespace encode {

const Calendar& Calendar::shared() {
    static const Calendar calendar;
    return calendar;
}

Calendar::Calendar() {
    for (uint64_t place = 0; place < DAYS; ++place)
        compute(FIRST + static_cast<int64_t>(place), texts_ + 16 * place);
}

void Calendar::compute(int64_t day, char* out) {
    // Counted from 1 March of year 0: the leap day is then the last of its year, and the lengths
    // of months repeat every five (153 days).
    const uint32_t days = static_cast<uint32_t>(day + 719'468);
    const uint32_t era = days / 146'097;  // of 400 years
    const uint32_t of_era = days % 146'097;
    const uint32_t year_of_era =
        (of_era - of_era / 1'460 + of_era / 36'524 - of_era / 146'096) / 365;
    const uint32_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const uint32_t from_march = (5 * of_year + 2) / 153;
    const uint32_t month = from_march < 10 ? from_march + 3 : from_march - 9;
    const uint32_t year = era * 400 + year_of_era + (month <= 2);
    std::memset(out, '"', 16);
    char* end = write_two(year / 100, out + 1);
    end = write_two(year % 100, end);
    *end++ = '-';
    end = write_two(month, end);
    *end++ = '-';
    write_two(of_year - (153 * from_march + 2) / 5 + 1, end);
}

}  // namespace encode
