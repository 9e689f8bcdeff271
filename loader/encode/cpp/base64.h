// Base64 of binary values: standard alphabet, padded (RFC 4648, section 4).
#pragma once

#include <cstddef>
#include <cstdint>

namespace encode {

constexpr size_t base64_size(size_t bytes) {
    return (bytes + 2) / 3 * 4;
}

inline char* write_base64(const char* data, size_t size, char* out) {
    static constexpr char ALPHABET[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto* at = reinterpret_cast<const uint8_t*>(data);
    for (; size >= 3; size -= 3, at += 3, out += 4) {
        const uint32_t bits = static_cast<uint32_t>(at[0] << 16 | at[1] << 8 | at[2]);
        out[0] = ALPHABET[bits >> 18];
        out[1] = ALPHABET[bits >> 12 & 63];
        out[2] = ALPHABET[bits >> 6 & 63];
        out[3] = ALPHABET[bits & 63];
    }
    if (size == 0) return out;
    const uint32_t bits = static_cast<uint32_t>(at[0] << 16 | (size == 2 ? at[1] << 8 : 0));
    out[0] = ALPHABET[bits >> 18];
    out[1] = ALPHABET[bits >> 12 & 63];
    out[2] = size == 2 ? ALPHABET[bits >> 6 & 63] : '=';
    out[3] = '=';
    return out + 4;
}

}  // namespace encode
