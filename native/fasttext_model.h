// A fastText model in memory: how a text becomes rows, and rows become their mean.
//
// Source: facebookresearch/fastText 0.9.3, src/dictionary.cc, densematrix.cc, quantmatrix.cc. The order of additions is
// its order too, so where the processor's instructions are the same, so is every bit. What differs is where things lie:
// words in a table of 16 bytes a slot, a memo of the words of a call with their rows, and no memory is taken for a text.
//
// Letters: V words, L labels, R rows, O rows of the output, D numbers in a row, P buckets that pruning kept.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "common.h"
#include "fasttext.h"
#include "fasttext_memo.h"

namespace rubrica::fasttext {

constexpr uint8_t kEnd[] = {'<', '/', 's', '>'};  // the word that ends a line
constexpr int64_t kEndSize = 4;

// Numbers of a mapped file lie anywhere, so they are read as bytes are.
typedef float v8 __attribute__((vector_size(32), aligned(1), may_alias));
typedef float v8_in __attribute__((vector_size(32)));
inline float number(const uint8_t* numbers, int64_t i) {
  float found;
  std::memcpy(&found, numbers + 4 * i, 4);
  return found;
}

// The remainder of a division by the same number again and again, without dividing. The quotient is at most 2 too small.
struct Divider {
  uint64_t by = 1, inverse = ~uint64_t{0};
  Divider() = default;
  explicit Divider(uint64_t number) : by(number), inverse(~uint64_t{0} / number) {}
  uint64_t rest(uint64_t x) const {
    uint64_t left = x - static_cast<uint64_t>((static_cast<unsigned __int128>(x) * inverse) >> 64) * by;
    while (left >= by) left -= by;
    return left;
  }
};

// A matrix of rows that are added up: float32 where they lie, or codes of parts.
struct Matrix {
  int64_t D = 0;
  const uint8_t* weight = nullptr;                              // (rows, D) float32
  const uint8_t *codes = nullptr, *norm_codes = nullptr;        // (rows, parts), (rows)
  std::vector<float> centroids, norms;
  int64_t parts = 0, dsub = 0;
  mutable std::atomic<float*> expanded{nullptr};  // the rows that the codes stand for, once they are worth it

  Matrix() = default;
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
  ~Matrix() { delete[] expanded.load(std::memory_order_relaxed); }

  float norm_of(int64_t row) const { return norm_codes != nullptr ? norms[norm_codes[row]] : 1.0f; }

  // Calls each(first, size, numbers) for the parts of a quantised row.
  template <typename Each>
  void each_part(int64_t row, Each each) const {
    const uint8_t* code = codes + row * parts;
    for (int64_t m = 0; m < parts; m++) {
      const int64_t first = m * dsub, width = m + 1 < parts ? dsub : D - first;
      each(first, width, centroids.data() + first * 256 + code[m] * width);
    }
  }

  // Lays the rows out as numbers. They hold their norms: the product is rounded before it is added, here as there.
  // Two calls that do it at once both do it, and one throws its rows away: a lock might be held in a forked child.
  void expand(int64_t rows) const {
    std::unique_ptr<float[]> made(new (std::nothrow) float[static_cast<size_t>(rows * D)]);  // without zeros
    if (made == nullptr) return;
    for (int64_t row = 0; row < rows; row++) dsub == 2 && D % 2 == 0 ? put_pairs(row, made.get()) : put(row, made.get());
    float* none = nullptr;
    if (expanded.compare_exchange_strong(none, made.get(), std::memory_order_acq_rel)) (void)made.release();
  }

  void put(int64_t row, float* rows) const {
    each_part(row, [norm = norm_of(row), to = rows + row * D](int64_t first, int64_t width, const float* of) {
      for (int64_t j = 0; j < width; j++) to[first + j] = norm * of[j];
    });
  }

  // As `put`, for parts of two numbers, which most files have: no loop of two turns for each.
  void put_pairs(int64_t row, float* rows) const {
    const float norm = norm_of(row);
    const float* of = centroids.data();
    float* to = rows + row * D;
    for (const uint8_t *code = codes + row * parts, *end = code + parts; code < end; code++, of += 512, to += 2)
      to[0] = norm * of[2 * *code], to[1] = norm * of[2 * *code + 1];
  }

