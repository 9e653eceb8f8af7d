// What a fastText model says of texts: the score of each label, and the best labels in fastText's order.
//
// Source: facebookresearch/fastText 0.9.3, src/loss.cc. A score passes through a logarithm, with 1e-5 added, and back;
// labels of equal logarithms stand in the order that its heap gives them, so the same heap is used here.
//
// Letters: see fasttext_model.h.
#include "fasttext_rounding.h"  // first: it rules what follows

#include <cmath>
#include <utility>

#include "fasttext_model.h"

namespace rubrica::fasttext {
namespace {

using Found = std::pair<float, int32_t>;  // the logarithm of a score, and its label

// NaN counts as 0: where fastText gives up.
float log_of(float score) { return static_cast<float>(std::log((score > 0 ? score : 0) + 1e-5)); }
bool is_better(const Found& a, const Found& b) { return a.first > b.first; }

constexpr int64_t kSigmoids = 512;  // in steps of 1/32 from -8 to 8
constexpr float kMostLogit = 8;

float sigmoid(float logit) {
  static const std::vector<float> table = [] {
    std::vector<float> made;
    for (int64_t i = 0; i <= kSigmoids; i++) {
      const float x = static_cast<float>(i * 2 * 8) / kSigmoids - 8;
      made.push_back(static_cast<float>(1.0 / (1.0 + std::exp(-x))));
    }
    return made;
  }();
  if (!(logit >= -kMostLogit)) return 0;  // NaN too: where fastText gives up
  if (logit > kMostLogit) return 1;
  return table[static_cast<size_t>((logit + kMostLogit) * kSigmoids / kMostLogit / 2)];
}

// products (O) = the output times the mean of the input's rows. Each sum goes through D in order.
void multiply(const Model& model, const float* mean, float* products) {
  const int64_t D = model.output.D, tiles = (model.O + kLanes - 1) / kLanes;
  const float* tile = model.tiles.data();
  constexpr int kTogether = 4;  // sums wait for themselves, so four go side by side
  int64_t t = 0;
  for (; t + kTogether <= tiles; t += kTogether) {
    vf sums[kTogether] = {};
    for (int64_t j = 0; j < D; j++)
#pragma GCC unroll 4
      for (int s = 0; s < kTogether; s++) sums[s] += load(tile + ((t + s) * D + j) * kLanes) * broadcast(mean[j]);
#pragma GCC unroll 4
    for (int s = 0; s < kTogether; s++) store(products + (t + s) * kLanes, sums[s]);
  }
  for (; t < tiles; t++) {
    vf sum = {};
    for (int64_t j = 0; j < D; j++) sum += load(tile + (t * D + j) * kLanes) * broadcast(mean[j]);
    store(products + t * kLanes, sum);
  }
  if (model.output.norm_codes != nullptr)
    for (int64_t i = 0; i < model.O; i++) products[i] *= model.output.norm_of(i);
}

// The scores of all labels in scratch.output, of a flat loss.
void score(const Model& model, Scratch& scratch) {
  scratch.output.resize(static_cast<size_t>((model.O + kLanes - 1) / kLanes * kLanes));
  float* output = scratch.output.data();
  multiply(model, scratch.mean.data(), output);
  const int64_t O = model.O;
  if (model.loss != kSoftmax) {
    for (int64_t i = 0; i < O; i++) output[i] = sigmoid(output[i]);
    return;
  }
  float highest = output[0], sum = 0;
  for (int64_t i = 0; i < O; i++) highest = std::max(output[i], highest);
  for (int64_t i = 0; i < O; i++) {
    output[i] = static_cast<float>(std::exp(static_cast<double>(output[i] - highest)));
    sum += output[i];
  }
  for (int64_t i = 0; i < O; i++) output[i] = sum > 0 ? output[i] / sum : 0;  // NaN if a product is none or infinite
}

void offer(std::vector<Found>& heap, int64_t k, Found found) {
  heap.push_back(found);
  std::push_heap(heap.begin(), heap.end(), is_better);
  if (static_cast<int64_t>(heap.size()) <= k) return;
  std::pop_heap(heap.begin(), heap.end(), is_better);
  heap.pop_back();
}

void best_of_flat(const Model& model, int64_t k, float threshold, Scratch& scratch) {
  score(model, scratch);
  std::vector<Found>& heap = scratch.heap;
  for (int64_t i = 0; i < model.O; i++) {
    const float score = scratch.output[static_cast<size_t>(i)];
    if (score < threshold) continue;
    if (static_cast<int64_t>(heap.size()) == k) {
      // Most labels are far below the worst of the best; their logarithms are not needed to say so.
      const float worst = scratch.output[static_cast<size_t>(heap.front().second)];
      if (score + 1e-5f < (worst + 1e-5f) * 0.9999f) continue;
      if (log_of(score) < heap.front().first) continue;
    }
    offer(heap, k, {log_of(score), static_cast<int32_t>(i)});
  }
}

// The product of a row of the output, whose parts are taken one after the other, with the mean.
float product_of(const Model& model, int64_t row, const float* mean) {
  const Matrix& output = model.output;
  float sum = 0;
  if (const uint8_t* rows = output.rows())
    for (int64_t j = 0; j < output.D; j++) sum += number(rows, row * output.D + j) * mean[j];
  else
    output.each_part(row, [&](int64_t first, int64_t width, const float* numbers) {
      for (int64_t j = 0; j < width; j++) sum += mean[first + j] * numbers[j];
    });
  return output.norm_codes != nullptr ? sum * output.norm_of(row) : sum;
}

// Walks down the tree, the left branch first, as long as enter(node, logarithm) allows; hands the labels to found.
template <typename Enter, typename Leaf>
void descend(const Model& model, Scratch& scratch, Enter enter, Leaf found) {
  std::vector<Found>& stack = scratch.stack;  // on a heap: a tree may be as deep as it has labels
  stack.assign(1, {0.0f, static_cast<int32_t>(model.tree.size()) - 1});
  while (!stack.empty()) {
    const auto [score, place] = stack.back();
    stack.pop_back();
    if (!enter(score)) continue;
    const Node& node = model.tree[static_cast<size_t>(place)];
    if (node.left < 0) {
      found(score, place);
      continue;
    }
    const float product = product_of(model, place - model.L, scratch.mean.data());
    const float right = static_cast<float>(1. / (1 + std::exp(-product)));
    stack.push_back({score + log_of(right), node.right});
    stack.push_back({score + log_of(static_cast<float>(1.0 - right)), node.left});
  }
}

void best_of_tree(const Model& model, int64_t k, float threshold, Scratch& scratch) {
  // As fastText has it: a negative threshold has no logarithm, and nothing is below a NaN.
  const float least = static_cast<float>(std::log(threshold + 1e-5));
  std::vector<Found>& heap = scratch.heap;
  const auto enter = [&](float score) {
    return !(score < least) && !(static_cast<int64_t>(heap.size()) == k && score < heap.front().first);
  };
  descend(model, scratch, enter, [&](float score, int32_t label) { offer(heap, k, {score, label}); });
}

// The tree in which frequent labels are near the root: two queues, of labels by rising count and of nodes as they are made.
void make_tree(Model& model, const int64_t* counts) {
  constexpr int64_t kNotMade = 1000000000000000;  // the count of a node that is not there yet
  const int64_t L = model.L;
  model.tree.assign(static_cast<size_t>(2 * L - 1), Node{-1, -1});
  std::vector<int64_t> sums(static_cast<size_t>(2 * L - 1), kNotMade);
  std::copy(counts, counts + L, sums.begin());
  int64_t leaf = L - 1, node = L;
  for (int64_t i = L; i < 2 * L - 1; i++) {
    const auto next = [&] {
      const bool is_leaf = leaf >= 0 && sums[static_cast<size_t>(leaf)] < sums[static_cast<size_t>(node)];
      return static_cast<int32_t>(is_leaf ? leaf-- : node++);
    };
    const int32_t left = next(), right = next();
    model.tree[static_cast<size_t>(i)] = {left, right};
    sums[static_cast<size_t>(i)] = sums[static_cast<size_t>(left)] + sums[static_cast<size_t>(right)];
  }
}

}  // namespace

void prepare_scores(Model& model, const int64_t* counts) {
  if (model.loss == kHierarchical) return make_tree(model, counts);
  const int64_t D = model.output.D, tiles = (model.O + kLanes - 1) / kLanes;
  model.tiles.assign(static_cast<size_t>(tiles * kLanes * D), 0.0f);
  for (int64_t i = 0; i < model.O; i++) {
    float* tile = model.tiles.data() + i / kLanes * kLanes * D + i % kLanes;
    if (const uint8_t* rows = model.output.rows())
      for (int64_t j = 0; j < D; j++) tile[j * kLanes] = number(rows, i * D + j);
    else
      model.output.each_part(i, [&](int64_t first, int64_t width, const float* numbers) {
        for (int64_t j = 0; j < width; j++) tile[(first + j) * kLanes] = numbers[j];
      });
  }
}

}  // namespace rubrica::fasttext

