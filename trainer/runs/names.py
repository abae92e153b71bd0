"""Names in a run folder: of its files, of statuses, and of the columns that its tables begin with.

Nobody else spells them, but for the model's two files, which `trainer.predict` names too. What a
folder holds besides is named elsewhere: metrics in `trainer.catalog`, swept keys by the config.
"""

import re

INPUT = "input.yaml"
CONFIG = "config.yaml"
MANIFEST = "manifest.json"
LOG = "run.log"
STEPS_STREAM = "steps.arrows"
STEPS = "steps.parquet"
HISTORY = "history.csv"
TRIALS = "trials.csv"
REPEATS = "repeats.csv"
INNER = "inner.csv"
GROUPS = "groups.csv"
COEFFICIENTS = "coefficients.csv"
INFLUENCE = "influence.csv"
RESULTS = "results.json"
PERMUTATIONS = "permutations.csv"
BEST = "best.yaml"
PREDICTIONS = "predictions.parquet"
ROWS = "rows.parquet"
WEIGHTS = "weights.safetensors"
GRADIENTS = "gradients/step-{step}.safetensors"
GRADIENTS_OF_STACK = "gradients/step-{step}-stack-{stack}.safetensors"
STEP_IN_FULL = re.compile(r"step-[0-9]+(?:-stack-[0-9]+)?\.safetensors", re.ASCII)  # of the two
REPORT = "report.html"
CHECKPOINTS = "checkpoint"  # a folder

MODEL = ("model.json", "model.safetensors")
OF_AN_END = (
    TRIALS, REPEATS, INNER, GROUPS, COEFFICIENTS, INFLUENCE, RESULTS, PERMUTATIONS, BEST,
    PREDICTIONS, ROWS, WEIGHTS, *MODEL,
    REPORT,
)  # fmt: skip

# statuses of a run
RUNNING = "running"
OVER = ("finished", "diverged", "unranked")  # nothing cut it short

FORMAT_VERSION = 1  # of all of them together, in the manifest

STEP_KEYS = ("step", "epoch", "trial", "repeat")  # whole numbers
TARGET = "target"  # behind `repeat` where targets are problems of their own: its name, or number
STEP_VALUES = ("loss", "error_rms", "error_max", "dz_rms", "grad_norm", "lr")  # float32
HISTORY_KEYS = ("trial", "repeat", "epoch", "step")  # whole numbers; metrics follow
TRIAL_KEYS = ("trial", "rank", "status", "reason")
REPEAT_KEYS = ("trial", "repeat")
INNER_KEYS = ("repeat", "inner", "trial")
GROUP_KEYS = ("trial",)
PERMUTATION_KEYS = ("permutation",)
COEFFICIENT_KEYS = ("output", "feature", "coefficient", "low", "high", "nonzero", "resamples")
INFLUENCE_KEYS = ("row", "output", "residual", "leverage", "cooks_distance")
# text, whatever they look like
TEXT_COLUMNS = frozenset({"status", "reason", TARGET, "group", "fold"})
PENALTY_COLUMNS = ("penalty.l2", "penalty.l1", "penalty.C")  # numbers, swept or not


def history_keys(separate: bool) -> tuple[str, ...]:
    """Of a run, and of one whose targets are problems of their own."""
    trial, repeat, *rest = HISTORY_KEYS
    return (trial, repeat, *((TARGET,) if separate else ()), *rest)


def gradients_name(step: int, stack: int | None) -> str:
    """Of a step in full; `stack` from 0 where there are several."""
    return (GRADIENTS if stack is None else GRADIENTS_OF_STACK).format(step=step, stack=stack)
