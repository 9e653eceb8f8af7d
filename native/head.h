// The linear layer behind a network's features, the cross-entropy of its logits, and what both pass down.
//
// Letters: H features (HP: padded to whole vectors), C classes (CP), n texts of a group.
#pragma once

#include <cmath>

#include "simd.h"

namespace rubrica {
namespace {

struct Head {
  ptrdiff_t H, C, B;
  const float* across;  // W^T (H, CP)
  const float* bias;    // (CP,)
  const float* along;   // W (C, HP)
  const int64_t* targets;
  const float* text_weights;  // (B,) how much each text counts, or null
  const float* mask;          // (B, H) what the features are multiplied by, or null
  double total;               // of the texts' weights
  float smoothing;            // share of a target that goes to all classes alike
  ptrdiff_t HP() const { return padded(H); }
  ptrdiff_t CP() const { return padded(C); }
};

inline void pack_head(ptrdiff_t H, ptrdiff_t C, const float* w, const float* b, float* across, float* bias, float* along) {
  const ptrdiff_t HP = padded(H), CP = padded(C);
  std::fill_n(across, H * CP, 0.0f);
  std::fill_n(bias, CP, 0.0f);
  std::fill_n(along, C * HP, 0.0f);
  std::copy_n(b, C, bias);
  for (ptrdiff_t c = 0; c < C; c++)
    for (ptrdiff_t j = 0; j < H; j++) across[j * CP + c] = along[c * HP + j] = w[c * H + j];
}

struct Score {
  double loss = 0;
  int64_t right = 0;
};

// Adds the loss of `n` texts and how many are right; features (B, H) give place to d_features, the gradients of the
// mean loss over the batch; those of W and b are added to d_w (C, HP) and d_b (C,).
inline Score learn_head(const Head& head, ptrdiff_t n, const int32_t* texts, float* features, float* d_w, float* d_b) {
  const ptrdiff_t H = head.H, HP = head.HP(), C = head.C, CP = head.CP();
  Buffer x(n * HP, 0.0f), logits(n * CP), d_x(n * HP), zeros(HP, 0.0f);
  const auto drop_out = [&](float* row, ptrdiff_t text) {
    for (ptrdiff_t j = 0; head.mask && j < H; j++) row[j] *= head.mask[text * H + j];
  };
  for (ptrdiff_t i = 0; i < n; i++) {
    std::memcpy(x + i * HP, features + texts[i] * H, H * sizeof(float));
    drop_out(x + i * HP, texts[i]);
  }
  matmul<Start::kRow>(n, CP, H, x, HP, 1, head.across, CP, logits, CP, head.bias);
  const float of_each = head.smoothing / static_cast<float>(C), of_target = 1.0f - head.smoothing + of_each;
  Score score;
  for (ptrdiff_t i = 0; i < n; i++) {
    float* logit = logits + i * CP;
    const int64_t target = head.targets[texts[i]];
    const ptrdiff_t best = std::max_element(logit, logit + C) - logit;
    const float highest = logit[best];
    double wanted = logit[target] - highest;
    if (head.smoothing != 0) {
      double all = 0;
      for (ptrdiff_t c = 0; c < C; c++) all += logit[c] - highest;
      wanted = (1.0 - head.smoothing) * wanted + of_each * all;
    }
    float sum = 0;
    for (ptrdiff_t c = 0; c < C; c++) sum += logit[c] = std::exp(logit[c] - highest);
    const double loss = std::log(static_cast<double>(sum)) - wanted;
    score.loss += head.text_weights ? head.text_weights[texts[i]] * loss : loss;
    score.right += best == target;
    for (ptrdiff_t c = 0; c < C; c++) {
      const float d = logit[c] / sum - (c == target ? of_target : of_each);
      logit[c] = head.text_weights ? d * static_cast<float>(head.text_weights[texts[i]] / head.total)
                                   : d / static_cast<float>(head.B);
      d_b[c] += logit[c];
    }
  }
  matmul<Start::kAdd>(C, HP, n, logits, 1, CP, x, HP, d_w, HP);
  matmul<Start::kRow>(n, HP, C, logits, CP, 1, head.along, HP, d_x, HP, zeros);
  for (ptrdiff_t i = 0; i < n; i++) {
    drop_out(d_x + i * HP, texts[i]);
    std::memcpy(features + texts[i] * H, d_x + i * HP, H * sizeof(float));
  }
  return score;
}

}  // namespace
}  // namespace rubrica
