// Text as JSON strings: UTF-8 is checked and what JSON wants escaped is escaped, in one pass.
#pragma once

#include <cstddef>

#include "bits.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace encode {

// What writers may store beyond the end of what they write, so that they can store whole registers.
constexpr size_t SLACK = 64;

// A text, and up to where the memory behind it can be read. No text at all stands for a null.
struct Ref {
    const char* text;
    size_t size;
    const char* readable;

    bool can_read(ptrdiff_t bytes) const { return readable - text >= bytes; }
};

// Sixteen bytes, and which of them are no plain ASCII: above it, below the space, quote, backslash.
class Sixteen {
  public:
    explicit Sixteen(const char* from) {
#if defined(__SSE2__)
        bytes_ = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
#elif defined(__ARM_NEON) && defined(__aarch64__)
        bytes_ = vld1q_s8(reinterpret_cast<const int8_t*>(from));
#else
        std::memcpy(bytes_, from, 16);
#endif
    }

    void store_to(char* out) const {
#if defined(__SSE2__)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes_);
#elif defined(__ARM_NEON) && defined(__aarch64__)
        vst1q_s8(reinterpret_cast<int8_t*>(out), bytes_);
#else
        std::memcpy(out, bytes_, 16);
#endif
    }

    // Returns one bit for each such byte, the first lowest.
    uint32_t special() const {
        // As signed numbers, bytes above ASCII are below the space too.
#if defined(__SSE2__)
        const __m128i low = _mm_cmplt_epi8(bytes_, _mm_set1_epi8(' '));
        const __m128i quote = _mm_cmpeq_epi8(bytes_, _mm_set1_epi8('"'));
        const __m128i backslash = _mm_cmpeq_epi8(bytes_, _mm_set1_epi8('\\'));
        const __m128i special = _mm_or_si128(low, _mm_or_si128(quote, backslash));
        return static_cast<uint32_t>(_mm_movemask_epi8(special));
#elif defined(__ARM_NEON) && defined(__aarch64__)
        const uint8x16_t low = vcltq_s8(bytes_, vdupq_n_s8(' '));
        const uint8x16_t quote = vceqq_s8(bytes_, vdupq_n_s8('"'));
        const uint8x16_t backslash = vceqq_s8(bytes_, vdupq_n_s8('\\'));
        const uint8x16_t special = vorrq_u8(low, vorrq_u8(quote, backslash));
        static constexpr uint8_t BITS[16] = {1, 2, 4, 8, 16, 32, 64, 128,
                                             1, 2, 4, 8, 16, 32, 64, 128};
        const uint8x16_t bits = vandq_u8(special, vld1q_u8(BITS));
        return vaddv_u8(vget_low_u8(bits)) | static_cast<uint32_t>(vaddv_u8(vget_high_u8(bits))) << 8;
#else
        uint32_t special = 0;
        for (int place = 0; place < 16; ++place) {
            const signed char byte = bytes_[place];
            special |= static_cast<uint32_t>(byte < ' ' || byte == '"' || byte == '\\') << place;
        }
        return special;
#endif
    }

  private:
#if defined(__SSE2__)
    __m128i bytes_;
#elif defined(__ARM_NEON) && defined(__aarch64__)
    int8x16_t bytes_;
#else
    signed char bytes_[16];
#endif
};

// The most bytes of one byte: \u001f.
constexpr size_t ESCAPE_ROOM = 6;

// For longer texts it is worth to count what they need.
constexpr size_t LONG_TEXT = 4096;

// Returns the bytes that a text takes in quotes, or more; exact where the text is long.
size_t quoted_bound(const char* text, size_t size);

// Writes the text without quotes, whatever its length. Returns null where it is not UTF-8.
char* write_escaped(const Ref& ref, char* out);

// Writes the text in quotes. Returns null where it is not UTF-8.
inline char* write_quoted(const Ref& ref, char* out) {
    *out = '"';
    out = write_escaped(ref, out + 1);
    if (out == nullptr) return nullptr;
    *out = '"';
    return out + 1;
}

// The same for a text of at most 16 * `steps` bytes, in so many steps whatever its length: lengths
// differ from row to row, and a loop that ends differently each time is what processors are slow at.
template <int steps>
ENCODE_INLINE char* write_short_quoted(const Ref& ref, char* out) {
    static_assert(steps <= 4, "one bit for each byte");
    if (!ENCODE_LIKELY(ref.can_read(16 * steps))) return write_quoted(ref, out);
    uint64_t special = 0;
    for (int step = 0; step < steps; ++step) {
        const Sixteen bytes(ref.text + 16 * step);
        bytes.store_to(out + 1 + 16 * step);
        special |= static_cast<uint64_t>(bytes.special()) << 16 * step;
    }
    // Shifted in two: by 64 is undefined.
    const uint64_t behind = ~uint64_t{0} << (ref.size / 2) << (ref.size - ref.size / 2);
    if (!ENCODE_LIKELY((special & ~behind) == 0)) return write_quoted(ref, out);
    *out = '"';
    out[1 + ref.size] = '"';
    return out + ref.size + 2;
}

// Copies a text as it is.
inline char* write_copy(const Ref& ref, char* out) {
    if (ref.size <= 32 && ref.can_read(32)) {
        copy<32>(out, ref.text);
    } else {
        std::memcpy(out, ref.text, ref.size);
    }
    return out + ref.size;
}

}  // namespace encode
