// What every part of the native core shares: exported functions, threads, vectors of floats.
//
// The sources are compiled once per instruction set into a library of its own (setup.py), so the width of a vector
// is known here at compile time and no function of one instruction set can end up in another's library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

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
inline vf broadcast(float x) { return vf{} + x; }

// Runs body(0) ... body(threads - 1) at once and waits for all.
template <typename Body>
void parallel(int threads, Body body) {
  std::vector<std::thread> others;
  others.reserve(threads > 1 ? threads - 1 : 0);
  for (int i = 1; i < threads; i++) others.emplace_back(body, i);
  body(0);
  for (auto& other : others) other.join();
}

}  // namespace rubrica
