/* A pass over all rows for few scores a row, in float64: scores, errors and gradient of a chunk of rows while it is in
 * the cache. What trainer/model/compiled_errors.py calls; included by step.c.
 */
enum { PAD = 16 };

/* Sums of rows `from` to `to` of D numbers: G (D, C, K) <- dJ/dW, into (C, K) <- dJ/db, added to those of the rows
 * before them where there are any; what is logged as `step` does. w (D, C, K), or none for zeros. kept (N, C, K) <- the scores without the bias; none: nobody asks. room:
 * (2·chunk + D + 16)·(16 + C·K) + C·K numbers. */
EXPORT void OF_SET(pass, f64)(plan *s, const double *X, int64_t from, int64_t to, int64_t D, int64_t chunk,
                              const double *w, double *kept, double *room, double *G, double *into) {
  const int64_t n = s->outputs * s->columns, whole = D / PAD * PAD, left = D - whole; /* `left` numbers are padded */
  double *tail = room, *z = tail + chunk * PAD, *more = z + chunk * n, *part = more + chunk * n;
  double *part_into = part + (D + PAD) * n, *free = part_into + n;
  if (from == 0) {
    memset(G, 0, (size_t)(D * n) * sizeof(double));
    memset(into, 0, (size_t)n * sizeof(double));
  }
  s->z = z;
  for (int64_t start = from; start < to; start += chunk) {
    const int64_t B = to - start < chunk ? to - start : chunk;
    const double *rows = X + start * D;
    if (left) {
      memset(tail, 0, (size_t)(B * PAD) * sizeof(double));
      for (int64_t i = 0; i < B; i++)
        memcpy(tail + i * PAD, rows + i * D + whole, (size_t)left * sizeof(double));
    }
    if (!w || !whole) memset(z, 0, (size_t)(B * n) * sizeof(double));
    else OF_SET(narrow_scores, f64)(rows, D, 0, B, whole, whole, (int)n, w, free, z);
    if (w && left) {
      OF_SET(narrow_scores, f64)(tail, PAD, 0, B, PAD, left, (int)n, w + whole * n, free, more);
      LOOP for (int64_t i = 0; i < B * n; i++) z[i] += more[i];
    }
    if (kept) memcpy(kept + start * n, z, (size_t)(B * n) * sizeof(double));
    OF_SET(step, f64)(s, ERRORS, start, B, 0, part_into);
    if (whole) OF_SET(narrow_gradient, f64)(rows, D, 0, B, whole, whole, (int)n, z, free, part);
    if (left) OF_SET(narrow_gradient, f64)(tail, PAD, 0, B, PAD, left, (int)n, z, free, part + whole * n);
    LOOP for (int64_t j = 0; j < D * n; j++) G[j] += part[j];
    LOOP for (int64_t j = 0; j < n; j++) into[j] += part_into[j];
  }
}
