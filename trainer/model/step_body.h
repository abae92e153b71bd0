/* The drivers of one precision: rows in tiles of lanes. Included by step.c with `real` defined. */
#include "rules.h"

#define BOTH (sizeof(real) == 8) /* sums of losses by r and by q: solvers ask for both */

/* weight · value; a weight of 0 `selects`: 0 times what is not finite is NaN. */
INLINE real NAME(selected)(const int selects, real weight, real value) {
  return selects && weight == 0 ? (real)0 : weight * value;
}

/* Which column of a table a column has. */
INLINE int64_t NAME(picked)(const int64_t *of, int64_t k) { return of ? of[k] : k; }

/* A tile: `C` outputs of `L` lanes, a lane a column of a row. Overwrites z with dL/dz ⊙ q; adds to the sums.
 * y_lane, q_lane are 0 where all lanes have one number, or 1. sums: losses times r, squares, the largest, squares of
 * dL/dz, losses times q. */
INLINE void NAME(tile)(const int rule, const int selects, int64_t C, int64_t L, real *restrict z, int64_t z_output,
                       const real *restrict bias, int64_t bias_output, const real *restrict y, int64_t y_output,
                       const int y_lane, const real *restrict q, int64_t q_output, const int q_lane,
                       const real *restrict r, const int r_lane, real *restrict slopes, int64_t slopes_output,
                       real (*restrict sums)[LANES]) {
  real top[LANES], total[LANES], dot[LANES], part[5][LANES];
  if (rule == CATEGORICAL_CROSS_ENTROPY) {
    LOOP for (int64_t l = 0; l < L; l++) { top[l] = z[l] + bias[l]; total[l] = dot[l] = 0; }
    for (int64_t c = 0; c < C; c++) {
      real *restrict zc = z + c * z_output;
      const real *restrict bc = bias + c * bias_output;
      LOOP for (int64_t l = 0; l < L; l++) { real v = zc[l] + bc[l]; zc[l] = v; top[l] = v > top[l] ? v : top[l]; }
    }
    for (int64_t c0 = 0; c0 < C; c0 += CHAIN) {
      const int64_t end = C - c0 < CHAIN ? C : c0 + CHAIN;
      LOOP for (int64_t l = 0; l < L; l++) part[0][l] = part[1][l] = 0;
      for (int64_t c = c0; c < end; c++) {
        real *restrict zc = z + c * z_output;
        const real *restrict yc = y + c * y_output;
        LOOP for (int64_t l = 0; l < L; l++) {
          real v = zc[l] - top[l], power = EXP_DOWN(v);
          part[0][l] += power;
          part[1][l] += yc[l * y_lane] * v;
          zc[l] = power;
        }
      }
      LOOP for (int64_t l = 0; l < L; l++) { total[l] += part[0][l]; dot[l] += part[1][l]; }
    }
    LOOP for (int64_t l = 0; l < L; l++) {
      const real loss = NAME(softmax_loss)(total[l], dot[l]);
      sums[0][l] += NAME(selected)(selects, r[l * r_lane], loss);
      if (BOTH) sums[4][l] += NAME(selected)(selects, q[l * q_lane], loss);
      total[l] = 1 / total[l];
    }
  }
  for (int64_t c0 = 0; c0 < C; c0 += CHAIN) {
    const int64_t end = C - c0 < CHAIN ? C : c0 + CHAIN;
    real(*restrict to)[LANES] = C > CHAIN ? part : sums; /* short chains of roundings */
    if (C > CHAIN) memset(part, 0, sizeof part);
    for (int64_t c = c0; c < end; c++) {
      real *restrict zc = z + c * z_output, *restrict sc = slopes + c * slopes_output;
      const real *restrict bc = bias + c * bias_output, *restrict yc = y + c * y_output;
      const real *restrict qc = q + c * q_output;
      LOOP for (int64_t l = 0; l < L; l++) {
        real error, dz;
        if (rule == CATEGORICAL_CROSS_ENTROPY) {
          error = dz = NAME(softmax_error)(zc[l], total[l], yc[l * y_lane]);
        } else {
          NAME(verdict) found = NAME(judge)(rule, zc[l] + bc[l], yc[l * y_lane]);
          error = found.error;
          dz = found.dz;
          to[0][l] += NAME(selected)(selects, r[l * r_lane], found.loss);
          if (BOTH) to[4][l] += NAME(selected)(selects, qc[l * q_lane], found.loss);
        }
        const real weight = qc[l * q_lane];
        if (selects) {
          const int used = weight != 0 || r[l * r_lane] != 0;
          error = used ? error : (real)0;
          dz = used ? dz : (real)0;
        }
        real square = error * error;
        to[1][l] += square;
        to[2][l] = square > to[2][l] ? square : to[2][l]; /* a NaN is in their sum */
        if (rule == SQUARED_ERROR_ON_SIGMOID) to[3][l] += dz * dz;
        dz = NAME(selected)(selects, weight, dz);
        sc[l] += dz;
        zc[l] = dz;
      }
    }
    if (C > CHAIN)
      LOOP for (int64_t l = 0; l < L; l++) {
        for (int j = 0; j < 5; j++)
          if (j != 2) sums[j][l] += part[j][l];
        sums[2][l] = part[2][l] > sums[2][l] ? part[2][l] : sums[2][l];
      }
  }
}

