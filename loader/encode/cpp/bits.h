// Loads, stores and bitmaps. Arrow asks for aligned buffers but does not insist, so everything is
// read through memcpy, which compiles to a plain load.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "digits are put together in registers for little-endian machines; others take the Python path"
#endif
#if !defined(__SIZEOF_INT128__)
#error "decimals and floats need 128-bit integers; compilers without them take the Python path"
#endif

// For what loops over values are made of: compilers think it too long to repeat.
#define ENCODE_INLINE inline __attribute__((always_inline))

// What nearly every value is, or is not.
#define ENCODE_LIKELY(condition) __builtin_expect(!!(condition), 1)

namespace encode {

__extension__ using uint128 = unsigned __int128;
__extension__ using int128 = __int128;

template <class T>
inline T load(const void* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class T>
inline void store(void* to, T value) {
    std::memcpy(to, &value, sizeof value);
}

// Copies a fixed number of bytes: one or two vector moves, however few of them are wanted.
template <size_t size>
inline void copy(char* to, const char* from) {
    std::memcpy(to, from, size);
}

// Which values of an array are not null.
class Validity {
  public:
    Validity() = default;
    Validity(const void* bitmap, int64_t offset, int64_t length)
        : bitmap_(static_cast<const uint8_t*>(bitmap)), offset_(offset), length_(length) {}

    bool operator[](int64_t row) const {
        if (bitmap_ == nullptr) return true;
        const int64_t bit = offset_ + row;
        return (bitmap_[bit >> 3] >> (bit & 7) & 1) != 0;
    }

    // Returns the bits of up to 64 rows, those beyond as valid: all ones means no null among them.
    uint64_t window(int64_t first, int count) const {
        if (bitmap_ == nullptr) return ~uint64_t{0};
        const int64_t bit = offset_ + first;
        const uint8_t* from = bitmap_ + (bit >> 3);
        const int shift = static_cast<int>(bit & 7);
        const int bytes = (shift + count + 7) / 8;
        uint64_t low = 0;
        std::memcpy(&low, from, bytes < 8 ? static_cast<size_t>(bytes) : 8);
        low >>= shift;
        if (bytes > 8) low |= static_cast<uint64_t>(from[8]) << (64 - shift);
        return count < 64 ? low | ~uint64_t{0} << count : low;
    }

    int64_t length() const { return length_; }

  private:
    const uint8_t* bitmap_ = nullptr;
    int64_t offset_ = 0;
    int64_t length_ = 0;
};

}  // namespace encode
