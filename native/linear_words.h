// The words that a thread has met, each with what a linear model says of its runs of characters.
//
// What is kept of a word depends on nothing but the word. Letters: F features, C columns (one machine each), G groups of
// 4 of them with what pads the last.
#pragma once

#include "ngrams.h"
#include "simd.h"

namespace rubrica {
namespace {

// A key and the number of its feature; between them stand keys of all ones without a feature, -1.
struct Entry {
  uint32_t key;
  int32_t feature;
};

// Keys that ascend, each at the place that its first bits name or close behind it, so that most lookups read one line of
// a cache. The last entry is no feature.
struct Lookup {
  const Entry* entries;
  int shift;

  const Entry* start(uint32_t key) const { return entries + (static_cast<uint64_t>(key) >> shift); }
  int32_t find(uint32_t key) const {
    const Entry* entry = start(key);
    while (entry->key < key) entry++;
    return entry->key == key ? entry->feature : -1;
  }
};

// The model: of each feature a row, its idf and then idf times weights, (F, 1 + 4 G).
struct Model {
  Lookup lookup;
  const float *rows, *bias;
  int64_t features, groups, columns;

  int64_t width() const { return 1 + 4 * groups; }
  const float* row(int64_t feature) const { return rows + feature * width(); }
  double square(int64_t feature) const { return static_cast<double>(*row(feature)) * *row(feature); }
};

// Makes a vector hold at least `count` elements and keeps the old ones. One call costs less than a push_back for each.
template <typename T>
T* room(std::vector<T>& kept, size_t count) {
  if (kept.size() < count) kept.resize(count);
  return kept.data();
}

typedef double four __attribute__((vector_size(32)));

template <typename T>
inline four load_four(const T* p) {
  typedef T vt __attribute__((vector_size(4 * sizeof(T))));
  vt found;
  std::memcpy(&found, p, sizeof found);
  return __builtin_convertvector(found, four);
}

// Adds 4 G numbers of some rows of a table, each row times its own number, to `sums` (4 G,); rows are `width` apart.
template <typename T>
void add_rows(const T* table, int64_t width, int64_t groups, const uint32_t* rows, const double* times, size_t count,
              double* sums) {
  constexpr int kMost = 4;  // a cache line of floats
  constexpr size_t kAhead = 12;
  cut(groups, kMost, [&](ptrdiff_t first, int size) {
    with_constant<kMost>(size, [&](auto constant) {
      constexpr int GROUPS = decltype(constant)::value;
      four found[GROUPS];
      for (int g = 0; g < GROUPS; g++) found[g] = load_four(sums + 4 * (first + g));
      for (size_t k = 0; k < count; k++) {
        if (k + kAhead < count) __builtin_prefetch(table + rows[k + kAhead] * width + 4 * first);
        const T* row = table + rows[k] * width + 4 * first;
        for (int g = 0; g < GROUPS; g++) found[g] += times[k] * load_four(row + 4 * g);
      }
      for (int g = 0; g < GROUPS; g++) std::memcpy(sums + 4 * (first + g), &found[g], sizeof found[g]);
    });
  });
}

// Finds the features of keys, in the keys' order, and returns how many there are. It first asks for all that it will
// read, and then for the rows of the features: each lookup would wait for memory.
inline size_t look_up(const Model& model, const uint32_t* keys, size_t count, uint32_t* found) {
  for (size_t k = 0; k < count; k++) __builtin_prefetch(model.lookup.start(keys[k]));
  size_t known = 0;
  for (size_t k = 0; k < count; k++) {
    const int32_t feature = model.lookup.find(keys[k]);
    found[known] = static_cast<uint32_t>(feature);
    known += feature >= 0;
  }
  for (size_t k = 0; k < known; k++) __builtin_prefetch(model.row(found[k]));
  return known;
}

// A word, with what its runs of characters say where each counts as often as it is in the word. A line of a cache.
struct alignas(64) Word {
  uint64_t key, hash;  // as a token; of its characters
  double squares;
  uint32_t size, place;    // how many bytes it has; where a long word's bytes are kept
  uint32_t first, count;   // its features
  int32_t own;             // the feature that is the word itself; -1: none
  uint32_t turn, times;    // the last text that it was in, and how often
};

class Words {
 public:
  static constexpr size_t kMost = 24 << 20;  // bytes, some 100,000 words of four classes
  static constexpr uint32_t kSpare = 16;     // numbers behind the last feature, which may be copied along

