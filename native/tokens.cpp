// Texts to tokens to ids: Python's `\w+|[^\w\s]+` over UTF-8, and a hash table of the words.
//
// What is a word character and what is white space is Python's to say: it comes in as a table by code point
// (kernels/tokens.py), so this agrees with `re` of the Python that runs, whatever Unicode it knows. ASCII, most of
// most texts, has a table of its own here.
//
// A word of up to eight bytes is its own key, compared in one instruction; a longer one is hashed and then compared.
#include <algorithm>
#include <string>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "common.h"

namespace rubrica {
namespace {

enum Kind : uint8_t { kPunctuation, kWord, kSpace, kWide };

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
    }
    if (scratch.empty()) continue;  // it was white space beyond ASCII
    if (!emit(make_token(reinterpret_cast<const uint8_t*>(scratch.data()), static_cast<uint32_t>(scratch.size()))))
      return;
  }
}

// Words to ids by open addressing. A slot that no word has is of size 0, which no token is.
struct Slot {
  uint64_t key;
  int32_t id;
  uint32_t size;
};
static_assert(sizeof(Slot) == 16, "kernels/tokens.py allots 16 bytes a slot");

struct Table {
  Slot* slots;
  int64_t count;  // a power of two
  const uint8_t* words;
  const int64_t* starts;  // of each id's word among `words`

  int64_t place(const Token& token) const {
    uint64_t hash = (token.key ^ token.size) * kMix;
    hash ^= hash >> 32;
    return static_cast<int64_t>(hash & (count - 1));
  }
  // The slot of a word, or the free one where it would stand.
  Slot* find(const Token& token) const {
    for (int64_t i = place(token);; i = (i + 1) & (count - 1)) {
      Slot* slot = slots + i;
      if (slot->size == 0) return slot;
      if (slot->key != token.key || slot->size != token.size) continue;
      if (token.size <= kShort || std::memcmp(words + starts[slot->id], token.bytes, token.size) == 0) return slot;
    }
  }
};

// Words as they are met, with how often, and the ids of texts by them.
class Counter {
 public:
  Counter() : slots_(1 << 12), offsets_{0} {}

  std::vector<int32_t> ids;

  // Returns the word's place.
  int32_t add(const Token& token, int64_t count = 1) {
    Slot* slot = table().find(token);
    int32_t place = slot->id;
    if (slot->size == 0) {
      place = static_cast<int32_t>(counts_.size());
      *slot = {token.key, place, token.size};
      if (token.size <= kShort)  // its bytes may be those of the text, with capitals; its key is what it is
        for (uint32_t i = 0; i < token.size; i++) words_.push_back(static_cast<char>(token.key >> (8 * i)));
      else
        words_.append(reinterpret_cast<const char*>(token.bytes), token.size);
      offsets_.push_back(static_cast<int64_t>(words_.size()));
      counts_.push_back(count);
      if (2 * counts_.size() > slots_.size()) grow();
    } else {
      counts_[place] += count;
    }
    return place;
  }

  // What another met after these texts.
  void add(const Counter& other) {
    std::vector<int32_t> places(other.counts_.size());
    for (size_t i = 0; i < places.size(); i++) places[i] = add(other.word(i), other.counts_[i]);
    ids.reserve(ids.size() + other.ids.size());
    for (int32_t id : other.ids) ids.push_back(places[id]);
  }

  const std::string& words() const { return words_; }
  const std::vector<int64_t>& offsets() const { return offsets_; }
  const std::vector<int64_t>& counts() const { return counts_; }

 private:
  Token word(size_t i) const {
    return make_token(reinterpret_cast<const uint8_t*>(words_.data()) + offsets_[i],
                      static_cast<uint32_t>(offsets_[i + 1] - offsets_[i]));
  }
  Table table() {
    return {slots_.data(), static_cast<int64_t>(slots_.size()), reinterpret_cast<const uint8_t*>(words_.data()),
            offsets_.data()};
  }
  void grow() {
    slots_.assign(2 * slots_.size(), Slot{});
    for (size_t i = 0; i < counts_.size(); i++) {
      const Token token = word(i);
      *table().find(token) = {token.key, static_cast<int32_t>(i), token.size};
    }
  }

  std::vector<Slot> slots_;
  std::string words_;
  std::vector<int64_t> offsets_, counts_;
};

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// Fills `slots` (num_slots, zeros, a power of two above V) with V words; of equal words the last one's id stays.
// Word i is bytes [starts[i], ends[i]) of `words`.
RUBRICA_API int64_t rubrica_index_words(int64_t V, const uint8_t* words, const int64_t* starts, const int64_t* ends,
                                        int64_t num_slots, void* slots) {
  const Table table{static_cast<Slot*>(slots), num_slots, words, starts};
  for (int64_t id = 0; id < V; id++) {
    const auto size = static_cast<uint32_t>(ends[id] - starts[id]);
    if (size == 0) continue;  // no token is empty
    const Token token = make_token(words + starts[id], size);
    *table.find(token) = {token.key, static_cast<int32_t>(id), size};
  }
  return 0;
}