/* The same with the rule known to the compiler. */
#define TILE_OF(selects, y_lane, q_lane, r_lane)                                                                      \
  switch (s->loss) {                                                                                                  \
    case SQUARED_ERROR: NAME(tile)(SQUARED_ERROR, selects, GIVEN(y_lane, q_lane, r_lane)); break;                              \
    case BINARY_CROSS_ENTROPY: NAME(tile)(BINARY_CROSS_ENTROPY, selects, GIVEN(y_lane, q_lane, r_lane)); break;                \
    case CATEGORICAL_CROSS_ENTROPY: NAME(tile)(CATEGORICAL_CROSS_ENTROPY, selects, GIVEN(y_lane, q_lane, r_lane)); break;      \
    case POISSON_LOSS: NAME(tile)(POISSON_LOSS, selects, GIVEN(y_lane, q_lane, r_lane)); break;                                \
    default: NAME(tile)(SQUARED_ERROR_ON_SIGMOID, selects, GIVEN(y_lane, q_lane, r_lane));                                     \
  }
#define GIVEN(y_lane, q_lane, r_lane) \
  C, L, z, z_output, bias, bias_output, y, y_output, y_lane, q, q_output, q_lane, r, r_lane, slopes, slopes_output, sums
#define SIGNATURE                                                                                                     \
  const plan *s, int64_t C, int64_t L, real *z, int64_t z_output, const real *bias, int64_t bias_output,              \
      const real *y, int64_t y_output, const real *q, int64_t q_output, const real *r, real *slopes,                  \
      int64_t slopes_output, real (*sums)[LANES]
static void NAME(tile_of_a_row)(SIGNATURE) { TILE_OF(0, 0, 0, 0) }
static void NAME(tile_of_a_light_row)(SIGNATURE) { TILE_OF(1, 0, 0, 0) }
static void NAME(tile_of_rows)(SIGNATURE) { TILE_OF(1, 1, 1, 1) }
static void NAME(tile_of_outputs)(SIGNATURE) { TILE_OF(0, 1, 0, 0) }
static void NAME(tile_of_light_outputs)(SIGNATURE) { TILE_OF(1, 1, 0, 0) }
#undef GIVEN
#undef SIGNATURE
#undef TILE_OF

/* Whether a row has a weight that is 0, or may have. */
INLINE int NAME(is_light)(const plan *s, const real *q, const real *r) { return *q == 0 || *r == 0 || s->q_output; }

/* Which row of y is at a place of the epoch's order. */
INLINE int64_t NAME(target)(const plan *s, int64_t place) {
  return s->codes ? s->codes[place] : s->order ? s->order[place] : place;
}

/* Lanes that are of one column, `columns` apart, to the first of them, by halves: few roundings in a chain. */
INLINE int64_t NAME(fold)(real *lanes, int64_t L, int64_t columns, const int largest) {
  int64_t rounds = L / columns; /* L is a multiple of `columns` */
  while (rounds > 1) {
    const int64_t half = (rounds + 1) / 2, n = (rounds - half) * columns;
    const real *restrict from = lanes + half * columns;
    LOOP for (int64_t l = 0; l < n; l++)
      lanes[l] = !largest ? lanes[l] + from[l] : from[l] > lanes[l] ? from[l] : lanes[l];
    rounds = half;
  }
  return columns;
}

