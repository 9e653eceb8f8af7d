// The bag of words, word n-grams and runs of characters: the mean of rows of two tables, a linear head, and softmax, or
// a tree of decisions, or where a text may have several classes a sigmoid for each; forward and SGD.
//
// The idea is fastText's (A. Joulin et al., EACL 2017, https://arxiv.org/abs/1607.01759). What differs is how it is
// trained. fastText's threads write where they like and hope for the best. Here every row belongs to one thread, which
// alone reads and writes it: each thread adds up its own rows of all texts of a batch, the threads meet once, each
// computes the head for all of them (a few multiplications, done again rather than waited for), and each moves its
// own rows. So a row stays in one core's cache, nothing is locked, and the same number of threads gives the same bits.
// And no step is longer than `bounded` allows, so that no data and no step size lets the weights run away.
//
// Letters: N texts, C rows of the head (the classes, or the decisions of a tree), D numbers in a row, V words, B buckets
// of n-grams and runs of characters, S words with runs of characters, R such runs.
#include <algorithm>
#include <memory>
#include <vector>

#include "bag_head.h"
#include "bag_rows.h"
#include "fasttext.h"
#include "together.h"

namespace rubrica {
namespace {

// Texts are taken in random order from ids that may be gigabytes, so they are fetched before their turn: the ids of
// this many texts ahead, and of twice as many where they start. A news text is three lines of 64 bytes.
constexpr int64_t kAhead = 8;
constexpr int64_t kLinesAhead = 4;

struct Lesson {
  int64_t count, batch_size;
  const int64_t *texts, *targets;
  const uint8_t* sets;   // (N, C) in place of targets where a text may have several classes, else null
  const int64_t* path_starts;  // of each class's decisions, where a tree finds the classes, else null
  const int32_t* path;
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
    for (int64_t i = first; i < std::min(first + lesson.batch_size, lesson.count); i++)
      rows += most_rows(bag, lesson.texts[i]);
    most = std::max(most, rows);
  }
  return most;
}

float learn(SgdHead& head, const Bag& bag, const Lesson& lesson, int64_t text, float lr, const float* h, float* logits,
            float* d_h, bool* hit) {
  if (lesson.sets) return head.learn_set(h, lesson.sets + text * bag.C, lr, lesson.smoothing, logits, d_h, hit);
  const int64_t target = lesson.targets[text];
  if (!lesson.path_starts) return head.learn(h, target, lr, lesson.smoothing, logits, d_h, hit);
  const int64_t first = lesson.path_starts[target], size = lesson.path_starts[target + 1] - first;
  return head.learn_path(h, lesson.path + first, size, lr, logits, d_h, hit);
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
        const float lost = learn(head, bag, lesson, text, lr, h, logits, d_h, &hit);
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

// The runs of characters of S words, as buckets: word i, with its marks, is bytes [starts[i], ends[i]) of `words`,
// and its runs are at subword_starts[i] (S + 1,) and on. Returns how many there are; they are written where there is room.
RUBRICA_API int64_t rubrica_bag_subwords(int run_min, int run_max, int64_t S, const uint8_t* words, const int64_t* starts,
                                         const int64_t* ends, int64_t num_buckets, int64_t R,
                                         int64_t* subword_starts, int32_t* subwords) try {
  int64_t count = 0;
  for (int64_t i = 0; i < S; i++) {
    subword_starts[i] = count;
    fasttext::each_run(words + starts[i], ends[i] - starts[i], run_min, run_max, [&](uint32_t hash, int64_t, int64_t) {
      if (subwords && count < R) subwords[count] = static_cast<int32_t>(hash % static_cast<uint64_t>(num_buckets));
      count++;
    });
  }
  subword_starts[S] = count;
  return count;
} RUBRICA_CATCH

// The mean of the rows of each of N texts, (N, D); zeros for a text without tokens.
RUBRICA_API int64_t rubrica_bag_features(int threads, int word_ngrams, int64_t N, int64_t V, int64_t B, int64_t D,
                                         const int32_t* ids, const int64_t* offsets, int32_t unknown_id, int64_t S,
                                         int64_t R, const int32_t* of_token, const int64_t* subword_starts,
                                         const int32_t* subwords, const float* words, const float* ngrams,
                                         float* features) try {
  (void)S, (void)R;
  const Bag bag{V, B, 0, D, word_ngrams, const_cast<float*>(words), const_cast<float*>(ngrams), ids, offsets,
                {unknown_id, of_token, subword_starts, subwords}};
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
// has ones at its own and `targets` is null. Where a tree finds the classes, the decisions on the way to class c are at
// path_starts[c] of `path`, see SgdHead::learn_path. A text's step is scaled by weights[i], if there are any. `outcome` (2,): the
// sum of their losses before each step, times their weights, and how many were right.
// Returns -1 where the system grants no threads.
RUBRICA_API int64_t rubrica_bag_train(int threads, int word_ngrams, int64_t V, int64_t B, int64_t C, int64_t D,
                                      const int32_t* ids, const int64_t* offsets, int32_t unknown_id, int64_t S,
                                      int64_t R, const int32_t* of_token, const int64_t* subword_starts,
                                      const int32_t* subwords, const int64_t* targets, const uint8_t* sets,
                                      const int64_t* path_starts, const int32_t* path, const float* weights,
                                      int64_t count, const int64_t* texts, int64_t batch_size, double lr, double lr_end, double smoothing, float* words, float* ngrams,
                                      float* weight, float* bias, double* outcome) try {
  (void)S, (void)R;
  const Bag bag{V, B, C, D, word_ngrams, words, ngrams, ids, offsets,
                {unknown_id, of_token, subword_starts, subwords}};
  const Lesson lesson{count, batch_size, texts, targets, sets, path_starts, path, weights,
                      static_cast<float>(lr), static_cast<float>(lr_end), static_cast<float>(smoothing)};
  const auto run = D == 16 ? train<16> : train<0>;
  return run(bag, lesson, threads, weight, bias, outcome) ? 0 : -1;
} RUBRICA_CATCH
