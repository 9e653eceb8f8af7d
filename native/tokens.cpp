// Words to ids by a hash table, and words counted as they are met.
//
// A word of up to eight bytes is its own key, compared in one instruction; a longer one is hashed and then compared.
#include "tokens.h"

namespace rubrica {
namespace {

// Words to ids by open addressing. A slot that no word has is of size 0, which no token is.
struct Slot {
  uint64_t key;
  int32_t id;
  uint32_t size;
};
static_assert(sizeof(Slot) == 16, "text/tokens.py allots 16 bytes a slot");

struct Table {
  Slot* slots;
  int64_t count;  // a power of two
  const uint8_t* words;
  const int64_t* starts;  // of each id's word among `words`

  int64_t place(const Token& token) const {
    uint64_t hash = (token.key ^ token.size) * kMix;
    hash ^= hash >> 32;
    return static_cast<int64_t>(hash & (count - 1));
  }
  // The slot of a word, or the free one where it would stand.
  Slot* find(const Token& token) const {
    for (int64_t i = place(token);; i = (i + 1) & (count - 1)) {
      Slot* slot = slots + i;
      if (slot->size == 0) return slot;
      if (slot->key != token.key || slot->size != token.size) continue;
      if (token.size <= kShort || std::memcmp(words + starts[slot->id], token.bytes, token.size) == 0) return slot;
    }
  }
};

// Words as they are met, with how often, and the ids of texts by them.
class Counter {
 public:
  Counter() : slots_(1 << 12), offsets_{0} {}

  std::vector<int32_t> ids;

  // Returns the word's place.
  int32_t add(const Token& token, int64_t count = 1) {
    Slot* slot = table().find(token);
    int32_t place = slot->id;
    if (slot->size == 0) {
      place = static_cast<int32_t>(counts_.size());
      *slot = {token.key, place, token.size};
      if (token.size <= kShort)  // its bytes may be those of the text, with capitals; its key is what it is
        for (uint32_t i = 0; i < token.size; i++) words_.push_back(static_cast<char>(token.key >> (8 * i)));
      else
        words_.append(reinterpret_cast<const char*>(token.bytes), token.size);
      offsets_.push_back(static_cast<int64_t>(words_.size()));
      counts_.push_back(count);
      if (2 * counts_.size() > slots_.size()) grow();
    } else {
      counts_[place] += count;
    }
    return place;
  }

  // What another met after these texts.
  void add(const Counter& other) {
    std::vector<int32_t> places(other.counts_.size());
    for (size_t i = 0; i < places.size(); i++) places[i] = add(other.word(i), other.counts_[i]);
    ids.reserve(ids.size() + other.ids.size());
    for (int32_t id : other.ids) ids.push_back(places[id]);
  }

  const std::string& words() const { return words_; }
  const std::vector<int64_t>& offsets() const { return offsets_; }
  const std::vector<int64_t>& counts() const { return counts_; }

 private:
  Token word(size_t i) const {
    return make_token(reinterpret_cast<const uint8_t*>(words_.data()) + offsets_[i],
                      static_cast<uint32_t>(offsets_[i + 1] - offsets_[i]));
  }
  Table table() {
    return {slots_.data(), static_cast<int64_t>(slots_.size()), reinterpret_cast<const uint8_t*>(words_.data()),
            offsets_.data()};
  }
  void grow() {
    slots_.assign(2 * slots_.size(), Slot{});
    for (size_t i = 0; i < counts_.size(); i++) {
      const Token token = word(i);
      *table().find(token) = {token.key, static_cast<int32_t>(i), token.size};
    }
  }

