// From lines in numbers to examples: the rows whose mean is the hidden vector, and the outputs that are asked about it.
//
// Source: fastText's getLine, supervised, skipgram, cbow and the forward functions of its losses. All that is drawn
// comes from the seed and the number of the visit to the line, so no thread's speed decides anything.
//
// Letters: V words, L labels, K tokens that are no rare labels, C outputs.
#pragma once

#include "common.h"
#include "fasttext.h"

namespace rubrica::fasttext {

enum Kind { kSupervised, kSkipgram, kCbow };
enum Loss { kSoftmax, kHierarchical, kNegatives, kEach };  // in the order of kernels/fasttext_train.py

// splitmix64 (S. Vigna, https://prng.di.unimi.it/splitmix64.c).
class Draw {
 public:
  Draw(uint64_t seed, uint64_t visit) : state_(mix(seed) + mix(visit + 1)) {}
  static uint64_t mix(uint64_t z) {
    z += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  uint64_t next() { return mix(state_ += 0x9E3779B97F4A7C15u); }
  // From 0 to n - 1.
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(((next() >> 32) * n) >> 32); }
  static float unit(uint64_t bits) { return static_cast<float>(bits & 0xFFFFFF) * (1.0f / (1 << 24)); }

 private:
  uint64_t state_;
};

// A hash modulo the number of buckets, by one multiplication: the quotient is exact or one too small.
class Buckets {
 public:
  explicit Buckets(uint64_t count) : count_(count), inverse_(count > 1 ? UINT64_MAX / count : 0) {}
  uint64_t of(uint64_t hash) const {
    if (count_ <= 1) return 0;
    const auto high = static_cast<uint64_t>((static_cast<unsigned __int128>(hash) * inverse_) >> 64);
    uint64_t rest = hash - high * count_;
    while (rest >= count_) rest -= count_;
    return rest;
  }

 private:
  uint64_t count_, inverse_;
};

// The rows of hashed buckets. A pruned model has rows for some buckets only.
struct HashedRows {
  int64_t V;
  Buckets buckets;
  int64_t P;  // -1: not pruned
  const int32_t *kept, *rows;
  // Calls put with the row of a hash, if it has one.
  template <typename Put>
  void find(uint64_t hash, Put put) const {
    const auto bucket = static_cast<int32_t>(buckets.of(hash));
    if (P < 0) return put(static_cast<int32_t>(V + bucket));
    const int32_t* at = std::lower_bound(kept, kept + P, bucket);
    if (at < kept + P && *at == bucket) put(static_cast<int32_t>(V + rows[at - kept]));
  }
};

struct Text {
  const int32_t* tokens;
  const int64_t* lines;
  int64_t V, L, K;
  const uint32_t* hashes;
  const int64_t* row_starts;  // of each token's rows
  const int32_t* token_rows;
  int word_ngrams;
  HashedRows hashed;
};

struct Rule {
  Kind kind;
  Loss loss;
  int64_t C;
  int window, negatives;
  const float* keep;        // (V,), the share of a word's places that is kept
  const float* shares;      // (C,), Walker's alias table of the negatives
  const int32_t* aliases;   // (C,)
  const int64_t* path_starts;  // (C + 1,), of the paths through the tree
  const int32_t* paths;     // a node, or its complement ~node where the answer is no
  uint64_t seed;
};

struct Example {
  int64_t rows, outputs;  // where they start
  int32_t num_rows, num_outputs;
  float lr;
};

// The examples of some lines.
class Examples {
 public:
  std::vector<Example> examples;
  std::vector<int32_t> rows, outputs;  // an output is a class, or its complement where the answer is no

  void clear() { examples.clear(), rows.clear(), outputs.clear(); }

  void add(const Text& text, const Rule& rule, int64_t line, int64_t visit, float lr) {
    const int32_t *first = text.tokens + text.lines[line], *last = text.tokens + text.lines[line + 1];
    Draw draw(rule.seed, static_cast<uint64_t>(visit));
    if (rule.kind == kSupervised) add_text(text, rule, first, last, lr, draw);
    else add_words(text, rule, first, last, lr, draw);
  }

