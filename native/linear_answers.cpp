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
// `models/linear.py` says the same by features and scores, and gives the sources.
//
// The features are numbered from the most frequent on: most of what a text needs of a table is then near its beginning.
//
// Letters: N texts, F features, C columns (one machine each), G groups of 4 of them with what pads the last.
#include <memory>
#include <mutex>

#include "ngrams.h"
#include "simd.h"

namespace rubrica {
namespace {

// The model: of each feature its idf and its row, idf times weights (F, 4 G).
struct Model {
  Index index;
  const float *idf, *rows, *bias;
  int64_t features, groups, columns;

  double square(int64_t feature) const { return static_cast<double>(idf[feature]) * idf[feature]; }
};

typedef double four __attribute__((vector_size(32)));

template <typename T>
inline four load_four(const T* p) {
  typedef T vt __attribute__((vector_size(4 * sizeof(T))));
  vt found;
  std::memcpy(&found, p, sizeof found);
  return __builtin_convertvector(found, four);
}

// Adds some rows of a table (..., 4 G), each times its own number, to `sums` (4 G,).
template <typename T>
void add_rows(const T* table, int64_t groups, const std::vector<uint32_t>& rows, const std::vector<double>& times,
              size_t count, double* sums) {
  constexpr int kMost = 4;  // a cache line of floats
  constexpr size_t kAhead = 12;
  cut(groups, kMost, [&](ptrdiff_t first, int size) {
    with_constant<kMost>(size, [&](auto constant) {
      constexpr int GROUPS = decltype(constant)::value;
      four found[GROUPS];
      for (int g = 0; g < GROUPS; g++) found[g] = load_four(sums + 4 * (first + g));
      for (size_t k = 0; k < count; k++) {
        if (k + kAhead < count) __builtin_prefetch(table + 4 * (rows[k + kAhead] * groups + first));
        const T* row = table + 4 * (rows[k] * groups + first);
        for (int g = 0; g < GROUPS; g++) found[g] += times[k] * load_four(row + 4 * g);
      }
      for (int g = 0; g < GROUPS; g++) std::memcpy(sums + 4 * (first + g), &found[g], sizeof found[g]);
    });
  });
}

// A word, with what its runs of characters say where each counts as often as it is in the word.
struct Word {
  uint64_t key, hash;  // as a token; of its characters
  double squares;
  uint32_t size, place;    // how many bytes it has; where a long word's bytes are kept
  uint32_t first, count;   // its features
  int32_t own;             // the feature that is the word itself; -1: none
  uint32_t turn, times;    // the last text that it was in, and how often
};

// The words that one thread has met.
class Words {
 public:
  // What the model says of a text, (C,).
  void answer(const Texts& texts, const Model& model, int64_t i, float* scores) {
    if (++turn_ == 0 || bytes() > kMost) forget();
    counts_.resize(static_cast<size_t>(model.features));
    sequence_.clear(), distinct_.clear();
    const uint8_t* limit = texts.data + texts.ends[texts.count - 1];
    const auto take = [&](const Token& token) {
      const uint32_t place = find(token, texts, model);
      Word& word = words_[place];
      if (word.turn != turn_) {
        word.turn = turn_, word.times = 0;
        distinct_.push_back(place);
        for (uint32_t k = 0; k < word.count; k += 16) __builtin_prefetch(features_.data() + word.first + k);
      }
      word.times++;
      sequence_.push_back(place);
      return static_cast<int64_t>(sequence_.size()) < texts.max_tokens;
    };
    each_token(texts.data + texts.starts[i], texts.data + texts.ends[i], limit, texts.lowercase, texts.unicode,
               scratch_, take);
    for (int64_t c = 0; c < model.columns; c++) scores[c] = model.bias[c];
    add_runs_of_words(texts, model, scores);
    add_runs_of_characters(model, scores);
  }

 private:
  // Bytes, some 50,000 words of four classes. Beyond it all is forgotten before the next text.
  static constexpr size_t kMost = 12 << 20;

