#include "writer.h"

#include <algorithm>

namespace encode {
namespace {

// How a value gets into its row. One column is one of these in every row, so the processor learns
// the order of the branches.
enum class Step { CELL_16, CELL_32, CELL_LONG, TEXT, READY };

// One column of a tile.
struct Column {
    Source* source;
    Step step;
    Cells cells;
    std::vector<char> memory;
    std::vector<uint8_t> sizes;
    std::vector<Ref> refs;
    std::string opening;     // padded, to be copied whole
    size_t opening_size;
};

constexpr size_t OPENING_STEP = 16;

Column column_of(Source& source, const std::string& opening) {
    Column column{&source, Step::READY, {}, {}, {}, {}, opening, opening.size()};
    column.opening.append(OPENING_STEP, '\0');
    if (source.form() != Form::CELLS) {
        column.step = source.form() == Form::TEXTS ? Step::TEXT : Step::READY;
        column.refs.resize(TILE);
        return column;
    }
    // An opening of one byte is part of the cell.
    const bool inside = opening.size() == 1;
    if (inside) column.opening_size = 0;
    const size_t stride = (source.room() + inside + 15) / 16 * 16;
    column.step = stride == 16 ? Step::CELL_16 : stride == 32 ? Step::CELL_32 : Step::CELL_LONG;
    // Cells are written in ascending order: what a writer stores beyond one is overwritten by the
    // next, and behind the last there is room.
    column.memory.resize(TILE * stride + 2 * SLACK);
    column.sizes.resize(TILE);
    column.cells = {column.memory.data(), stride, column.sizes.data(), inside ? opening[0] : '\0'};
    return column;
}

bool prepare(Column& column, int64_t first, int count, size_t* needed) {
    Source& source = *column.source;
    if (source.form() == Form::CELLS) return source.cells(first, count, column.cells);
    if (!source.refs(first, count, column.refs.data())) return false;
    const bool ready = column.step == Step::READY;
    for (int row = 0; row < count; ++row) {
        const Ref& ref = column.refs[static_cast<size_t>(row)];
        if (ready) {
            needed[row] += ref.size;
        } else {
            needed[row] += ref.text == nullptr ? 4 : quoted_bound(ref.text, ref.size);
        }
    }
    return true;
}

inline char* write_text(const Ref& ref, char* out) {
    if (ref.text == nullptr) {
        copy<4>(out, "null");
        return out + 4;
    }
    return write_quoted(ref, out);
}

inline char* write_opening(const Column& column, char* out) {
    for (size_t at = 0; at < column.opening_size; at += OPENING_STEP)
        copy<OPENING_STEP>(out + at, column.opening.data() + at);
    return out + column.opening_size;
}

inline char* write_value(const Column& column, int row, char* out) {
    const size_t place = static_cast<size_t>(row);
    out = write_opening(column, out);
    const char* const cell = column.cells.texts + place * column.cells.stride;
    switch (column.step) {
        case Step::CELL_16:
            copy<16>(out, cell);
            return out + column.cells.sizes[place];
        case Step::CELL_32:
            copy<32>(out, cell);
            return out + column.cells.sizes[place];
        case Step::CELL_LONG: {
            const size_t size = column.cells.sizes[place];
            copy<32>(out, cell);
            if (size > 32) std::memcpy(out + 32, cell + 32, size - 32);
            return out + size;
        }
        case Step::TEXT: return write_text(column.refs[place], out);
        case Step::READY: return write_copy(column.refs[place], out);
    }
    return nullptr;
}

// A column whose texts are somewhere else, in column orientation.
template <char* (*write)(const Ref&, char*)>
char* write_refs(Column& column, int64_t rows, Output& output, char* out) {
    for (int64_t first = 0; first < rows; first += TILE) {
        const int count = static_cast<int>(std::min<int64_t>(TILE, rows - first));
        size_t needed[TILE] = {};
        if (!prepare(column, first, count, needed)) return nullptr;
        for (int row = 0; row < count; ++row) {
            out = output.room(out, needed[row] + 1);
            out = write(column.refs[static_cast<size_t>(row)], out);
            if (out == nullptr) return nullptr;
            *out++ = ',';
        }
    }
    return out;
}

}  // namespace

char* write_column(Source& source, int64_t rows, Output& output, char* out) {
    if (source.form() != Form::CELLS) {
        Column column = column_of(source, "");
        return column.step == Step::TEXT ? write_refs<write_text>(column, rows, output, out)
                                         : write_refs<write_copy>(column, rows, output, out);
    }
    for (int64_t first = 0; first < rows; first += TILE) {
        const int count = static_cast<int>(std::min<int64_t>(TILE, rows - first));
        out = output.room(out, static_cast<size_t>(count) * (source.room() + 1));
        out = source.run(first, count, out);
        if (out == nullptr) return nullptr;
    }
    return out;
}

char* write_rows(const std::vector<SourcePtr>& sources, int64_t rows, const RowFrame& frame,
                 Output& output, char* out, size_t& refused) {
    std::vector<Column> columns;
    columns.reserve(sources.size());
    size_t least = frame.closing.size() + 1;  // of a row, its texts apart
    for (size_t place = 0; place < sources.size(); ++place) {
        columns.push_back(column_of(*sources[place], frame.openings[place]));
        least += frame.openings[place].size() + sources[place]->room();
    }
    for (int64_t first = 0; first < rows; first += TILE) {
        const int count = static_cast<int>(std::min<int64_t>(TILE, rows - first));
        size_t needed[TILE];
        std::fill_n(needed, TILE, least);
        for (refused = 0; refused < columns.size(); ++refused)
            if (!prepare(columns[refused], first, count, needed)) return nullptr;
        for (int row = 0; row < count; ++row) {
            out = output.room(out, needed[row]);
            for (const Column& column : columns) {
                out = write_value(column, row, out);
                if (out == nullptr) {
                    refused = static_cast<size_t>(&column - columns.data());
                    return nullptr;
                }
            }
            std::memcpy(out, frame.closing.data(), frame.closing.size());
            out += frame.closing.size();
            *out++ = ',';
        }
    }
    return out;
}

}  // namespace encode
