"""What is shown while a sweep runs."""

import warnings
from types import SimpleNamespace

import numpy as np

from trainer.workflow.recorder import SweepRecorder


def test_the_best_so_far_have_means_of_what_was_read_and_no_warning_of_what_is_infinite():
    recorder = object.__new__(SweepRecorder)
    trials = [SimpleNamespace(settings={"optimizer.lr": lr}) for lr in (0.1, 1.0, 10.0)]
    recorder.sweep, recorder.targets = SimpleNamespace(trials=trials, repeats=2), None
    scores = np.array([[np.inf, 1.0], [1.0, np.nan], [np.nan, np.nan]])
    scheduler = SimpleNamespace(scores=scores, rules=SimpleNamespace(sign=1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (_, first, alone), (_, second, deviation) = recorder._top(scheduler)
    assert (first, alone, second) == (1.0, None, np.inf)
    assert np.isnan(deviation)
