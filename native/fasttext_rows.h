// Sums, products and moves of rows of D floats that lie anywhere in a matrix.
//
// A vector of our own (a hidden state, a gradient) has the columns in the order in which a row is loaded: whole vectors,
// the last of which ends with the row and so repeats columns of the one before. A row of 100 floats is 6 vectors of 16
// and the last 16 columns. Both copies of a repeated column get the same number, so it does not matter which is stored
// last; only a product counts one of them alone. A row shorter than a vector is loaded in part.
#pragma once

#include "simd.h"

namespace rubrica::fasttext {

// Vectors of a row that stay in registers while other rows pass by.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kBlock = 8;
#else
constexpr int kBlock = 4;
#endif

inline vf load_part(const float* p, int64_t count) {
#if defined(__AVX512F__)
  return reinterpret_cast<vf>(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p));
#else
  vf x = {};
  for (int64_t i = 0; i < count; i++) x[i] = p[i];
  return x;
#endif
}

inline void store_part(float* p, int64_t count, vf x) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), reinterpret_cast<__m512>(x));
#else
  for (int64_t i = 0; i < count; i++) p[i] = x[i];
#endif
}

// The columns of a row; `size` floats hold a vector of our own.
class Columns {
 public:
  explicit Columns(int64_t D) : D_(D), vectors_((D + kLanes - 1) / kLanes), size(vectors_ * kLanes) {}
  int64_t D() const { return D_; }

  // out = the sum of rows.
  void sum(const float* table, const int32_t* rows, int64_t count, float* out) const {
    each_block([&](auto vectors, auto part, int64_t first, int64_t back) {
      constexpr int VECTORS = decltype(vectors)::value;
      vf sum[VECTORS] = {};
      for (int64_t k = 0; k < count; k++) {
        const float* row = table + rows[k] * D_ + first;
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) sum[v] += get<decltype(part)::value>(row + v * kLanes - (v == VECTORS - 1 ? back : 0));
      }
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; v++) store(out + first + v * kLanes, sum[v]);
    });
  }

  // Every row += step; a row that is listed twice moves twice.
  void move(float* table, const int32_t* rows, int64_t count, const float* step) const {
    each_block([&](auto vectors, auto part, int64_t first, int64_t back) {
      constexpr int VECTORS = decltype(vectors)::value;
      vf add[VECTORS];
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; v++) add[v] = load(step + first + v * kLanes);
      for (int64_t k = 0; k < count; k++) {
        float* row = table + rows[k] * D_ + first;
        vf now[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) now[v] = get<decltype(part)::value>(row + v * kLanes - (v == VECTORS - 1 ? back : 0)) + add[v];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) put<decltype(part)::value>(row + v * kLanes - (v == VECTORS - 1 ? back : 0), now[v]);
      }
    });
  }

  // out[k] = the product of h and row k.
  void products(const float* table, const int32_t* rows, int64_t count, const float* h, float* out) const {
    for (int64_t k = 0; k < count; k++) out[k] = 0;
    each_block([&](auto vectors, auto part, int64_t first, int64_t back) {
      constexpr int VECTORS = decltype(vectors)::value;
      vf mine[VECTORS];
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; v++) mine[v] = load(h + first + v * kLanes);
      for (int64_t i = 0; i < back; i++) mine[VECTORS - 1][i] = 0;  // counted in the vector before
      for (int64_t k = 0; k < count; k++) {
        const float* row = table + rows[k] * D_ + first;
        vf even = {}, odd = {};
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++)
          (v % 2 ? odd : even) += mine[v] * get<decltype(part)::value>(row + v * kLanes - (v == VECTORS - 1 ? back : 0));
        out[k] += add_up(even + odd);
      }
    });
  }

  // One row after the other: gradient += scale[k] * row, then row += scale[k] * h.
  void pull(float* table, const int32_t* rows, int64_t count, const float* scales, const float* h,
            float* gradient) const {
    each_block([&](auto vectors, auto part, int64_t first, int64_t back) {
      constexpr int VECTORS = decltype(vectors)::value;
      vf mine[VECTORS], sum[VECTORS];
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; v++)
        mine[v] = load(h + first + v * kLanes), sum[v] = load(gradient + first + v * kLanes);
      for (int64_t k = 0; k < count; k++) {
        float* row = table + rows[k] * D_ + first;
        const vf scale = broadcast(scales[k]);
        vf now[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) now[v] = get<decltype(part)::value>(row + v * kLanes - (v == VECTORS - 1 ? back : 0));
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) {
          sum[v] += scale * now[v];
          put<decltype(part)::value>(row + v * kLanes - (v == VECTORS - 1 ? back : 0), now[v] + scale * mine[v]);
        }
      }
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; v++) store(gradient + first + v * kLanes, sum[v]);
    });
  }

  void prefetch(const float* row) const {
    const char* p = reinterpret_cast<const char*>(row);
    for (int64_t at = 0; at < D_ * 4; at += 64) __builtin_prefetch(p + at, 1);
  }

 private:
  // PART is the number of columns of a row that is shorter than a vector; else the load is whole.
  template <bool PART>
  vf get(const float* p) const {
    if constexpr (PART) return load_part(p, D_);
    else return load(p);
  }
  template <bool PART>
  void put(float* p, vf x) const {
    if constexpr (PART) store_part(p, D_, x);
    else store(p, x);
  }

  // Calls body(vectors, part, first, back) for each block: its first column, and how far its last vector steps back.
  // A block with the last vector has the one before it too (`cut` is even), so no stored column is loaded again.
  template <typename Body>
  void each_block(Body body) const {
    if (D_ < kLanes) return body(std::integral_constant<int, 1>(), std::true_type(), 0, 0);
    cut(vectors_, kBlock, [&](ptrdiff_t first, int count) {
      const int64_t back = first + count == vectors_ ? size - D_ : 0;
      with_constant<kBlock>(count, [&](auto vectors) { body(vectors, std::false_type(), first * kLanes, back); });
    });
  }

  const int64_t D_, vectors_;

 public:
  const int64_t size;
};

}  // namespace rubrica::fasttext