/* Sums of a few rows go to those of many in float64: no chain of roundings is long. */
static void NAME(carry)(const plan *s, int64_t L, real (*restrict sums)[LANES], double (*restrict all)[LANES]) {
  for (int j = 0; j < 5; j++) {
    if ((j == 3 && s->loss != SQUARED_ERROR_ON_SIGMOID) || (j == 4 && !BOTH)) continue;
    LOOP for (int64_t l = 0; l < L; l++) {
      const double sum = all[j][l] + sums[j][l], larger = sums[j][l] > all[j][l] ? sums[j][l] : all[j][l];
      all[j][l] = j == 2 ? larger : sum;
      sums[j][l] = 0;
    }
  }
}

/* Rows, or tiles of them, between two carries: a chain of at most CHAIN sums, each of at most CHAIN numbers. */
INLINE int64_t NAME(between)(int64_t C) { return C <= CHAIN ? CHAIN / C : C <= CHAIN * CHAIN ? CHAIN * CHAIN / C : 1; }

/* Take a tile's sums to the log's (5, K), from column `at`; lanes that are `columns` apart are of one column. */
static void NAME(add_sums)(const plan *s, int64_t at, int64_t columns, int64_t L, double (*all)[LANES], real *log) {
  const int64_t K = s->columns;
  real sums[5][LANES];
  for (int j = 0; j < 5; j++)
    LOOP for (int64_t l = 0; l < L; l++) sums[j][l] = (real)all[j][l];
  for (int j = 0; j < 5; j++) NAME(fold)(sums[j], L, columns, j == 2);
  const real *dz = s->loss == SQUARED_ERROR_ON_SIGMOID ? sums[3] : sums[1];
  for (int64_t k = 0; k < columns; k++) {
    log[at + k] += sums[0][k];
    if (BOTH && s->mean) ((real *)s->mean)[at + k] += sums[4][k];
    log[K + at + k] += sums[1][k];
    log[2 * K + at + k] = NAME(larger)(sums[1][k] != sums[1][k] ? sums[1][k] : sums[2][k], log[2 * K + at + k]);
    log[3 * K + at + k] += dz[k];
  }
}

/* Take its slopes (C, L lanes) to dJ/db (C, K). */
static void NAME(add_slopes)(const plan *s, int64_t at, int64_t columns, int64_t L, real *slopes,
                             int64_t slopes_output, real *into) {
  for (int64_t c = 0; c < s->outputs; c++) {
    real *of = slopes + c * slopes_output, *to = into + c * s->columns + at;
    NAME(fold)(of, L, columns, 0);
    LOOP for (int64_t k = 0; k < columns; k++) to[k] += of[k];
  }
}

