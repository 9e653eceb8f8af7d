// What fastText's training starts from: the rows of each word, random numbers, the tree of the classes, and the table
// that negatives are drawn from.
#include "fasttext_lines.h"

using namespace rubrica;
using namespace rubrica::fasttext;

// Where the input rows of U tokens start, `starts` (U + 1,), and the rows, if there is room for them: a word has its
// own row and the rows of its runs of characters, a rare word the latter alone, a label none. Returns how many.
RUBRICA_API int64_t rubrica_fasttext_token_rows(int64_t U, int64_t V, int64_t L, int64_t K, int64_t min_n,
                                                int64_t max_n, int64_t buckets, int64_t P, const uint8_t* bytes,
                                                const int64_t* ends, const int32_t* kept, const int32_t* kept_rows,
                                                int64_t* starts, int32_t* rows) try {
  const HashedRows hashed{V, Buckets(static_cast<uint64_t>(buckets)), kept == nullptr ? -1 : P, kept, kept_rows};
  std::vector<uint8_t> marked;
  int64_t used = 0;
  const auto put = [&](int32_t row) {
    if (rows != nullptr) rows[used] = row;
    used++;
  };
  starts[0] = 0;
  for (int64_t token = 0; token < U; token++) {
    const int64_t first = token ? ends[token - 1] : 0, size = ends[token] - first;
    if (token < V) put(static_cast<int32_t>(token));
    const bool is_end = size == 4 && std::memcmp(bytes + first, "</s>", 4) == 0;
    if (max_n > 0 && !is_end && (token < V || (token >= V + L && token < K))) {
      marked.assign(1, '<');
      marked.insert(marked.end(), bytes + first, bytes + first + size);
      marked.push_back('>');
      each_run(marked.data(), static_cast<int64_t>(marked.size()), static_cast<int>(min_n), static_cast<int>(max_n),
               [&](uint32_t hash, int64_t, int64_t) { hashed.find(hash, put); });
    }
    starts[token + 1] = used;
  }
  return used;
} RUBRICA_CATCH

// Numbers from U(-bound, bound), the same for any number of threads.
RUBRICA_API int64_t rubrica_fasttext_uniform(int threads, int64_t count, int64_t seed, double bound,
                                             float* numbers) try {
  typedef uint32_t vu __attribute__((vector_size(kLanes * sizeof(float))));
  constexpr int64_t kStretch = 1 << 16;  // numbers of one sequence
  const int64_t stretches = (count + kStretch - 1) / kStretch;
  vu lanes;
  for (int i = 0; i < kLanes; i++) lanes[i] = static_cast<uint32_t>(i);
  parallel(threads, [&](int thread) {
    for (int64_t s = stretches * thread / threads; s < stretches * (thread + 1) / threads; s++) {
      const uint64_t key = Draw::mix(Draw::mix(static_cast<uint64_t>(seed)) + static_cast<uint64_t>(s));
      const auto low = static_cast<uint32_t>(key), high = static_cast<uint32_t>(key >> 32);
      float* out = numbers + s * kStretch;
      const int64_t size = std::min(kStretch, count - s * kStretch);
      for (int64_t i = 0; i < size; i += kLanes) {
        vu x = (lanes + static_cast<uint32_t>(i)) ^ low;  // mixed as in MurmurHash3, twice
        x ^= x >> 16, x *= 0x85EBCA6Bu, x ^= x >> 13, x *= 0xC2B2AE35u, x ^= x >> 16, x ^= high;
        x ^= x >> 16, x *= 0x85EBCA6Bu, x ^= x >> 13, x *= 0xC2B2AE35u, x ^= x >> 16;
        const vi whole = reinterpret_cast<vi>(x >> 8) - (1 << 23);
        const vf y = __builtin_convertvector(whole, vf) * static_cast<float>(bound / (1 << 23));
        if (i + kLanes <= size) store(out + i, y);
        else std::memcpy(out + i, &y, static_cast<size_t>(size - i) * sizeof(float));
      }
    }
  });
  return 0;
} RUBRICA_CATCH

// The paths from C leaves to the root of the Huffman tree that fastText makes of the counts, which it takes to fall:
// `starts` (C + 1,), and if there is room for them the nodes, each as its complement where the path is the first of the
// two that meet there. Returns how many nodes the paths have.
RUBRICA_API int64_t rubrica_fasttext_tree(int64_t C, const int64_t* counts, int64_t* starts, int32_t* paths) try {
  constexpr int64_t kUnmade = 1000000000000000;  // the count of a node that is not made yet
  const int64_t nodes = std::max<int64_t>(2 * C - 1, 0);
  std::vector<int64_t> sums(nodes, kUnmade);
  std::vector<int32_t> above(nodes, -1);
  std::vector<uint8_t> second(nodes, 0);
  std::copy_n(counts, C, sums.begin());
  int64_t leaf = C - 1, node = C;
  for (int64_t made = C; made < nodes; made++) {
    sums[made] = 0;
    int64_t sum = 0;
    for (int side = 0; side < 2; side++) {
      // A node that is not made has no place among the smallest, whatever the counts are.
      const bool takes_leaf = leaf >= 0 && (node >= made || counts[leaf] < sums[node]);
      const int64_t least = takes_leaf ? leaf-- : node++;
      above[least] = static_cast<int32_t>(made);
      second[least] = side == 1;
      sum += sums[least];
    }
    sums[made] = sum;
  }
  int64_t used = 0;
  starts[0] = 0;
  for (int64_t c = 0; c < C; c++) {
    for (int64_t at = c; above[at] >= 0; at = above[at], used++) {
      const auto inner = static_cast<int32_t>(above[at] - C);
      if (paths != nullptr) paths[used] = second[at] ? inner : ~inner;
    }
    starts[c + 1] = used;
  }
  return used;
} RUBRICA_CATCH

// Walker's alias table of C weights: place i is drawn evenly, and stays with the share shares[i], else aliases[i] is
// taken.
RUBRICA_API int64_t rubrica_fasttext_aliases(int64_t C, const double* weights, float* shares, int32_t* aliases) try {
  double total = 0;
  for (int64_t i = 0; i < C; i++) total += weights[i];
  std::vector<double> parts(C);
  std::vector<int32_t> low, high;
  for (int64_t i = 0; i < C; i++) {
    parts[i] = weights[i] / total * static_cast<double>(C);
    (parts[i] < 1 ? low : high).push_back(static_cast<int32_t>(i));
    shares[i] = 1;
    aliases[i] = static_cast<int32_t>(i);
  }
  while (!low.empty() && !high.empty()) {
    const int32_t poor = low.back(), rich = high.back();
    low.pop_back();
    shares[poor] = static_cast<float>(parts[poor]);
    aliases[poor] = rich;
    if ((parts[rich] -= 1 - parts[poor]) < 1) high.pop_back(), low.push_back(rich);
  }
  return 0;
} RUBRICA_CATCH
