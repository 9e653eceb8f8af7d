// The runs of words and of characters that are features of a linear model: their keys, and where a key is looked up.
//
// A key has 32 bits: the hash of a run of 1 .. word_ngrams tokens, or of 2 .. char_ngrams characters inside a token, with
// a mark at both of its ends. `text/ngrams.py` says the same in numpy, and gives the sources.
#pragma once

#include <cmath>

#include "tokens.h"

namespace rubrica {
namespace {

constexpr uint64_t kWordSeed = 0xD6E8FEB86659FD93u, kRunSeed = 0xA0761D6478BD642Fu, kCharSeed = 0xE7037ED1A0B428DBu;
constexpr uint64_t kLast = 0xFF51AFD7ED558CCDu;
constexpr uint32_t kMark = 0x110000;  // stands before and behind a token; no character has this code point

inline uint64_t step(uint64_t hash, uint64_t next) { return (hash ^ next) * kMix; }
inline uint64_t fold(uint64_t hash) { return hash ^ hash >> 32; }
inline uint32_t key_of(uint64_t hash) { return static_cast<uint32_t>((fold(hash) * kLast) >> 32); }

// The bytes of a token; of a short one they may be the text's, with capitals, and its key is what it is.
inline const uint8_t* bytes_of(const Token& token, uint8_t (&room)[kShort]) {
  if (token.size > kShort) return token.bytes;
  for (uint32_t k = 0; k < kShort; k++) room[k] = static_cast<uint8_t>(token.key >> (8 * k));
  return room;
}

// What all functions know of their texts; text i is bytes [starts[i], ends[i]) of `data`.
struct Texts {
  int lowercase, word_ngrams, char_ngrams;
  int64_t max_tokens, count;
  const uint8_t* data;
  const int64_t *starts, *ends;
  Unicode unicode;
};

// Sorted keys. The keys whose first bits are b stand at [starts[b], starts[b + 1]).
struct Index {
  const uint32_t* keys;
  const int32_t* starts;
  int shift;
  const int32_t* numbers;  // of the feature at each place; null: the place itself

  int64_t find(uint32_t key) const {
    const int32_t* range = starts + (static_cast<uint64_t>(key) >> shift);
    for (int32_t place = range[0]; place < range[1]; place++)
      if (keys[place] == key) return numbers ? numbers[place] : place;
    return -1;
  }
};

// 1 + ln(count), as numpy rounds it.
class Damped {
 public:
  Damped() {
    for (int count = 1; count < 64; count++) small_[count] = of(count);
  }
  float operator()(uint32_t count) const { return count < 64 ? small_[count] : of(count); }

 private:
  static float of(uint32_t count) { return static_cast<float>(1 + std::log(static_cast<double>(count))); }
  float small_[64] = {};
};

}  // namespace
}  // namespace rubrica