/* Columns side by side, a row at a time: where there are enough of them. room: (C, LANES) three times. */
static void NAME(errors_wide)(const plan *s, int64_t start, int64_t B, real *z, real *log, real *into, real *room) {
  const int64_t C = s->outputs, K = s->columns;
  const real *y = (const real *)s->y, *q = (const real *)s->q, *r = (const real *)s->r;
  const real *bias = (const real *)s->parameters + s->features * C * K;
  int64_t wide = LANES; /* a row's block stays in the first cache */
  while (wide > 16 && C * wide * (int64_t)sizeof(real) > 32768) wide /= 2;
  const int alike = !s->y_column && !s->q_column && !s->r_column;
  const int64_t few = NAME(between)(C);
  real *slopes = room, *lanes = room + C * wide, one_r[LANES], sums[5][LANES] = {{0}};
  int64_t at_y[LANES], at_q[LANES], at_r[LANES];
  double all[5][LANES];
  for (int64_t k0 = 0; k0 < K; k0 += wide) {
    const int64_t L = K - k0 < wide ? K - k0 : wide;
    memset(all, 0, sizeof all);
    for (int64_t l = 0; l < L; l++) {
      at_y[l] = NAME(picked)(s->targets, k0 + l) * s->y_column;
      at_q[l] = NAME(picked)(s->shares, k0 + l) * s->q_column;
      at_r[l] = NAME(picked)(s->shares, k0 + l) * s->r_column;
    }
    for (int64_t b0 = 0; b0 < B; b0 += 32) { /* slopes of few rows at a time: fewer roundings in a chain */
      const int64_t end = B - b0 < 32 ? B : b0 + 32;
      memset(slopes, 0, (size_t)(C * wide) * sizeof(real));
      for (int64_t b = b0; b < end; b++) {
        if ((b - b0) % few == 0) NAME(carry)(s, L, sums, all);
        const int64_t place = start + b;
        real *zb = z + b * C * K + k0;
        const real *yb = y + NAME(target)(s, place) * s->y_row, *qb = q + place * s->q_row, *rb = r + place * s->r_row;
        if (alike) { /* whether a weight is 0 is asked once for all columns */
          (NAME(is_light)(s, qb, rb) ? NAME(tile_of_a_light_row) : NAME(tile_of_a_row))(
              s, C, L, zb, K, bias + k0, K, yb, s->y_output, qb, s->q_output, rb, slopes, wide, sums);
          continue;
        }
        real *ly = lanes, *lq = lanes + C * wide;
        LOOP for (int64_t l = 0; l < L; l++) one_r[l] = rb[at_r[l]];
        for (int64_t c = 0; c < C; c++)
          LOOP for (int64_t l = 0; l < L; l++) {
            ly[c * wide + l] = yb[c * s->y_output + at_y[l]];
            lq[c * wide + l] = qb[c * s->q_output + at_q[l]];
          }
        NAME(tile_of_rows)(s, C, L, zb, K, bias + k0, K, ly, wide, lq, wide, one_r, slopes, wide, sums);
      }
      NAME(carry)(s, L, sums, all);
      NAME(add_slopes)(s, k0, L, L, slopes, wide, into);
    }
    NAME(add_sums)(s, k0, L, L, all, log);
  }
}

/* Rows times columns side by side: where K is small. room: (C, TILE or LANES) five times. */
static void NAME(errors_few)(const plan *s, int64_t start, int64_t B, real *z, real *log, real *into, real *room) {
  const int64_t C = s->outputs, K = s->columns, wide = C == 1 ? LANES : TILE, rows = wide / K, L = rows * K;
  const real *y = (const real *)s->y, *q = (const real *)s->q, *r = (const real *)s->r;
  const real *bias = (const real *)s->parameters + s->features * C * K;
  const int64_t q_outputs = s->q_output ? C : 1;
  real *zt = room, *yt = room + C * wide, *qt = yt + C * wide, *bt = qt + C * wide, *slopes = bt + C * wide;
  const int64_t few = NAME(between)(C) * rows;
  int64_t at_y[16], at_q[16], at_r[16];
  for (int64_t k = 0; k < K; k++) {
    at_y[k] = NAME(picked)(s->targets, k) * s->y_column;
    at_q[k] = NAME(picked)(s->shares, k) * s->q_column;
    at_r[k] = NAME(picked)(s->shares, k) * s->r_column;
  }
  real rt[LANES], sums[5][LANES] = {{0}};
  double all[5][LANES] = {{0}};
  memset(slopes, 0, (size_t)(C * wide) * sizeof(real));
  if (s->codes) memset(yt, 0, (size_t)(C * wide) * sizeof(real));
  for (int64_t c = 0; c < C; c++)
    for (int64_t l = 0, k = 0; l < L; l++, k = k + 1 == K ? 0 : k + 1) bt[c * wide + l] = bias[c * K + k];
  for (int64_t b = 0; b < B; b += rows) {
    if (b % few == 0) NAME(carry)(s, L, sums, all);
    const int64_t n = B - b < rows ? B - b : rows, from = start + b;
    const real *qb = qt, *rb = rt;
    real *at = z + b * K;
    if (s->codes) /* targets of classes are 0 but for one */
      for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < K; k++) yt[s->codes[from + i] * wide + i * K + k] = 1;
    else
      for (int64_t i = 0; i < n; i++) {
        const real *yb = y + NAME(target)(s, from + i) * s->y_row;
        for (int64_t c = 0; c < C; c++)
          for (int64_t k = 0; k < K; k++) yt[c * wide + i * K + k] = yb[c * s->y_output + at_y[k]];
      }
    if (K == 1 && q_outputs == 1 && s->q_row == 1 && s->r_row == 1) {
      qb = q + from;
      rb = r + from;
    } else {
      for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < K; k++) rt[i * K + k] = r[(from + i) * s->r_row + at_r[k]];
      for (int64_t c = 0; c < q_outputs; c++)
        for (int64_t i = 0; i < n; i++)
          for (int64_t k = 0; k < K; k++)
            qt[c * wide + i * K + k] = q[(from + i) * s->q_row + c * s->q_output + at_q[k]];
    }
    if (C > 1) {
      at = zt;
      const real *zb = z + b * C * K;
      if (K == 1)
        for (int64_t c = 0; c < C; c++)
          LOOP for (int64_t i = 0; i < n; i++) zt[c * wide + i] = zb[i * C + c];
      else
        for (int64_t i = 0; i < n; i++)
          for (int64_t c = 0; c < C; c++)
            for (int64_t k = 0; k < K; k++) zt[c * wide + i * K + k] = zb[(i * C + c) * K + k];
    }
    NAME(tile_of_rows)(s, C, n * K, at, wide, bt, wide, yt, wide, qb, q_outputs > 1 ? wide : 0, rb, slopes, wide, sums);
    if (C > 1) {
      real *zb = z + b * C * K;
      if (K == 1)
        for (int64_t i = 0; i < n; i++)
          LOOP for (int64_t c = 0; c < C; c++) zb[i * C + c] = zt[c * wide + i];
      else
        for (int64_t i = 0; i < n; i++)
          for (int64_t c = 0; c < C; c++)
            for (int64_t k = 0; k < K; k++) zb[(i * C + c) * K + k] = zt[c * wide + i * K + k];
    }
    if (s->codes)
      for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < K; k++) yt[s->codes[from + i] * wide + i * K + k] = 0;
  }
  NAME(carry)(s, L, sums, all);
  NAME(add_sums)(s, 0, K, L, all, log);
  NAME(add_slopes)(s, 0, K, L, slopes, wide, into);
}

