// N-grams of words and of characters: in how many texts each is, and texts to TF-IDF.
//
// The features are hashes: a key of 32 bits for each run of 1 .. word_ngrams tokens and of 2 .. char_ngrams characters
// inside a token, with a mark at both of its ends. `text/ngrams.py` says the same in numpy, and gives the sources.
//
// Letters: N texts.
#include <cmath>

#include "ngrams.h"
#include "simd.h"

namespace rubrica {
namespace {

// Different keys in the order in which they were met, with how often.
class Tally {
 public:
  struct Found {
    uint32_t key, count;
  };
  const Found* begin() const { return found_.data(); }
  const Found* end() const { return found_.data() + used_; }

  // Empty, with room for so many.
  void start(size_t most) {
    size_t size = 64;
    while (size < 2 * most) size *= 2;
    slots_.assign(size, 0);
    if (found_.size() < most) found_.resize(most);
    used_ = 0;
  }
  void add(uint32_t key) {
    for (size_t i = key;; i++) {
      uint32_t& place = slots_[i & (slots_.size() - 1)];
      if (place == 0) {
        found_[used_] = {key, 1};
        place = ++used_;
        return;
      }
      if (found_[place - 1].key == key) {
        found_[place - 1].count++;
        return;
      }
    }
  }

 private:
  std::vector<uint32_t> slots_;  // places among `found_`, counted from 1
  std::vector<Found> found_;
  uint32_t used_ = 0;
};

// Reads a text and counts its features, one block after the other.
class Reader {
 public:
  explicit Reader(const Texts& texts) : texts_(texts) {}

  // Calls block(tally) for the runs of words, and again for those of characters.
  template <typename Block>
  void read(int64_t i, Block block) {
    tokenize(i);
    const size_t count = hashes_.size();
    tally_.start(count * texts_.word_ngrams);
    for (size_t first = 0; first < count; first++) {
      uint64_t hash = kRunSeed;
      for (size_t t = first; t < count && t < first + texts_.word_ngrams; t++)
        tally_.add(key_of(hash = step(hash, hashes_[t])));
    }
    block(tally_);
    if (texts_.char_ngrams < 2) return;
    tally_.start(codes_.size() * (texts_.char_ngrams - 1));
    for (size_t token = 0; token < count; token++)
      for (size_t first = ends_[token], end = ends_[token + 1]; first + 1 < end; first++) {
        uint64_t hash = step(kCharSeed, codes_[first]);
        for (size_t t = first + 1; t < end && t < first + texts_.char_ngrams; t++)
          tally_.add(key_of(hash = step(hash, codes_[t])));
      }
    block(tally_);
  }

 private:
  // The characters of each token between marks, and each token's hash.
  void tokenize(int64_t i) {
    hashes_.clear();
    codes_.clear();
    ends_.assign(1, 0);
    const uint8_t* limit = texts_.data + texts_.ends[texts_.count - 1];
    const auto take = [&](const Token& token) {
      uint8_t bytes[kShort];
      const uint8_t* p = bytes_of(token, bytes);
      const uint8_t* end = p + token.size;
      uint64_t hash = kWordSeed;
      codes_.push_back(kMark);
      while (p < end) {
        codes_.push_back(static_cast<uint32_t>(next_code_point(p, end)));
        hash = step(hash, codes_.back());
      }
      codes_.push_back(kMark);
      ends_.push_back(codes_.size());
      hashes_.push_back(fold(hash));
      return static_cast<int64_t>(hashes_.size()) < texts_.max_tokens;
    };
    each_token(texts_.data + texts_.starts[i], texts_.data + texts_.ends[i], limit, texts_.lowercase, texts_.unicode,
               scratch_, take);
  }

  const Texts& texts_;
  std::string scratch_;
  std::vector<uint64_t> hashes_;
  std::vector<uint32_t> codes_;
  std::vector<size_t> ends_;
  Tally tally_;
};

// In how many texts each key was. Keys from one part of the numbers are in one table, which one thread fills. Where there
// are more than `most` keys, the rarest are dropped until at most half of `most` are left. A key that was dropped and
// comes again is counted from 1 anew. (G. Manku and R. Motwani, "Approximate frequency counts over data
// streams", VLDB 2002, whose lossy counting drops at fixed places.)
class Documents {
 public:
  Documents(int parts, size_t most) : tables_(parts), most_(most) {}

