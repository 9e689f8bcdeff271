// A column that can be written: what every type of the type table looks like to the code that puts
// values together into columns and rows.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "abi.h"
#include "bits.h"
#include "buffer.h"
#include "digits.h"
#include "text.h"

namespace encode {

// How a column is told, beyond what its Arrow type says (loader/model/types.py).
enum Mode : unsigned {
    QUOTED = 1,      // as JSON text, whatever its own JSON is
    AS_STRING = 2,   // as STRING: the same, unless the type is told as text anyway
    AS_NUMBER = 4,   // as BIGDECIMAL: a text has to be a number
    EXTENDED = 8,    // its type is built with extension types
    WRITTEN = 16,    // its texts are JSON already
    FOREIGN = 32,    // not to be looked at
};

class Source {
  public:
    explicit Source(size_t room = 0) : room_(room) {}
    virtual ~Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;

    // Values are written tile by tile, each tile after it was measured. All functions return null or
    // false where a value has no text under the rules of the type table, and then the Python path
    // finds out which and why.

    // The most bytes a value takes, where that is the same for all values.
    size_t room() const { return room_; }

    // Adds the most bytes that the values of up to TILE rows take beyond room().
    virtual bool measure(int64_t, int, size_t*) { return true; }

    // Writes values with a comma behind each, and returns the end.
    virtual char* run(int64_t first, int count, char* out) = 0;

    // Writes values, each with a byte before it, to where the end of its row is, and moves that on.
    virtual bool append(int64_t first, int count, char opening, char** ends) = 0;

    // Appends the JSON of one value, null as null.
    virtual bool render(int64_t row, Buffer& out) = 0;

    // Appends the JSON of a value inside a nested one, where nested JSON needs no quotes.
    virtual bool member(int64_t row, Buffer& out) { return render(row, out); }

    // Counts NaN and infinities that were written as null.
    uint64_t lost() const { return lost_; }

  protected:
    uint64_t lost_ = 0;

  private:
    size_t room_;
};

using SourcePtr = std::unique_ptr<Source>;

// Returns how to write an array; null where its type takes the Python path.
SourcePtr source_of(const ArrowSchema& schema, const ArrowArray& array, unsigned mode, int depth = 0);

// The parts of source_of, by kinds of types. `format` is the type's own, without its wrapping.
SourcePtr fixed_source(const char* format, const ArrowArray& array, unsigned mode);
SourcePtr text_source(const char* format, const ArrowArray& array, unsigned mode);
SourcePtr dictionary_source(const char* index_format, const ArrowArray& array, SourcePtr entries);
SourcePtr run_end_source(const char* end_format, const ArrowArray& array, SourcePtr values);
SourcePtr nested_source(const ArrowSchema& schema, const ArrowArray& array,
                        std::vector<SourcePtr> children);
SourcePtr uuid_source(const ArrowArray& array);

// The validity of an array; of one that is known to have no nulls it looks at no bits.
inline Validity validity_of(const ArrowArray& array) {
    const bool any = array.null_count != 0 && array.n_buffers > 0;
    return {any ? array.buffers[0] : nullptr, array.offset, array.length};
}

}  // namespace encode
