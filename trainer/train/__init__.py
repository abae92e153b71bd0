"""One stack of columns: its rows in chunks, its step, its log, its evaluations, its outcomes."""
