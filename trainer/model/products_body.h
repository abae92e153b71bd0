/* Narrow products of one precision. Rows have D numbers, a multiple of 16, of which `features` are theirs and the
 * others 0, and begin `stride` numbers apart. */
#define N(name) PASTE(name, SET, BITS)
#define VL ((int)(BYTES / sizeof(real)))
typedef real N(one) __attribute__((vector_size(BYTES)));
typedef real N(loose) __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));
#define NV (16 / VL) /* vectors of 16 columns */
#define ROW(i) (X + (order ? order[i] : (int64_t)(i)) * stride)

static inline real N(sum)(N(one) v) {
  real parts[BYTES / sizeof(real)];
  memcpy(parts, &v, sizeof v);
  for (int half = VL / 2; half; half /= 2)
    for (int j = 0; j < half; j++) parts[j] += parts[j + half];
  return parts[0];
}

/* One column: z_i = x_i · w, eight rows at a time. */
static void N(scores_of_one)(const real *X, int64_t stride, const int64_t *order, int64_t B, int64_t D, const real *w,
                             real *z) {
  for (int64_t i = 0; i < B; i += 8) {
    const int m = B - i < 8 ? (int)(B - i) : 8;
    const real *x[8];
    N(one) sums[8];
    for (int t = 0; t < 8; t++) {
      x[t] = ROW(i + (t < m ? t : 0));
      sums[t] = (N(one)){0};
    }
    for (int64_t d = 0; d < D; d += VL) {
      N(one) v = *(const N(loose) *)(w + d);
#pragma GCC unroll 8
      for (int t = 0; t < 8; t++) sums[t] += v * *(const N(loose) *)(x[t] + d);
    }
    for (int t = 0; t < m; t++) z[i + t] = N(sum)(sums[t]);
  }
}

/* `wide` vectors of features at a time, `apart` chains of rows each. */
static inline __attribute__((always_inline)) void N(gradient_block)(const int wide, const int apart, const real *X, int64_t stride,
                                                                    const int64_t *order, int64_t B, const real *z,
                                                                    real *G) {
  N(one) sums[8];
#pragma GCC unroll 8
  for (int t = 0; t < 8; t++) sums[t] = (N(one)){0};
  int64_t i = 0;
  for (; i + apart <= B; i += apart)
#pragma GCC unroll 8
    for (int a = 0; a < apart; a++) {
      const real *x = ROW(i + a);
      const real v = z[i + a];
#pragma GCC unroll 4
      for (int t = 0; t < wide; t++) sums[a * wide + t] += v * *(const N(loose) *)(x + t * VL);
    }
  for (; i < B; i++) {
    const real *x = ROW(i);
    for (int t = 0; t < wide; t++) sums[t] += z[i] * *(const N(loose) *)(x + t * VL);
  }
#pragma GCC unroll 4
  for (int t = 0; t < wide; t++) {
    N(one) total = sums[t];
#pragma GCC unroll 8
    for (int a = 1; a < apart; a++) total += sums[a * wide + t];
    *(N(loose) *)(G + t * VL) = total;
  }
}

static void N(gradient_of_one)(const real *X, int64_t stride, const int64_t *order, int64_t B, int64_t D, const real *z,
                               real *G) {
  int64_t d = 0;
  for (; d + 4 * VL <= D; d += 4 * VL) N(gradient_block)(4, 2, X + d, stride, order, B, z, G + d);
  for (; d + 2 * VL <= D; d += 2 * VL) N(gradient_block)(2, 4, X + d, stride, order, B, z, G + d);
  for (; d < D; d += VL) N(gradient_block)(1, 8, X + d, stride, order, B, z, G + d);
}

/* Rows of n numbers as rows of `wide`, the others 0. */
static void N(widen)(int64_t rows, int n, int wide, const real *from, real *to) {
  for (int64_t i = 0; i < rows; i++) {
    for (int j = 0; j < n; j++) to[i * wide + j] = from[i * n + j];
    for (int j = n; j < wide; j++) to[i * wide + j] = 0;
  }
}

void OF_SET(narrow_scores, BITS)(ROWS_OF(real), const real *w, real *room, real *z) {
  const int wide = n == 1 ? 1 : 16;
  N(widen)(features, n, wide, w, room);
  memset(room + features * wide, 0, (size_t)((D - features) * wide) * sizeof(real));
  if (n == 1) {
    N(scores_of_one)(X, stride, order, B, D, room, z);
    return;
  }
  for (int64_t i = 0; i < B; i += BLOCK) {
    const int m = B - i < BLOCK ? (int)(B - i) : BLOCK;
    const real *x[BLOCK];
    N(one) sums[BLOCK][16 / VL];
    for (int t = 0; t < BLOCK; t++) {
      x[t] = ROW(i + (t < m ? t : 0));
      for (int v = 0; v < NV; v++) sums[t][v] = (N(one)){0};
    }
    for (int64_t d = 0; d < D; d++) {
      const real *row = room + d * 16;
#pragma GCC unroll 8
      for (int t = 0; t < BLOCK; t++)
#pragma GCC unroll 8
        for (int v = 0; v < NV; v++) sums[t][v] += x[t][d] * *(const N(loose) *)(row + v * VL);
    }
    for (int t = 0; t < m; t++) {
      real all[16];
      memcpy(all, sums[t], sizeof all);
      for (int j = 0; j < n; j++) z[(i + t) * n + j] = all[j];
    }
  }
}

void OF_SET(narrow_gradient, BITS)(ROWS_OF(real), const real *z, real *room, real *G) {
  real *padded = n == 1 ? room : room + B * 16; /* (D, n) */
  if (n == 1) N(gradient_of_one)(X, stride, order, B, D, z, padded);
  else N(widen)(B, n, 16, z, room);
  for (int64_t d = 0; n > 1 && d < D; d += BLOCK) {
    N(one) sums[BLOCK][16 / VL];
    for (int t = 0; t < BLOCK; t++)
      for (int v = 0; v < NV; v++) sums[t][v] = (N(one)){0};
    for (int64_t i = 0; i < B; i++) {
      const real *x = ROW(i) + d, *row = room + i * 16;
#pragma GCC unroll 8
      for (int t = 0; t < BLOCK; t++)
#pragma GCC unroll 8
        for (int v = 0; v < NV; v++) sums[t][v] += x[t] * *(const N(loose) *)(row + v * VL);
    }
    for (int t = 0; t < BLOCK; t++) {
      real all[16];
      memcpy(all, sums[t], sizeof all);
      for (int j = 0; j < n; j++) padded[(d + t) * n + j] = all[j];
    }
  }
  memcpy(G, padded, (size_t)(features * n) * sizeof(real));
}
#undef N
#undef VL
#undef NV
#undef ROW
