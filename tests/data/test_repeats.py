"""Folds, groups, draws and refits, from a source to prepared rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_helpers import same_encoder, same_rows, spec_of, write

from trainer.data import prepare, prepare_split, read, row_weights
from trainer.data.sources import registry as sources_module
from trainer.data.splits.repeats import row_splits
from trainer.errors import DataError

rng = np.random.default_rng(0)
N = 240


def table() -> pa.Table:
    """Numbers with gaps, whole numbers, text with gaps, two kinds of target, weights, groups."""
    u = rng.normal(5, 3, N)
    u[rng.random(N) < 0.1] = np.nan
    text = np.array(["a", "b", "c", None], dtype=object)[rng.integers(0, 4, N)]
    text[0] = "seldom"  # in one fold no training row has it
    w = rng.integers(0, 3, N).astype(float)
    w[0] = 1
    return pa.table(
        {
            "u": u,
            "n": rng.integers(0, 9, N),
            "t": pa.array(text.tolist(), pa.string()),
            "y": rng.normal(size=N),
            "label": np.array(["no", "yes", "perhaps"])[rng.integers(0, 3, N)],
            "w": w,
            "g": rng.integers(100, 130, N),
        }
    )


def npy(folder: Path, X: np.ndarray, y: np.ndarray, **more: np.ndarray) -> dict[str, Any]:
    paths = {"npy": write(folder, "X.npy", X), "target": write(folder, "y.npy", y)}
    return paths | {key: write(folder, f"{key}.npy", value) for key, value in more.items()}


def with_wild_rows(data: pa.Table, rows: np.ndarray) -> pa.Table:
    """The table with other values in these rows; gaps and labels stay."""
    columns = data.to_pydict()
    for row in rows.tolist():
        if not np.isnan(columns["u"][row]):
            columns["u"][row] = 1e9
        if columns["t"][row] is not None:
            columns["t"][row] = "unheard of"
        columns["n"][row], columns["y"][row] = 7777, -1e9
    return pa.table(columns)


# A fold is the plain run on its rows


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("scale", ["none", "standard", "unit"])
def test_a_fold_of_a_matrix_is_the_plain_run_on_its_rows(
    tmp_path: Path, order: Any, scale: str
) -> None:
    X = np.asarray(rng.normal(3, 7, (3000, 500)).astype(np.float32), order=order)
    y, w = rng.integers(0, 4, 3000), rng.integers(1, 5, 3000)
    train = npy(tmp_path, X, y, weight=w)
    spec = spec_of(
        "softmax", train, scale=scale, precision="float32", repeat={"folds": 2, "times": 2}
    )
    source = read(spec)
    found = row_splits(source, spec)
    names = ["fold 1 of 2", "fold 2 of 2"]
    assert [p.name for p in found] == [f"{n}, time {t}" for t in (1, 2) for n in names]
    assert len({p.key for p in found}) == 4
    for part in found:
        fold = prepare_split(source, spec, part)
        assert part.val is not None
        rows, held = part.train, part.val
        plain = prepare(
            spec,
            {
                "train": (np.ascontiguousarray(X[rows]), y[rows]),
                "val": (X[held], y[held]),
                "weight": w[rows],
            },
        )
        assert same_rows(fold.train, plain.train)
        assert same_encoder(fold.encoder, plain.encoder)
        assert fold.val is not None
        assert plain.val is not None
        assert fold.val.X.tobytes() == plain.val.X.tobytes()
        assert fold.val.weight.tolist() == w[held].tolist()
        assert np.array_equal(fold.train.index, rows)
        assert np.array_equal(fold.val.index, held)


@pytest.mark.parametrize(
    ("model", "target", "settings"),
    [
        ("linear", "y", {"scale_target": "standard", "scale": "standard"}),
        ("softmax", "label", {"scale": "standard"}),
        ("softmax", "label", {"scale": "unit"}),
    ],
)
def test_a_fold_of_a_table_with_text_and_gaps_is_the_plain_run_on_its_rows(
    tmp_path: Path, model: str, target: str, settings: dict[str, Any]
) -> None:
    data = table()
    pq.write_table(data, tmp_path / "a.parquet")
    train = {
        "table": str(tmp_path / "a.parquet"),
        "target": target,
        "columns": ["u", "n", "t"],
        "weight": "w",
    }
    spec = spec_of(model, train, missing="mean", repeat={"folds": 5}, **settings)
    source = read(spec)
    X, y, w = (
        data.select(["u", "n", "t"]),
        data[target].to_numpy(),
        data["w"].to_numpy(),
    )
    y = y.astype(str) if model == "softmax" else y
    found = row_splits(source, spec)
    assert len(found) == 5
    categories = set()
    for part in found:
        fold = prepare_split(source, spec, part)
        assert part.val is not None
        rows, held = part.train, part.val
        plain = prepare(
            spec,
            {"train": (X.take(rows), y[rows]), "val": (X.take(held), y[held]), "weight": w[rows]},
        )
        assert same_rows(fold.train, plain.train)
        assert fold.val is not None
        assert plain.val is not None
        assert fold.val.X.tobytes() == plain.val.X.tobytes()
        assert fold.val.y.tobytes() == plain.val.y.tobytes()
        assert fold.encoder.mean.tobytes() == plain.encoder.mean.tobytes()
        assert fold.encoder.scale.tobytes() == plain.encoder.scale.tobytes()
        assert fold.encoder.impute == plain.encoder.impute
        assert fold.encoder.target_mean.tolist() == plain.encoder.target_mean.tolist()
        for name in ("rows", "features", "columns", "outputs", "expansions", "imputed", "unseen"):
            assert getattr(fold.summary, name) == getattr(plain.summary, name)
        assert list(fold.summary.class_counts.values()) == list(plain.summary.class_counts.values())
        assert fold.summary.dropped == {}
        assert fold.summary.source == str(tmp_path / "a.parquet")
        categories.add(fold.encoder.categories["t"])
    assert len(categories) == 2


def test_libsvm_folds_are_those_of_the_matrix_it_holds(tmp_path: Path) -> None:
    X = rng.integers(0, 3, (60, 5)).astype(float)
    y = rng.integers(0, 2, 60)
    lines = [
        f"{label} " + " ".join(f"{d}:{v}" for d, v in enumerate(row, 1) if v)
        for label, row in zip(y, X, strict=True)
    ]
    text = write(tmp_path, "a.libsvm", "\n".join(lines))
    spec = spec_of("logistic", {"libsvm": text}, scale="standard", repeat={"folds": 3})
    source = read(spec)
    for part in row_splits(source, spec):
        plain = prepare(spec, {"train": (X[part.train], y[part.train])})
        assert same_rows(prepare_split(source, spec, part).train, plain.train)


# No leak


@pytest.mark.parametrize("repeat", [{"folds": 4}, {"few_shot": {"k": 3, "tries": 4}}])
@pytest.mark.parametrize("missing", ["mean", "drop"])
def test_no_statistic_of_a_held_out_row_reaches_the_training_rows(
    tmp_path: Path, repeat: dict[str, Any], missing: str
) -> None:
    data = table()
    few = "few_shot" in repeat
    target, model = ("label", "softmax") if few else ("y", "linear")
    scale_target = {} if few else {"scale_target": "standard"}
    path = tmp_path / "a.parquet"
    train = {"table": str(path), "target": target, "columns": ["u", "n", "t"], "weight": "w"}
    spec = spec_of(
        model, train, scale="standard", missing=missing, repeat=repeat, test=0.2, **scale_target
    )
    pq.write_table(data, path)
    source = read(spec)
    found = row_splits(source, spec)
    assert len(found) == 4
    for number, part in enumerate(found):
        before = prepare_split(source, spec, part)
        held = np.setdiff1d(np.arange(N), part.train)
        pq.write_table(with_wild_rows(data, held), path)
        again = read(spec)
        same = row_splits(again, spec)[number]
        assert np.array_equal(part.train, same.train)
        after = prepare_split(again, spec, same)
        assert same_rows(before.train, after.train)
        assert same_encoder(before.encoder, after.encoder)
        assert before.tests[0].X.tobytes() != after.tests[0].X.tobytes()  # the change is there


# Which rows


def test_held_out_parts_cover_each_row_once_and_test_rows_are_set_apart_first() -> None:
    spec = spec_of("softmax", "digits", test=0.25, repeat={"folds": 4, "times": 3})
    source = read(spec)
    plain = prepare(spec)
    found = row_splits(source, spec)
    assert len(found) == 12
    deals = set()
    for time in range(3):
        held = [part.val for part in found[4 * time : 4 * time + 4]]
        together = np.concatenate([rows for rows in held if rows is not None])
        assert np.array_equal(np.sort(together), plain.train.index)
        deals.add(together.tobytes())
        labels = [plain.train.y[np.isin(plain.train.index, rows)] for rows in held]
        counts = np.array([np.bincount(y, minlength=10) for y in labels])
        assert np.ptp(counts, axis=0).max() <= 1
        assert np.ptp(counts.sum(axis=1)) <= 1
    assert len(deals) == 3
    for part in found:
        assert part.val is not None
        assert np.array_equal(np.union1d(part.train, part.val), plain.train.index)
        assert len(part.train) + len(part.val) == len(plain.train)
    prepared = prepare_split(source, spec, found[0])
    assert np.array_equal(prepared.tests[0].index, plain.tests[0].index)
    assert prepared.digest == plain.digest
    other = spec_of("softmax", "digits", test=0.25, repeat={"folds": 4}, seed=1)
    assert np.array_equal(
        row_splits(source, other)[0].train, found[0].train
    )  # data.seed alone counts


def test_folds_depend_on_data_seed_and_are_pinned() -> None:
    def first(seed: int) -> list[int]:
        spec = spec_of("linear", "arrays", seed=9, repeat={"folds": 4})
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"seed": seed})})
        part = row_splits(read(spec, {"train": (np.eye(12), np.arange(12))}), spec)[0]
        assert part.val is not None
        return part.val.tolist()

    assert first(0) == [3, 4, 6]
    assert first(1) == [3, 8, 9]


def test_without_stratify_a_class_may_be_scarce() -> None:
    y = np.array(["a"] * 30 + ["b"] * 30 + ["c"] * 2)
    spec = spec_of("softmax", "arrays", stratify=False, repeat={"folds": 4})
    source = read(spec, {"train": (rng.normal(size=(62, 2)), y)})
    for part in row_splits(source, spec):
        prepared = prepare_split(source, spec, part)
        assert prepared.encoder.classes == ["a", "b", "c"]  # those of the whole source
        assert sum(prepared.summary.class_counts["train"].values()) == len(part.train)


def test_a_run_without_repeats_is_one_part() -> None:
    spec = spec_of("softmax", "digits", val=0.2, test=0.1)
    source = read(spec)
    for repeat in (None, {}):
        spec = spec_of("softmax", "digits", val=0.2, test=0.1, repeat=repeat)
        (part,) = row_splits(source, spec)
        assert (part.name, part.val) == ("", None)
        one, plain = prepare_split(source, spec, part), prepare(spec)
        assert same_rows(one.train, plain.train)
        assert same_rows(one.val, plain.val)
        assert one.summary == plain.summary


def test_one_source_serves_specs_with_other_settings_and_is_read_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    X, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    X[7, 1] = np.nan
    train = npy(tmp_path, X, y)
    opened = []
    real = sources_module.npy.read_npy
    monkeypatch.setattr(
        sources_module.npy, "read_npy", lambda path: opened.append(path) or real(path)
    )
    source = read(spec_of("linear", train, missing="mean"))
    assert len(opened) == 2
    for settings in ({"missing": "drop"}, {"missing": "mean", "val": 0.2}, {"missing": "mean"}):
        for scale in ("none", "standard"):
            spec = spec_of("linear", train, scale=scale, **settings)
            ours = prepare_split(source, spec, row_splits(source, spec)[0])
            assert len(opened) == 2
            theirs = prepare(spec)
            del opened[2:]
            assert same_rows(ours.train, theirs.train)
            assert same_rows(ours.val, theirs.val)
            assert ours.summary == theirs.summary


# Weights


@pytest.mark.parametrize("repeat", [{"folds": 3}, {"few_shot": {"k": 4, "tries": 3}}])
def test_weights_and_class_weights_are_those_of_the_part(repeat: dict[str, Any]) -> None:
    y = np.array(["a", "b", "b"] * 20)
    w = rng.integers(1, 9, 60).astype(float)
    spec = spec_of("logistic", "arrays", class_weight="balanced", repeat=repeat)
    source = read(spec, {"train": (rng.normal(size=(60, 2)), y), "weight": w})
    for part in row_splits(source, spec):
        train = prepare_split(source, spec, part).train
        assert train.weight.tolist() == w[part.train].tolist()
        s = row_weights(train.y, train.weight, spec.class_weight, ["a", "b"])
        sums = [s[y[part.train] == label].sum() for label in "ab"]
        np.testing.assert_allclose(sums, w[part.train].sum() / 2, rtol=1e-14)


def test_rows_that_are_dropped_are_in_no_fold(tmp_path: Path) -> None:
    X = rng.normal(size=(40, 2))
    X[[3, 17], 0] = np.nan
    spec = spec_of("linear", npy(tmp_path, X, X[:, 1]), missing="drop", repeat={"folds": 3})
    source = read(spec)
    for part in row_splits(source, spec):
        assert part.val is not None
        rows = np.union1d(part.train, part.val)
        assert np.array_equal(rows, np.setdiff1d(np.arange(40), [3, 17]))
        assert list(prepare_split(source, spec, part).summary.dropped.values()) == [2]


# Bad input

CLASSES = np.array(["a"] * 8 + ["b"] * 2)
PAIR = (np.eye(10), CLASSES)
BAD: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (
        "softmax",
        {"train": PAIR},
        {"folds": 3},
        "repeat.folds: 3 folds, and the class 'b' has 2 rows for them in data['train'] y; at most"
        " 2 folds, or more rows of it, or data.stratify: false, are right",
    ),
    (
        "softmax",
        {"train": (np.eye(9), CLASSES[:9])},
        {"folds": 2},
        "repeat.folds: 2 folds, and the class 'b' has 1 row for them in data['train'] y; more rows"
        " of it, or data.stratify: false, are right",
    ),
    (
        "linear",
        {"train": (np.eye(4), np.arange(4))},
        {"folds": 5},
        "repeat.folds: 5 folds of 4 rows in data['train'] X; at most 4 folds, or more rows are"
        " right",
    ),
    (
        "softmax",
        {"train": PAIR, "val": PAIR},
        {"folds": 2},
        "repeat.folds: 2 folds hold out their own rows, and data['val'] is given as well; leave"
        " one of them out",
    ),
]


def test_bad_input_is_one_line() -> None:
    assert len(BAD) == 4
    for model, arrays, repeat, message in BAD:
        spec = spec_of(model, "arrays", repeat=repeat)
        with pytest.raises(DataError) as error:
            row_splits(read(spec, arrays), spec)
        assert str(error.value) == message


def test_as_many_folds_as_rows_hold_out_one_row_each() -> None:
    spec = spec_of("linear", "arrays", repeat={"folds": 6})
    found = row_splits(read(spec, {"train": (np.eye(6), np.arange(6))}), spec)
    assert sorted(part.val.tolist() for part in found if part.val is not None) == [
        [row] for row in range(6)
    ]


def test_a_fault_of_one_fold_names_it() -> None:
    spec = spec_of("linear", "arrays", repeat={"folds": 5}, missing="mean")
    X, y = np.eye(10), np.arange(10.0)
    held = row_splits(read(spec, {"train": (X, y)}), spec)[2].val
    X[np.setdiff1d(np.arange(10), held), 0] = np.nan
    source = read(spec, {"train": (X, y)})
    found = row_splits(source, spec)
    prepare_split(source, spec, found[0])
    message = (
        r"^data\['train'\] X: column 'x0': no training row has a value; .* \(in fold 3 of 5\)$"
    )
    with pytest.raises(DataError, match=message):
        prepare_split(source, spec, found[2])
