// A convolution over the words of texts, relu, and the pooling over a text's own windows, forward and backward.
//
// What a word adds to a window at each of its K places is the same for every occurrence, so it comes in as one row per
// distinct word ("projected", K * FP numbers), and a window is a sum of K pieces of rows. The maximum passes a gradient to
// one window a filter and text, so its way back adds up few pieces; that of the average is two matrix products. Threads
// share out texts, words, filters, or numbers of a vector, never a sum: the bits do not depend on how many there are.
//
// Letters: B texts, U distinct words, E numbers in a word vector, F filters (FP, EP: padded to whole vectors), K places of
// a window. A text shorter than a window has one, which ends with it; a text without tokens has none, and features of zeros.
#include "simd.h"

namespace rubrica {
namespace {

struct Texts {
  int maximum;  // else the average
  ptrdiff_t B, K, F;
  const int32_t* rows;     // of projected, one per token
  const int64_t* starts;   // (B,) where each text's first token stands among them
  const int64_t* lengths;  // (B,)
  ptrdiff_t FP() const { return padded(F); }
  ptrdiff_t width() const { return K * FP(); }
  ptrdiff_t windows(ptrdiff_t text) const { return lengths[text] ? std::max<ptrdiff_t>(1, lengths[text] - K + 1) : 0; }
  ptrdiff_t places(ptrdiff_t text) const { return std::min<ptrdiff_t>(K, lengths[text]); }
};

// weight (F, E, K) of torch to (E, K * FP).
void pack_filters(const Texts& p, ptrdiff_t E, const float* weight, float* out) {
  const auto place = [&](ptrdiff_t row) { return row % p.K * p.FP() + row / p.K; };
  const auto value = [&](ptrdiff_t row, ptrdiff_t e) { return weight[(row / p.K * E + e) * p.K + row % p.K]; };
  pack_across(p.F * p.K, E, p.width(), place, value, out);
}

// The same to (K * FP, EP).
void pack_along(const Texts& p, ptrdiff_t E, const float* weight, float* out) {
  const ptrdiff_t EP = padded(E);
  std::fill_n(out, p.width() * EP, 0.0f);
  for (ptrdiff_t f = 0; f < p.F; f++)
    for (ptrdiff_t e = 0; e < E; e++)
      for (ptrdiff_t k = 0; k < p.K; k++) out[(k * p.FP() + f) * EP + e] = weight[(f * E + e) * p.K + k];
}

// Filters j ... of one window before the relu.
inline vf window(const Texts& p, const int32_t* rows, ptrdiff_t places, const float* projected, vf bias, ptrdiff_t j) {
  vf sum = bias;
  for (ptrdiff_t k = 0; k < places; k++) sum += load(projected + rows[k] * p.width() + k * p.FP() + j);
  return sum;
}

// `best` (FP,), or null: which window is each filter's maximum, -1 where the relu lets none through.
void pool_text(const Texts& p, ptrdiff_t text, const float* projected, const float* bias, float* pooled, int32_t* best) {
  const ptrdiff_t windows = p.windows(text), places = p.places(text);
  std::fill_n(pooled, p.FP(), 0.0f);
  if (best) std::fill_n(best, p.FP(), -1);
  for (ptrdiff_t s = 0; s < windows; s++) {
    const int32_t* rows = p.rows + p.starts[text] + s;
    for (ptrdiff_t j = 0; j < p.FP(); j += kLanes) {
      const vf x = window(p, rows, places, projected, load(bias + j), j), before = load(pooled + j);
      if (!p.maximum) {
        store(pooled + j, before + (x < 0.0f ? vf{} : x));
        continue;
      }
      const vi smaller = x <= before;  // false for NaN, which therefore stays
      store(pooled + j, smaller ? before : x);
      if (best == nullptr) continue;
      vi steps;
      std::memcpy(&steps, best + j, sizeof steps);
      steps = smaller ? steps : vi{} + static_cast<int32_t>(s);
      std::memcpy(best + j, &steps, sizeof steps);
    }
  }
}

void backward_maximum(const Texts& p, int threads, ptrdiff_t E, ptrdiff_t U, const float* x, const float* along,
                      const int32_t* best, const float* d_features, float* d_x, float* d_w) {
  const ptrdiff_t FP = p.FP(), EP = padded(E), vectors = EP / kLanes;
  parallel(threads, [&](int thread) {
    const ptrdiff_t from = vectors * thread / threads * kLanes, to = vectors * (thread + 1) / threads * kLanes;
    for (ptrdiff_t i = 0; i < U; i++) std::fill(d_x + i * EP + from, d_x + i * EP + to, 0.0f);
    for (ptrdiff_t i = 0; i < p.width(); i++) std::fill(d_w + i * EP + from, d_w + i * EP + to, 0.0f);
    for (ptrdiff_t text = 0; text < p.B; text++)
      for (ptrdiff_t f = 0; f < p.F; f++) {
        const int32_t s = best[text * FP + f];
        if (s < 0) continue;
        const vf d = broadcast(d_features[text * p.F + f]);
        const int32_t* rows = p.rows + p.starts[text] + s;
        for (ptrdiff_t k = 0; k < p.places(text); k++) {
          const ptrdiff_t word = rows[k] * EP, place = (k * FP + f) * EP;
          for (ptrdiff_t e = from; e < to; e += kLanes) {
            store(d_w + place + e, load(d_w + place + e) + d * load(x + word + e));
            store(d_x + word + e, load(d_x + word + e) + d * load(along + place + e));
          }
        }
      }
  });
}

void backward_average(const Texts& p, int threads, ptrdiff_t E, ptrdiff_t U, const float* x, const float* along,
                      const float* projected, const float* bias, const float* d_features, float* d_x, float* d_w,
                      float* d_bias) {
  const ptrdiff_t FP = p.FP(), EP = padded(E), width = p.width(), vectors = FP / kLanes;
  Buffer d_projected(U * width), zeros(EP, 0.0f);
  parallel(threads, [&](int thread) {
    const ptrdiff_t from = vectors * thread / threads * kLanes, to = vectors * (thread + 1) / threads * kLanes;
    for (ptrdiff_t i = 0; i < U * p.K; i++) std::fill(d_projected + i * FP + from, d_projected + i * FP + to, 0.0f);
    Buffer d_pooled(FP, 0.0f);
    for (ptrdiff_t text = 0; text < p.B; text++) {
      const ptrdiff_t windows = p.windows(text), places = p.places(text);
      for (ptrdiff_t f = 0; f < p.F; f++) d_pooled[f] = d_features[text * p.F + f] / static_cast<float>(std::max<ptrdiff_t>(1, windows));
      for (ptrdiff_t s = 0; s < windows; s++) {
        const int32_t* rows = p.rows + p.starts[text] + s;
        for (ptrdiff_t j = from; j < to; j += kLanes) {
          const vf d = window(p, rows, places, projected, load(bias + j), j) > 0.0f ? load(d_pooled + j) : vf{};
          store(d_bias + j, load(d_bias + j) + d);
          for (ptrdiff_t k = 0; k < places; k++) {
            float* owed = d_projected + rows[k] * width + k * FP + j;
            store(owed, load(owed) + d);
          }
        }
      }
    }
  });
  parallel(threads, [&](int thread) {
    const ptrdiff_t first = U * thread / threads, last = U * (thread + 1) / threads;
    matmul<Start::kRow>(last - first, EP, width, d_projected + first * width, width, 1, along, EP, d_x + first * EP, EP, zeros);
    const ptrdiff_t from = width * thread / threads, to = width * (thread + 1) / threads;
    matmul<Start::kRow>(to - from, EP, U, d_projected + from, 1, width, x, EP, d_w + from * EP, EP, zeros);
  });
}

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// The width of a row of `projected`.
RUBRICA_API int64_t rubrica_windows_width(int64_t K, int64_t F) try { return K * padded(F); } RUBRICA_CATCH

// projected (U, width): what each distinct word of vectors (U, E) adds to a window at each of its places.
RUBRICA_API int64_t rubrica_windows_project(int threads, int64_t U, int64_t E, int64_t K, int64_t F, const float* vectors,
                                            const float* weight, float* projected) try {
  const Texts p{1, 0, K, F, nullptr, nullptr, nullptr};
  const ptrdiff_t width = p.width();
  Buffer across(E * width), zeros(width, 0.0f);
  pack_filters(p, E, weight, across);
  parallel(threads, [&](int thread) {
    const ptrdiff_t first = U * thread / threads, last = U * (thread + 1) / threads;
    matmul<Start::kRow>(last - first, width, E, vectors + first * E, E, 1, across, width, projected + first * width, width, zeros);
  });
  return 0;
} RUBRICA_CATCH

// features (B, F) from projected; `best` (B, FP), or null at prediction and for the average, is what the way back needs.
RUBRICA_API int64_t rubrica_windows_forward(int maximum, int threads, int64_t B, int64_t K, int64_t F, const int32_t* rows,
                                            const int64_t* starts, const int64_t* lengths, const float* projected,
                                            const float* bias, float* features, int32_t* best) try {
  const Texts p{maximum, B, K, F, rows, starts, lengths};
  const ptrdiff_t FP = p.FP();
  Buffer padded_bias(FP, 0.0f);
  std::copy_n(bias, F, static_cast<float*>(padded_bias));
  parallel(threads, [&](int thread) {
    Buffer pooled(FP);
    for (ptrdiff_t text = thread; text < B; text += threads) {
      pool_text(p, text, projected, padded_bias, pooled, best ? best + text * FP : nullptr);
      const float count = maximum ? 1.0f : static_cast<float>(std::max<ptrdiff_t>(1, p.windows(text)));
      for (ptrdiff_t f = 0; f < F; f++) features[text * F + f] = pooled[f] / count;
    }
  });
  return 0;
} RUBRICA_CATCH

// The gradients of vectors (U, E), weight (F, E, K) and bias (F,) from d_features (B, F); d_vectors may be null.
RUBRICA_API int64_t rubrica_windows_backward(int maximum, int threads, int64_t B, int64_t K, int64_t F, int64_t U, int64_t E,
                                             const int32_t* rows, const int64_t* starts, const int64_t* lengths,
                                             const float* vectors, const float* weight, const float* bias,
                                             const float* projected, const int32_t* best, const float* d_features,
                                             float* d_vectors, float* d_weight, float* d_bias) try {
  const Texts p{maximum, B, K, F, rows, starts, lengths};
  const ptrdiff_t FP = p.FP(), EP = padded(E), width = p.width();
  Buffer x(U * EP, 0.0f), along(width * EP), d_x(U * EP), d_w(width * EP), padded_bias(FP, 0.0f), bias_sum(FP, 0.0f);
  for (ptrdiff_t i = 0; i < U; i++) std::memcpy(x + i * EP, vectors + i * E, E * sizeof(float));
  pack_along(p, E, weight, along);
  std::copy_n(bias, F, static_cast<float*>(padded_bias));
  if (maximum) {
    for (ptrdiff_t text = 0; text < B; text++)
      for (ptrdiff_t f = 0; f < F; f++)
        if (best[text * FP + f] >= 0) bias_sum[f] += d_features[text * F + f];
    backward_maximum(p, threads, E, U, x, along, best, d_features, d_x, d_w);
  } else {
    backward_average(p, threads, E, U, x, along, projected, padded_bias, d_features, d_x, d_w, bias_sum);
  }
  std::copy_n(static_cast<float*>(bias_sum), F, d_bias);
  for (ptrdiff_t f = 0; f < F; f++)
    for (ptrdiff_t e = 0; e < E; e++)
      for (ptrdiff_t k = 0; k < K; k++) d_weight[(f * E + e) * K + k] = d_w[(k * FP + f) * EP + e];
  if (d_vectors)
    for (ptrdiff_t i = 0; i < U; i++) std::memcpy(d_vectors + i * E, d_x + i * EP, E * sizeof(float));
  return 0;
} RUBRICA_CATCH
