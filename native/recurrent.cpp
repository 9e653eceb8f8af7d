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

// Gates lie in vectors of units, the gates of the same units beside each other: unit u of gate g stands at place(g, u).
struct Places {
  ptrdiff_t G;
  ptrdiff_t operator()(ptrdiff_t g, ptrdiff_t u) const { return (u / kLanes * G + g) * kLanes + u % kLanes; }
};

// w (G * H, K) of torch to (K, width), unit by unit; `b` (G * H,) to one more row.
void pack_across(ptrdiff_t G, ptrdiff_t H, ptrdiff_t K, const float* w, const float* b, float* w_out, float* b_out) {
  const Places place{G};
  const ptrdiff_t width = G * padded(H);
  std::fill_n(w_out, K * width, 0.0f);
  std::fill_n(b_out, width, 0.0f);
  for (ptrdiff_t g = 0; g < G; g++)
    for (ptrdiff_t u = 0; u < H; u++) {
      for (ptrdiff_t k = 0; k < K; k++) w_out[k * width + place(g, u)] = w[(g * H + u) * K + k];
      b_out[place(g, u)] = b[g * H + u];
    }
}

// w (G * H, K) of torch to (width, KP), and back from the sums of all threads, which lie `stride` apart.
void pack_along(ptrdiff_t G, ptrdiff_t H, ptrdiff_t K, const float* w, float* out) {
  const Places place{G};
  const ptrdiff_t KP = padded(K);
  std::fill_n(out, G * padded(H) * KP, 0.0f);
  for (ptrdiff_t g = 0; g < G; g++)
    for (ptrdiff_t u = 0; u < H; u++) std::memcpy(out + place(g, u) * KP, w + (g * H + u) * K, K * sizeof(float));
}

void unpack_along(ptrdiff_t G, ptrdiff_t H, ptrdiff_t K, int threads, const float* sums, ptrdiff_t stride, float* out) {
  const Places place{G};
  for (ptrdiff_t g = 0; g < G; g++)
    for (ptrdiff_t u = 0; u < H; u++) {
      const float* row = sums + place(g, u) * padded(K);
      for (ptrdiff_t k = 0; k < K; k++) {
        float sum = 0;
        for (int i = 0; i < threads; i++) sum += row[i * stride + k];
        out[(g * H + u) * K + k] = sum;
      }
    }
}

// Tokens by word: those of word u are order[first[u]] ... order[first[u + 1] - 1], numbers of `kept`.
struct ByWord {
  std::vector<int32_t> first, order;
};

ByWord sort_by_word(const Problem& p, const std::vector<std::vector<Group>>& groups) {
  std::vector<int32_t> words;
  for (const auto& share : groups)
    for (const Group& group : share)
      for (ptrdiff_t t = 0; t < group.steps(); t++)
        for (ptrdiff_t i = 0; i < group.running[t]; i++) words.push_back(p.rows[p.starts[group.texts[i]] + t]);
  ByWord result{std::vector<int32_t>(p.U + 2, 0), std::vector<int32_t>(words.size())};
  for (const int32_t word : words) result.first[word + 2]++;
  std::partial_sum(result.first.begin(), result.first.end(), result.first.begin());
  for (size_t i = 0; i < words.size(); i++) result.order[result.first[words[i] + 1]++] = static_cast<int32_t>(i);
  return result;  // each count has moved on to where the next word starts
}