  std::vector<Slot> slots_;
  std::string words_;
  std::vector<int64_t> offsets_, counts_;
};

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// Fills `slots` (num_slots, zeros, a power of two above V) with V words; of equal words the last one's id stays.
// Word i is bytes [starts[i], ends[i]) of `words`.
RUBRICA_API int64_t rubrica_index_words(int64_t V, const uint8_t* words, const int64_t* starts, const int64_t* ends,
                                        int64_t num_slots, void* slots) try {
  const Table table{static_cast<Slot*>(slots), num_slots, words, starts};
  for (int64_t id = 0; id < V; id++) {
    const auto size = static_cast<uint32_t>(ends[id] - starts[id]);
    if (size == 0) continue;  // no token is empty
    const Token token = make_token(words + starts[id], size);
    *table.find(token) = {token.key, static_cast<int32_t>(id), size};
  }
  return 0;
} RUBRICA_CATCH

// Ids of the first `max_length` tokens of N texts; text i is bytes [starts[i], ends[i]) of `texts`. `ids` has room
// for the sum of min(max_length, bytes) over the texts; `offsets` (N + 1,) comes back. Returns the number of ids.
RUBRICA_API int64_t rubrica_encode(int threads, int lowercase, int64_t max_length, int32_t unknown_id, int64_t N,
                                   const uint8_t* texts, const int64_t* starts, const int64_t* ends,
                                   const uint8_t* kinds, const int32_t* lower, int64_t num_kinds, int64_t num_slots,
                                   const void* slots, const uint8_t* words, const int64_t* word_starts, int32_t* ids,
                                   int64_t* offsets) try {
  const Unicode unicode{kinds, lower, num_kinds};
  const Table table{static_cast<Slot*>(const_cast<void*>(slots)), num_slots, words, word_starts};
  // Each thread writes its texts' ids where they lie if all texts before them are as long as they can be.
  std::vector<int64_t> room(threads + 1, 0), used(threads, 0);
  for (int thread = 0; thread < threads; thread++) {
    room[thread + 1] = room[thread];
    for (int64_t i = N * thread / threads; i < N * (thread + 1) / threads; i++)
      room[thread + 1] += std::min(max_length, ends[i] - starts[i]);
  }
  parallel(threads, [&](int thread) {
    std::string scratch;
    const uint8_t* limit = texts + (N ? ends[N - 1] : 0);
    int32_t* out = ids + room[thread];
    for (int64_t i = N * thread / threads; i < N * (thread + 1) / threads; i++) {
      int64_t length = 0;
      if (max_length > 0)
        each_token(texts + starts[i], texts + ends[i], limit, lowercase, unicode, scratch, [&](const Token& token) {
          const Slot* slot = table.find(token);
          out[length++] = slot->size ? slot->id : unknown_id;
          return length < max_length;
        });
      out += length;
      offsets[i + 1] = length;
    }
    used[thread] = out - (ids + room[thread]);
  });
  int64_t total = 0;
  for (int thread = 0; thread < threads; thread++) {
    std::memmove(ids + total, ids + room[thread], used[thread] * sizeof(int32_t));
    total += used[thread];
  }
  offsets[0] = 0;
  for (int64_t i = 0; i < N; i++) offsets[i + 1] += offsets[i];
  return total;
} RUBRICA_CATCH

// A counter of words, to be ended by `rubrica_counter_end`.
RUBRICA_API int64_t rubrica_counter_start() try { return reinterpret_cast<int64_t>(new Counter); } RUBRICA_CATCH

RUBRICA_API int64_t rubrica_counter_end(void* counter) try {
  delete static_cast<Counter*>(counter);
  return 0;
} RUBRICA_CATCH

// Counts the words of N more texts and numbers them as they are met. `offsets` (N + 1,) says where each text's ids
// start, of which there is one for each of its first `max_length` tokens. Returns how many ids wait to be taken.
RUBRICA_API int64_t rubrica_counter_add(void* counter, int threads, int lowercase, int64_t max_length, int64_t N,
                                        const uint8_t* texts, const int64_t* starts, const int64_t* ends,
                                        const uint8_t* kinds, const int32_t* lower, int64_t num_kinds,
                                        int64_t* offsets) try {
  const Unicode unicode{kinds, lower, num_kinds};
  Counter& all = *static_cast<Counter*>(counter);
  std::vector<Counter> others(threads - 1);
  parallel(threads, [&](int thread) {
    std::string scratch;
    const uint8_t* limit = texts + (N ? ends[N - 1] : 0);
    Counter& mine = thread ? others[thread - 1] : all;
    // A vector that grows touches every page twice; room that is not used is never touched.
    const int64_t first = N * thread / threads, last = N * (thread + 1) / threads;
    if (first < last) mine.ids.reserve(mine.ids.size() + (ends[last - 1] - starts[first]) / 4);
    for (int64_t i = first; i < last; i++) {
      int64_t length = 0;
      each_token(texts + starts[i], texts + ends[i], limit, lowercase, unicode, scratch, [&](const Token& token) {
        const int32_t place = mine.add(token);
        if (length < max_length) {
          mine.ids.push_back(place);
          length++;
        }
        return true;
      });
      offsets[i + 1] = length;
    }
  });
  for (const Counter& other : others) all.add(other);  // in the order of the texts, as first met
  offsets[0] = 0;
  for (int64_t i = 0; i < N; i++) offsets[i + 1] += offsets[i];
  return static_cast<int64_t>(all.ids.size());
} RUBRICA_CATCH

// Takes the ids out, and says how many words there are and how many bytes they have, `sizes` (2,).
RUBRICA_API int64_t rubrica_counter_ids(void* counter, int32_t* ids, int64_t* sizes) try {
  Counter& all = *static_cast<Counter*>(counter);
  std::copy(all.ids.begin(), all.ids.end(), ids);
  all.ids.clear();
  sizes[0] = static_cast<int64_t>(all.counts().size());
  sizes[1] = static_cast<int64_t>(all.words().size());
  return 0;
} RUBRICA_CATCH

// The words in the order in which they were first met, where each starts, and how often it was.
RUBRICA_API int64_t rubrica_counter_words(void* counter, uint8_t* words, int64_t* offsets, int64_t* counts) try {
  const Counter& all = *static_cast<Counter*>(counter);
  std::copy(all.words().begin(), all.words().end(), words);
  std::copy(all.offsets().begin(), all.offsets().end(), offsets);
  std::copy(all.counts().begin(), all.counts().end(), counts);
  return 0;
} RUBRICA_CATCH

// Where each of the N texts in `texts` starts and ends, which are set apart by zero bytes. Returns how many there
// are; if they are not N, a text holds a zero byte of its own, and what came back is nothing.
RUBRICA_API int64_t rubrica_split_texts(int64_t size, const uint8_t* texts, int64_t N, int64_t* starts,
                                        int64_t* ends) try {
  int64_t count = 0;
  for (const uint8_t *p = texts, *end = texts + size;; count++) {
    const auto* stop = static_cast<const uint8_t*>(std::memchr(p, 0, end - p));
    if (count < N) {
      starts[count] = p - texts;
      ends[count] = (stop ? stop : end) - texts;
    }
    if (stop == nullptr) return count + 1;
    p = stop + 1;
  }
} RUBRICA_CATCH
