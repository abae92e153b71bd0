"""Records of what was learned, from which another process goes on: what files are to hold."""

from __future__ import annotations

from typing import Any

import numpy as np

Saved = dict[str, Any]
"""A nested dict whose keys are text, and whose leaves are arrays on the host or JSON values.

Its arrays are those in training: to be written or copied before the training goes on.
"""


def copied(saved: Any) -> Any:
    """The same with arrays of its own, in C order."""
    if isinstance(saved, dict):
        return {name: copied(value) for name, value in saved.items()}
    return np.array(saved, order="C") if isinstance(saved, np.ndarray) else saved
