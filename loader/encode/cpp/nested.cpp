// Lists, structs, maps and unions: to the API a text that holds JSON.
#include <cstdlib>
#include <cstring>
#include <string>

#include "ready.h"

namespace encode {
namespace {

// What all of them have in common: a nested value is one JSON text in quotes, unless it is inside
// another one; and a value whose JSON is null is null.
class Nested : public Ready {
  public:
    bool render(int64_t row, Buffer& out) override {
        json_.clear();
        if (!member(row, json_)) return false;
        if (json_.size() == 4 && !std::memcmp(json_.begin(), "null", 4)) {
            out.append_null();
            return true;
        }
        return out.append_quoted(json_.ref(0));
    }

  protected:
    // Appends a value of a child and counts what it loses.
    bool append_member(Source& child, int64_t row, Buffer& out) {
        const uint64_t before = child.lost();
        const bool written = child.member(row, out);
        lost_ += child.lost() - before;
        return written;
    }

  private:
    bool refs(int64_t first, int count, Ref* refs) override {
        return rendered_refs(first, count, refs);
    }

    Buffer json_;
};

// Where the members of a list are among the child's values.
struct Span {
    int64_t begin, end;
};

template <class Offset>
struct Offsets {
    const uint8_t* offsets;

    explicit Offsets(const ArrowArray& array)
        : offsets(static_cast<const uint8_t*>(array.buffers[1]) + array.offset * width) {}
    Span operator()(int64_t row) const {
        return {load<Offset>(offsets + row * width), load<Offset>(offsets + (row + 1) * width)};
    }
    static constexpr int64_t width = sizeof(Offset);
};

template <class Offset>
struct OffsetsAndSizes {
    const uint8_t* offsets;
    const uint8_t* sizes;

    explicit OffsetsAndSizes(const ArrowArray& array)
        : offsets(static_cast<const uint8_t*>(array.buffers[1]) + array.offset * width),
          sizes(static_cast<const uint8_t*>(array.buffers[2]) + array.offset * width) {}
    Span operator()(int64_t row) const {
        const int64_t begin = load<Offset>(offsets + row * width);
        return {begin, begin + load<Offset>(sizes + row * width)};
    }
    static constexpr int64_t width = sizeof(Offset);
};

struct EqualSizes {
    int64_t offset, size;

    Span operator()(int64_t row) const { return {(offset + row) * size, (offset + row + 1) * size}; }
};

template <class Spans>
class List final : public Nested {
  public:
    List(const Spans& spans, const Validity& validity, SourcePtr members)
        : spans_(spans), validity_(validity), members_(std::move(members)) {}

    bool member(int64_t row, Buffer& out) override {
        if (!validity_[row]) {
            out.append_null();
            return true;
        }
        const Span span = spans_(row);
        out.append('[');
        for (int64_t at = span.begin; at < span.end; ++at) {
            if (at > span.begin) out.append(',');
            if (!append_member(*members_, at, out)) return false;
        }
        out.append(']');
        return true;
    }

  private:
    Spans spans_;
    Validity validity_;
    SourcePtr members_;
};

class Map final : public Nested {
  public:
    Map(const ArrowArray& array, SourcePtr keys, SourcePtr values)
        : spans_(array),
          entries_offset_(array.children[0]->offset),
          validity_(validity_of(array)),
          keys_(std::move(keys)),
          values_(std::move(values)) {}

    bool member(int64_t row, Buffer& out) override {
        if (!validity_[row]) {
            out.append_null();
            return true;
        }
        const Span span = spans_(row);
        out.append('{');
        for (int64_t at = span.begin; at < span.end; ++at) {
            if (at > span.begin) out.append(',');
            if (!append_key(at + entries_offset_, out)) return false;
            out.append(':');
            if (!append_member(*values_, at + entries_offset_, out)) return false;
        }
        out.append('}');
        return true;
    }

  private:
    // JSON has text keys: a key that is none is its JSON as text.
    bool append_key(int64_t at, Buffer& out) {
        const size_t from = out.size();
        if (!append_member(*keys_, at, out)) return false;
        if (out.begin()[from] == '"') return true;
        key_.clear();
        key_.append(out.begin() + from, out.size() - from);
        out.cut(from);
        return out.append_quoted(key_.ref(0));
    }

    Offsets<int32_t> spans_;
    int64_t entries_offset_;
    Validity validity_;
    SourcePtr keys_;
    SourcePtr values_;
    Buffer key_;
};

class Struct final : public Nested {
  public:
    Struct(const ArrowArray& array, std::vector<std::string> names, std::vector<SourcePtr> fields)
        : offset_(array.offset),
          validity_(validity_of(array)),
          names_(std::move(names)),
          fields_(std::move(fields)) {}

    bool member(int64_t row, Buffer& out) override {
        if (!validity_[row]) {
            out.append_null();
            return true;
        }
        out.append('{');
        for (size_t field = 0; field < fields_.size(); ++field) {
            out.append(names_[field].data(), names_[field].size());
            if (!append_member(*fields_[field], row + offset_, out)) return false;
        }
        out.append('}');
        return true;
    }

