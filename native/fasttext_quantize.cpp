// Product quantisation of a matrix, as fastText does it (src/productquantizer.cc): rows are cut into parts, and each part
// of a row becomes the number of the nearest of 256 centroids, which k-means finds.
//
// The order of all sums and draws is fastText's, so with the same standard library the centroids are the same numbers.
// What is spread over threads is the search for the nearest centroid, whose result depends on nothing else.
//
// Letters: R rows, D numbers in a row, n points of d numbers each.
#include <cmath>
#include <numeric>
#include <random>

#include "simd.h"

namespace rubrica {
namespace {

constexpr int kCentroids = 256, kRounds = 25;
constexpr int64_t kMostPoints = 256 * kCentroids;  // rows that k-means looks at
constexpr float kNudge = 1e-7f;                    // between the halves of a centroid that is split

// Of each of n points the nearest centroid, the first of equals. `across` holds number j of centroid k at
// j * 256 + k, so a vector holds a number of several centroids.
void find_nearest(const float* points, int64_t stride, int64_t first, int64_t last, int64_t d, const float* across,
                  uint8_t* codes, int64_t code_stride) {
  for (int64_t i = first; i < last; i++) {
    const float* point = points + i * stride;
    vf least = broadcast(INFINITY);
    vi place = {}, at;
    for (int lane = 0; lane < kLanes; lane++) at[lane] = lane;
    for (int k = 0; k < kCentroids; k += kLanes, at += kLanes) {
      vf sum = {};
      for (int64_t j = 0; j < d; j++) {
        const vf away = broadcast(point[j]) - load(across + j * kCentroids + k);
        sum += away * away;
      }
      const vi nearer = sum < least;
      least = nearer ? sum : least;
      place = nearer ? at : place;
    }
    int best = 0;
    for (int lane = 1; lane < kLanes; lane++)
      if (least[lane] < least[best] || (least[lane] == least[best] && place[lane] < place[best])) best = lane;
    codes[i * code_stride] = static_cast<uint8_t>(place[best]);
  }
}

void lay_across(const float* centroids, int64_t d, float* across) {
  for (int k = 0; k < kCentroids; k++)
    for (int64_t j = 0; j < d; j++) across[j * kCentroids + k] = centroids[k * d + j];
}

class Means {
 public:
  Means() : random_(1234) {}

  // Learns the centroids of one part: numbers [from, from + d) of each row.
  void learn(const float* matrix, int64_t R, int64_t D, int64_t from, int64_t d, int threads, float* centroids) {
    const int64_t n = std::min(R, kMostPoints);
    if (order_.empty()) {
      order_.resize(R);
      std::iota(order_.begin(), order_.end(), 0);
    }
    if (n != R) std::shuffle(order_.begin(), order_.end(), random_);
    std::vector<float> points(n * d), across(kCentroids * d);
    for (int64_t i = 0; i < n; i++) std::copy_n(matrix + order_[i] * D + from, d, points.data() + i * d);
    std::vector<int32_t> drawn(n);
    std::iota(drawn.begin(), drawn.end(), 0);
    std::shuffle(drawn.begin(), drawn.end(), random_);
    for (int k = 0; k < kCentroids; k++) std::copy_n(points.data() + drawn[k] * d, d, centroids + k * d);
    std::vector<uint8_t> codes(n);
    for (int round = 0; round < kRounds; round++) {
      lay_across(centroids, d, across.data());
      parallel(threads, [&](int thread) {
        find_nearest(points.data(), d, n * thread / threads, n * (thread + 1) / threads, d, across.data(),
                     codes.data(), 1);
      });
      take_means(points.data(), n, d, codes.data(), centroids);
    }
  }

 private:
  void take_means(const float* points, int64_t n, int64_t d, const uint8_t* codes, float* centroids) {
    int64_t sizes[kCentroids] = {};
    std::fill_n(centroids, kCentroids * d, 0.0f);
    for (int64_t i = 0; i < n; i++, sizes[codes[i - 1]]++)
      for (int64_t j = 0; j < d; j++) centroids[codes[i] * d + j] += points[i * d + j];
    for (int k = 0; k < kCentroids; k++)
      for (int64_t j = 0; j < d && sizes[k] != 0; j++) centroids[k * d + j] /= static_cast<float>(sizes[k]);
    std::uniform_real_distribution<> unit(0, 1);
    for (int k = 0; k < kCentroids; k++) {
      if (sizes[k] != 0) continue;
      // An empty one takes half of another, which is drawn by its size.
      int m = 0;
      while (unit(random_) * static_cast<double>(n - kCentroids) >= static_cast<double>(sizes[m] - 1))
        m = (m + 1) % kCentroids;
      for (int64_t j = 0; j < d; j++) {
        const float nudge = (j % 2 ? 1 : -1) * kNudge;
        centroids[k * d + j] = centroids[m * d + j] + nudge;
        centroids[m * d + j] -= nudge;
      }
      sizes[k] = sizes[m] / 2;
      sizes[m] -= sizes[k];
    }
  }

  std::minstd_rand random_;
  std::vector<int32_t> order_;
};

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// Centroids (256 * D,) and codes (R, M) of a matrix (R, D), in parts of `dsub` numbers, the last of what is left. R is
// 256 or more: -1 comes back otherwise, or if a number is not finite.
RUBRICA_API int64_t rubrica_fasttext_quantize(int threads, int64_t R, int64_t D, int64_t dsub, int64_t M,
                                              const float* matrix, float* centroids, uint8_t* codes) try {
  if (R < kCentroids || dsub < 1 || M != (D + dsub - 1) / dsub) return -1;
  for (int64_t i = 0; i < R * D; i++)
    if (!std::isfinite(matrix[i])) return -1;
  Means means;
  for (int64_t part = 0; part < M; part++) {
    const int64_t from = part * dsub, d = std::min(dsub, D - from);
    float* mine = centroids + from * kCentroids;
    means.learn(matrix, R, D, from, d, threads, mine);
    std::vector<float> across(kCentroids * d);
    lay_across(mine, d, across.data());
    parallel(threads, [&](int thread) {
      find_nearest(matrix + from, D, R * thread / threads, R * (thread + 1) / threads, d, across.data(), codes + part,
                   M);
    });
  }
  return 0;
} RUBRICA_CATCH
