#include "source.h"

#include <cstring>

namespace encode {
namespace {

// Deeper nesting than this is the Python path's: the call stack of a thread is small.
constexpr int DEEPEST = 32;

int32_t load_size(const char* at) {
    return load<int32_t>(at);
}

// Returns the name of the extension type that a schema's metadata tells of, "" for none. Metadata is
// a count of pairs, each text led by its length.
struct Name {
    const char* text = "";
    int32_t size = 0;
    bool is(const char* other) const {
        return std::strlen(other) == static_cast<size_t>(size) &&
               !std::memcmp(text, other, static_cast<size_t>(size));
    }
};

Name extension_of(const ArrowSchema& schema) {
    const char* at = schema.metadata;
    if (at == nullptr) return {};
    constexpr const char* KEY = "ARROW:extension:name";
    int32_t pairs = load_size(at);
    for (at += 4; pairs > 0; --pairs) {
        const Name key{at + 4, load_size(at)};
        at += 4 + key.size;
        const Name value{at + 4, load_size(at)};
        at += 4 + value.size;
        if (key.is(KEY)) return value;
    }
    return {};
}

bool is_text(const char* format) {
    return !std::strcmp(format, "u") || !std::strcmp(format, "U") || !std::strcmp(format, "vu");
}

SourcePtr nested_of(const ArrowSchema& schema, const ArrowArray& array, int depth) {
    if (schema.n_children != array.n_children) return nullptr;
    // A map's child is a struct of keys and values, which is never told as one.
    const bool is_map = !std::strcmp(schema.format, "+m") && schema.n_children == 1;
    const ArrowSchema& schemas = is_map ? *schema.children[0] : schema;
    const ArrowArray& arrays = is_map ? *array.children[0] : array;
    if (schemas.n_children != arrays.n_children) return nullptr;
    std::vector<SourcePtr> children;
    for (int64_t child = 0; child < schemas.n_children; ++child) {
        children.push_back(
            source_of(*schemas.children[child], *arrays.children[child], EXTENDED, depth + 1));
        if (children.back() == nullptr) return nullptr;
    }
    return nested_source(schema, array, std::move(children));
}

}  // namespace

SourcePtr source_of(const ArrowSchema& schema, const ArrowArray& array, unsigned mode, int depth) {
    if (depth > DEEPEST) return nullptr;
    const char* const format = schema.format;
    const Name extension = extension_of(schema);
    const bool is_uuid = extension.is("arrow.uuid");
    const bool is_bool8 = extension.is("arrow.bool8");
    // A field may carry such metadata without being of the type; who builds the model knows.
    if ((is_uuid || is_bool8) && (mode & EXTENDED) == 0) return nullptr;

    if (schema.dictionary != nullptr) {
        SourcePtr entries = source_of(*schema.dictionary, *array.dictionary, mode, depth + 1);
        if (entries == nullptr) return nullptr;
        return dictionary_source(format, array, std::move(entries));
    }
    if (!std::strcmp(format, "+r")) {
        if (schema.n_children != 2 || array.n_children != 2) return nullptr;
        SourcePtr values = source_of(*schema.children[1], *array.children[1], mode, depth + 1);
        if (values == nullptr) return nullptr;
        return run_end_source(schema.children[0]->format, array, std::move(values));
    }
    if (is_uuid) return std::strcmp(format, "w:16") ? nullptr : uuid_source(array);
    if (is_bool8) return std::strcmp(format, "c") ? nullptr : fixed_source("bool8", array, mode);
    if (format[0] == '+') return nested_of(schema, array, depth);
    if (is_text(format) || format[0] == 'z' || format[0] == 'Z' || format[0] == 'v' ||
        format[0] == 'w')
        return text_source(format, array, mode);
    return fixed_source(format, array, mode);
}

}  // namespace encode
