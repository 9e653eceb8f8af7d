// A bag's rows: which of them a text has, their sum, and their move.
//
// Letters: N texts, C rows of the head, D numbers in a row, V words, B buckets of n-grams and runs of characters.
#pragma once

#include "simd.h"

namespace rubrica {
namespace {

// The runs of characters of S words, as buckets. The buckets of token t begin at starts[of_token[t]]. `of_token` is null
// where no characters are read.
struct Subwords {
  int32_t unknown_id;
  const int32_t* of_token;
  const int64_t* starts;
  const int32_t* buckets;
  int64_t first(int64_t token) const { return starts[of_token[token]]; }
  int64_t last(int64_t token) const { return starts[of_token[token] + 1]; }
};

struct Bag {
  int64_t V, B, C, D;
  int word_ngrams;
  float *words, *ngrams;  // (V, D), (B, D)
  const int32_t* ids;
  const int64_t* offsets;
  Subwords subwords;
  // The row of a token, which has an id from V on where its word has no row of its own.
  int32_t known(int32_t id) const { return id < V ? id : subwords.unknown_id; }
};

// The bucket of an n-gram that ends with `id`, from what `mixed` holds of the words before it.
inline uint64_t mix(uint64_t mixed, int32_t id) {
  return (mixed ^ static_cast<uint64_t>(id + 1)) * 0x9E3779B97F4A7C15u;
}
inline int64_t bucket(uint64_t mixed, int64_t B) {
  return static_cast<int64_t>(((mixed >> 32) * static_cast<uint64_t>(B)) >> 32);
}

// The most rows that text i may have.
inline size_t most_rows(const Bag& bag, int64_t i) {
  size_t most = (bag.offsets[i + 1] - bag.offsets[i]) * bag.word_ngrams + 1;
  if (bag.subwords.of_token)
    for (int64_t t = bag.offsets[i]; t < bag.offsets[i + 1]; t++) most += bag.subwords.last(t) - bag.subwords.first(t);
  return most;
}

// Hands each row of text i to `put`, with its number: a word's is its id, an n-gram's V + its bucket. Returns how many.
template <typename Put>
inline int64_t each_row(const Bag& bag, int64_t i, Put put) {
  const int32_t* ids = bag.ids + bag.offsets[i];
  const int64_t length = bag.offsets[i + 1] - bag.offsets[i];
  int64_t count = length;
  for (int64_t t = 0; t < length; t++) {
    const int32_t id = bag.known(ids[t]);
    put(bag.words + id * bag.D, id);
  }
  const auto put_bucket = [&](int64_t place) { put(bag.ngrams + place * bag.D, bag.V + place); };
  if (bag.B == 0) return count;
  for (int64_t t = 0; t < length; t++) {
    uint64_t mixed = mix(0, bag.known(ids[t]));
    for (int64_t n = 1; n < bag.word_ngrams && t + n < length; n++, count++) {
      mixed = mix(mixed, bag.known(ids[t + n]));
      put_bucket(bucket(mixed, bag.B));
    }
  }
  if (bag.subwords.of_token)
    for (int64_t t = bag.offsets[i]; t < bag.offsets[i + 1]; t++)
      for (int64_t k = bag.subwords.first(t); k < bag.subwords.last(t); k++, count++) put_bucket(bag.subwords.buckets[k]);
  return count;
}

// Rows of texts, one after the other; never smaller than it was.
class Rows {
 public:
  explicit Rows(size_t most = 0) : rows_(most) {}
  // Room for all rows of text i behind the first `used`.
  float** room(const Bag& bag, int64_t i, size_t used) {
    const size_t most = used + most_rows(bag, i);
    if (rows_.size() < most) rows_.resize(2 * most);
    return rows_.data() + used;
  }
  float* const* data() const { return rows_.data(); }

 private:
  std::vector<float*> rows_;
};

// sum (D) = the sum of rows. Of 16 numbers, a cache line, two sums stay in registers: one would wait for itself.
template <int WIDTH>
inline void sum_rows(int64_t D, float* const* rows, size_t count, float* sum) {
  if constexpr (WIDTH == 16) {
    constexpr int kVectors = 16 / kLanes;
    vf even[kVectors] = {}, odd[kVectors] = {};
    size_t k = 0;
    for (; k + 2 <= count; k += 2)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; v++) {
        even[v] += load(rows[k] + v * kLanes);
        odd[v] += load(rows[k + 1] + v * kLanes);
      }
    for (int v = 0; v < kVectors; v++)
      store(sum + v * kLanes, even[v] + odd[v] + (k < count ? load(rows[k] + v * kLanes) : vf{}));
  } else {
    std::memset(sum, 0, D * sizeof(float));
    for (size_t k = 0; k < count; k++)
      for (int64_t j = 0; j < D; j++) sum[j] += rows[k][j];
  }
}

// Every row += scale * d.
template <int WIDTH>
inline void move_rows(int64_t D, float* const* rows, size_t count, float scale, const float* d) {
  if constexpr (WIDTH == 16) {
    constexpr int kVectors = 16 / kLanes;
    vf move[kVectors];
    for (int v = 0; v < kVectors; v++) move[v] = scale * load(d + v * kLanes);
    for (size_t k = 0; k < count; k++)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; v++) store(rows[k] + v * kLanes, load(rows[k] + v * kLanes) + move[v]);
  } else {
    for (size_t k = 0; k < count; k++)
      for (int64_t j = 0; j < D; j++) rows[k][j] += scale * d[j];
  }
}

}  // namespace
}  // namespace rubrica
