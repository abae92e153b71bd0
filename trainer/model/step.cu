/* The CUDA twin of trainer/model/step.py: the two halves of a step, a kernel each, and one that takes its rows.
 *
 * error_step_* is all between the two products, update_* all after the second; error_sums ends a solver's pass over the
 * rows, which has the first alone. NVRTC compiles this text for a GPU,
 * rules.h in its place, with `real` float or double; the tests compile the same text with a C++ compiler and run every
 * thread as a fiber (tests/cuda_shim.h). Sums have a fixed order: a block adds up its own rows into its own slot, and
 * nobody adds atomically, so that a column's bits depend on the shapes alone.
 *
 * What changes from step to step is counted on the device, in `now`: the launches of every step of full batches are the
 * same, and a CUDA graph may hold them. Who moves a number of `now` on is never who reads it: errors and the rows taken
 * read the place, which the update moves on; the update reads the slot, which the errors move on before.
 *
 * Letters: B rows of a part of a batch, D features, C outputs, K columns, G blocks of rows. The column is last.
 */
#define RULE static __device__ __forceinline__
#define NAME(name) name
#define EXP(x) exp(x)
#define EXP_DOWN(x) exp(x)
#define LOG(x) log(x)
#define LOG1P(x) log1p(x)
#define ABS(x) fabs(x)
#define SQRT(x) sqrt(x)
#define EXP_LARGEST (sizeof(real) == 4 ? (real)88.72283935546875 : (real)709.782712893384)
#include "rules.h"

enum { CHAIN = 32 }; /* numbers that a thread adds up one by one, at most */
/* What is logged of errors, as trainer.train.step_record has it; and of a solver's pass the losses times q. */
enum { LOSS, ERROR_SQUARES, ERROR_MAX, DZ_SQUARES, LOGGED, MEAN = LOGGED };

/* What a launch is told, by value; trainer/model/kernels.py lays it out. */
struct plan {
  long long features, outputs, columns, coefficients, bias, prox, decay, mean; /* mean: whether MEAN is told beside LOGGED */
  long long y_row, y_output, y_column, q_row, q_output, q_column, r_row, r_column;
  long long block_rows, tile;            /* rows of a block of error_step; those of them that are judged at once */
  long long row_blocks, weight_blocks;   /* G of this step; blocks that move weights */
  long long start, rows, first, slot;    /* place of the part's first row, B, whether it is the step's first; the log's slot */
  long long batch, places, width;        /* rows that a step moves on by, and N; numbers of a row of `taken` */
  const long long *order, *codes;        /* rows of y by place in the epoch; classes by place; or none */
  const long long *targets, *shares;     /* (K,) which column of y, and of q and r, a column has; none: its own number's */
  long long *now;                        /* (2,) to be added to `start`, and the slot in place of `slot`; or none */
  const real *y, *q, *r, *X;             /* q, r by place; X (N, D) */
  real *parameters, *slot0, *slot1;      /* (D + 1, C, K) each, as is gradient */
  const real *gradient, *l2, *table;     /* l2 (K,), table (S, J, K) */
  real *ring, *z, *partial, *squares;    /* (S, 5, K), (B, C, K), (G, C + 4 + mean, K), (S, weight_blocks, K) */
  real *lengths;                         /* (2, weight_blocks, K): squares of weights, and of their gradient; or none */
  real *taken;                           /* (B, width) */
};
static_assert(sizeof(plan) == PLAN_BYTES, "kernels.py lays it out in another way");

enum { PLACE, SLOT }; /* what `now` counts */
RULE long long start_of(const plan &s) { return s.now ? s.now[PLACE] + s.start : s.start; }
RULE long long slot_of(const plan &s) { return s.now ? s.now[SLOT] : s.slot; }
RULE bool is_one_thread(void) { return blockIdx.x + blockIdx.y + threadIdx.x + threadIdx.y + threadIdx.z == 0; }

/* Rows of X by the order of the epoch. Block (lanes of features, rows), grid (blocks of rows, parts of the features). */
RULE void take_part(const plan &s) {
  const long long b = (long long)blockIdx.x * blockDim.y + threadIdx.y;
  if (b >= s.rows) return;
  const real *from = s.X + s.order[start_of(s) + b] * s.features;
  real *to = s.taken + b * s.width;
  for (long long d = blockIdx.y * blockDim.x + threadIdx.x; d < s.features; d += (long long)gridDim.y * blockDim.x) to[d] = from[d];
}

