/* The rules of a step, each once: losses with their activations, optimizers.
 *
 * Scalar functions of a `real`, for C99 and for CUDA C++. They are the twins of trainer/model/models.py
 * and trainer/optim/first_order.py, whose names and order of operations they keep. Whoever includes this
 * defines `real`, NAME (of a function of it), RULE (what stands before one), EXP_LARGEST (whose EXP is finite),
 * and EXP, EXP_DOWN (of at most 0), LOG, LOG1P (of 0 to 1), ABS and SQRT of a real. Nothing here may be
 * contracted: where two roundings are written, there are two.
 */

#ifndef RULES_H
#define RULES_H
enum loss_rule {
  SQUARED_ERROR,
  BINARY_CROSS_ENTROPY,
  CATEGORICAL_CROSS_ENTROPY,
  POISSON_LOSS,
  SQUARED_ERROR_ON_SIGMOID
};
enum update_rule { SGD, NESTEROV, ADAM, LARS };
/* A step's coefficients of one column, in the order of the optimizer's tables. */
enum { LR, MOMENTUM, THRESHOLD_SGD, LOOKAHEAD, TRUST = 2 }; /* lars: TRUST in place of a threshold */
enum { BETA1, BETA2, EPSILON, ONE_MINUS_BETA1, ONE_MINUS_BETA2, RATE, ROOT, THRESHOLD_ADAM, DECAY };
#endif

/* What a rule says of one score. */
typedef struct {
  real error; /* y^ - y */
  real dz;    /* dL/dz */
  real loss;  /* its share of the row's loss */
} NAME(verdict);

/* The larger of two; NaN where either is. */
RULE real NAME(larger)(real a, real b) { return (a > b || a != a) ? a : b; }

/* 1 / (1 + e^-v), for t = e^-|v|: 0 wherever e^-v is infinite. */
RULE real NAME(sigmoid)(real v, real t) {
  real most = 1 / (1 + t);
  real found = v >= 0 ? most : t * most;
  return v < -EXP_LARGEST ? (real)0 : found;
}

/* Every loss of one score alone; softmax couples the scores of a row, see below. */
RULE NAME(verdict) NAME(judge)(const int rule, real v, real y) {
  NAME(verdict) found;
  if (rule == SQUARED_ERROR) {
    found.error = found.dz = v - y;
    found.loss = (real)0.5 * (found.error * found.error);
  } else if (rule == POISSON_LOSS) {
    real mean = EXP(v);
    found.error = found.dz = mean - y;
    found.loss = mean - v * y;
  } else {
    real t = EXP_DOWN(-ABS(v));
    real share = NAME(sigmoid)(v, t);
    found.error = share - y;
    if (rule == BINARY_CROSS_ENTROPY) {
      found.dz = found.error;
      found.loss = LOG1P(t) + ((v > 0 ? v : (real)0) - v * y);
    } else { /* SQUARED_ERROR_ON_SIGMOID */
      real again = found.error + y;
      found.dz = again * (1 - again) * found.error;
      found.loss = (real)0.5 * (found.error * found.error);
    }
  }
  return found;
}

/* Softmax: of v = z - max z, e^v, their sum over the row and the sum of y * v. */
RULE real NAME(softmax_error)(real power, real one_over_total, real y) { return power * one_over_total - y; }
RULE real NAME(softmax_loss)(real total, real dot) { return LOG(total) - dot; }

/* What the proximal operator of threshold * |w| takes from w. */
RULE real NAME(removed)(real w, real threshold) {
  real size = w < 0 ? -w : w;
  size = size < threshold || size != size ? size : threshold;
  return w < 0 ? -size : size;
}

/* What a column's lr is times, from its norms of weights, and of their gradient: 1 where either is 0. */
RULE real NAME(trust)(real coefficient, real squares, real grad_squares) {
  real length = SQRT(squares) * coefficient, steepness = SQRT(grad_squares);
  if (length == 0 || steepness == 0) return 1;
  return length / steepness;
}

/* One step of one parameter p. LARS is SGD by an lr that `trust` has multiplied. a, b: the optimizer's slots; h[j]: the coefficients; `prox`, `decay`: whether
 * there is an l1 penalty and a decay outside the objective, which a bias never has. */
RULE void NAME(update)(const int rule, const int prox, const int decay, real *p, real grad, real *a, real *b,
                       const real *h) {
  real w = *p;
  if (rule == ADAM) {
    if (decay) w -= w * h[DECAY];
    *a = *a * h[BETA1] + grad * h[ONE_MINUS_BETA1];
    *b = *b * h[BETA2] + grad * grad * h[ONE_MINUS_BETA2];
    real scale = SQRT(*b) * h[ROOT] + h[EPSILON];
    w -= *a / scale * h[RATE];
    if (prox) w -= NAME(removed)(w, h[THRESHOLD_ADAM] / scale);
  } else {
    real by = grad * h[LR], left = *a * h[MOMENTUM] - by;
    w = rule == SGD ? w + left : w - by;
    if (prox) {
      real off = NAME(removed)(w, h[THRESHOLD_SGD]);
      w -= off;
      left -= off;
    }
    *a = left;
    if (rule == NESTEROV) w += left * h[LOOKAHEAD];
  }
  *p = w;
}
