"""A row more in every table, put in as the modules that read it come in; then runs that use them.

`python toy_rows.py FOLDER` writes FOLDER/found.json: what tests/test_toy_rows.py asks about. Each
part is what somebody who adds such a row would write, in the files where they would write it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag
from pydantic.fields import FieldInfo

from trainer import catalog

# --- the catalog ----------------------------------------------------------------------------------

ANY = catalog.Outputs()
catalog.MODELS["doubled"] = catalog.MODELS["linear"]._replace(
    headline="miss", score="half the prediction", scales_target=False
)
catalog.LOSSES["doubled", "auto"] = catalog.LossFacts(
    "½(ŷ − y)², ŷ = 2z",
    catalog.Apart("the toy's loss", "2·(ŷ − y)", "twice the error", "twice as much"),
)
catalog.METRICS["miss"] = catalog.MetricFacts(
    "mean miss",
    {"linear": ANY, "doubled": ANY},
    greater_is_better=False,
    decades=True,
    meaning="is the mean miss on {rows}.",
)
loss = catalog.METRICS["loss"]
catalog.METRICS["loss"] = loss._replace(models={**loss.models, "doubled": ANY})
for name in ("r2", "rmse"):
    row = catalog.METRICS[name]
    catalog.METRICS[name] = row._replace(models={**row.models, "doubled": ANY})
catalog.OPTIMIZERS["normed"] = catalog.OptimizerFacts(("share",))
catalog.FIRST_ORDER = (*catalog.FIRST_ORDER, "normed")
catalog.SOURCES["ramp"] = catalog.SourceFacts(not_inherited=("ramp",))
catalog.METHODS["drawn"] = catalog.MethodFacts(draws=True)

import huber  # noqa: E402

catalog.LOSSES["linear", "huber"] = huber.FACTS

# --- metrics, models, optimizers ------------------------------------------------------------------

from trainer.model import metrics  # noqa: E402

SQUARES = metrics.REGRESSION


def sums(xp: Any, predicted: Any, y: Any, w: Any) -> dict[str, Any]:
    error = xp.absolute(predicted - y[:, :, None])
    return SQUARES.sums(xp, predicted, y, w) | {"absolute": metrics.weighted(xp, error, w)}


def finish(sums: Any, targets: Any, areas: Any) -> dict[str, Any]:
    miss = sums["absolute"] / targets.total * targets.scale[:, None]
    return SQUARES.finish(sums, targets, areas) | {"miss": miss.mean(axis=0)}


metrics.REGRESSION = SQUARES._replace(sums=sums, finish=finish)

from trainer.model import models  # noqa: E402
from trainer.optim import first_order  # noqa: E402

for key, model in models.MODELS.items():  # they were made when their module came in
    if model.metrics is SQUARES:
        models.MODELS[key] = replace(model, metrics=metrics.REGRESSION)


def twice(xp: Any, z: Any, out: Any, scratch: Any) -> None:
    xp.multiply(z, 2, out=out)


def half(xp: Any, predicted: Any, out: Any) -> None:
    xp.multiply(predicted, 0.5, out=out)


def twice_dz(xp: Any, error: Any, y: Any, free: Any, scratch: Any) -> Any:
    return xp.multiply(error, 2, out=scratch.full)


models.MODELS["doubled", "auto"] = models.Model(
    catalog.LOSSES["doubled", "auto"],
    activation=twice,
    link=half,
    loss=models.squared_error,
    dz=twice_dz,
    metrics=metrics.REGRESSION,
    variance=lambda xp, predicted, out: out.fill(4),
    curvature=4.0,
)
models.MODELS["linear", "huber"] = replace(huber.ROW, metrics=metrics.REGRESSION)


def normed_tables(lr: Any, hyper: Any, first: int) -> dict[str, Any]:
    return {"share": np.broadcast_to(hyper["share"], lr[1:].shape) * (lr[1:] > 0), "lr": lr[1:]}


def normed(xp: Any, p: Any, g: Any, slots: Any, row: Any, room: Any, prox: Any) -> None:
    """Steps of one length, whatever the gradient's, and shorter as it vanishes."""
    norm = room.norms[0]
    first_order.column_norms(xp, g, room, norm)
    xp.add(norm, 1e-3, out=norm)
    wide = first_order.by_column(g, room)
    wide /= norm
    g *= row["share"]
    g *= row["lr"]
    p -= g


first_order.OPTIMIZERS["normed"] = first_order.Optimizer((), normed_tables, normed)

# --- the schema -----------------------------------------------------------------------------------

from trainer.config.schema import data, optimizer  # noqa: E402
from trainer.config.schema import loss as losses  # noqa: E402
from trainer.config.schema.fields import Block, Count, Positive, word_or_mapping  # noqa: E402
from trainer.config.schema.spec import Spec  # noqa: E402


