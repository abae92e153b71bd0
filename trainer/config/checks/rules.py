"""What no single key can tell: settings that do not go together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any

from trainer.catalog import (
    LOSSES,
    METRICS,
    MODELS,
    OPTIMIZERS,
    OWN_LOSS,
    SOLVERS,
    metrics_of,
    models_with,
)
from trainer.config.checks.aliases import VALUES
from trainer.config.checks.broken import Broken, Rule
from trainer.config.checks.repeat_rules import permutation_rule, repeat_rule, select_rule
from trainer.config.schema.data import TableSource
from trainer.config.schema.optimizer import AdamW, Lars, Schedule, Sgd, Solver
from trainer.config.schema.penalty import L2L1, InverseC, Penalty
from trainer.config.schema.spec import Log, Spec
from trainer.config.yaml.write import flow
from trainer.text.printable import one_of, show_value
from trainer.text.suggest import nearest


def broken_rules(spec: Spec) -> Iterator[Broken]:
    """Yield every rule that a spec, valid key by key, breaks."""
    for rule in _READS:
        yield from rule(spec)


def rules_of(keys: Collection[str]) -> list[Rule]:
    """The rules that read some of these keys of a spec: a change of them breaks no others."""
    return [rule for rule, reads in _READS.items() if not reads.isdisjoint(keys)]


def _model(spec: Spec) -> Iterator[Broken]:
    model, facts = spec.model, MODELS[spec.model]
    if spec.data.positive != "auto" and facts.most_classes != 2:
        two = one_of([name for name, row in MODELS.items() if row.most_classes == 2], "and")
        what = f"is one of the two classes of {two}, not of {model}; write auto"
        yield Broken("data.positive", what, ("model",))
    if (model, spec.loss_name) not in LOSSES:
        models = one_of(models_with(spec.loss_name), "and")
        what = f"{spec.loss_name} is for {models}, not {model}; write {OWN_LOSS}"
        yield Broken("loss", what, ("model",))
    if spec.data.scale_target != "none" and not facts.scales_target:
        what = f"{model} has {facts.targets}, which are not scaled; write none"
        yield Broken("data.scale_target", what, ("model",))
    if facts.has_classes:
        return
    if spec.class_weight != "none":
        yield Broken("class_weight", f"{model} has no classes; write none", ("model",))
    if spec.data.stratify is True:
        what = f"{model} has no classes; write auto or false"
        yield Broken("data.stratify", what, ("model",))


def _targets(spec: Spec) -> Iterator[Broken]:
    """Check what goes with targets that are problems of their own."""
    if spec.targets == "joint":
        return
    if MODELS[spec.model].output_a_class:
        others = one_of([name for name, row in MODELS.items() if not row.output_a_class], "and")
        what = f"separate is for {others}: {spec.model} has one target, its class; write joint"
        yield Broken("targets", what, ("model",))
    if spec.data.stratify is True:
        what = "a split is the same for all targets, which have classes of their own; write auto"
        yield Broken("data.stratify", what, ("targets",))
    if isinstance(spec.init, str) and spec.init != "zeros":
        what = "the weights of a run are for targets: joint; write zeros or {normal: 0.01}"
        yield Broken("init", what, ("targets",))


def _data(spec: Spec) -> Iterator[Broken]:
    val, test = spec.data.val, spec.data.test
    if isinstance(val, float) and isinstance(test, float) and val + test >= 1:
        what = f"val {val:g} and test {test:g} leave no rows to train on; lower one of them"
        yield Broken("data.test", what, ("data.val",))
    if isinstance(test, tuple):
        names = [source.name for source in test]
        for i, name in enumerate(names):
            if name in names[:i]:
                yield Broken(
                    f"data.test.{i}.name", f"{show_value(name)} names two test sets; rename one"
                )
            elif name in ("train", "val"):
                what = f"{show_value(name)} is what other rows are called; choose another name"
                yield Broken(f"data.test.{i}.name", what)


def _test_sets(spec: Spec) -> Iterator[Broken]:
    """Check what named test sets say of their scores."""
    known = metrics_of(spec.model)
    for i, source in enumerate(spec.data.test if isinstance(spec.data.test, tuple) else ()):
        facts = MODELS[spec.model]
        if source.classes != "all" and (not facts.has_classes or facts.most_classes is not None):
            what = f"{spec.model} does not choose among several classes; write all"
            yield Broken(f"data.test.{i}.classes", what, ("model",))
        if source.metric is not None and source.metric not in known:
            meant = nearest(source.metric, known)
            meant = f"did you mean {meant}?" if meant in known else f"write {one_of(known)}"
            what = f"{spec.model} has no metric {show_value(source.metric)}; {meant}"
            yield Broken(f"data.test.{i}.metric", what, ("model",))


def _tables(spec: Spec) -> Iterator[Broken]:
    """Check the columns of each table; those that val or test take from train are train's."""
    test = spec.data.test
    sources: dict[str, Any] = {"data.train": spec.data.train, "data.val": spec.data.val}
    if isinstance(test, tuple):
        sources |= {f"data.test.{i}": source for i, source in enumerate(test)}
    else:
        sources["data.test"] = test
    for path, source in sources.items():
        if isinstance(source, TableSource):
            yield from _columns(path, source)
            yield from _text_file(path, source)


