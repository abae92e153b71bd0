"""Draws of so many rows, and resamples: from what they draw to the models that come of it."""

import numpy as np
import pytest
from data_helpers import spec_of
from safetensors.numpy import load_file

import trainer
from trainer.data import prepare, prepare_split, read
from trainer.data.splits.repeats import row_splits, why_left_out
from trainer.errors import DataError
from trainer.runs.reader import RunReader

rng = np.random.default_rng(5)
N = 90
X = rng.normal(3, 2, size=(N, 3))
NUMBERS = X[:, 0] + rng.normal(size=N)
LABELS = np.array(["a", "b", "c"])[np.digitize(NUMBERS, [1.5, 4.5])]
PAIR = np.where(NUMBERS > 3, "yes", "no")
COUNTS = np.round(X[:, 1] ** 2)
TARGETS = {"linear": NUMBERS, "logistic": PAIR, "softmax": LABELS, "poisson": COUNTS}


def parts_of(repeat, y=LABELS, model="softmax", more=None, **settings):
    spec = spec_of(model, "arrays", repeat=repeat, **settings)
    source = read(spec, {"train": (X[: len(y)], y), **(more or {})})
    return [part.whole() for part in row_splits(source, spec)], source, spec


# Draws of so many rows


def test_a_draw_of_more_rows_has_those_of_fewer():
    drawn = {}
    for size in (5, 17, 40, N):
        parts, _, _ = parts_of({"few_shot": {"rows": size, "tries": 3}})
        drawn[size] = [set(part.train.tolist()) for part in parts]
        assert [len(rows) for rows in drawn[size]] == [size] * 3
    for few, many in ((5, 17), (17, 40), (40, N)):
        assert all(a < b for a, b in zip(drawn[few], drawn[many], strict=True))
    assert drawn[17][0] != drawn[17][1]


def test_each_class_has_its_share_and_one_row_at_least():
    y = np.repeat(["a", "b", "c"], [60, 27, 3])
    for size in (3, 10, 30, 60):
        parts, _, _ = parts_of({"few_shot": {"rows": size, "tries": 5}}, y)
        for part in parts:
            _, counts = np.unique(y[part.train], return_counts=True)
            assert len(counts) == 3
            assert np.abs(counts - np.maximum(np.array([60, 27, 3]) * size / N, 1)).max() <= 1.5


def test_numbers_are_drawn_as_they_come():
    shares, _, _ = parts_of({"few_shot": {"fraction": 0.5, "tries": 200}}, NUMBERS, "linear")
    counts = np.bincount(np.concatenate([part.train for part in shares]), minlength=N)
    assert counts.sum() == 200 * 45
    assert 70 < counts.min() < counts.max() < 130  # 100 ± 7
    rows, _, _ = parts_of({"few_shot": {"rows": 45, "tries": 200}}, NUMBERS, "linear")
    assert [p.train.tolist() for p in rows] == [p.train.tolist() for p in shares]


@pytest.mark.parametrize(
    ("shot", "words"),
    [
        ({"rows": 91}, "few_shot.rows: 91 rows, and there are 90 training rows"),
        ({"rows": 2}, "few_shot.rows: 2 rows of 3 classes"),
        ({"fraction": 0.01}, "few_shot.fraction: 1 row of 3 classes"),
    ],
)
def test_a_draw_that_cannot_be_is_one_line(shot, words):
    with pytest.raises(DataError) as error:
        parts_of({"few_shot": shot})
    assert words in str(error.value)


# Resamples


def test_a_resample_draws_as_many_rows_and_holds_out_the_others():
    parts, _, _ = parts_of({"bootstrap": 300})
    drawn = np.zeros(N)
    for part in parts:
        assert part.counts.sum() == N
        assert part.counts.min() >= 1
        assert sorted([*part.train, *part.val]) == list(range(N))
        drawn[part.train] += part.counts
    assert 220 < drawn.min() < drawn.max() < 380  # 300 ± 17
    assert 0.61 < np.mean([len(part.train) for part in parts]) / N < 0.65
    again, _, _ = parts_of({"bootstrap": 2})
    assert again[1].train.tolist() == parts[1].train.tolist()
    other, _, _ = parts_of({"bootstrap": 2}, seed=1)
    assert other[1].train.tolist() != parts[1].train.tolist()


def test_whole_groups_are_drawn():
    group = np.arange(N) // 6
    parts, _, _ = parts_of({"bootstrap": 20}, more={"group": group})
    for part in parts:
        counts = np.zeros(N, int)
        counts[part.train] = part.counts
        assert all(len(set(counts[group == g])) == 1 for g in range(15))
        assert counts.sum() == 15 * 6


