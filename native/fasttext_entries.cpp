// The words and labels of a fastText file, taken apart; see kernels/entries.py.
#include "common.h"

namespace rubrica {
namespace {

constexpr int64_t kRest = 1 + 8 + 1;  // the zero byte that ends a name, a count, a type

}  // namespace

// N entries from the first of `size` bytes on. Says how many bytes they are, or -1 where the last one is not whole.
// Writes the names one after the other, where each ends, its count and its type; or nothing, where there is no room.
RUBRICA_API int64_t rubrica_fasttext_entries(int64_t size, const uint8_t* file, int64_t N, uint8_t* names,
                                             int64_t* ends, int64_t* counts, uint8_t* types) try {
  int64_t place = 0, total = 0;
  for (int64_t i = 0; i < N; i++) {
    const void* zero = place < size ? std::memchr(file + place, 0, static_cast<size_t>(size - place)) : nullptr;
    if (zero == nullptr) return -1;
    const int64_t length = static_cast<const uint8_t*>(zero) - (file + place);
    if (size - place - length < kRest) return -1;
    if (ends != nullptr) {
      if (length > 0) std::memcpy(names + total, file + place, static_cast<size_t>(length));
      total += length;
      ends[i] = total;
      std::memcpy(counts + i, file + place + length + 1, 8);
      types[i] = file[place + length + 9];
    }
    place += length + kRest;
  }
  return place;
}
RUBRICA_CATCH

}  // namespace rubrica
