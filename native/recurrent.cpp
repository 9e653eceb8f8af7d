// RNN, GRU and LSTM over a batch of texts of different lengths, forward and backward, with the pooling over time.
//
// What is known of a text before the first step is not computed in the loop: the input's part of the gates comes in
// as one row per distinct word ("projected", from one matrix product), and a text's t-th word is a row number.
// Texts are sorted by length, so that those still running at a step are always the first ones and no step computes
// padding. Each thread takes every n-th text and works through them in groups whose states stay in the first-level
// cache. Sums over threads are made in the order of the threads: the same number of them gives the same bits.
//
// Letters: B texts, T steps, U distinct words, H hidden units (HP: padded to whole vectors), G gates.
// Derivatives: Werbos 1990; formulas and gate order as in cells.py, to which the tests hold both.
#include <algorithm>
#include <numeric>

#include "simd.h"

namespace rubrica {
namespace {

enum Cell { kRnn, kGru, kLstm };
enum Pooling { kLast, kMax, kAverage };

constexpr int kGates[] = {1, 3, 4};
// Numbers kept per token and unit for the backward pass. rnn: h. gru: h, r, z, n, W_hn h. lstm: h, i, f, g, o, c, tanh c.
constexpr int kKept[] = {1, 5, 7};
constexpr int kGroup = 32;  // texts of a group: 32 x 4 gates x 64 units are 32 KiB

inline ptrdiff_t padded(ptrdiff_t H) { return (H + kLanes - 1) / kLanes * kLanes; }

struct Problem {
  int cell, pooling;
  ptrdiff_t B, H, U;
  const int32_t* rows;     // of projected, one per token
  const int64_t* starts;   // (B,) where each text's first token stands among them
  const int64_t* lengths;  // (B,)
  ptrdiff_t HP() const { return padded(H); }
  ptrdiff_t G() const { return kGates[cell]; }
};

// The texts of one thread, longest first, and where each group of them keeps its numbers.
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

// One group of texts: how many still run at each step, and where a step's rows start among the group's tokens.
struct Group {
  const int32_t* texts;
  ptrdiff_t size;
  std::vector<ptrdiff_t> running, start;
  ptrdiff_t steps() const { return static_cast<ptrdiff_t>(running.size()); }
  ptrdiff_t tokens() const { return steps() ? start.back() + running.back() : 0; }
};

std::vector<Group> groups_of(const Problem& p, const Share& share) {
  std::vector<Group> groups;
  const ptrdiff_t count = static_cast<ptrdiff_t>(share.texts.size());
  for (ptrdiff_t first = 0; first < count; first += kGroup) {
    Group group{share.texts.data() + first, std::min<ptrdiff_t>(kGroup, count - first), {}, {}};
    ptrdiff_t running = group.size, start = 0;
    for (ptrdiff_t t = 0; t < p.lengths[group.texts[0]]; t++) {
      while (p.lengths[group.texts[running - 1]] <= t) running--;
      group.running.push_back(running);
      group.start.push_back(start);
      start += running;
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

// (rows, G * H) to (rows, G * HP), the padding zero; where H is whole vectors already, nothing is copied.
const float* pad_gates(const float* source, ptrdiff_t rows, ptrdiff_t H, ptrdiff_t HP, float* target) {
  if (H == HP) return source;
  for (ptrdiff_t i = 0; i < rows; i++) {
    std::memcpy(target + i * HP, source + i * H, H * sizeof(float));
    std::memset(target + i * HP + H, 0, (HP - H) * sizeof(float));
  }
  return target;
}

inline void rnn_step(ptrdiff_t HP, const float* x, const float* gates, float* h) {
  for (ptrdiff_t j = 0; j < HP; j += kLanes) store(h + j, tanh(load(x + j) + load(gates + j)));
}

inline void gru_step(ptrdiff_t HP, const float* x, const float* gates, const float* h_before, float* h, float* kept) {
  for (ptrdiff_t j = 0; j < HP; j += kLanes) {
    const vf h_n = load(gates + 2 * HP + j);
    const vf r = sigmoid(load(x + j) + load(gates + j));
    const vf z = sigmoid(load(x + HP + j) + load(gates + HP + j));
    const vf n = tanh(load(x + 2 * HP + j) + r * h_n);
    store(h + j, n + z * (load(h_before + j) - n));
    if (kept == nullptr) continue;
    store(kept + j, r);
    store(kept + HP + j, z);
    store(kept + 2 * HP + j, n);
    store(kept + 3 * HP + j, h_n);
  }
}

inline void lstm_step(ptrdiff_t HP, const float* x, const float* gates, float* c, float* h, float* kept) {
  for (ptrdiff_t j = 0; j < HP; j += kLanes) {
    const vf i = sigmoid(load(x + j) + load(gates + j));
    const vf f = sigmoid(load(x + HP + j) + load(gates + HP + j));
    const vf g = tanh(load(x + 2 * HP + j) + load(gates + 2 * HP + j));
    const vf o = sigmoid(load(x + 3 * HP + j) + load(gates + 3 * HP + j));
    const vf c_now = f * load(c + j) + i * g;
    const vf tanh_c = tanh(c_now);
    store(c + j, c_now);
    store(h + j, o * tanh_c);
    if (kept == nullptr) continue;
    const vf values[] = {i, f, g, o, c_now, tanh_c};
    for (int k = 0; k < 6; k++) store(kept + k * HP + j, values[k]);
  }
}

// Takes one more state into a text's features; `best` remembers the step of each unit's maximum.
inline void pool_step(int pooling, ptrdiff_t HP, ptrdiff_t t, ptrdiff_t length, const float* h, float* features,
                      int32_t* best) {
  if (pooling == kLast) {
    if (t == length - 1) std::memcpy(features, h, HP * sizeof(float));
    return;
  }
  for (ptrdiff_t j = 0; j < HP; j += kLanes) {
    const vf now = load(h + j), before = load(features + j);
    if (pooling == kAverage) {
      store(features + j, t == 0 ? now : before + now);
    } else if (t == 0) {
      store(features + j, now);
      if (best) std::memset(best + j, 0, kLanes * sizeof(int32_t));
    } else {
      const vi larger = now > before;
      store(features + j, larger ? now : before);
      if (best == nullptr) continue;
      vi steps;
      std::memcpy(&steps, best + j, sizeof steps);
      steps = larger ? vi{} + static_cast<int32_t>(t) : steps;
      std::memcpy(best + j, &steps, sizeof steps);
    }
  }
}

// Runs one group. `states` and `kept` are the group's rows among the saved numbers, or null at prediction.
void forward_group(const Problem& p, const Group& group, const float* projected, const float* w_hh_t,
                   const float* b_hh, float* features, float* states, float* kept, int32_t* best) {
  const ptrdiff_t HP = p.HP(), width = p.G() * HP;
  Buffer zeros(group.size * HP, 0.0f), gates(group.size * width), c(group.size * HP, 0.0f);
  Buffer pooled(group.size * HP, 0.0f), turn(states ? 0 : 2 * group.size * HP);
  const float* before = zeros;
  for (ptrdiff_t t = 0; t < group.steps(); t++) {
    const ptrdiff_t running = group.running[t];
    float* now = states ? states + group.start[t] * HP : turn + (t % 2) * group.size * HP;
    // The first state is zero, and so is its product.
    matmul<Start::kRow>(running, width, t ? p.H : 0, before, HP, 1, w_hh_t, width, gates, width, b_hh);
    for (ptrdiff_t i = 0; i < running; i++) {
      const ptrdiff_t text = group.texts[i];
      const float* x = projected + p.rows[p.starts[text] + t] * width;
      const float* gate = gates + i * width;
      float *h = now + i * HP, *keep = kept ? kept + (group.start[t] + i) * (kKept[p.cell] - 1) * HP : nullptr;
      if (p.cell == kRnn) rnn_step(HP, x, gate, h);
      if (p.cell == kGru) gru_step(HP, x, gate, before + i * HP, h, keep);
      if (p.cell == kLstm) lstm_step(HP, x, gate, c + i * HP, h, keep);
      pool_step(p.pooling, HP, t, p.lengths[text], h, pooled + i * HP, best ? best + text * HP : nullptr);
    }
    before = now;
  }
  for (ptrdiff_t i = 0; i < group.size; i++) {
    const ptrdiff_t text = group.texts[i];
    const float scale = p.pooling == kAverage && p.lengths[text] ? 1.0f / p.lengths[text] : 1.0f;
    for (ptrdiff_t j = 0; j < p.H; j++) features[text * p.H + j] = scale * pooled[i * HP + j];
  }
}

// What the pooling passes down to the state of one step.
inline void unpool_step(int pooling, ptrdiff_t HP, ptrdiff_t t, ptrdiff_t length, const float* d_features,
                        const int32_t* best, float* d_h) {
  if (pooling == kLast && t != length - 1) return;
  for (ptrdiff_t j = 0; j < HP; j += kLanes) {
    vf d = load(d_features + j);
    if (pooling == kAverage) d *= 1.0f / length;
    if (pooling == kMax) {
      vi steps;
      std::memcpy(&steps, best + j, sizeof steps);
      d = steps == static_cast<int32_t>(t) ? d : vf{};
    }
    store(d_h + j, load(d_h + j) + d);
  }
}

// One text, one step back. In: d_h, by the state. Out: d_gates, by what W_hh h adds to; d_x, by what the input adds
// to (added to the word's row); d_h, what reaches the state before directly, without W_hh.
inline void rnn_back(ptrdiff_t HP, const float* h, float* d_h, float* d_gates, float* d_x) {
  for (ptrdiff_t j = 0; j < HP; j += kLanes) {
    const vf value = load(h + j), d = load(d_h + j) * (1.0f - value * value);
    store(d_gates + j, d);
    store(d_x + j, load(d_x + j) + d);
    store(d_h + j, vf{});
  }
}

inline void gru_back(ptrdiff_t HP, const float* kept, const float* h_before, float* d_h, float* d_gates, float* d_x) {
  for (ptrdiff_t j = 0; j < HP; j += kLanes) {
    const vf r = load(kept + j), z = load(kept + HP + j), n = load(kept + 2 * HP + j), h_n = load(kept + 3 * HP + j);
    const vf d = load(d_h + j);
    const vf d_n = d * (1.0f - z) * (1.0f - n * n);
    const vf d_r = d_n * h_n * r * (1.0f - r);
    const vf d_z = d * (load(h_before + j) - n) * z * (1.0f - z);
    store(d_gates + j, d_r);
    store(d_gates + HP + j, d_z);
    store(d_gates + 2 * HP + j, d_n * r);
    store(d_x + j, load(d_x + j) + d_r);
    store(d_x + HP + j, load(d_x + HP + j) + d_z);
    store(d_x + 2 * HP + j, load(d_x + 2 * HP + j) + d_n);
    store(d_h + j, d * z);
  }
}

inline void lstm_back(ptrdiff_t HP, const float* kept, const float* c_before, float* d_c, float* d_h, float* d_gates,
                      float* d_x) {
  for (ptrdiff_t j = 0; j < HP; j += kLanes) {
    const vf i = load(kept + j), f = load(kept + HP + j), g = load(kept + 2 * HP + j), o = load(kept + 3 * HP + j);
    const vf tanh_c = load(kept + 5 * HP + j), d = load(d_h + j);
    const vf by_c = load(d_c + j) + d * o * (1.0f - tanh_c * tanh_c);
    const vf gates[] = {by_c * g * i * (1.0f - i), by_c * load(c_before + j) * f * (1.0f - f),
                        by_c * i * (1.0f - g * g), d * tanh_c * o * (1.0f - o)};
    for (int k = 0; k < 4; k++) {
      store(d_gates + k * HP + j, gates[k]);
      store(d_x + k * HP + j, load(d_x + k * HP + j) + gates[k]);
    }
    store(d_c + j, by_c * f);
    store(d_h + j, vf{});
  }
}

// Adds one group's part of every gradient to the thread's sums.
void backward_group(const Problem& p, const Group& group, const float* w_hh, const float* states, const float* kept,
                    const int32_t* best, const float* d_features, float* d_projected, float* d_w_hh, float* d_b_hh) {
  const ptrdiff_t HP = p.HP(), width = p.G() * HP, keep = (kKept[p.cell] - 1) * HP;
  Buffer zeros(group.size * HP, 0.0f), d_h(group.size * HP, 0.0f), d_c(group.size * HP, 0.0f);
  Buffer d_gates(group.size * width), d_pooled(group.size * HP, 0.0f);
  for (ptrdiff_t i = 0; i < group.size; i++)
    std::memcpy(d_pooled + i * HP, d_features + group.texts[i] * p.H, p.H * sizeof(float));
  for (ptrdiff_t t = group.steps() - 1; t >= 0; t--) {
    const ptrdiff_t running = group.running[t];
    const float* before = t ? states + group.start[t - 1] * HP : zeros;
    for (ptrdiff_t i = 0; i < running; i++) {
      const ptrdiff_t text = group.texts[i];
      unpool_step(p.pooling, HP, t, p.lengths[text], d_pooled + i * HP, best ? best + text * HP : nullptr, d_h + i * HP);
      const float* token = kept + (group.start[t] + i) * keep;
      float *d_gate = d_gates + i * width, *d_x = d_projected + p.rows[p.starts[text] + t] * width;
      if (p.cell == kRnn) rnn_back(HP, states + (group.start[t] + i) * HP, d_h + i * HP, d_gate, d_x);
      if (p.cell == kGru) gru_back(HP, token, before + i * HP, d_h + i * HP, d_gate, d_x);
      if (p.cell == kLstm) {
        const float* c_before = t ? kept + (group.start[t - 1] + i) * keep + 4 * HP : zeros;
        lstm_back(HP, token, c_before, d_c + i * HP, d_h + i * HP, d_gate, d_x);
      }
      for (ptrdiff_t j = 0; j < width; j += kLanes) store(d_b_hh + j, load(d_b_hh + j) + load(d_gate + j));
    }
    if (t == 0) break;  // the state before the first step is zero and no parameter
    matmul<Start::kAdd>(running, HP, width, d_gates, width, 1, w_hh, HP, d_h, HP);
    matmul<Start::kAdd>(width, HP, running, d_gates, 1, width, before, HP, d_w_hh, HP);
  }
}

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// out (U, N) = x (U, E) w^T + b for w (N, E): the input's part of the gates of each distinct word.
RUBRICA_API int64_t rubrica_project(int threads, int64_t U, int64_t E, int64_t N, const float* x, const float* w,
                                    const float* b, float* out) {
  const ptrdiff_t NP = padded(N);
  Buffer w_t(E * NP, 0.0f), row(NP, 0.0f), wide(N == NP ? 0 : U * NP);
  for (ptrdiff_t n = 0; n < N; n++)
    for (ptrdiff_t e = 0; e < E; e++) w_t[e * NP + n] = w[n * E + e];
  std::memcpy(row, b, N * sizeof(float));
  float* target = N == NP ? out : wide;
  parallel(threads, [&](int thread) {
    const ptrdiff_t first = U * thread / threads, last = U * (thread + 1) / threads;
    matmul<Start::kRow>(last - first, NP, E, x + first * E, E, 1, w_t, NP, target + first * NP, NP, row);
    for (ptrdiff_t u = first; u < last && N != NP; u++) std::memcpy(out + u * N, wide + u * NP, N * sizeof(float));
  });
  return 0;
}

// The gradients of `rubrica_project` from d_out (U, N); d_x is null where the vectors do not train.
RUBRICA_API int64_t rubrica_project_backward(int threads, int64_t U, int64_t E, int64_t N, const float* x,
                                             const float* w, const float* d_out, float* d_x, float* d_w, float* d_b) {
  const ptrdiff_t EP = padded(E);
  Buffer wide_w(N * EP, 0.0f), wide_x(U * EP, 0.0f), sum_w(N * EP, 0.0f), sum_x(d_x ? U * EP : 0, 0.0f);
  for (ptrdiff_t n = 0; n < N; n++) std::memcpy(wide_w + n * EP, w + n * E, E * sizeof(float));
  for (ptrdiff_t u = 0; u < U; u++) std::memcpy(wide_x + u * EP, x + u * E, E * sizeof(float));
  parallel(threads, [&](int thread) {
    // Each thread has rows of d_x and of d_w for itself, so the result does not depend on their number.
    if (d_x != nullptr) {
      const ptrdiff_t first = U * thread / threads, last = U * (thread + 1) / threads;
      matmul<Start::kAdd>(last - first, EP, N, d_out + first * N, N, 1, wide_w, EP, sum_x + first * EP, EP);
      for (ptrdiff_t u = first; u < last; u++) std::memcpy(d_x + u * E, sum_x + u * EP, E * sizeof(float));
    }
    const ptrdiff_t first = N * thread / threads, last = N * (thread + 1) / threads;
    matmul<Start::kAdd>(last - first, EP, U, d_out + first, 1, N, wide_x, EP, sum_w + first * EP, EP);
    for (ptrdiff_t n = first; n < last; n++) std::memcpy(d_w + n * E, sum_w + n * EP, E * sizeof(float));
  });
  std::memset(d_b, 0, N * sizeof(float));
  for (ptrdiff_t u = 0; u < U; u++)
    for (ptrdiff_t n = 0; n < N; n++) d_b[n] += d_out[u * N + n];
  return 0;
}

// How many floats the forward pass saves for the backward pass; `tokens` is the sum of the lengths.
RUBRICA_API int64_t rubrica_recurrent_saved(int cell, int64_t tokens, int64_t H) {
  return tokens * kKept[cell] * padded(H);
}

// How many int32 the maximum of each unit is remembered in.
RUBRICA_API int64_t rubrica_recurrent_best(int64_t B, int64_t H) { return B * padded(H); }

// features (B, H) from projected (U, G * H). `saved` and `best` are null at prediction.
RUBRICA_API int64_t rubrica_recurrent_forward(int cell, int pooling, int threads, int64_t B, int64_t H, int64_t U,
                                              const int32_t* rows, const int64_t* starts, const int64_t* lengths,
                                              const float* projected, const float* w_hh, const float* b_hh,
                                              float* features, float* saved, int32_t* best) {
  const Problem p{cell, pooling, B, H, U, rows, starts, lengths};
  const ptrdiff_t HP = p.HP(), G = p.G(), width = G * HP;
  Buffer padded_x(H == HP ? 0 : U * width), padded_b(width, 0.0f), w_hh_t(H * width, 0.0f);
  projected = pad_gates(projected, U * G, H, HP, padded_x);
  b_hh = pad_gates(b_hh, G, H, HP, padded_b);
  for (ptrdiff_t g = 0; g < G; g++)
    for (ptrdiff_t j = 0; j < H; j++)
      for (ptrdiff_t k = 0; k < H; k++) w_hh_t[k * width + g * HP + j] = w_hh[(g * H + j) * H + k];
  const std::vector<Share> shares = share_out(p, threads);
  parallel(threads, [&](int thread) {
    ptrdiff_t token = shares[thread].first_token;
    for (const Group& group : groups_of(p, shares[thread])) {
      float* states = saved ? saved + token * kKept[cell] * HP : nullptr;
      float* kept = saved ? states + group.tokens() * HP : nullptr;
      forward_group(p, group, projected, w_hh_t, b_hh, features, states, kept, best);
      token += group.tokens();
    }
  });
  return 0;
}

// The gradients of the three inputs from d_features (B, H); `threads` must be that of the forward pass.
RUBRICA_API int64_t rubrica_recurrent_backward(int cell, int pooling, int threads, int64_t B, int64_t H, int64_t U,
                                               const int32_t* rows, const int64_t* starts, const int64_t* lengths,
                                               const float* w_hh, const float* saved, const int32_t* best,
                                               const float* d_features, float* d_projected, float* d_w_hh,
                                               float* d_b_hh) {
  const Problem p{cell, pooling, B, H, U, rows, starts, lengths};
  const ptrdiff_t HP = p.HP(), G = p.G(), width = G * HP;
  Buffer padded_w(width * HP, 0.0f);
  for (ptrdiff_t g = 0; g < G; g++)
    for (ptrdiff_t j = 0; j < H; j++)
      std::memcpy(padded_w + (g * HP + j) * HP, w_hh + (g * H + j) * H, H * sizeof(float));
  const std::vector<Share> shares = share_out(p, threads);
  const ptrdiff_t size_x = U * width, size_w = width * HP;
  Buffer sums(threads * (size_x + size_w + width));  // each thread's d_projected, d_w_hh, d_b_hh
  parallel(threads, [&](int thread) {
    float* d_x = sums + thread * (size_x + size_w + width);
    std::memset(d_x, 0, (size_x + size_w + width) * sizeof(float));
    ptrdiff_t token = shares[thread].first_token;
    for (const Group& group : groups_of(p, shares[thread])) {
      const float* states = saved + token * kKept[cell] * HP;
      backward_group(p, group, padded_w, states, states + group.tokens() * HP, best, d_features, d_x, d_x + size_x,
                     d_x + size_x + size_w);
      token += group.tokens();
    }
  });
  // Rows [first, last) of a padded matrix, added over the threads in their order, without the padding.
  const auto collect = [&](ptrdiff_t offset, ptrdiff_t first, ptrdiff_t last, float* out) {
    for (ptrdiff_t row = first; row < last; row++)
      for (ptrdiff_t j = 0; j < H; j++) {
        float sum = 0;
        for (int i = 0; i < threads; i++) sum += sums[i * (size_x + size_w + width) + offset + row * HP + j];
        out[row * H + j] = sum;
      }
  };
  parallel(threads, [&](int thread) {
    collect(0, U * G * thread / threads, U * G * (thread + 1) / threads, d_projected);
  });
  for (ptrdiff_t g = 0; g < G; g++) {
    // The gates' rows are padded too: row g * HP + j of the sum is row g * H + j of the result.
    for (ptrdiff_t j = 0; j < H; j++)
      for (ptrdiff_t k = 0; k < H; k++) {
        float sum = 0;
        for (int i = 0; i < threads; i++)
          sum += sums[i * (size_x + size_w + width) + size_x + (g * HP + j) * HP + k];
        d_w_hh[(g * H + j) * H + k] = sum;
      }
  }
  collect(size_x + size_w, 0, G, d_b_hh);
  return 0;
}
