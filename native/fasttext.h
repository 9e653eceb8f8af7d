// How fastText reads a line: its white space, its hash, its runs of characters. Source: facebookresearch/fastText 0.9.3,
// src/dictionary.cc (readWord, hash, computeSubwords, addWordNgrams). All of it is on bytes; a character is a byte that
// does not continue another one, so broken UTF-8 is read as fastText reads it.
#pragma once

#include <cstdint>

namespace rubrica::fasttext {

constexpr uint32_t kHashStart = 2166136261u, kHashFactor = 16777619u;
constexpr uint64_t kRunFactor = 116049371u;  // from the hashes of words to the hash of a run of words

// FNV-1a, but with the byte's sign spread over the upper bits, as the first released models were trained.
inline uint32_t add_byte(uint32_t hash, uint8_t byte) {
  return (hash ^ static_cast<uint32_t>(static_cast<int32_t>(static_cast<int8_t>(byte)))) * kHashFactor;
}

inline uint32_t hash_of(const uint8_t* bytes, int64_t size, uint32_t hash = kHashStart) {
  for (int64_t i = 0; i < size; i++) hash = add_byte(hash, bytes[i]);
  return hash;
}

inline bool is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r') || byte == 0; }
inline bool continues(uint8_t byte) { return (byte & 0xC0) == 0x80; }

// Calls each(hash, first, last) for every run of min_n to max_n characters of `word`, the marks "<" and ">" around it
// included, in fastText's order: by its start, then by its length. A mark alone is no run. `word` is the bytes with
// their marks; first and last are places in it.
template <typename Each>
void each_run(const uint8_t* word, int64_t size, int min_n, int max_n, Each each) {
  for (int64_t first = 0; first < size; first++) {
    if (continues(word[first])) continue;
    uint32_t hash = kHashStart;
    int64_t last = first;
    for (int n = 1; last < size && n <= max_n; n++) {
      hash = add_byte(hash, word[last++]);
      while (last < size && continues(word[last])) hash = add_byte(hash, word[last++]);
      if (n >= min_n && !(n == 1 && (first == 0 || last == size))) each(hash, first, last);
    }
  }
}

}  // namespace rubrica::fasttext