  // Says whether keys were dropped so far.
  bool add(const Texts& texts, int64_t* sizes) {
    const int parts = static_cast<int>(tables_.size());
    std::vector<std::vector<uint32_t>> keys(parts * parts);  // of a thread's texts, for the owner of a part
    parallel(parts, [&](int thread) {
      Reader reader(texts);
      std::vector<uint32_t>* mine = keys.data() + thread * parts;
      for (int64_t i = texts.count * thread / parts; i < texts.count * (thread + 1) / parts; i++) {
        sizes[i] = 0;
        reader.read(i, [&](const Tally& tally) {
          for (const auto& found : tally) mine[static_cast<uint64_t>(found.key) * parts >> 32].push_back(found.key);
          sizes[i] += tally.end() - tally.begin();
        });
      }
    });
    parallel(parts, [&](int part) {
      for (int thread = 0; thread < parts; thread++) tables_[part].add(keys[thread * parts + part]);
    });
    if (used() > most_) drop();
    return dropped_;
  }

  // How many keys were in at least `least` texts; they are written where there is a place for them.
  int64_t take(uint32_t least, uint32_t* keys, uint32_t* counts) const {
    int64_t taken = 0;
    for (const Table& table : tables_)
      for (const Slot& slot : table.slots) {
        if (slot.count < least) continue;
        if (keys != nullptr) {
          keys[taken] = slot.key;
          counts[taken] = slot.count;
        }
        taken++;
      }
    return taken;
  }

 private:
  size_t used() const {
    size_t sum = 0;
    for (const Table& table : tables_) sum += table.used;
    return sum;
  }
  // Which keys stay depends on all tables, so the number of threads changes nothing.
  void drop() {
    constexpr uint32_t kTold = 1 << 10;  // counts that are told apart
    std::vector<size_t> of_count(kTold + 1);
    for (const Table& table : tables_)
      for (const Slot& slot : table.slots) of_count[std::min(slot.count, kTold)]++;
    uint32_t least = 1;
    for (size_t left = used(); least < kTold && 2 * left > most_; least++) left -= of_count[least];
    for (Table& table : tables_) table.keep(least);  // one by one: while one is made anew, it is there twice
    dropped_ = true;
  }

  struct Slot {
    uint32_t key, count;  // a count of 0: free
  };
  struct Table {
    std::vector<Slot> slots = std::vector<Slot>(1 << 10);
    size_t used = 0;