/* weight times value; a weight of 0 selects: 0 times what is not finite is NaN. */
RULE real selected(real weight, real value) { return weight == 0 ? (real)0 : weight * value; }

RULE real together(real a, real b, const bool largest) { return largest ? larger(a, b) : a + b; }

/* A number of the lanes that share a row and column, `step` threads apart in one warp, in each of them. */
RULE real over_lanes(real mine, int step, int lanes, const bool largest) {
  for (int off = lanes / 2; off > 0; off /= 2) mine = together(mine, __shfl_xor_sync(0xffffffffu, mine, off * step), largest);
  return mine;
}

/* The target of a row and column, by output: a number, or 1 for the class of its code and else 0. */
struct target {
  const real *y;
  long long output, code;
  __device__ __forceinline__ real of(int c) const { return y ? y[c * output] : c == code ? (real)1 : (real)0; }
};

/* One row and column, its outputs shared out to lanes of a warp. */
struct row {
  real *z;           /* of output 0; the next is `next` on, in bias too */
  const real *bias, *q;
  target y;
  long long next, q_output;
  int outputs, lane, lanes, step;
  bool live;         /* a lane without a row or column only keeps its warp whole */
  bool used;         /* whether the row is the column's: one of its weights is not 0 */
  __device__ __forceinline__ real score(int c) const { return z[c * next] + bias[c * next]; }
};

/* Softmax's largest score, 1 / the sum of e^(z - largest), and the row's loss. */
struct shares {
  real top, one_over_total, loss;
};
RULE shares softmax_of(const row &a) {
  real top = a.live ? a.score(0) : (real)0, total = 0, dot = 0;
  if (a.live)
    for (int c = a.lane; c < a.outputs; c += a.lanes) top = larger(a.score(c), top);
  top = over_lanes(top, a.step, a.lanes, true);
  if (a.live)
    for (int c = a.lane; c < a.outputs;) {
      real powers = 0, products = 0;
      for (int n = 0; n < CHAIN && c < a.outputs; n++, c += a.lanes) {
        const real v = a.score(c) - top;
        powers += EXP_DOWN(v);
        products += a.y.of(c) * v;
      }
      total += powers;
      dot += products;
    }
  total = over_lanes(total, a.step, a.lanes, false);
  dot = over_lanes(dot, a.step, a.lanes, false);
  return {top, 1 / total, softmax_loss(total, dot)};
}

/* y^ - y of a row and column: z becomes dL/dz * q, and `told` (LOGGED) what is logged of it, in every lane. */
template <int rule> __device__ __forceinline__ void judge_row(const row &a, real *told) {
  shares of = {0, 0, 0};
  if (rule == CATEGORICAL_CROSS_ENTROPY) of = softmax_of(a);
  for (int j = 0; j < LOGGED; j++) told[j] = 0;
  if (a.live)
    for (int c = a.lane; c < a.outputs;) {
      real part[LOGGED] = {0, 0, 0, 0};
      for (int n = 0; n < CHAIN && c < a.outputs; n++, c += a.lanes) {
        verdict found;
        if (rule == CATEGORICAL_CROSS_ENTROPY) {
          found.error = found.dz = softmax_error(EXP_DOWN(a.score(c) - of.top), of.one_over_total, a.y.of(c));
          found.loss = 0;
        } else {
          found = judge(rule, a.score(c), a.y.of(c));
        }
        if (!a.used) found.error = found.dz = found.loss = 0;
        const real square = found.error * found.error;
        part[LOSS] += found.loss;
        part[ERROR_SQUARES] += square;
        part[ERROR_MAX] = larger(square, part[ERROR_MAX]);
        if (rule == SQUARED_ERROR_ON_SIGMOID) part[DZ_SQUARES] += found.dz * found.dz;
        a.z[c * a.next] = selected(a.q[c * a.q_output], found.dz);
      }
      for (int j = 0; j < LOGGED; j++) told[j] = together(told[j], part[j], j == ERROR_MAX);
    }
  if (rule != CATEGORICAL_CROSS_ENTROPY) told[LOSS] = over_lanes(told[LOSS], a.step, a.lanes, false);
  else told[LOSS] = a.used ? of.loss : (real)0;
  told[ERROR_SQUARES] = over_lanes(told[ERROR_SQUARES], a.step, a.lanes, false);
  told[ERROR_MAX] = over_lanes(told[ERROR_MAX], a.step, a.lanes, true);
  if (rule == SQUARED_ERROR_ON_SIGMOID) told[DZ_SQUARES] = over_lanes(told[DZ_SQUARES], a.step, a.lanes, false);
  else told[DZ_SQUARES] = told[ERROR_SQUARES]; /* dL/dz is the error */
}