  const uint8_t* rows() const {
    return weight != nullptr ? weight : reinterpret_cast<const uint8_t*>(expanded.load(std::memory_order_acquire));
  }

  void prefetch(int32_t row) const {
    const uint8_t* found = rows();
    if (found == nullptr) {
      __builtin_prefetch(codes + row * parts);
      return;
    }
    found += row * D * 4;
    __builtin_prefetch(found);
    __builtin_prefetch(found + (D < 32 ? D : 32) * 4 - 1);
  }

  void add(float* sum, const int32_t* which, int64_t count) const;  // sum (D) += the rows, one after the other
};

struct Slot {
  uint32_t hash;
  int32_t id;  // -1: empty
  uint32_t start, size;
};

// Which buckets a pruned model kept, and the place of each among them.
struct Kept {
  const int32_t *buckets = nullptr, *rows = nullptr;  // (P), sorted by bucket
  int64_t P = 0, below = 0;                           // buckets below 0, which no hash gives
  std::vector<uint64_t> bits;                         // of all buckets; empty where they are too many for those kept
  std::vector<uint32_t> ranks;                        // how many buckets stand before each 64 bits

  template <typename Put>
  void find(uint64_t bucket, Put put) const {
    if (bits.empty()) {
      const int32_t* at = std::lower_bound(buckets, buckets + P, static_cast<int32_t>(bucket));
      if (at < buckets + P && *at == static_cast<int32_t>(bucket)) put(rows[at - buckets]);
      return;
    }
    const uint64_t word = bits[bucket / 64], bit = uint64_t{1} << bucket % 64;
    if ((word & bit) != 0) put(rows[below + ranks[bucket / 64] + __builtin_popcountll(word & (bit - 1))]);
  }
};

struct Node {
  int32_t left, right;  // -1: a label
};

enum Loss { kSoftmax, kHierarchical, kNegative, kOneVsAll };  // in the order of kernels/fasttext.py

constexpr int64_t kExpanded = 16 << 20;       // bytes of rows that are laid out: a second-level cache or two
constexpr int64_t kWorthExpanding = 1 << 16;  // bytes of texts, whose reading takes as long as to lay the rows out
constexpr int64_t kWorthAMemo = 1 << 17;  // bytes of texts, after which a memo's 2 MB are worth it
constexpr size_t kMostTokens = 1 << 16;  // of a text; the room for a longer one is given back
constexpr int64_t kRowsAtATime = 256;  // rows on their way from memory: 16 KB of rows of a cache line

// What a thread needs for a text; it only grows, and the model keeps it for the next call.
struct Scratch {
  Memo memo;
  int64_t bytes = 0;  // of texts that were read with it
  std::vector<Token> tokens;
  std::vector<uint32_t> hashes;
  std::vector<uint8_t> marked;
  std::vector<int32_t> labels;
  std::vector<float> mean, output, word;
  std::vector<std::pair<float, int32_t>> heap, stack;
  int32_t rows[kRowsAtATime];
};

struct Model {
  int min_n = 0, max_n = 0;
  int64_t word_ngrams = 1, V = 0, L = 0, R = 0, O = 0;
  Divider buckets;
  Loss loss = kSoftmax;
  bool supervised = true, hashes = false, pruned = false;
  const uint8_t* names = nullptr;  // of the dictionary
  std::string prefix;              // of a label
  std::vector<Slot> slots;         // a power of two
  Kept kept;
  Matrix input, output;
  std::vector<float> tiles;  // the output, kLanes labels side by side
  std::vector<Node> tree;
  mutable std::mutex mutex;
  mutable std::vector<std::unique_ptr<Scratch>> resting;
  mutable std::atomic<int64_t> bytes{0};  // of texts that were read while the input is codes

  // Codes are read as they are until many texts have come: a single one is answered before they would be laid out.
  void expect(int64_t size) const {
    if (input.rows() != nullptr || R * input.D * 4 > kExpanded) return;
    if (bytes.fetch_add(size, std::memory_order_relaxed) + size >= kWorthExpanding) input.expand(R);
  }

  // A scratch that rests, or a new one. Nobody waits for another: a lock that is taken may stay so in a forked child.
  std::unique_ptr<Scratch> take() const {
    const std::unique_lock<std::mutex> lock(mutex, std::try_to_lock);
    if (!lock || resting.empty()) return std::make_unique<Scratch>();
    std::unique_ptr<Scratch> found = std::move(resting.back());
    resting.pop_back();
    return found;
  }

