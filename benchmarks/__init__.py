"""Timings of the trainer beside its peers: `scripts/bench`."""
