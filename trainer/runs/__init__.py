"""The run folder: where it is, what it holds, how it is written and read."""