def _columns(path: str, source: TableSource) -> Iterator[Broken]:
    targets = source.target_names
    columns = source.columns or ()
    for key, names in (("target", targets), ("columns", columns)):
        if repeated := next((name for name in names if names.count(name) > 1), None):
            yield Broken(f"{path}.{key}", f"{show_value(repeated)} is listed twice; keep one")
    for name in targets:
        for key in ("columns", "categorical", "drop"):
            if name in (getattr(source, key) or ()):
                what = f"{show_value(name)} is the target; leave it out here"
                yield Broken(f"{path}.{key}", what, (f"{path}.target",))
    if source.weight in targets:
        what = f"{show_value(source.weight)} is the target; name the column of row weights"
        yield Broken(f"{path}.weight", what, (f"{path}.target",))
    if source.weight is not None and source.weight in columns:
        what = f"{show_value(source.weight)} is the weight; leave it out here"
        yield Broken(f"{path}.columns", what, (f"{path}.weight",))
    for name in source.categorical:
        if (columns and name not in columns) or name in source.drop:
            what = (
                f"{show_value(name)} is not among the features; add it to columns, or remove it"
                " here"
            )
            yield Broken(f"{path}.categorical", what, (f"{path}.columns", f"{path}.drop"))


_OF_TEXT = ("separator", "decimal", "thousands", "header", "na_values", "encoding", "quote")


def _text_file(path: str, source: TableSource) -> Iterator[Broken]:
    """Check the keys that say how the text of a file is written."""
    several = source.target if isinstance(source.target, tuple) else (source.target,)
    index = next((name for name in several if isinstance(name, int)), None)
    if index is not None and source.header != "none":
        what = f'{index} is an index, which goes with header: none; a name is in quotes: "{index}"'
        yield Broken(f"{path}.target", what, (f"{path}.header",))
    if source.thousands == source.decimal:
        other = "." if source.decimal == "," else ","
        what = f"is what decimal is; write {flow(other)}, or none"
        yield Broken(f"{path}.thousands", what, (f"{path}.decimal",))
    if source.quote == source.separator:
        what = "is the separator; write another character, or none"
        yield Broken(f"{path}.quote", what, (f"{path}.separator",))
    files = (source.table,) if isinstance(source.table, str) else source.table
    if all(file.lower().endswith(".parquet") for file in files):
        for key in _OF_TEXT:
            if getattr(source, key) != type(source).model_fields[key].default:
                what = "is for text files; a .parquet file has types of its own; remove it"
                yield Broken(f"{path}.{key}", what, (f"{path}.table",))


