"""Rules of repeats, and of what is chosen by them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trainer.catalog import LOSSES, MODELS, OPTIMIZERS, draws, is_minimized
from trainer.config.checks.broken import Broken
from trainer.config.schema.sweep import EACH_REPEAT, FewShot, ForwardFolds, Repeat

if TYPE_CHECKING:
    from trainer.config.schema.spec import Spec


def repeat_rule(spec: Spec) -> Iterator[Broken]:
    """What of `repeat` does not go together, or with the rest."""
    repeat, full = spec.repeat, spec.optimizer.batch_size == "full"
    if repeat is None:
        return
    kinds = [key for key in _KINDS if getattr(repeat, key) not in (None, False)]
    if len(kinds) > 1:
        what = f"a run has {kinds[0]} or {kinds[1]}, not both; remove one"
        yield Broken(f"repeat.{kinds[1]}", what, (f"repeat.{kinds[0]}",))
    if repeat.holds_out and spec.data.val not in ("none", "arrays"):
        key = kinds[0]
        held = "what a fold holds out is" if key == "folds" else "the rows that are not drawn are"
        what = f"{held} val; remove data.val, or repeat.{key}"
        yield Broken("data.val", what, (f"repeat.{key}",))
    if not isinstance(repeat.folds, int) and repeat.times > 1:
        what = "is how often folds are drawn; write folds: 5 too, or remove it"
        if repeat.folds is not None:
            what = "is how often random folds are drawn, and these are always the same; remove it"
        yield Broken("repeat.times", what, ("repeat.folds",))
    if repeat.seeds > 1 and full and spec.init == "zeros" and not repeat.draws_rows:
        what = "a full batch from zeros comes out the same for every seed; write seeds: 1"
        reads = ("optimizer.batch_size", "init", "repeat.few_shot", "repeat.bootstrap")
        yield Broken("repeat.seeds", what, reads)
    if repeat.inner_folds is not None:
        yield from _inner_folds(spec, repeat)
    if repeat.leave_one_out:
        yield from _leave_one_out(spec)
    if repeat.few_shot is not None:
        yield from _few_shot(spec, repeat.few_shot, full)


_KINDS = ("folds", "few_shot", "bootstrap", "leave_one_out")


def _leave_one_out(spec: Spec) -> Iterator[Broken]:
    if not LOSSES[spec.model, spec.loss_name].quadratic:
        what = f"this loss of {spec.model} has no closed form to leave rows out; write folds: 10"
        yield Broken("repeat.leave_one_out", what, ("model",))
    elif not OPTIMIZERS[spec.optimizer.name].closed_form:
        what = "leave_one_out is told by the closed form; write exact, or repeat: {folds: 10}"
        yield Broken("optimizer.name", what, ("repeat.leave_one_out",))
    if spec.data.val != "none":
        what = "each row is val for the model of all others; remove data.val, or leave_one_out"
        yield Broken("data.val", what, ("repeat.leave_one_out",))


def _inner_folds(spec: Spec, repeat: Repeat) -> Iterator[Broken]:
    """What nested cross-validation does not go with."""
    key = "repeat.inner_folds"
    if repeat.bootstrap is not None:
        what = "are cut inside folds or draws, and resamples choose nothing; write folds: 5"
        yield Broken(key, what, ("repeat.bootstrap",))
    elif repeat.folds is None and repeat.few_shot is None:
        what = "are cut inside the training rows of folds or draws; write folds: 5 too"
        yield Broken(key, what, ("repeat.folds", "repeat.few_shot"))
    elif repeat.few_shot is not None and spec.data.val == "none":
        what = "choose a setting, and val scores it; set data.val"
        yield Broken(key, what, ("data.val",))
    metric = spec.sweep.metric if spec.sweep is not None else None
    if metric is not None and metric.name.startswith("train_"):
        what = "choose by rows that they hold out; write val_loss"
        yield Broken("sweep.metric.name", f"inner folds {what}", (key,))
    if spec.early_stopping is not None:
        what = "would stop each trial by the rows that score the choice; sweep optimizer.epochs"
        yield Broken("early_stopping", f"{what}, or remove repeat.inner_folds", (key,))
    if spec.sweep is not None and spec.sweep.early_terminate is not None:
        what = "would drop trials by the rows that score the choice; remove it"
        yield Broken("sweep.early_terminate", f"{what}, or repeat.inner_folds", (key,))


def _few_shot(spec: Spec, shot: FewShot, full: bool) -> Iterator[Broken]:
    given = [key for key in ("k", "rows", "fraction") if getattr(shot, key) is not None]
    if not given:
        what = "has no k: how many rows of each class; for example k: [1, 2, 4], or rows: [50, 100]"
        yield Broken("repeat.few_shot", what)
    for key in given[1:]:
        what = f"{given[0]} says already how many rows are drawn; remove one"
        yield Broken(f"repeat.few_shot.{key}", what, (f"repeat.few_shot.{given[0]}",))
    if not full:
        what = "few_shot trains on all its rows at once; write batch_size: full, or name: lbfgs"
        yield Broken("optimizer.batch_size", what, ("repeat.few_shot",))
    if not MODELS[spec.model].has_classes and shot.k is not None:
        what = f"{spec.model} has no classes to draw from; write rows: [50, 100] in place of k"
        yield Broken("repeat.few_shot", what, ("model",))
    if shot.val_k == "none":
        return
    if spec.data.val == "none":
        what = "draws from val, and there is none; set data.val, or write none"
        yield Broken("repeat.few_shot.val_k", what, ("data.val",))
    elif not MODELS[spec.model].has_classes:
        what = f"{spec.model} has no classes to draw from; write none"
        yield Broken("repeat.few_shot.val_k", what, ("model",))


def select_rule(spec: Spec) -> Iterator[Broken]:
    """What of `select` and of the sweep's order does not go with the rest."""
    select, repeat = spec.select, spec.repeat
    repeats = repeat is not None and (
        repeat.holds_out or repeat.few_shot is not None or repeat.seeds > 1
    )
    if select.rule == "one_std_err" and not repeats:
        what = "a standard error takes repeats; write repeat: {folds: 5}, or rule: best"
        yield Broken("select.rule", what, ("repeat",))
    if select.rule == "one_std_err" and repeat is not None and repeat.bootstrap is not None:
        what = "over resamples a standard error shrinks with their number, whatever the data; write"
        yield Broken("select.rule", f"{what} folds: 5, or rule: best", ("repeat.bootstrap",))
    if EACH_REPEAT in select.per:
        yield from _each_repeat(spec, repeats)
    if select.refit == "train+val" and spec.data.val == "none":
        folds = repeat is not None and repeat.holds_out
        right = "train is all rows with folds" if folds else "set data.val, or write none"
        yield Broken("select.refit", f"there is no val to add; {right}", ("data.val",))
    if (
        select.refit in ("train", "train+val")
        and repeat is not None
        and repeat.few_shot is not None
    ):
        what = "few_shot is about few rows; write none"
        yield Broken("select.refit", what, ("repeat.few_shot",))
    if spec.sweep is not None and spec.sweep.metric is not None:
        metric = spec.sweep.metric
        own = "minimize" if is_minimized(metric.name) else "maximize"
        if metric.goal is not None and metric.goal != own:
            what = f"{metric.name} is better when {'small' if own == 'minimize' else 'large'}"
            yield Broken("sweep.metric.goal", f"{what}; write {own}, or remove it")
    if spec.sweep and not draws(spec.sweep.method) and spec.sweep.num_trials is not None:
        what = "a grid has as many trials as it has combinations; remove it, or write random"
        yield Broken("sweep.num_trials", what, ("sweep.method",))


