"""Run folders broken in one place: every reader of them ends with exit code 0 or 2, and no hang.

100 cases are quick; scripts/mutate makes 2,000. A case that breaks a promise is made again by
`scripts/mutate FOLDER SEED NUMBER NUMBER+1`.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import folder_kinds
import numpy as np
import pytest
from folder_campaign import campaign
from pydantic import BaseModel
from safetensors.numpy import save

import trainer
from trainer.catalog.records import ManifestRecord, ModelRecord, ResultsRecord
from trainer.errors import RunFolderError
from trainer.report.read_run import read_run_data
from trainer.runs.reader import RunReader
from trainer.workflow.report import CONFIG_READER

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and sockets as files")
SEED = 7


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return folder_kinds.make(tmp_path_factory.mktemp("made") / "good")


@pytest.fixture
def plain(made, tmp_path):
    return Path(shutil.copytree(made["plain"], tmp_path / "plain"))


def test_only_promised_endings_of_readers(made, capsys):
    report = campaign(made["plain"].parents[1], SEED, 0, 100)
    with capsys.disabled():
        print(f"\n{report}")
    assert not report.found, str(report)
    assert report.cases == 100
    assert set(report.codes) == {"0", "2"}, str(report)
    assert min(report.codes.values()) > 50, str(report)


# ---------------------------------------------------------------- what the JSON files hold

RECORDS = {
    "manifest.json": ManifestRecord,
    "results.json": ResultsRecord,
    "model.json": ModelRecord,
}


def unnamed(record: object, place: str = "") -> Iterator[str]:
    """Keys of a record, and of those within it, that its schema does not name."""
    if isinstance(record, BaseModel):
        yield from (f"{place}.{key}" for key in record.model_extra or {})
        for key in type(record).model_fields:
            yield from unnamed(getattr(record, key), f"{place}.{key}")
    elif isinstance(record, list):
        for item in record:
            yield from unnamed(item, place)


def test_each_key_that_is_written_has_a_type(made):
    read = [
        (path, RECORDS[path.name].model_validate_json(path.read_bytes()))
        for run in made.values()
        for path in sorted(run.glob("*.json"))
    ]
    assert len(read) == 17  # the interrupted one has no results.json
    found = {f"{path.name}{key}" for path, record in read for key in unnamed(record)}
    assert found <= {"manifest.json.device.steps", "manifest.json.versions"}


TYPES = [
    ("manifest.json", ("status",), "fine", "its status is wrong: none of running, finished"),
    ("manifest.json", ("status",), None, "its status is no text"),
    ("manifest.json", ("format_version",), 2, "it has format version 2; this release reads 1"),
    ("manifest.json", ("data", "rows", "train"), "24", "its data.rows.train is no whole number"),
    ("manifest.json", ("device",), "cpu", "its device is no mapping"),
    ("results.json", ("best", "trial"), 1.5, "its best.trial is no whole number"),
    ("results.json", ("best", "trial"), True, "its best.trial is no whole number"),
    ("results.json", ("best", "metrics"), [1], "its best.metrics is no mapping"),
    ("results.json", ("best", "metrics", "val_loss"), "x", "its best.metrics.val_loss is no numb"),
    ("results.json", ("best", "epochs"), 10**30, "its best.epochs is "),
    ("results.json", ("repeats",), 0, "its repeats is wrong"),
    ("results.json", ("edges",), [{"path": "a"}], "its edges.0.side is not there"),
    ("results.json", ("best", "settings"), {"a": [2**70]}, "whole number of more than 64 bits"),
    ("results.json", ("axes", "a"), json.loads("[" * 300 + "]" * 300), "recursion limit exceeded"),
    ("model.json", ("columns",), "uvw", "its columns is no list"),
    ("model.json", ("classes",), ["a", "b", 1.5], "its classes.2"),
    ("model.json", ("classes",), ["a", "b", "b"], "its classes do not fit"),
    ("model.json", ("classes",), ["a", "b"], "its classes do not fit"),
    ("model.json", ("features",), ["u"], "its features do not fit"),
    ("model.json", ("target_scale",), [1, 1, 0], "its target_scale do not fit"),
    ("model.json", ("target_mean",), [1e400, 0, 0], "is damaged"),
    ("model.json", ("impute",), [1, 2, "x", "blue"], "its impute do not fit"),
    ("model.json", ("model",), "svm", "its model is wrong: none of linear, logistic"),
    ("model.json", ("loss",), "hinge", "its loss is wrong: no loss of its model"),
    ("model.json", ("format_version",), 2, "has format version 2; this release reads 1"),
    ("model.json", ("keys",), {"na_values": "[" * 100_000}, "its keys do not fit"),
]


@pytest.mark.parametrize(("name", "keys", "value", "why"), TYPES)
def test_another_type_is_told_in_a_line(plain, name, keys, value, why):
    path = plain / name
    record = json.loads(path.read_text())
    *above, last = keys
    node = record
    for key in above:
        node = node[key]
    node[last] = value
    path.write_text(json.dumps(record))
    with pytest.raises(RunFolderError) as caught:
        read_records(plain)
    assert str(caught.value).startswith(str(path)), str(caught.value)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def read_records(run):
    RunReader(run).results()
    trainer.load_model(run)


def test_further_keys_are_let_pass(plain):
    for name in RECORDS:
        record = json.loads((plain / name).read_text())
        (plain / name).write_text(json.dumps({**record, "later": [{"x": None}]}))
    assert RunReader(plain).results()["later"] == [{"x": None}]
    assert trainer.load_model(plain).weights.shape == (6, 3)


# ---------------------------------------------------------------- files that are none, and arrays


@pytest.mark.parametrize("name", ["weights.safetensors", "steps.parquet", "trials.csv"])
def test_a_pipe_is_not_waited_for(plain, name):
    (plain / name).unlink()
    os.mkfifo(plain / name)
    read = RunReader(plain)
    ask = {"weights.safetensors": read.weights, "steps.parquet": read.steps}
    with pytest.raises(RunFolderError, match=rf"{name}: cannot read: is no regular file"):
        ask.get(name, read.trials)()


ARRAYS = {
    "NaN": ({"weights": np.full((6, 3), np.nan)}, "weights has numbers that are not finite"),
    "inf": ({"feature_mean": np.full(6, np.inf)}, "feature_mean has numbers that are not finite"),
    "shape": ({"bias": np.zeros(2)}, r"bias of shape \(2,\) where \(3,\) is right"),
    "axes": ({"weights": np.zeros((3, 6))}, r"weights of shape \(3, 6\) where \(6, 3\) is right"),
    "whole": ({"bias": np.zeros(3, np.int64)}, "bias has numbers that are not finite, or whole"),
    "half": ({"bias": np.zeros(3, np.float16)}, "'bias' has numbers of type F16"),
    "two": ({"bias": np.zeros(3, np.float32)}, "weights and bias are of two precisions"),
    "scale": ({"feature_scale": np.zeros(6)}, "feature_scale has a number that is not above 0"),
    "gone": ({"bias": None}, "it has no bias"),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_arrays_of_no_such_model(plain, what):
    changed, why = ARRAYS[what]
    right = {"weights": np.ones((6, 3)), "bias": np.ones(3)}
    right |= {"feature_mean": np.zeros(6), "feature_scale": np.ones(6)}
    write_model(plain, right)
    assert trainer.load_model(plain).bias.tolist() == [1, 1, 1]
    write_model(plain, {n: a for n, a in (right | changed).items() if a is not None})
    with pytest.raises(RunFolderError, match=why):
        trainer.load_model(plain)


def write_model(run, arrays):
    from folder_mutations import _sign

    (run / "model.safetensors").write_bytes(save(arrays))
    _sign(run / "model.safetensors")


def test_first_weights_past_the_range_of_the_precision(plain, made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    right = {"weights": np.ones((6, 3)), "bias": np.ones(3)}
    write_model(plain, right | {"feature_mean": np.full(6, 1e300), "feature_scale": np.ones(6)})
    config = folder_kinds.data_of(made["plain"]).with_name("plain.yaml")
    with pytest.raises(trainer.DataError, match="its weights are too large for float32"):
        trainer.run(trainer.load_spec(config, [f"init={plain}"]))


def test_a_whole_folder_is_read_whole(made):
    assert len(made) == 6
    unread = {kind: read_run_data(run, CONFIG_READER).unread for kind, run in made.items()}
    assert unread == dict.fromkeys(made, ())
