"""What nested cross-validation came to, as results.json has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec
    from trainer.sweep.trial_result import TrialResult

Row = dict[str, Any]


def nested_facts(winners: Sequence[TrialResult], spec: Spec) -> Row | None:
    """How often repeats chose each trial by inner folds, most often first; None without them."""
    if spec.repeat is None or spec.repeat.inner_folds is None:
        return None
    settings = {trial.number: dict(trial.settings) for trial in winners}
    counts = Counter(sorted(trial.number for trial in winners)).most_common()
    chosen = [{"trial": n, "settings": settings[n], "repeats": count} for n, count in counts]
    return {"inner_folds": spec.repeat.inner_folds, "chosen": chosen}


def inner_scores(judged: TrialResult) -> Row:
    """Metrics of a trial over the inner folds that chose it."""
    return {"metrics": dict(judged.metrics), "std": dict(judged.stds)}
