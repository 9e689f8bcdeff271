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

    bool ref(int64_t row, Ref& ref) const {
        const Offset begin = at(row);
        ref = {data_ + begin, static_cast<size_t>(at(row + 1) - begin), end_};
        return true;
    }

  private:
    Offset at(int64_t row) const {
        return load<Offset>(offsets_ + row * static_cast<int64_t>(sizeof(Offset)));
    }

    const char* offsets_;
    const char* data_;
    const char* end_;
};

// A view holds its length and, up to twelve bytes, the text itself; else where the text is.
class Views {
  public:
    explicit Views(const ArrowArray& array)
        : views_(static_cast<const char*>(array.buffers[1]) + array.offset * 16),
          end_(views_ + array.length * 16),
          buffers_(array.buffers + 2),
          count_(array.n_buffers - 3),
          sizes_(static_cast<const char*>(array.buffers[array.n_buffers - 1])) {}

    bool ref(int64_t row, Ref& ref) const {
        const char* const view = views_ + row * 16;
        const int32_t size = load<int32_t>(view);
        if (size <= 12) {
            ref = {view + 4, static_cast<size_t>(size), end_};
            return size >= 0;
        }
        const int32_t buffer = load<int32_t>(view + 8);
        const int32_t begin = load<int32_t>(view + 12);
        if (buffer < 0 || buffer >= count_ || begin < 0) return false;
        const int64_t available = load<int64_t>(sizes_ + int64_t{8} * buffer);
        if (int64_t{begin} + size > available) return false;
        const char* const data = static_cast<const char*>(buffers_[buffer]);
        ref = {data + begin, static_cast<size_t>(size), data + available};
        return true;
    }

  private:
    const char* views_;
    const char* end_;
    const void** buffers_;
    int64_t count_;
    const char* sizes_;
};

class FixedWidth {
  public:
    FixedWidth(const ArrowArray& array, int64_t width)
        : data_(static_cast<const char*>(array.buffers[1]) + array.offset * width), width_(width) {}

    bool ref(int64_t row, Ref& ref) const {
        const char* const text = data_ + row * width_;
        ref = {text, static_cast<size_t>(width_), text + width_};
        return true;
    }

  private:
    const char* data_;
    int64_t width_;
};

}  // namespace encode
