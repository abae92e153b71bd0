"""p-values from scores by hand."""

import numpy as np
import pytest

from trainer.statistics.permutation import p_value

NULL = np.array([0.5, 0.6, 0.7, 0.8])


@pytest.mark.parametrize(
    ("score", "null", "minimize", "p", "as_good", "undefined"),
    [
        (0.9, NULL, False, 1 / 5, 0, 0),
        (0.7, NULL, False, 3 / 5, 2, 0),  # a tie counts
        (0.7, NULL, True, 4 / 5, 3, 0),
        (0.4, NULL, True, 1 / 5, 0, 0),
        (0.7 + 1e-13, NULL, False, 3 / 5, 2, 0),  # a tie but for rounding
        (0.7 + 1e-6, NULL, False, 2 / 5, 1, 0),
        (0.9, np.array([0.1, np.nan]), False, 2 / 3, 1, 1),
        (np.nan, NULL, False, 1.0, 4, 0),
        (0.0, np.array([0.0, 1.0]), True, 2 / 3, 1, 0),
        (1.0, np.array([np.inf, 0.5]), True, 2 / 3, 1, 0),
    ],
)
def test_p_counts_what_is_as_good(score, null, minimize, p, as_good, undefined):
    found = p_value(score, null, minimize)
    assert found == (pytest.approx(p), as_good, undefined)
