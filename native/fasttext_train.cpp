// fastText's training, the same bits for the same seed and number of threads.
//
// The model is fastText's (P. Bojanowski et al., TACL 2017, https://arxiv.org/abs/1607.04606; A. Joulin et al., EACL
// 2017, https://arxiv.org/abs/1607.01759), and so is what one step does. Its threads write where they like; here every
// row of both matrices belongs to one thread, which alone reads and writes it, so a row stays in one core's cache and
// nothing is locked. A batch of examples goes through three stages, and the threads wait for each other between two of them:
//
//   1. each thread adds up its own input rows of each example: parts of the hidden vectors;
//   2. each thread asks its own output rows about the hidden vectors, moves these rows, one example after the other,
//      and adds up its part of the gradients. A softmax over few classes is done by all threads on copies of their own
//      (they need all of it, and no second wait); over many classes the threads exchange sums for each example;
//   3. each thread moves its own input rows by the gradients.
//
// Within a batch the output rows learn from one example after the other. Only hidden vectors do not see what the
// batch changes in the input rows. Skip-gram asks about all neighbours of a word with one hidden vector, where fastText
// adds its rows up again for each neighbour.
//
// Letters: N lines, V words, L labels, C outputs, D numbers in a row, R input rows.
#include <cmath>
#include <memory>

#include "fasttext_lines.h"
#include "fasttext_rows.h"
#include "fasttext_work.h"
#include "together.h"

namespace rubrica {
namespace {

using namespace fasttext;

constexpr int64_t kGroup = 8192;  // tokens whose examples are drawn at a time, and fit into the second-level cache
constexpr int64_t kCopied = 32;   // classes of a softmax that each thread computes for itself

struct Lesson {
  int64_t count;
  const int64_t* order;  // of lines
  int64_t visit;         // lines that were visited before
  double seen, total;    // tokens before, and in the whole training
  double lr;
  int64_t batch_size;
  float lr_at(double tokens) const { return static_cast<float>(lr * std::max(0.0, 1 - (seen + tokens) / total)); }
};

struct Matrices {
  Columns columns;
  int64_t C;
  float *input, *output;
};

class Training {
 public:
  Training(const Text& text, const Rule& rule, const Matrices& matrices, const Lesson& lesson, int threads)
      : text_(text), rule_(rule), matrices_(matrices), lesson_(lesson), threads_(threads), owners_(threads),
        barrier_(threads), copied_(rule.loss == kSoftmax && (rule.C <= kCopied || threads == 1)), sums_(2 * threads) {
    // All memory of known size is taken before the threads start: one that failed between two barriers would leave the
    // others waiting.
    const int64_t size = 2 * threads * lesson.batch_size * matrices.columns.size;
    parts_ = std::make_unique<Buffer>(size, 0.0f);
    gradients_ = std::make_unique<Buffer>(copied_ ? 1 : size, 0.0f);
    for (int turn = 0; turn < 2; turn++) examples_[turn].resize(threads);
    for (int thread = 0; thread < threads; thread++) {
      workers_.push_back(std::make_unique<Worker>(matrices.columns, lesson.batch_size));
      Worker& worker = *workers_.back();
      if (rule.loss != kSoftmax) continue;
      for (int64_t c = 0; c < rule.C; c++)
        if (copied_ || static_cast<int>(owners_.of(static_cast<int32_t>(c))) == thread)
          worker.classes.push_back(static_cast<int32_t>(c));
      worker.scores.resize(worker.classes.size() + kLanes);
      if (copied_ && threads > 1) worker.head.assign(matrices.output, matrices.output + rule.C * matrices.columns.D());
    }
  }

  // False if the system grants no threads. `outcome` (2,): the sum of the losses, and how many there are.
  bool run(double* outcome) {
    const bool done = together(threads_, [&](int thread) { work(thread); });
    if (failed_.load()) throw std::bad_alloc();
    outcome[0] = outcome[1] = 0;
    for (const auto& worker : workers_) {
      if (copied_ && worker != workers_.front()) break;  // the others have lost the same
      outcome[0] += worker->loss - std::log(worker->product);
      outcome[1] += static_cast<double>(worker->asked);
    }
    if (done && !workers_[0]->head.empty())
      std::copy(workers_[0]->head.begin(), workers_[0]->head.end(), matrices_.output);
    return done;
  }

 private:
  struct Batch {
    const Example* examples;
    const int32_t *rows, *outputs;
  };

