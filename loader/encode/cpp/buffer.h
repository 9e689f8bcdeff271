// Text that grows, and text that is kept for a tile.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "text.h"

namespace encode {

// Grows at its end. Has always SLACK bytes behind what it holds.
class Buffer {
  public:
    Buffer() = default;
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    ~Buffer() { std::free(begin_); }

    size_t size() const { return size_; }
    const char* begin() const { return begin_; }
    void clear() { size_ = 0; }
    void cut(size_t size) { size_ = size; }

    // Returns where so many bytes can be written; `end` says how far they were.
    char* room(size_t bytes) {
        if (capacity_ - size_ < bytes + SLACK || begin_ == nullptr) grow(bytes + SLACK);
        return begin_ + size_;
    }
    void end(const char* end) { size_ = static_cast<size_t>(end - begin_); }

    void append(const char* text, size_t bytes) {
        char* out = room(bytes);
        std::memcpy(out, text, bytes);
        size_ += bytes;
    }
    void append(char c) {
        *room(1) = c;
        ++size_;
    }
    void append_null() { append("null", 4); }

    // Appends a text in quotes, or nothing if it is not UTF-8.
    bool append_quoted(const Ref& ref) {
        char* out = write_quoted(ref, room(quoted_bound(ref.text, ref.size)));
        if (out == nullptr) return false;
        end(out);
        return true;
    }

    Ref ref(size_t from) const { return {begin_ + from, size_ - from, begin_ + size_ + SLACK}; }

  private:
    void grow(size_t bytes) {
        const size_t capacity = (size_ + bytes) * 2;
        void* memory = std::realloc(begin_, capacity);
        if (memory == nullptr) throw std::bad_alloc();
        begin_ = static_cast<char*>(memory);
        std::memset(begin_ + size_, 0, capacity - size_);  // what is behind a text is read as well
        capacity_ = capacity;
    }

    char* begin_ = nullptr;
    size_t size_ = 0;
    size_t capacity_ = 0;
};

// The texts of one tile: written one after the other, told when all are there.
class TileTexts {
  public:
    void begin() {
        buffer_.clear();
        places_.clear();
    }
    Buffer& buffer() { return buffer_; }

    // Ends the text of the next row, which begins where the one before ended.
    void end_row() { places_.push_back(buffer_.size()); }

    void tell(Ref* refs) const {
        size_t from = 0;
        const char* const readable = buffer_.begin() + buffer_.size() + SLACK;
        for (size_t row = 0; row < places_.size(); ++row) {
            refs[row] = {buffer_.begin() + from, places_[row] - from, readable};
            from = places_[row];
        }
    }

  private:
    Buffer buffer_;
    std::vector<size_t> places_;
};

}  // namespace encode
