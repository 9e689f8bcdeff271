// How one value of each type of limited length is written: numbers, booleans, dates and times.
#pragma once

#include <type_traits>

#include "calendar.h"
#include "decimals.h"
#include "digits.h"
#include "floats.h"

namespace encode {

// A writer has `value(row, out)`: it writes what is not null and returns its end, or null if the
// value is refused. How many bytes it takes at most is told by room().
//
// Writers of numbers have `find(first, count, digits)`, too: it finds the digits of a tile, if all are
// of the usual size, and `found(digits, out)` writes a number from them.

// Collects the numbers of a tile as they are stored; false if one is negative or too large.
template <class Stored, int stride>
ENCODE_INLINE bool find_digits(const uint8_t* values, int count, TileDigits& digits) {
    uint64_t upper = 0;
    uint32_t too_large = 0;
    for (int row = 0; row < count; ++row) {
        const uint64_t number = static_cast<uint64_t>(load<Stored>(values + row * stride));
        const uint32_t lower = static_cast<uint32_t>(number);
        upper |= number >> 32;
        too_large |= lower >= TEN_8;
        digits.numbers[row] = lower;
    }
    if ((upper | too_large) != 0) return false;
    for (int row = count; row < TILE; ++row) digits.numbers[row] = 0;
    digits.find();
    return true;
}

template <class Stored>
struct Integers {
    const uint8_t* values;

    static constexpr size_t room() { return sizeof(Stored) == 8 ? 20 : sizeof(Stored) == 4 ? 11 : 6; }
    ENCODE_INLINE char* value(int64_t row, char* out) const {
        const Stored number = load<Stored>(values + row * static_cast<int64_t>(sizeof(Stored)));
        if constexpr (std::is_signed_v<Stored>) {
            return write_signed(number, out);
        } else {
            return write_unsigned(number, out);
        }
    }

    bool find(int64_t first, int count, TileDigits& digits) const {
        constexpr int width = sizeof(Stored);
        return find_digits<Stored, width>(values + first * width, count, digits);
    }
    ENCODE_INLINE char* found(uint64_t digits, char* out) const {
        return write_digits(digits, out);
    }
};

inline char* write_bool(bool value, char* out) {
    copy<8>(out, value ? "true\0\0\0" : "false\0\0");
    return out + (value ? 4 : 5);
}

struct Booleans {
    const uint8_t* bits;
    int64_t offset;

    static constexpr size_t room() { return 5; }
    ENCODE_INLINE char* value(int64_t row, char* out) const {
        const int64_t bit = offset + row;
        return write_bool((bits[bit >> 3] >> (bit & 7) & 1) != 0, out);
    }
};

// The extension type bool8: true unless 0.
struct ByteBooleans {
    const uint8_t* values;

    static constexpr size_t room() { return 5; }
    ENCODE_INLINE char* value(int64_t row, char* out) const { return write_bool(values[row] != 0, out); }
};

// Floats of all widths; what JSON cannot say becomes null and is counted.
template <class Stored, bool (*finite)(Stored), char* (*write)(Stored, char*)>
struct Floats {
    const uint8_t* values;
    uint64_t* lost;

    static constexpr size_t room() { return FLOAT_ROOM; }
    ENCODE_INLINE char* value(int64_t row, char* out) const {
        const Stored number = load<Stored>(values + row * static_cast<int64_t>(sizeof(Stored)));
        if (finite(number)) return write(number, out);
        ++*lost;
        copy<4>(out, "null");
        return out + 4;
    }
};

template <class Stored>
struct Decimals {
    const uint8_t* values;
    int scale;

    size_t room() const {
        constexpr int digits = sizeof(Stored) == 16 ? 39 : sizeof(Stored) == 8 ? 19 : 10;
        return decimal_room(digits, scale);
    }
    ENCODE_INLINE char* value(int64_t row, char* out) const {
        const Stored number = load<Stored>(values + row * static_cast<int64_t>(sizeof(Stored)));
        return write_decimal(static_cast<int128>(number), scale, out);
    }

