#include "text.h"

namespace encode {
namespace {

// The letter behind the backslash; 'u' where only the number of the character will do.
char escape_letter(unsigned char c) {
    switch (c) {
        case '"': return '"';
        case '\\': return '\\';
        case '\b': return 'b';
        case '\t': return 't';
        case '\n': return 'n';
        case '\f': return 'f';
        case '\r': return 'r';
        default: return 'u';
    }
}

char* write_escape(unsigned char c, char* out) {
    const char letter = escape_letter(c);
    *out++ = '\\';
    *out++ = letter;
    if (letter != 'u') return out;
    *out++ = '0';
    *out++ = '0';
    *out++ = static_cast<char>('0' + (c >> 4));
    *out++ = "0123456789abcdef"[c & 15];
    return out;
}

// Returns the length of the character of more than one byte at `text`, 0 where it is not UTF-8:
// truncated, spelt longer than needed, a surrogate or beyond the last plane (RFC 3629).
int character_length(const unsigned char* text, size_t left) {
    const auto continues = [&](size_t at) { return at < left && (text[at] & 0xc0) == 0x80; };
    const unsigned char lead = text[0];
    if (lead < 0xc2) return 0;
    if (lead < 0xe0) return continues(1) ? 2 : 0;
    if (!continues(1) || !continues(2)) return 0;
    if (lead < 0xf0) {
        const bool overlong = lead == 0xe0 && text[1] < 0xa0;
        const bool surrogate = lead == 0xed && text[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (lead > 0xf4 || !continues(3)) return 0;
    const bool overlong = lead == 0xf0 && text[1] < 0x90;
    const bool beyond = lead == 0xf4 && text[1] >= 0x90;
    return overlong || beyond ? 0 : 4;
}

// Writes the one byte or the run of bytes at `*text` that are no plain ASCII, and moves on. Returns
// null where they are not UTF-8.
char* write_special(const char** text, const char* end, char* out) {
    const auto* at = reinterpret_cast<const unsigned char*>(*text);
    const auto* stop = reinterpret_cast<const unsigned char*>(end);
    if (*at < 0x80) {
        out = write_escape(*at, out);
        *text += 1;
        return out;
    }
    // Where one is there are often more.
    do {
        const int length = character_length(at, static_cast<size_t>(stop - at));
        if (length == 0) return nullptr;
        for (int byte = 0; byte < length; ++byte) *out++ = static_cast<char>(*at++);
    } while (at < stop && *at >= 0x80);
    *text = reinterpret_cast<const char*>(at);
    return out;
}

}  // namespace

char* write_escaped(const Ref& ref, char* out) {
    const char* at = ref.text;
    const char* const end = at + ref.size;
    while (at < end) {
        const size_t left = static_cast<size_t>(end - at);
        const size_t take = left < 16 ? left : 16;
        char padded[16] = {};
        const char* from = at;
        if (ref.readable - at < 16) {  // at the very end of the memory that may be read
            std::memcpy(padded, at, take);
            from = padded;
        }
        const Sixteen bytes(from);
        bytes.store_to(out);
        const size_t plain = static_cast<size_t>(__builtin_ctz(bytes.special() | 1u << 16));
        const size_t done = plain < take ? plain : take;
        at += done;
        out += done;
        if (plain < take) {
            out = write_special(&at, end, out);
            if (out == nullptr) return nullptr;
        }
    }
    return out;
}

size_t quoted_bound(const char* text, size_t size) {
    if (size <= LONG_TEXT) return ESCAPE_ROOM * size + 2;
    size_t bound = size + 2;
    for (size_t at = 0; at < size; ++at) {
        const unsigned char c = static_cast<unsigned char>(text[at]);
        if (c < ' ' || c == '"' || c == '\\') bound += escape_letter(c) == 'u' ? 5 : 1;
    }
    return bound;
}

}  // namespace encode