/* Sums of a row that are told, and with those of its outputs. */
RULE int told_of(const plan &s) { return LOGGED + (int)s.mean; }
RULE int sums_of(const plan &s) { return (int)s.outputs + told_of(s); }

/* Add up n rows from z (n, C, K) and `told` (n, L, KX) to `own` (C + L, K), the slot of this block; L = told_of(s).
 * A sum is one thread's, or where there are fewer sums than threads that of some, whose parts lie in `room` (T,). */
RULE void add_up(const plan &s, const real *z, const real *told, int n, real *room, real *own, bool begun) {
  const int C = (int)s.outputs, L = told_of(s), KX = blockDim.x, T = KX * blockDim.y * blockDim.z;
  const int t = threadIdx.x + KX * (threadIdx.y + blockDim.y * threadIdx.z);
  const int sums = (C + L) * KX, at_once = min(sums, T), lanes = T / at_once, lane = t / at_once;
  for (int i0 = 0; i0 < sums; i0 += at_once) {
    const int i = i0 + t % at_once, c = i / KX, x = i % KX;
    const long long k = (long long)blockIdx.y * KX + x;
    const bool mine = i < sums && lane < lanes && k < s.columns, largest = c == C + ERROR_MAX;
    real sum = 0;
    if (mine)
      for (int b = lane; b < n;) {
        real part = 0;
        for (int m = 0; m < CHAIN && b < n; m++, b += lanes)
          part = together(part, c < C ? z[((long long)b * C + c) * s.columns + k] : told[(b * L + c - C) * KX + x], largest);
        sum = together(sum, part, largest);
      }
    if (lanes > 1) { /* the same for the whole block */
      room[t] = sum;
      __syncthreads();
      if (mine && lane == 0)
        for (int other = 1; other < lanes; other++) sum = together(sum, room[other * at_once + t], largest);
      __syncthreads();
    }
    if (mine && lane == 0) {
      real *to = own + c * s.columns + k;
      *to = begun ? together(*to, sum, largest) : sum;
    }
  }
}

/* Block (KX columns, CY lanes of outputs, RZ rows), KX * CY a power of 2 of at most 32, whole warps in all; grid (row
 * blocks, blocks of columns). Shared: `told` (tile, L, KX), and a number a thread. */
template <int rule> __device__ __forceinline__ void error_step(const plan &s) {
  extern __shared__ real room[];
  const int KX = blockDim.x, CY = blockDim.y, RZ = blockDim.z, C = (int)s.outputs, L = told_of(s), tile = (int)s.tile;
  const long long K = s.columns, k = (long long)blockIdx.y * KX + threadIdx.x, from = blockIdx.x * s.block_rows;
  const long long to = min(s.rows, from + s.block_rows), start = start_of(s);
  const real *bias = s.parameters + s.features * C * K + k;
  real *own = s.partial + blockIdx.x * (C + L) * K;
  if (s.now && s.first && is_one_thread()) s.now[SLOT]++;
  for (long long at = from; at < to; at += tile) {
    const int n = (int)min((long long)tile, to - at);
    for (int b0 = 0; b0 < n; b0 += RZ) { /* the same for the whole block: warps stay whole */
      const int b = b0 + threadIdx.z;
      const bool live = b < n && k < K;
      const long long place = start + at + b;
      row one = {s.z + (at + b) * C * K + k, bias, s.q, {s.y, s.y_output, 0}, K, s.q_output, C, (int)threadIdx.y, CY, KX, live, true};
      real weight = 0, logged[LOGGED];
      if (live) {
        const long long share = s.shares ? s.shares[k] : k;
        weight = s.r[place * s.r_row + share * s.r_column];
        one.q += place * s.q_row + share * s.q_column;
        one.used = weight != 0 || *one.q != 0;
        if (s.codes) one.y = {nullptr, 0, s.codes[place]};
        else one.y.y += (s.order ? s.order[place] : place) * s.y_row + (s.targets ? s.targets[k] : k) * s.y_column;
      }
      judge_row<rule>(one, logged);
      if (live && threadIdx.y == 0) {
        real *to = room + b * L * KX + threadIdx.x;
        if (s.mean) to[MEAN * KX] = selected(*one.q, logged[LOSS]); /* of the first output, where they differ */
        logged[LOSS] = selected(weight, logged[LOSS]);
        for (int j = 0; j < LOGGED; j++) to[j * KX] = logged[j];
      }
    }
    __syncthreads();
    add_up(s, s.z + at * C * K, room, n, room + tile * L * KX, own, at > from || !s.first);
    __syncthreads(); /* before the next rows overwrite what is told of these */
  }
}

