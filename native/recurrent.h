// RNN, GRU and LSTM over a batch of texts of different lengths, forward and backward, with the pooling over time.
//
// What is known of a text before the first step is not computed in the loop: the input's part of the gates comes in
// as one row per distinct word ("projected", from one matrix product), and a text's t-th word is a row number.
// Texts are sorted by length, so that those still running at a step are always the first ones and no step computes
// padding. Each thread takes every n-th text and works through them in groups whose numbers of a step stay in the
// first-level cache. On the way back only the recurrent product is computed step by step: the gradients of the gates
// take the place of the gates, and what the parameters and the words are owed is summed over many tokens at a time.
// A reading from the end is the same walk over a text's words in the other order.
// Sums over threads are made in the order of the threads: the same number of them gives the same bits.
//
// Letters: B texts, T steps, U distinct words, E numbers in a word vector, H hidden units (HP, EP: padded to whole
// vectors), G gates. Derivatives: Werbos 1990; formulas and gate order as in cells.py, to which the tests hold both.
#pragma once

#include <cmath>
#include <numeric>

#include "cells.h"

namespace rubrica {
namespace {

constexpr int kGroup = 32;  // texts of a group: 32 x 4 gates x 64 units are 32 KiB
constexpr int kChunk = 32;  // tokens, or words, of one step of a sum over all of them; at most 32 KiB too

struct Problem {
  int cell, pooling;
  bool reverse;            // texts are read from their end
  ptrdiff_t B, H, U;
  ptrdiff_t F;             // numbers in a row of features; those of one direction are parts() * H of them
  const int32_t* rows;     // of projected, one per token
  const int64_t* starts;   // (B,) where each text's first token stands among them
  const int64_t* lengths;  // (B,)
  ptrdiff_t HP() const { return padded(H); }
  ptrdiff_t G() const { return kGates[cell]; }
  ptrdiff_t width() const { return G() * HP(); }
  ptrdiff_t parts() const { return pooling == kAverageMax ? 2 : 1; }
  bool has_best() const { return pooling == kMax || pooling == kAverageMax; }
  bool attends() const { return pooling == kAttention; }
  bool pools() const { return pooling != kStates; }  // else a token's state is its row of features
  bool reads_whole_states() const { return attends() || !pools(); }
  ptrdiff_t token(ptrdiff_t text, ptrdiff_t t) const { return starts[text] + (reverse ? lengths[text] - 1 - t : t); }
  int32_t word(ptrdiff_t text, ptrdiff_t t) const { return rows[token(text, t)]; }
  // The averages, which come first, are sums until here.
  float scale(ptrdiff_t text, ptrdiff_t part) const {
    const bool average = (pooling == kAverage || pooling == kAverageMax) && part == 0;
    return average && lengths[text] ? 1.0f / lengths[text] : 1.0f;
  }
};

// What the pooling by attention reads and leaves for the way back; null where it is not used.
struct Attention {
  const float* u;  // (HP,)
  float* weights;  // a token's share in its text's mean, tokens as in `kept`; null at prediction
  float* ends;     // (B, HP), the last states, which no step comes after; null at prediction
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

// Takes the state of one more step into a text's features (parts, HP); `best` remembers the step of each unit's maximum.
inline void pool_step(const Problem& p, ptrdiff_t t, ptrdiff_t length, vf h, float* features, int32_t* best) {
  if (p.reads_whole_states()) return;  // behind the step
  if (p.pooling == kLast) {
    if (t == length - 1) store(features, h);
    return;
  }
  if (p.pooling != kMax) {
    store(features, t == 0 ? h : load(features) + h);
    if (p.pooling == kAverage) return;
    features += p.HP();
  }
  const vf before = load(features);
  const vi larger = t == 0 ? vi{} - 1 : h > before;
  store(features, larger ? h : before);
  if (best == nullptr) return;
  vi steps;
  std::memcpy(&steps, best, sizeof steps);
  steps = larger ? vi{} + static_cast<int32_t>(t) : steps;
  std::memcpy(best, &steps, sizeof steps);
}

// What the pooling passes down to the state of one step; the average's gradient is divided by the length already, and
// that of an attention is the token's share in the mean.
inline vf unpool_step(const Problem& p, ptrdiff_t t, ptrdiff_t length, const float* d_features, const int32_t* best,
                      float share) {
  if (p.pooling == kLast) return t == length - 1 ? load(d_features) : vf{};
  if (p.attends()) return share * load(d_features);
  if (p.pooling == kAverage || !p.pools()) return load(d_features);
  vi steps;
  std::memcpy(&steps, best, sizeof steps);
  if (p.pooling == kMax) return steps == static_cast<int32_t>(t) ? load(d_features) : vf{};
  return load(d_features) + (steps == static_cast<int32_t>(t) ? load(d_features + p.HP()) : vf{});
}

inline float dot(ptrdiff_t n, const float* a, const float* b) {
  vf sums{};
  for (ptrdiff_t j = 0; j < n; j += kLanes) sums += load(a + j) * load(b + j);
  float sum = 0;
  for (int lane = 0; lane < kLanes; lane++) sum += sums[lane];
  return sum;
}

// A softmax over the steps so far, and the mean of the states by it: both are scaled down when a larger score comes.
// Source: M. Milakov and N. Gimelshein, "Online normalizer calculation for softmax", 2018, arXiv:1805.02867.
struct Mean {
  float highest, total;
  float add(ptrdiff_t HP, ptrdiff_t t, const float* u, const float* h, float* pooled) {
    const float score = dot(HP, u, h);
    const float old = t == 0 ? 0.0f : score > highest ? std::exp(highest - score) : 1.0f;
    highest = t == 0 || score > highest ? score : highest;
    const float share = std::exp(score - highest);
    total = t == 0 ? share : total * old + share;
    for (ptrdiff_t j = 0; j < HP; j += kLanes) {
      const vf more = share * load(h + j);
      store(pooled + j, t == 0 ? more : load(pooled + j) * old + more);
    }
    return score;
  }
};

// What one step of a group reads and writes; a row is a text.
struct Step {
  ptrdiff_t t, K, HP;   // K: how many units the product reads; the first state is zero, and so is its product
  const float* before;  // (rows, HP)
  const float* const* x;  // the projected word of each row
  float* const* h;      // where each row's state goes
  float* c;             // (rows, HP)
  float* kept;          // (rows, kKept * HP), or null
  float* pooled;        // (rows, parts, HP)
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
    pool_step(p, s.t, p.lengths[text], h, s.pooled + i * p.parts() * s.HP + j, best ? best + text * s.HP + j : nullptr);
  }
}

// Runs one group. `states` (a token's state before it), `kept` and the attention's numbers of tokens are the group's
// part of the saved numbers, or null at prediction.
template <int CELL>
void forward_group(const Problem& p, const Group& group, const float* projected, const float* w_hh, const float* b_hh,
                   float* features, float* states, float* kept, int32_t* best, const Attention& attention) {
  constexpr int G = kGates[CELL];
  const ptrdiff_t HP = p.HP(), width = p.width(), size = group.size, parts = p.parts();
  Buffer turn(states ? 0 : 2 * size * HP), c(size * HP, 0.0f), pooled(size * parts * HP, 0.0f);
  Buffer nowhere(p.reads_whole_states() ? size * HP : HP);
  std::vector<const float*> x(size);
  std::vector<float*> h(size);
  std::vector<Mean> means(p.attends() ? size : 0);
  float* before = states ? states : turn;
  std::fill_n(before, group.running_at(0) * HP, 0.0f);  // empty texts, the last ones, have no state
  for (ptrdiff_t t = 0; t < group.steps(); t++) {
    const ptrdiff_t running = group.running[t], going_on = group.running_at(t + 1);
    float* next = states ? states + (group.start[t] + running) * HP : turn + (t + 1) % 2 * size * HP;
    for (ptrdiff_t i = 0; i < running; i++) {
      x[i] = projected + p.word(group.texts[i], t) * width;
      h[i] = i < going_on ? next + i * HP : nowhere;
      if (p.reads_whole_states() && i >= going_on)
        h[i] = attention.ends ? attention.ends + group.texts[i] * HP : nowhere + i * HP;
      if (i >= going_on) continue;
      const float* soon = projected + p.word(group.texts[i], t + 1) * width;  // seldom in a cache
      for (ptrdiff_t k = 0; k < width; k += 64 / sizeof(float)) __builtin_prefetch(soon + k);
    }
    const Step step{t, t ? p.H : 0, HP, before, x.data(), h.data(), c,
                    kept ? kept + group.start[t] * kKept[CELL] * HP : nullptr, pooled};
    for (ptrdiff_t j = 0; j < HP; j += kLanes)
      cut(running, tile_height(G), [&](ptrdiff_t row, int rows) {
        with_constant<tile_height(G)>(rows, [&](auto rows_constant) {
          step_tile<CELL, decltype(rows_constant)::value>(p, group, step, row, j, w_hh + j * p.H * G, b_hh + j * G, best);
        });
      });
    for (ptrdiff_t i = 0; p.attends() && i < running; i++) {
      const float score = means[i].add(HP, t, attention.u, h[i], pooled + i * HP);
      if (attention.weights) attention.weights[group.start[t] + i] = score;
    }
    for (ptrdiff_t i = 0; !p.pools() && i < running; i++)
      std::copy_n(h[i], p.H, features + p.token(group.texts[i], t) * p.F);
    before = next;
  }
  for (ptrdiff_t i = 0; p.pools() && i < size; i++) {
    const ptrdiff_t text = group.texts[i], length = p.lengths[text];
    for (ptrdiff_t part = 0; part < parts; part++) {
      const float scale = p.attends() && length ? 1.0f / means[i].total : p.scale(text, part);
      const float* from = pooled + (i * parts + part) * HP;
      for (ptrdiff_t j = 0; j < p.H; j++) features[text * p.F + part * p.H + j] = scale * from[j];
    }
    if (attention.weights == nullptr) continue;
    for (ptrdiff_t t = 0; t < length; t++) {
      float& weight = attention.weights[group.start[t] + i];
      weight = std::exp(weight - means[i].highest) / means[i].total;
    }
  }
}

// The gradients of a group's scores, in the order of its tokens, and what they add to d_u (HP,). The means, (size, HP),
// have the gradients d_pooled.
inline void backward_attention(const Problem& p, const Group& group, const float* states, const Attention& attention,
                               const float* d_pooled, float* d_scores, float* d_u) {
  const ptrdiff_t HP = p.HP();
  for (ptrdiff_t i = 0; i < group.size; i++) {
    const ptrdiff_t text = group.texts[i];
    const auto state_after = [&](ptrdiff_t t) {
      return i < group.running_at(t + 1) ? states + (group.start[t + 1] + i) * HP : attention.ends + text * HP;
    };
    float mean = 0;
    for (ptrdiff_t t = 0; t < p.lengths[text]; t++) {
      const ptrdiff_t token = group.start[t] + i;
      d_scores[token] = dot(HP, d_pooled + i * HP, state_after(t));
      mean += attention.weights[token] * d_scores[token];
    }
    for (ptrdiff_t t = 0; t < p.lengths[text]; t++) {
      const ptrdiff_t token = group.start[t] + i;
      const float d = attention.weights[token] * (d_scores[token] - mean);
      const float* h = state_after(t);
      d_scores[token] = d;
      for (ptrdiff_t j = 0; j < HP; j += kLanes) store(d_u + j, load(d_u + j) + d * load(h + j));
    }
  }
}

// Turns what is kept of each token into the gradients of its gates, and adds the group's part of the recurrent
// parameters' gradients to the thread's: d_w (width, HP), d_b (width + HP,), whose last HP are the input's bias of the
// gru's third gate, the only one that differs from the state's; and d_u (HP,), the attention's.
template <int CELL>
void backward_group(const Problem& p, const Group& group, const float* w_hh, const float* states, float* kept,
                    const int32_t* best, const Attention& attention, const float* d_features, float* d_w, float* d_b,
                    float* d_u) {
  constexpr int G = kGates[CELL];
  const ptrdiff_t HP = p.HP(), width = p.width(), keep = kKept[CELL] * HP, size = group.size, parts = p.parts();
  Buffer d_h(size * HP, 0.0f), d_c(size * HP, 0.0f), d_pooled(size * parts * HP, 0.0f), zeros(HP, 0.0f);
  Buffer d_scores(p.attends() ? group.tokens() : 0);
  for (ptrdiff_t i = 0; p.pools() && i < size; i++) {
    const ptrdiff_t text = group.texts[i];
    for (ptrdiff_t part = 0; part < parts; part++) {
      const float scale = p.scale(text, part);
      float* to = d_pooled + (i * parts + part) * HP;
      for (ptrdiff_t j = 0; j < p.H; j++) to[j] = scale * d_features[text * p.F + part * p.H + j];
    }
  }
  if (p.attends()) backward_attention(p, group, states, attention, d_pooled, d_scores, d_u);
  ptrdiff_t summed = group.tokens();  // tokens from here on are in d_w already
  for (ptrdiff_t t = group.steps() - 1; t >= 0; t--) {
    const ptrdiff_t running = group.running[t], start = group.start[t];
    for (ptrdiff_t i = 0; !p.pools() && i < running; i++)
      std::copy_n(d_features + p.token(group.texts[i], t) * p.F, p.H, d_pooled + i * HP);
    matmul<Start::kAdd>(group.running_at(t + 1), HP, width, kept + (start + running) * keep, keep, 1, w_hh, HP, d_h, HP);
    for (ptrdiff_t j = 0; j < HP; j += kLanes) {
      vf sums[G + 1];
      for (int g = 0; g < G; g++) sums[g] = load(d_b + j * G + g * kLanes);
      sums[G] = load(d_b + width + j);
      for (ptrdiff_t i = 0; i < running; i++) {
        const ptrdiff_t text = group.texts[i];
        const float share = p.attends() ? attention.weights[start + i] : 1.0f;
        vf d = load(d_h + i * HP + j) + unpool_step(p, t, p.lengths[text], d_pooled + i * parts * HP + j,
                                                    best ? best + text * HP + j : nullptr, share);
        if (p.attends()) d += d_scores[start + i] * load(attention.u + j);
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
