"""Few-shot draws: k rows of each class to train on, val whole or drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from data_helpers import same_encoder, same_rows, spec_of

from trainer.data import RowSplit, Source, prepare, prepare_split, read
from trainer.data.splits.repeats import row_splits
from trainer.errors import DataError

rng = np.random.default_rng(0)


def drawn(
    k: int, *, seed: int = 0, tries: int = 5, **shot: Any
) -> tuple[Source, Any, list[RowSplit]]:
    spec = spec_of(
        "softmax",
        "digits",
        val=0.2,
        test=0.1,
        seed=seed,
        repeat={"few_shot": {"k": k, "tries": tries, **shot}},
    )
    source = read(spec)
    return source, spec, list(row_splits(source, spec))


def test_each_draw_has_k_training_rows_of_each_class_and_the_plain_val() -> None:
    source, spec, found = drawn(4)
    plain = prepare(spec)
    assert [part.name for part in found] == [f"draw {i}" for i in range(1, 6)]
    assert len({part.key for part in found}) == 5
    assert len({part.train.tobytes() for part in found}) == 5
    for part in found:
        assert part.val is None
        assert np.isin(part.train, plain.train.index).all()
        prepared = prepare_split(source, spec, part)
        assert np.bincount(prepared.train.y).tolist() == [4] * 10
        assert prepared.val is not None
        assert plain.val is not None
        assert np.array_equal(prepared.val.index, plain.val.index)
        assert np.array_equal(prepared.tests[0].index, plain.tests[0].index)
        assert prepared.summary.rows == {"train": 40, "val": 359, "test": 180}
        assert prepared.summary.dropped == {}
        # val is scaled by the rows of the draw, not by those of another
        rows = source.frame.features
        raw = np.column_stack([np.asarray(c, dtype=float) for c in rows])
        mean, sigma = raw[part.train].mean(axis=0), raw[part.train].std(axis=0)
        np.testing.assert_allclose(prepared.encoder.mean, mean, atol=1e-12)
        sigma[sigma == 0] = 1
        expected = (raw[prepared.val.index] - mean) / sigma
        np.testing.assert_allclose(prepared.val.X, expected, atol=1e-9)


def test_a_draw_is_the_plain_run_on_its_rows() -> None:
    source, spec, found = drawn(3)
    raw = np.column_stack([np.asarray(c, dtype=float) for c in source.frame.features])
    y = np.asarray(prepare(spec_of("softmax", "digits")).train.y)
    whole = spec.data.model_copy(update={"val": "none", "test": "none"})
    alone = spec.model_copy(update={"data": whole})
    for part in found:
        rows = part.train
        plain = prepare(alone, {"train": (raw[rows], y[rows])})
        ours = prepare_split(source, spec, part)
        assert same_rows(ours.train, plain.train)
        assert ours.encoder.mean.tobytes() == plain.encoder.mean.tobytes()
        assert ours.encoder.scale.tobytes() == plain.encoder.scale.tobytes()


def test_a_smaller_k_draws_some_of_the_same_rows() -> None:
    _, _, few = drawn(2)
    _, _, more = drawn(8)
    assert all(set(a.train) < set(b.train) for a, b in zip(few, more, strict=True))


def test_draws_depend_on_the_seed_of_the_run_and_are_pinned() -> None:
    def train(seed: int) -> list[int]:
        spec = spec_of("logistic", "arrays", seed=seed, repeat={"few_shot": {"k": 2}})
        data = {"train": (np.eye(12), np.array(["a", "b"] * 6))}
        return row_splits(read(spec, data), spec)[0].train.tolist()

    assert train(0) == [1, 3, 6, 10]
    assert train(1) != train(0)


def test_a_row_of_weight_0_is_not_drawn() -> None:
    y = np.array(["a", "b"] * 20)
    w = np.ones(40)
    w[:34] = 0
    for k in (2, 3):
        spec = spec_of("logistic", "arrays", repeat={"few_shot": {"k": k, "tries": 20}})
        source = read(spec, {"train": (np.eye(40), y), "weight": w})
        assert all((part.train >= 34).all() for part in row_splits(source, spec))
    spec = spec_of("logistic", "arrays", repeat={"few_shot": {"k": 4}})
    message = (
        r"^repeat.few_shot.k: 4 rows of each class, and the class 'a' has 3 training rows with a"
        r" weight in data\['train'\] y; a smaller k or more rows of it are right$"
    )
    with pytest.raises(DataError, match=message):
        row_splits(source, spec)


def test_val_rows_are_drawn_by_a_stream_of_their_own() -> None:
    source, spec, found = drawn(2, val_k=3)
    plain = prepare(spec)
    assert plain.val is not None
    assert len({part.val.tobytes() for part in found if part.val is not None}) == 5
    for part, whole in zip(found, drawn(2)[2], strict=True):
        assert np.array_equal(part.train, whole.train)
        prepared = prepare_split(source, spec, part)
        assert prepared.val is not None
        assert np.isin(prepared.val.index, plain.val.index).all()
        assert np.bincount(prepared.val.y).tolist() == [3] * 10
        assert prepared.summary.class_counts["val"] == {str(d): 3 for d in range(10)}


def test_val_rows_are_drawn_from_a_val_of_its_own() -> None:
    train = (rng.normal(size=(40, 2)), np.array(["a", "b", "c", "d"] * 10))
    val = (rng.normal(size=(30, 2)), np.array(["d", "b", "c"] * 10))  # no a: none is drawn
    shot = {"k": 2, "tries": 3, "val_k": 4}
    spec = spec_of("softmax", "arrays", repeat={"few_shot": shot})
    source = read(spec, {"train": train, "val": val})
    found = row_splits(source, spec)
    assert len(found) == 3
    for part in found:
        prepared = prepare_split(source, spec, part)
        assert prepared.val is not None
        assert np.bincount(prepared.val.y, minlength=4).tolist() == [0, 4, 4, 4]
        assert part.drawn is not None
        assert np.array_equal(prepared.val.index, part.drawn)
        alone = prepare(spec, {"train": tuple(a[part.train] for a in train),
                               "val": tuple(a[part.drawn] for a in val)})  # fmt: skip
        assert same_rows(prepared.val, alone.val)
        assert same_encoder(prepared.encoder, alone.encoder)


@pytest.mark.parametrize("scale", ["none", "unit", "standard"])
def test_draws_that_are_not_scaled_hold_one_val_and_test(scale: str) -> None:
    train = (rng.normal(size=(40, 3)), np.arange(40) % 2)
    val, test = (rng.normal(size=(30, 3)), np.arange(30) % 2), (np.eye(3), [0, 1, 1])
    arrays = {"train": train, "val": val, "test": test}
    spec = spec_of("logistic", "arrays", scale=scale, repeat={"few_shot": {"k": 2, "tries": 3}})
    source = read(spec, arrays)
    draws = [prepare_split(source, spec, part) for part in row_splits(source, spec)]
    for draw in draws:
        assert draw.val is not None
        rows = draw.train.index
        alone = prepare(spec, arrays | {"train": tuple(a[rows] for a in train)})
        assert same_rows(draw.train, alone.train)
        assert same_rows(draw.val, alone.val)
        assert same_rows(draw.tests[0], alone.tests[0])
        assert draw.summary.rows == alone.summary.rows
    copies = {(id(draw.val), id(draw.tests[0])) for draw in draws}
    assert len(copies) == (3 if scale == "standard" else 1)
    other = spec_of("logistic", "arrays", scale="unit", precision="float32")
    assert prepare_split(source, other, row_splits(source, other)[0]).tests[0].X.dtype == np.float32
    assert sum(rows is not None for rows in source.encoded.values()) == (
        0 if scale == "standard" else 5
    )


BAD: list[tuple[str, str, Any, dict[str, Any], str]] = [
    (
        "a class with fewer rows than k",
        "softmax",
        np.array(["a"] * 9 + ["b"] * 2),
        {"k": 3},
        "repeat.few_shot.k: 3 rows of each class, and the class 'b' has 2 training rows in"
        " data['train'] y; a smaller k or more rows of it are right",
    ),
    (
        "numbers",
        "linear",
        np.arange(11.0),
        {"k": 1},
        "repeat.few_shot: draws rows of each class, and data['train'] y has no single-label"
        " classes; rows: [50, 100] in place of k is right for it",
    ),
    (
        "several labels",
        "logistic",
        np.eye(11)[:, :2],
        {"k": 1},
        "repeat.few_shot: draws rows of each class, and data['train'] y has no single-label"
        " classes; rows: [50, 100] in place of k is right for it",
    ),
    (
        "val_k without val",
        "softmax",
        np.array(["a"] * 9 + ["b"] * 2),
        {"k": 1, "val_k": 2},
        "repeat.few_shot.val_k: 2 rows of each class of val, and there is no val; set data.val, or"
        " val_k: none",
    ),
]


def test_bad_input_is_one_line() -> None:
    assert len(BAD) == 4
    for name, model, y, shot, message in BAD:
        spec = spec_of(model, "arrays", repeat={"few_shot": shot})
        with pytest.raises(DataError) as error:
            row_splits(read(spec, {"train": (np.eye(11), y)}), spec)
        assert str(error.value) == message, name


def test_a_class_of_val_with_fewer_rows_than_val_k() -> None:
    y = np.array(["a", "b"] * 10)
    spec = spec_of("softmax", "arrays", repeat={"few_shot": {"k": 1, "val_k": 2}})
    val = (np.eye(20)[:3], np.array(["a", "b", "b"]))
    message = (
        r"^repeat.few_shot.val_k: 2 rows of each class of val, and the class 'a' has 1 row there,"
        r" in data\['val'\] y; a smaller val_k is right$"
    )
    with pytest.raises(DataError, match=message):
        row_splits(read(spec, {"train": (np.eye(20), y), "val": val}), spec)