def _optimizer(spec: Spec) -> Iterator[Broken]:
    optimizer, penalty = spec.optimizer, spec.penalty
    if isinstance(optimizer, Solver):
        return
    yield from _schedule(optimizer.schedule)
    if optimizer.epochs is not None and optimizer.steps is not None:
        yield Broken(
            "optimizer.steps",
            "a run has epochs or steps, not both; remove one, or set it to none",
            ("optimizer.epochs",),
        )
    if optimizer.epochs is None and optimizer.steps is None:
        yield Broken("optimizer.epochs", "no epochs and no steps; write epochs: 30")
    if isinstance(optimizer, Sgd) and optimizer.nesterov and optimizer.momentum == 0:
        what = "needs a momentum above 0; write momentum: 0.9, or nesterov: false"
        yield Broken("optimizer.nesterov", what, ("optimizer.momentum",))
    if isinstance(optimizer, Lars) and has_l1(penalty):
        key = "l1" if isinstance(penalty, L2L1) else "l1_ratio"
        what = "lars takes no l1; write 0, or take sgd or adam"
        yield Broken(f"penalty.{key}", what, ("optimizer.name",))
    if isinstance(optimizer, AdamW):
        reads = ("optimizer.name", "optimizer.weight_decay")
        cure = "write 0 and use optimizer.weight_decay, or take adam"
        keys = ("l2", "l1") if isinstance(penalty, L2L1) else ("C", "alpha")
        for key in keys:
            if getattr(penalty, key, 0) > 0:
                cure = cure if key != "C" else cure.replace("write 0", "remove it")
                yield Broken(f"penalty.{key}", f"adamw takes no penalty; {cure}", reads)


def _solver(spec: Spec) -> Iterator[Broken]:
    optimizer = spec.optimizer
    if not isinstance(optimizer, Solver):
        return
    name, reads = optimizer.name, ("optimizer.name",)
    yield from _suits(spec, name)
    if spec.precision == "tf32" and not OPTIMIZERS[name].tf32:
        what = f"{name} computes in float64; write float32, or take lbfgs, sgd, adam or adamw"
        yield Broken("precision", what, reads)
    if spec.early_stopping is not None:
        what = f"{name} goes to the optimum, of which there is one evaluation; remove it"
        yield Broken("early_stopping", what, reads)
    if spec.log.gradients != "none":
        what = f"{name} does not save its gradients; write none, or take sgd, adam or adamw"
        yield Broken("log.gradients", what, reads)
    if spec.log.eval_every != Log.model_fields["eval_every"].default:
        what = f"{name} has one evaluation, at its end; write 1, or take sgd, adam or adamw"
        yield Broken("log.eval_every", what, reads)


def _suits(spec: Spec, name: str) -> Iterator[Broken]:
    """Check that a solver suits the loss and the penalty."""
    facts = OPTIMIZERS[name]
    loss = LOSSES.get((spec.model, spec.loss_name), LOSSES[spec.model, OWN_LOSS])
    if facts.closed_form and not loss.quadratic:
        models = [model for model in MODELS if LOSSES[model, OWN_LOSS].quadratic]
        others = one_of([other for other in SOLVERS if not OPTIMIZERS[other].closed_form])
        what = f"{name} is for {one_of(models, 'and')}; {spec.model} takes {others}"
        yield Broken("optimizer.name", what, ("model",))
    elif facts.closed_form and has_l1(spec.penalty):
        what = f"{name} is for l2 alone; with l1 write newton, lbfgs or auto"
        yield Broken("optimizer.name", what, ("penalty",))
    if facts.second_derivatives and not loss.second_derivatives:
        what = f"{name} needs second derivatives, which {spec.loss_name} has not; write lbfgs"
        if loss.apart and not loss.convex:
            what = f"{name} needs a convex loss, which {loss.apart.name} is not; write lbfgs"
        yield Broken("optimizer.name", what, ("loss", "model"))


def has_l1(penalty: Penalty) -> bool:
    """Whether a penalty is not smooth."""
    if isinstance(penalty, L2L1):
        return penalty.l1 > 0
    strength = penalty.C if isinstance(penalty, InverseC) else penalty.alpha
    return penalty.l1_ratio > 0 and strength > 0


_OF_SCHEDULES = [
    (key, owner, Schedule.model_fields[key].default)
    for key, owner in (("final", "cosine"), ("milestones", "step"), ("gamma", "step"))
]


