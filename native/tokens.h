// Texts to tokens: Python's `\w+|[^\w\s]+` over UTF-8, and a character of the kind `kAlone` is a token of its own.
//
// What is a word character and what is white space is Python's to say: it comes in as a table by code point
// (text/tokens.py), so this agrees with `re` of the Python that runs, whatever Unicode it knows. ASCII, most of
// most texts, has a table of its own here.
#pragma once

#include <string>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "common.h"

namespace rubrica {
namespace {

enum Kind : uint8_t { kPunctuation, kWord, kSpace, kWide, kAlone };

struct AsciiKinds {
  uint8_t of[256];
  constexpr AsciiKinds() : of{} {
    for (int c = 0; c < 256; c++) {
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (c >= 128) of[c] = kWide;
      else if (letter || (c >= '0' && c <= '9') || c == '_') of[c] = kWord;
      else if (c == ' ' || (c >= '\t' && c <= '\r') || (c >= 28 && c <= 31)) of[c] = kSpace;
      else of[c] = kPunctuation;
    }
  }
};
constexpr AsciiKinds kAscii;

// Beyond ASCII, by code point; both null where no text goes beyond. What lies above `count` is punctuation.
struct Unicode {
  const uint8_t* kinds;
  const int32_t* lower;
  int64_t count;
};

// A token; up to eight bytes are their own key, zeros behind them.
struct Token {
  uint64_t key;
  const uint8_t* bytes;
  uint32_t size;
};

constexpr uint32_t kShort = 8;
constexpr uint64_t kMix = 0x9E3779B97F4A7C15u;

inline uint64_t first_bytes(const uint8_t* p, uint32_t size, const uint8_t* end) {
  uint64_t key = 0;
  if (end - p >= 8) {
    std::memcpy(&key, p, 8);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    key = __builtin_bswap64(key);
#endif
    return size >= 8 ? key : key & ((uint64_t{1} << (8 * size)) - 1);
  }
  for (uint32_t i = 0; i < size && i < 8; i++) key |= static_cast<uint64_t>(p[i]) << (8 * i);
  return key;
}

// Eight ASCII bytes lower-cased at once: those from 'A' to 'Z' get bit 5.
inline uint64_t lower_ascii(uint64_t x) {
  const uint64_t ones = 0x0101010101010101u;
  const uint64_t above = x + ones * (128 - 'A'), beyond = x + ones * (127 - 'Z');
  return x | ((((above ^ beyond) & (ones * 128)) >> 2));
}

inline uint64_t hash_bytes(const uint8_t* p, uint32_t size) {
  uint64_t hash = size * kMix;
  for (uint32_t i = 0; i < size; i += 8) {
    hash = (hash ^ first_bytes(p + i, size - i < 8 ? size - i : 8, p + size)) * kMix;
    hash ^= hash >> 29;
  }
  return hash;
}

inline Token make_token(const uint8_t* p, uint32_t size) {
  return {size <= kShort ? first_bytes(p, size, p + size) : hash_bytes(p, size), p, size};
}

// The code point at p, which moves past it. Python wrote these bytes, so they are well-formed but for the surrogates
// that it may hold; a text that ends in the middle of a character, which it never writes, ends there.
inline int32_t next_code_point(const uint8_t*& p, const uint8_t* end) {
  const uint8_t lead = *p++;
  if (lead < 0x80) return lead;
  const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  int32_t code = lead & (0x3F >> more);
  for (int i = 0; i < more && p < end; i++) code = code << 6 | (*p++ & 0x3F);
  return code;
}

inline void append(std::string& out, int32_t code) {
  const auto put = [&](int32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xE0 | code >> 12);
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
    }
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

// Which of 64 ASCII characters are of a word, and which are white space, a bit each.
struct Masks {
  uint64_t word, space;
};

inline Masks masks_of(const uint8_t* p) {
#if defined(__AVX512BW__)
  const __m512i c = _mm512_loadu_si512(p);
  const auto within = [](__m512i x, int first, int last) {
    return _mm512_cmple_epu8_mask(_mm512_sub_epi8(x, _mm512_set1_epi8(static_cast<char>(first))),
                                  _mm512_set1_epi8(static_cast<char>(last - first)));
  };
  const __m512i small = _mm512_or_si512(c, _mm512_set1_epi8(32));
  return {within(small, 'a', 'z') | within(c, '0', '9') | within(c, '_', '_'),
          within(c, ' ', ' ') | within(c, 9, 13) | within(c, 28, 31)};
#elif defined(__SSE2__)
  Masks masks{0, 0};
  for (int part = 0; part < 4; part++) {
    const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p) + part);
    const auto within = [](__m128i x, int first, int last) {
      const __m128i y = _mm_sub_epi8(x, _mm_set1_epi8(static_cast<char>(first)));
      return _mm_cmpeq_epi8(y, _mm_min_epu8(y, _mm_set1_epi8(static_cast<char>(last - first))));
    };
    const auto bits = [&](__m128i a, __m128i b, __m128i d) {
      return static_cast<uint64_t>(_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), d))) << (16 * part);
    };
    const __m128i small = _mm_or_si128(c, _mm_set1_epi8(32));
    masks.word |= bits(within(small, 'a', 'z'), within(c, '0', '9'), within(c, '_', '_'));
    masks.space |= bits(within(c, ' ', ' '), within(c, 9, 13), within(c, 28, 31));
  }
  return masks;
