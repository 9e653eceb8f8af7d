// RNN, GRU and LSTM over a batch of texts of different lengths, forward and backward, with the pooling over time.
//
// What is known of a text before the first step is not computed in the loop: the input's part of the gates comes in
// as one row per distinct word ("projected", from one matrix product), and a text's t-th word is a row number.
// Texts are sorted by length, so that those still running at a step are always the first ones and no step computes
// padding. Each thread takes every n-th text and works through them in groups whose numbers of a step stay in the
// first-level cache. On the way back only the recurrent product is computed step by step: the gradients of the gates
// take the place of the gates, and what the parameters and the words are owed is summed over many tokens at a time.
// Sums over threads are made in the order of the threads: the same number of them gives the same bits.
//
// Letters: B texts, T steps, U distinct words, E numbers in a word vector, H hidden units (HP, EP: padded to whole
// vectors), G gates. Derivatives: Werbos 1990; formulas and gate order as in cells.py, to which the tests hold both.
#pragma once

#include <numeric>

#include "cells.h"

namespace rubrica {
namespace {

enum Pooling { kLast, kMax, kAverage };

constexpr int kGroup = 32;  // texts of a group: 32 x 4 gates x 64 units are 32 KiB
constexpr int kChunk = 32;  // tokens, or words, of one step of a sum over all of them; at most 32 KiB too

struct Problem {
  int cell, pooling;
  ptrdiff_t B, H, U;
  const int32_t* rows;     // of projected, one per token
  const int64_t* starts;   // (B,) where each text's first token stands among them
  const int64_t* lengths;  // (B,)
  ptrdiff_t HP() const { return padded(H); }
  ptrdiff_t G() const { return kGates[cell]; }
  ptrdiff_t width() const { return G() * HP(); }
};

// The texts of one thread, longest first, and where it keeps their tokens' numbers.
struct Share {
  std::vector<int32_t> texts;
  ptrdiff_t tokens = 0;
  ptrdiff_t first_token = 0;
};

std::vector<Share> share_out(const Problem& p, int threads) {
  std::vector<int32_t> order(p.B);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return p.lengths[a] > p.lengths[b]; });
  std::vector<Share> shares(threads);
  for (ptrdiff_t i = 0; i < p.B; i++) {
    Share& share = shares[i % threads];
    share.texts.push_back(order[i]);
    share.tokens += p.lengths[order[i]];
  }
  for (int i = 1; i < threads; i++) shares[i].first_token = shares[i - 1].first_token + shares[i - 1].tokens;
  return shares;
}

ptrdiff_t tokens_of(const std::vector<Share>& shares) { return shares.back().first_token + shares.back().tokens; }

// One group of texts: how many still run at each step, and where a step's tokens start among the group's.
struct Group {
  const int32_t* texts;
  ptrdiff_t size;
  std::vector<ptrdiff_t> running, start;
  ptrdiff_t steps() const { return static_cast<ptrdiff_t>(running.size()); }
  ptrdiff_t tokens() const { return steps() ? start.back() + running.back() : 0; }
  ptrdiff_t running_at(ptrdiff_t t) const { return t < steps() ? running[t] : 0; }
};

std::vector<Group> groups_of(const Problem& p, const Share& share) {
  std::vector<Group> groups;
  cut(static_cast<ptrdiff_t>(share.texts.size()), kGroup, [&](ptrdiff_t first, int size) {
    Group group{share.texts.data() + first, size, {}, {}};
    ptrdiff_t running = size, start = 0;
    for (ptrdiff_t t = 0; t < p.lengths[group.texts[0]]; t++) {
      while (p.lengths[group.texts[running - 1]] <= t) running--;
      group.running.push_back(running);
      group.start.push_back(start);
      start += running;
    }
    groups.push_back(std::move(group));
  });
  return groups;
}

