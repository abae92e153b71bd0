/* The C twin of trainer/solvers/lbfgs.py, in float64: a column of K is a lane. Included by step.c. */

enum { MOST_PAIRS = 64 };

/* How arrays (n, K) go by in lanes: all columns of several rows side by side, or a block of columns of one. */
typedef struct { int64_t rows, stride, lanes, block, tail; } shape_f64;

INLINE shape_f64 shape_of_f64(int64_t n, int64_t K, int64_t k0) {
  const int64_t block = K - k0 < LANES ? K - k0 : LANES, lanes = K <= LANES ? LANES / K * K : block;
  const int64_t whole = K <= LANES ? n * K : n * block, rows = (whole + lanes - 1) / lanes;
  const shape_f64 found = {rows, K <= LANES ? lanes : K, lanes, block, whole - (rows - 1) * lanes};
  return found;
}

/* sum[l] <- the sum of a · b of each column, for its first lane and again for all of them. */
INLINE void dots_f64(const shape_f64 *s, const double *restrict a, const double *restrict b, double *restrict sum) {
  const int64_t L = s->lanes, block = s->block;
  LOOP for (int64_t l = 0; l < L; l++) sum[l] = 0;
  for (int64_t i = 0; i < s->rows; i++) {
    const double *restrict ai = a + i * s->stride, *restrict bi = b + i * s->stride;
    const int64_t end = i + 1 < s->rows ? L : s->tail;
    LOOP for (int64_t l = 0; l < end; l++) sum[l] += ai[l] * bi[l];
  }
  fold_f64(sum, L, block, 0);
  for (int64_t l = block; l < L; l += block) memcpy(sum + l, sum, (size_t)block * sizeof(double));
}

/* q += by · a, a factor a lane. */
INLINE void add_f64(const shape_f64 *s, const double *restrict by, const double *restrict a, double *restrict q) {
  for (int64_t i = 0; i < s->rows; i++) {
    const double *restrict ai = a + i * s->stride;
    double *restrict qi = q + i * s->stride;
    const int64_t end = i + 1 < s->rows ? s->lanes : s->tail;
    LOOP for (int64_t l = 0; l < end; l++) qi[l] += by[l] * ai[l];
  }
}

/* −H·q into q (P·C, K) by `count` pairs in slots `order`, the newest first. scale (P, K); s, y (m, P·C, K); rho (m, K). */
EXPORT void OF_SET(lbfgs_direct, BITS)(int64_t P, int64_t C, int64_t K, int64_t count, const int64_t *order,
                                       const double *scale, const double *s, const double *y, const double *rho,
                                       double *q) {
  const int64_t n = P * C;
  double alpha[MOST_PAIRS][LANES], sum[LANES];
  for (int64_t k0 = 0; k0 < K; k0 += LANES) {
    const shape_f64 shape = shape_of_f64(n, K, k0);
    const int64_t L = shape.lanes, block = shape.block;
    for (int64_t t = 0; t < count; t++) {
      const int64_t at = order[t] * n * K + k0;
      const double *own = rho + order[t] * K + k0;
      dots_f64(&shape, s + at, q + k0, sum);
      for (int64_t l = 0; l < L; l++) {
        alpha[t][l] = own[l % block] * sum[l];
        sum[l] = -alpha[t][l];
      }
      add_f64(&shape, sum, y + at, q + k0);
    }
    for (int64_t j = 0; j < n; j++) {
      const double *restrict h = scale + j / C * K + k0;
      double *restrict qj = q + j * K + k0;
      LOOP for (int64_t k = 0; k < block; k++) qj[k] *= h[k];
    }
    for (int64_t t = count - 1; t >= 0; t--) {
      const int64_t at = order[t] * n * K + k0;
      const double *own = rho + order[t] * K + k0;
      dots_f64(&shape, y + at, q + k0, sum);
      for (int64_t l = 0; l < L; l++) sum[l] = alpha[t][l] - own[l % block] * sum[l];
      add_f64(&shape, sum, s + at, q + k0);
    }
  }
  for (int64_t j = 0; j < n * K; j++) q[j] = -q[j];
}

/* A pair: s <- step and y <- after − before, 0 for columns that have not moved; with curved = y − l2·s of the weights
 * (the first r of P rows) sums (5, K) <- s·y, s·curved, curved²/λ, s·s, y·y. */
EXPORT void OF_SET(lbfgs_pair, BITS)(int64_t P, int64_t C, int64_t K, int64_t r, const uint8_t *moved, const double *l2,
                                     const double *spectrum, const double *step, const double *before,
                                     const double *after, double *s, double *y, double *sums) {
  double kept[LANES], part[5][LANES];
  for (int64_t k0 = 0; k0 < K; k0 += LANES) {
    const int64_t block = K - k0 < LANES ? K - k0 : LANES;
    memset(part, 0, sizeof part);
    for (int64_t p = 0; p < P; p++) {
      const double inverse = 1 / spectrum[p];
      LOOP for (int64_t k = 0; k < block; k++) kept[k] = p < r ? l2[k0 + k] : 0;
      for (int64_t c = 0; c < C; c++) {
        const int64_t at = (p * C + c) * K + k0;
        const double *restrict from = before + at, *restrict to = after + at, *restrict by = step + at;
        double *restrict sk = s + at, *restrict yk = y + at;
        LOOP for (int64_t k = 0; k < block; k++) {
          const double a = moved[k0 + k] ? by[k] : 0, b = moved[k0 + k] ? to[k] - from[k] : 0, d = b - kept[k] * a;
          sk[k] = a;
          yk[k] = b;
          part[0][k] += a * b;
          part[1][k] += a * d;
          part[2][k] += d * d * inverse;
          part[3][k] += a * a;
          part[4][k] += b * b;
        }
      }
    }
    for (int j = 0; j < 5; j++) memcpy(sums + j * K + k0, part[j], (size_t)block * sizeof(double));
  }
}
