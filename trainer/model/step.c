/* The C twin of trainer/model/step.py, in float32 and float64, for one instruction set.
 *
 * Compiled once for each set with -DSET=name: functions are named step_SET_f32 and step_SET_f64. No
 * contraction and no fast-math: a column's bits never depend on the lane it is computed in.
 */
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define PREFETCH(p) __builtin_prefetch(p)
#if defined(__clang__)
#define LOOP _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define LOOP _Pragma("GCC ivdep")
#else
#define LOOP
#endif
#define RULE INLINE
#define LANES 128 /* columns, or rows times columns, that go by side by side */
#define TILE 32   /* the same where the outputs of each are kept too */
#define CHAIN 32  /* numbers that are added up one by one, at most */
#define AHEAD 16  /* rows that are asked for before they are read */

#include "step.h"

INLINE float bits_f32(uint32_t i) { float f; memcpy(&f, &i, 4); return f; }
INLINE uint32_t of_f32(float f) { uint32_t i; memcpy(&i, &f, 4); return i; }
INLINE double bits_f64(uint64_t i) { double f; memcpy(&f, &i, 8); return f; }
INLINE uint64_t of_f64(double f) { uint64_t i; memcpy(&i, &f, 8); return i; }

#if defined(__FMA__) || defined(__aarch64__)
#define FMAF(a, b, c) __builtin_fmaf(a, b, c)
#define FMAD(a, b, c) __builtin_fma(a, b, c)
#else
#define FMAF(a, b, c) ((a) * (b) + (c))
#define FMAD(a, b, c) ((a) * (b) + (c))
#endif

/* e^r · 2^k = e^x with |r| <= log(2) / 2: r, and k in the low bits of a float (Cephes' polynomial). */
INLINE float exp_parts_f32(float x, uint32_t *k) {
  float shifted = FMAF(x, 1.44269504088896341f, 12582912.0f), n = shifted - 12582912.0f;
  *k = of_f32(shifted);
  x = FMAF(n, -0.693359375f, x);
  x = FMAF(n, 2.12194440e-4f, x);
  float p = 1.9875691500e-4f;
  p = FMAF(p, x, 1.3981999507e-3f);
  p = FMAF(p, x, 8.3334519073e-3f);
  p = FMAF(p, x, 4.1665795894e-2f);
  p = FMAF(p, x, 1.6666665459e-1f);
  p = FMAF(p, x, 5.0000001201e-1f);
  return FMAF(p, x * x, x) + 1.0f;
}

/* e^x to 1 ulp over the whole range, results below the normal numbers too. */
INLINE float exp_f32(float x) {
  uint32_t k;
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  float p = exp_parts_f32(x, &k);
  int32_t whole = (int32_t)(k - of_f32(12582912.0f)), half = whole >> 1, rest = whole - half; /* 2^half is normal */
  return p * bits_f32((uint32_t)(half + 127) << 23) * bits_f32((uint32_t)(rest + 127) << 23);
}

/* The same for x of at most 0. */
INLINE float exp_down_f32(float x) {
  uint32_t k;
  float p = exp_parts_f32(x < -104.0f ? -104.0f : x, &k);
  return p * bits_f32((k << 23) + ((127u + 24u) << 23)) * 5.9604644775390625e-08f; /* 2^(k + 24) is normal */
}

/* log x (Cephes' polynomial). */
INLINE float log_f32(float x) {
  float scaled = x < 1.17549435e-38f ? x * 8388608.0f : x; /* denormals become normal */
  uint32_t i = of_f32(scaled);
  int32_t e = (int32_t)(i - 0x3f3504f3u) >> 23;
  float m = bits_f32(i - ((uint32_t)e << 23)) - 1.0f;
  float n = (float)e - (x < 1.17549435e-38f ? 23.0f : 0.0f), square = m * m;
  float p = 7.0376836292e-2f;
  p = FMAF(p, m, -1.1514610310e-1f);
  p = FMAF(p, m, 1.1676998740e-1f);
  p = FMAF(p, m, -1.2420140846e-1f);
  p = FMAF(p, m, 1.4249322787e-1f);
  p = FMAF(p, m, -1.6668057665e-1f);
  p = FMAF(p, m, 2.0000714765e-1f);
  p = FMAF(p, m, -2.4999993993e-1f);
  p = FMAF(p, m, 3.3333331174e-1f);
  float y = m * square * p;
  y = FMAF(n, -2.12194440e-4f, y);
  y = FMAF(square, -0.5f, y);
  y = FMAF(n, 0.693359375f, m + y);
  y = x <= 3.402823466e38f ? y : x + x; /* infinity and NaN are their own */
  y = x > 0 ? y : (x == 0 ? -bits_f32(0x7f800000) : bits_f32(0x7fc00000));
  return y;
}

