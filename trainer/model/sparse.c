/* Minimisers of a quadratic with l1: what trainer/solvers/compiled_sparse.py calls, in float64.
 *
 *     q(x) = slope·(x − start) + 1/2·(x − start)'(M + diag(l2))(x − start) + Σ_j l1_j·|x_j|
 *
 * `minimum` proposes which elements are not 0 by coordinate descent, solves the linear system of these
 * and shows that what it found is the minimum, and the only one; or says that it could not. `corners`
 * is the twin of trainer/solvers/lasso_path.py:follow_path. Compiled once for each instruction set with
 * -DSET=name. Sums run along rows of symmetric matrices, so that they are vectors without fast-math.
 */
#include <math.h>
#include <string.h>

#include "step.h"
#define NAME(name) PASTE(name, SET, f64)

/* y += Σ_i c_i · (row i of M), `count` rows of n numbers; row i is `which[i]`, or i. */
static void add_rows(int64_t n, const double *M, int64_t stride, int64_t count, const int64_t *which, const double *c,
                     double *restrict y) {
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const double *m0 = M + (which ? which[i] : i) * stride, *m1 = M + (which ? which[i + 1] : i + 1) * stride;
    const double *m2 = M + (which ? which[i + 2] : i + 2) * stride, *m3 = M + (which ? which[i + 3] : i + 3) * stride;
    const double c0 = c[i], c1 = c[i + 1], c2 = c[i + 2], c3 = c[i + 3];
    for (int64_t j = 0; j < n; j++) y[j] += (c0 * m0[j] + c1 * m1[j]) + (c2 * m2[j] + c3 * m3[j]);
  }
  for (; i < count; i++) {
    const double *m = M + (which ? which[i] : i) * stride, one = c[i];
    for (int64_t j = 0; j < n; j++) y[j] += one * m[j];
  }
}

/* --- one minimum --- */

enum { SWEEPS = 40, ENTRIES = 8 }; /* of descent over the same elements; of others to them, before a system */
#define CLOSE 1e-5       /* of the scale of slopes: descent ends where no step changes its own by more */
#define INDEPENDENT 1e-7 /* of an element's curvature: what others must leave of it (active_set.py) */
#define TIED 1e-7        /* of l1: a zero whose slope is so near l1 may be other than 0 elsewhere (active_set.py) */
#define SOLVED 1e-10     /* of the scale of slopes: what a system may leave of one */
enum { PROVEN = 1, UNDECIDED = 0, NOT_UNIQUE = -1 };

typedef struct {
  int64_t n, a;                      /* elements, and those that descend */
  const double *M, *l2, *l1;         /* (n, n), (n,), (n,) */
  double *x, *slope, *B, *s, *start; /* (n,), (n,), (a, a), (a,), (a,) */
  double *left, *pull;               /* (a,), (a,) */
  int64_t *which, *moved;            /* (a,) their numbers, (n,) */
  double scale;                      /* of slopes: the largest l1, or what is beyond it */
} work;

static double larger(double a, double b) { return a > b ? a : b; }
static double with_l1(const work *w, int64_t j) {
  return w->slope[j] + (w->x[j] > 0 ? w->l1[j] : w->x[j] < 0 ? -w->l1[j] : 0);
}

/* Gather the elements that may be other than 0 (`zeros`: those too that l1 holds at 0 no more), with their part of M. */
static void gather(work *w, int zeros) {
  w->a = 0;
  for (int64_t j = 0; j < w->n; j++)
    if (w->l1[j] == 0 || w->x[j] != 0 || (zeros && fabs(w->slope[j]) > w->l1[j])) w->which[w->a++] = j;
  for (int64_t i = 0; i < w->a; i++) {
    const double *row = w->M + w->which[i] * w->n;
    double *out = w->B + i * w->a;
    for (int64_t k = 0; k < w->a; k++) out[k] = row[w->which[k]];
    out[i] += w->l2[w->which[i]];
    w->s[i] = w->slope[w->which[i]];
    w->start[i] = w->x[w->which[i]];
  }
}

/* Add to all slopes what the gathered elements have moved since. */
static void bend(work *w) {
  double *by = w->left;
  for (int64_t i = 0; i < w->a; i++) {
    const int64_t j = w->which[i];
    by[i] = w->x[j] - w->start[i];
    w->slope[j] += w->l2[j] * by[i];
  }
  add_rows(w->n, w->M, w->n, w->a, w->which, by, w->slope);
}