// Words [first, last): their gate gradients summed over their tokens, from there d_vectors (null where they do not
// train), and their part of d_w (width, EP).
template <int CELL>
void backward_words(const Problem& p, ptrdiff_t E, const ByWord& tokens, ptrdiff_t first, ptrdiff_t last,
                    const float* kept, const float* vectors, const float* w_ih, float* d_vectors, float* d_w) {
  const ptrdiff_t HP = p.HP(), EP = padded(E), width = p.width(), keep = kKept[CELL] * HP;
  Buffer sums(kChunk * width), x(kChunk * EP, 0.0f), d_x(kChunk * EP), zeros(EP, 0.0f);
  cut(last - first, kChunk, [&](ptrdiff_t offset, int size) {
    const ptrdiff_t chunk = first + offset;
    for (ptrdiff_t i = 0; i < size; i++) {
      float* sum = sums + i * width;
      std::fill_n(sum, width, 0.0f);
      for (int32_t n = tokens.first[chunk + i]; n < tokens.first[chunk + i + 1]; n++)
        add_input_gradient<CELL>(HP, kept + tokens.order[n] * keep, sum);
      std::memcpy(x + i * EP, vectors + (chunk + i) * E, E * sizeof(float));
    }
    matmul<Start::kAdd>(width, EP, size, sums, 1, width, x, EP, d_w, EP);
    if (d_vectors == nullptr) return;
    matmul<Start::kRow>(size, EP, width, sums, width, 1, w_ih, EP, d_x, EP, zeros);
    for (ptrdiff_t i = 0; i < size; i++)
      std::memcpy(d_vectors + (chunk + i) * E, d_x + i * EP, E * sizeof(float));
  });
}

template <int CELL>
void forward(const Problem& p, int threads, const float* projected, const float* w_hh, const float* b_hh,
             float* features, float* saved, int32_t* best) {
  constexpr int G = kGates[CELL];
  const ptrdiff_t HP = p.HP(), H = p.H;
  Buffer wide(H * p.width()), w(H * p.width()), b(p.width());
  pack_across(G, H, H, w_hh, b_hh, wide, b);
  for (ptrdiff_t j = 0; j < HP; j += kLanes)  // all that one tile reads in one stretch
    for (ptrdiff_t k = 0; k < H; k++)
      std::memcpy(w + (j * H + k * kLanes) * G, wide + k * p.width() + j * G, G * kLanes * sizeof(float));
  const std::vector<Share> shares = share_out(p, threads);
  parallel(threads, [&](int thread) {
    ptrdiff_t token = shares[thread].first_token;
    for (const Group& group : groups_of(p, shares[thread])) {
      float* states = saved ? saved + token * HP : nullptr;
      float* kept = saved ? saved + (tokens_of(shares) + token * kKept[CELL]) * HP : nullptr;
      forward_group<CELL>(p, group, projected, w, b, features, states, kept, best);
      token += group.tokens();
    }
  });
}

struct Gradients {
  float *vectors, *w_ih, *b_ih, *w_hh, *b_hh;
};

template <int CELL>
void backward(const Problem& p, int threads, ptrdiff_t E, const float* vectors, const float* w_ih, const float* w_hh,
              float* saved, const int32_t* best, const float* d_features, const Gradients& out) {
  constexpr int G = kGates[CELL];
  const ptrdiff_t HP = p.HP(), EP = padded(E), H = p.H, width = p.width();
  Buffer w_h(width * HP), w_x(width * EP);
  pack_along(G, H, H, w_hh, w_h);
  pack_along(G, H, E, w_ih, w_x);
  const std::vector<Share> shares = share_out(p, threads);
  std::vector<std::vector<Group>> groups(threads);
  // Each thread's d_w_hh, d_w_ih, d_b_hh, and the gru's third of d_b_ih.
  const ptrdiff_t d_w_x = width * HP, d_b = d_w_x + width * EP, stride = d_b + width + HP;
  Buffer sums(threads * stride);
  float* kept = saved + tokens_of(shares) * HP;
  parallel(threads, [&](int thread) {
    float* sum = sums + thread * stride;
    std::fill_n(sum, stride, 0.0f);
    groups[thread] = groups_of(p, shares[thread]);
    ptrdiff_t token = shares[thread].first_token;
    for (const Group& group : groups[thread]) {
      backward_group<CELL>(p, group, w_h, saved + token * HP, kept + token * kKept[CELL] * HP, best, d_features, sum,
                           sum + d_b);
      token += group.tokens();
    }
  });
  const ByWord tokens = sort_by_word(p, groups);
  parallel(threads, [&](int thread) {
    backward_words<CELL>(p, E, tokens, p.U * thread / threads, p.U * (thread + 1) / threads, kept, vectors, w_x,
                         out.vectors, sums + thread * stride + d_w_x);
  });
  unpack_along(G, H, H, threads, sums, stride, out.w_hh);
  unpack_along(G, H, E, threads, sums + d_w_x, stride, out.w_ih);
  const Places place{G};
  for (ptrdiff_t g = 0; g < G; g++)
    for (ptrdiff_t u = 0; u < H; u++) {
      const ptrdiff_t by_state = d_b + place(g, u), by_input = CELL == kGru && g == 2 ? d_b + width + u : by_state;
      float hh = 0, ih = 0;
      for (int i = 0; i < threads; i++) hh += sums[i * stride + by_state], ih += sums[i * stride + by_input];
      out.b_hh[g * H + u] = hh, out.b_ih[g * H + u] = ih;
    }
}

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// The width of a row of `projected`.
RUBRICA_API int64_t rubrica_projected_width(int cell, int64_t H) { return kGates[cell] * padded(H); }

