// What a linear model says of texts, without the list of their features.
//
// Most words of a text were in a text before it. So a thread keeps the words that it has met, each with the features of
// its runs of characters and with what they say together if each of them is in a text once. A text then costs the sum of
// its words, and a correction for the features that it has more than once, whose weight is 1 + ln of how often.
//
//     sum over features of (1 + ln n) row  =  sum over words of their rows  +  sum where n > 1 of (1 + ln n - n) row
//
// The sums are of doubles: what the correction takes away is the very number that was added. What is kept of a word
// depends on nothing but the word, so the answer to a text is the same whatever was read before.
//
// A text of 47 tokens needs some 300 places of tables that are too large for the near caches. So each walk over the text
// asks for what the next walk reads, and the waits overlap.
//
// `models/linear.py` says the same by features and scores, and gives the sources.
//
// The features are numbered from the most frequent on: most of what a text needs of a table is then near its beginning.
//
// Letters: N texts; F, C and G as in linear_words.h.
#include <memory>
#include <mutex>

#include "linear_words.h"

namespace rubrica {
namespace {

// What one thread reads texts with: the words that it has met, and room for what it knows of a text.
class Reader {
 public:
  // What the model says of a text, (C,).
  void answer(const Texts& texts, const Model& model, int64_t i, float* scores) {
    if (++turn_ == 0 || words_.bytes() > Words::kMost) words_ = Words(), turn_ = 1;
    counts_.resize(static_cast<size_t>(model.features));
    read_tokens(texts, i);
    meet_words(texts, model);
    for (int64_t c = 0; c < model.columns; c++) scores[c] = model.bias[c];
    add_runs_of_words(texts, model, scores);
    add_runs_of_characters(model, scores);
  }

 private:
  struct Seen {
    Token token;
    uint64_t start;  // where the search for its word begins
    size_t place;    // of a long token's bytes among `long_`
  };

  void read_tokens(const Texts& texts, int64_t i) {
    const uint8_t *first = texts.data + texts.starts[i], *end = texts.data + texts.ends[i];
    Seen* seen = room(seen_, static_cast<size_t>(std::min<int64_t>(texts.max_tokens, end - first)));
    size_t count = 0;
    long_.clear();
    const auto take = [&](const Token& token) {
      Seen& now = seen[count++];
      now = {token, Words::start_of(token.key, token.size), long_.size()};
      if (token.size > kShort) long_.append(reinterpret_cast<const char*>(token.bytes), token.size);
      words_.expect(now.start);
      return static_cast<int64_t>(count) < texts.max_tokens;
    };
    each_token(first, end, texts.data + texts.ends[texts.count - 1], texts.lowercase, texts.unicode, scratch_, take);
    size_ = count;
  }

  // The word of each token, and the different words.
  void meet_words(const Texts& texts, const Model& model) {
    for (size_t k = 0; k < size_; k++) words_.expect_word(seen_[k].start);
    uint32_t *sequence = room(sequence_, size_), *distinct = room(distinct_, size_);
    different_ = 0;
    for (size_t k = 0; k < size_; k++) {
      Token& token = seen_[k].token;
      if (token.size > kShort) token.bytes = reinterpret_cast<const uint8_t*>(long_.data()) + seen_[k].place;
      const uint32_t place = sequence[k] = words_.find(token, texts, model);
      Word& word = words_[place];
      if (word.turn != turn_) {
        word.turn = turn_, word.times = 0;
        distinct[different_++] = place;
        for (uint32_t j = 0; j < word.count; j += 16) __builtin_prefetch(words_.features() + word.first + j);
        for (int64_t j = 0; j < 4 * model.groups; j += 8) __builtin_prefetch(words_.says() + place * 4 * model.groups + j);
        if (word.own >= 0) {
          __builtin_prefetch(counts_.data() + word.own);
          __builtin_prefetch(model.row(word.own));
        }
      }
      word.times++;
    }
  }

  void add_runs_of_words(const Texts& texts, const Model& model, float* scores) {
    const size_t most = std::min(static_cast<size_t>(texts.word_ngrams), std::max<size_t>(size_, 1));
    uint32_t *keys = room(keys_, size_ * most), *met = room(met_, size_ * most + 1);
    size_t runs = 0, found = 0;
    for (size_t first = 0; first < size_; first++) {
      const Word& word = words_[sequence_[first]];
      met[found] = static_cast<uint32_t>(word.own);
      found += word.own >= 0;
      uint64_t hash = step(kRunSeed, word.hash);
      for (size_t t = first + 1; t < size_ && t < first + most; t++)
        keys[runs++] = key_of(hash = step(hash, words_[sequence_[t]].hash));
    }
    const size_t words = found;
    found += look_up(model, keys, runs, met + found);
    for (size_t k = words; k < found; k++) __builtin_prefetch(counts_.data() + met[k]);
    uint32_t* counts = counts_.data();
    size_t different = 0;
    for (size_t k = 0; k < found; k++) {
      const uint32_t feature = met[k];
      met[different] = feature;
      different += counts[feature]++ == 0;
    }
    double* times = room(times_, different);
    double squares = 0;
    for (size_t k = 0; k < different; k++) {
      times[k] = damped_(counts[met[k]]);
      squares += times[k] * times[k] * model.square(met[k]);
      counts[met[k]] = 0;
    }
    sums_.assign(4 * model.groups, 0);
    add_rows(model.rows + 1, model.width(), model.groups, met, times, different, sums_.data());
    add_block(model, squares, scores);
  }