/* Coordinate descent over the gathered elements; whether it has come close. */
static int descend(work *w) {
  const int64_t a = w->a;
  for (int sweep = 0; sweep < SWEEPS; sweep++) {
    int close = 1;
    for (int64_t i = 0; i < a; i++) {
      const int64_t j = w->which[i];
      const double *row = w->B + i * a, curvature = row[i], at = w->x[j], l1 = w->l1[j];
      if (!(curvature > 0)) {
        if (l1 > 0) w->x[j] = 0; /* a constant feature: l1 alone is left of q */
        continue;
      }
      const double to = at * curvature - w->s[i], size = fabs(to) - l1;
      const double next = size > 0 ? copysign(size / curvature, to) : 0.0, step = next - at;
      if (step == 0) continue;
      w->x[j] = next;
      for (int64_t k = 0; k < a; k++) w->s[k] += step * row[k];
      if (fabs(step) * curvature > CLOSE * w->scale) close = 0;
    }
    if (close) return 1;
  }
  return 0;
}

/* Cholesky's triangle of B in its upper half, four rows at a time; 0 where an element depends on others. */
static int factor(double *B, double *left, int64_t a) {
  for (int64_t i = 0; i < a; i++) left[i] = B[i * a + i];
  for (int64_t first = 0; first < a; first += 4) {
    const int64_t end = first + 4 < a ? first + 4 : a;
    for (int64_t k = first; k < end; k++) {
      double *restrict row = B + k * a;
      for (int64_t above = first; above < k; above++) {
        const double *u = B + above * a, c = u[k];
        for (int64_t j = k; j < a; j++) row[j] -= c * u[j];
      }
      if (!(row[k] > INDEPENDENT * left[k])) return 0;
      const double by = 1 / sqrt(row[k]);
      for (int64_t j = k; j < a; j++) row[j] *= by;
    }
    if (end - first < 4) break;
    const double *u0 = B + first * a, *u1 = u0 + a, *u2 = u1 + a, *u3 = u2 + a;
    for (int64_t i = end; i < a; i++) {
      double *restrict row = B + i * a;
      const double c0 = u0[i], c1 = u1[i], c2 = u2[i], c3 = u3[i];
      for (int64_t j = i; j < a; j++) row[j] -= (c0 * u0[j] + c1 * u1[j]) + (c2 * u2[j] + c3 * u3[j]);
    }
  }
  return 1;
}

/* r <- −(U'U)^-1·r. */
static void solve(const double *U, double *restrict r, int64_t a) {
  for (int64_t k = 0; k < a; k++) {
    const double *row = U + k * a, c = r[k] /= row[k];
    for (int64_t j = k + 1; j < a; j++) r[j] -= c * row[j];
  }
  for (int64_t k = a - 1; k >= 0; k--) {
    const double *row = U + k * a;
    double c = r[k];
    for (int64_t j = k + 1; j < a; j++) c -= row[j] * r[j];
    r[k] = c / row[k];
  }
  for (int64_t k = 0; k < a; k++) r[k] = -r[k];
}

/* Go to the least among the points with these signs, or until the first element is 0; whether all of the way. */
static int towards(work *w) {
  const int64_t a = w->a;
  int64_t stops = -1;
  double length = 1;
  for (int64_t i = 0; i < a; i++) w->s[i] = with_l1(w, w->which[i]);
  solve(w->B, w->s, a);
  for (int64_t i = 0; i < a; i++) {
    const int64_t j = w->which[i];
    const double at = -w->x[j] / w->s[i];
    if (w->l1[j] > 0 && w->x[j] * w->s[i] < 0 && at < length) length = at, stops = i;
  }
  for (int64_t i = 0; i < a; i++) w->start[i] = w->x[w->which[i]];
  for (int64_t i = 0; i < a; i++) w->x[w->which[i]] = i == stops ? 0.0 : w->start[i] + length * w->s[i];
  bend(w);
  return stops < 0;
}

/* Whether this is the minimum; and no other is, as elements that are not 0 do not depend on each other and no zero is
 * tied. */
static int verdict(const work *w) {
  int found = PROVEN;
  for (int64_t j = 0; j < w->n; j++) {
    if (w->l1[j] == 0 || w->x[j] != 0) {
      if (!(fabs(with_l1(w, j)) <= SOLVED * w->scale)) return UNDECIDED;
    } else if (!(fabs(w->slope[j]) < (1 - TIED) * w->l1[j])) {
      if (!(fabs(w->slope[j]) < (1 + TIED) * w->l1[j])) return UNDECIDED;
      found = NOT_UNIQUE;
    }
  }
  return found;
}

/* Take x from `from` (n,), whose slope is `at`, by the system that is solved here: once the elements that are not 0
 * and their signs are known, nothing else of the way to them is left in x. Whether they have these signs. */
