/* A round of L-BFGS on a GPU, in float64, beside the passes over the rows: trainer/solvers/{directions,lbfgs}.py.
 *
 * The recursion of two loops is done in Gram form (Chen, Wang & Zhou 2014): all the inner products that it asks for in
 * one pass over the pairs, its numbers by column, and its direction in a second pass. NVRTC compiles this text; the
 * tests run it as they run step.cu. Sums have a fixed order: a block adds up its own rows into its own slot, and nobody
 * adds atomically, so that a column's bits depend on the shapes alone.
 *
 * Letters: n = P * C numbers of a column, "rows" here; K columns, m pairs in slots, G blocks of rows. The column is last.
 */
#define RULE static __device__ __forceinline__

enum { SUMS = 13 }; /* of a point that is tried, as trainer/solvers/slopes.py names them */

/* What a launch is told, by value; trainer/model/round_kernels.py lays it out. */
struct plan {
  long long rows, weights, outputs, columns, pairs; /* n, those of them that are weights, C, K, m */
  long long count, slot, sparse;                    /* pairs there are; the newest one's slot; whether there is l1 */
  long long block_rows, row_blocks;                 /* rows of a block; G */
  long long product_rows, product_blocks;           /* the same of pair_products, */
  long long tile, product_columns;                  /* which reads `tile` rows of so many columns at once */
  double *w, *g, *d;                                /* (n, K) each: the points, dJ/dw there without l1, directions */
  double *trial, *gradient, *step;                  /* the points that are tried, dJ/dw there, the steps to them */
  double *s, *y, *rho;                              /* (m, n, K) twice, (m, K): the pairs */
  const double *new_rho, *length, *gamma, *l2, *l1, *spectrum; /* (K,) each; the last one (P,) */
  const double *within, *takes, *moved, *which;     /* (K,) each, 0 or 1: columns */
  double *partial, *coefficients, *found, *into;    /* (G, ., K), (2, m, K), (n, K) twice */
};
static_assert(sizeof(plan) == PLAN_BYTES, "round_kernels.py lays it out in another way");

/* What the lanes of a column have found, together in the first of them; room (lanes, KX). */
RULE double fold(double *room, double mine, int n) {
  const int KX = blockDim.x, lane = threadIdx.y;
  double *own = room + lane * KX + threadIdx.x;
  *own = mine;
  for (; n > 1; n = (n + 1) / 2) {
    const int half = (n + 1) / 2;
    __syncthreads();
    if (lane + half < n) *own += own[half * KX];
  }
  return *own;
}

/* The column of a thread of a block (KX columns, lanes) in a grid (blocks of rows, blocks of columns). */
RULE long long own_column() { return (long long)blockIdx.y * blockDim.x + threadIdx.x; }

/* H0 of a row and column: 1 / (gamma * lambda + l2), of a bias without l2. */
RULE double scale_of(const plan &s, long long i, double gamma, double l2) {
  return 1 / (gamma * s.spectrum[i / s.outputs] + (i < s.weights ? l2 : 0));
}

RULE double sign_of(double v) { return v > 0 ? 1 : v < 0 ? -1 : v; }

/* The subgradient of J of least norm by one parameter, of dJ/dw without l1: trainer/solvers/orthants.py. */
RULE double steepest_of(const plan &s, const bool weight, double w, double gradient, double l1) {
  if (!s.sparse || !weight) return gradient;
  if (w != 0) return gradient + l1 * sign_of(w);
  const double beyond = fabs(gradient) - l1;
  return sign_of(gradient) * (beyond < 0 ? 0 : beyond);
}

/* The slot of the pair that is `back` older than the newest. */
RULE long long slot_of(const plan &s, int back) { return (s.slot + s.pairs - back) % s.pairs; }

