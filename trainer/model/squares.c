/* Weighted squares of ŷ − y of a linear model: its loss and its metrics are made of them.
 *
 * The twin of `regression_sums` in trainer/model/metrics.py on scores without their bias: a row of targets y
 * (C,) and a weight w in float64, scores z (C, K) in the model's own precision, in which the bias is added. Each
 * sum goes row by row, whatever stands in the other columns.
 */
#include "step.h"

#define JOIN_(a, b, c) a##_##b##_##c
#define JOIN(a, b, c) JOIN_(a, b, c)
#define SQUARES(real, BITS)                                                                                            \
  EXPORT void JOIN(squares, SET, BITS)(int64_t rows, int64_t C, int64_t K, const real *restrict z,                     \
                                       const real *restrict bias, const double *restrict y, const double *restrict w,  \
                                       double *restrict sums) {                                                        \
    for (int64_t row = 0; row < rows; row++)                                                                           \
      for (int64_t c = 0; c < C; c++) {                                                                                \
        const real *scores = z + (row * C + c) * K, *of = bias + c * K;                                                \
        double *into = sums + c * K, target = y[row * C + c], weight = w[row];                                         \
        for (int64_t k = 0; k < K; k++) {                                                                              \
          real predicted = scores[k] + of[k];                                                                          \
          double error = (double)predicted - target;                                                                   \
          into[k] += weight * (error * error);                                                                         \
        }                                                                                                              \
      }                                                                                                                \
  }

SQUARES(float, f32)
SQUARES(double, f64)
