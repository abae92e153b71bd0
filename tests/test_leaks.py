"""Rows that a column does not train on change none of its numbers, whatever is planted in them.

Held-out rows, rows that a draw leaves out, rows of weight 0 and those without a target's label get
what a statistic would show: numbers far off, gaps, a category of their own, other labels. Means and
deviations, fillings, categories, lambda_max, class weights, the sum of weights and all that is
trained stay as they were, to rounding: columns may share one product with those that differ.
"""

import numpy as np
import pyarrow as pa
import pytest
from stacks import WANTED

from campaigns.stacking import ends, trained

pytestmark = pytest.mark.skipif(WANTED != "cpu", reason="rows are split and encoded on the host")
N = 60
FAR = 1e3
draw = np.random.default_rng(6)
NUMBERS = draw.normal(size=(N, 3)) + np.array([2, 0, -1])
CITY = draw.choice(["Bern", "Oslo", "Rome"], N).astype(object)
SCORE = NUMBERS[:, 0] - 2 + draw.normal(size=N)
TARGETS = np.stack([SCORE, draw.normal(size=N), draw.normal(size=N)], axis=1)
TARGETS[::4, 1] = np.nan
FOLD, WEIGHT = np.arange(N) % 3, draw.uniform(0.5, 2, N)
FEW_STEPS = {"name": "sgd", "batch_size": "full", "steps": 5, "lr": 0.05}
PLAIN = {
    "model": "linear",
    "data": {"train": "arrays", "missing": "mean", "scale_target": "standard"},
    "optimizer": FEW_STEPS,
    "penalty": {"C": 1.0},
    "precision": "float64",
    "device": "cpu",
}
CLASSES = {"model": "logistic", "class_weight": "balanced", "data": {"train": "arrays"}}


class Rows:
    """Rows with gaps, a number of which can be planted something in."""

    def __init__(self, y):
        self.numbers, self.city, self.y = NUMBERS.copy(), CITY.copy(), np.array(y)
        if self.y.ndim == 1:  # fillings are those of all targets' rows
            self.numbers[5::11, 1] = np.nan
            self.city[3::13] = None

    def plant(self, what, rows):
        rows = np.asarray(rows)
        if what == "far":
            self.numbers[rows] = FAR
        elif what == "gaps":
            self.numbers[rows, 1] = np.nan
            self.numbers[rows, 2] = FAR
        elif what == "category":
            self.city[rows] = "Atlantis"
        elif self.y.dtype.kind == "f":
            self.y[rows] = FAR
        else:
            self.y[rows] = 1 - self.y[rows]

    def table(self):
        numbers = {f"x{i}": pa.array(self.numbers[:, i], from_pandas=True) for i in range(3)}
        return pa.table(numbers | {"city": self.city.tolist()})


def labels(y):
    return (y > 0).astype(int)


WORDS = "far", "gaps", "category", "label"
# repeat, more of the config, its target, what is passed beside, and what may be planted
SCENES = {
    "val and test": (None, {}, SCORE, {}, WORDS),
    "val and test, classes": (None, CLASSES, labels(SCORE), {}, WORDS),
    "shares of a file": (None, {"data": {"val": 0.3, "test": 0.2}}, SCORE, {},
                         ("far", "gaps", "label")),
    "a path": (None, {"penalty": {"l2": 0}, "sweep": {"parameters": {
        "penalty.l1": {"path": {"num": 2, "ratio": 0.1}}}}}, SCORE, {}, WORDS),
    "folds": ({"folds": 3}, {}, SCORE, {}, WORDS),
    "folds of a column, classes": ({"folds": {"column": "fold"}}, CLASSES, labels(SCORE),
                                   {"fold": FOLD}, WORDS),
    "forward": ({"folds": {"forward": 3, "by": "time"}}, {}, SCORE, {"time": np.arange(N)}, WORDS),
    "groups": ({"folds": "leave_one_group_out"}, {}, SCORE, {"group": FOLD}, WORDS),
    "bootstrap": ({"bootstrap": 3}, {}, SCORE, {}, WORDS),
    "draws": ({"few_shot": {"rows": [20], "tries": 3}}, {}, SCORE, {}, WORDS),
    "weight 0": (None, {}, SCORE, {"weight": np.where(FOLD == 1, 0, WEIGHT)}, WORDS),
    "labels missing": (None, {"targets": "separate"}, TARGETS, {}, ("far", "other targets")),
    "labels missing, folds": ({"folds": {"column": "fold"}}, {"targets": "separate"}, TARGETS,
                              {"fold": FOLD}, ("far", "other targets")),
    "labels missing, classes": (None, {**CLASSES, "targets": "separate"}, np.where(
        np.isnan(TARGETS), np.nan, TARGETS > 0), {}, ("far", "other targets")),
}  # fmt: skip
CASES = [(scene, what) for scene, (*_, planted) in SCENES.items() for what in planted]


