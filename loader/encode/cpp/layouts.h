// Where the bytes of a text or binary value are, in each of Arrow's layouts.
#pragma once

#include "abi.h"
#include "bits.h"
#include "text.h"

namespace encode {

template <class Offset>
class Spans {
  public:
    explicit Spans(const ArrowArray& array)
        : offsets_(static_cast<const char*>(array.buffers[1]) +
                   array.offset * static_cast<int64_t>(sizeof(Offset))),
          data_(static_cast<const char*>(array.buffers[2])) {
        // An array of empty texts may have no data.
        if (data_ == nullptr) data_ = "";
        end_ = data_ + at(array.length);
    }

    ENCODE_INLINE bool ref(int64_t row, Ref& ref) const {
        const Offset begin = at(row);
        ref = {data_ + begin, static_cast<size_t>(at(row + 1) - begin), end_};
        return true;
    }

    // Tells the sizes alone.
    void sizes(int64_t first, int count, size_t* sizes) const {
        for (int row = 0; row < count; ++row)
            sizes[row] = static_cast<size_t>(at(first + row + 1) - at(first + row));
    }

  private:
    Offset at(int64_t row) const {
        return load<Offset>(offsets_ + row * static_cast<int64_t>(sizeof(Offset)));
    }

    const char* offsets_;
    const char* data_;
    const char* end_;
};

// A view holds its length and, up to twelve bytes, the text itself; else where the text is. Short and
// long texts mix, so which of the two is told without a branch.
class Views {
  public:
    explicit Views(const ArrowArray& array)
        : views_(static_cast<const char*>(array.buffers[1]) + array.offset * 16),
          end_(views_ + array.length * 16),
          count_(array.n_buffers - 3) {
        if (count_ > 0) {
            buffers_ = array.buffers + 2;
            sizes_ = static_cast<const char*>(array.buffers[array.n_buffers - 1]);
        }
    }

    ENCODE_INLINE bool ref(int64_t row, Ref& ref) const {
        const char* const view = views_ + row * 16;
        const int64_t size = load<int32_t>(view);
        const bool is_long = size > 12;
        const int64_t buffer = is_long ? load<int32_t>(view + 8) : 0;
        const int64_t begin = is_long ? load<int32_t>(view + 12) : 0;
        const bool no_buffer = is_long & (static_cast<uint64_t>(buffer) >= count());
        if (no_buffer | (size < 0) | (begin < 0)) return false;
        const char* const data = static_cast<const char*>(buffers_[buffer]);
        const int64_t available = load<int64_t>(sizes_ + 8 * buffer);
        if (is_long & (begin + size > available)) return false;
        const uintptr_t inside = reinterpret_cast<uintptr_t>(view + 4);
        const uintptr_t outside = reinterpret_cast<uintptr_t>(data) + static_cast<uintptr_t>(begin);
        const uintptr_t end = reinterpret_cast<uintptr_t>(data) + static_cast<uintptr_t>(available);
        const uintptr_t mask = uintptr_t{0} - is_long;
        ref.text = reinterpret_cast<const char*>((outside & mask) | (inside & ~mask));
        ref.size = static_cast<size_t>(size);
        ref.readable = reinterpret_cast<const char*>(
            (end & mask) | (reinterpret_cast<uintptr_t>(end_) & ~mask));
        return true;
    }

    void sizes(int64_t first, int count, size_t* sizes) const {
        for (int row = 0; row < count; ++row)
            sizes[row] = load<uint32_t>(views_ + (first + row) * 16);
    }

  private:
    uint64_t count() const { return static_cast<uint64_t>(count_); }

    // Of an array with no buffer but its views.
    static constexpr int64_t NO_SIZE = 0;
    static inline const void* const NO_BUFFER[1] = {nullptr};

    const char* views_;
    const char* end_;
    int64_t count_;
    const void* const* buffers_ = NO_BUFFER;
    const char* sizes_ = reinterpret_cast<const char*>(&NO_SIZE);
};

class FixedWidth {
  public:
    FixedWidth(const ArrowArray& array, int64_t width)
        : data_(static_cast<const char*>(array.buffers[1]) + array.offset * width), width_(width) {}

    ENCODE_INLINE bool ref(int64_t row, Ref& ref) const {
        const char* const text = data_ + row * width_;
        ref = {text, static_cast<size_t>(width_), text + width_};
        return true;
    }

  private:
    const char* data_;
    int64_t width_;
};

}  // namespace encode