// Ids of the first `max_length` tokens of N texts; text i is bytes [starts[i], ends[i]) of `texts`. `ids` has room
// for the sum of min(max_length, bytes) over the texts; `offsets` (N + 1,) comes back. Returns the number of ids.
RUBRICA_API int64_t rubrica_encode(int threads, int lowercase, int64_t max_length, int32_t unknown_id, int64_t N,
                                   const uint8_t* texts, const int64_t* starts, const int64_t* ends,
                                   const uint8_t* kinds, const int32_t* lower, int64_t num_kinds, int64_t num_slots,
                                   const void* slots, const uint8_t* words, const int64_t* word_starts, int32_t* ids,
                                   int64_t* offsets) {
  const Unicode unicode{kinds, lower, num_kinds};
  const Table table{static_cast<Slot*>(const_cast<void*>(slots)), num_slots, words, word_starts};
  // Each thread writes its texts' ids where they lie if all texts before them are as long as they can be.
  std::vector<int64_t> room(threads + 1, 0), used(threads, 0);
  for (int thread = 0; thread < threads; thread++) {
    room[thread + 1] = room[thread];
    for (int64_t i = N * thread / threads; i < N * (thread + 1) / threads; i++)
      room[thread + 1] += std::min(max_length, ends[i] - starts[i]);
  }
  parallel(threads, [&](int thread) {
    std::string scratch;
    const uint8_t* limit = texts + (N ? ends[N - 1] : 0);
    int32_t* out = ids + room[thread];
    for (int64_t i = N * thread / threads; i < N * (thread + 1) / threads; i++) {
      int64_t length = 0;
      if (max_length > 0)
        each_token(texts + starts[i], texts + ends[i], limit, lowercase, unicode, scratch, [&](const Token& token) {
          const Slot* slot = table.find(token);
          out[length++] = slot->size ? slot->id : unknown_id;
          return length < max_length;
        });
      out += length;
      offsets[i + 1] = length;
    }
    used[thread] = out - (ids + room[thread]);
  });
  int64_t total = 0;
  for (int thread = 0; thread < threads; thread++) {
    std::memmove(ids + total, ids + room[thread], used[thread] * sizeof(int32_t));
    total += used[thread];
  }
  offsets[0] = 0;
  for (int64_t i = 0; i < N; i++) offsets[i + 1] += offsets[i];
  return total;
}

// A counter of words, to be ended by `rubrica_counter_end`.
RUBRICA_API int64_t rubrica_counter_start() { return reinterpret_cast<int64_t>(new Counter); }

RUBRICA_API int64_t rubrica_counter_end(void* counter) {
  delete static_cast<Counter*>(counter);
  return 0;
}

// Counts the words of N more texts and numbers them as they are met. `offsets` (N + 1,) says where each text's ids
// start, of which there is one for each of its first `max_length` tokens. Returns how many ids wait to be taken.
RUBRICA_API int64_t rubrica_counter_add(void* counter, int threads, int lowercase, int64_t max_length, int64_t N,
                                        const uint8_t* texts, const int64_t* starts, const int64_t* ends,
                                        const uint8_t* kinds, const int32_t* lower, int64_t num_kinds,
                                        int64_t* offsets) {
  const Unicode unicode{kinds, lower, num_kinds};
  Counter& all = *static_cast<Counter*>(counter);
  std::vector<Counter> others(threads - 1);
  parallel(threads, [&](int thread) {
    std::string scratch;
    const uint8_t* limit = texts + (N ? ends[N - 1] : 0);
    Counter& mine = thread ? others[thread - 1] : all;
    // A vector that grows touches every page twice; room that is not used is never touched.
    const int64_t first = N * thread / threads, last = N * (thread + 1) / threads;
    if (first < last) mine.ids.reserve(mine.ids.size() + (ends[last - 1] - starts[first]) / 4);
    for (int64_t i = first; i < last; i++) {
      int64_t length = 0;
      each_token(texts + starts[i], texts + ends[i], limit, lowercase, unicode, scratch, [&](const Token& token) {
        const int32_t place = mine.add(token);
        if (length < max_length) {
          mine.ids.push_back(place);
          length++;
        }
        return true;
      });
      offsets[i + 1] = length;
    }
  });
  for (const Counter& other : others) all.add(other);  // in the order of the texts, as first met
  offsets[0] = 0;
  for (int64_t i = 0; i < N; i++) offsets[i + 1] += offsets[i];
  return static_cast<int64_t>(all.ids.size());
}

// Takes the ids out, and says how many words there are and how many bytes they have, `sizes` (2,).
RUBRICA_API int64_t rubrica_counter_ids(void* counter, int32_t* ids, int64_t* sizes) {
  Counter& all = *static_cast<Counter*>(counter);
  std::copy(all.ids.begin(), all.ids.end(), ids);
  all.ids.clear();
  sizes[0] = static_cast<int64_t>(all.counts().size());
  sizes[1] = static_cast<int64_t>(all.words().size());
  return 0;
}

// The words in the order in which they were first met, where each starts, and how often it was.
RUBRICA_API int64_t rubrica_counter_words(void* counter, uint8_t* words, int64_t* offsets, int64_t* counts) {
  const Counter& all = *static_cast<Counter*>(counter);
  std::copy(all.words().begin(), all.words().end(), words);
  std::copy(all.offsets().begin(), all.offsets().end(), offsets);
  std::copy(all.counts().begin(), all.counts().end(), counts);
  return 0;
}

// Where each of the N texts in `texts` starts and ends, which are set apart by zero bytes. Returns how many there
// are; if they are not N, a text holds a zero byte of its own, and what came back is nothing.
RUBRICA_API int64_t rubrica_split_texts(int64_t size, const uint8_t* texts, int64_t N, int64_t* starts,
                                        int64_t* ends) {
  int64_t count = 0;
  for (const uint8_t *p = texts, *end = texts + size;; count++) {
    const auto* stop = static_cast<const uint8_t*>(std::memchr(p, 0, end - p));
    if (count < N) {
      starts[count] = p - texts;
      ends[count] = (stop ? stop : end) - texts;
    }
    if (stop == nullptr) return count + 1;
    p = stop + 1;
  }
}
