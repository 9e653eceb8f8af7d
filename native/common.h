// What every part of the native core shares: exported functions, threads, vectors of floats.
//
// The sources are compiled once per instruction set into a library of its own (setup.py), so the width of a vector
// is known here at compile time and no function of one instruction set can end up in another's library.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#if !defined(_WIN32)
#include <pthread.h>
#endif

#if defined(_WIN32)
#define RUBRICA_API extern "C" __declspec(dllexport)
#else
#define RUBRICA_API extern "C" __attribute__((visibility("default")))
#endif

namespace rubrica {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;  // SSE, NEON
#endif

// GCC's and Clang's vector types: +, *, < and so on work lane by lane on every processor.
typedef float vf __attribute__((vector_size(kLanes * sizeof(float)), aligned(kLanes * sizeof(float))));
typedef float vf_any __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(kLanes * sizeof(float)), aligned(kLanes * sizeof(float))));

inline vf load(const float* p) { return *reinterpret_cast<const vf_any*>(p); }
inline void store(float* p, vf x) { *reinterpret_cast<vf_any*>(p) = x; }
// Minus zero leaves every number as it is, so this is one load; plus zero would be an addition, for the sake of -0.
inline vf broadcast(float x) { return x - vf{}; }

// Threads that wait for work. One pool a process; it lives as long as the process does, and its threads with it.
class Pool {
 public:
  static Pool& instance() {
    Pool* pool = current().load(std::memory_order_acquire);
    if (pool != nullptr) return *pool;
    static std::mutex first;
    std::lock_guard<std::mutex> lock(first);
    if (current().load() == nullptr) {
#if !defined(_WIN32)
      // A forked child has this memory but none of the threads: it starts anew. Registered once a process.
      static const int once = pthread_atfork(nullptr, nullptr, [] { current().store(nullptr); });
      (void)once;
#endif
      current().store(new Pool);
    }
    return *current().load();
  }

  void run(int threads, void (*task)(void*, int), void* context) {
    // Whoever finds the pool at work (another thread of the caller, or a task itself) does everything alone.
    const bool ours = !busy_.test_and_set(std::memory_order_acquire);
    const int others = ours ? std::min(grow(threads - 1), threads - 1) : 0;
    if (others > 0) {
      task_ = task, context_ = context;
      running_.store(others, std::memory_order_relaxed);
      {
        std::lock_guard<std::mutex> lock(mutex_);
        // One number says which round this is and who takes part, so that a late thread cannot mix up two rounds.
        round_.store(((round_.load() >> 16) + 1) << 16 | others, std::memory_order_release);
      }
      wake_.notify_all();
    }
    task(context, 0);
    for (int i = others + 1; i < threads; i++) task(context, i);
    for (int spins = 0; others > 0 && running_.load(std::memory_order_acquire) != 0; spins++)
      spins < kSpins ? pause() : std::this_thread::yield();
    if (ours) busy_.clear(std::memory_order_release);
  }

 private:
  static constexpr int kSpins = 20000;  // 20 to 100 microseconds: the time between two calls of a training update

  static std::atomic<Pool*>& current() {
    static std::atomic<Pool*> pool{nullptr};
    return pool;
  }

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // Has `wanted` threads, or as many as the system grants.
  int grow(int wanted) {
    while (size_ < wanted) {
      try {
        std::thread(&Pool::work, this, size_ + 1, round_.load()).detach();
      } catch (const std::system_error&) {
        break;
      }
      size_++;
    }
    return size_;
  }

  void work(int index, uint64_t seen) {
    for (;;) {
      uint64_t now = round_.load(std::memory_order_acquire);
      for (int spins = 0; now == seen && spins < kSpins; spins++, now = round_.load(std::memory_order_acquire)) pause();
      if (now == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
        now = round_.load(std::memory_order_acquire);
      }
      seen = now;
      if (index > static_cast<int>(now & 0xffff)) continue;
      task_(context_, index);
      running_.fetch_sub(1, std::memory_order_release);
    }
  }

  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> round_{0};
  std::atomic<int> running_{0};
  void (*task_)(void*, int) = nullptr;
  void* context_ = nullptr;
  int size_ = 0;
};

// Runs body(0) ... body(threads - 1), at once where there are threads for it, and waits for all. One body must not
// wait for another: they may run one after the other.
template <typename Body>
void parallel(int threads, Body body) {
  if (threads <= 1) {
    body(0);
    return;
  }
  Pool::instance().run(threads, [](void* context, int thread) { (*static_cast<Body*>(context))(thread); }, &body);
}

}  // namespace rubrica
