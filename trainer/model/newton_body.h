/* Rounds of Newton's method for columns of few parameters: the C twin of trainer/solvers/solver.py with
 * line_search.py, and of trainer/solvers/hessians.py. Included by step.c, in float64 alone.
 *
 * A round tries a point of every column that moves, one column after another: evaluates J and its gradient, takes the
 * point or shortens the step, and from a new point solves H·d = −g. What is rare is asked for (`asks`) and done by the
 * NumPy text between two calls. A column's bits depend on nothing but itself.
 */

/* What trainer/solvers/compiled_newton.py lays out. */
typedef struct {
  int64_t rows, features, outputs, columns, parameters, inner, stride, coupled, log_every; /* N D C K P r S */
  double least, ridge;
  const double *X; /* (N, S): the rows in the basis, a 1 with a bias, and zeros */
  plan *errors;    /* of one column, for the ERRORS of all rows */
  const double *q, *mean, *directions, *floor; /* (N,), (D,) or none, (D, r) or none, (Q,) */
  const double *l2, *tol, *most;               /* (K,) each, as all below but arrays of P, C, K */
  double *w, *g, *d;                           /* (P, C, K) */
  double *value, *data, *loss, *gradient_max, *iterations, *evaluations, *length, *used, *tries, *stalled, *smallest;
  double *first;
  uint8_t *plain, *lost, *aimed;
  const uint8_t *live;
  uint8_t *asks;
  double *logged, *losses, *lr; /* (rounds, 5, K), (rounds, K), (rounds, K) */
  uint8_t *takes;               /* (rounds, K) */
  double *scores, *slopes, *room; /* (N, C) twice; see `newton_room` */
} newton;

enum { NOTHING, STEEPEST, DIRECTION }; /* what is asked for */
enum { MOST_TRIES = 40, MOST_STALLED = 12 };
#define DECREASE 1e-4
#define STEEP 0.9
#define SHORTEST 0.1
#define LONGEST 0.5
#define SMALLER 0.9
#define FLAT (16 * 2.220446049250313e-16)

/* Of one column: points, slopes and sums, in room that all share. */
typedef struct {
  double *w, *g, *d, *trial, *after, *step; /* (P, C) each */
  double *zeros, *into, *sums;              /* (C,), (C,), (6,) */
  double *h, *gram, *system, *free;         /* (N,), (S, S), (Q, Q'), what products need */
} newton_column;

static newton_column newton_room(const newton *s) {
  const int64_t n = s->parameters * s->outputs, C = s->outputs, S = s->stride;
  double *at = s->room;
  newton_column c;
  c.w = at, c.g = at + n, c.d = at + 2 * n, c.trial = at + 3 * n, c.after = at + 4 * n, c.step = at + 5 * n;
  c.zeros = at += 6 * n;
  c.into = at += C;
  c.sums = at += C;
  c.h = at += 6;
  c.gram = at += s->rows;
  c.system = at += S * S;
  c.free = at + (s->coupled ? n * (n + 8) : 0);
  return c;
}

static double dot_f64(int64_t n, const double *a, const double *b) {
  double sum = 0;
  for (int64_t j = 0; j < n; j++) sum += a[j] * b[j];
  return sum;
}

static double flatness(const newton *s, double value) { return FLAT * (__builtin_fabs(value) + s->least); }

static int settled(const newton *s, int64_t k) {
  const int over = s->gradient_max[k] <= s->tol[k] || s->iterations[k] >= s->most[k] || s->lost[k];
  return s->evaluations[k] > 0 && over;
}

/* J of `trial`, its gradient into `after`, its scores; and the sums of the rows. */
static double evaluate(const newton *s, const newton_column *c, double l2) {
  const int64_t N = s->rows, C = s->outputs, S = s->stride, P = s->parameters, weights = s->inner * C;
  OF_SET(narrow_scores, f64)(s->X, S, 0, N, S, P, (int)C, c->trial, c->free, s->scores);
  memcpy(s->slopes, s->scores, (size_t)(N * C) * sizeof(double));
  memset(c->zeros, 0, (size_t)C * sizeof(double));
  memset(c->sums, 0, 6 * sizeof(double));
  plan *errors = s->errors;
  errors->parameters = c->zeros;
  errors->mean = c->sums;
  errors->ring = c->sums + 1;
  errors->z = s->slopes;
  OF_SET(step, f64)(errors, ERRORS, 0, N, 0, c->into);
  OF_SET(narrow_gradient, f64)(s->X, S, 0, N, S, P, (int)C, s->slopes, c->free, c->after);
  for (int64_t j = 0; j < weights; j++) c->after[j] += l2 * c->trial[j];
  return c->sums[0] + 0.5 * l2 * dot_f64(weights, c->trial, c->trial);
}

