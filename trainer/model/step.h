/* What the C files share: how the library exports, and the plan that trainer/model/compiled.py lays out. */
#ifndef STEP_H
#define STEP_H
#include <stdint.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* What a stack says once, and what a stretch changes. One layout for both precisions. */
typedef struct {
  int64_t features, outputs, columns, loss, update, coefficients, bias, prox, decay;
  int64_t narrow, padded; /* whether C·K is small enough for products.c; features, to whole vectors */
  int64_t y_row, y_output, y_column, q_row, q_output, q_column, r_row, r_column;
  const void *X;
  const int64_t *order;  /* rows of X by place in the epoch; none: as they stand */
  const int64_t *codes;  /* rows of y by place; none: those of X */
  const int64_t *targets, *shares; /* (K,) which column of y, and of q and r, a column has; none: its own number's */
  const void *y, *q, *r;           /* q, r by place; a row of q and r both 0 is left out, whatever stands in it */
  void *parameters, *slot0, *slot1, *gradient; /* (D + 1, C, K) each */
  const void *l2, *table;                      /* (K,), (S, J, K) */
  void *ring, *z, *gathered, *room;            /* (S, 5, K), (B, C, K), (B, padded) */
  void *mean; /* (K,), to which the losses times q are added, in float64; none: nobody asks */
} plan;

enum phase { SCORES = 1, ERRORS = 2, GRADIENT = 4, MOVE = 8 };
enum { NARROW = 16, PACKED = 4096 }; /* C·K, and features that are copied to whole vectors, at most */

#define PASTE_(a, b, c) a##_##b##_##c
#define PASTE(a, b, c) PASTE_(a, b, c)
#define OF_SET(name, bits) PASTE(name, SET, bits)

/* room: (D,) where n is 1, else (B + D, 16).
 * z (B, n) <- rows of X times w (D, n); G (D, n) <- their transpose times z. Row i is X + order[i]·stride. */
#define ROWS_OF(real) \
  const real *X, int64_t stride, const int64_t *order, int64_t B, int64_t D, int64_t features, int n
#define DECLARE(real, bits)                                                             \
  void OF_SET(narrow_scores, bits)(ROWS_OF(real), const real *w, real *room, real *z); \
  void OF_SET(narrow_gradient, bits)(ROWS_OF(real), const real *z, real *room, real *G);
DECLARE(float, f32)
DECLARE(double, f64)
enum { GRAM_ROOM = 64 }; /* rows that `room` of the next has, each of D numbers; h (B,), out (D, D) */
void OF_SET(weighted_gram, f64)(const double *X, int64_t B, int64_t D, int64_t features, const double *h, double *room,
                                double *out);
#endif
