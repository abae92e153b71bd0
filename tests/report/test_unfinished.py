"""Trials of a sweep that goes on: ended ones as their table has them, others as running."""

import pyarrow as pa

from trainer.report.unfinished import rows_so_far

HISTORY = pa.table(
    {
        "trial": pa.array([0, 1, 0, 1], pa.int32()),
        "repeat": pa.array([0, 0, 0, 0], pa.int32()),
        "epoch": pa.array([1, 1, 2, 2], pa.int32()),
        "step": pa.array([5, 5, 10, 10], pa.int64()),
        "train_loss": [4.0, 3.0, 2.0, 1.0],
    }
)


def test_ended_trials_are_as_their_table_has_them():
    ended = [
        {"trial": 1, "rank": None, "status": "early_stopped", "reason": "why", "train_loss": 0.5}
    ]
    running, stopped = rows_so_far(HISTORY, "running", [row | {"C": 3.0} for row in ended])
    assert running == {
        "trial": 0,
        "rank": None,
        "status": "running",
        "reason": "",
        "epochs": 2,
        "train_loss": 2.0,
    }
    assert stopped == {"epochs": 2} | ended[0]
    assert {row["status"] for row in rows_so_far(HISTORY, "killed")} == {"killed"}
