"""Time to the same objective beside other solvers: `scripts/bench --solvers`."""
