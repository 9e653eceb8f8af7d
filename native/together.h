// Threads that run at the same time and wait for each other, where the parts of a task are not independent.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace rubrica {

// Where threads wait for each other. They spin first, since a batch is a few microseconds' work. One that waits long has
// a partner whose core does other things: then it sleeps, and leaves its own core to whom it waits for. (To yield is not
// enough: a stranger on the same core would get a slice of milliseconds at every barrier.)
class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}
  void wait() {
    const int turn = turn_.load(std::memory_order_relaxed);
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      waiting_.store(0, std::memory_order_relaxed);
      turn_.store(turn + 1);
      if (!sleeping_.load()) return;
      std::lock_guard<std::mutex> lock(mutex_);  // who counts as sleeping and saw the old turn does sleep by now
      awake_.notify_all();
      return;
    }
    for (int spins = 0; spins < kPatience; spins++)
      if (turn_.load(std::memory_order_acquire) != turn) return;
    std::unique_lock<std::mutex> lock(mutex_);
    sleeping_.fetch_add(1);
    while (turn_.load() == turn) awake_.wait(lock);
    sleeping_.fetch_sub(1);
  }

 private:
  // Looks at the turn, some half a nanosecond each. To sleep and wake takes 50 to 90 microseconds, so a thread
  // that has waited for this time sleeps. (The number must not shrink where waiting was in vain: a short wait sees no
  // partner come, so it would never grow again.)
  static constexpr int kPatience = 1 << 17;
  const int threads_;
  std::atomic<int> waiting_{0}, turn_{0}, sleeping_{0};
  std::mutex mutex_;
  std::condition_variable awake_;
};

// Runs body(0) ... body(threads - 1) at the same time, which `parallel` does not promise and a barrier needs. False if
// the system grants no more threads; then nothing was run.
template <typename Body>
bool together(int threads, Body body) {
  std::atomic<int> start{0};  // 1: go, -1: go home
  std::vector<std::thread> others;
  others.reserve(threads - 1);  // below, nothing but a thread that the system does not grant may fail
  try {
    for (int i = 1; i < threads; i++)
      others.emplace_back([&, i] {
        while (start.load(std::memory_order_acquire) == 0) std::this_thread::yield();
        if (start.load() > 0) body(i);
      });
    start.store(1, std::memory_order_release);
    body(0);
  } catch (const std::system_error&) {
    start.store(-1, std::memory_order_release);
  }
  for (auto& other : others) other.join();
  return start.load() > 0;
}

}  // namespace rubrica
