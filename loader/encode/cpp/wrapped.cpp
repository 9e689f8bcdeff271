// Dictionaries and run ends: columns that name their values rather than hold them.
#include "indices.h"
#include "ready.h"

namespace encode {
namespace {

// The JSON of every entry that rows have shown so far.
class Entries {
  public:
    Entries(SourcePtr source, int64_t count) : source_(std::move(source)), count_(count) {}

    Source& source() { return *source_; }
    int64_t count() const { return count_; }

    // Makes the entry's text, unless it is there. False where it is refused.
    bool show(int64_t entry, uint64_t& lost) {
        if (places_.empty()) places_.resize(static_cast<size_t>(count_), Place{NEVER, 0, 0});
        Place& place = places_[static_cast<size_t>(entry)];
        if (place.from == NEVER) {
            const uint64_t before = source_->lost();
            place.from = texts_.size();
            if (!source_->render(entry, texts_)) return false;
            place.size = texts_.size() - place.from;
            place.lost = source_->lost() - before;
        }
        lost += place.lost;
        return true;
    }

    Ref ref(int64_t entry) const {
        const Place& place = places_[static_cast<size_t>(entry)];
        const char* const readable = texts_.begin() + texts_.size() + SLACK;
        return {texts_.begin() + place.from, place.size, readable};
    }

  private:
    static constexpr size_t NEVER = ~size_t{0};
    struct Place {
        size_t from, size;
        uint64_t lost;
    };

    SourcePtr source_;
    int64_t count_;
    std::vector<Place> places_;
    Buffer texts_;
};

class Dictionary final : public Ready {
  public:
    Dictionary(char format, const ArrowArray& array, SourcePtr entries)
        : format_(format),
          indices_(static_cast<const uint8_t*>(array.buffers[1])),
          validity_(validity_of(array)),
          entries_(std::move(entries), array.dictionary->length),
          // A dictionary for the whole file, a million entries perhaps, and one block of its rows:
          // a table of the entries would cost more than writing each value anew.
          keeps_(array.dictionary->length <= array.length) {
        if (indices_ != nullptr) indices_ += array.offset * index_width(format);
    }

    bool render(int64_t row, Buffer& out) override { return write<&Source::render>(row, out); }
    bool member(int64_t row, Buffer& out) override { return write<&Source::member>(row, out); }

  private:
    static constexpr int64_t NONE = -1;

    bool index(int64_t row, int64_t& index) const {
        index = NONE;
        // Without any entry every value is null, whatever the indices say.
        if (!validity_[row] || entries_.count() == 0) return true;
        index = load_index(indices_, row, format_);
        return 0 <= index && index < entries_.count();
    }

    template <bool (Source::*how)(int64_t, Buffer&)>
    bool write(int64_t row, Buffer& out) {
        int64_t entry = NONE;
        if (!index(row, entry)) return false;
        if (entry == NONE) {
            out.append_null();
            return true;
        }
        Source& source = entries_.source();
        const uint64_t before = source.lost();
        const bool written = (source.*how)(entry, out);
        lost_ += source.lost() - before;
        return written;
    }

    bool refs(int64_t first, int count, Ref* refs) override {
        if (!keeps_) return rendered_refs(first, count, refs);
        int64_t shown[TILE];
        for (int row = 0; row < count; ++row) {
            if (!index(first + row, shown[row])) return false;
            if (shown[row] != NONE && !entries_.show(shown[row], lost_)) return false;
        }
        // Only now: a new entry may move all texts.
        for (int row = 0; row < count; ++row)
            refs[row] = shown[row] == NONE ? NULL_TEXT : entries_.ref(shown[row]);
        return true;
    }

    char format_;
    const uint8_t* indices_;
    Validity validity_;
    Entries entries_;
    bool keeps_;
};

class RunEnds final : public Ready {
  public:
    RunEnds(char format, const ArrowArray& array, SourcePtr values)
        : format_(format),
          offset_(array.offset),
          runs_(array.children[0]->length),
          values_(std::move(values)) {
        const ArrowArray& ends = *array.children[0];
        ends_ = static_cast<const uint8_t*>(ends.buffers[1]);
        if (ends_ != nullptr) ends_ += ends.offset * index_width(format);
    }

    bool render(int64_t row, Buffer& out) override {
        return write<&Source::render>(run_of(row), out);
    }
    bool member(int64_t row, Buffer& out) override {
        return write<&Source::member>(run_of(row), out);
    }

  private:
    bool refs(int64_t first, int count, Ref* refs) override {
        texts_.begin();
        int64_t last = -1;
        size_t from = 0;
        for (int row = 0; row < count; ++row) {
            const int64_t run = run_of(first + row);
            Buffer& out = texts_.buffer();
            if (run != last) {
                from = out.size();
                if (!write<&Source::render>(run, out)) return false;
                last = run;
            } else {
                const size_t size = out.size() - from;
                out.room(size);  // before the text that is copied is looked up: it may move
                out.append(out.begin() + from, size);
                from += size;
                lost_ += lost_of_run_;
            }
            texts_.end_row();
        }
        texts_.tell(refs);
        return true;
    }

    // Rows mostly come one after the other, so the run is that of the last row or near it.
    int64_t run_of(int64_t row) {
        const int64_t place = offset_ + row;
        if (run_ > 0 && end(run_ - 1) > place) run_ = search(place);
        while (run_ + 1 < runs_ && end(run_) <= place) ++run_;
        return run_;
    }

    int64_t search(int64_t place) const {
        int64_t low = 0, high = runs_;
        while (low < high) {
            const int64_t middle = low + (high - low) / 2;
            if (end(middle) <= place) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    int64_t end(int64_t run) const { return load_index(ends_, run, format_); }

    template <bool (Source::*how)(int64_t, Buffer&)>
    bool write(int64_t run, Buffer& out) {
        const uint64_t before = values_->lost();
        const bool written = (*values_.*how)(run, out);
        lost_of_run_ = values_->lost() - before;
        lost_ += lost_of_run_;
        return written;
    }

    char format_;
    int64_t offset_;
    int64_t runs_;
    SourcePtr values_;
    const uint8_t* ends_ = nullptr;
    int64_t run_ = 0;
    uint64_t lost_of_run_ = 0;
};

}  // namespace

SourcePtr dictionary_source(const char* index_format, const ArrowArray& array, SourcePtr entries) {
    if (!is_index(index_format) || array.n_buffers < 2) return nullptr;
    return std::make_unique<Dictionary>(index_format[0], array, std::move(entries));
}

SourcePtr run_end_source(const char* end_format, const ArrowArray& array, SourcePtr values) {
    if (!is_index(end_format) || array.children[0]->n_buffers < 2) return nullptr;
    return std::make_unique<RunEnds>(end_format[0], array, std::move(values));
}

}  // namespace encode