/* Softmax of one row of one column, TILE outputs side by side. */
INLINE void NAME(softmax_row)(const int selects, int64_t C, real *restrict z, const real *restrict bias, const real *restrict y, real q,
                              real r, real *restrict slopes, real (*restrict sums)[LANES]) {
  const int64_t wide = C < TILE ? C : TILE;
  real top[TILE], total[TILE], dot[TILE];
  LOOP for (int64_t l = 0; l < wide; l++) { top[l] = z[l] + bias[l]; total[l] = dot[l] = 0; }
  for (int64_t c = 0; c < C; c += wide) {
    const int64_t L = C - c < wide ? C - c : wide;
    LOOP for (int64_t l = 0; l < L; l++) {
      real v = z[c + l] + bias[c + l];
      z[c + l] = v;
      top[l] = v > top[l] ? v : top[l];
    }
  }
  NAME(fold)(top, wide, 1, 1);
  const real most = top[0];
  for (int64_t c = 0; c < C; c += wide) {
    const int64_t L = C - c < wide ? C - c : wide;
    LOOP for (int64_t l = 0; l < L; l++) {
      real v = z[c + l] - most, power = EXP_DOWN(v);
      total[l] += power;
      dot[l] += y[c + l] * v;
      z[c + l] = power;
    }
  }
  NAME(fold)(total, wide, 1, 0);
  NAME(fold)(dot, wide, 1, 0);
  const real loss = NAME(softmax_loss)(total[0], dot[0]), share = 1 / total[0];
  sums[0][0] += NAME(selected)(selects, r, loss);
  if (BOTH) sums[4][0] += NAME(selected)(selects, q, loss);
  const int none = selects && q == 0 && r == 0;
  for (int64_t c = 0; c < C; c += wide) {
    const int64_t L = C - c < wide ? C - c : wide;
    LOOP for (int64_t l = 0; l < L; l++) {
      real error = NAME(softmax_error)(z[c + l], share, y[c + l]);
      if (selects) error = none ? (real)0 : error;
      real square = error * error;
      sums[1][l] += square;
      sums[2][l] = square > sums[2][l] ? square : sums[2][l];
      error = NAME(selected)(selects, q, error);
      slopes[c + l] += error;
      z[c + l] = error;
    }
  }
}