  void work(int thread) {
    Worker& worker = *workers_[thread];
    int64_t first = 0;
    double tokens = 0;
    for (int turn = 0; first < lesson_.count; turn ^= 1) {
      // Every thread finds the end of the group for itself; each makes the examples of a part of its lines.
      int64_t last = first;
      double after = tokens;
      for (int64_t work = 0; last < lesson_.count && work < kGroup; last++) {
        const int64_t length = length_of(lesson_.order[last]);
        after += static_cast<double>(length);
        work += length + (rule_.loss == kEach ? rule_.C : 0);
      }
      try {
        draw(thread, turn, first, last, tokens);
      } catch (...) {
        failed_.store(true);
      }
      barrier_.wait();
      if (!failed_.load()) {
        try {
          make_room(worker, turn);
        } catch (...) {
          failed_.store(true);
        }
      }
      barrier_.wait();
      if (failed_.load()) return;
      learn(worker, thread, turn);
      first = last, tokens = after;
    }
  }

  int64_t length_of(int64_t line) const { return text_.lines[line + 1] - text_.lines[line]; }

  void draw(int thread, int turn, int64_t first, int64_t last, double tokens) {
    Examples& mine = examples_[turn][thread];
    mine.clear();
    const int64_t from = first + (last - first) * thread / threads_, to = first + (last - first) * (thread + 1) / threads_;
    for (int64_t i = first; i < to; i++) {
      if (i >= from) mine.add(text_, rule_, lesson_.order[i], lesson_.visit + i, lesson_.lr_at(tokens));
      tokens += static_cast<double>(length_of(lesson_.order[i]));
    }
  }

  // Room for the rows of any batch of the group.
  void make_room(Worker& worker, int turn) {
    int64_t most = 0, rows = 0, outputs = 0, at = 0;
    for (const Examples& part : examples_[turn])
      for (const Example& example : part.examples) {
        if (at++ % lesson_.batch_size == 0) rows = 0;
        most = std::max(most, rows += example.num_rows);
        outputs = std::max<int64_t>(outputs, example.num_outputs);
      }
    if (static_cast<int64_t>(worker.rows.size()) <= most) worker.rows.resize(2 * most + 1);
    if (rule_.loss == kSoftmax || static_cast<int64_t>(worker.outputs.size()) > outputs) return;
    worker.outputs.resize(2 * outputs + 1);
    worker.wanted.resize(2 * outputs + kLanes);
    worker.scores.resize(2 * outputs + kLanes);
  }

  // One batch after the other; `side` is where this batch's sums lie, for a thread may still read those of the last.
  void learn(Worker& worker, int thread, int turn) {
    const auto& groups = examples_[turn];
    int64_t total = 0, place = 0;
    for (const Examples& group : groups) total += static_cast<int64_t>(group.examples.size());
    size_t part = 0;
    for (int64_t first = 0; first < total; first += lesson_.batch_size, worker.side ^= 1) {
      const int64_t count = std::min(lesson_.batch_size, total - first);
      size_t next_part = part;
      int64_t next_place = place;
      // Calls body(i, example, its rows, its outputs) for the batch, which may begin in one thread's part and end in
      // another's.
      const auto each = [&](auto body) {
        next_part = part, next_place = place;
        for (int64_t i = 0; i < count; i++, next_place++) {
          while (next_place == static_cast<int64_t>(groups[next_part].examples.size())) next_part++, next_place = 0;
          const Examples& from = groups[next_part];
          const Example& example = from.examples[next_place];
          body(i, example, from.rows.data() + example.rows, from.outputs.data() + example.outputs);
        }
      };
      add_up_rows(worker, thread, each);
      barrier_.wait();
      if (copied_) learn_copied(worker, each);
      else learn_split(worker, thread, each);
      part = next_part, place = next_place;
    }
  }

  // Stage 1. The rows of a text are on their way while the text before it is added up.
  template <typename Each>
  void add_up_rows(Worker& worker, int thread, Each each) {
    const Columns& columns = matrices_.columns;
    int64_t before = -1;
    const auto add_up = [&](int64_t i) {
      columns.sum(matrices_.input, worker.rows.data() + worker.ends[i], worker.ends[i + 1] - worker.ends[i],
                  part_of(*parts_, worker.side, thread, i));
    };
    worker.ends[0] = 0;
    each([&](int64_t i, const Example& example, const int32_t* rows, const int32_t*) {
      int32_t* const start = worker.rows.data() + worker.ends[i];
      int32_t* const end = owners_.filter(rows, example.num_rows, thread, start);
      for (const int32_t* row = start; row < end; row++) columns.prefetch(matrices_.input + *row * columns.D());
      worker.ends[i + 1] = end - worker.rows.data();
      if (before >= 0) add_up(before);
      before = i;
    });
    if (before >= 0) add_up(before);
  }