static int settle(work *w, const double *from, const double *at) {
  int64_t count = 0;
  int kept = 1;
  for (int64_t i = 0; i < w->a; i++) w->pull[i] = with_l1(w, w->which[i]) - w->slope[w->which[i]];
  for (int64_t j = 0; j < w->n; j++) w->slope[j] = at[j];
  for (int64_t j = 0, i = 0; j < w->n; j++) {
    const int holds = i < w->a && w->which[i] == j;
    i += holds;
    w->x[j] = holds ? from[j] : 0.0;
    if (holds || from[j] == 0) continue;
    w->slope[j] -= w->l2[j] * from[j];
    w->left[count] = -from[j], w->moved[count++] = j;
  }
  add_rows(w->n, w->M, w->n, count, w->moved, w->left, w->slope);
  for (int twice = 0; twice < 2; twice++) { /* the second takes out rounding */
    for (int64_t i = 0; i < w->a; i++) w->start[i] = w->x[w->which[i]], w->s[i] = w->slope[w->which[i]] + w->pull[i];
    solve(w->B, w->s, w->a);
    for (int64_t i = 0; i < w->a; i++) w->x[w->which[i]] += w->s[i];
    bend(w);
  }
  for (int64_t i = 0; i < w->a; i++) kept &= w->pull[i] == 0 || w->pull[i] * w->x[w->which[i]] > 0;
  return kept;
}

/* Whether l1 holds all zeros at 0, but for what descent leaves. */
static int all_held(const work *w) {
  for (int64_t j = 0; j < w->n; j++)
    if (w->x[j] == 0 && fabs(w->slope[j]) > w->l1[j] + CLOSE * w->scale) return 0;
  return 1;
}

/* Go on minimising q from x (n,), where its slope is `slope` (n,), both in place; x ends no higher than it was.
 *
 * PROVEN: x is the minimum, and the only one, reached from `from`, where the slope is `at`. UNDECIDED: not yet.
 * NOT_UNIQUE: there may be others, or elements depend on each other. room: n^2 + 4n numbers; which: 2n. */
EXPORT int64_t NAME(minimum)(int64_t n, const double *M, const double *l2, const double *l1, const double *from,
                             const double *at, double *x, double *slope, double *room, int64_t *which) {
  work w = {.n = n, .M = M, .l2 = l2, .l1 = l1, .x = x, .slope = slope, .which = which, .moved = which + n, .B = room};
  w.s = room + n * n, w.start = w.s + n, w.left = w.start + n, w.pull = w.left + n;
  for (int64_t j = 0; j < n; j++) w.scale = larger(w.scale, larger(l1[j], fabs(slope[j]) - l1[j]));
  for (int entry = 0; entry < ENTRIES; entry++) {
    gather(&w, 1);
    const int close = descend(&w);
    bend(&w);
    if (!close || all_held(&w)) break;
  }
  gather(&w, 0);
  if (!factor(w.B, w.left, w.a)) return NOT_UNIQUE;
  if (!towards(&w)) return UNDECIDED;
  const int64_t found = verdict(&w);
  return found == PROVEN ? settle(&w, from, at) && verdict(&w) == PROVEN : found;
}

/* --- a path of minima --- */

#define LEFT 1e-9                        /* these and what they are for: lasso_path.py */
#define SAME 1e-9
#define ROUNDING (256 * 2.220446049250313e-16)
enum { DONE = 1, MORE = 0, LOST = -1 };

/* Where a path is: what stays from one corner to the next. Laid out as compiled_sparse.py has it. */
typedef struct {
  int64_t n, k, a, reached, gone;           /* elements, strengths, elements in A, strengths passed, what left A last */
  double now;                               /* the strength of the last corner */
  const double *H, *c, *strengths;          /* (n, n), (n,), (k,) */
  const uint8_t *free;                      /* (n,) elements without l1 */
  int64_t *order;                           /* (n,) those in A */
  double *inverse, *signs, *room, *found;   /* (n, n), (n,), (7, n), (n, k) */
} path;

/* Let j into A; 0 where it depends on those in it. */
static int add(path *p, int64_t j) {
  const int64_t n = p->n, a = p->a;
  const double *row = p->H + j * n;
  double *beside = p->room, *through = p->room + n, left = row[j];
  for (int64_t i = 0; i < a; i++) beside[i] = row[p->order[i]];
  memset(through, 0, a * sizeof(double));
  add_rows(a, p->inverse, n, a, 0, beside, through);
  for (int64_t i = 0; i < a; i++) left -= beside[i] * through[i];
  if (!(left > LEFT * row[j])) return 0;
  for (int64_t i = 0; i < a; i++) {
    double *restrict out = p->inverse + i * n;
    const double by = through[i] / left;
    for (int64_t m = 0; m < a; m++) out[m] += by * through[m];
    out[a] = p->inverse[a * n + i] = -by;
  }
  p->inverse[a * n + a] = 1 / left;
  p->order[p->a++] = j;
  return 1;
}