 private:
  void add_text(const Text& text, const Rule& rule, const int32_t* first, const int32_t* last, float lr, Draw& draw) {
    labels_.clear(), hashes_.clear();
    const auto start = static_cast<int64_t>(rows.size()), out = static_cast<int64_t>(outputs.size());
    for (const int32_t* token = first; token < last; token++) {
      if (*token < text.V || (*token >= text.V + text.L && *token < text.K)) {
        rows.insert(rows.end(), text.token_rows + text.row_starts[*token], text.token_rows + text.row_starts[*token + 1]);
        if (text.word_ngrams > 1) hashes_.push_back(text.hashes[*token]);
      } else if (*token < text.V + text.L) {
        labels_.push_back(static_cast<int32_t>(*token - text.V));
      }
    }
    if (labels_.empty()) return rows.resize(start);
    // fastText keeps hashes in int32, so an upper bit is spread over the upper half of the 64.
    const auto wide = [](uint32_t hash) { return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(hash))); };
    for (size_t i = 0; i < hashes_.size(); i++) {
      uint64_t hash = wide(hashes_[i]);
      for (size_t j = i + 1; j < hashes_.size() && j < i + text.word_ngrams; j++) {
        hash = hash * kRunFactor + wide(hashes_[j]);
        text.hashed.find(hash, [&](int32_t row) { rows.push_back(row); });
      }
    }
    if (static_cast<int64_t>(rows.size()) == start) return;
    if (rule.loss == kEach) {
      const size_t before = outputs.size();
      for (int64_t c = 0; c < rule.C; c++) outputs.push_back(~static_cast<int32_t>(c));
      for (const int32_t label : labels_) outputs[before + label] = label;
    } else {
      ask(rule, labels_[labels_.size() > 1 ? draw.below(static_cast<uint32_t>(labels_.size())) : 0], draw);
    }
    finish(start, out, lr);
  }

  void add_words(const Text& text, const Rule& rule, const int32_t* first, const int32_t* last, float lr, Draw& draw) {
    words_.clear();
    for (const int32_t* token = first; token < last; token++)
      if (*token < text.V && Draw::unit(draw.next()) <= rule.keep[*token]) words_.push_back(*token);
    const auto count = static_cast<int64_t>(words_.size());
    for (int64_t w = 0; w < count; w++) {
      const int64_t reach = 1 + draw.below(static_cast<uint32_t>(rule.window));
      const auto start = static_cast<int64_t>(rows.size()), out = static_cast<int64_t>(outputs.size());
      const auto put = [&](int32_t word) {
        rows.insert(rows.end(), text.token_rows + text.row_starts[word], text.token_rows + text.row_starts[word + 1]);
      };
      if (rule.kind == kSkipgram) put(words_[w]);
      else ask(rule, words_[w], draw);
      const size_t before = rows.size() + outputs.size();
      for (int64_t c = std::max<int64_t>(0, w - reach); c <= std::min(count - 1, w + reach); c++) {
        if (c == w) continue;
        if (rule.kind == kSkipgram) ask(rule, words_[c], draw);
        else put(words_[c]);
      }
      if (rows.size() + outputs.size() == before) rows.resize(start), outputs.resize(out);  // a word alone
      else finish(start, out, lr);
    }
  }

  // The questions about one class that is right.
  void ask(const Rule& rule, int32_t target, Draw& draw) {
    if (rule.loss == kHierarchical) {
      outputs.insert(outputs.end(), rule.paths + rule.path_starts[target], rule.paths + rule.path_starts[target + 1]);
      return;
    }
    outputs.push_back(target);
    if (rule.loss != kNegatives || rule.C < 2) return;
    for (int n = 0; n < rule.negatives; n++) {
      int32_t other;
      do {
        const uint64_t bits = draw.next();
        const auto place = static_cast<int32_t>(((bits >> 32) * static_cast<uint64_t>(rule.C)) >> 32);
        other = Draw::unit(bits) < rule.shares[place] ? place : rule.aliases[place];
      } while (other == target);
      outputs.push_back(~other);
    }
  }

  void finish(int64_t start, int64_t out, float lr) {
    examples.push_back({start, out, static_cast<int32_t>(rows.size() - start),
                        static_cast<int32_t>(outputs.size() - out), lr});
  }

  std::vector<int32_t> labels_, words_;
  std::vector<uint32_t> hashes_;
};

}  // namespace rubrica::fasttext