/* Whether a point is far enough below (line_search.py:is_good). */
static int is_good(const newton *s, int64_t k, double value, double begin, double end) {
  const double change = __builtin_fabs(value - s->value[k]);
  const int falls = value <= s->value[k] + DECREASE * begin && begin < 0;
  const int flat = change <= flatness(s, s->value[k]);
  const int level = flat && __builtin_fabs(end) <= STEEP * __builtin_fabs(begin) && begin < 0;
  return __builtin_isfinite(value) && (s->evaluations[k] == 1 || falls || level);
}

/* Shorten a step (line_search.py:shorten). */
static void shorten(const newton *s, int64_t k, double value, double begin) {
  const double rise = value - s->value[k] - begin;
  double factor = __builtin_isfinite(rise) && rise > 0 ? -begin / (2 * rise) : SHORTEST;
  factor = factor < SHORTEST ? SHORTEST : factor > LONGEST ? LONGEST : factor;
  s->length[k] *= factor;
  s->tries[k] += 1;
  const int over = s->tries[k] > MOST_TRIES;
  if (over && !s->plain[k]) s->asks[k] = STEEPEST;
  if ((over && s->plain[k]) || s->evaluations[k] == 1) s->lost[k] = 1;
}

/* max |dJ/dW| and |dJ/db| of the features as they are (problem.py:largest). */
static double largest_slope(const newton *s, const double *g) {
  const int64_t C = s->outputs, r = s->inner;
  double largest = 0;
  for (int64_t c = 0; c < C; c++) {
    const double bias = s->parameters > r ? g[r * C + c] : 0;
    largest = larger_f64(__builtin_fabs(bias), largest);
    for (int64_t i = 0; i < s->features; i++) {
      double slope = s->directions ? 0 : g[i * C + c];
      if (s->directions)
        for (int64_t j = 0; j < r; j++) slope += s->directions[i * r + j] * g[j * C + c];
      if (s->mean) slope += s->mean[i] * bias;
      largest = larger_f64(__builtin_fabs(slope), largest);
    }
  }
  return largest;
}

/* Solve A·x = x for a symmetric A by its upper triangle, rows of `stride` numbers; 0 where it is not positive, or x not
 * finite. */
static int solve_positive(int64_t n, int64_t stride, double *restrict A, double *restrict x) {
  for (int64_t i = 0; i < n; i++) {
    double *restrict row = A + i * stride;
    if (!(row[i] > 0) || !__builtin_isfinite(row[i])) return 0;
    const double inverse = 1 / __builtin_sqrt(row[i]);
    LOOP for (int64_t j = i; j < n; j++) row[j] *= inverse;
    for (int64_t j = i + 1; j < n; j++) {
      double *restrict other = A + j * stride;
      const double by = row[j];
      LOOP for (int64_t l = j; l < n; l++) other[l] -= by * row[l];
    }
    const double found = x[i] / row[i];
    x[i] = found;
    LOOP for (int64_t j = i + 1; j < n; j++) x[j] -= found * row[j];
  }
  for (int64_t i = n - 1; i >= 0; i--) {
    const double *row = A + i * stride;
    for (int64_t j = i + 1; j < n; j++) x[i] -= row[j] * x[j];
    x[i] /= row[i];
    if (!__builtin_isfinite(x[i])) return 0;
  }
  return 1;
}

/* Solve with a little more on the diagonal (hessians.py:_regular). */
static int solve_regular(const newton *s, int64_t n, int64_t stride, double *A, double *x) {
  for (int64_t j = 0; j < n; j++) {
    double *own = A + j * stride + j;
    *own += s->ridge * (double)n * *own + s->floor[j];
  }
  return solve_positive(n, stride, A, x);
}