/* Take j out of A; the last takes its place. */
static void take_out(path *p, int64_t j) {
  const int64_t n = p->n, a = p->a, last = a - 1;
  int64_t at = 0;
  while (p->order[at] != j) at++;
  double *gone = p->room;
  const double root = sqrt(p->inverse[at * n + at]);
  for (int64_t m = 0; m < a; m++) gone[m] = p->inverse[at * n + m] / root;
  for (int64_t i = 0; i < a; i++) {
    double *restrict out = p->inverse + i * n;
    for (int64_t m = 0; m < a; m++) out[m] -= gone[i] * gone[m];
  }
  memcpy(p->inverse + at * n, p->inverse + last * n, a * sizeof(double));
  for (int64_t i = 0; i < a; i++) p->inverse[i * n + at] = p->inverse[i * n + last];
  p->order[at] = p->order[last];
  p->a = last;
}

/* The strength up to `now` at which j leaves 0 or comes to it, or 0; `at`: of x_j, where j is in A. */
static double corner_of(const path *p, int64_t j, double steady, double falling, const double *u, const double *v,
                        int64_t at) {
  if (p->free[j]) return 0;
  double found = at < 0                    ? fabs(steady) / (1 + (steady < 0 ? -falling : falling))
                 : p->signs[j] * v[at] < 0 ? u[at] / v[at]
                                           : 0;
  if (!(found > 0) || !(found < INFINITY)) return 0;
  return found < p->now ? found : p->now;
}

/* Write the minima of the next `count` strengths, on the line that u, v tell; what many corners have left of rounding
 * is in no result. */
static void write_minima(path *p, int64_t count, double *u, double *v, const double *steady, const double *falling) {
  const int64_t n = p->n, a = p->a;
  double *off = p->room, *less = p->room + n;
  for (int64_t i = 0; i < a; i++) {
    const int64_t j = p->order[i];
    off[i] = -steady[j], less[i] = p->signs[j] - falling[j];
  }
  add_rows(a, p->inverse, n, a, 0, off, u);
  add_rows(a, p->inverse, n, a, 0, less, v);
  for (int64_t i = 0; i < a; i++) {
    const int64_t j = p->order[i];
    double *out = p->found + j * p->k + p->reached;
    for (int64_t t = 0; t < count; t++) {
      const double x = u[i] - p->strengths[p->reached + t] * v[i];
      out[t] = p->free[j] || x * p->signs[j] > ROUNDING * fabs(u[i]) ? x : 0; /* at a corner x is rounding */
    }
  }
  p->reached += count;
}

/* Follow the path for `most` corners. DONE: all strengths are passed. LOST: an element depends on others. */
EXPORT int64_t NAME(corners)(int64_t most, path *p) {
  const int64_t n = p->n;
  for (int64_t j = 0; j < n && p->now == INFINITY; j++)
    if (p->free[j]) add(p, j);
  double *u = p->room + 2 * n, *v = u + n, *steady = v + n, *falling = steady + n, *place = falling + n;
  for (; most > 0; most--) {
    const int64_t a = p->a;
    double *off = p->room, *sign = p->room + n, until = 0;
    int64_t corner = 0, count = 0;
    memset(u, 0, 2 * n * sizeof(double));
    for (int64_t i = 0; i < a; i++) off[i] = -p->c[p->order[i]], sign[i] = p->signs[p->order[i]];
    add_rows(a, p->inverse, n, a, 0, off, u);
    add_rows(a, p->inverse, n, a, 0, sign, v);
    memcpy(steady, p->c, n * sizeof(double));
    memset(falling, 0, n * sizeof(double));
    add_rows(n, p->H, n, a, p->order, u, steady);
    add_rows(n, p->H, n, a, p->order, v, falling);
    for (int64_t j = 0; j < n; j++) place[j] = -1;
    for (int64_t i = 0; i < a; i++) place[p->order[i]] = (double)i;
    for (int64_t j = 0; j < n; j++) {
      double at = corner_of(p, j, steady[j], falling[j], u, v, (int64_t)place[j]);
      if (j == p->gone && at > (1 - SAME) * p->now)
        at = 0; /* it has just left A: its line has this corner and no other */
      if (at > until) until = at, corner = j;
    }
    while (p->reached + count < p->k && p->strengths[p->reached + count] >= until) count++;
    if (count) write_minima(p, count, u, v, steady, falling);
    if (p->reached == p->k) return DONE;
    p->now = until, p->gone = -1;
    if (p->signs[corner] != 0) {
      take_out(p, corner);
      p->signs[corner] = 0, p->gone = corner;
    } else {
      const double slope = steady[corner] - until * falling[corner];
      p->signs[corner] = slope > 0 ? -1 : slope < 0;
      if (!add(p, corner)) return LOST;
    }
  }
  return MORE;
}