/* What the first n lanes of a column have found, together in the first of them; room (lanes, KX). */
RULE real fold(real *room, real mine, int n, const bool largest) {
  const int KX = blockDim.x, lane = threadIdx.y;
  real *own = room + lane * KX + threadIdx.x;
  *own = mine;
  for (; n > 1; n = (n + 1) / 2) {
    const int half = (n + 1) / 2;
    __syncthreads();
    if (lane + half < n) *own = together(*own, own[half * KX], largest);
  }
  return *own;
}

/* One of the sums that error_step has left in parts, in the first lane of its column; room (lanes, KX). */
RULE real sum_of_parts(const plan &s, int sum, long long k, real *room) {
  const int lane = threadIdx.y, lanes = blockDim.y;
  const bool largest = sum == (int)s.outputs + ERROR_MAX;
  real found = 0;
  if (k < s.columns)
    for (long long g = lane; g < s.row_blocks; g += lanes)
      found = together(found, s.partial[(g * sums_of(s) + sum) * s.columns + k], largest);
  return fold(room, found, (int)min((long long)lanes, s.row_blocks), largest);
}

/* Block (KX columns, lanes), grid (weight_blocks, blocks of columns): the squares that a column's rate hangs on, in
 * parts. Shared: a number a thread. */
RULE void square_weights(const plan &s) {
  extern __shared__ real room[];
  const int lane = threadIdx.y, lanes = blockDim.y;
  const long long K = s.columns, k = (long long)blockIdx.y * blockDim.x + threadIdx.x, weights = s.features * s.outputs;
  const bool live = k < K;
  const real l2 = live ? s.l2[k] : (real)0;
  real found[2] = {0, 0};
  if (live)
    for (long long i = (long long)blockIdx.x * lanes + lane; i < weights;) {
      real part[2] = {0, 0};
      for (int n = 0; n < CHAIN && i < weights; n++, i += s.weight_blocks * lanes) {
        const real w = s.parameters[i * K + k], grad = s.gradient[i * K + k] + w * l2;
        part[0] += w * w;
        part[1] += grad * grad;
      }
      found[0] += part[0];
      found[1] += part[1];
    }
  for (int j = 0; j < 2; j++) {
    const real sum = fold(room, found[j], (int)min((long long)lanes, weights), false);
    if (live && lane == 0) s.lengths[(j * s.weight_blocks + blockIdx.x) * K + k] = sum;
    __syncthreads(); /* before the next overwrite the room */
  }
}

/* What square_weights has left in parts of a column, added up, in each of its lanes; room (lanes, KX). */
RULE real squares_of(const plan &s, int which, long long k, real *room) {
  const int lanes = blockDim.y;
  real found = 0;
  if (k < s.columns)
    for (long long g = threadIdx.y; g < s.weight_blocks; g += lanes)
      found += s.lengths[(which * s.weight_blocks + g) * s.columns + k];
  fold(room, found, (int)min((long long)lanes, s.weight_blocks), false);
  __syncthreads();
  found = room[threadIdx.x];
  __syncthreads();
  return found;
}

/* Move one parameter; returns the square of its gradient where it is a weight. */
template <int rule> __device__ __forceinline__ real move_one(const plan &s, long long at, real grad, const real *h, real l2, const bool weight) {
  real w = s.parameters[at], a = s.slot0[at], b = rule == ADAM ? s.slot1[at] : (real)0;
  if (weight) grad += w * l2;
  update(rule == LARS ? SGD : rule, rule != LARS && weight && s.prox, weight && s.decay, &w, grad, &a, &b, h);
  s.parameters[at] = w;
  s.slot0[at] = a;
  if (rule == ADAM) s.slot1[at] = b;
  return weight ? grad * grad : (real)0;
}