  void forget() {
    std::vector<uint32_t> counts = std::move(counts_);
    *this = Words();
    counts_ = std::move(counts);
    turn_ = 1;
  }
  size_t bytes() const {
    return sizeof(Word) * words_.capacity() + 4 * (slots_.capacity() + features_.capacity()) +
           8 * says_.capacity() + letters_.capacity();
  }

  void add_runs_of_words(const Texts& texts, const Model& model, float* scores) {
    met_.clear(), times_.clear(), keys_.clear();
    const auto meet = [&](int64_t feature) {
      if (feature >= 0 && counts_[feature]++ == 0) {
        met_.push_back(static_cast<uint32_t>(feature));
        __builtin_prefetch(model.idf + feature);
      }
    };
    for (size_t first = 0; first < sequence_.size(); first++) {
      const Word& word = words_[sequence_[first]];
      meet(word.own);
      uint64_t hash = step(kRunSeed, word.hash);
      for (size_t t = first + 1; t < sequence_.size() && t < first + texts.word_ngrams; t++)
        keys_.push_back(key_of(hash = step(hash, words_[sequence_[t]].hash)));
    }
    look_up(model, meet);
    double squares = 0;
    for (const uint32_t feature : met_) {
      const double times = damped()(counts_[feature]);
      times_.push_back(times);
      squares += times * times * model.square(feature);
      counts_[feature] = 0;
    }
    sums_.assign(4 * model.groups, 0);
    add_rows(model.rows, model.groups, met_, times_, met_.size(), sums_.data());
    add_block(model, squares, scores);
  }

  void add_runs_of_characters(const Model& model, float* scores) {
    double squares = 0;
    size_t repeated = 0;
    times_.clear();
    for (const uint32_t place : distinct_) {
      const Word& word = words_[place];
      times_.push_back(word.times);
      squares += word.times * word.squares;
      if (met_.size() < repeated + word.count) met_.resize(2 * (repeated + word.count));
      const uint32_t* features = features_.data() + word.first;
      for (uint32_t k = 0; k < word.count; k++) {
        uint32_t& count = counts_[features[k]];
        const uint32_t before = count;
        count += word.times;
        met_[repeated] = features[k];  // stays where the feature is met again
        repeated += (before <= 1) & (count > 1);
      }
    }
    sums_.assign(4 * model.groups, 0);
    add_rows(says_.data(), model.groups, distinct_, times_, distinct_.size(), sums_.data());
    times_.resize(std::max(times_.size(), repeated));
    for (size_t k = 0; k < repeated; k++) {
      const uint32_t count = counts_[met_[k]];
      const double times = damped()(count);
      times_[k] = times - count;
      squares += (times * times - count) * model.square(met_[k]);
    }
    add_rows(model.rows, model.groups, met_, times_, repeated, sums_.data());
    for (const uint32_t place : distinct_)
      for (uint32_t k = 0; k < words_[place].count; k++) counts_[features_[words_[place].first + k]] = 0;
    add_block(model, squares, scores);
  }

  // A block of features counts as its sum over the norm.
  void add_block(const Model& model, double squares, float* scores) const {
    if (!(squares > 0)) return;
    const double scale = 1 / std::sqrt(squares);
    for (int64_t c = 0; c < model.columns; c++) scores[c] += static_cast<float>(scale * sums_[c]);
  }

  // Calls found(feature or -1) for each of `keys_`, which is emptied. Three times over the keys, each time to fetch what
  // the next one reads: a lookup would wait for memory.
  template <typename Found>
  void look_up(const Model& model, Found found) {
    const Index& index = model.index;
    for (const uint32_t key : keys_) __builtin_prefetch(index.starts + (static_cast<uint64_t>(key) >> index.shift));
    for (const uint32_t key : keys_) {
      const int32_t near = index.starts[static_cast<uint64_t>(key) >> index.shift];
      __builtin_prefetch(index.keys + near);
      __builtin_prefetch(index.numbers + near);
    }
    for (const uint32_t key : keys_) found(index.find(key));
    keys_.clear();
  }

