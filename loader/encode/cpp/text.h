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

    // Returns the place of the first such byte; 16 or more if there is none.
    int first_special() const {
        // As signed numbers, bytes above ASCII are below the space too.
#if defined(__SSE2__)
        const __m128i low = _mm_cmplt_epi8(bytes_, _mm_set1_epi8(' '));
        const __m128i quote = _mm_cmpeq_epi8(bytes_, _mm_set1_epi8('"'));
        const __m128i backslash = _mm_cmpeq_epi8(bytes_, _mm_set1_epi8('\\'));
        const __m128i special = _mm_or_si128(low, _mm_or_si128(quote, backslash));
        return __builtin_ctz(static_cast<unsigned>(_mm_movemask_epi8(special)) | 1u << 16);
#elif defined(__ARM_NEON) && defined(__aarch64__)
        const uint8x16_t low = vcltq_s8(bytes_, vdupq_n_s8(' '));
        const uint8x16_t quote = vceqq_s8(bytes_, vdupq_n_s8('"'));
        const uint8x16_t backslash = vceqq_s8(bytes_, vdupq_n_s8('\\'));
        const uint8x16_t special = vorrq_u8(low, vorrq_u8(quote, backslash));
        const uint8x8_t halves = vshrn_n_u16(vreinterpretq_u16_u8(special), 4);
        const uint64_t nibbles = vget_lane_u64(vreinterpret_u64_u8(halves), 0);
        return nibbles == 0 ? 16 : __builtin_ctzll(nibbles) >> 2;
#else
        int place = 0;
        while (place < 16 && bytes_[place] >= ' ' && bytes_[place] != '"' && bytes_[place] != '\\')
            ++place;
        return place;
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

// Writes the one byte or the run of bytes at `*text` that are no plain ASCII, and moves on. Returns
// null where they are not UTF-8.
char* write_special(const char** text, const char* end, char* out);

// Returns the bytes that a text takes in quotes, or more; exact where the text is long.
size_t quoted_bound(const char* text, size_t size);

// Writes the text without quotes. Returns null where it is not UTF-8.
inline char* write_escaped(const Ref& ref, char* out) {
    const char* at = ref.text;
    const char* const end = at + ref.size;
    while (at < end) {
        const size_t left = static_cast<size_t>(end - at);
        const size_t take = left < 16 ? left : 16;
        if (take < 16 && ref.readable - at < 16) {
            char padded[16] = {};  // at the very end of the memory that may be read
            std::memcpy(padded, at, take);
            const Sixteen last(padded);
            last.store_to(out);
            const size_t plain = static_cast<size_t>(last.first_special());
            if (plain >= take) return out + take;
            at += plain;
            out += plain;
        } else {
            const Sixteen bytes(at);
            bytes.store_to(out);
            const size_t plain = static_cast<size_t>(bytes.first_special());
            if (plain >= take) {
                at += take;
                out += take;
                continue;
            }
            at += plain;
            out += plain;
        }
        out = write_special(&at, end, out);
        if (out == nullptr) return nullptr;
    }
    return out;
}

// Writes the text in quotes. Returns null where it is not UTF-8.
inline char* write_quoted(const Ref& ref, char* out) {
    *out = '"';
    out = write_escaped(ref, out + 1);
    if (out == nullptr) return nullptr;
    *out = '"';
    return out + 1;
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
