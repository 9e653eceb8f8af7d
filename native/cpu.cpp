// Which library the processor can run, and a number that the Python side checks against its own.
#include "common.h"

#if defined(_WIN32)
#include <intrin.h>
#include <windows.h>
#endif

// Raised when a function is new or takes other arguments, so that a stale library is refused instead of called.
RUBRICA_API int rubrica_version() { return 9; }

// The highest x86-64 level (2, 3, 4) of this processor; 0 elsewhere.
RUBRICA_API int rubrica_cpu_level() {
#if defined(__x86_64__) && defined(_WIN32)  // clang-cl brings no runtime for __builtin_cpu_supports
  int leaf[4];  // eax, ebx, ecx, edx of cpuid 7: AVX512DQ, CD, BW, VL are bits 17, 28, 30, 31 of ebx
  __cpuidex(leaf, 7, 0);
  const unsigned wanted = 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31;
  if (IsProcessorFeaturePresent(PF_AVX512F_INSTRUCTIONS_AVAILABLE) && (leaf[1] & wanted) == wanted) return 4;
  return IsProcessorFeaturePresent(PF_AVX2_INSTRUCTIONS_AVAILABLE) ? 3 : 2;
#elif defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return 4;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return 3;
  return 2;
#else
  return 0;
#endif
}

// 1 if this library was built with the address sanitizer.
RUBRICA_API int rubrica_is_sanitized() {
#if defined(__SANITIZE_ADDRESS__)  // GCC
  return 1;
#elif defined(__has_feature)
  return __has_feature(address_sanitizer);  // Clang
#else
  return 0;
#endif
}
