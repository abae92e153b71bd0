"""The catalog: each row has its function, each function its row, and no one compares names."""

import ast
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import trainer
from trainer import catalog
from trainer.config.schema import data as sources
from trainer.config.schema import optimizer as optimizers
from trainer.config.schema.fields import Block
from trainer.config.schema.spec import Spec
from trainer.data.sources.registry import READERS
from trainer.data.sources.synthetic import DRAWS
from trainer.model.metrics import Targets
from trainer.model.models import MODELS, Scratch, error_is_dz
from trainer.model.named_metrics import NAMED
from trainer.model.ranking import ranking
from trainer.optim import first_order
from trainer.solvers import choose

ROOT = Path(trainer.__file__).parent
# Where a row's name may decide: there the rows are, and what they do.
TABLES = {
    "catalog/metrics.py",
    "catalog/models.py",
    "catalog/optimizers.py",
    "catalog/sources.py",
    "model/models.py",
    "model/metrics.py",
    "optim/first_order.py",
    "data/sources/registry.py",
    "config/schema/data.py",
    "config/schema/optimizer.py",
    "config/schema/spec.py",
    "config/schema/sweep.py",
}
NAMES = {
    *catalog.MODELS,
    *(loss for _, loss in catalog.LOSSES),
    *catalog.METRICS,
    *catalog.OPTIMIZERS,
    *catalog.SOURCES,
    *catalog.BUNDLED,
    *catalog.METHODS,
} - {"auto"}  # a word of many keys


def forms(union) -> set[str]:
    """The forms of the blocks that a union of the schema has."""
    parts = [part for outer in get_args(union) for part in (outer, *get_args(outer))]
    inner = [part for outer in parts for part in (outer, *get_args(outer))]
    return {p.form for p in inner if isinstance(p, type) and issubclass(p, Block)}


# --- rows and functions ---------------------------------------------------------------------------


def test_models_and_losses():
    assert len(MODELS) == 6
    assert set(MODELS) == set(catalog.LOSSES)
    assert {model for model, _ in MODELS} == set(catalog.MODELS)
    for model in catalog.MODELS:
        assert (model, catalog.OWN_LOSS) in MODELS
    for key, facts in catalog.LOSSES.items():
        row = MODELS[key]
        assert row.facts is facts, key
        assert facts.canonical == (row.dz is error_is_dz), key
        assert facts.second_derivatives == (row.variance is not None), key