  // Stages 2 and 3 of a softmax that each thread computes for itself.
  template <typename Each>
  void learn_copied(Worker& worker, Each each) {
    float* head = worker.head.empty() ? matrices_.output : worker.head.data();
    each([&](int64_t i, const Example& example, const int32_t*, const int32_t* outputs) {
      find_hidden(worker, i, example);
      std::fill_n(worker.step + 0, matrices_.columns.size, 0.0f);
      for (int32_t k = 0; k < example.num_outputs; k++) softmax(worker, 0, 1, head, outputs[k], example.lr, worker.step);
      move(worker, i, example);
    });
  }

  // Stage 2 where each thread asks its own output rows, and stage 3.
  template <typename Each>
  void learn_split(Worker& worker, int thread, Each each) {
    const int64_t size = matrices_.columns.size;
    each([&](int64_t i, const Example& example, const int32_t*, const int32_t* outputs) {
      find_hidden(worker, i, example);
      float* gradient = part_of(*gradients_, worker.side, thread, i);
      std::fill_n(gradient, size, 0.0f);
      if (rule_.loss != kSoftmax) return ask(worker, thread, example, outputs, gradient);
      for (int32_t k = 0; k < example.num_outputs; k++)
        softmax(worker, thread, threads_, matrices_.output, outputs[k], example.lr, gradient);
    });
    barrier_.wait();
    each([&](int64_t i, const Example& example, const int32_t*, const int32_t*) {
      add_parts(*gradients_, worker.side, i, 1.0f, worker.step);
      move(worker, i, example);
    });
  }

  void find_hidden(Worker& worker, int64_t i, const Example& example) {
    add_parts(*parts_, worker.side, i, 1.0f / static_cast<float>(example.num_rows), worker.h);
  }

  // Stage 3: a text's gradient is shared among its rows; each row of a word moves by all of it, as in fastText.
  void move(Worker& worker, int64_t i, const Example& example) {
    const Columns& columns = matrices_.columns;
    if (rule_.kind == kSupervised) {
      const float share = 1.0f / static_cast<float>(example.num_rows);
      for (int64_t j = 0; j < columns.size; j += kLanes) store(worker.step + j, load(worker.step + j) * share);
    }
    columns.move(matrices_.input, worker.rows.data() + worker.ends[i], worker.ends[i + 1] - worker.ends[i], worker.step);
  }

  // Logistic regression on each output that is the thread's own.
  void ask(Worker& worker, int thread, const Example& example, const int32_t* outputs, float* gradient) {
    const Columns& columns = matrices_.columns;
    int64_t count = 0;
    for (int32_t k = 0; k < example.num_outputs; k++) {
      const int32_t output = outputs[k] < 0 ? ~outputs[k] : outputs[k];
      worker.outputs[count] = output;
      worker.wanted[count] = outputs[k] < 0 ? 0.0f : 1.0f;
      count += static_cast<int>(owners_.of(output)) == thread;
    }
    const int32_t* rows = worker.outputs.data();
    float* scores = worker.scores.data();
    for (int64_t k = 0; k < count; k++) columns.prefetch(matrices_.output + rows[k] * columns.D());
    columns.products(matrices_.output, rows, count, worker.h, scores);
    for (int64_t k = 0; k < count; k += kLanes) store(scores + k, sigmoid(load(scores + k)));
    for (int64_t k = 0; k < count; k++) {
      worker.lose(worker.wanted[k] > 0 ? scores[k] : 1.0f - scores[k]);
      scores[k] = example.lr * (worker.wanted[k] - scores[k]);
    }
    columns.pull(matrices_.output, rows, count, scores, worker.h, gradient);
    if (thread == 0) worker.asked++;
  }

  // One step of the softmax regression; `threads` share its classes, and each has the sum of its own to tell.
  void softmax(Worker& worker, int thread, int threads, float* table, int32_t target, float lr, float* gradient) {
    const Columns& columns = matrices_.columns;
    const auto count = static_cast<int64_t>(worker.classes.size());
    float* scores = worker.scores.data();
    columns.products(table, worker.classes.data(), count, worker.h, scores);
    const auto at = std::lower_bound(worker.classes.begin(), worker.classes.end(), target) - worker.classes.begin();
    const bool mine = at < count && worker.classes[at] == target;
    Sums all{-INFINITY, 0, mine ? scores[at] : 0};
    for (int64_t k = 0; k < count; k++) all.most = std::max(all.most, scores[k]);
    const float most = all.most;
    for (int64_t k = count; k < count + kLanes; k++) scores[k] = most;
    for (int64_t k = 0; k < count; k += kLanes) {
      vf scale, rest;
      split_exp(load(scores + k) - most, scale, rest);
      store(scores + k, scale + scale * rest);
    }
    for (int64_t k = 0; k < count; k++) all.sum += scores[k];
    if (threads > 1) all = exchange(worker, thread, all);
    const float share = std::exp(most - all.most) / all.sum;
    for (int64_t k = 0; k < count; k++) scores[k] *= -lr * share;
    if (mine) scores[at] += lr;
    columns.pull(table, worker.classes.data(), count, scores, worker.h, gradient);
    if (thread == 0) {
      worker.loss += std::log(all.sum) - (all.target - all.most);
      worker.asked++;
    }
  }

