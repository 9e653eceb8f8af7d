// The words that a thread has met, with their rows. Most words of a text were in one of the texts before it,
// and to find them again takes a tenth of the time that it takes to hash and look up their runs of characters. A full
// memo forgets everything, so it follows the texts.
#pragma once

#include <cstring>
#include <utility>
#include <vector>

#include "fasttext.h"

namespace rubrica::fasttext {

struct Token {
  const uint8_t* start;
  int64_t size;
  uint32_t hash;
};

// Whether two pieces of bytes are equal; words are short, and a call of memcmp takes longer than to compare them.
inline bool is_equal(const uint8_t* a, const uint8_t* b, int64_t size) {
  const auto differ = [&](int64_t place, auto piece) {
    auto other = piece;
    std::memcpy(&piece, a + place, sizeof(piece)), std::memcpy(&other, b + place, sizeof(piece));
    return piece != other;
  };
  if (size < 4) {
    for (int64_t i = 0; i < size; i++)
      if (a[i] != b[i]) return false;
    return true;
  }
  if (size < 8) return !differ(0, uint32_t{}) && !differ(size - 4, uint32_t{});
  for (int64_t i = 0; i + 8 < size; i += 8)
    if (differ(i, uint64_t{})) return false;
  return !differ(size - 8, uint64_t{});
}

class Memo {
 public:
  struct Word {
    uint32_t hash, start, first;  // of its bytes, of its rows
    int32_t size = -1, count = 0, id = -1;  // a size of -1: no word
  };

  // A memo that is not open serves nobody: for a few texts it is not worth its 2 MB.
  void open() {
    if (!words_.empty()) return;
    words_.assign(kWords, Word{});
    bytes_.resize(kBytes), rows_.resize(kRows);
  }

  void prefetch(uint32_t hash) const { __builtin_prefetch(words_.data() + (hash & (kWords - 1))); }
  const int32_t* rows(const Word& word) const { return rows_.data() + word.first; }

  // The word, found or, with fill(rows) -> (id, end of its rows), made; nullptr where it is too long for `most` rows.
  template <typename Fill>
  const Word* of(const Token& token, int64_t most, Fill fill) {
    if (words_.empty() || token.size > kLongest || most > kRows / 16) return nullptr;
    size_t place = token.hash & (kWords - 1);
    for (; words_[place].size >= 0; place = (place + 1) & (kWords - 1)) {
      const Word& word = words_[place];
      if (word.hash == token.hash && word.size == token.size &&
          is_equal(bytes_.data() + word.start, token.start, token.size))
        return &word;
    }
    if (num_words_ == kWords / 2 || num_bytes_ + token.size > kBytes || num_rows_ + most > kRows) {
      std::fill(words_.begin(), words_.end(), Word{});
      num_words_ = num_bytes_ = num_rows_ = 0;
      place = token.hash & (kWords - 1);
    }
    Word& word = words_[place];
    word.hash = token.hash, word.size = static_cast<int32_t>(token.size);
    word.start = static_cast<uint32_t>(num_bytes_), word.first = static_cast<uint32_t>(num_rows_);
    std::memcpy(bytes_.data() + num_bytes_, token.start, static_cast<size_t>(token.size));
    int32_t* const rows = rows_.data() + num_rows_;
    const std::pair<int32_t, int32_t*> found = fill(rows);
    word.id = found.first, word.count = static_cast<int32_t>(found.second - rows);
    num_words_++, num_bytes_ += token.size, num_rows_ += word.count;
    return &word;
  }

 private:
  static constexpr size_t kWords = 1 << 15;  // half of them used
  static constexpr int64_t kBytes = 1 << 18, kRows = 1 << 18, kLongest = 64;
  std::vector<Word> words_;
  std::vector<uint8_t> bytes_;
  std::vector<int32_t> rows_;
  int64_t num_words_ = 0, num_bytes_ = 0, num_rows_ = 0;
};

}  // namespace rubrica::fasttext
