// Columns whose texts are made before they are copied to where they belong.
#pragma once

#include "sinks.h"
#include "source.h"

namespace encode {

class Ready : public Source {
  public:
    bool measure(int64_t first, int count, size_t* needed) final {
        first_ = first;
        if (!refs(first, count, refs_)) return false;
        for (int row = 0; row < count; ++row) needed[row] += refs_[row].size;
        return true;
    }

    char* run(int64_t first, int count, char* out) final {
        Chain chain{out};
        write(first, count, chain);
        return chain.out;
    }

    bool append(int64_t first, int count, char opening, char** ends) final {
        SideBySide rows{opening, ends};
        write(first, count, rows);
        return true;
    }

  protected:
    // Tells where the texts of up to TILE rows are, until the next call.
    virtual bool refs(int64_t first, int count, Ref* refs) = 0;

    // What refs() of most columns does: renders one value after the other.
    bool rendered_refs(int64_t first, int count, Ref* refs) {
        texts_.begin();
        for (int row = 0; row < count; ++row) {
            if (!render(first + row, texts_.buffer())) return false;
            texts_.end_row();
        }
        texts_.tell(refs);
        return true;
    }

    TileTexts texts_;

  private:
    template <class Sink>
    void write(int64_t first, int count, Sink& sink) const {
        const Ref* const refs = refs_ + (first - first_);
        for (int row = 0; row < count; ++row)
            sink.end(row, write_copy(refs[row], sink.begin(row)));
    }

    int64_t first_ = 0;
    Ref refs_[TILE];
};

// A null among them; long enough to be copied like a longer text.
inline constexpr char PADDED_NULL[SLACK] = "null";
inline constexpr Ref NULL_TEXT{PADDED_NULL, 4, PADDED_NULL + SLACK};

}  // namespace encode
