// Types whose texts have a limited length: numbers, booleans, dates and times.
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "calendar.h"
#include "decimals.h"
#include "digits.h"
#include "floats.h"
#include "sinks.h"
#include "source.h"

namespace encode {
namespace {

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

template <class Writer, class = void>
constexpr bool FINDS_DIGITS = false;
template <class Writer>
constexpr bool FINDS_DIGITS<Writer, std::void_t<decltype(&Writer::find)>> = true;

template <class Writer>
class Fixed final : public Source {
  public:
    Fixed(const Writer& writer, const Validity& validity)
        : Source(room_of(writer)), writer_(writer), validity_(validity) {}

    // Where a float is to count what it loses.
    uint64_t* counter() { return &lost_; }
    Writer& writer() { return writer_; }

    char* run(int64_t first, int count, char* out) override {
        Chain chain{out};
        return write(first, count, chain) ? chain.out : nullptr;
    }

    bool append(int64_t first, int count, char opening, char** ends) override {
        SideBySide rows{opening, ends};
        return write(first, count, rows);
    }

    bool render(int64_t row, Buffer& out) override {
        char* const end = any(writer_, row, validity_[row], out.room(room()));
        if (end == nullptr) return false;
        out.end(end);
        return true;
    }

  private:
    template <class Sink>
    ENCODE_INLINE bool write(int64_t first, int count, Sink& sink) const {
        const Writer writer = writer_;  // a copy that no store can be thought to change
        const uint64_t valid = validity_.window(first, count);
        if (valid != ~uint64_t{0}) {
            for (int row = 0; row < count; ++row) {
                char* const end = any(writer, first + row, valid >> row & 1, sink.begin(row));
                if (end == nullptr) return false;
                sink.end(row, end);
            }
            return true;
        }
        if constexpr (FINDS_DIGITS<Writer>) {
            TileDigits digits;
            if (writer.find(first, count, digits)) {
                for (int row = 0; row < count; ++row)
                    sink.end(row, writer.found(digits.digits[row], sink.begin(row)));
                return true;
            }
        }
        for (int row = 0; row < count; ++row) {
            char* const end = writer.value(first + row, sink.begin(row));
            if (end == nullptr) return false;
            sink.end(row, end);
        }
        return true;
    }

    static size_t room_of(const Writer& writer) { return writer.room() < 4 ? 4 : writer.room(); }

    static ENCODE_INLINE char* any(const Writer& writer, int64_t row, bool valid, char* out) {
        if (valid) return writer.value(row, out);
        copy<4>(out, "null");
        return out + 4;
    }

