"""Write X.npy, Y.npy and a config of so many separate targets, with 5 penalties each.

    python scripts/many_targets.py FOLDER [linear|logistic] [rows] [features] [targets] [missing]

`missing` is the share of labels that are not there. `python scripts/run.py FOLDER/linear.yaml`
then fits them.
"""

import sys
from pathlib import Path

import numpy as np

CONFIG = """\
name: many_targets
data:
  train: {{npy: X.npy, target: Y.npy}}
  val: 0.2
targets: separate
model: {model}
penalty: {{l2: 1e-3}}
optimizer: {{name: auto}}
sweep:
  parameters:
    penalty.l2: {{geomspace: {{start: 1e-4, stop: 1, num: 5}}}}
"""


def main(folder: str, model: str = "linear", *numbers: str) -> None:
    """Write the three files."""
    N, D, T = (int(one) for one in (*numbers, *("100000", "200", "1000")[len(numbers) :])[:3])
    missing = float(numbers[3]) if len(numbers) > 3 else 0.0
    rng, path = np.random.default_rng(0), Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    X = rng.normal(size=(N, D)).astype(np.float32)
    weights = rng.normal(size=(D, T)).astype(np.float32) / np.sqrt(D, dtype=np.float32)
    Y = X @ weights + rng.normal(size=(N, T)).astype(np.float32)  # (N, T)
    if model == "logistic":
        Y = (Y > 0).astype(np.float32)
    Y[rng.random(Y.shape) < missing] = np.nan
    np.save(path / "X.npy", X)
    np.save(path / "Y.npy", Y)
    (path / f"{model}.yaml").write_text(CONFIG.format(model=model), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
