"""How NumPy treats overflow, underflow and the like, whatever the host program has set.

A test suite or a notebook may have called `np.seterr(all="raise")`: then e^−800 would end a
prediction that is right at 0. The public functions that compute are decorated once, where they are
called from; what is expected within them has an `np.errstate` of its own.
"""

from __future__ import annotations

import numpy as np

default_errstate = np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
"""NumPy's own defaults, as a decorator. Each call of the function restores what it found."""