  void put_back(std::unique_ptr<Scratch> scratch) const {
    if (scratch->tokens.capacity() > kMostTokens) return;
    const std::unique_lock<std::mutex> lock(mutex, std::try_to_lock);
    if (lock) resting.push_back(std::move(scratch));
  }

  int32_t find(const uint8_t* word, int64_t size, uint32_t hash) const {
    const size_t mask = slots.size() - 1;
    for (size_t place = hash & mask;; place = (place + 1) & mask) {
      const Slot& slot = slots[place];
      if (slot.id < 0) return -1;
      if (slot.hash == hash && slot.size == size && is_equal(names + slot.start, word, size)) return slot.id;
    }
  }

  // Hands on the row of a bucket, if it has one.
  template <typename Put>
  void put_bucket(uint64_t bucket, Put put) const {
    if (!pruned) return put(static_cast<int32_t>(V + static_cast<int64_t>(bucket)));
    kept.find(bucket, [&](int32_t row) { put(static_cast<int32_t>(V + row)); });
  }

  // Calls each(hash, first, last) for the runs of characters of a word, see `each_run`; places count from its "<".
  template <typename Each>
  void runs_of(const uint8_t* word, int64_t size, std::vector<uint8_t>& marked, Each each) const {
    if (is_end(word, size)) return;
    marked.resize(static_cast<size_t>(size + 2));
    marked[0] = '<';
    if (size > 0) std::memcpy(marked.data() + 1, word, static_cast<size_t>(size));
    marked[static_cast<size_t>(size + 1)] = '>';
    each_run(marked.data(), size + 2, min_n, max_n, each);
  }

  template <typename Put>
  void put_runs(const uint8_t* word, int64_t size, std::vector<uint8_t>& marked, Put put) const {
    if (!hashes || max_n == 0) return;
    runs_of(word, size, marked, [&](uint32_t hash, int64_t, int64_t) { put_bucket(buckets.rest(hash), put); });
  }

  static bool is_end(const uint8_t* word, int64_t size) { return size == kEndSize && !std::memcmp(word, kEnd, 4); }

  bool begins_as_label(const Token& token) const {
    return token.size >= static_cast<int64_t>(prefix.size()) &&
           (prefix.empty() || std::memcmp(token.start, prefix.data(), prefix.size()) == 0);
  }

  // Calls each(token) for what white space parts, and for the end of the line; a word that looks like the end is one.
  template <typename Each>
  static void each_token(const uint8_t* text, int64_t size, Each each) {
    const uint8_t *p = text, *end = text + size;
    for (;;) {
      while (p < end && is_space(*p)) p++;
      if (p == end) break;
      const uint8_t* start = p;
      uint32_t hash = kHashStart;
      do hash = add_byte(hash, *p++);
      while (p < end && !is_space(*p));
      each(Token{start, p - start, hash});
      if (is_end(start, p - start)) return;
    }
    each(Token{kEnd, kEndSize, hash_of(kEnd, kEndSize)});
  }

