// The words of a text that fastText learns from: counted, sorted, numbered, and every line in numbers.
//
// The rules are fastText's (src/dictionary.cc: readWord, add, threshold, getLine). Two things differ. Its sort is not
// stable, so words of equal count come in any order there; here the one that appears first comes first. And it reads
// the file again in every epoch; here every token is looked up once.
#include <memory>
#include <numeric>

#include "common.h"
#include "fasttext.h"

namespace rubrica {
namespace {

using fasttext::kHashStart;

constexpr uint8_t kEnd[] = {'<', '/', 's', '>'};  // the word at the end of each line
constexpr uint32_t kShort = 8;                    // bytes that a slot holds itself

struct Spaces {
  bool of[256];
  constexpr Spaces() : of{} {
    for (int c = 0; c < 256; c++) of[c] = c == ' ' || (c >= '\t' && c <= '\r') || c == 0;
  }
};
constexpr Spaces kSpaces;

struct Token {
  const uint8_t* bytes;
  uint32_t size, hash;
  uint64_t key;  // the first bytes, zeros behind them; no token holds a zero
};

Token make_token(const uint8_t* bytes, uint32_t size, uint32_t hash) {
  uint64_t key = 0;
  std::memcpy(&key, bytes, std::min(size, kShort));
  return {bytes, size, hash, key};
}

const Token kEndToken = make_token(kEnd, 4, fasttext::hash_of(kEnd, 4));

struct Entry {
  int64_t start;  // of its bytes
  uint32_t size, hash;
  int64_t count, first;  // where it was met first
};

// Distinct tokens, numbered as they are met.
class Counter {
 public:
  Counter() : slots_(1024) {}
  // Returns the number of a token, which is met `count` times more.
  int32_t add(const Token& token, int64_t count, int64_t place) {
    if (2 * entries.size() >= slots_.size()) grow();
    for (size_t at = token.hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      Slot& slot = slots_[at];
      if (slot.number < 0) {
        if (entries.size() >= INT32_MAX) throw std::bad_alloc();
        slot = {token.key, token.hash, static_cast<int32_t>(entries.size())};
        entries.push_back({static_cast<int64_t>(bytes.size()), token.size, token.hash, count, place});
        bytes.insert(bytes.end(), token.bytes, token.bytes + token.size);
        return slot.number;
      }
      if (slot.hash != token.hash || slot.key != token.key) continue;
      Entry& entry = entries[slot.number];
      if (token.size > kShort || entry.size > kShort) {
        if (entry.size != token.size || std::memcmp(bytes.data() + entry.start, token.bytes, token.size) != 0) continue;
      }
      entry.count += count;
      entry.first = std::min(entry.first, place);
      return slot.number;
    }
  }
  std::vector<Entry> entries;
  std::vector<uint8_t> bytes;

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t hash = 0;
    int32_t number = -1;
  };
  void grow() {
    std::vector<Slot> wider(4 * slots_.size());
    for (const Slot& slot : slots_) {
      if (slot.number < 0) continue;
      size_t at = slot.hash & (wider.size() - 1);
      while (wider[at].number >= 0) at = (at + 1) & (wider.size() - 1);
      wider[at] = slot;
    }
    slots_.swap(wider);
  }
  std::vector<Slot> slots_;
};

// Lines in the numbers of one thread's counter.
struct Stretch {
  int thread;
  std::vector<int32_t> ids;
  std::vector<int64_t> ends;
};

// Hands each token of a text to `word`, and calls `line` where a line ends: behind "\n" if lines end so, and behind a
// token "</s>" of the text itself.
template <bool BY_LINE, typename Word, typename Line>
void each_token(const uint8_t* p, const uint8_t* end, Word word, Line line) {
  while (p < end) {
    if (kSpaces.of[*p]) {
      if (BY_LINE && *p == '\n') word(kEndToken, p), line();
      p++;
      continue;
    }
    const uint8_t* start = p;
    uint32_t hash = kHashStart;
    do hash = fasttext::add_byte(hash, *p++);
    while (p < end && !kSpaces.of[*p]);
    word(make_token(start, static_cast<uint32_t>(p - start), hash), start);
    if (p - start == 4 && std::memcmp(start, kEnd, 4) == 0) line();
  }
}

struct Words {
  explicit Words(int threads) : counters(threads) {}
  std::vector<Counter> counters;
  std::vector<Stretch> stretches;
  Counter all;
  int64_t num_known = 0;
  bool ordered = false;  // whether the known words keep their order
  // What `finish` decides: the tokens by their numbers, and each counter's numbers in them.
  std::vector<int32_t> order;
  std::vector<std::vector<int32_t>> numbers;
};

enum Group : uint8_t { kWord, kLabel, kRareWord, kRareLabel };

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// A counter of the words of lines, to be ended by `rubrica_fasttext_words_end`.
RUBRICA_API int64_t rubrica_fasttext_words_start(int threads) try {
  return reinterpret_cast<int64_t>(new Words(threads));
} RUBRICA_CATCH

RUBRICA_API int64_t rubrica_fasttext_words_end(void* handle) try {
  delete static_cast<Words*>(handle);
  return 0;
} RUBRICA_CATCH

// Words and labels that are never left out. If they are `ordered`, they keep their order and come before all others.
RUBRICA_API int64_t rubrica_fasttext_words_known(void* handle, int ordered, int64_t N, const uint8_t* data, const int64_t* starts,
                                                 const int64_t* ends) try {
  Words& words = *static_cast<Words*>(handle);
  for (int64_t i = 0; i < N; i++) {
    const uint8_t* bytes = data + starts[i];
    const auto size = static_cast<uint32_t>(ends[i] - starts[i]);
    words.all.add(make_token(bytes, size, fasttext::hash_of(bytes, size)), 0, -1);
  }
  words.ordered = ordered;
  return words.num_known = static_cast<int64_t>(words.all.entries.size());
} RUBRICA_CATCH

// Counts the lines of a file that begin in bytes [first, last) of it, each with a "</s>" where its "\n" is. Returns
// where the next line begins.
RUBRICA_API int64_t rubrica_fasttext_words_lines(void* handle, int64_t size, const uint8_t* data, int64_t first,
                                                 int64_t last) try {
  Words& words = *static_cast<Words*>(handle);
  const auto next_line = [&](int64_t place) {
    if (place <= first || place >= size) return std::min(std::max(place, first), size);
    const void* stop = std::memchr(data + place - 1, '\n', size - place + 1);
    return stop == nullptr ? size : static_cast<const uint8_t*>(stop) - data + 1;
  };
  const int threads = static_cast<int>(words.counters.size());
  const size_t before = words.stretches.size();
  words.stretches.resize(before + threads);
  const int64_t stop = next_line(std::min(last, size));
  parallel(threads, [&](int thread) {
    Counter& counter = words.counters[thread];
    Stretch& stretch = words.stretches[before + thread];
    stretch.thread = thread;
    const auto cut = [&](int part) { return part == threads ? stop : next_line(first + (last - first) * part / threads); };
    const int64_t from = std::min(cut(thread), stop), to = std::min(cut(thread + 1), stop);
    stretch.ids.reserve((to - from) / 4);
    each_token<true>(
        data + from, data + to,
        [&](const Token& token, const uint8_t* place) { stretch.ids.push_back(counter.add(token, 1, place - data)); },
        [&] { stretch.ends.push_back(static_cast<int64_t>(stretch.ids.size())); });
    const auto used = static_cast<int64_t>(stretch.ids.size());  // a last line without its "\n"
    if (used && (stretch.ends.empty() || stretch.ends.back() < used)) stretch.ends.push_back(used);
  });
  return stop;
} RUBRICA_CATCH

// Counts N texts, each a line: the end of a text is its "</s>", and "\n" in it is white space.
RUBRICA_API int64_t rubrica_fasttext_words_texts(void* handle, int64_t N, const uint8_t* data, const int64_t* starts,
                                                 const int64_t* ends) try {
  Words& words = *static_cast<Words*>(handle);
  const int threads = static_cast<int>(words.counters.size());
  const size_t before = words.stretches.size();
  words.stretches.resize(before + threads);
  parallel(threads, [&](int thread) {
    Counter& counter = words.counters[thread];
    Stretch& stretch = words.stretches[before + thread];
    stretch.thread = thread;
    for (int64_t i = N * thread / threads; i < N * (thread + 1) / threads; i++) {
      const auto word = [&](const Token& token, const uint8_t* place) {
        stretch.ids.push_back(counter.add(token, 1, place - data));
      };
      const auto line = [&] { stretch.ends.push_back(static_cast<int64_t>(stretch.ids.size())); };
      each_token<false>(data + starts[i], data + ends[i], word, line);
      word(kEndToken, data + ends[i]);
      line();
    }
  });
  return 0;
} RUBRICA_CATCH

// Decides the numbers of all tokens: words that are met `min_count` times or more, labels that are met
// `min_count_label` times or more (both by falling count), the other words, the other labels. A label begins with the
// `prefix`. `sizes` (7,): how many there are of each of the four, their bytes, all tokens of the text, all lines.
RUBRICA_API int64_t rubrica_fasttext_words_finish(void* handle, int64_t min_count, int64_t min_count_label,
                                                  int64_t prefix_size, const uint8_t* prefix, int64_t* sizes) try {
  Words& words = *static_cast<Words*>(handle);
  Counter& all = words.all;
  int64_t tokens = 0, lines = 0;
  words.numbers.clear();
  for (Counter& counter : words.counters) {
    std::vector<int32_t> numbers;
    numbers.reserve(counter.entries.size());
    for (const Entry& entry : counter.entries) {
      const Token token = make_token(counter.bytes.data() + entry.start, entry.size, entry.hash);
      numbers.push_back(all.add(token, entry.count, entry.first));
      tokens += entry.count;
    }
    words.numbers.push_back(std::move(numbers));
    counter = Counter();
  }
  for (const Stretch& stretch : words.stretches) lines += static_cast<int64_t>(stretch.ends.size());
  const auto count = static_cast<int64_t>(all.entries.size());
  std::vector<uint8_t> groups(count);
  std::fill_n(sizes, 4, 0);
  for (int64_t i = 0; i < count; i++) {
    const Entry& entry = all.entries[i];
    const bool label = entry.size >= prefix_size && std::memcmp(all.bytes.data() + entry.start, prefix, prefix_size) == 0;
    const bool rare = i >= words.num_known && entry.count < (label ? min_count_label : min_count);
    groups[i] = static_cast<uint8_t>((rare ? kRareWord : kWord) + label);
    sizes[groups[i]]++;
  }
  words.order.resize(count);
  std::iota(words.order.begin(), words.order.end(), 0);
  std::sort(words.order.begin(), words.order.end(), [&](int32_t a, int32_t b) {
    if (groups[a] != groups[b]) return groups[a] < groups[b];
    const bool a_old = words.ordered && a < words.num_known, b_old = words.ordered && b < words.num_known;
    if (a_old || b_old) return a_old && b_old ? a < b : a_old;
    const Entry &one = all.entries[a], &other = all.entries[b];
    if (one.count != other.count) return one.count > other.count;
    return one.first != other.first ? one.first < other.first : a < b;
  });
  std::vector<int32_t> rank(count);
  for (int64_t i = 0; i < count; i++) rank[words.order[i]] = static_cast<int32_t>(i);
  for (auto& numbers : words.numbers)
    for (int32_t& number : numbers) number = rank[number];
  sizes[4] = static_cast<int64_t>(all.bytes.size());
  sizes[5] = tokens;
  sizes[6] = lines;
  return 0;
} RUBRICA_CATCH

// The U tokens by their numbers: their bytes, where each ends, how often it was met, its hash.
RUBRICA_API int64_t rubrica_fasttext_words_tokens(void* handle, int64_t U, int64_t size, uint8_t* bytes, int64_t* ends,
                                                  int64_t* counts, uint32_t* hashes) try {
  const Words& words = *static_cast<Words*>(handle);
  int64_t used = 0;
  if (U != static_cast<int64_t>(words.order.size()) || size != static_cast<int64_t>(words.all.bytes.size())) return -1;
  for (int64_t i = 0; i < U; i++) {
    const Entry& entry = words.all.entries[words.order[i]];
    std::memcpy(bytes + used, words.all.bytes.data() + entry.start, entry.size);
    ends[i] = used += entry.size;
    counts[i] = entry.count;
    hashes[i] = entry.hash;
  }
  return 0;
} RUBRICA_CATCH

// The lines in numbers, `tokens`, and where each starts, `lines` (N + 1,); the memory of the counter is given back.
// Numbers from `below` on are left out, and a line is cut behind each `longest` of its numbers; with none left out and
// none cut, N is what `finish` says. Without arrays only the sizes are counted. `sizes` (2,): numbers, lines.
RUBRICA_API int64_t rubrica_fasttext_words_numbers(void* handle, int64_t below, int64_t longest, int64_t num_tokens,
                                                   int64_t num_lines, int32_t* tokens, int64_t* lines,
                                                   int64_t* sizes) try {
  Words& words = *static_cast<Words*>(handle);
  int64_t used = 0, line = 0;
  const bool writes = tokens != nullptr;
  if (writes && num_lines >= 0) lines[0] = 0;
  for (Stretch& stretch : words.stretches) {
    const auto& numbers = words.numbers[stretch.thread];
    int64_t at = 0;
    for (const int64_t end : stretch.ends) {
      int64_t start = used;
      for (; at < end; at++) {
        const int32_t number = numbers[stretch.ids[at]];
        if (number >= below) continue;
        if (used - start == longest) {
          if (writes && line < num_lines) lines[line + 1] = used;
          line++;
          start = used;
        }
        if (writes && used < num_tokens) tokens[used] = number;
        used++;
      }
      if (writes && line < num_lines) lines[line + 1] = used;
      line++;
    }
    if (writes) stretch = Stretch();
  }
  sizes[0] = used;
  sizes[1] = line;
  return 0;
} RUBRICA_CATCH
