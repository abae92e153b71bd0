"""Whole commands, two runs at once, reading: `scripts/bench commands`, `busy`, `reading`."""
