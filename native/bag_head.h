// A bag's head: the loss of one text, its gradients, and a step of bounded length.
//
// Letters: C rows of the head, D numbers in a row; CP, DP: padded to whole vectors.
#pragma once

#include <algorithm>
#include <cmath>

#include "simd.h"

namespace rubrica {
namespace {

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

// The head, the loss and their gradients for one text at a time, on numbers padded to whole vectors.
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
  // The same where a class is found by decisions, yes or no, each with a row of the head. Decision s on the way to the
  // text's class is row path[s] / 2, and is right as yes where path[s] is odd. Returns -log of the class's probability;
  // it is right if every decision is.
  float learn_path(const float* h, const int32_t* path, int64_t size, float lr, float* d, float* d_h, bool* right) {
    float loss = 0, product = 1, squares = 0;
    bool all = true;
    for (int64_t s = 0; s < size; s++) {
      const bool yes = path[s] & 1;
      const float x = logit(path[s] >> 1, h), e = std::exp(-std::abs(x));
      loss += std::max(yes ? -x : x, 0.0f);
      product *= 1.0f + e;
      if (product > 1e30f) loss += std::log(product), product = 1;
      all &= (x >= 0) == yes;
      d[s] = (x < 0 ? e : 1.0f) / (1.0f + e) - (yes ? 1.0f : 0.0f);
      squares += d[s] * d[s];
    }
    std::memset(d_h, 0, DP_ * sizeof(float));
    lr = bounded(lr, squares * (1.0f + square(h, DP_)));
    for (int64_t s = 0; s < size; s++) move(path[s] >> 1, d[s], lr, h, d_h);
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
      logits[c] = logit(c, h);
      if (logits[c] > logits[best]) best = c;
    }
    return best;
  }
  float logit(int64_t c, const float* h) {
    vf sum = {};
    for (int64_t j = 0; j < DP_; j += kLanes) sum += load(weight_ + c * DP_ + j) * load(h + j);
    return bias_[c] + add_up(sum);
  }
  // d_h = the gradient by the features, from d (CP) by the logits; then each row of the head moves by its own, d * h.
  void descend(float* d, float lr, const float* h, float* d_h) {
    std::memset(d_h, 0, DP_ * sizeof(float));
    std::fill(d + C_, d + CP_, 0.0f);
    lr = bounded(lr, square(d, CP_) * (1.0f + square(h, DP_)));
    for (int64_t c = 0; c < C_; c++) move(c, d[c], lr, h, d_h);
  }
  // Row c of the head moves by the gradient `of_class` of its logit; d_h gets its share first.
  void move(int64_t c, float of_class, float lr, const float* h, float* d_h) {
    const float step = -lr * of_class;
    float* w = weight_ + c * DP_;
    for (int64_t j = 0; j < DP_; j += kLanes) {
      const vf before = load(w + j);
      store(d_h + j, load(d_h + j) + of_class * before);
      store(w + j, before + step * load(h + j));
    }
    bias_[c] += step;
  }

  int64_t C_, D_, CP_, DP_;
  Buffer weight_, bias_;
  struct {
    float *weight, *bias;
  } source_;
};

}  // namespace
}  // namespace rubrica
