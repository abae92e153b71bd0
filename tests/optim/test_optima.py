"""Every optimizer reaches scikit-learn's optimum of every penalty at every momentum."""

import inspect

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from stacks import host, make_problem, make_stack, start, train

from trainer.model.penalties import elastic_net, from_inverse_c

MOMENTA = (0.0, 0.5, 0.9)
L1_RATIOS = {"l2": 0.0, "l1": 1.0, "elastic net": 0.4}
# steps and peak lr: cosine to 0 over a full batch; K = 9 columns, penalties x momenta
PLANS = {"sgd": (1500, 0.5), "nesterov": (1500, 0.5), "adam": (2000, 0.05)}
MODELS = [("linear", 1), ("linear", 3), ("logistic", 1), ("softmax", 3)]
WEIGHTS = ["none", "rows", "classes"]
CASES = [
    (optimizer, *model, weights)
    for optimizer in PLANS
    for model in MODELS
    for weights in WEIGHTS
    if not (model[0] == "linear" and weights == "classes")
]


def test_the_table_of_cases_is_whole():
    assert len(CASES) == 3 * (2 * 2 + 2 * 3)


def logistic_regression(C, l1_ratio):
    exact = {"tol": 1e-13, "max_iter": 200_000, "C": C}
    if inspect.signature(LogisticRegression).parameters["penalty"].default == "deprecated":
        penalty = {"l1_ratio": l1_ratio}
    else:
        penalty = {"l1_ratio": l1_ratio, "penalty": "elasticnet"}
    if l1_ratio == 0:
        return LogisticRegression(solver="newton-cg", **exact)
    return LogisticRegression(solver="saga", random_state=0, **exact, **penalty)


def optimum(problem, strength, l1_ratio):
    """scikit-learn's coefficients (D, C) and intercepts (C,); strength is alpha, or C."""
    if problem.model != "linear":
        labels = problem.y if problem.y.ndim == 1 else problem.y[:, 0]
        fitted = logistic_regression(strength, l1_ratio).fit(problem.X, labels, problem.s)
        return fitted.coef_.T, fitted.intercept_
    exact = {"tol": 1e-15, "max_iter": 100_000}
    if l1_ratio == 0:  # Ridge's alpha is not divided by the rows
        model = Ridge(alpha=strength * problem.s.sum(), solver="cholesky")
    elif l1_ratio == 1:
        model = Lasso(alpha=strength, **exact)
    else:
        model = ElasticNet(alpha=strength, l1_ratio=l1_ratio, **exact)
    coefficients, intercepts = [], []
    for y in problem.y.T:
        fitted = model.fit(problem.X, y, sample_weight=problem.s)
        coefficients.append(fitted.coef_.copy())
        intercepts.append(fitted.intercept_)
    return np.array(coefficients).T, np.array(intercepts)


def strengths(problem):
    """One strength for scikit-learn; (l2, l1) of each L1 ratio for the stack, by the same words."""
    ratios = np.array(list(L1_RATIOS.values()))
    if problem.model == "linear":
        return 0.3, elastic_net(0.3, ratios)
    C = 10 / problem.s.sum()
    return C, from_inverse_c(C, ratios, problem.s.sum())


def train_all(optimizer, problem, l2, l1):
    """Weights (D, C, 3, 3) and bias (C, 3, 3): last axes penalty and momentum."""
    steps, lr = PLANS[optimizer]
    rate = np.array([lr] * 9)
    if optimizer != "adam":
        rate = lr * (1 - np.tile(MOMENTA, 3))  # the same effective rate
        rate *= {"linear": 0.5, "logistic": 2, "softmax": 1}[problem.model]
    stack = make_stack(
        problem,
        optimizer,
        schedule="cosine",
        steps=steps,
        lr=rate,
        l2=np.repeat(l2, 3),
        l1=np.repeat(l1, 3),
        momentum=np.tile(MOMENTA, 3),
        beta1=np.tile(MOMENTA, 3),
    )
    state = start(stack)
    train(stack, state)
    W, b = host(state.weights), host(state.bias)
    return W.reshape(*W.shape[:2], 3, 3), b.reshape(-1, 3, 3)


@pytest.mark.parametrize(("optimizer", "model", "outputs", "weights"), CASES)
def test_the_optimum_is_scikit_learns(optimizer, model, outputs, weights):
    problem = make_problem(model, rows=80, features=5, outputs=outputs, weights=weights, seed=1)
    strength, (l2, l1) = strengths(problem)
    found, bias = train_all(optimizer, problem, l2, l1)
    for i, (name, ratio) in enumerate(L1_RATIOS.items()):
        coefficients, intercepts = optimum(problem, strength, ratio)
        if model == "softmax":  # only differences of intercepts mean anything
            intercepts = intercepts - intercepts.mean()
            bias[:, i] -= bias[:, i].mean(axis=0)
        for j, momentum in enumerate(MOMENTA):
            where = f"{name}, momentum {momentum}"
            W = found[:, :, i, j]
            assert abs(W - coefficients).max() <= 1e-6, where
            assert abs(bias[:, i, j] - intercepts).max() <= 1e-5, where
            if l1[i] > 0:
                assert ((W == 0) == (coefficients == 0)).all(), where
    assert (found[:, :, 1] == 0).any()  # l1 alone has zeros to show
