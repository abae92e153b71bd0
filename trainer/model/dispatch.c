/* Which instruction set this machine has, of those that the library was built for (-DSETS="name name"). */
#include <string.h>

#include "step.h"
#define EXPORT __attribute__((visibility("default")))

EXPORT int64_t step_abi(void) { return (int64_t)sizeof(plan); }

EXPORT const char *step_set(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) return "avx512";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
#endif
  return "baseline";
}