    Writer writer_;
    Validity validity_;
};

template <class Writer>
SourcePtr fixed(const Writer& writer, const ArrowArray& array) {
    return std::make_unique<Fixed<Writer>>(writer, validity_of(array));
}

// Numbers and the like: JSON that has no quotes of its own.
template <class Writer>
SourcePtr bare(const Writer& writer, const ArrowArray& array, unsigned mode) {
    if (mode & (QUOTED | AS_STRING)) return fixed(Quoted<Writer>{writer}, array);
    return fixed(writer, array);
}

template <class Writer>
SourcePtr floats(const uint8_t* values, const ArrowArray& array, unsigned mode) {
    if (mode & (QUOTED | AS_STRING)) {
        using Wrapped = Fixed<Quoted<Writer>>;
        auto source = std::make_unique<Wrapped>(Quoted<Writer>{{values, nullptr}}, validity_of(array));
        source->writer().writer.lost = source->counter();
        return source;
    }
    auto source = std::make_unique<Fixed<Writer>>(Writer{values, nullptr}, validity_of(array));
    source->writer().lost = source->counter();
    return source;
}

// Reads `d:precision,scale` or `d:precision,scale,bits`.
SourcePtr decimals(const char* format, const uint8_t* data, const ArrowArray& array, unsigned mode) {
    char* end = nullptr;
    std::strtol(format + 2, &end, 10);
    if (*end != ',') return nullptr;
    const long scale = std::strtol(end + 1, &end, 10);
    const long bits = *end == ',' ? std::strtol(end + 1, &end, 10) : 128;
    if (*end != '\0' || scale > LARGEST_SCALE || scale < -LARGEST_SCALE) return nullptr;
    const int digits = static_cast<int>(scale);
    const uint8_t* values = data + array.offset * (bits / 8);
    switch (bits) {
        case 32: return bare(Decimals<int32_t>{values, digits}, array, mode);
        case 64: return bare(Decimals<int64_t>{values, digits}, array, mode);
        case 128: return bare(Decimals<int128>{values, digits}, array, mode);
        case 256: return bare(Decimals256{values, digits}, array, mode);
        default: return nullptr;
    }
}

SourcePtr timestamps(const char* format, const uint8_t* values, const ArrowArray& array) {
    const Calendar& calendar = Calendar::shared();
    const bool instant = format[3] == ':' && format[4] != '\0';
    switch (format[2]) {
        case 's': return fixed(Timestamps<1>{values, calendar, instant}, array);
        case 'm': return fixed(Timestamps<1'000>{values, calendar, instant}, array);
        case 'u': return fixed(Timestamps<1'000'000>{values, calendar, instant}, array);
        case 'n': return fixed(Timestamps<1'000'000'000>{values, calendar, instant}, array);
        default: return nullptr;
    }
}

// Formats that begin with t: dates, times, timestamps, durations.
SourcePtr temporal(const char* format, const uint8_t* data, const ArrowArray& array, unsigned mode) {
    const uint8_t* fours = data + array.offset * 4;
    const uint8_t* eights = data + array.offset * 8;
    if (format[1] == 's') return timestamps(format, eights, array);
    if (format[1] == 'D') return bare(Integers<int64_t>{eights}, array, mode);
    if (!std::strcmp(format, "tdD")) return fixed(Days{fours, Calendar::shared()}, array);
    if (!std::strcmp(format, "tdm"))
        return fixed(DaysInMilliseconds{eights, Calendar::shared()}, array);
    if (!std::strcmp(format, "tts")) return fixed(Times<int32_t, 1>{fours}, array);
    if (!std::strcmp(format, "ttm")) return fixed(Times<int32_t, 1'000>{fours}, array);
    if (!std::strcmp(format, "ttu")) return fixed(Times<int64_t, 1'000'000>{eights}, array);
    if (!std::strcmp(format, "ttn")) return fixed(Times<int64_t, 1'000'000'000>{eights}, array);
    return nullptr;  // intervals, which are in no row of the type table
}

}  // namespace

SourcePtr fixed_source(const char* format, const ArrowArray& array, unsigned mode) {
    if (!std::strcmp(format, "n") || array.length == 0) {  // the latter may have no buffers
        return std::make_unique<Fixed<Nulls>>(Nulls{}, Validity());
    }
    if (array.n_buffers < 2) return nullptr;
    const uint8_t* data = static_cast<const uint8_t*>(array.buffers[1]);
    if (!std::strncmp(format, "d:", 2)) return decimals(format, data, array, mode);
    if (format[0] == 't') return temporal(format, data, array, mode);
    if (!std::strcmp(format, "bool8"))
        return bare(ByteBooleans{data + array.offset}, array, mode);
    if (format[0] == '\0' || format[1] != '\0') return nullptr;
    const auto from = [&](int64_t width) { return data + array.offset * width; };
    switch (format[0]) {
        case 'b': return bare(Booleans{data, array.offset}, array, mode);
        case 'c': return bare(Integers<int8_t>{from(1)}, array, mode);
        case 'C': return bare(Integers<uint8_t>{from(1)}, array, mode);
        case 's': return bare(Integers<int16_t>{from(2)}, array, mode);
        case 'S': return bare(Integers<uint16_t>{from(2)}, array, mode);
        case 'i': return bare(Integers<int32_t>{from(4)}, array, mode);
        case 'I': return bare(Integers<uint32_t>{from(4)}, array, mode);
        case 'l': return bare(Integers<int64_t>{from(8)}, array, mode);
        case 'L': return bare(Integers<uint64_t>{from(8)}, array, mode);
        case 'e':
            return floats<Floats<uint16_t, is_finite_half, write_half>>(from(2), array, mode);
        case 'f': return floats<Floats<float, is_finite, write_float>>(from(4), array, mode);
        case 'g': return floats<Floats<double, is_finite, write_double>>(from(8), array, mode);
        default: return nullptr;
    }
}

SourcePtr uuid_source(const ArrowArray& array) {
    if (array.n_buffers < 2) return nullptr;
    const uint8_t* data = static_cast<const uint8_t*>(array.buffers[1]);
    return fixed(Uuids{data + array.offset * 16}, array);
}

}  // namespace encode
