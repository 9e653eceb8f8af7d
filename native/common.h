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
#include <exception>
#include <mutex>
#include <new>
#include <stdexcept>
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

// No exception crosses the border: an exported function is `RUBRICA_API int64_t name(...) try { ... } RUBRICA_CATCH`, and
// kernels/border.py raises what the number means.
#define RUBRICA_CATCH                                    \
  catch (const std::bad_alloc&) {                        \
    return rubrica::kOutOfMemory;                        \
  } catch (const std::length_error&) {                   \
    return rubrica::kOutOfMemory;                        \
  } catch (...) {                                        \
    return rubrica::kFailed;                             \
  }

namespace rubrica {

constexpr int64_t kOutOfMemory = -1000001, kFailed = -1000002;

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;  // SSE, NEON
#endif

enum Pooling { kLast, kMax, kAverage, kAverageMax, kAttention, kStates };  // in the order of kernels/recurrent.py

// GCC's and Clang's vector types: +, *, < and so on work lane by lane on every processor.
typedef float vf __attribute__((vector_size(kLanes * sizeof(float)), aligned(kLanes * sizeof(float))));
typedef float vf_any __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
typedef int32_t vi __attribute__((vector_size(kLanes * sizeof(float)), aligned(kLanes * sizeof(float))));

inline vf load(const float* p) { return *reinterpret_cast<const vf_any*>(p); }
inline void store(float* p, vf x) { *reinterpret_cast<vf_any*>(p) = x; }
// Minus zero leaves every number as it is, so this is one load; plus zero would be an addition, for the sake of -0.
inline vf broadcast(float x) { return x - vf{}; }

// The sum of the lanes: halves are added to each other, so its order depends on the width alone.
inline float add_up(vf x) {
  float lanes[kLanes];
  store(lanes, x);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
  return lanes[0];
}

// Threads that wait for work. One pool a process; it lives as long as the process does, and its threads with it.
// The caller works too, and takes over every part that no thread has begun: on a busy machine, where a thread may have
// to wait for a core, a call costs no more than it would alone.
class Pool {
 public:
  static Pool& instance() {
    static std::mutex first;
    std::lock_guard<std::mutex> lock(first);
    if (current() == nullptr) {
#if !defined(_WIN32)
      // A forked child has this memory but none of the threads: it starts anew. Registered once a process.
      static const int once = pthread_atfork(nullptr, nullptr, [] { current() = nullptr; });
      (void)once;
#endif
      current() = new Pool;
    }
    return *current();
  }

  // Runs task(context, 0) ... task(context, parts - 1) and waits for all.
  void run(int parts, void (*task)(void*, int), void* context) {
    // Whoever finds the pool at work (another thread of the caller, or a task itself) does everything alone.
    if (busy_.test_and_set(std::memory_order_acquire)) {
      for (int i = 0; i < parts; i++) task(context, i);
      return;
    }
    grow(parts - 1);
    task_ = task, context_ = context;
    left_.store(parts, std::memory_order_relaxed);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      const uint64_t round = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
      ticket_.store(round << 32 | static_cast<uint64_t>(parts) << 16, std::memory_order_release);
    }
    for (int i = 1; i < parts; i++) wake_.notify_one();
    work_off();
    for (int spins = 0; left_.load(std::memory_order_acquire) != 0; spins++)
      spins < kPatience ? pause() : std::this_thread::yield();
    busy_.clear(std::memory_order_release);
  }

 private:
  // Waking a sleeping thread takes 50 microseconds, the Python between two kernels of a training update a little more.
  // So a thread looks for work for about 200 before it sleeps, at 10 nanoseconds a pause (140 on some processors).
  static constexpr int kSpins = 20000;
  static constexpr int kPatience = 2000;  // pauses of the caller before it offers its core to whoever is not done

  static Pool*& current() {
    static Pool* pool = nullptr;
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
  void grow(int wanted) {
    while (size_ < wanted) {
      try {
        std::thread(&Pool::serve, this).detach();
      } catch (...) {  // no thread, or no memory for one
        return;
      }
      size_++;
    }
  }

  static bool has_work(uint64_t ticket) { return (ticket & 0xffff) < (ticket >> 16 & 0xffff); }

  // Takes parts, one at a time, until none is left to take. The number of the round is in the ticket, so that a late
  // thread cannot take a part of one round for that of another; who has taken one keeps the round from ending.
  void work_off() {
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    while (has_work(ticket)) {
      if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel)) continue;
      task_(context_, static_cast<int>(ticket & 0xffff));
      left_.fetch_sub(1, std::memory_order_release);
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }

  void serve() {
    for (;;) {
      for (int spins = 0; spins < kSpins && !has_work(ticket_.load(std::memory_order_acquire)); spins++) pause();
      if (!has_work(ticket_.load(std::memory_order_acquire))) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return has_work(ticket_.load(std::memory_order_acquire)); });
      }
      work_off();
    }
  }

  std::atomic_flag busy_ = ATOMIC_FLAG_INIT;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> ticket_{0};  // round, parts, parts taken
  std::atomic<int> left_{0};         // parts that are not done
  void (*task_)(void*, int) = nullptr;
  void* context_ = nullptr;
  int size_ = 0;
};

// Runs body(0) ... body(threads - 1), at once where there are threads for it, and waits for all. One body must not
// wait for another: they may run one after the other. What a body throws is thrown here, when all are done.
template <typename Body>
void parallel(int threads, Body body) {
  if (threads <= 1) {
    body(0);
    return;
  }
  struct Call {
    Body& body;
    std::atomic<bool> failed{false};
    std::exception_ptr problem{};
  } call{body};
  Pool::instance().run(
      threads,
      [](void* context, int thread) {
        Call& call = *static_cast<Call*>(context);
        try {
          call.body(thread);
        } catch (...) {
          if (!call.failed.exchange(true)) call.problem = std::current_exception();
        }
      },
      &call);
  if (call.problem) std::rethrow_exception(call.problem);
}

}  // namespace rubrica
