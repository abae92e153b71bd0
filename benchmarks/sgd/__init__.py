"""One fit, and K of them at once, step by step: `scripts/bench sgd`, `scripts/bench loss`."""
