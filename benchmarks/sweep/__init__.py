"""Whole sweeps beside the loops and stacks that others would write: `scripts/bench --sweep`."""
