// Columns of values of limited length: the loops over their writers, and which writer is whose.
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "sinks.h"
#include "source.h"
#include "writers.h"

namespace encode {
namespace {

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