  // The sums of all threads together.
  Sums exchange(Worker& worker, int thread, const Sums& mine) {
    Sums* const sums = sums_.data() + worker.turn * threads_;
    worker.turn ^= 1;
    sums[thread] = mine;
    barrier_.wait();
    Sums all{-INFINITY, 0, 0};
    for (int other = 0; other < threads_; other++) all.most = std::max(all.most, sums[other].most);
    for (int other = 0; other < threads_; other++) {
      if (sums[other].sum > 0) all.sum += sums[other].sum * std::exp(sums[other].most - all.most);
      all.target += sums[other].target;
    }
    return all;
  }

  float* part_of(Buffer& buffer, int side, int thread, int64_t i) {
    return buffer + ((side * threads_ + thread) * lesson_.batch_size + i) * matrices_.columns.size;
  }

  // out = scale * the sum of all threads' parts of example i.
  void add_parts(Buffer& buffer, int side, int64_t i, float scale, float* out) {
    for (int64_t j = 0; j < matrices_.columns.size; j += kLanes) {
      vf sum = load(part_of(buffer, side, 0, i) + j);
      for (int other = 1; other < threads_; other++) sum += load(part_of(buffer, side, other, i) + j);
      store(out + j, sum * scale);
    }
  }

  const Text& text_;
  const Rule& rule_;
  const Matrices& matrices_;
  const Lesson& lesson_;
  const int threads_;
  const Owners owners_;
  Barrier barrier_;
  const bool copied_;
  std::atomic<bool> failed_{false};
  std::unique_ptr<Buffer> parts_, gradients_;  // (2, threads, batch, size)
  std::vector<Sums> sums_;
  std::vector<Examples> examples_[2];  // of this group and of the next, one part a thread
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace
}  // namespace rubrica

using namespace rubrica;

// Learns from `count` lines in the order of `order`, in place. `text`: tokens (the lines in numbers), where each line
// starts, V, L, K, the hash of each of U tokens, where the rows of each start, the rows; word n-grams are hashed into
// `buckets`, of which `kept` are left if the model is pruned. `keep` (V,) is what skip-gram and CBOW keep of each word,
// `shares` and `aliases` (C,) draw the negatives, `path_starts` (C + 1,) and `paths` are the tree of the classes.
// `seen` of `total` tokens lie behind, and `visit` lines. `outcome` (2,): the sum of the losses, and how many.
// Returns -1 where the system grants no threads.
RUBRICA_API int64_t rubrica_fasttext_learn(
    int threads, int kind, int loss, int64_t N, int64_t U, int64_t V, int64_t L, int64_t K, int64_t R, int64_t C,
    int64_t D, int64_t run_words, int64_t buckets, int64_t P, const int32_t* tokens, const int64_t* lines,
    const uint32_t* hashes, const int64_t* row_starts, const int32_t* token_rows, const int32_t* kept,
    const int32_t* kept_rows, int64_t window, int64_t negatives, const float* keep, const float* shares,
    const int32_t* aliases, const int64_t* path_starts, const int32_t* paths, int64_t count, const int64_t* order,
    int64_t visit, double seen, double total, double lr, int64_t batch_size, int64_t seed, float* input, float* output,
    double* outcome) try {
  (void)N, (void)U, (void)R;
  const HashedRows hashed{V, Buckets(static_cast<uint64_t>(buckets)), kept == nullptr ? -1 : P, kept, kept_rows};
  const Text text{tokens, lines, V, L, K, hashes, row_starts, token_rows, static_cast<int>(run_words), hashed};
  const Rule rule{static_cast<Kind>(kind), static_cast<Loss>(loss), C, static_cast<int>(window),
                  static_cast<int>(negatives), keep, shares, aliases, path_starts, paths, static_cast<uint64_t>(seed)};
  const Matrices matrices{Columns(D), C, input, output};
  const Lesson lesson{count, order, visit, seen, total, lr, batch_size};
  Training training(text, rule, matrices, lesson, threads);
  return training.run(outcome) ? 0 : -1;
} RUBRICA_CATCH