/* The same in float64: Taylor's to the 13th power, whose rest is below 2^-57. */
INLINE double exp_parts_f64(double x, uint64_t *k) {
  double shifted = FMAD(x, 1.44269504088896338700e+00, 6755399441055744.0), n = shifted - 6755399441055744.0;
  *k = of_f64(shifted);
  x = FMAD(n, -6.93147180369123816490e-01, x);
  x = FMAD(n, -1.90821492927058770002e-10, x);
  double p = 1.6059043836821613e-10;
  p = FMAD(p, x, 2.08767569878681e-09);
  p = FMAD(p, x, 2.505210838544172e-08);
  p = FMAD(p, x, 2.755731922398589e-07);
  p = FMAD(p, x, 2.7557319223985893e-06);
  p = FMAD(p, x, 2.48015873015873e-05);
  p = FMAD(p, x, 0.0001984126984126984);
  p = FMAD(p, x, 0.001388888888888889);
  p = FMAD(p, x, 0.008333333333333333);
  p = FMAD(p, x, 0.041666666666666664);
  p = FMAD(p, x, 0.16666666666666666);
  p = FMAD(p, x, 0.5);
  return FMAD(p, x * x, x) + 1.0;
}
INLINE double exp_f64(double x) {
  uint64_t k;
  x = x < -746.0 ? -746.0 : x;
  x = x > 710.0 ? 710.0 : x;
  double p = exp_parts_f64(x, &k);
  k -= of_f64(6755399441055744.0);
  /* k / 2 without an arithmetic shift of 64 bits, which AVX2 lacks */
  uint64_t half = ((k + 2048) >> 1) - 1024, rest = k - half;
  return p * bits_f64((half + 1023) << 52) * bits_f64((rest + 1023) << 52);
}
INLINE double exp_down_f64(double x) {
  uint64_t k;
  double p = exp_parts_f64(x < -746.0 ? -746.0 : x, &k);
  return p * bits_f64((k << 52) + ((1023ull + 54ull) << 52)) * 5.551115123125783e-17; /* 2^(k + 54) is normal */
}

/* log x in float64 (fdlibm's e_log.c: s = f / (2 + f) and seven even powers of it). */
INLINE double log_f64(double x) {
  const double least = 2.2250738585072014e-308;
  double scaled = x < least ? x * 18014398509481984.0 : x;
  uint64_t i = of_f64(scaled) + (0x3ff0000000000000ull - 0x3fe6a09e667f3bcdull);
  double n = bits_f64((i >> 52) | 0x4330000000000000ull) - (4503599627370496.0 + 1023.0);
  double m = bits_f64((i & 0x000fffffffffffffull) + 0x3fe6a09e667f3bcdull);
  n -= x < least ? 54.0 : 0.0;
  double f = m - 1.0, s = f / (2.0 + f), z = s * s, square = 0.5 * f * f;
  double p = 1.479819860511658591e-01;
  p = FMAD(p, z, 1.531383769920937332e-01);
  p = FMAD(p, z, 1.818357216161805012e-01);
  p = FMAD(p, z, 2.222219843214978396e-01);
  p = FMAD(p, z, 2.857142874366239149e-01);
  p = FMAD(p, z, 3.999999999940941908e-01);
  p = FMAD(p, z, 6.666666666666735130e-01);
  double y = n * 6.93147180369123816490e-01 - ((square - (s * (square + p * z) + n * 1.90821492927058770002e-10)) - f);
  y = x <= 1.7976931348623157e308 ? y : x + x;
  y = x > 0 ? y : (x == 0 ? -bits_f64(0x7ff0000000000000ull) : bits_f64(0x7ff8000000000000ull));
  return y;
}

/* log(1 + x) for x from 0 to 1, which is all that a loss asks for: without a rounding in 1 + x. */
INLINE float log1p_f32(float x) {
  int big = x > 0.41421356f; /* 1 + x = 2 · (1 + m) */
  float m = big ? (x - 1.0f) * 0.5f : x, square = m * m;
  float p = 7.0376836292e-2f;
  p = FMAF(p, m, -1.1514610310e-1f);
  p = FMAF(p, m, 1.1676998740e-1f);
  p = FMAF(p, m, -1.2420140846e-1f);
  p = FMAF(p, m, 1.4249322787e-1f);
  p = FMAF(p, m, -1.6668057665e-1f);
  p = FMAF(p, m, 2.0000714765e-1f);
  p = FMAF(p, m, -2.4999993993e-1f);
  p = FMAF(p, m, 3.3333331174e-1f);
  float y = m * square * p;
  y = big ? y - 2.12194440e-4f : y;
  y = FMAF(square, -0.5f, y) + m;
  return big ? y + 0.693359375f : y;
}
INLINE double log1p_f64(double x) {
  int big = x > 0.41421356237309503;
  double f = big ? (x - 1.0) * 0.5 : x, s = f / (2.0 + f), z = s * s, square = 0.5 * f * f;
  double p = 1.479819860511658591e-01;
  p = FMAD(p, z, 1.531383769920937332e-01);
  p = FMAD(p, z, 1.818357216161805012e-01);
  p = FMAD(p, z, 2.222219843214978396e-01);
  p = FMAD(p, z, 2.857142874366239149e-01);
  p = FMAD(p, z, 3.999999999940941908e-01);
  p = FMAD(p, z, 6.666666666666735130e-01);
  double n = big ? 1.0 : 0.0;
  return n * 6.93147180369123816490e-01 - ((square - (s * (square + p * z) + n * 1.90821492927058770002e-10)) - f);
}

#define real float
#define BITS f32
#define NAME(name) name##_f32
#define EXP exp_f32
#define EXP_DOWN exp_down_f32
#define LOG log_f32
#define LOG1P log1p_f32
#define SQRT __builtin_sqrtf
#define ABS __builtin_fabsf
#define EXP_LARGEST 88.72283935546875f
#include "step_body.h"
#undef real
#undef BITS
#undef NAME
#undef EXP
#undef EXP_DOWN
#undef LOG
#undef LOG1P
#undef SQRT
#undef ABS
#undef EXP_LARGEST

#define real double
#define BITS f64
#define NAME(name) name##_f64
#define EXP exp_f64
#define EXP_DOWN exp_down_f64
#define LOG log_f64
#define LOG1P log1p_f64
#define SQRT __builtin_sqrt
#define ABS __builtin_fabs
#define EXP_LARGEST 709.782712893384
#include "step_body.h"
#include "lbfgs_body.h"
#include "pass_body.h"
#include "newton_body.h"
