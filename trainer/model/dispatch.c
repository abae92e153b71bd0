/* What the library is: of which sources, and for which instruction sets of this machine. */
#include <string.h>

#include "step.h"
#define STRING_(text) #text
#define STRING(text) STRING_(text)

/* The digest of the C files that it was compiled from (-DSOURCES=...). */
EXPORT const char *step_sources(void) { return STRING(SOURCES); }

/* Whether this processor, and its system, run an instruction set. */
EXPORT int64_t step_runs(const char *set) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!strcmp(set, "avx512")) return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (!strcmp(set, "avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return !strcmp(set, "baseline");
}