def config_of(scene):
    repeat, more, *_ = SCENES[scene]
    config = PLAIN | more | {"data": PLAIN["data"] | more.get("data", {})}
    if config["model"] == "logistic":
        config["data"]["scale_target"] = "none"
    return config | ({"repeat": repeat} if repeat else {})


def has_val(scene):
    repeat, more, *_ = SCENES[scene]
    return "val" not in more.get("data", {}) and not (repeat and "few_shot" not in repeat)


def numbers_of(scene, rows, held, folder):
    """By column all numbers that were learnt, and the rows that it was trained on."""
    config, arrays = config_of(scene), {"train": (rows.table(), rows.y), **SCENES[scene][3]}
    if "file" in scene:
        np.savez(folder / "a.npz", X=rows.numbers, y=rows.y)
        source = {"npz": str(folder / "a.npz"), "features": "X", "target": "y"}
        config["data"] |= {"train": source}
        arrays = None
    elif has_val(scene):
        arrays |= {"val": (held.table(), held.y), "test": (held.table(), held.y)}
    sweep = trained(config, arrays)
    facts = {
        column.name: (job.facts.l2[k], job.facts.l1[k])
        for job in sweep.jobs
        for k, column in enumerate(job.planned.columns)
    }
    found = {}
    for name, (of, column, end) in ends(sweep).items():
        encoder = end.encoder
        place = list(of.targets).index(column.target) if encoder.target.separate else 0
        learnt = {
            "scaling": (*encoder.mean, *encoder.scale),
            "target": (encoder.target_mean[place], encoder.target_scale[place]),
            "penalty": facts[name],
            "weights": (*end.weights.ravel(), *end.bias),
        }
        if not encoder.target.separate:  # else they are those of all targets' rows
            learnt["fillings"] = tuple(v for v in encoder.impute if not isinstance(v, str))
        words = encoder.features, [v for v in encoder.impute if isinstance(v, str)]
        found[name] = learnt, words, of.prepare().train.index
    return found


def never_used(scene, name, index):
    """The rows of train that a column does not train on."""
    y, beside = SCENES[scene][2:4]
    if y.ndim == 2:
        return np.flatnonzero(np.isnan(y[:, name[2]]))
    if "weight" in beside:
        return np.flatnonzero(beside["weight"] == 0)
    if "fold" in beside or "group" in beside:
        return np.flatnonzero(name[1] == FOLD)
    return np.setdiff1d(np.arange(N), index)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What is learnt in each scene where nothing is planted."""
    made = {}

    def of(scene):
        if scene not in made:
            y = SCENES[scene][2]
            folder = tmp_path_factory.mktemp("whole")
            made[scene] = numbers_of(scene, Rows(y), Rows(y), folder)
        return made[scene]

    return of


def test_the_table_of_cases_is_whole():
    assert (len(SCENES), len(CASES)) == (14, 10 * 4 + 3 + 3 * 2)


@pytest.mark.parametrize(("scene", "what"), CASES)
def test_what_is_planted_in_rows_that_a_column_does_not_use_changes_none_of_its_numbers(
    scene, what, whole, tmp_path
):
    y, planted, changed = SCENES[scene][2], 0, set()
    for name, (right, words, index) in list(whole(scene).items())[:3]:
        rows, held = Rows(y), Rows(y)
        if what == "other targets":
            others = np.arange(3) != name[2]
            rows.y[:, others] = np.where(np.isnan(y[:, others]), np.nan, y[:, others][::-1])
            rows.y[1, others] = 1.0 if "classes" in scene else FAR
        else:
            unused = never_used(scene, name, index)
            assert not np.isin(unused, index).any()
            rows.plant(what, unused)
            planted += len(unused)
        if has_val(scene) and y.ndim == 1:
            held.plant(what, np.arange(N // 2))
            planted += N // 2
        told = numbers_of(scene, rows, held, tmp_path)
        found, its_words, its_index = told[name]
        np.testing.assert_array_equal(its_index, index)
        assert its_words == words
        for key, values in right.items():
            np.testing.assert_allclose(found[key], values, rtol=1e-8, atol=1e-10, err_msg=key)
        changed |= {other for other in told if told[other][0] != whole(scene)[other][0]}
    assert planted or what == "other targets"
    if len(whole(scene)) > 1 and scene != "a path":  # those that use these rows see them
        assert len(changed) > 1
