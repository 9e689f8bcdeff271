// Texts and binary values.
#include <cstdlib>
#include <cstring>

#include "base64.h"
#include "layouts.h"
#include "ready.h"

namespace encode {
namespace {

// UTF-8 that becomes a JSON string, while it is copied to where it belongs.
template <class Layout>
class Texts final : public Source {
  public:
    Texts(const Layout& layout, const Validity& validity) : layout_(layout), validity_(validity) {}

    bool measure(int64_t first, int count, size_t* needed) override {
        size_t sizes[TILE];
        layout_.sizes(first, count, sizes);
        longest_ = 0;
        for (int row = 0; row < count; ++row) {
            longest_ = sizes[row] > longest_ ? sizes[row] : longest_;
            needed[row] += ESCAPE_ROOM * sizes[row] + 4;  // quotes, or a null
        }
        if (longest_ <= LONG_TEXT) return true;
        for (int row = 0; row < count; ++row) {
            needed[row] -= ESCAPE_ROOM * sizes[row] + 4;
            Ref ref;
            if (!layout_.ref(first + row, ref)) return false;
            needed[row] += (validity_[first + row] ? quoted_bound(ref.text, ref.size) : 0) + 4;
        }
        return true;
    }

    char* run(int64_t first, int count, char* out) override {
        Chain chain{out};
        return write(first, count, chain) ? chain.out : nullptr;
    }

    bool append(int64_t first, int count, char opening, char** ends) override {
        SideBySide rows{opening, ends};
        return write(first, count, rows);
    }

    bool render(int64_t row, Buffer& out) override {
        if (!validity_[row]) {
            out.append_null();
            return true;
        }
        Ref ref;
        return layout_.ref(row, ref) && out.append_quoted(ref);
    }

  private:
    template <class Sink>
    bool write(int64_t first, int count, Sink& sink) const {
        if (longest_ <= 16) return write_in<1>(first, count, sink);
        if (longest_ <= 32) return write_in<2>(first, count, sink);
        if (longest_ <= 48) return write_in<3>(first, count, sink);
        return write_in<0>(first, count, sink);
    }

    // Writes texts in so many steps of 16 bytes; 0 for those of any length.
    template <int steps, class Sink>
    bool write_in(int64_t first, int count, Sink& sink) const {
        const Layout layout = layout_;  // a copy that no store can be thought to change
        const uint64_t valid = validity_.window(first, count);
        for (int row = 0; row < count; ++row) {
            char* out = sink.begin(row);
            if (ENCODE_LIKELY(valid >> row & 1)) {
                Ref ref;
                if (!ENCODE_LIKELY(layout.ref(first + row, ref))) return false;
                out = steps == 0 ? write_quoted(ref, out) : write_short_quoted<steps>(ref, out);
                if (!ENCODE_LIKELY(out != nullptr)) return false;
            } else {
                copy<4>(out, "null");
                out += 4;
            }
            sink.end(row, out);
        }
        return true;
    }

    Layout layout_;
    Validity validity_;
    size_t longest_ = 0;
};

// JSON that the Python path has made, as an array of texts.
template <class Layout>
class Written final : public Ready {
  public:
    explicit Written(const Layout& layout) : layout_(layout) {}

    bool render(int64_t row, Buffer& out) override {
        Ref ref;
        if (!layout_.ref(row, ref)) return false;
        out.append(ref.text, ref.size);
        return true;
    }

  private:
    bool refs(int64_t first, int count, Ref* refs) override {
        for (int row = 0; row < count; ++row)
            if (!layout_.ref(first + row, refs[row])) return false;
        return true;
    }

    Layout layout_;
};

// Values whose JSON is made from their bytes by `make(ref, buffer)`.
template <class Layout, bool (*make)(const Ref&, Buffer&)>
class Made final : public Ready {
  public:
    Made(const Layout& layout, const Validity& validity)
        : layout_(layout), validity_(validity) {}

    bool render(int64_t row, Buffer& out) override {
        if (!validity_[row]) {
            out.append_null();
            return true;
        }
        Ref ref;
        return layout_.ref(row, ref) && make(ref, out);
    }

  private:
    bool refs(int64_t first, int count, Ref* refs) override {
        return rendered_refs(first, count, refs);
    }

    Layout layout_;
    Validity validity_;
};

bool make_binary(const Ref& ref, Buffer& out) {
    char* at = out.room(base64_size(ref.size) + 2);
    *at = '"';
    at = write_base64(ref.text, ref.size, at + 1);
    *at = '"';
    out.end(at + 1);
    return true;
}

const char* skip_digits(const char* at, const char* end) {
    while (at < end && '0' <= *at && *at <= '9') ++at;
    return at;
}

// Whether a text is what JSON calls a number (RFC 8259, section 6).
bool is_number(const Ref& ref) {
    const char* at = ref.text;
    const char* const end = at + ref.size;
    if (at < end && *at == '-') ++at;
    const char* const whole = at;
    at = skip_digits(at, end);
    if (at == whole || (*whole == '0' && at - whole > 1)) return false;
    if (at < end && *at == '.') {
        const char* const fraction = ++at;
        at = skip_digits(at, end);
        if (at == fraction) return false;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        ++at;
        if (at < end && (*at == '+' || *at == '-')) ++at;
        const char* const exponent = at;
        at = skip_digits(at, end);
        if (at == exponent) return false;
    }
    return at == end;
}

// Other spellings of numbers are respelt, or refused, by the Python path.
bool make_number(const Ref& ref, Buffer& out) {
    if (!is_number(ref)) return false;
    out.append(ref.text, ref.size);
    return true;
}

bool make_quoted_number(const Ref& ref, Buffer& out) {
    return is_number(ref) && out.append_quoted(ref);
}

template <class Layout>
SourcePtr texts(const Layout& layout, const ArrowArray& array, unsigned mode) {
    const Validity validity = validity_of(array);
    if (mode & WRITTEN) return std::make_unique<Written<Layout>>(layout);
    if ((mode & AS_NUMBER) == 0) return std::make_unique<Texts<Layout>>(layout, validity);
    if (mode & QUOTED) return std::make_unique<Made<Layout, make_quoted_number>>(layout, validity);
    return std::make_unique<Made<Layout, make_number>>(layout, validity);
}

template <class Layout>
SourcePtr binary(const Layout& layout, const ArrowArray& array) {
    return std::make_unique<Made<Layout, make_binary>>(layout, validity_of(array));
}

SourcePtr fixed_width(const char* format, const ArrowArray& array) {
    char* end = nullptr;
    const long width = std::strtol(format + 2, &end, 10);
    if (*end != '\0' || width < 0 || array.n_buffers < 2) return nullptr;
    return binary(FixedWidth(array, width), array);
}

}  // namespace

SourcePtr text_source(const char* format, const ArrowArray& array, unsigned mode) {
    if (array.length == 0) return fixed_source("n", array, mode);  // it may have no buffers
    if (!std::strncmp(format, "w:", 2)) return fixed_width(format, array);
    if (array.n_buffers < 3) return nullptr;
    if (!std::strcmp(format, "u")) return texts(Spans<int32_t>(array), array, mode);
    if (!std::strcmp(format, "U")) return texts(Spans<int64_t>(array), array, mode);
    if (!std::strcmp(format, "vu")) return texts(Views(array), array, mode);
    if (!std::strcmp(format, "z")) return binary(Spans<int32_t>(array), array);
    if (!std::strcmp(format, "Z")) return binary(Spans<int64_t>(array), array);
    if (!std::strcmp(format, "vz")) return binary(Views(array), array);
    return nullptr;
}

}  // namespace encode