/* One column's outputs side by side, a row at a time: where there are enough of them. room: (C,). */
static void NAME(errors_of_one)(const plan *s, int64_t start, int64_t B, real *z, real *log, real *into, real *slopes) {
  const int64_t C = s->outputs;
  const real *y = (const real *)s->y, *q = (const real *)s->q, *r = (const real *)s->r;
  const real *bias = (const real *)s->parameters + s->features * C;
  const int64_t few = NAME(between)((C + LANES - 1) / LANES);
  real sums[5][LANES] = {{0}};
  double all[5][LANES] = {{0}};
  for (int64_t b0 = 0; b0 < B; b0 += CHAIN) {
    const int64_t end = B - b0 < CHAIN ? B : b0 + CHAIN;
    memset(slopes, 0, (size_t)C * sizeof(real));
    for (int64_t b = b0; b < end; b++) {
      if ((b - b0) % few == 0) NAME(carry)(s, LANES, sums, all);
      const real *yb = y + NAME(target)(s, start + b) * s->y_row, *qb = q + (start + b) * s->q_row;
      const real *rb = r + (start + b) * s->r_row + NAME(picked)(s->shares, 0) * s->r_column;
      qb += NAME(picked)(s->shares, 0) * s->q_column;
      yb += NAME(picked)(s->targets, 0) * s->y_column;
      real *zb = z + b * C;
      const int light = NAME(is_light)(s, qb, rb);
      if (s->loss == CATEGORICAL_CROSS_ENTROPY && light) NAME(softmax_row)(1, C, zb, bias, yb, *qb, *rb, slopes, sums);
      else if (s->loss == CATEGORICAL_CROSS_ENTROPY) NAME(softmax_row)(0, C, zb, bias, yb, *qb, *rb, slopes, sums);
      else
        for (int64_t c = 0; c < C; c += LANES) {
          const int64_t L = C - c < LANES ? C - c : LANES;
          (light ? NAME(tile_of_light_outputs) : NAME(tile_of_outputs))(
              s, 1, L, zb + c, 0, bias + c, 0, yb + c, 0, qb, 0, rb, slopes + c, 0, sums);
        }
    }
    NAME(carry)(s, LANES, sums, all);
    LOOP for (int64_t c = 0; c < C; c++) into[c] += slopes[c];
  }
  NAME(add_sums)(s, 0, 1, LANES, all, log);
}

/* `errors` of rows from place `start`: z (B, C, K) holds X·W; into (C, K) <- dJ/db of these rows. */
static void NAME(errors)(const plan *s, int64_t start, int64_t B, real *z, real *log, real *into) {
  memset(into, 0, (size_t)(s->outputs * s->columns) * sizeof(real));
  real *room = (real *)s->room; /* trainer/model/compiled.py:room_of_errors */
  const int alone = s->columns == 1 && s->outputs >= 16 && s->y_output == 1 && !s->q_output;
  if (alone) NAME(errors_of_one)(s, start, B, z, log, into, room);
  else if (s->columns < 16) NAME(errors_few)(s, start, B, z, log, into, room);
  else NAME(errors_wide)(s, start, B, z, log, into, room);
}

/* Some lanes of one row of parameters; `weight`: there is l2, and a norm to take. */
INLINE void NAME(move_lanes)(const int rule, const int weight, const int prox, const int decay, int64_t L,
                             real *restrict p, const real *restrict g, real *restrict a, real *restrict b,
                             const real (*restrict h)[LANES], const real *restrict l2, real *restrict norm) {
  LOOP for (int64_t l = 0; l < L; l++) {
    real grad = g[l], mine[9];
    if (weight) {
      grad += p[l] * l2[l];
      norm[l] += grad * grad;
    }
    for (int j = 0; j < (rule == ADAM ? 9 : 4); j++) mine[j] = h[j][l];
    NAME(update)(rule, prox, decay, p + l, grad, a + l, rule == ADAM ? b + l : a + l, mine);
  }
}