/* A thread a number: points along the directions, with l1 and where they must each within its orthant; and the steps. */
RULE void point_tried_of(const plan &s) {
  const long long K = s.columns, at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (at >= s.rows * K) return;
  const long long k = at % K;
  const double w = s.w[at], product = s.length[k] * s.d[at];
  double trial = product + w;
  if (s.sparse && at / K < s.weights && s.within[k] != 0) {
    const double g = s.g[at], sign = w == 0 && fabs(g) > s.l1[k] ? -sign_of(g) : sign_of(w);
    if (!(trial * sign > 0)) trial = 0;
  }
  s.trial[at] = trial;
  s.step[at] = trial - w;
}

/* Block (KX columns, lanes), grid (G, blocks of columns): the sums of a point that is tried, of a block's rows each.
 * Shared: a number a thread. */
RULE void point_sums_of(const plan &s) {
  extern __shared__ double room[];
  const long long K = s.columns, k = own_column(), from = blockIdx.x * s.block_rows, to = min(s.rows, from + s.block_rows);
  const int lane = threadIdx.y, lanes = blockDim.y;
  const bool live = k < K;
  const double l2 = live ? s.l2[k] : 0, l1 = live ? s.l1[k] : 0;
  double sum[SUMS] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  if (live)
    for (long long i = from + lane; i < to; i += lanes) {
      const long long at = i * K + k;
      const bool weight = i < s.weights;
      const double step = s.step[at], old = s.g[at], grad = s.gradient[at], w = s.w[at], trial = s.trial[at];
      const double before = steepest_of(s, weight, w, old, l1), after = steepest_of(s, weight, trial, grad, l1);
      const double y = grad - old, curved = y - (weight ? l2 : 0) * step;
      if (weight) {
        sum[0] += trial * trial;
        sum[5] += s.sparse ? fabs(trial) : 0;
        sum[6] += s.sparse ? fabs(w) : 0;
        sum[12] += grad * grad;
      }
      sum[1] += old * step;
      sum[2] += before * step;
      sum[3] += after * step;
      sum[4] += after * after;
      sum[7] += step * y;
      sum[8] += step * curved;
      sum[9] += curved * curved / s.spectrum[i / s.outputs];
      sum[10] += step * step;
      sum[11] += y * y;
    }
  for (int j = 0; j < SUMS; j++) {
    const double all = fold(room, sum[j], lanes);
    if (live && lane == 0) s.partial[(blockIdx.x * SUMS + j) * K + k] = all;
    __syncthreads(); /* before the next sum overwrites this one's parts */
  }
}

/* A thread a number: points that are taken, and a pair of each column, zeros where it has not moved. */
RULE void point_taken_of(const plan &s) {
  const long long K = s.columns, at = (long long)blockIdx.x * blockDim.x + threadIdx.x, all = s.rows * K;
  if (at >= all) return;
  const long long k = at % K;
  const double grad = s.gradient[at];
  if (s.pairs) {
    const bool moved = s.moved[k] != 0;
    s.s[s.slot * all + at] = moved ? s.step[at] : 0;
    s.y[s.slot * all + at] = moved ? grad - s.g[at] : 0;
    if (at < K) s.rho[s.slot * K + at] = s.new_rho[at];
  }
  if (s.takes[k] != 0) {
    s.w[at] = s.trial[at];
    s.g[at] = grad;
  }
}

/* The inner products of pairs t and u, the newest first, in a table (n + 2, n) of a column: s_t * y_u where u is newer,
 * else y_t * H0 * y_u; below them s_t * g and y_t * H0 * g, g the steepest slopes. A block takes what the rows of a tile
 * add to `own` (n * (n + 2), K). Grid (blocks of rows, of columns). Shared: s, y, g and H0 of a tile, (2n + 2, tile, KX)
 * with a number after each array, so that they begin in different banks. */
