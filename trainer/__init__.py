"""Linear, logistic, softmax and Poisson regression, many models at once.

    spec = trainer.load_spec("softmax.yaml", overrides=["optimizer.lr=0.5"])
    run = trainer.run(spec)
    model = trainer.load_model(run.folder)

The names below are public, and nothing else is. They are imported when first used, so that
`--help` waits for no library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.config import Spec, load_spec
    from trainer.errors import (
        DataError,
        DeviceError,
        DiskError,
        RunFolderError,
        SpecError,
        TrainerError,
        UserError,
    )
    from trainer.predict.fitted_model import FittedModel, load_model
    from trainer.runs.provenance import __version__ as __version__
    from trainer.workflow.loaded import Run, load_run
    from trainer.workflow.resume import resume
    from trainer.workflow.run import run

_HOMES = {
    "__version__": "trainer.runs.provenance",
    "load_spec": "trainer.config",
    "Spec": "trainer.config",
    "run": "trainer.workflow.run",
    "resume": "trainer.workflow.resume",
    "Run": "trainer.workflow.loaded",
    "load_run": "trainer.workflow.loaded",
    "FittedModel": "trainer.predict.fitted_model",
    "load_model": "trainer.predict.fitted_model",
    **dict.fromkeys(
        (
            "TrainerError",
            "UserError",
            "SpecError",
            "DataError",
            "DeviceError",
            "RunFolderError",
            "DiskError",
        ),
        "trainer.errors",
    ),
}

__all__ = [
    "DataError",
    "DeviceError",
    "DiskError",
    "FittedModel",
    "Run",
    "RunFolderError",
    "Spec",
    "SpecError",
    "TrainerError",
    "UserError",
    "load_model",
    "load_run",
    "load_spec",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'trainer' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
