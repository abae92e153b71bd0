"""What all benchmarks share: contenders in processes of their own, rounds, ratios, rows."""