class Huber(Block):
    """Huber's loss."""

    name: Literal["huber"]
    delta: Positive = Field(1.0, description="Where the square ends.")


class Normed(optimizer.FirstOrder):
    """Steps of one length."""

    form = "normed"
    name: Literal["normed"]
    share: Positive = Field(1.0, description="Of lr.")


class Ramp(Block):
    """Rows on a line."""

    form = "ramp"
    ramp: Count = Field(description="How many rows.")


def retype(block: type[Block], key: str, annotation: Any) -> None:
    """Give a key of the schema another type."""
    old = block.model_fields[key]
    given = Field(old.get_default(), description=old.description, examples=old.examples)
    if old.is_required():
        given = Field(description=old.description, examples=old.examples)
    block.model_fields[key] = FieldInfo.from_annotated_attribute(annotation, given)
    block.model_rebuild(force=True)


word_or_huber = (
    Annotated[losses.LossWord, Tag("<word>")] | Annotated[Huber, Tag("<mapping>")],
    Discriminator(word_or_mapping),
)
any_optimizer = (
    optimizer.Optimizer.__origin__ | Annotated[Normed, Tag("<normed>")],
    Discriminator(optimizer._optimizer_form),
)
any_source = (
    data.Train.__origin__ | Annotated[Ramp, Tag("<ramp>")],
    Discriminator(data._source_form),
)
retype(data.Data, "train", Annotated[any_source])
retype(Spec, "data", data.Data)
retype(Spec, "optimizer", Annotated[any_optimizer])
retype(Spec, "loss", Annotated[word_or_huber])

from trainer.data.sources import registry  # noqa: E402
from trainer.data.sources.arrays import array_frame  # noqa: E402


def read_ramp(source: Any, group: Any, model: str, like: Any, digest: Any) -> Any:
    x = np.arange(float(source.ramp))
    digest.text(f"ramp {source.ramp}")
    X = np.stack([x, np.sin(7 * x)], axis=1)
    y = 3 + X @ [0.5, 2.0] + 0.1 * np.sin(31 * x) + 20 * (x % 17 == 3)  # some rows far off
    return array_frame(X, y, None, where="ramp", target_where="ramp", labels=False)


registry.READERS["ramp"] = read_ramp

# --- runs -----------------------------------------------------------------------------------------

import trainer  # noqa: E402
from trainer.predict.tables import predict_file  # noqa: E402

RUNS: dict[str, dict[str, Any]] = {
    "plain": {"model": "linear", "optimizer": {"name": "exact"}},
    "model": {"model": "doubled", "optimizer": {"name": "auto"}},
    "loss": {
        "model": "linear",
        "loss": {"name": "huber"},
        "optimizer": {"name": "auto", "tol": 1e-8},
        "sweep": {"parameters": {"loss.delta": [0.05, 0.5, 1e3]}, "metric": {"name": "val_miss"}},
        "log": {"weights": "all"},
    },
    "steps": {
        "model": "linear",
        "loss": {"name": "huber", "delta": 0.5},
        "optimizer": {"name": "sgd", "lr": 0.3, "batch_size": "full", "steps": 3000},
    },
    "optimizer": {
        "model": "linear",
        "optimizer": {"name": "normed", "lr": 0.05, "batch_size": "full", "steps": 2000},
        "sweep": {
            "method": "drawn",
            "num_trials": 3,
            "parameters": {
                "optimizer.share": {"distribution": "uniform", "min": 0.5, "max": 1.0},
            },
        },
    },
}


def main(folder: Path) -> None:
    rows = 120
    x = np.arange(float(rows))
    np.save(folder / "X.npy", np.stack([x, np.sin(7 * x)], axis=1))
    found = {}
    for name, keys in RUNS.items():
        spec = {"data": {"train": {"ramp": rows}, "val": 0.25}, "penalty": {"l2": 0}, **keys}
        spec |= {"name": name, "device": "cpu", "precision": "float64"}
        run = trainer.run(spec, out=folder / name)
        text, _ = predict_file(run.folder, str(folder / "X.npy"))
        again = trainer.load_run(run.folder)
        found[name] = {
            "status": run.status,
            "metrics": run.best["metrics"],
            "trials": run.trials,
            "log": (run.folder / "run.log").read_text(encoding="utf-8"),
            "page": (again.report()).read_text(encoding="utf-8"),
            "predictions": [float(line.split(",")[1]) for line in text.splitlines()[1:]],
            "model": json.loads((run.folder / "model.json").read_text(encoding="utf-8")),
            "goal": run.results["metric"],
        }
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
