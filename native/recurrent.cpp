// The recurrent networks' exported functions: what each thread does with the passes of recurrent.h, and how its sums come
// together.
#include "head.h"
#include "recurrent_layout.h"

namespace rubrica {
namespace {

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
        for (ptrdiff_t i = 0; i < group.running[t]; i++) words.push_back(p.word(group.texts[i], t));
  ByWord result{std::vector<int32_t>(p.U + 2, 0), std::vector<int32_t>(words.size())};
  for (const int32_t word : words) result.first[word + 2]++;
  std::partial_sum(result.first.begin(), result.first.end(), result.first.begin());
  for (size_t i = 0; i < words.size(); i++) result.order[result.first[words[i] + 1]++] = static_cast<int32_t>(i);
  return result;  // each count has moved on to where the next word starts
}

// What the words are owed by one direction of reading.
struct Owed {
  const ByWord* tokens;
  const float *kept, *w_ih;  // of the tokens; (width, EP)
  float* d_w;                // (width, EP)
};

// Words [first, last): their gate gradients summed over their tokens, from there d_vectors (null where they do not
// train), and their part of each direction's d_w.
template <int CELL>
void backward_words(const Problem& p, ptrdiff_t E, const std::vector<Owed>& directions, ptrdiff_t first, ptrdiff_t last,
                    const float* vectors, float* d_vectors) {
  const ptrdiff_t HP = p.HP(), EP = padded(E), width = p.width(), keep = kKept[CELL] * HP;
  Buffer sums(kChunk * width), x(kChunk * EP, 0.0f), d_x(kChunk * EP), zeros(EP, 0.0f);
  cut(last - first, kChunk, [&](ptrdiff_t offset, int size) {
    const ptrdiff_t chunk = first + offset;
    for (ptrdiff_t i = 0; i < size; i++) std::memcpy(x + i * EP, vectors + (chunk + i) * E, E * sizeof(float));
    for (const Owed& owed : directions) {
      for (ptrdiff_t i = 0; i < size; i++) {
        float* sum = sums + i * width;
        std::fill_n(sum, width, 0.0f);
        for (int32_t n = owed.tokens->first[chunk + i]; n < owed.tokens->first[chunk + i + 1]; n++)
          add_input_gradient<CELL>(HP, owed.kept + owed.tokens->order[n] * keep, sum);
      }
      matmul<Start::kAdd>(width, EP, size, sums, 1, width, x, EP, owed.d_w, EP);
      if (d_vectors == nullptr) continue;
      if (&owed == &directions[0])
        matmul<Start::kRow>(size, EP, width, sums, width, 1, owed.w_ih, EP, d_x, EP, zeros);
      else
        matmul<Start::kAdd>(size, EP, width, sums, width, 1, owed.w_ih, EP, d_x, EP);
    }
    for (ptrdiff_t i = 0; d_vectors && i < size; i++)
      std::memcpy(d_vectors + (chunk + i) * E, d_x + i * EP, E * sizeof(float));
  });
}

// The threads' sums, `stride` apart, to gradients in torch's places. Called by each thread, for a part of them.
template <int CELL>
void add_up(const Problem& p, int thread, int threads, ptrdiff_t E, const float* sums, ptrdiff_t stride, const Gradients& out) {
  constexpr int G = kGates[CELL];
  const Places place{G};
  const Sums at(p, E);
  const ptrdiff_t H = p.H, HP = p.HP();
  for (ptrdiff_t n = G * H * thread / threads; n < G * H * (thread + 1) / threads; n++) {
    const ptrdiff_t g = n / H, u = n % H, by_state = at.b + place(g, u);
    const ptrdiff_t by_input = CELL == kGru && g == 2 ? at.b + p.width() + u : by_state;
    add_rows(H, threads, sums + place(g, u) * HP, stride, out.w_hh + n * H);
    add_rows(E, threads, sums + at.w_ih + place(g, u) * padded(E), stride, out.w_ih + n * E);
    add_rows(1, threads, sums + by_state, stride, out.b_hh + n);
    add_rows(1, threads, sums + by_input, stride, out.b_ih + n);
  }
  if (p.attends() && thread == 0) add_rows(H, threads, sums + at.u, stride, out.u);
}

template <int CELL>
void forward(const Problem& p, int threads, const float* projected, const Parameters& in, float* features, float* saved,
             int32_t* best) {
  Buffer w(p.H * p.width()), b(p.width()), u(p.HP());
  pack_tiles(p.G(), p.H, in.w_hh, in.b_hh, w, b);
  pack_attention(p, in.u, u);
  const std::vector<Share> shares = share_out(p, threads);
  const Saved place(p, tokens_of(shares));
  parallel(threads, [&](int thread) {
    ptrdiff_t token = shares[thread].first_token;
    for (const Group& group : groups_of(p, shares[thread])) {
      float* states = saved ? saved + token * p.HP() : nullptr;
      float* kept = saved ? saved + place.kept + token * kKept[CELL] * p.HP() : nullptr;
      forward_group<CELL>(p, group, projected, w, b, features, states, kept, best, place.attention(p, u, saved, token));
      token += group.tokens();
    }
  });
}

template <int CELL>
void backward(const Problem& p, int threads, ptrdiff_t E, const float* vectors, const Parameters& in, float* saved,
              const int32_t* best, const float* d_features, float* d_vectors, const Gradients& out) {
  constexpr int G = kGates[CELL];
  const ptrdiff_t HP = p.HP(), width = p.width();
  Buffer w_h(width * HP), w_x(width * padded(E)), u(HP);
  pack_along(G, p.H, p.H, in.w_hh, w_h);
  pack_along(G, p.H, E, in.w_ih, w_x);
  pack_attention(p, in.u, u);
  const std::vector<Share> shares = share_out(p, threads);
  std::vector<std::vector<Group>> groups(threads);
  const Sums at(p, E);
  const ptrdiff_t stride = padded(at.size);
  Buffer sums(threads * stride);
  const Saved place(p, tokens_of(shares));
  float* kept = saved + place.kept;
  parallel(threads, [&](int thread) {
    float* sum = sums + thread * stride;
    std::fill_n(sum, stride, 0.0f);
    groups[thread] = groups_of(p, shares[thread]);
    ptrdiff_t token = shares[thread].first_token;
    for (const Group& group : groups[thread]) {
      backward_group<CELL>(p, group, w_h, saved + token * HP, kept + token * kKept[CELL] * HP, best,
                           place.attention(p, u, saved, token), d_features, sum, sum + at.b, sum + at.u);
      token += group.tokens();
    }
  });
  const ByWord tokens = sort_by_word(p, groups);
  parallel(threads, [&](int thread) {
    backward_words<CELL>(p, E, {{&tokens, kept, w_x, sums + thread * stride + at.w_ih}}, p.U * thread / threads,
                         p.U * (thread + 1) / threads, vectors, d_vectors);
  });
  parallel(threads, [&](int thread) { add_up<CELL>(p, thread, threads, E, sums, stride, out); });
}

// One direction of a learning step: its problem, and its parts of the memory that all of them share.
struct Direction {
  Problem p;
  const Parameters* in;
  const Gradients* out;
  float *projected, *saved, *across, *b_x, *tiles, *b_h, *along_h, *along_x, *u;
  int32_t* best;
  ptrdiff_t sums;
  ByWord tokens;
};

// Project, forward, head, backward. A group goes all the way down and back before the next, so that what is saved of
// it is still in the cache.
template <int CELL>
Score learn(const Problem& all, int directions, int threads, ptrdiff_t E, Head head, const float* vectors,
            const Parameters* in, const float* head_w, const float* head_b, float* d_vectors, const Gradients* out,
            float* d_head_w, float* d_head_b) {
  constexpr int G = kGates[CELL];
  const ptrdiff_t H = all.H, HP = all.HP(), EP = padded(E), width = all.width(), F = head.H, C = head.C;
  const ptrdiff_t FP = head.HP();
  const std::vector<Share> shares = share_out(all, threads);
  std::vector<std::vector<Group>> groups(threads);
  for (int thread = 0; thread < threads; thread++) groups[thread] = groups_of(all, shares[thread]);
  const ptrdiff_t tokens = tokens_of(shares), best_size = all.has_best() ? all.B * HP : 0;
  const Sums at(all, E);
  const Saved place(all, tokens);
  const ptrdiff_t head_sums = directions * at.size, saved_size = padded(place.size);
  const ptrdiff_t bias_sums = head_sums + C * FP, stride = padded(bias_sums + C);
  Buffer sums(threads * stride), features(all.B * F), projected(directions * all.U * width);
  Buffer saved(directions * saved_size), best_steps(directions * best_size);
  Buffer across(directions * E * width), tiles(directions * H * width), along_h(directions * width * HP);
  Buffer along_x(directions * width * EP), rows(directions * (2 * width + HP));
  Buffer head_across(F * head.CP()), head_bias(head.CP()), head_along(C * FP);
  head.across = head_across, head.bias = head_bias, head.along = head_along;
  std::vector<Direction> ways;
  for (ptrdiff_t d = 0; d < directions; d++) {
    float* row = rows + d * (2 * width + HP);
    ways.push_back({all, in + d, out + d, projected + d * all.U * width, saved + d * saved_size, across + d * E * width,
                    row, tiles + d * H * width, row + width, along_h + d * width * HP, along_x + d * width * EP,
                    row + 2 * width, nullptr, d * at.size, {}});
    ways[d].p.reverse = d == 1;
    if (all.has_best()) ways[d].best = reinterpret_cast<int32_t*>(best_steps + d * best_size);
  }
  std::vector<Score> scores(threads);

  for (const Direction& way : ways) pack_units(G, H, E, way.in->w_ih, way.in->b_ih, way.across, way.b_x);
  parallel(threads, [&](int thread) {
    const ptrdiff_t first = all.U * thread / threads, last = all.U * (thread + 1) / threads;
    for (const Direction& way : ways)
      matmul<Start::kRow>(last - first, width, E, vectors + first * E, E, 1, way.across, width,
                          way.projected + first * width, width, way.b_x);
    std::fill_n(sums + thread * stride, stride, 0.0f);
    for (int task = thread; task < 3 * directions + 1; task += threads) {
      if (task == 3 * directions) {
        pack_head(F, C, head_w, head_b, head_across, head_bias, head_along);
        continue;
      }
      Direction& way = ways[task / 3];
      if (task % 3 == 0) pack_tiles(G, H, way.in->w_hh, way.in->b_hh, way.tiles, way.b_h);
      if (task % 3 == 1) way.tokens = sort_by_word(way.p, groups);
      if (task % 3 == 2) {
        pack_along(G, H, H, way.in->w_hh, way.along_h), pack_along(G, H, E, way.in->w_ih, way.along_x);
        pack_attention(way.p, way.in->u, way.u);
      }
    }
  });
  parallel(threads, [&](int thread) {
    float* sum = sums + thread * stride;
    ptrdiff_t token = shares[thread].first_token;
    for (const Group& group : groups[thread]) {
      const auto pass = [&](const Direction& way, bool back) {
        float *states = way.saved + token * HP, *kept = way.saved + place.kept + token * kKept[CELL] * HP;
        float *of_way = features + (way.p.reverse ? F / 2 : 0), *sums_of_way = sum + way.sums;
        const Attention attention = place.attention(way.p, way.u, way.saved, token);
        if (back)
          backward_group<CELL>(way.p, group, way.along_h, states, kept, way.best, attention, of_way, sums_of_way,
                               sums_of_way + at.b, sums_of_way + at.u);
        else
          forward_group<CELL>(way.p, group, way.projected, way.tiles, way.b_h, of_way, states, kept, way.best, attention);
      };
      for (const Direction& way : ways) pass(way, false);
      const Score score = learn_head(head, group.size, group.texts, features, sum + head_sums, sum + bias_sums);
      scores[thread].loss += score.loss, scores[thread].right += score.right;
      for (const Direction& way : ways) pass(way, true);
      token += group.tokens();
    }
  });
  parallel(threads, [&](int thread) {
    std::vector<Owed> owed;
    for (const Direction& way : ways)
      owed.push_back({&way.tokens, way.saved + place.kept, way.along_x, sums + thread * stride + way.sums + at.w_ih});
    backward_words<CELL>(all, E, owed, all.U * thread / threads, all.U * (thread + 1) / threads, vectors, d_vectors);
  });
  parallel(threads, [&](int thread) {
    for (const Direction& way : ways) add_up<CELL>(way.p, thread, threads, E, sums + way.sums, stride, *way.out);
  });
  for (ptrdiff_t c = 0; c < C; c++) add_rows(F, threads, sums + head_sums + c * FP, stride, d_head_w + c * F);
  add_rows(C, threads, sums + bias_sums, stride, d_head_b);
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
RUBRICA_API int64_t rubrica_projected_width(int cell, int64_t H) try { return kGates[cell] * padded(H); } RUBRICA_CATCH

// projected (U, width) = vectors (U, E) w_ih^T + b_ih, in the order of `Places`: the input's part of the gates of each
// distinct word. It does not depend on the number of threads.
RUBRICA_API int64_t rubrica_project(int cell, int threads, int64_t U, int64_t E, int64_t H, const float* vectors,
                                    const float* w_ih, const float* b_ih, float* projected) try {
  const ptrdiff_t width = kGates[cell] * padded(H);
  Buffer w(E * width), b(width);
  pack_units(kGates[cell], H, E, w_ih, b_ih, w, b);
  parallel(threads, [&](int thread) {
    const ptrdiff_t first = U * thread / threads, last = U * (thread + 1) / threads;
    matmul<Start::kRow>(last - first, width, E, vectors + first * E, E, 1, w, width, projected + first * width, width, b);
  });
  return 0;
} RUBRICA_CATCH

// How many floats the forward pass saves for the backward pass; `tokens` is the sum of the lengths.
RUBRICA_API int64_t rubrica_recurrent_saved(int cell, int output, int64_t B, int64_t tokens, int64_t H) try {
  return Saved(Problem{cell, output, false, B, H, 0, 0, nullptr, nullptr, nullptr}, tokens).size;
} RUBRICA_CATCH

// How many int32 the maximum of each unit is remembered in.
RUBRICA_API int64_t rubrica_recurrent_best(int64_t B, int64_t H) try { return B * padded(H); } RUBRICA_CATCH

// features from projected (U, width): (B, F) of an output that is a pooling, else a state for each of `rows`. u (H,) is
// the attention's, or null. `saved` and `best` are null at prediction.
RUBRICA_API int64_t rubrica_recurrent_forward(int cell, int output, int reverse, int threads, int64_t B, int64_t H,
                                              int64_t U, const int32_t* rows, const int64_t* starts,
                                              const int64_t* lengths, const float* projected, const float* w_hh,
                                              const float* b_hh, const float* u, float* features, float* saved,
                                              int32_t* best) try {
  Problem p{cell, output, reverse != 0, B, H, U, 0, rows, starts, lengths};
  p.F = p.parts() * H;
  const auto run = cell == kRnn ? forward<kRnn> : cell == kGru ? forward<kGru> : forward<kLstm>;
  run(p, threads, projected, {nullptr, w_hh, nullptr, b_hh, u}, features, saved, best);
  return 0;
} RUBRICA_CATCH

// The gradients of vectors (U, E) and parameters. d_features has the shape of the features. `saved` is used up, and
// `threads` is the number of the forward pass. d_vectors is null where the vectors do not train, and d_u is null where
// there is no attention.
RUBRICA_API int64_t rubrica_recurrent_backward(int cell, int output, int reverse, int threads, int64_t B, int64_t H,
                                               int64_t U, int64_t E, const int32_t* rows, const int64_t* starts,
                                               const int64_t* lengths, const float* vectors, const float* w_ih,
                                               const float* w_hh, const float* u, float* saved, const int32_t* best,
                                               const float* d_features, float* d_vectors, float* d_w_ih, float* d_b_ih,
                                               float* d_w_hh, float* d_b_hh, float* d_u) try {
  Problem p{cell, output, reverse != 0, B, H, U, 0, rows, starts, lengths};
  p.F = p.parts() * H;
  const auto run = cell == kRnn ? backward<kRnn> : cell == kGru ? backward<kGru> : backward<kLstm>;
  run(p, threads, E, vectors, {w_ih, w_hh, nullptr, nullptr, u}, saved, best, d_features, d_vectors,
      {d_w_ih, d_w_hh, d_b_ih, d_b_hh, d_u});
  return 0;
} RUBRICA_CATCH

// One learning step but for the moving: the mean cross-entropy and the share of right answers of B texts into `scores`
// (2,), and the gradients of everything by the former. `weights` and `gradients` point to the parameters in a model's
// order: of each direction w_ih, w_hh, b_ih, b_hh; with an attention its u, (directions, H); the head's (C, F) and (C,).
// text_weights (B,), what each text counts, and mask (B, F), what the features are multiplied by, may be null, and so is
// d_vectors where the vectors do not train.
RUBRICA_API int64_t rubrica_recurrent_learn(int cell, int pooling, int directions, int threads, int64_t B, int64_t H,
                                            int64_t U, int64_t E, int64_t C, double smoothing, const int32_t* rows,
                                            const int64_t* starts, const int64_t* lengths, const int64_t* targets,
                                            const float* text_weights, const float* mask, const float* vectors,
                                            const float* const* weights, float* d_vectors, float* const* gradients,
                                            float* scores) try {
  Problem p{cell, pooling, false, B, H, U, 0, rows, starts, lengths};
  p.F = directions * p.parts() * H;
  Head head{p.F, C, B, nullptr, nullptr, nullptr, targets, text_weights, mask, static_cast<double>(B),
            static_cast<float>(smoothing)};
  if (text_weights) head.total = std::accumulate(text_weights, text_weights + B, 0.0);
  if (head.total == 0) head.total = 1;  // nothing counts: loss and gradients are zero
  Parameters in[2];
  Gradients out[2];
  for (int d = 0; d < directions; d++) {
    const float* const* w = weights + 4 * d;
    float* const* g = gradients + 4 * d;
    in[d] = {w[0], w[1], w[2], w[3], p.attends() ? weights[4 * directions] + d * H : nullptr};
    out[d] = {g[0], g[1], g[2], g[3], p.attends() ? gradients[4 * directions] + d * H : nullptr};
  }
  const int after = 4 * directions + (p.attends() ? 1 : 0);
  const auto run = cell == kRnn ? learn<kRnn> : cell == kGru ? learn<kGru> : learn<kLstm>;
  const Score score = run(p, directions, threads, E, head, vectors, in, weights[after], weights[after + 1], d_vectors,
                          out, gradients[after], gradients[after + 1]);
  scores[0] = static_cast<float>(score.loss / head.total);
  scores[1] = static_cast<float>(score.right) / B;
  return 0;
} RUBRICA_CATCH
