"""Labels as text, in YAML and in column names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    pass
if TYPE_CHECKING:
    pass


def label_text(label: Any) -> str:
    """How a label is written in YAML and in column names: true, 3 (also for 3.0), cat."""
    if isinstance(label, bool | np.bool_):
        return "true" if label else "false"
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label)
