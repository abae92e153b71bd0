"""What is true of a model, a metric, an optimizer, a source: plain facts, in rows."""

from __future__ import annotations

# The metrics of each model, with val_ or test_ before them; the training rows have train_loss.
METRICS: dict[str, tuple[str, ...]] = {
    "linear": ("loss", "r2", "rmse"),
    "logistic": ("loss", "accuracy", "balanced_accuracy", "auc", "average_precision", "f1", "map"),
    "softmax": ("loss", "accuracy", "balanced_accuracy", "top5"),
}


BUNDLED = ("diamonds", "breast_cancer", "digits")


SOURCES = ("table", "npy", "npz", "libsvm", "synthetic")


FIRST_ORDER = ("sgd", "adam", "adamw")


SOLVERS = ("lbfgs", "newton", "exact", "auto")


OPTIMIZERS = (*FIRST_ORDER, *SOLVERS)
