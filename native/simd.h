// Matrix products and activations on vectors of floats, written once for every instruction set.
#pragma once

#include "common.h"

namespace rubrica {

#if defined(__AVX512F__)
constexpr int kTileRows = 6, kTileVectors = 4;  // 24 of 32 registers hold sums, 4 a row of B, 1 a number of A
#else
constexpr int kTileRows = 6, kTileVectors = 2;  // 12 of 16
#endif

enum class Start { kAdd, kRow };  // a product is added to what C holds, or starts from one row for all of C's rows

// C (ROWS, VECTORS * kLanes) = start + A (ROWS, K) B (K, ...), the sums in registers.
template <int ROWS, int VECTORS, Start START>
inline void tile(ptrdiff_t K, const float* A, ptrdiff_t a_row, ptrdiff_t a_k, const float* B, ptrdiff_t b_k, float* C,
                 ptrdiff_t c_row, const float* row) {
  vf sum[ROWS][VECTORS];
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) sum[r][v] = load((START == Start::kRow ? row : C + r * c_row) + v * kLanes);
  for (ptrdiff_t k = 0; k < K; k++) {
    vf b[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) b[v] = load(B + k * b_k + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) {
      const vf a = broadcast(A[r * a_row + k * a_k]);
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; v++) sum[r][v] += a * b[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) store(C + r * c_row + v * kLanes, sum[r][v]);
}

template <int VECTORS, Start START>
inline void tile_rows(int rows, ptrdiff_t K, const float* A, ptrdiff_t a_row, ptrdiff_t a_k, const float* B,
                      ptrdiff_t b_k, float* C, ptrdiff_t c_row, const float* row) {
  switch (rows) {
    case 1: return tile<1, VECTORS, START>(K, A, a_row, a_k, B, b_k, C, c_row, row);
    case 2: return tile<2, VECTORS, START>(K, A, a_row, a_k, B, b_k, C, c_row, row);
    case 3: return tile<3, VECTORS, START>(K, A, a_row, a_k, B, b_k, C, c_row, row);
    case 4: return tile<4, VECTORS, START>(K, A, a_row, a_k, B, b_k, C, c_row, row);
    case 5: return tile<5, VECTORS, START>(K, A, a_row, a_k, B, b_k, C, c_row, row);
    default: return tile<6, VECTORS, START>(K, A, a_row, a_k, B, b_k, C, c_row, row);
  }
}

// C (M, N) = start + A (M, K) B (K, N) for row-major B and C; N is a multiple of kLanes. A's element (m, k) lies at
// m * a_row + k * a_k, so a transposed A costs nothing. A block of B's columns stays in the first-level cache while
// the rows of A pass by.
template <Start START>
inline void matmul(ptrdiff_t M, ptrdiff_t N, ptrdiff_t K, const float* A, ptrdiff_t a_row, ptrdiff_t a_k,
                   const float* B, ptrdiff_t b_k, float* C, ptrdiff_t c_row, const float* row = nullptr) {
  for (ptrdiff_t n = 0; n < N;) {
    const int vectors = static_cast<int>(N - n) / kLanes >= kTileVectors ? kTileVectors : 1;
    for (ptrdiff_t m = 0; m < M; m += kTileRows) {
      const int rows = static_cast<int>(M - m < kTileRows ? M - m : kTileRows);
      const auto run = vectors == 1 ? tile_rows<1, START> : tile_rows<kTileVectors, START>;
      run(rows, K, A + m * a_row, a_row, a_k, B + n, b_k, C + m * c_row + n, c_row, row ? row + n : nullptr);
    }
    n += vectors * kLanes;
  }
}

// e^x to about one unit in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (Cephes' coefficients).
// Where the true value is out of a float's range it stays at the nearest one that is in; NaN stays NaN.
inline vf exp(vf x) {
  typedef uint32_t vu __attribute__((vector_size(kLanes * sizeof(float))));
  x = x < -87.0f ? broadcast(-87.0f) : x;
  x = x > 88.0f ? broadcast(88.0f) : x;
  const vf magic = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number in the low bits
  const vf shifted = x * 1.44269504088896341f + magic;
  const vf n = shifted - magic;
  const vf r = x - n * 0.693359375f - n * -2.12194440e-4f;  // ln 2 in two parts
  vf p = broadcast(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return p * reinterpret_cast<vf>((reinterpret_cast<vu>(shifted) << 23) + (127u << 23));
}

inline vf sigmoid(vf x) { return 1.0f / (1.0f + exp(-x)); }

inline vf tanh(vf x) {
  const vf large = 1.0f - 2.0f / (exp(x + x) + 1.0f);
  const vf x2 = x * x;  // near 0 the difference above would lose the leading digits
  const vf small = x + x * x2 * (-1.0f / 3 + x2 * (2.0f / 15 + x2 * (-17.0f / 315)));
  return x2 < 0.01f ? small : large;
}

// Numbers for one call, aligned to a cache line, not set to zero.
class Buffer {
 public:
  explicit Buffer(size_t count)
      : data_(static_cast<float*>(::operator new(sizeof(float) * (count ? count : 1), std::align_val_t{64}))) {}
  Buffer(size_t count, float value) : Buffer(count) {
    for (size_t i = 0; i < count; i++) data_[i] = value;
  }
  Buffer(const Buffer&) = delete;
  ~Buffer() { ::operator delete(data_, std::align_val_t{64}); }
  operator float*() { return data_; }

 private:
  float* data_;
};

}  // namespace rubrica
