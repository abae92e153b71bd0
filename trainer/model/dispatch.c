/* What the library is: of which sources, by which compiler, and for which instruction sets of this machine. */
#include <string.h>

#include "step.h"
#define STRING_(text) #text
#define STRING(text) STRING_(text)

/* The digest of the C files that it was compiled from (-DSOURCES=...). */
EXPORT const char *step_sources(void) { return STRING(SOURCES); }

EXPORT const char *step_compiler(void) { return __VERSION__; }

#if defined(__x86_64__)
#include <cpuid.h>

/* Whether the system keeps these registers for a process (bits of XCR0). __builtin_cpu_supports asks the same, but is
 * not everywhere in a compiler's own library: with MinGW's of zig it finds nothing. */
static int keeps(unsigned registers) {
  unsigned a, b, c, d, low, high;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & registers) == registers;
}

static int has_avx2(void) {
  unsigned a, b, c, d, fma;
  if (!__get_cpuid(1, &a, &b, &fma, &d) || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  return keeps(0x6) && (fma & bit_FMA) && (b & bit_AVX2);
}

static int has_avx512(void) {
  const unsigned all = bit_AVX512F | bit_AVX512DQ | bit_AVX512VL;
  unsigned a, b, c, d;
  return has_avx2() && keeps(0xe6) && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & all) == all;
}
#else
static int has_avx2(void) { return 0; }
static int has_avx512(void) { return 0; }
#endif

/* Whether this processor, and its system, run an instruction set. */
EXPORT int64_t step_runs(const char *set) {
  if (!strcmp(set, "avx512")) return has_avx512();
  if (!strcmp(set, "avx2")) return has_avx2();
  return !strcmp(set, "baseline");
}