    Slot& find(uint32_t key) {
      for (size_t i = key;; i++) {
        Slot& slot = slots[i & (slots.size() - 1)];
        if (slot.count == 0 || slot.key == key) return slot;
      }
    }
    void add(const std::vector<uint32_t>& keys) {
      constexpr size_t kAhead = 24;
      for (size_t i = 0; i < keys.size(); i++) {
        if (i + kAhead < keys.size()) __builtin_prefetch(&slots[keys[i + kAhead] & (slots.size() - 1)], 1);
        Slot& slot = find(keys[i]);
        slot.key = keys[i];
        if (slot.count++ == 0 && 2 * ++used > slots.size()) grow();
      }
    }
    void grow() {
      std::vector<Slot> old(2 * slots.size());
      old.swap(slots);
      for (const Slot& slot : old)
        if (slot.count) find(slot.key) = slot;
    }
    void keep(uint32_t least) {
      used = 0;
      for (const Slot& slot : slots) used += slot.count >= least;
      size_t size = 1 << 10;
      while (size < 2 * used) size *= 2;
      std::vector<Slot> old(size);
      old.swap(slots);
      for (const Slot& slot : old)
        if (slot.count >= least) find(slot.key) = slot;
    }
  };
  std::vector<Table> tables_;
  size_t most_;
  bool dropped_ = false;
};

// Multiplies the numbers of a block by the weights of their features, and scales them to an L2 norm of 1.
void weigh(const float* idf, const uint32_t* indices, float* values, int64_t count) {
  double squares = 0;
  for (int64_t k = 0; k < count; k++) {
    const float value = idf[indices[k]] * values[k];
    squares += static_cast<double>(value) * value;
    values[k] = value;
  }
  const float scale = squares > 0 ? static_cast<float>(1 / std::sqrt(squares)) : 0.0f;
  for (int64_t k = 0; k < count; k++) values[k] *= scale;
}

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// A count of the texts that hold each feature, by `parts` threads; to be ended by `rubrica_documents_end`.
RUBRICA_API int64_t rubrica_documents_start(int parts, int64_t most) try {
  return reinterpret_cast<int64_t>(new Documents(parts, static_cast<size_t>(most)));
} RUBRICA_CATCH

RUBRICA_API int64_t rubrica_documents_end(void* documents) try {
  delete static_cast<Documents*>(documents);
  return 0;
} RUBRICA_CATCH

// Counts N more texts. `sizes` (N,) comes back: how many different features each has. Says whether any were dropped.
RUBRICA_API int64_t rubrica_documents_add(void* documents, int lowercase, int word_ngrams, int char_ngrams,
                                          int64_t max_tokens, int64_t N, const uint8_t* texts, const int64_t* starts,
                                          const int64_t* ends, const uint8_t* kinds, const int32_t* lower,
                                          int64_t num_kinds, int64_t* sizes) try {
  const Texts all{lowercase, word_ngrams, char_ngrams, max_tokens, N, texts, starts, ends, {kinds, lower, num_kinds}};
  return static_cast<Documents*>(documents)->add(all, sizes);
} RUBRICA_CATCH

// Returns how many features are in at least `least` texts, and writes keys and counts unless they are null.
RUBRICA_API int64_t rubrica_documents_take(void* documents, int64_t least, uint32_t* keys, uint32_t* counts) try {
  return static_cast<Documents*>(documents)->take(static_cast<uint32_t>(least), keys, counts);
} RUBRICA_CATCH

// TF-IDF of N texts: the known features of text i and their numbers from places[i] on, sizes[i] of them, the first
// words[i] of them runs of words, unless `words` is null. The numbers of words and of characters have an L2 norm of 1
// each, or are none. Where `idf` is null they are 1 + ln(count), for `rubrica_linear_weigh`.
RUBRICA_API int64_t rubrica_linear_features(int threads, int lowercase, int word_ngrams, int char_ngrams,
                                            int64_t max_tokens, int64_t N, const uint8_t* texts, const int64_t* starts,
                                            const int64_t* ends, const uint8_t* kinds, const int32_t* lower,
                                            int64_t num_kinds, int shift, const uint32_t* keys,
                                            const int32_t* key_starts, const int32_t* numbers, const float* idf,
                                            const int64_t* places, int32_t* sizes, int32_t* words, uint32_t* indices,
                                            float* values) try {
  const Texts all{lowercase, word_ngrams, char_ngrams, max_tokens, N, texts, starts, ends, {kinds, lower, num_kinds}};
  const Index index{keys, key_starts, shift, numbers};
  const Damped damped;
  parallel(threads, [&](int thread) {
    Reader reader(all);
    for (int64_t i = N * thread / threads; i < N * (thread + 1) / threads; i++) {
      int64_t place = places[i];
      bool is_first = true;
      reader.read(i, [&](const Tally& tally) {
        // Three times over the keys, each time to fetch what the next one reads: a lookup would wait for memory.
        for (const auto& found : tally) __builtin_prefetch(key_starts + (static_cast<uint64_t>(found.key) >> shift));
        for (const auto& found : tally) {
          const int32_t near = key_starts[static_cast<uint64_t>(found.key) >> shift];
          __builtin_prefetch(keys + near);
          if (numbers) __builtin_prefetch(numbers + near);
          else if (idf) __builtin_prefetch(idf + near);
        }
        const int64_t first = place;
        for (const auto& found : tally) {
          const int64_t feature = index.find(found.key);
          if (feature < 0) continue;
          indices[place] = static_cast<uint32_t>(feature);
          values[place++] = damped(found.count);
        }
        if (idf) weigh(idf, indices + first, values + first, place - first);
        if (is_first && words) words[i] = static_cast<int32_t>(place - first);
        is_first = false;
      });
      sizes[i] = static_cast<int32_t>(place - places[i]);
    }
  });
  return 0;
} RUBRICA_CATCH

// Makes TF-IDF of what `rubrica_linear_features` wrote without `idf`.
RUBRICA_API int64_t rubrica_linear_weigh(int threads, int64_t N, int64_t, const float* idf, const int64_t* places,
                                         const int32_t* sizes, const int32_t* words, const uint32_t* indices,
                                         float* values) try {
  parallel(threads, [&](int thread) {
    for (int64_t i = N * thread / threads; i < N * (thread + 1) / threads; i++) {
      const int64_t first = places[i], second = first + words[i];
      weigh(idf, indices + first, values + first, words[i]);
      weigh(idf, indices + second, values + second, sizes[i] - words[i]);
    }
  });
  return 0;
} RUBRICA_CATCH
