#include "writer.h"

#include <algorithm>
#include <numeric>

namespace encode {
namespace {

// Tiles that need more than this are written value by value or row by row: in memory that stays in
// the nearest caches, and without room for a whole tile of long texts.
constexpr size_t MOST_AT_ONCE = 256 << 10;

constexpr size_t OPENING_STEP = 16;

// A column of rows: what stands before each value, and where its values come from.
class Column {
  public:
    Column(Source& source, const std::string& opening)
        : source_(source), opening_(opening), opening_size_(opening.size() - 1) {
        opening_.append(OPENING_STEP, '\0');
        last_ = opening[opening_size_];
    }

    Source& source() const { return source_; }
    size_t opening_size() const { return opening_size_ + 1; }

    // Writes the openings and the values to the ends of their rows. False where one is refused.
    bool append(int64_t first, int count, char** ends) const {
        if (opening_size_ > 0) {
            for (int row = 0; row < count; ++row) ends[row] = write_opening(ends[row]);
        }
        return source_.append(first, count, last_, ends);
    }

  private:
    char* write_opening(char* out) const {
        for (size_t at = 0; at < opening_size_; at += OPENING_STEP)
            copy<OPENING_STEP>(out + at, opening_.data() + at);
        return out + opening_size_;
    }

    Source& source_;
    std::string opening_;  // padded, to be copied in steps
    size_t opening_size_;  // but for the last byte, which goes with the value
    char last_;
};

// Grows the rows of a tile side by side, column by column, and puts them together.
class Rows {
  public:
    Rows(const std::vector<SourcePtr>& sources, const RowFrame& frame) : frame_(frame) {
        columns_.reserve(sources.size());
        least_ = frame.closing.size() + 1;
        for (size_t place = 0; place < sources.size(); ++place) {
            columns_.emplace_back(*sources[place], frame.openings[place]);
            least_ += columns_[place].opening_size() + sources[place]->room();
        }
    }

    // The column that refused a value.
    size_t refused() const { return refused_; }

    // Writes the rows of one tile. Returns null where a value is refused.
    char* write(int64_t first, int count, Output& output, char* out) {
        size_t needed[TILE];
        std::fill_n(needed, count, least_);
        for (refused_ = 0; refused_ < columns_.size(); ++refused_)
            if (!columns_[refused_].source().measure(first, count, needed)) return nullptr;
        const size_t all = std::accumulate(needed, needed + count, SLACK * TILE);
        if (all <= MOST_AT_ONCE) return write_side_by_side(first, count, needed, output, out);
        for (int row = 0; row < count; ++row) {
            out = output.room(out, needed[row]);
            if (!append(first + row, 1, &out)) return nullptr;
            out = write_closing(out);
        }
        return out;
    }

  private:
    char* write_side_by_side(int64_t first, int count, const size_t* needed, Output& output,
                             char* out) {
        if (memory_.empty()) memory_.resize(MOST_AT_ONCE + SLACK);
        const char* begins[TILE];
        char* ends[TILE];
        char* begin = memory_.data();
        for (int row = 0; row < count; ++row) {
            begins[row] = ends[row] = begin;
            begin += needed[row] + SLACK;
        }
        if (!append(first, count, ends)) return nullptr;
        size_t written = 0;
        for (int row = 0; row < count; ++row) {
            ends[row] = write_closing(ends[row]);
            written += static_cast<size_t>(ends[row] - begins[row]);
        }
        out = output.room(out, written);
        for (int row = 0; row < count; ++row) {
            const char* from = begins[row];
            char* to = out;
            do {  // what is too much is overwritten by the next row
                copy<SLACK>(to, from);
                from += SLACK;
                to += SLACK;
            } while (from < ends[row]);
            out += ends[row] - begins[row];
        }
        return out;
    }

    bool append(int64_t first, int count, char** ends) {
        for (refused_ = 0; refused_ < columns_.size(); ++refused_)
            if (!columns_[refused_].append(first, count, ends)) return false;
        return true;
    }

    char* write_closing(char* out) const {
        std::memcpy(out, frame_.closing.data(), frame_.closing.size());
        out += frame_.closing.size();
        *out = ',';
        return out + 1;
    }

    const RowFrame& frame_;
    std::vector<Column> columns_;
    size_t least_;  // bytes of a row, those that are measured apart
    size_t refused_ = 0;
    std::vector<char> memory_;
};

}  // namespace

char* write_column(Source& source, int64_t rows, Output& output, char* out) {
    for (int64_t first = 0; first < rows; first += TILE) {
        const int count = static_cast<int>(std::min<int64_t>(TILE, rows - first));
        size_t needed[TILE];
        std::fill_n(needed, count, source.room() + 1);
        if (!source.measure(first, count, needed)) return nullptr;
        const size_t all = std::accumulate(needed, needed + count, size_t{0});
        const int step = all <= MOST_AT_ONCE ? count : 1;
        for (int row = 0; row < count; row += step) {
            out = output.room(out, step == count ? all : needed[row]);
            out = source.run(first + row, step, out);
            if (out == nullptr) return nullptr;
        }
    }
    return out;
}

char* write_rows(const std::vector<SourcePtr>& sources, int64_t rows, const RowFrame& frame,
                 Output& output, char* out, size_t& refused) {
    Rows written(sources, frame);
    for (int64_t first = 0; first < rows; first += TILE) {
        const int count = static_cast<int>(std::min<int64_t>(TILE, rows - first));
        out = written.write(first, count, output, out);
        if (out == nullptr) {
            refused = written.refused();
            return nullptr;
        }
    }
    return out;
}

}  // namespace encode
