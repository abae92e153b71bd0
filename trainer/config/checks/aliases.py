"""Other tools' words, near spellings, and how keys and values are shown in messages."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

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
    "max_steps": ("optimizer.steps",),
    "fit_intercept": ("bias",),
    "sample_weight": ("data.train.weight",),
    "source": ("data.train",),
    "validation": ("data.val",),
    "logspace": ("geomspace",),
    "learning_rate": ("optimizer.lr",),
    "lambda": ("penalty.l2",),
}

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
    "device": {"cuda": "gpu"},
    "precision": {"fp32": "float32", "bf16": "bfloat16"},
}

# What YAML 1.1 read as true and false, and YAML 1.2 reads as text.
SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}

_SHOWN = 60  # characters of a value or a key in a message


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the known word that `word` seems to be a misspelling of, or None."""
    folded = {name.casefold(): name for name in reversed(known)}
    close = difflib.get_close_matches(word.casefold()[:_SHOWN], folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def one_of(words: Sequence[str], last: str = "or") -> str:
    """`a, b or c`."""
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def dotted(path: Sequence[Any]) -> str:
    """Return a path as it is written in an override: `data.test.0.name`."""
    return _shorten(".".join(show_key(key) for key in path), 120)


def show_key(key: Any) -> str:
    """Return a key as written; between quotes where it would tear the line or the path."""
    if isinstance(key, bool):
        return str(key).lower()
    text = str(key)
    plain = text and text.isprintable() and not set(text) & set(" .:;'\"=")
    return _shorten(text if plain or isinstance(key, (int, float)) else repr(text))


def show(value: Any) -> str:
    """Return a value as a message shows it: short, on one line, without control characters."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _shorten(repr(value))
    if isinstance(value, (int, float)):
        return _shorten(str(value))
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"a {type(value).__name__}"


def printable(text: str) -> str:
    """Return a file's name or an override on one line, without control characters."""
    return text if text.isprintable() else repr(text)[1:-1]


def _shorten(text: str, length: int = _SHOWN) -> str:
    return text if len(text) <= length else f"{text[: length - 4]}...{text[-1]}"
