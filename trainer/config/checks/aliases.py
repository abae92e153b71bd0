"""Other tools' words, near spellings, and how keys and values are shown in messages."""

from __future__ import annotations


def folded(word: object) -> str:
    """A key without what people spell in their own ways: batchsize of batch_size and batchSize."""
    return str(word).replace("_", "").replace("-", "").casefold()


# Words that other tools use for a key, and ours. A proposal, never a guess that is acted upon.
KEYS: dict[str, tuple[str, ...]] = {
    "n_trials": ("sweep.num_trials",),
    "num_samples": ("sweep.num_trials",),
    "run_cap": ("sweep.num_trials",),
    "monitor": ("early_stopping.metric",),
    "restore_best_weights": ("early_stopping.restore_best",),
    "weight_decay": ("penalty.l2",),
    "solver": ("optimizer.name",),
    "scheduler": ("optimizer.schedule",),
    "betas": ("optimizer.beta1", "optimizer.beta2"),
    "cv": ("repeat.folds",),
    "random_state": ("seed",),
    "normalize": ("data.scale",),
    "standardize": ("data.scale",),
    "max_epochs": ("optimizer.epochs",),
    "num_epochs": ("optimizer.epochs",),
    "n_epochs": ("optimizer.epochs",),
    "max_steps": ("optimizer.steps",),
    "fit_intercept": ("bias",),
    "sample_weight": ("data.train.weight",),
    "pos_label": ("data.positive",),
    "positive_class": ("data.positive",),
    "source": ("data.train",),
    "validation": ("data.val",),
    "logspace": ("geomspace",),
    "learning_rate": ("optimizer.lr",),
    "lambda": ("penalty.l2",),
    "lambda_l2": ("penalty.l2",),
    "reg_lambda": ("penalty.l2",),
    "lambda_l1": ("penalty.l1",),
    "reg_alpha": ("penalty.l1",),
    "early_stopping_rounds": ("early_stopping.patience",),
    "rounds": ("early_stopping.patience",),
    "save_every": ("checkpoint.minutes",),
    "checkpoint_every": ("checkpoint.minutes",),
    "label": ("data.train.target",),
    "label_column": ("data.train.target",),
    "sep": ("data.train.separator",),
    "delimiter": ("data.train.separator",),
    "quotechar": ("data.train.quote",),
    "usecols": ("data.train.columns",),
    "index_col": ("data.train.drop",),
}

# Words for the key `name` of a block that has one.
NAMES = ("type", "kind", "class")

# Words that are refused with the reason.
REFUSED: dict[str, dict[str, str]] = {
    "method": {
        "bayes": "all trials train at once, so none can learn from another; write grid or random",
    },
}

# The same for the values of some keys.
VALUES: dict[str, dict[str, str]] = {
    "metric": {
        "val_acc": "val_accuracy",
        "acc1": "val_accuracy",
        "top1": "val_accuracy",
        "acc5": "val_top5",
    },
    "device": {"cuda": "gpu", "cuda:0": "gpu"},
    "precision": {
        "fp32": "float32",
        "single": "float32",
        "fp64": "float64",
        "double": "float64",
        "bf16": "bfloat16",
    },
    "model": {
        "linear_regression": "linear",
        "ridge": "linear",
        "lasso": "linear",
        "logistic_regression": "logistic",
        "binary": "logistic",
        "multinomial": "softmax",
        "multiclass": "softmax",
        "softmax_regression": "softmax",
    },
}

# What to write in place of a value, of `none` above all, where a key takes something else.
WRITE: dict[str, dict[str, str]] = {
    "penalty": {
        "none": "{l2: 0}",
        "l2": "{l2: 1e-4}",
        "ridge": "{l2: 1e-4}",
        "l1": "{l2: 0, l1: 1e-4}",
        "lasso": "{l2: 0, l1: 1e-4}",
        "elasticnet": "{alpha: 1e-4, l1_ratio: 0.5}",
    },
    "C": dict.fromkeys(("none", "inf", ".inf", "infinity"), "l2: 0 in its place"),
    "header": {"0": "first", "true": "first", "infer": "first"},  # as pandas counts lines
    "schedule": {"none": "{name: constant}"},
}

# What YAML 1.1 read as true and false, and YAML 1.2 reads as text.
SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}