/* Rows of L lanes, `stride` apart, in all `count` numbers or, where a row has more than one block, `rows` of them. */
static void NAME(move_rows)(const plan *s, int weight, int64_t rows, int64_t last, int64_t stride, int64_t L,
                            int64_t at, const real (*h)[LANES], const real *l2, real *norm) {
  real *p = (real *)s->parameters + at, *g = (real *)s->gradient + at, *a = (real *)s->slot0 + at;
  real *b = s->slot1 ? (real *)s->slot1 + at : a, part[LANES];
  const int prox = weight && s->prox && s->update != LARS, decay = s->decay;
  for (int64_t i0 = 0; i0 < rows; i0 += 32) {
    const int64_t end = rows - i0 < 32 ? rows : i0 + 32;
    memset(part, 0, sizeof part);
    for (int64_t i = i0; i < end; i++) {
      const int64_t n = i + 1 < rows ? L : last, t = i * stride;
#define MOVE_AS(rule, weight, prox, decay) \
  NAME(move_lanes)(rule, weight, prox, decay, n, p + t, g + t, a + t, b + t, h, l2, part)
      if (s->update == ADAM) {
        if (!weight) MOVE_AS(ADAM, 0, 0, decay);
        else if (decay && prox) MOVE_AS(ADAM, 1, 1, 1);
        else if (decay) MOVE_AS(ADAM, 1, 0, 1);
        else if (prox) MOVE_AS(ADAM, 1, 1, 0);
        else MOVE_AS(ADAM, 1, 0, 0);
      } else if (s->update == SGD || s->update == LARS) {
        if (!weight) MOVE_AS(SGD, 0, 0, 0);
        else if (prox) MOVE_AS(SGD, 1, 1, 0);
        else MOVE_AS(SGD, 1, 0, 0);
      } else {
        if (!weight) MOVE_AS(NESTEROV, 0, 0, 0);
        else if (prox) MOVE_AS(NESTEROV, 1, 1, 0);
        else MOVE_AS(NESTEROV, 1, 0, 0);
      }
#undef MOVE_AS
    }
    LOOP for (int64_t l = 0; l < L; l++) norm[l] += part[l];
  }
}

/* Multiply the lr of each lane, of which `block` are of other columns, by what its column's norms say. */
static void NAME(trust_lanes)(const plan *s, int64_t rows, int64_t last, int64_t stride, int64_t L, int64_t block,
                              int64_t at, const real *restrict l2, real (*restrict h)[LANES]) {
  const real *p = (const real *)s->parameters + at, *g = (const real *)s->gradient + at;
  real of_p[LANES] = {0}, of_g[LANES] = {0}, part[2][LANES];
  for (int64_t i0 = 0; i0 < rows; i0 += 32) {
    const int64_t end = rows - i0 < 32 ? rows : i0 + 32;
    memset(part, 0, sizeof part);
    for (int64_t i = i0; i < end; i++) {
      const int64_t n = i + 1 < rows ? L : last;
      const real *restrict w = p + i * stride, *restrict slope = g + i * stride;
      LOOP for (int64_t l = 0; l < n; l++) {
        const real grad = slope[l] + w[l] * l2[l];
        part[0][l] += w[l] * w[l];
        part[1][l] += grad * grad;
      }
    }
    LOOP for (int64_t l = 0; l < L; l++) { of_p[l] += part[0][l]; of_g[l] += part[1][l]; }
  }
  NAME(fold)(of_p, L, block, 0);
  NAME(fold)(of_g, L, block, 0);
  for (int64_t k = 0; k < block; k++) of_p[k] = NAME(trust)(h[TRUST][k], of_p[k], of_g[k]);
  for (int64_t l = 0, k = 0; l < L; l++, k = k + 1 == block ? 0 : k + 1) h[LR][l] *= of_p[k];
}

