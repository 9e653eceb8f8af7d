// The linear layer behind a network's features. A text's logits do not depend on the texts beside it, as they may where a
// matrix library chooses its way by the number of rows.
//
// Letters: N texts, F features, C classes (CP: padded to whole vectors).
#include "simd.h"

using namespace rubrica;

// logits (N, C) = features (N, F) weight^T + bias.
RUBRICA_API int64_t rubrica_layer(int threads, int64_t N, int64_t F, int64_t C, const float* features,
                                  const float* weight, const float* bias, float* logits) try {
  constexpr ptrdiff_t kRows = 48;  // a few tiles: what they share is read once
  const ptrdiff_t CP = padded(C);
  Buffer across(F * CP), start(CP, 0.0f);
  pack_across(C, F, CP, [](ptrdiff_t c) { return c; }, [&](ptrdiff_t c, ptrdiff_t k) { return weight[c * F + k]; }, across);
  std::memcpy(start, bias, C * sizeof(float));
  parallel(threads, [&](int thread) {
    Buffer found(kRows * CP);
    const ptrdiff_t last = N * (thread + 1) / threads;
    for (ptrdiff_t i = N * thread / threads; i < last; i += kRows) {
      const ptrdiff_t rows = std::min(kRows, last - i);
      matmul<Start::kRow>(rows, CP, F, features + i * F, F, 1, across, CP, found, CP, start);
      for (ptrdiff_t r = 0; r < rows; r++) std::memcpy(logits + (i + r) * C, found + r * CP, C * sizeof(float));
    }
  });
  return 0;
} RUBRICA_CATCH