RULE void pair_products_of(const plan &s) {
  extern __shared__ double room[];
  const int KX = (int)s.product_columns, n = (int)s.count, V = 2 * n + 2, sums = n * (n + 2) * KX;
  const int T = blockDim.x, t = threadIdx.x, pitch = (int)s.tile * KX + 1;
  const long long K = s.columns, k0 = (long long)blockIdx.y * KX, all = s.rows * K;
  const long long from = blockIdx.x * s.product_rows, to = min(s.rows, from + s.product_rows);
  double *own = s.partial + blockIdx.x * (long long)(n * (n + 2)) * K;
  for (long long first = from; first < to; first += s.tile) {
    const int rows = (int)min(s.tile, to - first);
    for (int j = t; j < V * rows * KX; j += T) {
      const int x = j % KX, v = j / (KX * rows);
      const long long i = first + j / KX % rows, k = k0 + x, at = i * K + k;
      if (k >= K) continue;
      double *into = room + v * pitch + j % (KX * rows);
      if (v < n) *into = s.s[slot_of(s, v) * all + at];
      else if (v < 2 * n) *into = s.y[slot_of(s, v - n) * all + at];
      else if (v == 2 * n) *into = steepest_of(s, i < s.weights, s.w[at], s.g[at], s.l1[k]);
      else *into = scale_of(s, i, s.gamma[k], s.l2[k]);
    }
    __syncthreads();
    for (int j = t; j < sums; j += T) {
      const int x = j % KX, which = j / KX, a = which < n * n ? which / n : which % n, b = which % n;
      const bool square = which < n * n, scaled = square ? b >= a : which >= n * n + n;
      const int left = scaled ? n + a : a, right = square ? n + b : 2 * n;
      if (k0 + x >= K) continue;
      double sum = 0;
      for (int i = x; i < rows * KX; i += KX) {
        const double product = room[left * pitch + i] * room[right * pitch + i];
        sum += scaled ? product * room[(2 * n + 1) * pitch + i] : product;
      }
      double *to_own = own + which * K + k0 + x;
      *to_own = first > from ? *to_own + sum : sum;
    }
    __syncthreads(); /* before the next tile overwrites this one */
  }
}

/* Block (KX columns, lanes), grid (1, blocks of columns): the table of pair_products from its parts, and by it the factors
 * of y (alpha) and of s (alpha - beta) in the direction, a thread a column (Nocedal & Wright 2006, algorithm 7.4). A pair
 * that does not count has factors 0. Shared: the table and both factors, (n * (n + 4), KX). */
RULE void pair_factors_of(const plan &s) {
  extern __shared__ double room[];
  const int n = (int)s.count, KX = blockDim.x, lane = threadIdx.y, table = n * (n + 2);
  const long long K = s.columns, k = own_column();
  double *own = room + threadIdx.x;
  if (k < K)
    for (int j = lane; j < table; j += blockDim.y) {
      double sum = 0;
      for (long long g = 0; g < s.product_blocks; g++) sum += s.partial[(g * table + j) * K + k];
      own[j * KX] = sum;
    }
  __syncthreads();
  if (k >= K || lane > 0) return;
  double *alpha = own + table * KX, *of_s = alpha + n * KX;
  for (int a = 0; a < n; a++) { /* from new to old */
    const double rho = s.rho[slot_of(s, a) * K + k];
    double dot = own[(n * n + a) * KX];
    for (int b = 0; b < a; b++) dot -= alpha[b * KX] * own[(a * n + b) * KX];
    alpha[a * KX] = rho == 0 ? 0 : rho * dot;
  }
  for (int a = n - 1; a >= 0; a--) { /* from old to new */
    const double rho = s.rho[slot_of(s, a) * K + k];
    double dot = own[(n * n + n + a) * KX];
    for (int b = 0; b < n; b++) dot -= alpha[b * KX] * own[(a < b ? a * n + b : b * n + a) * KX];
    for (int b = n - 1; b > a; b--) dot += of_s[b * KX] * own[(b * n + a) * KX];
    of_s[a * KX] = rho == 0 ? 0 : alpha[a * KX] - rho * dot;
  }
  for (int a = 0; a < n; a++) {
    s.coefficients[a * K + k] = alpha[a * KX];
    s.coefficients[(s.pairs + a) * K + k] = of_s[a * KX];
  }
}

/* Block (KX columns, lanes), grid (G, blocks of columns): the directions, and their slopes in parts. With l1 they are 0
 * in each weight in which they are not downhill (Andrew & Gao 2007, section 3.2). Shared: a number a thread. */
