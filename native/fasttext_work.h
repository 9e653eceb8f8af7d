// How the work of fastText's training is shared among threads: whose row is whose, and what each thread works with.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "fasttext_rows.h"

namespace rubrica::fasttext {

// Whose row is whose. Rows go in pairs, since two neighbours share a line of the cache; pairs go back and forth among
// the threads, since words are sorted: 0 1 2 2 1 0 0 1 2.
class Owners {
 public:
  explicit Owners(int threads) : threads_(threads), inverse_((uint64_t{1} << 32) / threads + 1) {}
  uint32_t of(int32_t row) const {
    const auto pair = static_cast<uint32_t>(row >> 1 & 0xFFFF);
    const auto turn = static_cast<uint32_t>(pair * inverse_ >> 32), place = pair - turn * threads_;
    return turn & 1 ? threads_ - 1 - place : place;
  }
  // Copies the rows of one thread to `out`, which has room for all. Returns their end.
  int32_t* filter(const int32_t* rows, int64_t count, uint32_t thread, int32_t* out) const {
    if (threads_ == 1) return std::copy_n(rows, count, out);
    for (int64_t k = 0; k < count; k++) {
      *out = rows[k];  // whatever is written behind the last one of ours is written over
      out += of(rows[k]) == thread;
    }
    return out;
  }

 private:
  uint32_t threads_;
  uint64_t inverse_;
};

// What a thread tells the others about its classes.
struct alignas(64) Sums {
  float most, sum, target;
};

// What a thread works with.
struct Worker {
  std::vector<int32_t> rows, outputs, classes;  // its own rows of a batch, and outputs of one example
  std::vector<int64_t> ends;
  std::vector<float> wanted, scores, head;
  Buffer h, step;
  int side = 0, turn = 0;  // which of two buffers is in use
  double loss = 0, product = 1;
  int64_t asked = 0;
  Worker(const Columns& columns, int64_t batch_size)
      : ends(batch_size + 1), h(columns.size, 0.0f), step(columns.size, 0.0f) {}
  // Adds -log of a probability; a logarithm is taken once for many.
  void lose(float probability) {
    product *= std::max(probability, 1e-10f);
    if (product < 1e-280) loss -= std::log(product), product = 1;
  }
};

}  // namespace rubrica::fasttext
