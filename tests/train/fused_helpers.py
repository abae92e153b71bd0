"""Trainings of three columns, with everything on, by the CUDA text on the double or by the text."""

import numpy as np
from stacks import Recorder, fit, initial, make_problem, make_stack, start

from trainer import device as devices
from trainer.data.rows import Rows
from trainer.sweep.stopping import EarlyStopper
from trainer.train.evaluate import HeldOut

K, STEPS = 3, 12
BATCHES = {"mini-batches": 25, "full": None, "of many steps": 6}  # of 60 rows


def on_double(cupy):
    return devices.from_cupy(cupy, "the double", twin="cuda")


def run(device, model, loss, optimizer, batches, gradients_every=0, precision="float64"):
    """Fit three columns with everything on: l1, warm-up, evaluations, early stopping, restoring."""
    problem = make_problem(model, loss, weights="classes")
    stack = make_stack(
        problem,
        optimizer,
        precision=precision,
        device=device,
        batch_size=BATCHES[batches],
        schedule="cosine",
        lr=[0.1, 0.05, 0.3],
        steps=[STEPS, STEPS, 4],
        warmup=[0, 3, 1],
        momentum=[0.9, 0.5, 0.3],
        l2=[0.1, 0, 0.01],
        l1=0 if optimizer in ("adamw", "lars") else [0, 0.1, 0.01],
        weight_decay=[0.1, 0, 0.3],
        eps=1e-4,
    )
    X, y = problem.X[:40].astype(precision), problem.y[:40]
    y = y if y.ndim == 1 else y.astype(precision)
    rows = Rows(name="val", X=X, y=y, weight=problem.w[:40], index=np.arange(40))
    held = HeldOut(device, rows, np.ones(problem.outputs))
    stopping = EarlyStopper(
        ["val_loss"] * K, np.ones(K), np.full(K, 2.0), np.zeros(K), np.ones(K, bool)
    )
    heard = Recorder()
    state = start(stack, *initial(problem, K))
    return fit(stack, state, held, 3, stopping, heard, gradients_every), heard
