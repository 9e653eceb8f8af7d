// The minimal GRU over a batch of texts, forward and backward, with the pooling over time.
//
// Its gates depend on the word alone, so they come in as one row per distinct word ("gates": 1 - z, z, n), and a step is
// h = (1 - z) h + z n, unit by unit. Threads therefore share out units in the walk, and words and parameters in the
// products around it, never a sum: the bits do not depend on how many there are.
//
// Letters: B texts, U distinct words, E numbers in a word vector, H hidden units (HP, EP: padded to whole vectors). The
// parameters are those of mingru.py, z before n.
#include "simd.h"

namespace rubrica {
namespace {

struct Walk {
  int pooling;
  bool reverse;  // texts are read from their end
  ptrdiff_t B, H;
  const int32_t* rows;     // of the gates, one per token
  const int64_t* starts;   // (B,) where each text's first token stands among them
  const int64_t* lengths;  // (B,)
  ptrdiff_t HP() const { return padded(H); }
  int32_t word(ptrdiff_t text, ptrdiff_t t) const { return rows[starts[text] + (reverse ? lengths[text] - 1 - t : t)]; }
  float scale(ptrdiff_t text) const { return pooling == kAverage && lengths[text] ? 1.0f / lengths[text] : 1.0f; }
};

// The units of a thread.
struct Part {
  ptrdiff_t from, to;
  Part(ptrdiff_t HP, int thread, int threads)
      : from(HP / kLanes * thread / threads * kLanes), to(HP / kLanes * (thread + 1) / threads * kLanes) {}
};

// weight (2 H, E) and bias (2 H,) of torch to (E, 2 HP) and (2 HP,).
void pack_gates(ptrdiff_t H, ptrdiff_t E, const float* weight, const float* bias, float* w, float* b) {
  const auto place = [&](ptrdiff_t row) { return row / H * padded(H) + row % H; };
  pack_across(2 * H, E, 2 * padded(H), place, [&](ptrdiff_t row, ptrdiff_t e) { return weight[row * E + e]; }, w);
  pack_across(2 * H, 1, 2 * padded(H), place, [&](ptrdiff_t row, ptrdiff_t) { return bias[row]; }, b);
}

// Pools the units `part` of one text; `states` (length, HP) and `best` (HP,), its step of each maximum, may be null.
void walk_text(const Walk& p, ptrdiff_t text, Part part, const float* gates, float* pooled, float* states, int32_t* best) {
  const ptrdiff_t HP = p.HP(), length = p.lengths[text];
  for (ptrdiff_t j = part.from; j < part.to; j += kLanes) {
    vf h{}, sum{};
    vi step{};
    for (ptrdiff_t t = 0; t < length; t++) {
      const float* gate = gates + p.word(text, t) * 3 * HP + j;
      h = load(gate) * h + load(gate + HP) * load(gate + 2 * HP);
      if (states) store(states + t * HP + j, h);
      if (p.pooling == kAverage) {
        sum += h;
      } else {
        const vi larger = t == 0 || p.pooling == kLast ? vi{} - 1 : h > sum;
        sum = larger ? h : sum;
        step = larger ? vi{} + static_cast<int32_t>(t) : step;
      }
    }
    store(pooled + j, sum);
    if (best) std::memcpy(best + j, &step, sizeof step);
  }
}

// Adds what one text owes to its words: the gradient by each state to d_state (U, HP), that times the state before it to
// d_before. It looks at every token's own step, that of `best` where the maximum or the last was taken.
void walk_back(const Walk& p, ptrdiff_t text, Part part, const float* gates, const float* states, const int32_t* best,
               const float* d_pooled, float* d_state, float* d_before) {
  const ptrdiff_t HP = p.HP();
  for (ptrdiff_t j = part.from; j < part.to; j += kLanes) {
    vf d{};
    vi step;
    std::memcpy(&step, best + j, sizeof step);
    const vf from_pooling = load(d_pooled + j);
    for (ptrdiff_t t = p.lengths[text] - 1; t >= 0; t--) {
      const ptrdiff_t word = p.word(text, t) * HP + j;
      d += p.pooling == kAverage ? from_pooling : step == static_cast<int32_t>(t) ? from_pooling : vf{};
      store(d_state + word, load(d_state + word) + d);
      if (t > 0) store(d_before + word, load(d_before + word) + d * load(states + (t - 1) * HP + j));
      d *= load(gates + p.word(text, t) * 3 * HP + j);
    }
  }
}

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// gates (U, 3 HP) of each distinct word of vectors (U, E): 1 - z, z and n.
RUBRICA_API int64_t rubrica_mingru_gates(int threads, int64_t U, int64_t E, int64_t H, const float* vectors,
                                         const float* weight, const float* bias, float* gates) try {
  const ptrdiff_t HP = padded(H);
  Buffer w(E * 2 * HP), b(2 * HP);
  pack_gates(H, E, weight, bias, w, b);
  parallel(threads, [&](int thread) {
    const ptrdiff_t first = U * thread / threads, last = U * (thread + 1) / threads;
    float* mine = gates + first * 3 * HP;
    matmul<Start::kRow>(last - first, 2 * HP, E, vectors + first * E, E, 1, w, 2 * HP, mine + HP, 3 * HP, b);
    for (ptrdiff_t i = 0; i < last - first; i++)
      for (ptrdiff_t j = 0; j < HP; j += kLanes) {
        float* gate = mine + i * 3 * HP + j;
        const vf x = load(gate + HP);
        store(gate, sigmoid(-x)), store(gate + HP, sigmoid(x));
      }
  });
  return 0;
} RUBRICA_CATCH

// features (B, H) from gates. `states` (tokens, HP) and `best` (B, HP) are what the way back needs, null at prediction.
RUBRICA_API int64_t rubrica_mingru_forward(int pooling, int reverse, int threads, int64_t B, int64_t H, const int32_t* rows,
                                           const int64_t* starts, const int64_t* lengths, const float* gates,
                                           float* features, float* states, int32_t* best) try {
  const Walk p{pooling, reverse != 0, B, H, rows, starts, lengths};
  const ptrdiff_t HP = p.HP();
  parallel(threads, [&](int thread) {
    const Part part(HP, thread, threads);
    Buffer pooled(HP);
    for (ptrdiff_t text = 0, token = 0; text < B; token += lengths[text++]) {
      walk_text(p, text, part, gates, pooled, states ? states + token * HP : nullptr, best ? best + text * HP : nullptr);
      for (ptrdiff_t u = part.from; u < std::min(part.to, p.H); u++) features[text * H + u] = p.scale(text) * pooled[u];
    }
  });
  return 0;
} RUBRICA_CATCH

// The gradients of vectors (U, E) and parameters from d_features (B, H); d_vectors is null where the vectors do not train.
RUBRICA_API int64_t rubrica_mingru_backward(int pooling, int reverse, int threads, int64_t B, int64_t H, int64_t U, int64_t E,
                                            const int32_t* rows, const int64_t* starts, const int64_t* lengths,
                                            const float* vectors, const float* weight, const float* gates,
                                            const float* states, const int32_t* best, const float* d_features,
                                            float* d_vectors, float* d_weight, float* d_bias) try {
  const Walk p{pooling, reverse != 0, B, H, rows, starts, lengths};
  const ptrdiff_t HP = p.HP(), EP = padded(E), width = 2 * HP;
  Buffer d_state(U * HP), d_before(U * HP), d_gates(U * width), x(U * EP, 0.0f), along(width * EP, 0.0f), zeros(EP, 0.0f);
  Buffer d_w(width * EP), d_x(d_vectors ? U * EP : 0), d_b(width, 0.0f);
  for (ptrdiff_t i = 0; i < U; i++) std::memcpy(x + i * EP, vectors + i * E, E * sizeof(float));
  for (ptrdiff_t g = 0; g < 2; g++)
    for (ptrdiff_t u = 0; u < H; u++) std::memcpy(along + (g * HP + u) * EP, weight + (g * H + u) * E, E * sizeof(float));
  parallel(threads, [&](int thread) {
    const Part part(HP, thread, threads);
    Buffer d_pooled(HP, 0.0f);
    for (ptrdiff_t i = 0; i < U; i++) {
      std::fill(d_state + i * HP + part.from, d_state + i * HP + part.to, 0.0f);
      std::fill(d_before + i * HP + part.from, d_before + i * HP + part.to, 0.0f);
    }
    for (ptrdiff_t text = 0, token = 0; text < B; token += lengths[text++]) {
      for (ptrdiff_t u = part.from; u < std::min(part.to, p.H); u++) d_pooled[u] = p.scale(text) * d_features[text * H + u];
      walk_back(p, text, part, gates, states + token * HP, best + text * HP, d_pooled, d_state, d_before);
    }
    for (ptrdiff_t i = 0; i < U; i++)
      for (ptrdiff_t j = part.from; j < part.to; j += kLanes) {
        const float* gate = gates + i * 3 * HP + j;
        const vf z = load(gate + HP), d = load(d_state + i * HP + j);
        const vf by_z = (d * load(gate + 2 * HP) - load(d_before + i * HP + j)) * load(gate) * z, by_n = d * z;
        store(d_gates + i * width + j, by_z), store(d_gates + i * width + HP + j, by_n);
        store(d_b + j, load(d_b + j) + by_z), store(d_b + HP + j, load(d_b + HP + j) + by_n);
      }
  });
  parallel(threads, [&](int thread) {
    const ptrdiff_t from = width * thread / threads, to = width * (thread + 1) / threads;
    matmul<Start::kRow>(to - from, EP, U, d_gates + from, 1, width, x, EP, d_w + from * EP, EP, zeros);
    if (d_vectors == nullptr) return;
    const ptrdiff_t first = U * thread / threads, last = U * (thread + 1) / threads;
    matmul<Start::kRow>(last - first, EP, width, d_gates + first * width, width, 1, along, EP, d_x + first * EP, EP, zeros);
    for (ptrdiff_t i = first; i < last; i++) std::memcpy(d_vectors + i * E, d_x + i * EP, E * sizeof(float));
  });
  for (ptrdiff_t g = 0; g < 2; g++)
    for (ptrdiff_t u = 0; u < H; u++) {
      std::memcpy(d_weight + (g * H + u) * E, d_w + (g * HP + u) * EP, E * sizeof(float));
      d_bias[g * H + u] = d_b[g * HP + u];
    }
  return 0;
} RUBRICA_CATCH
