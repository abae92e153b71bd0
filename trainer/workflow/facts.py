"""The plain facts that a run's opening tells: what was asked for, read, and laid out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.config import Spec
from trainer.config.schema.optimizer import Solver
from trainer.data import Summary
from trainer.data.separate import SeparateTargets
from trainer.model import compiled, kernels
from trainer.sweep.build import Columns
from trainer.sweep.sweep import SweepRun
from trainer.wording.opening import (
    ChosenOptimizer,
    ChosenSolver,
    ConfigFacts,
    DataFacts,
    DeviceFacts,
    Facts,
    ObjectiveFacts,
)
from trainer.wording.repeats import repeats_texts

if TYPE_CHECKING:
    from trainer.device import Device

_TOLD: dict[str, Callable[[Device], str]] = {  # by the twin of the device
    "c": lambda device: compiled.told(),
    "cuda": lambda device: kernels.told(device.no_graphs),
}


def config_facts(spec: Spec) -> ConfigFacts:
    """What was asked for."""
    o = spec.optimizer
    optimizer: ChosenOptimizer
    if isinstance(o, Solver):
        optimizer = {"name": o.name, "tol": o.tol, "max_iter": o.max_iter}
    else:
        optimizer = {
            "name": o.name,
            "lr": o.lr,
            "steps": o.steps,
            "epochs": o.epochs,
            "batch_size": o.batch_size,
        }
    return {
        "name": spec.name,
        "model": spec.model,
        "optimizer": optimizer,
        "trials": len(spec.trials),
        "axes": {path: len(values) for path, values in spec.axes.items()},
        "notes": spec.expansion_notes,
    }


def data_facts(summary: Summary, spec: Spec, targets: SeparateTargets | None = None) -> DataFacts:
    """What was read; of targets that are problems of their own all of them."""
    found = _data_facts(summary, spec)
    if targets is not None:
        found["outputs"], found["targets"] = len(targets.names), targets.left_out
    return found


def _data_facts(summary: Summary, spec: Spec) -> DataFacts:
    return {
        "model": spec.model,
        "source": summary.source,
        "rows": summary.rows,
        "columns": summary.columns,
        "features": summary.features,
        "outputs": summary.outputs,
        "expansions": summary.expansions,
        "class_counts": summary.class_counts,
        "weightless": summary.weightless,
        "dropped": summary.dropped,
        "imputed": summary.imputed,
        "unseen": summary.unseen,
        "index": summary.index,
        "remarks": summary.remarks,
        "copies": summary.copies,
        "coarse": [
            {
                "name": column.name,
                "is_target": column.is_target,
                "size": column.size,
                "spread": column.spread,
                "precision": column.precision,
                "as_read": column.as_read,
            }
            for column in summary.coarse
        ],
    }


def device_facts(device: Device, sweep: SweepRun) -> DeviceFacts:
    """Where it runs and why there; where a stack takes steps, also who takes them."""
    found: DeviceFacts = {"kind": device.kind, "name": device.name, "reason": device.reason}
    if sweep.takes_steps and device.twin in _TOLD:
        found["steps"] = _TOLD[device.twin](device)
        if any(trial.spec.precision == "tf32" for trial in sweep.trials):
            found["steps"] += f"; {kernels.told_of_tf32(device.products is not None)}"
    return found


def solver_facts(sweep: SweepRun) -> ChosenSolver | None:
    """The first trial's solver, if it has one."""
    if sweep.first.solver is None:
        return None
    (name, reason), device = sweep.first.solver, sweep.first.device_rows.device
    found: ChosenSolver = {"name": name, "reason": reason}
    if device.is_slow_in_float64:
        found["float64_cost"] = device.float64_cost
    return found


def training_facts(sweep: SweepRun, folder: Path) -> Facts:
    """What the rows and the specs came to: all that is known before the first step."""
    found: Facts = {
        "device": device_facts(sweep.first.device_rows.device, sweep),
        "objective": objective_facts(sweep.first, len(sweep.trials) > 1),
        "folder": folder,
    }
    if solver := solver_facts(sweep):
        found["solver"] = solver
    if sweep.is_sweep:
        found["sweep"] = {
            "trials": len(sweep.trials),
            "repeats": sweep.repeats,
            "stacks": len(sweep.arrangement.stacks),
            "log_every": sweep.log_every,
            "notes": repeats_texts(
                sweep.repeat_block,
                sweep.repeats,
                sweep.layout.left_out,
                sweep.layout.always,
                sweep.layout.inner_lacking,
            ),
        }
        if shared := sweep.shared_row_sets:
            found["sweep"]["shared"] = shared
        if inner := sweep.inner_columns:
            found["sweep"]["inner"] = inner
        if sweep.targets is not None:
            targets = found["sweep"]["targets"] = len(sweep.targets.names)
            whole = len(sweep.trials) * sweep.repeats * targets
            found["sweep"]["lacking"] = whole - (sweep.columns - inner)
    return found


def objective_facts(columns: Columns, several: bool) -> ObjectiveFacts:
    """The objective of the first column.

    Args:
        columns: of the first stack.
        several: whether there are other trials.
    """
    spec, s = columns.spec, columns.s
    if columns.device_rows.row_set is not None:  # others' rows have weight 0
        s = s[s != 0]
    l2, l1 = float(columns.l2[0]), float(columns.l1[0])
    alike = bool((s == s[0]).all())
    by_class = spec.class_weight != "none"
    with np.errstate(divide="ignore", over="ignore"):
        inverse_c = float(1.0 / np.float64((l2 + l1) * s.sum()))
        ridge_alpha = float(l2 * s.sum())
    return {
        "model": spec.model,
        "loss": spec.loss_name,
        "weights": "classes" if by_class else "none" if alike else "rows",
        "several": several,
        "l2": l2,
        "l1": l1,
        "weight_decay": getattr(spec.optimizer, "weight_decay", 0),
        "inverse_c": inverse_c,
        "ridge_alpha": ridge_alpha,
    }