// Takes the state of one more step into a text's features; `best` remembers the step of each unit's maximum.
inline void pool_step(int pooling, ptrdiff_t t, ptrdiff_t length, vf h, float* features, int32_t* best) {
  if (pooling == kLast) {
    if (t == length - 1) store(features, h);
    return;
  }
  const vf before = load(features);
  if (pooling == kAverage) return store(features, t == 0 ? h : before + h);
  const vi larger = t == 0 ? vi{} - 1 : h > before;
  store(features, larger ? h : before);
  if (best == nullptr) return;
  vi steps;
  std::memcpy(&steps, best, sizeof steps);
  steps = larger ? vi{} + static_cast<int32_t>(t) : steps;
  std::memcpy(best, &steps, sizeof steps);
}

// What the pooling passes down to the state of one step; the average's gradient is divided by the length already.
inline vf unpool_step(int pooling, ptrdiff_t t, ptrdiff_t length, const float* d_features, const int32_t* best) {
  if (pooling == kLast) return t == length - 1 ? load(d_features) : vf{};
  if (pooling == kAverage) return load(d_features);
  vi steps;
  std::memcpy(&steps, best, sizeof steps);
  return steps == static_cast<int32_t>(t) ? load(d_features) : vf{};
}

// What one step of a group reads and writes; a row is a text.
struct Step {
  ptrdiff_t t, K, HP;   // K: how many units the product reads; the first state is zero, and so is its product
  const float* before;  // (rows, HP)
  const float* const* x;  // the projected word of each row
  float* const* h;      // where each row's state goes
  float* c;             // (rows, HP)
  float* kept;          // (rows, kKept * HP), or null
  float* pooled;        // (rows, HP)
};

// ROWS texts, one vector of units: the recurrent product of all gates, and the cell on it.
template <int CELL, int ROWS>
inline void step_tile(const Problem& p, const Group& group, const Step& s, ptrdiff_t row, ptrdiff_t j, const float* w,
                      const float* b, int32_t* best) {
  constexpr int G = kGates[CELL], size = G * kLanes;
  alignas(64) float gates[ROWS * size];
  const float* before = s.before + row * s.HP;
  tile<ROWS, G, Start::kRow>(s.K, before, s.HP, 1, w, size, gates, size, b);
#pragma GCC unroll 1
  for (int r = 0; r < ROWS; r++) {
    const ptrdiff_t i = row + r, text = group.texts[i];
    float* kept = s.kept ? s.kept + i * kKept[CELL] * s.HP : nullptr;
    const vf h = cell_step<CELL>(s.HP, j, s.x[i], gates + r * size, load(before + r * s.HP + j), s.c + i * s.HP, kept);
    store(s.h[i] + j, h);
    pool_step(p.pooling, s.t, p.lengths[text], h, s.pooled + i * s.HP + j, best ? best + text * s.HP + j : nullptr);
  }
}

// Runs one group. `states` (a token's state before it) and `kept` are the group's part of the saved numbers, or null
// at prediction.
template <int CELL>
void forward_group(const Problem& p, const Group& group, const float* projected, const float* w_hh, const float* b_hh,
                   float* features, float* states, float* kept, int32_t* best) {
  constexpr int G = kGates[CELL];
  const ptrdiff_t HP = p.HP(), width = p.width(), size = group.size;
  Buffer turn(states ? 0 : 2 * size * HP), c(size * HP, 0.0f), pooled(size * HP, 0.0f), nowhere(HP);
  std::vector<const float*> x(size);
  std::vector<float*> h(size);
  float* before = states ? states : turn;
  std::fill_n(before, group.running_at(0) * HP, 0.0f);  // empty texts, the last ones, have no state
  for (ptrdiff_t t = 0; t < group.steps(); t++) {
    const ptrdiff_t running = group.running[t], going_on = group.running_at(t + 1);
    float* next = states ? states + (group.start[t] + running) * HP : turn + (t + 1) % 2 * size * HP;
    for (ptrdiff_t i = 0; i < running; i++) {
      x[i] = projected + p.rows[p.starts[group.texts[i]] + t] * width;
      h[i] = i < going_on ? next + i * HP : nowhere;
    }
    const Step step{t, t ? p.H : 0, HP, before, x.data(), h.data(), c,
                    kept ? kept + group.start[t] * kKept[CELL] * HP : nullptr, pooled};
    for (ptrdiff_t j = 0; j < HP; j += kLanes)
      cut(running, tile_height(G), [&](ptrdiff_t row, int rows) {
        with_constant<tile_height(G)>(rows, [&](auto rows_constant) {
          step_tile<CELL, decltype(rows_constant)::value>(p, group, step, row, j, w_hh + j * p.H * G, b_hh + j * G, best);
        });
      });
    before = next;
  }
  for (ptrdiff_t i = 0; i < size; i++) {
    const ptrdiff_t text = group.texts[i];
    const float scale = p.pooling == kAverage && p.lengths[text] ? 1.0f / p.lengths[text] : 1.0f;
    for (ptrdiff_t j = 0; j < p.H; j++) features[text * p.H + j] = scale * pooled[i * HP + j];
  }
}