  void add_runs_of_characters(const Model& model, float* scores) {
    double* times = room(times_, different_);
    double squares = 0;
    for (size_t k = 0; k < different_; k++) {
      const Word& word = words_[distinct_[k]];
      times[k] = word.times;
      squares += word.times * word.squares;
    }
    sums_.assign(4 * model.groups, 0);
    add_rows(words_.says(), 4 * model.groups, model.groups, distinct_.data(), times, different_, sums_.data());

    // The features of all tokens in one row, since the end of a short loop is seldom foreseen by the processor.
    size_t all = 0;
    for (size_t k = 0; k < size_; k++) all += words_[sequence_[k]].count;
    uint32_t* row = room(row_, all + Words::kSpare);
    all = 0;
    for (size_t k = 0; k < size_; k++) {
      const Word& word = words_[sequence_[k]];
      const uint32_t* from = words_.features() + word.first;
      uint32_t* to = row + all;
      for (uint32_t j = 0; j < word.count; j += Words::kSpare) std::memcpy(to + j, from + j, Words::kSpare * sizeof *to);
      all += word.count;
    }
    uint32_t *counts = counts_.data(), *met = room(met_, all + 1);
    size_t repeated = 0;
    for (size_t k = 0; k < all; k++) {
      met[repeated] = row[k];  // stays where the feature is met for the second time
      repeated += counts[row[k]]++ == 1;
    }
    times = room(times_, repeated);
    for (size_t k = 0; k < repeated; k++) {
      const uint32_t count = counts[met[k]];
      const double weight = damped_(count);
      times[k] = weight - count;
      squares += (weight * weight - count) * model.square(met[k]);
    }
    add_rows(model.rows + 1, model.width(), model.groups, met, times, repeated, sums_.data());
    for (size_t k = 0; k < all; k++) counts[row[k]] = 0;
    add_block(model, squares, scores);
  }

  // A block of features counts as its sum over the norm.
  void add_block(const Model& model, double squares, float* scores) const {
    if (!(squares > 0)) return;
    const double scale = 1 / std::sqrt(squares);
    for (int64_t c = 0; c < model.columns; c++) scores[c] += static_cast<float>(scale * sums_[c]);
  }

  const Damped damped_;
  Words words_;
  uint32_t turn_ = 0;
  std::vector<uint32_t> counts_;  // of each feature; all 0 between two blocks
  // Of the text that is read: its tokens, their words, the different ones among them, and what one block needs.
  std::vector<Seen> seen_;
  std::vector<uint32_t> sequence_, distinct_, keys_, met_, row_;
  std::vector<double> times_, sums_;
  std::string scratch_, long_;
  size_t size_ = 0, different_ = 0;
};

// The readers of the calls so far, each with the words that it has met; calls may come from several threads at once.
class Kept {
 public:
  std::unique_ptr<Reader> take() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) return std::unique_ptr<Reader>(new Reader);
    std::unique_ptr<Reader> reader = std::move(free_.back());
    free_.pop_back();
    return reader;
  }
  void give(std::unique_ptr<Reader> reader) {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(reader));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Reader>> free_;
};

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// What is kept of the words of one model; to be ended by `rubrica_linear_words_end`.
RUBRICA_API int64_t rubrica_linear_words_start() try {
  return reinterpret_cast<int64_t>(new Kept);
} RUBRICA_CATCH

RUBRICA_API int64_t rubrica_linear_words_end(void* kept) try {
  delete static_cast<Kept*>(kept);
  return 0;
} RUBRICA_CATCH

// The scores (N, C) of N texts by the model of which `kept` keeps the words: always the same arrays.
RUBRICA_API int64_t rubrica_linear_answers(void* kept, int threads, int lowercase, int word_ngrams, int char_ngrams,
                                           int64_t max_tokens, int64_t N, const uint8_t* texts, const int64_t* starts,
                                           const int64_t* ends, const uint8_t* kinds, const int32_t* lower,
                                           int64_t num_kinds, int64_t F, int64_t groups, int64_t C, int shift,
                                           const uint32_t* entries, const float* rows, const float* bias,
                                           float* scores) try {
  const Texts all{lowercase, word_ngrams, char_ngrams, max_tokens, N, texts, starts, ends, {kinds, lower, num_kinds}};
  const Model model{{reinterpret_cast<const Entry*>(entries), shift}, rows, bias, F, groups, C};
  Kept& readers = *static_cast<Kept*>(kept);
  parallel(threads, [&](int thread) {
    std::unique_ptr<Reader> reader = readers.take();
    for (int64_t i = N * thread / threads; i < N * (thread + 1) / threads; i++)
      reader->answer(all, model, i, scores + i * C);
    readers.give(std::move(reader));
  });
  return 0;
} RUBRICA_CATCH