  // Hands each row of a text to `put` in fastText's order: words with their runs of characters, then runs of words.
  // The labels among the words are left in `scratch.labels`.
  template <typename Put>
  void each_row(const uint8_t* text, int64_t size, Scratch& scratch, Put put) const {
    scratch.tokens.clear(), scratch.hashes.clear(), scratch.labels.clear();
    const size_t mask = slots.size() - 1;
    each_token(text, size, [&](const Token& token) {
      max_n > 0 ? scratch.memo.prefetch(token.hash) : __builtin_prefetch(&slots[token.hash & mask]);
      scratch.tokens.push_back(token);
    });
    for (const Token& token : scratch.tokens) {
      const Memo::Word* known = nullptr;
      if (max_n > 0)
        known = scratch.memo.of(token, (token.size + 2) * (max_n - min_n + 1), [&](int32_t* rows) {
          put_runs(token.start, token.size, scratch.marked, [&](int32_t row) { *rows++ = row; });
          return std::pair(find(token.start, token.size, token.hash), rows);
        });
      const int32_t id = known != nullptr ? known->id : find(token.start, token.size, token.hash);
      if (id >= V) {
        scratch.labels.push_back(static_cast<int32_t>(id - V));
        continue;
      }
      if (id < 0 && begins_as_label(token)) continue;
      scratch.hashes.push_back(token.hash);
      if (id >= 0) put(id);
      if (known != nullptr)
        for (const int32_t *row = scratch.memo.rows(*known), *end = row + known->count; row < end; row++) put(*row);
      else
        put_runs(token.start, token.size, scratch.marked, put);
    }
    if (!hashes) return;
    const int64_t count = static_cast<int64_t>(scratch.hashes.size());
    const uint32_t* of = scratch.hashes.data();
    for (int64_t i = 0; i < count; i++) {
      // The hashes are signed numbers there, so their sign is spread over the upper half.
      uint64_t hash = static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(of[i])));
      for (int64_t j = i + 1; j < count && j < i + word_ngrams; j++) {
        hash = hash * kRunFactor + static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(of[j])));
        put_bucket(buckets.rest(hash), put);
      }
    }
  }

  // The rows of a word alone: the row of the word (or label), then the rows of its runs.
  template <typename Put>
  void each_row_of_word(const uint8_t* word, int64_t size, Scratch& scratch, Put put) const {
    const int32_t id = find(word, size, hash_of(word, size));
    if (id >= 0 && id < R) put(id);
    put_runs(word, size, scratch.marked, put);
  }
};

// Adds up rows that are handed to it, some at a time, so that they are on their way before they are needed.
class Sum {
 public:
  Sum(const Model& model, Scratch& scratch, float* sum) : input_(model.input), rows_(scratch.rows), sum_(sum) {
    std::memset(sum_, 0, static_cast<size_t>(input_.D) * sizeof(float));
  }
  void operator()(int32_t row) {
    input_.prefetch(row);
    rows_[waiting_++] = row;
    if (waiting_ == kRowsAtATime) flush();
  }
  // Makes the mean of the sum, and says how many rows there were.
  int64_t mean() {
    flush();
    const float share = static_cast<float>(1.0 / static_cast<double>(count_));
    if (count_ > 0)
      for (int64_t j = 0; j < input_.D; j++) sum_[j] *= share;
    return count_;
  }

 private:
  void flush() {
    input_.add(sum_, rows_, waiting_);
    count_ += waiting_, waiting_ = 0;
  }
  const Matrix& input_;
  int32_t* rows_;
  float* sum_;
  int64_t waiting_ = 0, count_ = 0;
};

inline bool is_within(int64_t start, int64_t end, int64_t size) { return 0 <= start && start <= end && end <= size; }

// Calls each(i, scratch) for all of N texts, some of them at a time by each thread. Says 0, or -1 for a text that does
// not lie within `size` bytes.
template <typename Each>
int64_t for_texts(const Model& model, int threads, int64_t N, int64_t size, const int64_t* starts, const int64_t* ends, Each each) {
  for (int64_t i = 0; i < N; i++)
    if (!is_within(starts[i], ends[i], size)) return -1;
  model.expect(size);
  constexpr int64_t kTexts = 32;  // at a time: some 30 microseconds, beside which asking for them costs nothing
  std::atomic<int64_t> next{0};
  parallel(threads, [&](int) {
    std::unique_ptr<Scratch> scratch = model.take();
    for (int64_t first; (first = next.fetch_add(kTexts, std::memory_order_relaxed)) < N;)
      for (int64_t i = first; i < std::min(N, first + kTexts); i++) {
        each(i, *scratch);
        scratch->bytes += ends[i] - starts[i];
        if (scratch->bytes >= kWorthAMemo) scratch->memo.open();
      }
    model.put_back(std::move(scratch));
  });
  return 0;
}

// The mean of a text's rows in scratch.mean; says how many rows there were.
inline int64_t mean_of(const Model& model, const uint8_t* text, int64_t size, Scratch& scratch) {
  scratch.mean.resize(static_cast<size_t>(model.input.D));
  Sum sum(model, scratch, scratch.mean.data());
  model.each_row(text, size, scratch, [&](int32_t row) { sum(row); });
  return sum.mean();
}

void prepare_scores(Model& model, const int64_t* counts);  // of the labels

}  // namespace rubrica::fasttext