/* q · d²L/dz² of an output's rows. */
static void curvatures(const newton *s, int64_t c, double *restrict h) {
  const int64_t C = s->outputs, rule = s->errors->loss;
  for (int64_t i = 0; i < s->rows; i++) h[i] = s->scores[i * C + c];
  if (rule == SQUARED_ERROR)
    LOOP for (int64_t i = 0; i < s->rows; i++) h[i] = s->q[i];
  else if (rule == POISSON_LOSS)
    LOOP for (int64_t i = 0; i < s->rows; i++) h[i] = exp_f64(h[i]) * s->q[i];
  else
    LOOP for (int64_t i = 0; i < s->rows; i++) {
      const double share = sigmoid_f64(h[i], exp_down_f64(-__builtin_fabs(h[i])));
      h[i] = (1 - share) * share * s->q[i];
    }
}

/* Softmax of the scores, in place. */
static void shares(const newton *s) {
  const int64_t C = s->outputs;
  for (int64_t i = 0; i < s->rows; i++) {
    double *z = s->scores + i * C, top = z[0], total = 0;
    for (int64_t c = 1; c < C; c++) top = z[c] > top ? z[c] : top;
    for (int64_t c = 0; c < C; c++) total += z[c] = exp_down_f64(z[c] - top);
    for (int64_t c = 0; c < C; c++) z[c] /= total;
  }
}

/* d <- −H⁻¹·g where outputs have Hessians of their own. */
static int separate_direction(const newton *s, const newton_column *at, double l2) {
  const int64_t C = s->outputs, P = s->parameters, S = s->stride;
  for (int64_t c = 0; c < C; c++) {
    curvatures(s, c, at->h);
    OF_SET(weighted_gram, f64)(s->X, s->rows, S, P, at->h, at->free, at->gram);
    for (int64_t p = 0; p < s->inner; p++) at->gram[p * S + p] += l2;
    double *x = at->free;
    for (int64_t p = 0; p < P; p++) x[p] = -at->after[p * C + c];
    if (!solve_regular(s, P, S, at->gram, x)) return 0;
    for (int64_t p = 0; p < P; p++) at->d[p * C + c] = x[p];
  }
  return 1;
}

/* d <- −H⁻¹·g of softmax, without what changes no output (directions.py:fix_gauge). */
static int coupled_direction(const newton *s, const newton_column *at, double l2) {
  const int64_t C = s->outputs, P = s->parameters, S = s->stride, n = P * C, stride = n + 8;
  memset(at->system, 0, (size_t)(n * stride) * sizeof(double));
  shares(s);
  for (int64_t a = 0; a < C; a++)
    for (int64_t b = a + 1; b < C; b++) {
      for (int64_t i = 0; i < s->rows; i++) at->h[i] = -s->scores[i * C + a] * s->scores[i * C + b] * s->q[i];
      OF_SET(weighted_gram, f64)(s->X, s->rows, S, P, at->h, at->free, at->gram);
      for (int64_t p = 0; p < P; p++)
        for (int64_t t = p; t < P; t++) { /* blocks of a row sum to 0 */
          const double found = at->gram[p * S + t];
          at->system[(p * C + a) * stride + t * C + b] = found;
          if (t > p) at->system[(p * C + b) * stride + t * C + a] = found;
          at->system[(p * C + a) * stride + t * C + a] -= found;
          at->system[(p * C + b) * stride + t * C + b] -= found;
        }
    }
  for (int64_t j = 0; j < s->inner * C; j++) at->system[j * stride + j] += l2;
  for (int64_t j = 0; j < n; j++) at->d[j] = -at->after[j];
  if (!solve_regular(s, n, stride, at->system, at->d)) return 0;
  for (int64_t p = 0; p < P; p++) {
    double sum = 0;
    for (int64_t c = 0; c < C; c++) sum += at->d[p * C + c] + (p < s->inner && l2 > 0 ? at->trial[p * C + c] : 0);
    for (int64_t c = 0; c < C; c++) at->d[p * C + c] -= sum / (double)C;
  }
  return 1;
}

static void gather_column(const newton *s, int64_t k, const double *from, double *to) {
  const int64_t K = s->columns, n = s->parameters * s->outputs;
  for (int64_t j = 0; j < n; j++) to[j] = from[j * K + k];
}

