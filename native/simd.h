// Matrix products and activations on vectors of floats, written once for every instruction set.
#pragma once

#include "common.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace rubrica {

// A product is made in tiles of C whose sums stay in registers; beside them a row of B and a number of A must fit.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kSums = 24, kMaxVectors = 4;  // of 32 registers
#else
constexpr int kSums = 12, kMaxVectors = 3;  // of 16
#endif
constexpr int tile_height(int vectors) { return vectors == 1 ? 12 : kSums / vectors; }

inline ptrdiff_t padded(ptrdiff_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

// Cuts `count` into the fewest parts of at most `most`, as even as can be, and calls part(first, size) for each:
// 33 rows in tiles of 8 are three of 7 and two of 6, for a tile of 1 would cost as much as one of 4.
template <typename Part>
inline void cut(ptrdiff_t count, int most, Part part) {
  const ptrdiff_t parts = (count + most - 1) / most;
  for (ptrdiff_t i = 0, first = 0; i < parts; i++) {
    const ptrdiff_t size = (count - first + parts - i - 1) / (parts - i);
    part(first, static_cast<int>(size));
    first += size;
  }
}

// Calls body with the compile-time constant that equals `value`, from 1 to MOST.
template <int MOST, typename Body>
inline void with_constant(int value, Body body) {
  if constexpr (MOST > 1) {
    if (value < MOST) return with_constant<MOST - 1>(value, body);
  }
  body(std::integral_constant<int, MOST>{});
}

enum class Start { kAdd, kRow };  // a product is added to what C holds, or starts from one row for all of C's rows

// C (ROWS, VECTORS * kLanes) = start + A (ROWS, K) B (K, ...).
template <int ROWS, int VECTORS, Start START>
inline void tile(ptrdiff_t K, const float* A, ptrdiff_t a_row, ptrdiff_t a_k, const float* B, ptrdiff_t b_k, float* C,
                 ptrdiff_t c_row, const float* row) {
  vf sum[ROWS][VECTORS];
#pragma GCC unroll 12
  for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) sum[r][v] = load((START == Start::kRow ? row : C + r * c_row) + v * kLanes);
  for (ptrdiff_t k = 0; k < K; k++) {
    vf b[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) b[v] = load(B + k * b_k + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++) {
      const vf a = broadcast(A[r * a_row + k * a_k]);
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; v++) sum[r][v] += a * b[v];
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) store(C + r * c_row + v * kLanes, sum[r][v]);
}

// C (M, N) = start + A (M, K) B (K, N) for row-major B and C; N is a multiple of kLanes. A's element (m, k) lies at
// m * a_row + k * a_k, so a transposed A costs nothing. A block of B's columns stays in the first-level cache while
// the rows of A pass by.
template <Start START>
inline void matmul(ptrdiff_t M, ptrdiff_t N, ptrdiff_t K, const float* A, ptrdiff_t a_row, ptrdiff_t a_k,
                   const float* B, ptrdiff_t b_k, float* C, ptrdiff_t c_row, const float* row = nullptr) {
  cut(N / kLanes, kMaxVectors, [&](ptrdiff_t v, int vectors) {
    with_constant<kMaxVectors>(vectors, [&](auto vectors_constant) {
      constexpr int VECTORS = decltype(vectors_constant)::value;
      cut(M, tile_height(VECTORS), [&](ptrdiff_t m, int rows) {
        with_constant<tile_height(VECTORS)>(rows, [&](auto rows_constant) {
          constexpr int ROWS = decltype(rows_constant)::value;
          tile<ROWS, VECTORS, START>(K, A + m * a_row, a_row, a_k, B + v * kLanes, b_k, C + m * c_row + v * kLanes,
                                     c_row, row ? row + v * kLanes : nullptr);
        });
      });
    });
  });
}

