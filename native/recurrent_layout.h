// Where the numbers of a recurrent layer lie: its parameters as the passes of recurrent.h read them, what the forward
// pass saves, and each thread's sums of gradients. Letters as there.
#pragma once

#include "recurrent.h"

namespace rubrica {
namespace {

// Gates lie in vectors of units, the gates of the same units beside each other: unit u of gate g stands at place(g, u).
struct Places {
  ptrdiff_t G;
  ptrdiff_t operator()(ptrdiff_t g, ptrdiff_t u) const { return (u / kLanes * G + g) * kLanes + u % kLanes; }
};

// w (G * H, K) of torch to (K, width), unit by unit; `b` (G * H,) to one more row.
void pack_units(ptrdiff_t G, ptrdiff_t H, ptrdiff_t K, const float* w, const float* b, float* w_out, float* b_out) {
  const auto place = [&](ptrdiff_t row) { return Places{G}(row / H, row % H); };
  pack_across(G * H, K, G * padded(H), place, [&](ptrdiff_t row, ptrdiff_t k) { return w[row * K + k]; }, w_out);
  pack_across(G * H, 1, G * padded(H), place, [&](ptrdiff_t row, ptrdiff_t) { return b[row]; }, b_out);
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

// Of one direction, in torch's shapes; u (H,) is the attention's.
struct Parameters {
  const float *w_ih, *w_hh, *b_ih, *b_hh, *u;
};

struct Gradients {
  float *w_ih, *w_hh, *b_ih, *b_hh, *u;
};

// Where a thread's sums of one direction's gradients lie: d_w_hh, d_w_ih, d_b_hh, the gru's third of d_b_ih, and d_u.
struct Sums {
  ptrdiff_t w_ih, b, u, size;
  Sums(const Problem& p, ptrdiff_t E) {
    w_ih = p.width() * p.HP(), b = w_ih + p.width() * padded(E), u = b + p.width() + p.HP();
    size = u + (p.attends() ? p.HP() : 0);
  }
};

// What the forward pass saves: a token's state before it, what the cell keeps of it, and the attention's numbers.
struct Saved {
  ptrdiff_t kept, ends, weights, size;
  Saved(const Problem& p, ptrdiff_t tokens) {
    kept = tokens * p.HP(), ends = kept + tokens * kKept[p.cell] * p.HP();
    weights = ends + (p.attends() ? p.B * p.HP() : 0), size = weights + (p.attends() ? tokens : 0);
  }
  // The numbers of the tokens from `token` on.
  Attention attention(const Problem& p, const float* u, float* saved, ptrdiff_t token) const {
    if (!p.attends()) return {nullptr, nullptr, nullptr};
    return {u, saved ? saved + weights + token : nullptr, saved ? saved + ends : nullptr};
  }
};

// u (H,) to (HP,), where there is one.
void pack_attention(const Problem& p, const float* u, float* out) {
  if (!p.attends()) return;
  std::fill_n(out, p.HP(), 0.0f);
  std::copy_n(u, p.H, out);
}

}  // namespace
}  // namespace rubrica