static void scatter_column(const newton *s, int64_t k, const double *from, double *to) {
  const int64_t K = s->columns, n = s->parameters * s->outputs;
  for (int64_t j = 0; j < n; j++) to[j * K + k] = from[j];
}

/* Move to the trial point, and find a new direction, or ask for it (solver.py:_take,
 * line_search.py:accept). */
static void take(const newton *s, const newton_column *c, int64_t k, double value) {
  const int64_t n = s->parameters * s->outputs;
  const double norm = __builtin_sqrt(dot_f64(n, c->after, c->after)), numbers = (double)(s->features + 1) * s->outputs;
  const int falls = s->value[k] - value > flatness(s, value);
  scatter_column(s, k, c->trial, s->w);
  scatter_column(s, k, c->after, s->g);
  s->iterations[k] += s->evaluations[k] > 1;
  s->stalled[k] = falls || norm < SMALLER * s->smallest[k] ? 0 : s->stalled[k] + 1;
  if (s->stalled[k] >= MOST_STALLED) s->lost[k] = 1;
  s->smallest[k] = norm < s->smallest[k] ? norm : s->smallest[k];
  if (s->evaluations[k] == 1) s->first[k] = norm;
  s->value[k] = value;
  s->data[k] = c->sums[0];
  s->loss[k] = c->sums[1];
  s->tries[k] = 0;
  if (falls) s->plain[k] = 0;
  s->length[k] = 1;
  s->aimed[k] = 0;
  s->gradient_max[k] = norm;
  if (norm <= s->tol[k] * __builtin_sqrt(numbers)) s->gradient_max[k] = largest_slope(s, c->after);
  if (settled(s, k)) return;
  if (s->coupled ? coupled_direction(s, c, s->l2[k]) : separate_direction(s, c, s->l2[k])) {
    scatter_column(s, k, c->d, s->d);
    s->aimed[k] = 1;
  } else s->asks[k] = DIRECTION;
}

/* A round of one column (solver.py:_round), logged at number `slot`. */
static void try_point(const newton *s, const newton_column *c, int64_t k, int full, int64_t slot) {
  const int64_t K = s->columns, n = s->parameters * s->outputs;
  gather_column(s, k, s->w, c->w);
  gather_column(s, k, s->g, c->g);
  gather_column(s, k, s->d, c->d);
  for (int64_t j = 0; j < n; j++) {
    c->trial[j] = s->length[k] * c->d[j] + c->w[j];
    c->step[j] = c->trial[j] - c->w[j];
  }
  const double value = evaluate(s, c, s->l2[k]), begin = dot_f64(n, c->g, c->step);
  s->evaluations[k] += 1;
  const int good = is_good(s, k, value, begin, dot_f64(n, c->after, c->step));
  if (!good) shorten(s, k, value, begin);
  s->used[k] = s->length[k];
  if (good) take(s, c, k, value);
  double *logged = s->logged + slot * 5 * K + k;
  for (int j = 0; j < 4; j++) logged[j * K] = c->sums[1 + j];
  if (full) logged[4 * K] = dot_f64(s->inner * s->outputs, c->after, c->after);
  s->takes[slot * K + k] = (uint8_t)good;
  if (good && s->iterations[k] > 0) s->lr[slot * K + k] = s->used[k];
}

/* At most `rounds` of them from number `first`, of columns `from` to `to`, until no column moves or something is asked
 * for. All that is logged must be zero before. Returns how many. */
EXPORT int64_t OF_SET(newton_rounds, f64)(const newton *s, int64_t first, int64_t rounds, int64_t from, int64_t to) {
  const int64_t K = s->columns;
  const newton_column column = newton_room(s);
  for (int64_t t = 0; t < rounds; t++) {
    int64_t moving = 0, asked = 0;
    for (int64_t k = 0; k < K; k++) {
      if (k >= from && k < to && s->live[k] && !settled(s, k))
        try_point(s, &column, k, (first + t) % s->log_every == 0, t);
      s->losses[t * K + k] = s->loss[k];
      moving += s->live[k] && !settled(s, k);
      asked += s->asks[k] != NOTHING;
    }
    if (asked || moving == 0) return t + 1;
  }
  return rounds;
}
#undef DECREASE
#undef STEEP
#undef SHORTEST
#undef LONGEST
#undef SMALLER
#undef FLAT
