/* The C twin of `_areas` in trainer/model/ranking.py: areas under the curves of a ranking.
 *
 * Sums go row by row in the order of the text, so that they are its own; nothing depends on the instruction set.
 */
#include <math.h>
#include <string.h>

#include "step.h"
#define MANY 4096       /* rows, for which few passes with many counts are worth it */
#define MOST (6 * 2048) /* counts: 6 digits of 11 bits, or 8 of 8 */

typedef struct {
  uint64_t key; /* the higher the score the lower; equal ones have one key */
  int64_t row;
} ranked;

static uint64_t key_f32(float score) {
  uint32_t bits;
  score = 0.0f - score; /* the two zeros are one */
  memcpy(&bits, &score, 4);
  return bits >> 31 ? (uint32_t)~bits : bits | 0x80000000u;
}

static uint64_t key_f64(double score) {
  uint64_t bits;
  score = 0.0 - score;
  memcpy(&bits, &score, 8);
  return bits >> 63 ? ~bits : bits | 0x8000000000000000u;
}

/* A stable radix sort of keys of so many bytes; the result is in one of the two arrays. */
static ranked *sorted(ranked *from, ranked *to, int64_t n, int64_t size) {
  int bits = n < MANY ? 8 : 11, values = 1 << bits, digits = (8 * (int)size + bits - 1) / bits;
  uint64_t mask = (uint64_t)values - 1;
  int64_t counts[MOST];
  memset(counts, 0, (size_t)(digits * values) * sizeof *counts);
  for (int64_t i = 0; i < n; i++)
    for (int d = 0; d < digits; d++) counts[d * values + (from[i].key >> (d * bits) & mask)]++;
  for (int d = 0; d < digits && n > 0; d++) {
    int64_t *place = counts + d * values, next = 0;
    if (place[from[0].key >> (d * bits) & mask] == n) continue; /* all have this digit */
    for (int v = 0; v < values; v++) {
      int64_t count = place[v];
      place[v] = next;
      next += count;
    }
    for (int64_t i = 0; i < n; i++) to[place[from[i].key >> (d * bits) & mask]++] = from[i];
    ranked *swap = from;
    from = to;
    to = swap;
  }
  return from;
}

/* (area under the ROC curve, average precision) of scores sorted from the highest. */
static void areas_of(const ranked *of, const double *w, const double *y, int64_t n, double *area, double *precision) {
  double hits = 0, alarms = 0, last_hits = 0, last_alarms = 0, twice = 0, sum = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t row = of[i].row;
    double hit = w[row] * y[row];
    hits += hit;
    alarms += w[row] - hit;
    if (i + 1 < n && of[i + 1].key == of[i].key) continue; /* tied scores are one threshold */
    double new_hits = hits - last_hits;
    twice += (alarms - last_alarms) * (2 * hits - new_hits); /* a trapezoid */
    if (new_hits != 0) sum += new_hits * (hits / (hits + alarms));
    last_hits = hits;
    last_alarms = alarms;
  }
  *area = hits > 0 && alarms > 0 ? twice / 2 / (hits * alarms) : NAN;
  *precision = hits > 0 && alarms > 0 ? sum / hits : NAN;
}

/* score (K, n) of `size` bytes each; w, y (n,); room (2, n); area, precision (K,). */
EXPORT void areas(const void *score, int64_t size, int64_t K, int64_t n, const double *w, const double *y,
                  ranked *room, double *area, double *precision) {
  for (int64_t k = 0; k < K; k++) {
    int known = 1; /* no score is NaN or minus infinity */
    for (int64_t i = 0; i < n; i++) {
      double value = size == 4 ? ((const float *)score)[k * n + i] : ((const double *)score)[k * n + i];
      room[i].key = size == 4 ? key_f32((float)value) : key_f64(value);
      room[i].row = i;
      known &= value > -INFINITY;
    }
    areas_of(sorted(room, room + n, n, size), w, y, n, &area[k], &precision[k]);
    if (!known) area[k] = precision[k] = NAN;
  }
}