// Turns what is kept of each token into the gradients of its gates, and adds the group's part of the recurrent
// parameters' gradients to the thread's: d_w (width, HP), d_b (width + HP,), whose last HP are the input's bias of the
// gru's third gate, the only one that differs from the state's.
template <int CELL>
void backward_group(const Problem& p, const Group& group, const float* w_hh, const float* states, float* kept,
                    const int32_t* best, const float* d_features, float* d_w, float* d_b) {
  constexpr int G = kGates[CELL];
  const ptrdiff_t HP = p.HP(), width = p.width(), keep = kKept[CELL] * HP, size = group.size;
  Buffer d_h(size * HP, 0.0f), d_c(size * HP, 0.0f), d_pooled(size * HP, 0.0f), zeros(HP, 0.0f);
  for (ptrdiff_t i = 0; i < size; i++) {
    const ptrdiff_t text = group.texts[i];
    const float scale = p.pooling == kAverage && p.lengths[text] ? 1.0f / p.lengths[text] : 1.0f;
    for (ptrdiff_t j = 0; j < p.H; j++) d_pooled[i * HP + j] = scale * d_features[text * p.H + j];
  }
  ptrdiff_t summed = group.tokens();  // tokens from here on are in d_w already
  for (ptrdiff_t t = group.steps() - 1; t >= 0; t--) {
    const ptrdiff_t running = group.running[t], start = group.start[t];
    matmul<Start::kAdd>(group.running_at(t + 1), HP, width, kept + (start + running) * keep, keep, 1, w_hh, HP, d_h, HP);
    for (ptrdiff_t j = 0; j < HP; j += kLanes) {
      vf sums[G + 1];
      for (int g = 0; g < G; g++) sums[g] = load(d_b + j * G + g * kLanes);
      sums[G] = load(d_b + width + j);
      for (ptrdiff_t i = 0; i < running; i++) {
        const ptrdiff_t text = group.texts[i];
        const vf d = load(d_h + i * HP + j) +
                     unpool_step(p.pooling, t, p.lengths[text], d_pooled + i * HP + j, best ? best + text * HP + j : nullptr);
        const float* c_before = CELL == kLstm && t ? kept + (group.start[t - 1] + i) * keep + 4 * HP : zeros;
        store(d_h + i * HP + j, cell_back<CELL>(HP, j, d, load(states + (start + i) * HP + j), c_before + j,
                                                d_c + i * HP, kept + (start + i) * keep, sums));
      }
      for (int g = 0; g < G; g++) store(d_b + j * G + g * kLanes, sums[g]);
      store(d_b + width + j, sums[G]);
    }
    if (summed - start < kChunk && t > 0) continue;
    // The states before the first step are zero and add nothing.
    const ptrdiff_t from = t ? start : running;
    matmul<Start::kAdd>(width, HP, summed - from, kept + from * keep, 1, keep, states + from * HP, HP, d_w, HP);
    summed = from;
  }
}

}  // namespace
}  // namespace rubrica
