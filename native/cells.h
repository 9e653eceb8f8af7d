// The formulas of the three cells and their derivatives, for one vector of units of one token.
//
// Letters and gate order as in recurrent.cpp. What the backward pass needs of a token lies in one row of kKept * HP:
// first the gates, those of the same units beside each other, in whose place the backward pass writes the gradients
// of what W_hh h adds to them; then what is in the table below.
#pragma once

#include "simd.h"

namespace rubrica {

enum Cell { kRnn, kGru, kLstm };

constexpr int kGates[] = {1, 3, 4};
// rnn: h. gru: r, z, n, and W_hn h. lstm: i, f, g, o, and c, tanh c.
constexpr int kKept[] = {1, 4, 6};

// The state of the next step. `x` is the projected word, `gates` what W_hh h + b_hh is.
template <int CELL>
inline vf cell_step(ptrdiff_t HP, ptrdiff_t j, const float* x, const float* gates, vf h_before, float* c, float* kept) {
  x += j * kGates[CELL];
  float* gate = kept ? kept + j * kGates[CELL] : nullptr;
  if constexpr (CELL == kRnn) {
    const vf h = tanh(load(x) + load(gates));
    if (kept) store(gate, h);
    return h;
  } else if constexpr (CELL == kGru) {
    const vf r = sigmoid(load(x) + load(gates)), z = sigmoid(load(x + kLanes) + load(gates + kLanes));
    const vf n = tanh(load(x + 2 * kLanes) + r * load(gates + 2 * kLanes));
    if (kept) {
      store(gate, r), store(gate + kLanes, z), store(gate + 2 * kLanes, n);
      store(kept + 3 * HP + j, load(gates + 2 * kLanes));
    }
    return (1.0f - z) * n + z * h_before;  // 1 - z is exact near 1, z * n is not
  } else {
    const vf i = sigmoid(load(x) + load(gates)), f = sigmoid(load(x + kLanes) + load(gates + kLanes));
    const vf g = tanh(load(x + 2 * kLanes) + load(gates + 2 * kLanes)), o = sigmoid(load(x + 3 * kLanes) + load(gates + 3 * kLanes));
    const vf c_now = f * load(c + j) + i * g, tanh_c = tanh(c_now);
    store(c + j, c_now);
    if (kept) {
      store(gate, i), store(gate + kLanes, f), store(gate + 2 * kLanes, g), store(gate + 3 * kLanes, o);
      store(kept + 4 * HP + j, c_now), store(kept + 5 * HP + j, tanh_c);
    }
    return o * tanh_c;
  }
}

// One token back. `d` is the gradient by its state; what reaches the state before it directly, without W_hh, is
// returned. `sums` collects the gates' gradients, the gru's third by the input last.
template <int CELL>
inline vf cell_back(ptrdiff_t HP, ptrdiff_t j, vf d, vf h_before, const float* c_before, float* d_c, float* kept,
                    vf* sums) {
  float* gate = kept + j * kGates[CELL];
  const auto give = [&](int g, vf d_gate) {
    store(gate + g * kLanes, d_gate);
    sums[g] += d_gate;
  };
  if constexpr (CELL == kRnn) {
    const vf h = load(gate);
    give(0, d * (1.0f - h * h));
    return vf{};
  } else if constexpr (CELL == kGru) {
    const vf r = load(gate), z = load(gate + kLanes), n = load(gate + 2 * kLanes), h_n = load(kept + 3 * HP + j);
    const vf d_n = d * (1.0f - z) * (1.0f - n * n);
    give(0, d_n * h_n * r * (1.0f - r));
    give(1, d * (h_before - n) * z * (1.0f - z));
    give(2, d_n * r);
    store(kept + 3 * HP + j, d_n);
    sums[3] += d_n;
    return d * z;
  } else {
    const vf i = load(gate), f = load(gate + kLanes), g = load(gate + 2 * kLanes), o = load(gate + 3 * kLanes);
    const vf tanh_c = load(kept + 5 * HP + j);
    const vf by_c = load(d_c + j) + d * o * (1.0f - tanh_c * tanh_c);
    give(0, by_c * g * i * (1.0f - i));
    give(1, by_c * load(c_before) * f * (1.0f - f));
    give(2, by_c * i * (1.0f - g * g));
    give(3, d * tanh_c * o * (1.0f - o));
    store(d_c + j, by_c * f);
    return vf{};
  }
}

// Adds what a token's word is owed, by gate: the gru's third gate alone has another gradient by the input.
template <int CELL>
inline void add_input_gradient(ptrdiff_t HP, const float* kept, float* sum) {
  for (ptrdiff_t j = 0; j < kGates[CELL] * HP; j += kLanes) {
    const bool third = CELL == kGru && j / kLanes % 3 == 2;
    store(sum + j, load(sum + j) + load(third ? kept + 3 * HP + (j / kLanes / 3) * kLanes : kept + j));
  }
}

}  // namespace rubrica