@pytest.mark.parametrize("outputs", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("model", catalog.MODELS)
def test_metrics_are_those_that_are_computed(model, outputs):
    facts, row = catalog.MODELS[model], MODELS[model, catalog.OWN_LOSS]
    if facts.output_a_class and outputs == 1:
        return
    draw = np.random.default_rng(0)
    z, y = draw.standard_normal((30, outputs, 1)), draw.integers(0, 2, (30, outputs)).astype(float)
    y[0], y[1] = 0, 1
    w = np.ones(30)
    read = np.empty_like(z)
    row.activation(np, z.copy(), read, Scratch.of(np, *z.shape))
    sums = row.metrics.sums(np, read if row.metrics.of_predictions else z, y, w)
    found = row.metrics.finish(sums, Targets(y, w, np.ones(outputs), outputs), ranking(z, y, w))
    assert [catalog.LOSS, *found] == list(catalog.metrics_of(model, outputs, ()))
    named = set(catalog.metrics_of(model, outputs)) - {catalog.LOSS, *found}
    assert named <= set(NAMED.get(model, {}))
    assert {name for name in named if model not in catalog.METRICS[name].named} == set()


def test_every_metric_belongs_to_a_model_and_every_headline_is_a_metric():
    assert len(catalog.METRICS) == 28
    for name, metric in catalog.METRICS.items():
        assert set(metric.models) <= set(catalog.MODELS), name
        assert any(name in catalog.metrics_of(model) for model in catalog.MODELS), name
        assert metric.beside is None or metric.beside[0] in catalog.METRICS
        assert metric.named <= set(metric.models), name
        assert metric.formula, name
        assert metric.source, name
    for model, facts in catalog.MODELS.items():
        assert facts.headline in catalog.metrics_of(model)
        assert catalog.METRICS[facts.headline].meaning


def test_optimizers():
    assert set(catalog.OPTIMIZERS) == forms(optimizers.Optimizer)
    assert set(first_order.OPTIMIZERS) == {*catalog.FIRST_ORDER, "nesterov"}  # sgd's other form
    assert {*choose._METHODS, "auto"} == set(catalog.SOLVERS)
    hyper = {name: np.full(2, 0.5) for name in ("l2", "l1", "weight_decay")}
    for name in catalog.FIRST_ORDER:
        settings = catalog.OPTIMIZERS[name].settings
        block = next(b for b in vars(optimizers).values() if getattr(b, "form", None) == name)
        assert set(settings) <= set(block.model_fields)
        given = hyper | {setting: np.full(2, 0.5) for setting in settings}
        tables = first_order.OPTIMIZERS[name].tables(np.full((4, 2), 0.1), given, 1)
        assert all(table.shape == (3, 2) for table in tables.values())


def test_sources():
    assert (
        set(catalog.SOURCES) == set(READERS) == forms(sources.Source) == forms(sources.NamedSource)
    )
    for name, facts in catalog.SOURCES.items():
        block = next(b for b in vars(sources).values() if getattr(b, "form", None) == name)
        assert set(facts.paths) | set(facts.named) | set(facts.not_inherited) <= set(
            block.model_fields
        )
        assert bool(facts.example) == bool(facts.suffixes)
    for name, bundled in catalog.BUNDLED.items():
        assert (ROOT / "data" / "bundled" / f"{name}.parquet").is_file()
        assert bundled.model in catalog.MODELS
    assert {facts.noise for facts in catalog.MODELS.values()} == set(DRAWS)


def test_names_that_the_schema_takes():
    schema = Spec.model_json_schema()
    assert schema["properties"]["model"]["enum"] == list(catalog.MODELS)
    assert schema["properties"]["loss"]["enum"] == ["auto", "squared_error"]
    assert schema["$defs"]["Sweep"]["properties"]["method"]["enum"] == list(catalog.METHODS)


def test_a_column_is_read_as_its_metric():
    assert catalog.metric_of("val_balanced_accuracy") == "balanced_accuracy"
    assert catalog.metric_of("test_later_top5") == "top5"
    assert catalog.metric_of("loss") == "loss"
    assert catalog.metric_of("val_nothing") is None
    assert catalog.metric_of("val_macro_f1") == "macro_f1"
    assert catalog.metric_of("test_recall_at_1pct_fpr") == "recall_at_1pct_fpr"
    assert [name for name in catalog.METRICS if catalog.is_minimized(f"val_{name}")] == [
        "brier",
        "ece",
        "rmse",
        "mae",
        "median_absolute_error",
        "max_error",
        "deviance",
        "loss",
    ]
    assert catalog.is_share("val_accuracy")
    assert not catalog.is_share("val_auc")


# --- nobody compares names ------------------------------------------------------------------------


def compared(node: ast.AST) -> set[str]:
    """The names of rows that a comparison or a match has as constants."""
    if isinstance(node, ast.Compare):
        parts = [node.left, *node.comparators]
    elif isinstance(node, ast.MatchValue):
        parts = [node.value]
    else:
        return set()
    listed = (
        part.elts if isinstance(part, ast.Tuple | ast.List | ast.Set) else [part] for part in parts
    )
    constants = (part.value for inner in listed for part in inner if isinstance(part, ast.Constant))
    return {value for value in constants if isinstance(value, str) and value in NAMES}


def test_the_reader_of_comparisons_reads():
    tree = ast.parse('a == "linear"\nb != "rmse"\nc in ("x", "npy")\n"loss" in d\ne == "random"')
    assert len([node for node in ast.walk(tree) if compared(node)]) == 5


def test_no_row_is_told_by_its_name_outside_the_tables():
    files = {str(path.relative_to(ROOT)): path for path in sorted(ROOT.rglob("*.py"))}
    assert set(files) > TABLES
    found = [
        f"{name}:{node.lineno}: {ast.unparse(node)}"
        for name, path in files.items()
        if name not in TABLES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if compared(node)
    ]
    assert len(files) > 130
    assert not found
