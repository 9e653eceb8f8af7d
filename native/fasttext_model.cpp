// A fastText model is opened, gives vectors, and says how it reads a line; see fasttext_model.h and kernels/fasttext.py.
#include "fasttext_rounding.h"  // first: it rules what follows

#include "fasttext_model.h"

#include <cmath>

namespace rubrica::fasttext {
namespace {

constexpr int64_t kBucketsAKept = 512;      // with more buckets for each that was kept, a search is better than 64 bytes

// sum[0 ... VECTORS * 8) += the rows' numbers there; the last vector starts at `last`, so that D need be no multiple
// of 8. What two vectors share is the same number in both.
template <int VECTORS>
void add_block(const uint8_t* numbers, int64_t D, const int32_t* rows, int64_t count, int64_t first, int64_t last,
               float* sum) {
  v8_in sums[VECTORS];
#pragma GCC unroll 8
  for (int v = 0; v < VECTORS; v++)
    sums[v] = *reinterpret_cast<const v8*>(sum + (v + 1 < VECTORS ? first + 8 * v : last));
  for (int64_t i = 0; i < count; i++) {
    const uint8_t* row = numbers + rows[i] * D * 4;
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++)
      sums[v] += *reinterpret_cast<const v8*>(row + (v + 1 < VECTORS ? first + 8 * v : last) * 4);
  }
#pragma GCC unroll 8
  for (int v = 0; v < VECTORS; v++) *reinterpret_cast<v8*>(sum + (v + 1 < VECTORS ? first + 8 * v : last)) = sums[v];
}

void add_rows(const uint8_t* numbers, int64_t D, const int32_t* rows, int64_t count, float* sum) {
  if (D < 8) {
    for (int64_t i = 0; i < count; i++)
      for (int64_t j = 0; j < D; j++) sum[j] += number(numbers, rows[i] * D + j);
    return;
  }
  constexpr int kMost = 6;  // vectors whose sums stay in registers
  const int64_t vectors = (D + 7) / 8;
  int64_t here = 0;
  for (int64_t v = 0; v < vectors; v += here) {
    // The last vector shares numbers with the one before it, so both belong to one block.
    here = vectors - v == kMost + 1 ? kMost - 1 : std::min<int64_t>(kMost, vectors - v);
    const int64_t first = v * 8;
    const int64_t last = v + here == vectors ? D - 8 : first + (here - 1) * 8;
    switch (here) {
      case 1: add_block<1>(numbers, D, rows, count, first, last, sum); break;
      case 2: add_block<2>(numbers, D, rows, count, first, last, sum); break;
      case 3: add_block<3>(numbers, D, rows, count, first, last, sum); break;
      case 4: add_block<4>(numbers, D, rows, count, first, last, sum); break;
      case 5: add_block<5>(numbers, D, rows, count, first, last, sum); break;
      default: add_block<6>(numbers, D, rows, count, first, last, sum);
    }
  }
}

// A quantised or float32 matrix of an open model; `centroids` has 256 * D numbers, `norms` 256.
void open_matrix(Matrix& found, int64_t D, int64_t dsub, const float* weight, const uint8_t* codes,
                 const float* centroids, const uint8_t* norm_codes, const float* norms) {
  found.D = D, found.dsub = dsub;
  found.weight = reinterpret_cast<const uint8_t*>(weight);
  if (weight != nullptr || codes == nullptr || centroids == nullptr || dsub == 0) return;
  found.codes = codes, found.norm_codes = norms != nullptr ? norm_codes : nullptr;
  found.parts = (D + dsub - 1) / dsub;
  found.centroids.resize(static_cast<size_t>(256 * D));
  std::memcpy(found.centroids.data(), centroids, static_cast<size_t>(256 * D) * sizeof(float));
  if (found.norm_codes != nullptr) {
    found.norms.resize(256);
    std::memcpy(found.norms.data(), norms, 256 * sizeof(float));
  }
}

size_t power_above(int64_t count) {
  size_t size = 2;
  while (size < static_cast<size_t>(count)) size *= 2;
  return size;
}

void index_names(Model& model, const int64_t* ends) {
  const int64_t count = model.V + model.L;
  model.slots.assign(power_above(count + count / 2), Slot{0, -1, 0, 0});
  const size_t mask = model.slots.size() - 1;
  for (int64_t i = 0; i < count; i++) {
    const int64_t start = i > 0 ? ends[i - 1] : 0, size = ends[i] - start;
    const uint32_t hash = hash_of(model.names + start, size);
    size_t place = hash & mask;
    for (; model.slots[place].id >= 0; place = (place + 1) & mask) {  // of equal words the last counts, as there
      const Slot& slot = model.slots[place];
      if (slot.hash == hash && slot.size == size &&
          std::memcmp(model.names + slot.start, model.names + start, static_cast<size_t>(size)) == 0)
        break;
    }
    model.slots[place] = {hash, static_cast<int32_t>(i), static_cast<uint32_t>(start), static_cast<uint32_t>(size)};
  }
}

void index_kept(Kept& kept, int64_t num_buckets, int64_t P, const int32_t* buckets, const int32_t* rows) {
  kept.buckets = buckets, kept.rows = rows, kept.P = P;
  kept.below = std::lower_bound(buckets, buckets + P, 0) - buckets;
  if (num_buckets / kBucketsAKept > P) return;
  kept.bits.assign(static_cast<size_t>(num_buckets / 64 + 1), 0);
  for (int64_t i = kept.below; i < P && buckets[i] < num_buckets; i++)
    kept.bits[static_cast<size_t>(buckets[i] / 64)] |= uint64_t{1} << buckets[i] % 64;
  uint32_t rank = 0;
  kept.ranks.reserve(kept.bits.size());
  for (const uint64_t word : kept.bits) {
    kept.ranks.push_back(rank);
    rank += static_cast<uint32_t>(__builtin_popcountll(word));
  }
}

void word_vector(const Model& model, const uint8_t* word, int64_t size, Scratch& scratch, float* vector) {
  Sum sum(model, scratch, vector);
  model.each_row_of_word(word, size, scratch, [&](int32_t row) { sum(row); });
  sum.mean();
}

// Of a model of word vectors: the mean of the words' vectors, each of length 1. Zero is no white space here.
void mean_of_words(const Model& model, const uint8_t* text, int64_t size, Scratch& scratch, float* vector) {
  const int64_t D = model.input.D;
  std::memset(vector, 0, static_cast<size_t>(D) * sizeof(float));
  scratch.word.resize(static_cast<size_t>(D));
  float* word = scratch.word.data();
  int64_t count = 0;
  const auto is_gap = [](uint8_t byte) { return byte != 0 && is_space(byte); };
  for (const uint8_t *p = text, *end = text + size;;) {
    while (p < end && is_gap(*p)) p++;
    if (p == end) break;
    const uint8_t* start = p;
    while (p < end && !is_gap(*p)) p++;
    word_vector(model, start, p - start, scratch, word);
    float square = 0;
    for (int64_t j = 0; j < D; j++) square += word[j] * word[j];
    const float norm = std::sqrt(square);
    if (!(norm > 0)) continue;
    const float share = static_cast<float>(1.0 / norm);
    for (int64_t j = 0; j < D; j++) word[j] *= share;  // rounded before it is added, as there
    for (int64_t j = 0; j < D; j++) vector[j] += word[j];
    count++;
  }
  const float share = static_cast<float>(1.0 / static_cast<double>(count));
  if (count > 0)
    for (int64_t j = 0; j < D; j++) vector[j] *= share;
}

}  // namespace