  // Where the search for a word begins.
  static uint64_t start_of(uint64_t key, uint32_t size) { return ((key ^ size) * kMix) >> 32; }

  Word& operator[](size_t place) { return words_[place]; }
  const uint32_t* features() const { return features_.data(); }
  const double* says() const { return says_.data(); }
  size_t bytes() const {
    return sizeof(Word) * words_.capacity() + 4 * (slots_.capacity() + features_.capacity()) +
           8 * says_.capacity() + letters_.capacity();
  }

  // What `find` will read, in two steps: the second reads what the first has asked for.
  void expect(uint64_t start) const { __builtin_prefetch(slots_.data() + (start & (slots_.size() - 1))); }
  void expect_word(uint64_t start) const {
    const uint32_t place = slots_[start & (slots_.size() - 1)];
    if (place != 0) __builtin_prefetch(words_.data() + place - 1);
  }

  uint32_t find(const Token& token, const Texts& texts, const Model& model) {
    for (uint64_t i = start_of(token.key, token.size);; i++) {
      const uint32_t place = slots_[i & (slots_.size() - 1)];
      if (place == 0) break;
      const Word& word = words_[place - 1];
      if (word.key == token.key && word.size == token.size &&
          (token.size <= kShort || std::memcmp(letters_.data() + word.place, token.bytes, token.size) == 0))
        return place - 1;
    }
    words_.push_back(read(token, texts, model));
    if (2 * words_.size() > slots_.size()) {
      slots_.assign(2 * slots_.size(), 0);
      for (size_t place = 0; place < words_.size(); place++) enter(place);
    } else {
      enter(words_.size() - 1);
    }
    return static_cast<uint32_t>(words_.size() - 1);
  }

 private:
  void enter(size_t place) {
    const Word& word = words_[place];
    uint64_t i = start_of(word.key, word.size);
    while (slots_[i & (slots_.size() - 1)] != 0) i++;
    slots_[i & (slots_.size() - 1)] = static_cast<uint32_t>(place + 1);
  }

  Word read(const Token& token, const Texts& texts, const Model& model) {
    Word word{};
    word.key = token.key, word.size = token.size;
    uint8_t short_one[kShort];
    const uint8_t* p = bytes_of(token, short_one);
    if (token.size > kShort) {
      word.place = static_cast<uint32_t>(letters_.size());
      letters_.insert(letters_.end(), p, p + token.size);
    }
    uint64_t hash = kWordSeed;
    codes_.assign(1, kMark);
    for (const uint8_t* end = p + token.size; p < end;) {
      codes_.push_back(static_cast<uint32_t>(next_code_point(p, end)));
      hash = step(hash, codes_.back());
    }
    codes_.push_back(kMark);
    word.hash = fold(hash);
    word.own = model.lookup.find(key_of(step(kRunSeed, word.hash)));
    keys_.clear();
    if (texts.char_ngrams > 1)
      for (size_t first = 0; first + 1 < codes_.size(); first++) {
        uint64_t run = step(kCharSeed, codes_[first]);
        for (size_t t = first + 1; t < codes_.size() && t < first + texts.char_ngrams; t++)
          keys_.push_back(key_of(run = step(run, codes_[t])));
      }
    uint32_t* found = room(found_, keys_.size());
    word.count = static_cast<uint32_t>(look_up(model, keys_.data(), keys_.size(), found));
    word.first = static_cast<uint32_t>(features_.size() - kSpare);
    features_.resize(features_.size() + word.count);
    std::copy_n(found, word.count, features_.begin() + word.first);
    for (uint32_t k = 0; k < word.count; k++) word.squares += model.square(found[k]);
    says_.resize(says_.size() + 4 * model.groups);
    once_.assign(word.count, 1);
    add_rows(model.rows + 1, model.width(), model.groups, found, once_.data(), word.count,
             &says_[says_.size() - 4 * model.groups]);
    return word;
  }

  std::vector<Word> words_;
  std::vector<uint32_t> slots_ = std::vector<uint32_t>(1 << 8);  // places among `words_`, counted from 1; 0: free
  std::vector<uint32_t> features_ = std::vector<uint32_t>(kSpare);
  std::vector<double> says_;  // of each word, the sum of its features' rows
  std::vector<uint8_t> letters_;
  // Of the word that is read.
  std::vector<uint32_t> codes_, keys_, found_;
  std::vector<double> once_;
};

}  // namespace
}  // namespace rubrica