/* `move`: weights, then the bias, by the coefficients (J, K) of a step. */
static void NAME(move)(const plan *s, const real *coefficients, real *log) {
  const int64_t C = s->outputs, K = s->columns, J = s->coefficients, D = s->features;
  for (int64_t k0 = 0; k0 < K; k0 += LANES) {
    const int64_t block = K - k0 < LANES ? K - k0 : LANES, rounds = D * C < LANES / K ? D * C : LANES / K;
    const int64_t L = K <= LANES ? rounds * K : block; /* whole rounds of all columns, or a block of them */
    real h[9][LANES], l2[LANES], norm[LANES], lr[LANES];
    memset(h, 0, sizeof h);
    memset(norm, 0, sizeof norm);
    for (int64_t l = 0, k = k0; l < L; l++, k = k + 1 == k0 + block ? k0 : k + 1) {
      l2[l] = ((const real *)s->l2)[k];
      for (int64_t j = 0; j < J; j++) h[j][l] = coefficients[j * K + k];
    }
    const int64_t stride = K <= LANES ? L : K, of_bias = C * block, whole = D * of_bias;
    const int64_t rows = (whole + L - 1) / L, bias_rows = (of_bias + L - 1) / L;
    const real(*const given)[LANES] = (const real(*)[LANES])h;
    memcpy(lr, h[LR], sizeof lr);
    if (s->update == LARS) NAME(trust_lanes)(s, rows, whole - (rows - 1) * L, stride, L, block, k0, l2, h);
    NAME(move_rows)(s, 1, rows, whole - (rows - 1) * L, stride, L, k0, given, l2, norm);
    NAME(fold)(norm, L, block, 0);
    LOOP for (int64_t l = 0; l < block; l++) log[4 * K + k0 + l] += norm[l];
    if (s->update == LARS) memcpy(h[LR], lr, sizeof lr); /* a bias has no norms */
    if (J > DECAY) memset(h[DECAY], 0, sizeof h[DECAY]); /* of a bias it is 0 times what may be infinite */
    if (s->bias)
      NAME(move_rows)(s, 0, bias_rows, of_bias - (bias_rows - 1) * L, stride, L, k0 + D * C * K, given, l2, norm);
  }
}

/* X of a batch, row by row, each to `padded` numbers. */
static void NAME(gather)(const plan *s, int64_t start, int64_t B) {
  const int64_t D = s->features, to = s->padded;
  const real *X = (const real *)s->X;
  real *out = (real *)s->gathered;
  for (int64_t i = 0; i < B; i++) {
    if (i + AHEAD < B) {
      const char *next = (const char *)(X + s->order[start + i + AHEAD] * D);
      for (int64_t t = 0; t < D * (int64_t)sizeof(real) && t < 4096; t += 64) PREFETCH(next + t);
      if (!s->codes) PREFETCH((const real *)s->y + s->order[start + i + AHEAD] * s->y_row);
    }
    memcpy(out + i * to, X + s->order[start + i] * D, (size_t)D * sizeof(real));
  }
}

/* Phases of a step on rows from place `start`; its log and coefficients are number `slot` of the stretch. */
EXPORT void OF_SET(step, BITS)(const plan *s, int64_t phases, int64_t start, int64_t B, int64_t slot, real *into) {
  const int64_t C = s->outputs, K = s->columns, D = s->features, n = C * K;
  real *z = (real *)s->z, *log = (real *)s->ring + slot * 5 * K, *room = (real *)s->room;
  const int packed = s->padded != D || !s->order;
  const real *rows = (const real *)(packed ? s->gathered : s->X);
  const int64_t *order = packed ? 0 : s->order + start;
  if (phases & SCORES) {
    if (!s->narrow || s->padded != D) NAME(gather)(s, start, B);
    if (s->narrow)
      OF_SET(narrow_scores, BITS)(rows, s->padded, order, B, s->padded, D, (int)n, (const real *)s->parameters, room, z);
  }
  if (phases & ERRORS) NAME(errors)(s, start, B, z, log, into);
  if (phases & GRADIENT && s->narrow)
    OF_SET(narrow_gradient, BITS)(rows, s->padded, order, B, s->padded, D, (int)n, z, room, (real *)s->gradient);
  if (phases & MOVE) NAME(move)(s, (const real *)s->table + slot * s->coefficients * K, log);
}

/* Whole steps, a batch each, from place `start` to `end`. */
EXPORT void OF_SET(steps, BITS)(const plan *s, int64_t start, int64_t end, int64_t B, int64_t slot) {
  real *into = (real *)s->gradient + s->features * s->outputs * s->columns;
  for (; start < end; start += B, slot++)
    OF_SET(step, BITS)(s, SCORES | ERRORS | GRADIENT | MOVE, start, end - start < B ? end - start : B, slot, into);
}
#undef BOTH
