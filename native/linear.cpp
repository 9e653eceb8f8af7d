// A linear classifier on the features of ngrams.cpp: dual coordinate descent, and its scores.
//
// `kernels/linear.py` says the same in numpy, and gives the sources.
//
// Letters: N texts, F features, C columns (one machine each), W columns of a row of weights, with those that pad.
#include <cmath>

#include "simd.h"

namespace rubrica {
namespace {

// One pass of coordinate descent over one part of the columns.
struct Machines {
  int64_t count;             // texts of this pass...
  const int64_t* order;      // ... and which
  const int64_t* starts;     // where each text's entries are...
  const int32_t* sizes;      // ... and how many
  const uint32_t* indices;   // the entries' features...
  const float* values;       // ... and numbers
  const int8_t* signs;       // (N, W): 1 in the class, -1 not, 0 no such column
  const float* costs;        // (N,): C of each text
  float* alphas;             // (N, W)
  float* weights;            // (F, W)
  float* biases;             // (W,)
};

constexpr float kStill = 1e-7f;  // slopes below it are rounding

template <int W>
double descend(const Machines& m) {
  typedef float vw __attribute__((vector_size(W * sizeof(float))));
  const auto row = [](const float* p, int64_t i) {
    vw found;
    std::memcpy(&found, p + i * W, sizeof found);
    return found;
  };
  constexpr int64_t kTextsAhead = 2, kEntriesAhead = 24;
  float* weights = m.weights;
  vw bias = row(m.biases, 0);
  float worst = 0;
  for (int64_t turn = 0; turn < m.count; turn++) {
    const int64_t text = m.order[turn], size = m.sizes[text];
    if (!(m.costs[text] > 0)) continue;  // a text that counts for nothing
    const uint32_t* indices = m.indices + m.starts[text];
    const float* values = m.values + m.starts[text];
    if (turn + kTextsAhead < m.count) {
      const int64_t next = m.order[turn + kTextsAhead];
      for (int64_t k = 0; k < m.sizes[next]; k += 16) {
        __builtin_prefetch(m.indices + m.starts[next] + k);
        __builtin_prefetch(m.values + m.starts[next] + k);
      }
      __builtin_prefetch(m.alphas + next * W, 1);
      __builtin_prefetch(m.signs + next * W);
    }
    vw sums[4] = {bias, vw{}, vw{}, vw{}};
    float squares = 1;  // of the constant feature
    int64_t k = 0;
    for (; k + 4 <= size; k += 4)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) {
        if (k + j + kEntriesAhead < size) __builtin_prefetch(weights + indices[k + j + kEntriesAhead] * int64_t{W}, 1);
        sums[j] += values[k + j] * row(weights, indices[k + j]);
        squares += values[k + j] * values[k + j];
      }
    for (; k < size; k++) {
      sums[0] += values[k] * row(weights, indices[k]);
      squares += values[k] * values[k];
    }
    const vw total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    float scores[W], moves[W] = {}, largest = 0;
    std::memcpy(scores, &total, sizeof scores);
    const float ridge = 0.5f / m.costs[text], whole = squares + ridge;
    for (int c = 0; c < W; c++) {
      const float sign = m.signs[text * W + c];
      float& alpha = m.alphas[text * W + c];
      const float slope = sign * scores[c] - 1 + ridge * alpha;
      if (sign == 0 || (alpha == 0 && slope >= 0)) continue;
      largest = std::max(largest, std::abs(slope));
      if (std::abs(slope) <= kStill) continue;
      const float next = std::max(alpha - slope / whole, 0.0f);
      moves[c] = (next - alpha) * sign;
      alpha = next;
    }
    worst = std::max(worst, largest);
    if (largest <= kStill) continue;
    vw move;
    std::memcpy(&move, moves, sizeof moves);
    bias += move;
    for (k = 0; k < size; k++) {
      const vw moved = row(weights, indices[k]) + values[k] * move;
      std::memcpy(weights + indices[k] * int64_t{W}, &moved, sizeof moved);
    }
  }
  std::memcpy(m.biases, &bias, sizeof bias);
  return worst;
}

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// Adds to counts (F, C), for each of P pairs of a text and a class, the features of that text.
RUBRICA_API int64_t rubrica_linear_count(int64_t P, int64_t C, const int64_t* texts, const int64_t* classes,
                                         const int64_t* places, const int32_t* sizes, const uint32_t* indices,
                                         uint32_t* counts) try {
  constexpr int64_t kAhead = 24;
  for (int64_t pair = 0; pair < P; pair++) {
    const uint32_t* index = indices + places[texts[pair]];
    const int64_t size = sizes[texts[pair]];
    for (int64_t k = 0; k < size; k++) {
      if (k + kAhead < size) __builtin_prefetch(counts + index[k + kAhead] * C + classes[pair], 1);
      counts[index[k] * C + classes[pair]]++;
    }
  }
  return 0;
} RUBRICA_CATCH

// One pass over `count` texts in the order of `order`, for `parts` groups of W columns (1, 2, 4, 8 or 16), each by
// itself: signs, alphas (parts, N, W), weights (parts, F, W), biases (parts, W). `worst` (parts,) comes back: the
// largest projected gradient that was met.
RUBRICA_API int64_t rubrica_linear_descend(int threads, int parts, int W, int64_t N, int64_t F, int64_t count,
                                           const int64_t* order, const int64_t* starts, const int32_t* sizes,
                                           const uint32_t* indices, const float* values, const int8_t* signs,
                                           const float* costs, float* alphas, float* weights, float* biases,
                                           double* worst) try {
  parallel(std::min(threads, parts), [&](int thread) {
    for (int part = thread; part < parts; part += std::min(threads, parts)) {
      const Machines machines{count,   order,
                              starts,  sizes,
                              indices, values,
                              signs + part * N * W, costs,
                              alphas + part * N * W, weights + part * F * W,
                              biases + part * W};
      switch (W) {
        case 1: worst[part] = descend<1>(machines); break;
        case 2: worst[part] = descend<2>(machines); break;
        case 4: worst[part] = descend<4>(machines); break;
        case 8: worst[part] = descend<8>(machines); break;
        default: worst[part] = descend<16>(machines);
      }
    }
  });
  return 0;
} RUBRICA_CATCH

// scores (N, C) = entries (N, F) weights (F, C) + biases (C,).
RUBRICA_API int64_t rubrica_linear_scores(int threads, int64_t N, int64_t C, const int64_t* places,
                                          const int32_t* sizes, const uint32_t* indices, const float* values,
                                          const float* weights, const float* biases, float* scores) try {
  constexpr int kMost = 16;
  constexpr int64_t kAhead = 24;
  parallel(threads, [&](int thread) {
    for (int64_t i = N * thread / threads; i < N * (thread + 1) / threads; i++) {
      const uint32_t* index = indices + places[i];
      const float* value = values + places[i];
      cut(C, kMost, [&](ptrdiff_t first, int columns) {
        with_constant<kMost>(columns, [&](auto constant) {
          constexpr int COLUMNS = decltype(constant)::value;
          float sums[COLUMNS];
          for (int c = 0; c < COLUMNS; c++) sums[c] = biases[first + c];
          for (int64_t k = 0; k < sizes[i]; k++) {
            if (k + kAhead < sizes[i]) __builtin_prefetch(weights + index[k + kAhead] * C + first);
            const float* row = weights + index[k] * C + first;
            for (int c = 0; c < COLUMNS; c++) sums[c] += value[k] * row[c];
          }
          for (int c = 0; c < COLUMNS; c++) scores[i * C + first + c] = sums[c];
        });
      });
    }
  });
  return 0;
} RUBRICA_CATCH