def permutation_rule(spec: Spec) -> Iterator[Broken]:
    """What a permutation test does not go with: rows that cannot change places."""
    if spec.permutation_test is None:
        return
    if spec.repeat is not None and isinstance(spec.repeat.folds, ForwardFolds):
        what = "rows in the order of time cannot change places; write none, or random folds"
        yield Broken("permutation_test", what, ("repeat.folds",))


def _each_repeat(spec: Spec, repeats: bool) -> Iterator[Broken]:
    """Check that what each repeat chooses for itself can be scored."""
    if not repeats:
        what = "there is one repeat; write repeat: {folds: 5} too, or remove repeat here"
        yield Broken("select.per", what, ("repeat",))
    if spec.repeat is not None and spec.repeat.inner_folds is not None:
        return  # so it does by them, and its own val scores the choice
    if spec.targets == "separate":
        what = "targets: separate has a winner a target; remove repeat here, or write joint"
        yield Broken("select.per", what, ("targets",))
    if spec.data.test == "none":
        what = (
            "a repeat's own choice favours its own val; set data.test, which scores it, or remove"
            " repeat here"
        )
        yield Broken("select.per", what, ("data.test",))
    if spec.select.rule == "one_std_err":
        what = "a repeat that chooses for itself has one value, of no error; write best"
        yield Broken("select.rule", what, ("select.per",))
