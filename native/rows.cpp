// Rows of an embedding table: the distinct ones of a batch, and Adam on a few of them or on all.
#include <algorithm>
#include <cmath>

#include "simd.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

using namespace rubrica;

// The distinct ids of `ids` (N,), in the order of their first appearance, into `words`; where each id stands among
// them into `index` (N,). Returns how many there are; -1 if an id is out of [0, V).
RUBRICA_API int64_t rubrica_distinct(int64_t N, int64_t V, const int64_t* ids, int64_t* words, int32_t* index) try {
  std::vector<int32_t> place(V, -1);
  int32_t count = 0;
  for (int64_t i = 0; i < N; i++) {
    const int64_t id = ids[i];
    if (id < 0 || id >= V) return -1;
    if (place[id] < 0) {
      place[id] = count;
      words[count++] = id;
    }
    index[i] = place[id];
  }
  return count;
} RUBRICA_CATCH

// Texts `ids[starts[b]]` ... of `lengths[b]` tokens each, and behind them padding (id 0) up to `steps`, if that is more:
// their distinct words in the order of their first appearance into `words`, the rows of table (V, E) of those into
// `vectors`, and where each token stands among them into `index`, text after text. There must be room for as many
// words as tokens, or V. Returns how many words there are; -1 if an id is out of [0, V).
RUBRICA_API int64_t rubrica_take_words(int64_t B, int64_t V, int64_t E, int64_t steps, const int32_t* ids,
                                       const int64_t* starts, const int64_t* lengths, const float* table, int64_t* words,
                                       int32_t* index, float* vectors) try {
  static thread_local std::vector<int32_t> place;  // all -1 between two calls
  if (place.size() < static_cast<size_t>(V)) place.resize(V, -1);
  int32_t count = 0;
  bool known = true;
  const auto see = [&](int64_t id) {
    if (id < 0 || id >= V) {
      known = false;
      return;
    }
    if (place[id] < 0) {
      for (int64_t j = 0; j < E; j += 16) __builtin_prefetch(table + id * E + j);
      place[id] = count;
      words[count++] = id;
    }
    *index++ = place[id];
  };
  for (int64_t b = 0; b < B; b++) {
    for (int64_t t = 0; t < lengths[b]; t++) see(ids[starts[b] + t]);
    for (int64_t t = lengths[b]; t < steps; t++) see(0);
  }
  for (int32_t i = 0; i < count; i++) {
    place[words[i]] = -1;
    std::memcpy(vectors + i * E, table + words[i] * E, E * sizeof(float));
  }
  return known ? count : -1;
} RUBRICA_CATCH

namespace {

// Numbers too small for a normal float count as zero while this lives: a mean of gradients that has not been fed for 800
// steps has come down to them, they move no weight by as much as its last digit, and each costs a hundred cycles.
class NoDenormals {
#if defined(__x86_64__)
  const unsigned before_ = _mm_getcsr();

 public:
  NoDenormals() { _mm_setcsr(before_ | 0x8040); }
  ~NoDenormals() { _mm_setcsr(before_); }
#endif
};

struct Adam {
  float beta1, beta2, step_size, second_scale, epsilon, gradient_scale;

  // One number after the other; the compiler makes vectors of it.
  void update(int64_t E, float* __restrict table, float* __restrict first, float* __restrict second,
              const float* __restrict gradient) const {
    for (int64_t j = 0; j < E; j++) {
      const float g = gradient_scale * gradient[j];
      first[j] += (1 - beta1) * (g - first[j]);
      second[j] = beta2 * second[j] + (1 - beta2) * g * g;
      table[j] -= step_size * first[j] / (std::sqrt(second[j]) * second_scale + epsilon);
    }
  }

  // Without a gradient only the averages decay; where the first has come to zero, the row keeps still.
  void rest(int64_t E, float* __restrict table, float* __restrict first, float* __restrict second) const {
    uint32_t bits = 0;
    for (int64_t j = 0; j < E; j++) {
      uint32_t number;
      std::memcpy(&number, first + j, sizeof number);
      bits |= number << 1;  // all but the sign
    }
    for (int64_t j = 0; j < E; j++) second[j] *= beta2;
    if (bits == 0) return;
    for (int64_t j = 0; j < E; j++) {
      first[j] *= beta1;
      table[j] -= step_size * first[j] / (std::sqrt(second[j]) * second_scale + epsilon);
    }
  }
};

}  // namespace

// The sum of the squares of `count` numbers, to be the same for any number of threads.
RUBRICA_API int64_t rubrica_square_sum(int64_t count, const float* numbers, double* sum) try {
  double sums[16] = {};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int lane = 0; lane < 16; lane++) sums[lane] += static_cast<double>(numbers[i + lane]) * numbers[i + lane];
  for (; i < count; i++) sums[0] += static_cast<double>(numbers[i]) * numbers[i];
  *sum = 0;
  for (const double part : sums) *sum += part;
  return 0;
} RUBRICA_CATCH

// One step of Adam (Kingma and Ba 2015) on the rows `words` (U,) of a table (V, E) with the moments `first` and
// `second`; with `dense` every other row takes its step too, with a gradient of zero. `step` counts from 1; the
// gradient is multiplied by `scale` first.
RUBRICA_API int64_t rubrica_adam_rows(int threads, int dense, int64_t V, int64_t E, int64_t U, const int64_t* words,
                                      const float* gradient, double scale, float* table, float* first, float* second,
                                      int64_t step, double lr, double beta1, double beta2, double epsilon) try {
  const Adam adam{static_cast<float>(beta1),
                  static_cast<float>(beta2),
                  static_cast<float>(lr / (1 - std::pow(beta1, step))),
                  static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, step))),
                  static_cast<float>(epsilon),
                  static_cast<float>(scale)};
  if (!dense) {
    parallel(threads, [&](int thread) {
      const NoDenormals guard;
      const int64_t last = U * (thread + 1) / threads;
      for (int64_t i = U * thread / threads; i < last; i++) {
        // The rows lie anywhere in the table: ask for one that is some way ahead.
        for (int64_t j = 0; i + 4 < last && j < E; j += 16)
          for (const float* numbers : {table, first, second}) __builtin_prefetch(numbers + words[i + 4] * E + j, 1);
        adam.update(E, table + words[i] * E, first + words[i] * E, second + words[i] * E, gradient + i * E);
      }
    });
    return 0;
  }
  std::vector<int32_t> place(V, -1);
  for (int64_t i = 0; i < U; i++) place[words[i]] = static_cast<int32_t>(i);
  parallel(threads, [&](int thread) {
    const NoDenormals guard;
    for (int64_t row = V * thread / threads; row < V * (thread + 1) / threads; row++) {
      if (place[row] < 0)
        adam.rest(E, table + row * E, first + row * E, second + row * E);
      else
        adam.update(E, table + row * E, first + row * E, second + row * E, gradient + place[row] * E);
    }
  });
  return 0;
} RUBRICA_CATCH