  private:
    int64_t offset_;
    Validity validity_;
    std::vector<std::string> names_;
    std::vector<SourcePtr> fields_;
};

// The JSON of the value it holds; which child that is comes from the row's code.
class Union final : public Nested {
  public:
    Union(const ArrowArray& array, std::vector<int8_t> codes, std::vector<SourcePtr> children)
        : codes_(static_cast<const int8_t*>(array.buffers[0])),
          places_(array.n_buffers > 1 ? static_cast<const uint8_t*>(array.buffers[1]) : nullptr),
          offset_(array.offset),
          children_(std::move(children)) {
        for (size_t child = 0; child < codes.size(); ++child)
            if (codes[child] >= 0) child_of_[codes[child]] = static_cast<int8_t>(child);
    }

    bool member(int64_t row, Buffer& out) override {
        const int64_t at = offset_ + row;
        const int8_t child = codes_[at] < 0 ? int8_t{-1} : child_of_[codes_[at]];
        if (child < 0) return false;
        // A sparse child is as long as its union, a dense one is asked by place.
        const int64_t place = places_ == nullptr ? at : load<int32_t>(places_ + at * 4);
        return append_member(*children_[static_cast<size_t>(child)], place, out);
    }

  private:
    struct Codes {
        int8_t children[128];
        Codes() { std::memset(children, -1, sizeof children); }
        int8_t& operator[](int8_t code) { return children[static_cast<size_t>(code)]; }
    };

    const int8_t* codes_;
    const uint8_t* places_;
    int64_t offset_;
    Codes child_of_;
    std::vector<SourcePtr> children_;
};

template <class Spans>
SourcePtr list(const Spans& spans, const ArrowArray& array, std::vector<SourcePtr>& children) {
    return std::make_unique<List<Spans>>(spans, validity_of(array), std::move(children[0]));
}

SourcePtr struct_source(const ArrowSchema& schema, const ArrowArray& array,
                        std::vector<SourcePtr> children) {
    std::vector<std::string> names;
    for (int64_t field = 0; field < schema.n_children; ++field) {
        const char* const name = schema.children[field]->name;
        const size_t size = name == nullptr ? 0 : std::strlen(name);
        Buffer quoted;
        if (!quoted.append_quoted({name == nullptr ? "" : name, size, name + size})) return nullptr;
        std::string text = field > 0 ? "," : "";
        text.append(quoted.begin(), quoted.size());
        names.push_back(text + ":");
    }
    return std::make_unique<Struct>(array, std::move(names), std::move(children));
}

// Reads the codes of `+ud:4,5` or `+us:4,5`, one for each child.
SourcePtr union_source(const char* format, const ArrowArray& array, std::vector<SourcePtr> children) {
    const int64_t buffers = format[2] == 'd' ? 2 : 1;
    if (array.n_buffers != buffers) return nullptr;
    std::vector<int8_t> codes;
    const char* at = format + 4;
    while (*at != '\0') {
        char* end = nullptr;
        const long code = std::strtol(at, &end, 10);
        if (end == at || code < 0 || code > 127) return nullptr;
        codes.push_back(static_cast<int8_t>(code));
        at = *end == ',' ? end + 1 : end;
    }
    if (codes.size() != children.size()) return nullptr;
    return std::make_unique<Union>(array, std::move(codes), std::move(children));
}

}  // namespace

SourcePtr nested_source(const ArrowSchema& schema, const ArrowArray& array,
                        std::vector<SourcePtr> children) {
    const char* const format = schema.format;
    if (array.length == 0) return fixed_source("n", array, 0);  // it may have no buffers
    if (!std::strcmp(format, "+s")) return struct_source(schema, array, std::move(children));
    if (!std::strncmp(format, "+ud:", 4) || !std::strncmp(format, "+us:", 4))
        return union_source(format, array, std::move(children));
    if (!std::strcmp(format, "+m")) {
        if (children.size() != 2 || array.n_buffers < 2) return nullptr;
        return std::make_unique<Map>(array, std::move(children[0]), std::move(children[1]));
    }
    if (children.size() != 1) return nullptr;
    if (!std::strncmp(format, "+w:", 3)) {
        return list(EqualSizes{array.offset, std::strtol(format + 3, nullptr, 10)}, array, children);
    }
    if (array.n_buffers < 2) return nullptr;
    if (!std::strcmp(format, "+l")) return list(Offsets<int32_t>(array), array, children);
    if (!std::strcmp(format, "+L")) return list(Offsets<int64_t>(array), array, children);
    if (array.n_buffers < 3) return nullptr;
    if (!std::strcmp(format, "+vl")) return list(OffsetsAndSizes<int32_t>(array), array, children);
    if (!std::strcmp(format, "+vL")) return list(OffsetsAndSizes<int64_t>(array), array, children);
    return nullptr;
}

}  // namespace encode