void Matrix::add(float* sum, const int32_t* which, int64_t count) const {
  if (rows() != nullptr) return add_rows(rows(), D, which, count, sum);
  for (int64_t i = 0; i < count; i++)
    each_part(which[i], [&, norm = norm_of(which[i])](int64_t first, int64_t width, const float* numbers) {
      for (int64_t j = 0; j < width; j++) sum[first + j] += norm * numbers[j];
    });
}

}  // namespace rubrica::fasttext

using namespace rubrica;
using namespace rubrica::fasttext;

// A model around these arrays, which must outlive it; to be closed by `rubrica_fasttext_close`. The caller has checked
// that ends rise to S, below 2^32, that each kept row and, where runs are hashed, each bucket is a row of the input,
// and that labels have counts of which fastText makes a tree.
RUBRICA_API int64_t rubrica_fasttext_open(
    int64_t min_n, int64_t max_n, int64_t longest, int64_t buckets, int loss, int64_t supervised, int64_t pruned,
    int64_t prefix_size, const uint8_t* prefix, int64_t V, int64_t L, int64_t S, const uint8_t* names,
    const int64_t* ends, const int64_t* counts, int64_t P, const int32_t* kept_buckets, const int32_t* kept_rows,
    int64_t R, int64_t O, int64_t D, int64_t input_parts, int64_t input_dsub, const float* input,
    const uint8_t* input_codes, const float* input_centroids, const uint8_t* input_norm_codes,
    const float* input_norms, int64_t output_parts, int64_t output_dsub, const float* output,
    const uint8_t* output_codes, const float* output_centroids, const uint8_t* output_norm_codes,
    const float* output_norms) try {
  (void)S, (void)input_parts, (void)output_parts;  // sizes of arrays, checked at the border
  auto model = std::make_unique<Model>();
  model->min_n = static_cast<int>(min_n), model->max_n = static_cast<int>(max_n);
  model->word_ngrams = longest, model->V = V, model->L = L, model->R = R, model->O = O;
  model->loss = static_cast<Loss>(loss), model->supervised = supervised != 0, model->pruned = pruned != 0;
  model->hashes = (max_n > 0 || longest > 1) && buckets > 0 && !(pruned != 0 && P == 0);
  if (buckets > 0) model->buckets = Divider(static_cast<uint64_t>(buckets));
  model->prefix.assign(reinterpret_cast<const char*>(prefix), static_cast<size_t>(prefix_size));
  model->names = names;
  index_names(*model, ends);
  index_kept(model->kept, buckets, P, kept_buckets, kept_rows);
  open_matrix(model->input, D, input_dsub, input, input_codes, input_centroids, input_norm_codes, input_norms);
  open_matrix(model->output, D, output_dsub, output, output_codes, output_centroids, output_norm_codes, output_norms);
  if (supervised != 0) prepare_scores(*model, counts + V);
  return reinterpret_cast<int64_t>(model.release());
} RUBRICA_CATCH