    bool find(int64_t first, int count, TileDigits& digits) const {
        constexpr int width = sizeof(Stored);
        if (!has_point_inside(scale)) return false;
        const uint8_t* const from = values + first * width;
        if constexpr (width == 16) {
            uint64_t upper = 0;
            for (int row = 0; row < count; ++row) upper |= load<uint64_t>(from + row * width + 8);
            return upper == 0 && find_digits<uint64_t, width>(from, count, digits);
        } else {
            return find_digits<Stored, width>(from, count, digits);
        }
    }
    ENCODE_INLINE char* found(uint64_t digits, char* out) const {
        return write_point(digits, scale, out);
    }
};

struct Decimals256 {
    const uint8_t* values;
    int scale;

    size_t room() const { return decimal_room(78, scale); }
    ENCODE_INLINE char* value(int64_t row, char* out) const {
        return write_decimal_256(values + row * 32, scale, out);
    }
};

struct Days {
    const uint8_t* values;
    const Calendar& calendar;

    static constexpr size_t room() { return 12; }
    ENCODE_INLINE char* value(int64_t row, char* out) const {
        const int32_t day = load<int32_t>(values + row * 4);
        return FIRST_DAY <= day && day <= LAST_DAY ? calendar.write_date(day, out) : nullptr;
    }
};

struct DaysInMilliseconds {
    const uint8_t* values;
    const Calendar& calendar;

    static constexpr size_t room() { return 12; }
    ENCODE_INLINE char* value(int64_t row, char* out) const {
        constexpr int64_t day_length = DAY_SECONDS * 1'000;
        const int64_t stored = load<int64_t>(values + row * 8);
        const int64_t day = stored / day_length;
        const bool fits = day * day_length == stored && FIRST_DAY <= day && day <= LAST_DAY;
        return fits ? calendar.write_date(day, out) : nullptr;
    }
};

template <class Stored, int64_t per_second>
struct Times {
    const uint8_t* values;

    static constexpr size_t room() { return 20; }
    ENCODE_INLINE char* value(int64_t row, char* out) const {
        const int64_t time = load<Stored>(values + row * static_cast<int64_t>(sizeof(Stored)));
        if (time < 0 || time >= DAY_SECONDS * per_second) return nullptr;
        *out = '"';
        out = write_clock(static_cast<uint32_t>(time / per_second), out + 1);
        out = write_fraction<per_second>(static_cast<uint32_t>(time % per_second), out);
        *out = '"';
        return out + 1;
    }
};

template <int64_t per_second>
struct Timestamps {
    const uint8_t* values;
    const Calendar& calendar;
    bool instant;  // of a zone: told in UTC

    static constexpr size_t room() { return 32; }
    ENCODE_INLINE char* value(int64_t row, char* out) const {
        const int64_t time = load<int64_t>(values + row * 8);
        const int64_t second = floor_div(time, per_second);
        const int64_t day = floor_div(second, DAY_SECONDS);
        if (day < FIRST_DAY || day > LAST_DAY) return nullptr;
        out = calendar.write_date(day, out);
        out[-1] = 'T';  // in place of the quote
        out = write_clock(static_cast<uint32_t>(second - day * DAY_SECONDS), out);
        out = write_fraction<per_second>(static_cast<uint32_t>(time - second * per_second), out);
        *out = 'Z';
        out += instant;
        *out = '"';
        return out + 1;
    }
};

// The extension type uuid: canonical text.
struct Uuids {
    const uint8_t* values;

    static constexpr size_t room() { return 38; }
    ENCODE_INLINE char* value(int64_t row, char* out) const {
        const uint8_t* bytes = values + row * 16;
        *out++ = '"';
        for (int place = 0; place < 16; ++place) {
            if (place == 4 || place == 6 || place == 8 || place == 10) *out++ = '-';
            *out++ = "0123456789abcdef"[bytes[place] >> 4];
            *out++ = "0123456789abcdef"[bytes[place] & 15];
        }
        *out = '"';
        return out + 1;
    }
};

struct Nulls {
    static constexpr size_t room() { return 4; }
    ENCODE_INLINE char* value(int64_t, char* out) const {
        copy<4>(out, "null");
        return out + 4;
    }
};

// Wraps what another writer writes in quotes, but for null.
template <class Writer>
struct Quoted {
    Writer writer;

    size_t room() const { return writer.room() + 2; }
    ENCODE_INLINE char* value(int64_t row, char* out) const {
        *out = '"';
        char* const end = writer.value(row, out + 1);
        if (end == nullptr) return nullptr;
        if (out[1] == 'n') {
            copy<4>(out, "null");
            return out + 4;
        }
        *end = '"';
        return end + 1;
    }
};

}  // namespace encode
