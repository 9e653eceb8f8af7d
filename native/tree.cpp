// Classes that are found by a tree of decisions (hierarchical softmax): the probability of every class, and the most
// probable ones without looking at the others.
//
// Decision n is row n of the head: its logit x says yes with probability 1 / (1 + e^-x). Its children are children[2 n]
// (no) and children[2 n + 1] (yes): c below C is class c, and C + m is decision m, with m below n. The last decision is
// the root. The probability of a class is the product of the answers on the way to it.
//
// Letters: N texts, C classes (so C - 1 decisions), D features, k classes that are wanted of each text.
#include <cmath>
#include <vector>

#include "common.h"

namespace rubrica {
namespace {

struct Tree {
  int64_t C, D;
  const float *weight, *bias;  // (C - 1, D), (C - 1,)
  const int32_t* children;     // (C - 1, 2)

  // The logarithms of the probabilities of no and yes.
  void decide(int64_t n, const float* h, float* answers) const {
    const float* w = weight + n * D;
    float x = bias[n];
    int64_t j = 0;
    if (D >= kLanes) {
      vf sum = {};
      for (; j + kLanes <= D; j += kLanes) sum += load(w + j) * load(h + j);
      for (int i = 0; i < kLanes; i++) x += sum[i];
    }
    for (; j < D; j++) x += w[j] * h[j];
    const float rest = std::log1p(std::exp(-std::abs(x)));
    answers[0] = -(rest + std::max(x, 0.0f));
    answers[1] = -(rest + std::max(-x, 0.0f));
  }
};

// The k best classes met so far, best first; of equally probable ones the class with the smaller number is better.
class Best {
 public:
  Best(int64_t k, int32_t* classes, float* scores) : k_(k), classes_(classes), scores_(scores) {}
  bool wants(float score) const { return found_ < k_ || score >= scores_[k_ - 1]; }
  void add(int32_t c, float score) {
    int64_t place = found_;
    while (place > 0 && (score > scores_[place - 1] || (score == scores_[place - 1] && c < classes_[place - 1]))) place--;
    if (place == k_) return;
    if (found_ < k_) found_++;
    for (int64_t i = found_ - 1; i > place; i--) classes_[i] = classes_[i - 1], scores_[i] = scores_[i - 1];
    classes_[place] = c, scores_[place] = score;
  }

 private:
  int64_t k_, found_ = 0;
  int32_t* classes_;
  float* scores_;
};

struct Step {
  int32_t node;
  float score;
};

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// The logarithm of the probability of each class, (N, C).
RUBRICA_API int64_t rubrica_tree_scores(int threads, int64_t N, int64_t C, int64_t D, const float* features,
                                        const float* weight, const float* bias, const int32_t* children,
                                        float* scores) try {
  const Tree tree{C, D, weight, bias, children};
  parallel(threads, [&](int thread) {
    std::vector<float> above(C);  // of each decision: the product of the answers on the way to it
    for (int64_t i = N * thread / threads; i < N * (thread + 1) / threads; i++) {
      float* out = scores + i * C;
      if (C == 1) out[0] = 0;
      if (C > 1) above[C - 2] = 0;
      for (int64_t n = C - 2; n >= 0; n--) {
        float answers[2];
        tree.decide(n, features + i * D, answers);
        for (int side = 0; side < 2; side++) {
          const int32_t child = children[2 * n + side];
          (child < C ? out[child] : above[child - C]) = above[n] + answers[side];
        }
      }
    }
  });
  return 0;
} RUBRICA_CATCH

// The k most probable classes of each text, best first (N, k), and the logarithms of their probabilities; k is at most C.
RUBRICA_API int64_t rubrica_tree_best(int threads, int64_t N, int64_t C, int64_t D, int64_t k, const float* features,
                                      const float* weight, const float* bias, const int32_t* children,
                                      int32_t* classes, float* scores) try {
  const Tree tree{C, D, weight, bias, children};
  parallel(threads, [&](int thread) {
    std::vector<Step> open;
    for (int64_t i = N * thread / threads; i < N * (thread + 1) / threads; i++) {
      Best best(k, classes + i * k, scores + i * k);
      open.assign(1, {static_cast<int32_t>(C > 1 ? C + C - 2 : 0), 0.0f});
      while (!open.empty()) {
        const Step step = open.back();
        open.pop_back();
        if (!best.wants(step.score)) continue;  // no class below is more probable than the way to it
        if (step.node < C) {
          best.add(step.node, step.score);
          continue;
        }
        const int64_t n = step.node - C;
        float answers[2];
        tree.decide(n, features + i * D, answers);
        const int likely = answers[1] > answers[0];  // goes last onto the pile, and so comes first
        for (int side : {1 - likely, likely}) open.push_back({children[2 * n + side], step.score + answers[side]});
      }
    }
  });
  return 0;
} RUBRICA_CATCH
