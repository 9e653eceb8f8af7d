// The recurrent networks' exported functions: how the parameters are laid for the passes of recurrent.h, what each thread
// does, and how its sums come together.
#include "head.h"
#include "recurrent.h"

namespace rubrica {
namespace {

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

// w_hh (G * H, H) to tiles: all that one vector of units reads, in one stretch of (H, G, kLanes).
void pack_tiles(ptrdiff_t G, ptrdiff_t H, const float* w, const float* b, float* w_out, float* b_out) {
  const Places place{G};
  std::fill_n(w_out, H * G * padded(H), 0.0f);
  std::fill_n(b_out, G * padded(H), 0.0f);
  for (ptrdiff_t g = 0; g < G; g++)
    for (ptrdiff_t u = 0; u < H; u++) {
      float* column = w_out + u / kLanes * kLanes * H * G + g * kLanes + u % kLanes;
      for (ptrdiff_t k = 0; k < H; k++) column[k * G * kLanes] = w[(g * H + u) * H + k];
      b_out[place(g, u)] = b[g * H + u];
    }
}

// w (G * H, K) of torch to (width, KP).
void pack_along(ptrdiff_t G, ptrdiff_t H, ptrdiff_t K, const float* w, float* out) {
  const Places place{G};
  const ptrdiff_t KP = padded(K);
  std::fill_n(out, G * padded(H) * KP, 0.0f);
  for (ptrdiff_t g = 0; g < G; g++)
    for (ptrdiff_t u = 0; u < H; u++) std::memcpy(out + place(g, u) * KP, w + (g * H + u) * K, K * sizeof(float));
}

// The sum of one row over all threads, whose rows lie `stride` apart.
void add_rows(ptrdiff_t count, int threads, const float* rows, ptrdiff_t stride, float* out) {
  std::copy_n(rows, count, out);
  for (int i = 1; i < threads; i++)
    for (ptrdiff_t k = 0; k < count; k++) out[k] += rows[i * stride + k];
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

struct Parameters {
  const float *w_ih, *b_ih, *w_hh, *b_hh;
};

struct Gradients {
  float *vectors, *w_ih, *b_ih, *w_hh, *b_hh;
};

// Where a thread's sums of the parameters' gradients lie: d_w_hh, d_w_ih, d_b_hh, the gru's third of d_b_ih, and what
// a head needs.
struct Sums {
  ptrdiff_t w_ih, b, head_w, head_b, stride;
  Sums(const Problem& p, ptrdiff_t E, ptrdiff_t C) {
    w_ih = p.width() * p.HP(), b = w_ih + p.width() * padded(E), head_w = b + p.width() + p.HP();
    head_b = head_w + C * p.HP(), stride = padded(head_b + C);
  }
};

// The threads' sums to gradients in torch's places. Called by each thread, for a part of them.
template <int CELL>
void add_up(const Problem& p, int thread, int threads, ptrdiff_t E, const float* sums, const Sums& at, const Gradients& out) {
  constexpr int G = kGates[CELL];
  const Places place{G};
  const ptrdiff_t H = p.H, HP = p.HP();
  for (ptrdiff_t n = G * H * thread / threads; n < G * H * (thread + 1) / threads; n++) {
    const ptrdiff_t g = n / H, u = n % H, by_state = at.b + place(g, u);
    const ptrdiff_t by_input = CELL == kGru && g == 2 ? at.b + p.width() + u : by_state;
    add_rows(H, threads, sums + place(g, u) * HP, at.stride, out.w_hh + n * H);
    add_rows(E, threads, sums + at.w_ih + place(g, u) * padded(E), at.stride, out.w_ih + n * E);
    add_rows(1, threads, sums + by_state, at.stride, out.b_hh + n);
    add_rows(1, threads, sums + by_input, at.stride, out.b_ih + n);
  }
}

template <int CELL>
void forward(const Problem& p, int threads, const float* projected, const float* w_hh, const float* b_hh,
             float* features, float* saved, int32_t* best) {
  Buffer w(p.H * p.width()), b(p.width());
  pack_tiles(p.G(), p.H, w_hh, b_hh, w, b);
  const std::vector<Share> shares = share_out(p, threads);
  parallel(threads, [&](int thread) {
    ptrdiff_t token = shares[thread].first_token;
    for (const Group& group : groups_of(p, shares[thread])) {
      float* states = saved ? saved + token * p.HP() : nullptr;
      float* kept = saved ? saved + (tokens_of(shares) + token * kKept[CELL]) * p.HP() : nullptr;
      forward_group<CELL>(p, group, projected, w, b, features, states, kept, best);
      token += group.tokens();
    }
  });
}

template <int CELL>
void backward(const Problem& p, int threads, ptrdiff_t E, const float* vectors, const float* w_ih, const float* w_hh,
              float* saved, const int32_t* best, const float* d_features, const Gradients& out) {
  constexpr int G = kGates[CELL];
  const ptrdiff_t HP = p.HP(), width = p.width();
  Buffer w_h(width * HP), w_x(width * padded(E));
  pack_along(G, p.H, p.H, w_hh, w_h);
  pack_along(G, p.H, E, w_ih, w_x);
  const std::vector<Share> shares = share_out(p, threads);
  std::vector<std::vector<Group>> groups(threads);
  const Sums at(p, E, 0);
  Buffer sums(threads * at.stride);
  float* kept = saved + tokens_of(shares) * HP;
  parallel(threads, [&](int thread) {
    float* sum = sums + thread * at.stride;
    std::fill_n(sum, at.stride, 0.0f);
    groups[thread] = groups_of(p, shares[thread]);
    ptrdiff_t token = shares[thread].first_token;
    for (const Group& group : groups[thread]) {
      backward_group<CELL>(p, group, w_h, saved + token * HP, kept + token * kKept[CELL] * HP, best, d_features, sum,
                           sum + at.b);
      token += group.tokens();
    }
  });
  const ByWord tokens = sort_by_word(p, groups);
  parallel(threads, [&](int thread) {
    backward_words<CELL>(p, E, tokens, p.U * thread / threads, p.U * (thread + 1) / threads, kept, vectors, w_x,
                         out.vectors, sums + thread * at.stride + at.w_ih);
  });
  parallel(threads, [&](int thread) { add_up<CELL>(p, thread, threads, E, sums, at, out); });
}

// Project, forward, head, backward. A group goes all the way down and back before the next, so that what is saved of
// it is still in the cache.
template <int CELL>
Score learn(const Problem& p, int threads, ptrdiff_t E, Head head, const float* vectors, const Parameters& in,
            const float* head_w, const float* head_b, const Gradients& out, float* d_head_w, float* d_head_b) {
  constexpr int G = kGates[CELL];
  const ptrdiff_t H = p.H, HP = p.HP(), EP = padded(E), width = p.width(), C = head.C;
  const std::vector<Share> shares = share_out(p, threads);
  std::vector<std::vector<Group>> groups(threads);
  for (int thread = 0; thread < threads; thread++) groups[thread] = groups_of(p, shares[thread]);
  const ptrdiff_t tokens = tokens_of(shares);
  const Sums at(p, E, C);
  Buffer sums(threads * at.stride), features(p.B * H), projected(p.U * width), states(tokens * HP);
  Buffer kept(tokens * kKept[CELL] * HP), best_steps(p.pooling == kMax ? p.B * HP : 0);
  Buffer across(E * width), b_x(width), tiles(H * width), b_h(width), along_h(width * HP), along_x(width * EP);
  Buffer head_across(H * head.CP()), head_bias(head.CP()), head_along(C * HP);
  head.across = head_across, head.bias = head_bias, head.along = head_along;
  int32_t* best = p.pooling == kMax ? reinterpret_cast<int32_t*>(static_cast<float*>(best_steps)) : nullptr;
  ByWord by_word;
  std::vector<Score> scores(threads);

  pack_across(G, H, E, in.w_ih, in.b_ih, across, b_x);
  parallel(threads, [&](int thread) {
    const ptrdiff_t first = p.U * thread / threads, last = p.U * (thread + 1) / threads;
    matmul<Start::kRow>(last - first, width, E, vectors + first * E, E, 1, across, width, projected + first * width, width, b_x);
    std::fill_n(sums + thread * at.stride, at.stride, 0.0f);
    for (int task = thread; task < 4; task += threads) {
      if (task == 0) pack_tiles(G, H, in.w_hh, in.b_hh, tiles, b_h);
      if (task == 1) by_word = sort_by_word(p, groups);
      if (task == 2) pack_along(G, H, H, in.w_hh, along_h), pack_along(G, H, E, in.w_ih, along_x);
      if (task == 3) pack_head(H, C, head_w, head_b, head_across, head_bias, head_along);
    }
  });
  parallel(threads, [&](int thread) {
    float* sum = sums + thread * at.stride;
    ptrdiff_t token = shares[thread].first_token;
    for (const Group& group : groups[thread]) {
      float *state = states + token * HP, *keep = kept + token * kKept[CELL] * HP;
      forward_group<CELL>(p, group, projected, tiles, b_h, features, state, keep, best);
      const Score score = learn_head(head, group.size, group.texts, features, sum + at.head_w, sum + at.head_b);
      scores[thread].loss += score.loss, scores[thread].right += score.right;
      backward_group<CELL>(p, group, along_h, state, keep, best, features, sum, sum + at.b);
      token += group.tokens();
    }
  });
  parallel(threads, [&](int thread) {
    backward_words<CELL>(p, E, by_word, p.U * thread / threads, p.U * (thread + 1) / threads, kept, vectors, along_x,
                         out.vectors, sums + thread * at.stride + at.w_ih);
  });
  parallel(threads, [&](int thread) { add_up<CELL>(p, thread, threads, E, sums, at, out); });
  for (ptrdiff_t c = 0; c < C; c++) add_rows(H, threads, sums + at.head_w + c * HP, at.stride, d_head_w + c * H);
  add_rows(C, threads, sums + at.head_b, at.stride, d_head_b);
  for (int thread = 1; thread < threads; thread++) {
    scores[0].loss += scores[thread].loss;
    scores[0].right += scores[thread].right;
  }
  return scores[0];
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

// One learning step but for the moving: the mean cross-entropy and the share of right answers of B texts into `scores`
// (2,), and the gradients of everything by the former. head_w is (C, H); d_vectors is null where the vectors do not train.
RUBRICA_API int64_t rubrica_recurrent_learn(int cell, int pooling, int threads, int64_t B, int64_t H, int64_t U, int64_t E,
                                            int64_t C, const int32_t* rows, const int64_t* starts,
                                            const int64_t* lengths, const int64_t* targets, const float* vectors,
                                            const float* w_ih, const float* w_hh, const float* b_ih, const float* b_hh,
                                            const float* head_w, const float* head_b, float* d_vectors, float* d_w_ih,
                                            float* d_w_hh, float* d_b_ih, float* d_b_hh, float* d_head_w,
                                            float* d_head_b, float* scores) {
  const Problem p{cell, pooling, B, H, U, rows, starts, lengths};
  const Head head{H, C, B, nullptr, nullptr, nullptr, targets};
  const auto run = cell == kRnn ? learn<kRnn> : cell == kGru ? learn<kGru> : learn<kLstm>;
  const Score score = run(p, threads, E, head, vectors, {w_ih, b_ih, w_hh, b_hh}, head_w, head_b,
                          {d_vectors, d_w_ih, d_b_ih, d_w_hh, d_b_hh}, d_head_w, d_head_b);
  scores[0] = static_cast<float>(score.loss / B);
  scores[1] = static_cast<float>(score.right) / B;
  return 0;
}