// projected (U, width) = vectors (U, E) w_ih^T + b_ih, in the order of `Places`: the input's part of the gates of each
// distinct word. It does not depend on the number of threads.
RUBRICA_API int64_t rubrica_project(int cell, int threads, int64_t U, int64_t E, int64_t H, const float* vectors,
                                    const float* w_ih, const float* b_ih, float* projected) {
  const ptrdiff_t width = kGates[cell] * padded(H);
  Buffer w(E * width), b(width);
  pack_across(kGates[cell], H, E, w_ih, b_ih, w, b);
  parallel(threads, [&](int thread) {
    const ptrdiff_t first = U * thread / threads, last = U * (thread + 1) / threads;
    matmul<Start::kRow>(last - first, width, E, vectors + first * E, E, 1, w, width, projected + first * width, width, b);
  });
  return 0;
}

// How many floats the forward pass saves for the backward pass; `tokens` is the sum of the lengths.
RUBRICA_API int64_t rubrica_recurrent_saved(int cell, int64_t tokens, int64_t H) {
  return tokens * (1 + kKept[cell]) * padded(H);
}

// How many int32 the maximum of each unit is remembered in.
RUBRICA_API int64_t rubrica_recurrent_best(int64_t B, int64_t H) { return B * padded(H); }

// features (B, H) from projected (U, width). `saved` and `best` are null at prediction.
RUBRICA_API int64_t rubrica_recurrent_forward(int cell, int pooling, int threads, int64_t B, int64_t H, int64_t U,
                                              const int32_t* rows, const int64_t* starts, const int64_t* lengths,
                                              const float* projected, const float* w_hh, const float* b_hh,
                                              float* features, float* saved, int32_t* best) {
  const Problem p{cell, pooling, B, H, U, rows, starts, lengths};
  const auto run = cell == kRnn ? forward<kRnn> : cell == kGru ? forward<kGru> : forward<kLstm>;
  run(p, threads, projected, w_hh, b_hh, features, saved, best);
  return 0;
}

// The gradients of vectors (U, E) and parameters from d_features (B, H). `saved` is used up; `threads` must be that of
// the forward pass; d_vectors is null where the vectors do not train.
RUBRICA_API int64_t rubrica_recurrent_backward(int cell, int pooling, int threads, int64_t B, int64_t H, int64_t U,
                                               int64_t E, const int32_t* rows, const int64_t* starts,
                                               const int64_t* lengths, const float* vectors, const float* w_ih,
                                               const float* w_hh, float* saved, const int32_t* best,
                                               const float* d_features, float* d_vectors, float* d_w_ih, float* d_b_ih,
                                               float* d_w_hh, float* d_b_hh) {
  const Problem p{cell, pooling, B, H, U, rows, starts, lengths};
  const Gradients out{d_vectors, d_w_ih, d_b_ih, d_w_hh, d_b_hh};
  const auto run = cell == kRnn ? backward<kRnn> : cell == kGru ? backward<kGru> : backward<kLstm>;
  run(p, threads, E, vectors, w_ih, w_hh, saved, best, d_features, out);
  return 0;
}
