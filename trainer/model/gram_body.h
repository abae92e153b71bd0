/* A sum of outer products of rows, in float64: the Hessian of few parameters. Included by products.c. */
#define VL ((int)(BYTES / sizeof(double)))
typedef double gram_lanes __attribute__((vector_size(BYTES)));
typedef double gram_loose __attribute__((vector_size(BYTES), aligned(sizeof(double)), may_alias));
#if defined(__AVX512F__)
enum { TALL = 8, MOST_WIDE = 3 }; /* features, and vectors of others, whose products are in registers together */
#elif defined(__AVX__) || defined(__aarch64__)
enum { TALL = 4, MOST_WIDE = 3 };
#else
enum { TALL = 4, MOST_WIDE = 2 };
#endif

/* out (TALL, `wide` vectors) += Σ_i a_i · x_i of B rows; all of them have rows of D numbers. */
static inline __attribute__((always_inline)) void gram_block(const int wide, int64_t B, int64_t D, const double *a,
                                                             const double *x, double *out) {
  gram_lanes sums[TALL][MOST_WIDE];
#pragma GCC unroll 8
  for (int t = 0; t < TALL; t++)
#pragma GCC unroll 3
    for (int v = 0; v < wide; v++) sums[t][v] = *(const gram_loose *)(out + t * D + v * VL);
  for (int64_t i = 0; i < B; i++, a += D, x += D) {
#pragma GCC unroll 8
    for (int t = 0; t < TALL; t++)
#pragma GCC unroll 3
      for (int v = 0; v < wide; v++) sums[t][v] += a[t] * *(const gram_loose *)(x + v * VL);
  }
#pragma GCC unroll 8
  for (int t = 0; t < TALL; t++)
#pragma GCC unroll 3
    for (int v = 0; v < wide; v++) *(gram_loose *)(out + t * D + v * VL) = sums[t][v];
}

/* The upper triangle of out (D, D) <- Σ_i h_i · x_i · x_i' of the first `features` numbers of B rows of D numbers, a
 * multiple of 16; what is below the diagonal may be anything. room: (GRAM_ROOM, D). */
void OF_SET(weighted_gram, f64)(const double *X, int64_t B, int64_t D, int64_t features, const double *h, double *room,
                                double *out) {
  memset(out, 0, (size_t)(D * D) * sizeof(double));
  for (int64_t i0 = 0; i0 < B; i0 += GRAM_ROOM, X += GRAM_ROOM * D) {
    const int64_t n = B - i0 < GRAM_ROOM ? B - i0 : GRAM_ROOM;
    for (int64_t i = 0; i < n; i++)
      for (int64_t d = 0; d < D; d++) room[i * D + d] = h[i0 + i] * X[i * D + d];
    for (int64_t p = 0; p < features; p += TALL)
      for (int64_t q = p / VL * VL; q < features;) {
        const int64_t left = (features - q + VL - 1) / VL;
        double *to = out + p * D + q;
        if (left >= 3 && left != 4 && MOST_WIDE > 2) {
          gram_block(MOST_WIDE, n, D, room + p, X + q, to);
          q += MOST_WIDE * VL;
        } else if (left >= 2) {
          gram_block(2, n, D, room + p, X + q, to);
          q += 2 * VL;
        } else {
          gram_block(1, n, D, room + p, X + q, to);
          q += VL;
        }
      }
  }
}
#undef VL