/* Block (KX columns, lanes), grid (weight_blocks + C + LOGGED, blocks of columns): the first blocks move weights and sum the
 * squares of their gradient, each of the others adds up one of the sums that error_step has left in parts: the
 * gradient of a bias, which it moves, or what is logged. Shared: a number a thread. */
template <int rule> __device__ __forceinline__ void update_step(const plan &s) {
  extern __shared__ real room[];
  const int C = (int)s.outputs, lane = threadIdx.y, lanes = blockDim.y;
  const long long K = s.columns, k = (long long)blockIdx.y * blockDim.x + threadIdx.x, weights = s.features * C;
  const long long slot = slot_of(s);
  const bool live = k < K;
  real h[9], found = 0;
  if (s.now && is_one_thread()) s.now[PLACE] = s.now[PLACE] + s.batch < s.places ? s.now[PLACE] + s.batch : 0;
  for (int j = 0; j < (rule == ADAM ? 9 : rule == NESTEROV ? 4 : 3); j++) /* lars has as many as sgd */
    h[j] = live ? s.table[(slot * s.coefficients + j) * K + k] : (real)0;
  if (blockIdx.x < s.weight_blocks) {
    const real l2 = live ? s.l2[k] : (real)0;
    if (rule == LARS) {
      const real of_weights = squares_of(s, 0, k, room), of_gradient = squares_of(s, 1, k, room);
      h[LR] *= trust(h[TRUST], of_weights, of_gradient);
    }
    if (live)
      for (long long i = (long long)blockIdx.x * lanes + lane; i < weights;) {
        real part = 0;
        for (int n = 0; n < CHAIN && i < weights; n++, i += s.weight_blocks * lanes)
          part += move_one<rule>(s, i * K + k, s.gradient[i * K + k], h, l2, true);
        found += part;
      }
    found = fold(room, found, (int)min((long long)lanes, weights), false);
    if (live && lane == 0) s.squares[(slot * s.weight_blocks + blockIdx.x) * K + k] = found;
    return;
  }
  const int sum = (int)(blockIdx.x - s.weight_blocks);
  found = sum_of_parts(s, sum, k, room);
  if (!live || lane > 0) return;
  if (sum >= C) s.ring[(slot * (LOGGED + 1) + sum - C) * K + k] = found;
  else if (s.bias) move_one<rule>(s, (weights + sum) * K + k, found, h, 0, false);
}

/* Block (KX columns, lanes), grid (C + LOGGED + 1, blocks of columns): the sums of a solver's pass, each from its parts:
 * dJ/db to `slot0` (C, K), and to `ring` (6, K) the losses times q, what is logged, and a 0 for what weights add. */
RULE void error_sums_of(const plan &s) {
  extern __shared__ real room[];
  const int C = (int)s.outputs, sum = (int)blockIdx.x;
  const long long K = s.columns, k = (long long)blockIdx.y * blockDim.x + threadIdx.x;
  const real found = sum_of_parts(s, sum, k, room);
  if (k >= K || threadIdx.y > 0) return;
  if (sum < C) s.slot0[sum * K + k] = found;
  else if (sum - C < LOGGED) s.ring[(1 + sum - C) * K + k] = found;
  else {
    s.ring[k] = found;
    s.ring[(1 + LOGGED) * K + k] = 0;
  }
}

#define KERNEL extern "C" __global__ void __launch_bounds__(256, 3) /* so few registers that three blocks go side by side */
KERNEL take_rows(plan s) { take_part(s); }
KERNEL error_step_squared_error(plan s) { error_step<SQUARED_ERROR>(s); }
KERNEL error_step_binary_cross_entropy(plan s) { error_step<BINARY_CROSS_ENTROPY>(s); }
KERNEL error_step_categorical_cross_entropy(plan s) { error_step<CATEGORICAL_CROSS_ENTROPY>(s); }
KERNEL error_step_poisson_loss(plan s) { error_step<POISSON_LOSS>(s); }
KERNEL error_step_squared_error_on_sigmoid(plan s) { error_step<SQUARED_ERROR_ON_SIGMOID>(s); }
KERNEL update_sgd(plan s) { update_step<SGD>(s); }
KERNEL update_nesterov(plan s) { update_step<NESTEROV>(s); }
KERNEL update_adam(plan s) { update_step<ADAM>(s); }
KERNEL update_lars(plan s) { update_step<LARS>(s); }
KERNEL weight_squares(plan s) { square_weights(s); }
KERNEL error_sums(plan s) { error_sums_of(s); }
