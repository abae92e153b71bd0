"""Sweeps: axes of swept keys, their combinations or draws, the trials of these."""