// Lays rows of a parameter across: value(row, k) of each row goes to out (K, width) at (k, place(row)); the rest is 0.
template <typename Place, typename Value>
inline void pack_across(ptrdiff_t rows, ptrdiff_t K, ptrdiff_t width, Place place, Value value, float* out) {
  std::fill_n(out, K * width, 0.0f);
  for (ptrdiff_t row = 0; row < rows; row++)
    for (ptrdiff_t k = 0; k < K; k++) out[k * width + place(row)] = value(row, k);
}

// a / b to about one unit in the last place, for normal b whose inverse is normal too.
inline vf divide(vf a, vf b) {
#if defined(__AVX512F__)
  // A division occupies its unit for 16 cycles. 14 bits of the inverse come from one instruction, the rest from one
  // step of Newton's on the quotient.
  const vf inverse = reinterpret_cast<vf>(_mm512_maskz_rcp14_ps(0xffff, reinterpret_cast<__m512>(b)));
  const vf quotient = a * inverse;
  return quotient + inverse * (a - b * quotient);
#else
  return a / b;
#endif
}

// e^x = scale * (1 + rest): a power of two, and a polynomial on [-ln 2 / 2, ln 2 / 2] (Cephes' coefficients). Where
// e^x or its inverse would leave a float's range it stays at the nearest that is in; NaN stays NaN.
inline void split_exp(vf x, vf& scale, vf& rest) {
  typedef uint32_t vu __attribute__((vector_size(kLanes * sizeof(float))));
  x = x < -87.0f ? broadcast(-87.0f) : x;
  x = x > 87.0f ? broadcast(87.0f) : x;
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
  rest = p * (r * r) + r;
  scale = reinterpret_cast<vf>((reinterpret_cast<vu>(shifted) << 23) + (127u << 23));
}

// By way of the smaller of the two sides: 1 / (1 + e^-x) near 1 would be a number above 1 turned over, with half the
// digits of what is missing to 1, and that is what the gradient of a saturated gate is made of.
inline vf sigmoid(vf x) {
  vf scale, rest;
  split_exp(x < 0.0f ? x : -x, scale, rest);
  const vf power = scale * rest + scale, side = divide(power, power + 1.0f);
  return x < 0.0f ? side : 1.0f - side;
}

inline vf tanh(vf x) {
  vf scale, rest;
  split_exp(x + x, scale, rest);
  const vf minus_one = scale * rest + (scale - 1.0f);  // e^2x - 1, with all its digits near 0, where scale is 1
  return divide(minus_one, minus_one + 2.0f);
}

// Numbers for one call, aligned to a cache line, not set to zero. A thread keeps the blocks that it no longer uses for
// its next call: fresh memory costs a page fault every 4 KiB, more than the arithmetic that fills it.
class Buffer {
 public:
  explicit Buffer(size_t count) {
    size_t best = kSpares;
    for (size_t i = 0; i < kSpares; i++)
      if (spares()[i].size >= count && (best == kSpares || spares()[i].size < spares()[best].size)) best = i;
    if (best < kSpares) {
      std::swap(block_, spares()[best]);
    } else {
      block_.data = static_cast<float*>(::operator new(sizeof(float) * (count + 16), std::align_val_t{64}));
      block_.size = count + 16;
    }
  }
  Buffer(size_t count, float value) : Buffer(count) { std::fill_n(block_.data, count, value); }
  Buffer(const Buffer&) = delete;
  ~Buffer() {
    // The smallest block goes: those that stay serve the next call of this size.
    size_t least = 0;
    for (size_t i = 1; i < kSpares; i++)
      if (spares()[i].size < spares()[least].size) least = i;
    if (spares()[least].size < block_.size) std::swap(block_, spares()[least]);
    block_.release();
  }
  operator float*() { return block_.data; }

 private:
  static constexpr size_t kSpares = 12;
  struct Block {
    float* data = nullptr;
    size_t size = 0;
    void release() { ::operator delete(data, std::align_val_t{64}); }
  };
  struct Spares {
    Block blocks[kSpares];
    ~Spares() {
      for (Block& block : blocks) block.release();
    }
  };
  static Block* spares() {
    static thread_local Spares mine;
    return mine.blocks;
  }
  Block block_;
};

}  // namespace rubrica
