// The bag of words and word n-grams: the mean of rows of two tables, a linear head, softmax, or where a text may have
// several classes a sigmoid for each; forward and SGD.
//
// The idea is fastText's (A. Joulin et al., EACL 2017, https://arxiv.org/abs/1607.01759). What differs is how it is
// trained. fastText's threads write where they like and hope for the best. Here every row belongs to one thread, which
// alone reads and writes it: each thread adds up its own rows of all texts of a batch, the threads meet once, each
// computes the head for all of them (a few multiplications, done again rather than waited for), and each moves its
// own rows. So a row stays in one core's cache, nothing is locked, and the same number of threads gives the same bits.
// And no step is longer than `bounded` allows, so that no data and no step size lets the weights run away.
//
// Letters: N texts, C classes, D numbers in a row, V words, B buckets of n-grams.
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "simd.h"
#include "together.h"

namespace rubrica {
namespace {

struct Bag {
  int64_t V, B, C, D;
  int word_ngrams;
  float *words, *ngrams;  // (V, D), (B, D)
  const int32_t* ids;
  const int64_t* offsets;
};

// The bucket of an n-gram that ends with `id`, from what `mixed` holds of the words before it.
inline uint64_t mix(uint64_t mixed, int32_t id) {
  return (mixed ^ static_cast<uint64_t>(id + 1)) * 0x9E3779B97F4A7C15u;
}
inline int64_t bucket(uint64_t mixed, int64_t B) {
  return static_cast<int64_t>(((mixed >> 32) * static_cast<uint64_t>(B)) >> 32);
}

// Hands each row of text i to `put`, with its number: a word's is its id, an n-gram's V + its bucket. Returns how many.
template <typename Put>
inline int64_t each_row(const Bag& bag, int64_t i, Put put) {
  const int32_t* ids = bag.ids + bag.offsets[i];
  const int64_t length = bag.offsets[i + 1] - bag.offsets[i];
  int64_t count = length;
  for (int64_t t = 0; t < length; t++) put(bag.words + ids[t] * bag.D, ids[t]);
  if (bag.B == 0) return count;
  for (int64_t t = 0; t < length; t++) {
    uint64_t mixed = mix(0, ids[t]);
    for (int64_t n = 1; n < bag.word_ngrams && t + n < length; n++, count++) {
      mixed = mix(mixed, ids[t + n]);
      const int64_t place = bucket(mixed, bag.B);
      put(bag.ngrams + place * bag.D, bag.V + place);
    }
  }
  return count;
}

// Rows of texts, one after the other; never smaller than it was.
class Rows {
 public:
  explicit Rows(size_t most = 0) : rows_(most) {}
  // Room for all rows of text i behind the first `used`.
  float** room(const Bag& bag, int64_t i, size_t used) {
    const size_t most = used + (bag.offsets[i + 1] - bag.offsets[i]) * bag.word_ngrams + 1;
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

inline float add_up(vf x) {
  float lanes[kLanes];
  store(lanes, x);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
  return lanes[0];
}

// The sum of squares of numbers padded to whole vectors.
inline float square(const float* x, int64_t size) {
  vf sum = {};
  for (int64_t i = 0; i < size; i += kLanes) sum += load(x + i) * load(x + i);
  return add_up(sum);
}

// The step on one text: `lr`, but at most 1 / (1 / 4 + square / 128), where `square` is of the gradient's length. A step
// above 4 overshoots even on the bias, since the curvature of the loss by a logit pair is at most 1 / 2 = 2 / 4. A step s
// promises s * square nats off the loss of its text; one that promises more than 128 nats answers a gradient that an
// earlier step blew up. Steps on ordinary texts promise up to 75. A move is then no longer than sqrt(4 * 128), however
// large the weights are: they may grow with the number of texts, but not by a factor for each.
inline float bounded(float lr, float square) { return std::min(lr, 1.0f / (0.25f + square / 128.0f)); }

// SgdHead, loss and their gradients for one text at a time, on numbers padded to whole vectors.
class SgdHead {
 public:
  SgdHead(int64_t C, int64_t D, float* weight, float* bias)
      : C_(C), D_(D), CP_(pad(C)), DP_(pad(D)), weight_(CP_ * DP_, 0.0f), bias_(CP_, 0.0f), source_{weight, bias} {
    for (int64_t c = 0; c < C; c++) std::memcpy(weight_ + c * DP_, weight + c * D, D * sizeof(float));
    std::memcpy(bias_, bias, C * sizeof(float));
  }
  // Sequential SGD on the head; h (DP) is the features, d_h (DP) comes back as the gradient by them, of the head as
  // it was; `logits` (CP) is room to work in. `smoothing` is the share of the target that goes to all classes alike.
  // Returns -log of the target's probability.
  float learn(const float* h, int64_t target, float lr, float smoothing, float* logits, float* d_h, bool* right) {
    const int64_t best = score(h, logits);
    *right = best == target;
    const float most = logits[best], wanted = logits[target] - most;
    float total = 0;
    for (int64_t c = C_; c < CP_; c++) logits[c] = most;
    for (int64_t c = 0; c < CP_; c += kLanes) {
      vf scale, rest;
      split_exp(load(logits + c) - most, scale, rest);
      store(logits + c, scale + scale * rest);
    }
    for (int64_t c = 0; c < C_; c++) total += logits[c];
    const float known = logits[target] / total - (1.0f - smoothing);
    for (int64_t c = 0; c < C_; c++) logits[c] = logits[c] / total - smoothing / C_;
    logits[target] = known - smoothing / C_;
    descend(logits, lr, h, d_h);
    return std::log(total) - wanted;
  }
  // The same where each class is a question of its own; `set` (C) has ones at the text's classes, and `smoothing` is
  // the share of each answer that goes to yes and no alike. Returns -log of the probability of the set.
  float learn_set(const float* h, const uint8_t* set, float lr, float smoothing, float* logits, float* d_h,
                  bool* right) {
    score(h, logits);
    float loss = 0, product = 1;  // of 1 + exp(-|x|), so that few logarithms are taken
    bool all = true;
    for (int64_t c = C_; c < CP_; c++) logits[c] = 0;
    for (int64_t first = 0; first < C_; first += kLanes) {
      float away[kLanes];
      vf scale, rest;
      const vf x = load(logits + first), minus = -x;
      split_exp(x < minus ? x : minus, scale, rest);  // of -|x|: at most 1, so nothing overflows
      store(away, scale + scale * rest);
      for (int64_t c = first; c < std::min(first + kLanes, C_); c++) {
        const float e = away[c - first], wanted = set[c] ? 1.0f : 0.0f;
        const float p = (logits[c] < 0 ? e : 1.0f) / (1.0f + e);
        loss += std::max(logits[c], 0.0f) - logits[c] * wanted;
        product *= 1.0f + e;
        if (product > 1e30f) loss += std::log(product), product = 1;
        all &= (logits[c] >= 0) == (set[c] != 0);
        logits[c] = p - wanted * (1.0f - smoothing) - smoothing / 2;
      }
    }
    descend(logits, lr, h, d_h);
    *right = all;
    return loss + std::log(product);
  }
  // Copies what was learned to where it came from.
  void push() {
    for (int64_t c = 0; c < C_; c++) std::memcpy(source_.weight + c * D_, weight_ + c * DP_, D_ * sizeof(float));
    std::memcpy(source_.bias, bias_, C_ * sizeof(float));
  }
  int64_t logits_size() const { return CP_; }
  static int64_t pad(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

 private:
  // Logits (C), and the place of the largest.
  int64_t score(const float* h, float* logits) {
    int64_t best = 0;
    for (int64_t c = 0; c < C_; c++) {
      vf sum = {};
      for (int64_t j = 0; j < DP_; j += kLanes) sum += load(weight_ + c * DP_ + j) * load(h + j);
      logits[c] = bias_[c] + add_up(sum);
      if (logits[c] > logits[best]) best = c;
    }
    return best;
  }
  // d_h = the gradient by the features, from d (CP) by the logits; then each row of the head moves by its own, d * h.
  void descend(float* d, float lr, const float* h, float* d_h) {
    std::memset(d_h, 0, DP_ * sizeof(float));
    std::fill(d + C_, d + CP_, 0.0f);
    lr = bounded(lr, square(d, CP_) * (1.0f + square(h, DP_)));
    for (int64_t c = 0; c < C_; c++) {
      const float of_class = d[c], step = -lr * of_class;
      float* w = weight_ + c * DP_;
      for (int64_t j = 0; j < DP_; j += kLanes) {
        const vf before = load(w + j);
        store(d_h + j, load(d_h + j) + of_class * before);
        store(w + j, before + step * load(h + j));
      }
      bias_[c] += step;
    }
  }

  int64_t C_, D_, CP_, DP_;
  Buffer weight_, bias_;
  struct {
    float *weight, *bias;
  } source_;
};

// Texts are taken in random order from ids that may be gigabytes, so they are fetched before their turn: the ids of
// this many texts ahead, and of twice as many where they start. A news text is three lines of 64 bytes.
constexpr int64_t kAhead = 8;
constexpr int64_t kLinesAhead = 4;

struct Lesson {
  int64_t count, batch_size;
  const int64_t *texts, *targets;
  const uint8_t* sets;   // (N, C) in place of targets where a text may have several classes, else null
  const float* weights;  // what each text's step is scaled by, or null
  float lr, lr_end, smoothing;
  float lr_at(int64_t i) const { return lr + (lr_end - lr) * static_cast<float>(i) / static_cast<float>(count); }
};

// What a thread works with: its own copy of the head, numbers of one text, and the rows of a batch that are its own.
struct Worker {
  SgdHead head;
  Buffer h, d_h, logits;
  Rows rows;
  std::vector<size_t> ends;  // of each text's rows of ours
  Worker(const Bag& bag, int64_t size, size_t most, float* weight, float* bias)
      : head(bag.C, bag.D, weight, bias), h(SgdHead::pad(bag.D), 0.0f), d_h(SgdHead::pad(bag.D)), logits(head.logits_size()),
        rows(most), ends(size + 1) {}
};

// The most rows that a batch may have.
size_t most_rows(const Bag& bag, const Lesson& lesson) {
  size_t most = 0;
  for (int64_t first = 0; first < lesson.count; first += lesson.batch_size) {
    size_t rows = 1;
    for (int64_t i = first; i < std::min(first + lesson.batch_size, lesson.count); i++) {
      const int64_t text = lesson.texts[i];
      rows += (bag.offsets[text + 1] - bag.offsets[text]) * bag.word_ngrams + 1;
    }
    most = std::max(most, rows);
  }
  return most;
}

template <int WIDTH>
bool train(const Bag& bag, const Lesson& lesson, int threads, float* weight, float* bias, double* outcome) {
  const int64_t DP = SgdHead::pad(bag.D), size = std::min(lesson.batch_size, std::max<int64_t>(lesson.count, 1));
  Buffer sums(2 * threads * size * DP, 0.0f);  // two batches', so that one barrier a batch is enough
  Barrier barrier(threads);
  std::vector<int64_t> counts(2 * size);
  double loss = 0, right = 0;
  // All memory is taken before the threads start: one that failed between two barriers would leave the others waiting.
  const size_t most = most_rows(bag, lesson);
  std::vector<std::unique_ptr<Worker>> workers;
  for (int thread = 0; thread < threads; thread++)
    workers.push_back(std::make_unique<Worker>(bag, size, most, weight, bias));
  const bool done = together(threads, [&](int thread) {
    auto& [head, h, d_h, logits, rows, ends] = *workers[thread];
    double my_loss = 0, my_right = 0;
    for (int64_t first = 0, turn = 0; first < lesson.count; first += size, turn ^= 1) {
      const int64_t batch = std::min(size, lesson.count - first);
      float* mine = sums + (turn * threads + thread) * size * DP;
      const auto sum_up = [&](int64_t i) {
        sum_rows<WIDTH>(bag.D, rows.data() + ends[i], ends[i + 1] - ends[i], mine + i * DP);
      };
      for (int64_t i = 0; i < batch; i++) {
        const int64_t text = lesson.texts[first + i];
        if (const int64_t next = first + i + 2 * kAhead; next < lesson.count) {
          __builtin_prefetch(bag.offsets + lesson.texts[next]);
          if (!lesson.sets) __builtin_prefetch(lesson.targets + lesson.texts[next]);
        }
        if (const int64_t next = first + i + kAhead; next < lesson.count) {
          const char* ids = reinterpret_cast<const char*>(bag.ids + bag.offsets[lesson.texts[next]]);
          for (int64_t line = 0; line < kLinesAhead; line++) __builtin_prefetch(ids + 64 * line);
        }
        float** out = rows.room(bag, text, ends[i]);
        float** const start = out;
        // Every row is some thread's own. Whatever is written behind the last one of ours is written over.
        const int64_t count = each_row(bag, text, [&](float* row, int64_t number) {
          *out = row;
          out += ((number & 0xFFFF) * threads >> 16) == thread;
        });
        for (float** row = start; row < out; row++) __builtin_prefetch(*row, 1);
        ends[i + 1] = ends[i] + (out - start);
        if (thread == 0) counts[turn * size + i] = count;
        if (i) sum_up(i - 1);  // while the rows of this text are on their way
      }
      sum_up(batch - 1);
      barrier.wait();
      for (int64_t i = 0; i < batch; i++) {
        const int64_t text = lesson.texts[first + i], count = counts[turn * size + i];
        const float share = count ? 1.0f / count : 0.0f, weight = lesson.weights ? lesson.weights[text] : 1.0f;
        const float lr = lesson.lr_at(first + i) * weight;
        for (int64_t j = 0; j < DP; j += kLanes) {
          vf sum = {};
          for (int other = 0; other < threads; other++)
            sum += load(sums + ((turn * threads + other) * size + i) * DP + j);
          store(h + j, sum * share);
        }
        bool hit;
        const float lost =
            lesson.sets ? head.learn_set(h, lesson.sets + text * bag.C, lr, lesson.smoothing, logits, d_h, &hit)
                        : head.learn(h, lesson.targets[text], lr, lesson.smoothing, logits, d_h, &hit);
        my_loss += weight * lost;
        my_right += hit;
        const float step = bounded(lr, share * square(d_h, DP));
        move_rows<WIDTH>(bag.D, rows.data() + ends[i], ends[i + 1] - ends[i], -step * share, d_h);
      }
    }
    if (thread == 0) {
      head.push();
      loss = my_loss;
      right = my_right;
    }
  });
  outcome[0] = loss;
  outcome[1] = right;
  return done;
}

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// The mean of the rows of each of N texts, (N, D); zeros for a text without tokens.
RUBRICA_API int64_t rubrica_bag_features(int threads, int word_ngrams, int64_t N, int64_t V, int64_t B, int64_t D,
                                         const int32_t* ids, const int64_t* offsets, const float* words,
                                         const float* ngrams, float* features) try {
  const Bag bag{V, B, 0, D, word_ngrams, const_cast<float*>(words), const_cast<float*>(ngrams), ids, offsets};
  const auto run = [&](auto width, int thread) {
    constexpr int WIDTH = decltype(width)::value;
    Rows rows[2];  // of this text and of the one before
    size_t counts[2] = {};
    const auto finish = [&](int64_t i) {
      const size_t count = counts[i & 1];
      float* sum = features + i * D;
      sum_rows<WIDTH>(D, rows[i & 1].data(), count, sum);
      const float share = count ? 1.0f / count : 0.0f;
      for (int64_t j = 0; j < D; j++) sum[j] *= share;
    };
    const int64_t first = N * thread / threads, last = N * (thread + 1) / threads;
    for (int64_t i = first; i < last; i++) {
      float** out = rows[i & 1].room(bag, i, 0);
      counts[i & 1] = each_row(bag, i, [&](float* row, int64_t) {
        *out++ = row;
        __builtin_prefetch(row);
      });
      if (i > first) finish(i - 1);  // while the rows of this text are on their way
    }
    if (last > first) finish(last - 1);
  };
  parallel(threads, [&](int thread) {
    if (D == 16) run(std::integral_constant<int, 16>(), thread);
    else run(std::integral_constant<int, 0>(), thread);
  });
  return 0;
} RUBRICA_CATCH

// SGD on `count` texts in the order of `texts`, the learning rate falling linearly from `lr` to `lr_end`. Words,
// n-grams and head change in place. The class of text i is targets[i], or where a text may have several, `sets` (N, C)
// has ones at its own and `targets` is null; its step is scaled by weights[i], if there are any. `outcome` (2,): the
// sum of their losses before each step, times their weights, and how many were right.
// Returns -1 where the system grants no threads.
RUBRICA_API int64_t rubrica_bag_train(int threads, int word_ngrams, int64_t V, int64_t B, int64_t C, int64_t D,
                                      const int32_t* ids, const int64_t* offsets, const int64_t* targets,
                                      const uint8_t* sets, const float* weights, int64_t count, const int64_t* texts,
                                      int64_t batch_size, double lr, double lr_end, double smoothing,
                                      float* words, float* ngrams, float* weight, float* bias, double* outcome) try {
  const Bag bag{V, B, C, D, word_ngrams, words, ngrams, ids, offsets};
  const Lesson lesson{count, batch_size, texts, targets, sets, weights, static_cast<float>(lr),
                      static_cast<float>(lr_end), static_cast<float>(smoothing)};
  const auto run = D == 16 ? train<16> : train<0>;
  return run(bag, lesson, threads, weight, bias, outcome) ? 0 : -1;
} RUBRICA_CATCH