using namespace rubrica;
using namespace rubrica::fasttext;

// The k best labels (N, k) of each text and their scores; k is 1 to L. `counts` (N) says how many labels a text got.
RUBRICA_API int64_t rubrica_fasttext_best(void* handle, int threads, int64_t N, int64_t size, const uint8_t* texts,
                                          const int64_t* starts, const int64_t* ends, int64_t k, double threshold,
                                          int32_t* labels, float* scores, int32_t* counts) try {
  const Model& model = *static_cast<const Model*>(handle);
  if (!model.supervised || k < 1 || k > model.L) return -1;
  const float least = static_cast<float>(threshold);
  return for_texts(model, threads, N, size, starts, ends, [&](int64_t i, Scratch& scratch) {
    scratch.heap.clear();
    if (mean_of(model, texts + starts[i], ends[i] - starts[i], scratch) > 0) {
      model.loss == kHierarchical ? best_of_tree(model, k, least, scratch) : best_of_flat(model, k, least, scratch);
      std::sort_heap(scratch.heap.begin(), scratch.heap.end(), is_better);
    }
    counts[i] = static_cast<int32_t>(scratch.heap.size());
    for (int64_t j = 0; j < k; j++) {
      const bool there = j < counts[i];
      labels[i * k + j] = there ? scratch.heap[static_cast<size_t>(j)].second : -1;
      scores[i * k + j] = there ? std::exp(scratch.heap[static_cast<size_t>(j)].first) : 0.0f;
    }
  });
} RUBRICA_CATCH

// The score (N, L) of each label, as `rubrica_fasttext_best` gives it; zeros for a text without rows.
RUBRICA_API int64_t rubrica_fasttext_scores(void* handle, int threads, int64_t N, int64_t size, const uint8_t* texts,
                                            const int64_t* starts, const int64_t* ends, int64_t L, float* scores) try {
  const Model& model = *static_cast<const Model*>(handle);
  if (!model.supervised || L != model.L) return -1;
  return for_texts(model, threads, N, size, starts, ends, [&](int64_t i, Scratch& scratch) {
    float* row = scores + i * L;
    if (mean_of(model, texts + starts[i], ends[i] - starts[i], scratch) == 0) {
      std::fill(row, row + L, 0.0f);
    } else if (model.loss == kHierarchical) {
      descend(model, scratch, [](float) { return true; }, [&](float score, int32_t label) { row[label] = std::exp(score); });
    } else {
      score(model, scratch);
      for (int64_t j = 0; j < L; j++) row[j] = std::exp(log_of(scratch.output[static_cast<size_t>(j)]));
    }
  });
} RUBRICA_CATCH