#else
  Masks masks{0, 0};
  for (int i = 0; i < 64; i++) {
    masks.word |= static_cast<uint64_t>(kAscii.of[p[i]] == kWord) << i;
    masks.space |= static_cast<uint64_t>(kAscii.of[p[i]] == kSpace) << i;
  }
  return masks;
#endif
}

inline bool is_ascii(const uint8_t* p, const uint8_t* end) {
  uint8_t all = 0;
  for (; p < end; p++) all |= *p;
  return all < 128;
}

// A token of ASCII characters at p; bytes before `limit` may be read.
inline Token ascii_token(const uint8_t* p, uint32_t size, const uint8_t* limit, bool lowercase, std::string& scratch) {
  if (size <= kShort) {
    const uint64_t key = first_bytes(p, size, limit);
    return {lowercase ? lower_ascii(key) : key, p, size};
  }
  if (!lowercase) return make_token(p, size);
  scratch.assign(reinterpret_cast<const char*>(p), size);
  for (char& c : scratch) c |= c >= 'A' && c <= 'Z' ? 32 : 0;
  return make_token(reinterpret_cast<const uint8_t*>(scratch.data()), size);
}

// Walks a text of ASCII characters by the places where the kind of a character changes, 64 characters at a time: a
// loop that looks at one character after the other is mispredicted at the end of nearly every token.
template <typename Emit>
void each_ascii_token(const uint8_t* p, const uint8_t* end, const uint8_t* limit, bool lowercase, std::string& scratch,
                      Emit emit) {
  uint64_t word_before = 0, space_before = 1;
  const uint8_t* open = nullptr;  // a token that began in an earlier block
  const auto take = [&](const uint8_t* first, const uint8_t* last) {
    return emit(ascii_token(first, static_cast<uint32_t>(last - first), limit, lowercase, scratch));
  };
  for (; p < end; p += 64) {
    uint8_t rest[64];
    const uint8_t* block = p;
    if (end - p < 64) {
      std::memset(rest, ' ', 64);
      std::memcpy(rest, p, end - p);
      block = rest;
    }
    const Masks now = masks_of(block);
    const uint64_t word = now.word << 1 | word_before, space = now.space << 1 | space_before;  // of what stands before
    const uint64_t change = (now.word ^ word) | (now.space ^ space);
    uint64_t starts = change & ~now.space, ends = change & ~space;
    word_before = now.word >> 63, space_before = now.space >> 63;
    if (open != nullptr && ends != 0) {
      if (!take(open, p + __builtin_ctzll(ends))) return;
      ends &= ends - 1;
      open = nullptr;
    }
    for (; ends != 0; ends &= ends - 1, starts &= starts - 1)
      if (!take(p + __builtin_ctzll(starts), p + __builtin_ctzll(ends))) return;
    if (starts != 0) open = p + __builtin_ctzll(starts);
  }
  if (open != nullptr) take(open, end);
}

// Walks a text and hands each token to `emit`, which says whether to go on. `scratch` keeps what had to be rewritten;
// bytes before `limit` may be read.
template <typename Emit>
void each_token(const uint8_t* p, const uint8_t* end, const uint8_t* limit, bool lowercase, const Unicode& unicode,
                std::string& scratch, Emit emit) {
  if (unicode.kinds == nullptr || is_ascii(p, end))
    return each_ascii_token(p, end, limit, lowercase, scratch, emit);
  while (p < end) {
    const uint8_t kind = kAscii.of[*p];
    if (kind == kSpace) {
      p++;
      continue;
    }
    const uint8_t* start = p;
    if (kind != kWide) {
      do p++;
      while (p < end && kAscii.of[*p] == kind);
      if (p == end || kAscii.of[*p] != kWide) {
        const auto size = static_cast<uint32_t>(p - start);
        if (!emit(ascii_token(start, size, limit, lowercase, scratch))) return;
        continue;
      }
      p = start;  // a character beyond ASCII may belong to the token
    }
    scratch.clear();
    uint8_t token_kind = kSpace;
    while (p < end) {
      const uint8_t* before = p;
      int32_t code = next_code_point(p, end);
      if (code < 128) {
        if (lowercase && code >= 'A' && code <= 'Z') code |= 32;
      } else if (lowercase && code < unicode.count) {
        code = unicode.lower[code];
      }
      const uint8_t here = code < 128 ? kAscii.of[code] : code < unicode.count ? unicode.kinds[code] : kPunctuation;
      if (token_kind == kSpace) token_kind = here;
      if (here == kSpace || here != token_kind) {
        if (here != kSpace || before != start) p = before;
        break;
      }
      append(scratch, code);
      if (here == kAlone) break;
    }
    if (scratch.empty()) continue;  // it was white space beyond ASCII
    if (!emit(make_token(reinterpret_cast<const uint8_t*>(scratch.data()), static_cast<uint32_t>(scratch.size()))))
      return;
  }
}

}  // namespace
}  // namespace rubrica
