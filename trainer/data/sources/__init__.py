"""Readers of sources: files, arrays, synthetic rows."""