RUBRICA_API int64_t rubrica_fasttext_close(void* handle) try {
  delete static_cast<Model*>(handle);
  return 0;
} RUBRICA_CATCH

// The vectors (N, D) of texts, or of words by themselves.
RUBRICA_API int64_t rubrica_fasttext_vectors(void* handle, int threads, int64_t words, int64_t N, int64_t size,
                                             const uint8_t* texts, const int64_t* starts, const int64_t* ends,
                                             int64_t D, float* vectors) try {
  const Model& model = *static_cast<const Model*>(handle);
  if (D != model.input.D) return -1;
  return for_texts(model, threads, N, size, starts, ends, [&](int64_t i, Scratch& scratch) {
    const uint8_t* text = texts + starts[i];
    float* vector = vectors + i * D;
    if (words != 0) return word_vector(model, text, ends[i] - starts[i], scratch, vector);
    if (!model.supervised) return mean_of_words(model, text, ends[i] - starts[i], scratch, vector);
    mean_of(model, text, ends[i] - starts[i], scratch);
    std::memcpy(vector, scratch.mean.data(), static_cast<size_t>(D) * sizeof(float));
  });
} RUBRICA_CATCH

// Finds the rows of a text, or of one word, and the labels in it. `found` gets how many there are; at most `most` rows
// and `most_labels` labels are written.
RUBRICA_API int64_t rubrica_fasttext_rows(void* handle, int64_t words, int64_t size, const uint8_t* text, int64_t most,
                                          int32_t* rows, int64_t most_labels, int32_t* labels, int64_t* found) try {
  const Model& model = *static_cast<const Model*>(handle);
  Scratch scratch;
  int64_t count = 0;
  const auto put = [&](int32_t row) {
    if (count < most) rows[count] = row;
    count++;
  };
  words != 0 ? model.each_row_of_word(text, size, scratch, put) : model.each_row(text, size, scratch, put);
  *found = static_cast<int64_t>(scratch.labels.size());
  for (int64_t i = 0; i < std::min(*found, most_labels); i++) labels[i] = scratch.labels[static_cast<size_t>(i)];
  return count;
} RUBRICA_CATCH

// The number of each of N words in the dictionary, labels counted from V on; -1 of a word that is not there.
RUBRICA_API int64_t rubrica_fasttext_find(void* handle, int64_t N, int64_t size, const uint8_t* words,
                                          const int64_t* starts, const int64_t* ends, int32_t* ids) try {
  const Model& model = *static_cast<const Model*>(handle);
  for (int64_t i = 0; i < N; i++) {
    if (!is_within(starts[i], ends[i], size)) return -1;
    const int64_t length = ends[i] - starts[i];
    ids[i] = model.find(words + starts[i], length, hash_of(words + starts[i], length));
  }
  return 0;
} RUBRICA_CATCH