  uint32_t find(const Token& token, const Texts& texts, const Model& model) {
    const uint64_t start = ((token.key ^ token.size) * kMix) >> 32;
    for (uint64_t i = start;; i++) {
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
  void enter(size_t place) {
    const Word& word = words_[place];
    uint64_t i = ((word.key ^ word.size) * kMix) >> 32;
    while (slots_[i & (slots_.size() - 1)] != 0) i++;
    slots_[i & (slots_.size() - 1)] = static_cast<uint32_t>(place + 1);
  }

  Word read(const Token& token, const Texts& texts, const Model& model) {
    Word word{};
    word.key = token.key, word.size = token.size;
    uint8_t room[kShort];
    const uint8_t* p = bytes_of(token, room);
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
    word.own = static_cast<int32_t>(model.index.find(key_of(step(kRunSeed, word.hash))));
    word.first = static_cast<uint32_t>(features_.size());
    if (texts.char_ngrams > 1)
      for (size_t first = 0; first + 1 < codes_.size(); first++) {
        uint64_t run = step(kCharSeed, codes_[first]);
        for (size_t t = first + 1; t < codes_.size() && t < first + texts.char_ngrams; t++)
          keys_.push_back(key_of(run = step(run, codes_[t])));
      }
    look_up(model, [&](int64_t feature) {
      if (feature >= 0) features_.push_back(static_cast<uint32_t>(feature));
    });
    word.count = static_cast<uint32_t>(features_.size()) - word.first;
    const std::vector<uint32_t> own(features_.begin() + word.first, features_.end());
    for (const uint32_t feature : own) word.squares += model.square(feature);
    says_.resize(says_.size() + 4 * model.groups);
    add_rows(model.rows, model.groups, own, std::vector<double>(own.size(), 1), own.size(),
             &says_[says_.size() - 4 * model.groups]);
    return word;
  }

  static const Damped& damped() {
    static const Damped found;
    return found;
  }

  std::vector<Word> words_;
  std::vector<uint32_t> slots_ = std::vector<uint32_t>(1 << 8);  // places among `words_`, counted from 1; 0: free
  std::vector<uint32_t> features_;
  std::vector<double> says_;  // of each word, the sum of its features' rows
  std::vector<uint8_t> letters_;
  uint32_t turn_ = 0;
  // Of the text that is read.
  std::vector<uint32_t> counts_;  // of each feature; all 0 between two blocks
  std::vector<uint32_t> sequence_, distinct_, met_, keys_, codes_;
  std::vector<double> times_, sums_;
  std::string scratch_;
};

// The words that were met by each thread of the calls so far; calls may come from several threads at once.
class Kept {
 public:
  std::unique_ptr<Words> take() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) return std::unique_ptr<Words>(new Words);
    std::unique_ptr<Words> words = std::move(free_.back());
    free_.pop_back();
    return words;
  }
  void give(std::unique_ptr<Words> words) {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(words));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Words>> free_;
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
                                           const uint32_t* keys, const int32_t* key_starts, const int32_t* numbers,
                                           const float* idf, const float* rows, const float* bias,
                                           float* scores) try {
  const Texts all{lowercase, word_ngrams, char_ngrams, max_tokens, N, texts, starts, ends, {kinds, lower, num_kinds}};
  const Model model{{keys, key_starts, shift, numbers}, idf, rows, bias, F, groups, C};
  Kept& words_of_threads = *static_cast<Kept*>(kept);
  parallel(threads, [&](int thread) {
    std::unique_ptr<Words> words = words_of_threads.take();
    for (int64_t i = N * thread / threads; i < N * (thread + 1) / threads; i++)
      words->answer(all, model, i, scores + i * C);
    words_of_threads.give(std::move(words));
  });
  return 0;
} RUBRICA_CATCH