def _schedule(schedule: Schedule) -> Iterator[Broken]:
    reads = ("optimizer.schedule.name",)
    for key, owner, default in _OF_SCHEDULES:
        if schedule.name != owner and getattr(schedule, key) != default:
            what = f"belongs to {owner}, not {schedule.name}; remove it, or write name: {owner}"
            yield Broken(f"optimizer.schedule.{key}", what, reads)
    milestones = schedule.milestones
    if schedule.name == "step" and not milestones:
        what = "step needs the times at which lr drops; for example [10, 20]"
        yield Broken("optimizer.schedule.milestones", what, reads)
    if any(late <= early for early, late in pairwise(milestones)):
        what = f"times must rise; write {flow(sorted(set(milestones)))}"
        yield Broken("optimizer.schedule.milestones", what)


def _early_stopping(spec: Spec) -> Iterator[Broken]:
    if spec.early_stopping is None:
        return
    metric = spec.early_stopping.metric
    if what := metric_fault(spec, metric):
        reads = ("data.val",) if metric in _known(spec) else ("model",) * _has_another(metric)
        yield Broken("early_stopping.metric", what, reads)


def _metrics(spec: Spec) -> Iterator[Broken]:
    known = metrics_of(spec.model)
    for i, name in enumerate(() if isinstance(spec.metrics, str) else spec.metrics):
        if name in known:
            continue
        bare = name.removeprefix("val_").removeprefix("test_")
        meant = bare if bare in known else nearest(bare, known)
        cure = f"did you mean {meant}?" if meant else f"write some of {', '.join(known)}"
        yield Broken(
            f"metrics.{i}", f"{spec.model} has no metric {show_value(name)}; {cure}", ("model",)
        )


def metric_fault(spec: Spec, metric: str) -> str | None:
    """What is wrong with a metric that a spec does not have; None if it has it."""
    known = _known(spec)
    if metric not in known:
        meant = VALUES["metric"].get(metric) or nearest(metric, known)
        meant = f"did you mean {meant}?" if meant in known else f"write {one_of(known)}"
        return f"{spec.model} has no metric {show_value(metric)}; {meant}"
    folds = spec.repeat is not None and spec.repeat.brings_val
    if spec.data.val == "none" and not folds and metric != "train_loss":
        return f"{metric} needs validation rows; set data.val, or write train_loss"
    return None


def _known(spec: Spec) -> tuple[str, ...]:
    return ("train_loss", *(f"val_{name}" for name in metrics_of(spec.model)))


def _has_another(metric: str) -> bool:
    return any(metric == f"val_{name}" for name in METRICS)


def _intervals(spec: Spec) -> Iterator[Broken]:
    intervals, source = spec.intervals, spec.data.train
    if isinstance(intervals, str) or intervals.by != "group" or source == "arrays":
        return  # whether arrays have groups, they say themselves
    if getattr(source, "group", None) is None:
        what = "data.train has no groups; name their column with group, or write row"
        yield Broken("intervals.by", what, ("data.train",))


# Each with the keys of a spec that it reads.
_READS: dict[Rule, frozenset[str]] = {
    _model: frozenset({"model", "data", "loss", "class_weight"}),
    _targets: frozenset({"targets", "model", "data", "init"}),
    _data: frozenset({"data"}),
    _test_sets: frozenset({"model", "data"}),
    _tables: frozenset({"data"}),
    _optimizer: frozenset({"optimizer", "penalty"}),
    _solver: frozenset(
        {"model", "loss", "optimizer", "penalty", "precision", "early_stopping", "log"}
    ),
    _metrics: frozenset({"model", "metrics"}),
    _early_stopping: frozenset({"model", "data", "early_stopping", "repeat"}),
    repeat_rule: frozenset(
        {"model", "data", "init", "optimizer", "repeat", "sweep", "early_stopping"}
    ),
    select_rule: frozenset({"data", "repeat", "select", "sweep", "targets"}),
    _intervals: frozenset({"data", "intervals"}),
    permutation_rule: frozenset({"permutation_test", "repeat"}),
}
