// Texts and binary values.
#include <cstdlib>
#include <cstring>

#include "base64.h"
#include "layouts.h"
#include "source.h"

namespace encode {
namespace {

// UTF-8 that becomes a JSON string, while it is copied to where it belongs.
template <class Layout>
class Texts final : public Source {
  public:
    Texts(const Layout& layout, const Validity& validity)
        : Source(Form::TEXTS), layout_(layout), validity_(validity) {}

    bool refs(int64_t first, int count, Ref* refs) override {
        const uint64_t valid = validity_.window(first, count);
        for (int row = 0; row < count; ++row) {
            if ((valid >> row & 1) == 0) {
                refs[row] = {nullptr, 0, nullptr};
            } else if (!layout_.ref(first + row, refs[row])) {
                return false;
            }
        }
        return true;
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
    Layout layout_;
    Validity validity_;
};

// JSON that the Python path has made, as an array of texts.
template <class Layout>
class Written final : public Source {
  public:
    explicit Written(const Layout& layout) : Source(Form::READY), layout_(layout) {}

    bool refs(int64_t first, int count, Ref* refs) override {
        for (int row = 0; row < count; ++row)
            if (!layout_.ref(first + row, refs[row])) return false;
        return true;
    }

    bool render(int64_t row, Buffer& out) override {
        Ref ref;
        if (!layout_.ref(row, ref)) return false;
        out.append(ref.text, ref.size);
        return true;
    }

  private:
    Layout layout_;
};

// Values whose JSON is made from their bytes by `write(ref, buffer)`, a tile at a time.
template <class Layout, bool (*write)(const Ref&, Buffer&)>
class Made final : public Source {
  public:
    Made(const Layout& layout, const Validity& validity)
        : Source(Form::READY), layout_(layout), validity_(validity) {}

    bool refs(int64_t first, int count, Ref* refs) override {
        texts_.begin();
        for (int row = 0; row < count; ++row) {
            if (!render(first + row, texts_.buffer())) return false;
            texts_.end_row();
        }
        texts_.tell(refs);
        return true;
    }

    bool render(int64_t row, Buffer& out) override {
        if (!validity_[row]) {
            out.append_null();
            return true;
        }
        Ref ref;
        return layout_.ref(row, ref) && write(ref, out);
    }

  private:
    Layout layout_;
    Validity validity_;
    TileTexts texts_;
};

bool write_binary(const Ref& ref, Buffer& out) {
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
bool write_number(const Ref& ref, Buffer& out) {
    if (!is_number(ref)) return false;
    out.append(ref.text, ref.size);
    return true;
}

bool write_quoted_number(const Ref& ref, Buffer& out) {
    return is_number(ref) && out.append_quoted(ref);
}

template <class Layout>
SourcePtr texts(const Layout& layout, const ArrowArray& array, unsigned mode) {
    const Validity validity = validity_of(array);
    if (mode & WRITTEN) return std::make_unique<Written<Layout>>(layout);
    if ((mode & AS_NUMBER) == 0) return std::make_unique<Texts<Layout>>(layout, validity);
    if (mode & QUOTED) return std::make_unique<Made<Layout, write_quoted_number>>(layout, validity);
    return std::make_unique<Made<Layout, write_number>>(layout, validity);
}

template <class Layout>
SourcePtr binary(const Layout& layout, const ArrowArray& array) {
    return std::make_unique<Made<Layout, write_binary>>(layout, validity_of(array));
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