RULE void pair_direction_of(const plan &s) {
  extern __shared__ double room[];
  const long long K = s.columns, k = own_column(), from = blockIdx.x * s.block_rows, to = min(s.rows, from + s.block_rows);
  const int lane = threadIdx.y, lanes = blockDim.y, n = (int)s.count;
  const bool live = k < K;
  double slope = 0;
  if (live)
    for (long long i = from + lane; i < to; i += lanes) {
      const long long at = i * K + k, all = s.rows * K;
      const double g = steepest_of(s, i < s.weights, s.w[at], s.g[at], s.l1[k]);
      double q = g;
      for (int a = 0; a < n; a++) q -= s.coefficients[a * K + k] * s.y[slot_of(s, a) * all + at];
      q *= scale_of(s, i, s.gamma[k], s.l2[k]);
      for (int a = n - 1; a >= 0; a--) q += s.coefficients[(s.pairs + a) * K + k] * s.s[slot_of(s, a) * all + at];
      double d = -q;
      if (s.sparse && i < s.weights && !(d * g < 0)) d = 0;
      s.found[at] = d;
      slope += d * g;
    }
  slope = fold(room, slope, lanes);
  if (live && lane == 0) s.partial[blockIdx.x * K + k] = slope;
}

/* The same grid: directions of some columns to `into`; one that is not downhill is -H0 * g, and its pairs are forgotten. */
RULE void pair_choice_of(const plan &s) {
  extern __shared__ double room[];
  const long long K = s.columns, k = own_column(), from = blockIdx.x * s.block_rows, to = min(s.rows, from + s.block_rows);
  const int lane = threadIdx.y, lanes = blockDim.y;
  const bool live = k < K;
  double slope = 0;
  if (live)
    for (long long g = lane; g < s.row_blocks; g += lanes) slope += s.partial[g * K + k];
  fold(room, slope, lanes);
  __syncthreads();
  if (!live || s.which[k] == 0) return;
  const bool down = room[threadIdx.x] < 0;
  for (long long i = from + lane; i < to; i += lanes) {
    const long long at = i * K + k;
    const double g = steepest_of(s, i < s.weights, s.w[at], s.g[at], s.l1[k]);
    s.into[at] = down ? s.found[at] : -scale_of(s, i, s.gamma[k], s.l2[k]) * g;
  }
  if (!down && blockIdx.x == 0)
    for (long long a = lane; a < s.pairs; a += lanes) s.rho[a * K + k] = 0;
}

/* A thread a parameter and column: out of directions `into` goes what changes no output of softmax, as fix_gauge of
 * trainer/solvers/directions.py says; with l1 of biases alone. */
RULE void gauge_fixed_of(const plan &s) {
  const long long K = s.columns, j = (long long)blockIdx.x * blockDim.x + threadIdx.x, C = s.outputs;
  if (j >= s.rows / C * K) return;
  const long long k = j % K, first = j / K * C;
  const bool weight = first < s.weights, tied = weight && s.l2[k] > 0;
  if (s.sparse && weight) return;
  double sum = 0, points = 0;
  for (long long i = first; i < first + C; i++) {
    sum += s.into[i * K + k];
    if (tied) points += s.w[i * K + k];
  }
  const double shift = (sum + points) / (double)C;
  for (long long i = first; i < first + C; i++) s.into[i * K + k] -= shift;
}

#define KERNEL extern "C" __global__ void __launch_bounds__(256, 3) /* so few registers that three blocks go side by side */
KERNEL point_tried(plan s) { point_tried_of(s); }
KERNEL point_sums(plan s) { point_sums_of(s); }
KERNEL point_taken(plan s) { point_taken_of(s); }
KERNEL pair_products(plan s) { pair_products_of(s); }
KERNEL pair_factors(plan s) { pair_factors_of(s); }
KERNEL pair_direction(plan s) { pair_direction_of(s); }
KERNEL pair_choice(plan s) { pair_choice_of(s); }
KERNEL gauge_fixed(plan s) { gauge_fixed_of(s); }
