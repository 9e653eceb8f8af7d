// Rows of an embedding table: the distinct ones of a batch, and Adam on a few of them or on all.
#include <algorithm>
#include <cmath>

#include "simd.h"

using namespace rubrica;

// The distinct ids of `ids` (N,), in the order of their first appearance, into `words`; where each id stands among
// them into `index` (N,). Returns how many there are; -1 if an id is out of [0, V).
RUBRICA_API int64_t rubrica_distinct(int64_t N, int64_t V, const int64_t* ids, int64_t* words, int32_t* index) {
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
}


namespace {

struct Adam {
  float beta1, beta2, step_size, second_scale, epsilon;

  // One number after the other; the compiler makes vectors of it. Without a gradient only the averages decay.
  void update(int64_t E, float* table, float* first, float* second, const float* gradient) const {
    if (gradient == nullptr) {
      for (int64_t j = 0; j < E; j++) {
        first[j] *= beta1;
        second[j] *= beta2;
        table[j] -= step_size * first[j] / (std::sqrt(second[j]) * second_scale + epsilon);
      }
      return;
    }
    for (int64_t j = 0; j < E; j++) {
      const float g = gradient[j];
      first[j] += (1 - beta1) * (g - first[j]);
      second[j] = beta2 * second[j] + (1 - beta2) * g * g;
      table[j] -= step_size * first[j] / (std::sqrt(second[j]) * second_scale + epsilon);
    }
  }
};

}  // namespace

// One step of Adam (Kingma and Ba 2015) on the rows `words` (U,) of a table (V, E) with the moments `first` and
// `second`; with `dense` every other row takes its step too, with a gradient of zero. `step` counts from 1.
RUBRICA_API int64_t rubrica_adam_rows(int threads, int dense, int64_t V, int64_t E, int64_t U, const int64_t* words,
                                      const float* gradient, float* table, float* first, float* second, int64_t step,
                                      double lr, double beta1, double beta2, double epsilon) {
  const Adam adam{static_cast<float>(beta1), static_cast<float>(beta2),
                  static_cast<float>(lr / (1 - std::pow(beta1, step))),
                  static_cast<float>(1 / std::sqrt(1 - std::pow(beta2, step))), static_cast<float>(epsilon)};
  const auto run = [&](int64_t row, const float* g) {
    adam.update(E, table + row * E, first + row * E, second + row * E, g);
  };
  if (!dense) {
    parallel(threads, [&](int thread) {
      for (int64_t i = U * thread / threads; i < U * (thread + 1) / threads; i++) run(words[i], gradient + i * E);
    });
    return 0;
  }
  std::vector<int32_t> place(V, -1);
  for (int64_t i = 0; i < U; i++) place[words[i]] = static_cast<int32_t>(i);
  parallel(threads, [&](int thread) {
    for (int64_t row = V * thread / threads; row < V * (thread + 1) / threads; row++)
      run(row, place[row] < 0 ? nullptr : gradient + place[row] * E);
  });
  return 0;
}
