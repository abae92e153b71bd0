"""The terminal of a running run: lines, progress, and signals that end it."""