@pytest.mark.parametrize("model", TARGETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_resample_is_the_plain_run_on_its_rows_written_as_often_as_drawn(model, weighted):
    assert len(TARGETS) == 4
    y, table = TARGETS[model], {f"x{i}": X[:, i].copy() for i in range(3)}
    table["t"] = np.array(["u", "v", None], dtype=object)[rng.integers(0, 3, N)]
    table["x1"][::7] = np.nan
    more = {"weight": rng.integers(1, 4, N).astype(float)} if weighted else {}
    shared = {"scale": "standard", "missing": "mean"}
    balanced = "balanced" if model in ("logistic", "softmax") else "none"
    spec = spec_of(model, "arrays", repeat={"bootstrap": 3}, class_weight=balanced, **shared)
    source = read(spec, {"train": (table, y), **more})
    part = row_splits(source, spec)[2].whole()
    often = np.repeat(part.train, part.counts)
    repeated = {name: column[often] for name, column in table.items()}
    plain = spec_of(model, "arrays", class_weight=balanced, **shared)
    data = {"train": (repeated, y[often]), **{k: v[often] for k, v in more.items()}}
    ours, theirs = prepare_split(source, spec, part).encoder, prepare(plain, data).encoder
    np.testing.assert_allclose(ours.mean, theirs.mean, rtol=1e-12)
    np.testing.assert_allclose(ours.scale, theirs.scale, rtol=1e-12)
    assert ours.features == theirs.features
    numbers = [[v for v in one.impute if not isinstance(v, str)] for one in (ours, theirs)]
    np.testing.assert_allclose(*numbers, rtol=1e-12)
    words = [[v for v in one.impute if isinstance(v, str)] for one in (ours, theirs)]
    assert words[0] == words[1]


@pytest.mark.parametrize("model", TARGETS)
def test_a_model_of_a_resample_is_that_of_its_rows_written_as_often(model, tmp_path):
    base = {
        "model": model,
        "data": {"train": "arrays", "val": "none"},
        "optimizer": {"name": "lbfgs", "tol": 1e-10},
        "penalty": {"C" if model == "logistic" else "l2": 0.1},
        "device": "cpu",
        "precision": "float64",
        "log": {"weights": "all"},
    }
    y = TARGETS[model]
    run = trainer.run(base | {"repeat": {"bootstrap": 2}}, tmp_path / "b", data={"train": (X, y)})
    spec = spec_of(model, "arrays", repeat={"bootstrap": 2})
    part = row_splits(read(spec, {"train": (X, y)}), spec)[1].whole()
    often = np.repeat(part.train, part.counts)
    plain = trainer.run(base, tmp_path / "p", data={"train": (X[often], y[often])})
    saved = [load_file(one.folder / "weights.safetensors")["weights"] for one in (run, plain)]
    ours, theirs = saved[0][:, :, 1], saved[1][:, :, 0]  # (D, C)
    np.testing.assert_allclose(ours, theirs, atol=1e-7)
    loss = [RunReader(run.folder).repeats()[1]["train_loss"], plain.trials[0]["train_loss"]]
    np.testing.assert_allclose(*loss, rtol=1e-8)


def test_a_resample_without_a_class_or_without_rows_to_hold_out_lacks_them():
    y = np.array(["a"] * 8 + ["b"])
    parts, source, spec = parts_of({"bootstrap": 60}, y, "logistic")
    why = [why_left_out(source, spec, part) for part in parts]
    assert why == ["" if 8 in part.train else "the class 'b'" for part in parts]
    assert 10 < sum(map(bool, why)) < 35  # 60 times (8/9)^9
    parts, source, spec = parts_of({"bootstrap": 60}, np.arange(3.0), "linear")
    why = [why_left_out(source, spec, part) for part in parts]
    assert why == ["" if len(part.val) else "rows that are not drawn" for part in parts]
    assert any(why)


@pytest.mark.parametrize(
    ("y", "more", "words"),
    [
        (np.ones(1), {}, "one training row is drawn each time"),
        (NUMBERS, {"group": np.ones(N)}, "one training group is drawn each time"),
        (NUMBERS, {"val": (X, NUMBERS)}, "repeat.bootstrap: resamples hold out their own rows"),
    ],
)
def test_nothing_to_resample_is_one_line(y, more, words):
    with pytest.raises(DataError) as error:
        parts_of({"bootstrap": 3}, y, "linear", more)
    assert words in str(error.value)
