"""What the campaign found, each as small as it gets: once a traceback, a warning or a hang."""

import contextlib
import io
import json
import os
import shlex
import shutil
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_worker import broken_promises

import trainer
from trainer.cli import main
from trainer.errors import RunFolderError

CSV = "u,kind,y\n" + "".join(f"{i}.5,{'ab'[i % 2]},{'nyz'[i % 3]}\n" for i in range(12))
CONFIG = """\
model: softmax
data: {train: {table: a.csv, target: y}, val: 0.25}
optimizer: {steps: 2, batch_size: 4}
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The current folder; a hang ends in a TimeoutError."""
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(CSV)
    Path("a.yaml").write_text(CONFIG)

    def hangs(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(20)
    yield tmp_path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    (folder / "a.csv").write_text(CSV)
    (folder / "a.yaml").write_text(CONFIG)
    assert main(["run", str(folder / "a.yaml"), "--out", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


@pytest.fixture
def run(finished, place):
    return Path(shutil.copytree(finished, place / "run"))


def says(capsys, code, *argv):
    """The last line of standard error of a command that ends with this code."""
    assert main([str(arg) for arg in argv]) == code
    err = capsys.readouterr().err
    assert not list(broken_promises(code, err, 0))
    return err.splitlines()[-1] if err else ""


def changed(path: Path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


# ---------------------------------------------------------------- things that are no files


def test_a_config_that_is_a_named_pipe_is_not_waited_for(capsys):
    os.mkfifo("pipe.yaml")
    assert "pipe.yaml: a named pipe, not a config file" in says(capsys, 2, "run", "pipe.yaml")


def test_a_config_may_come_through_the_shells_own_pipe(capsys):
    read, write = os.pipe()
    os.write(write, b"{model: softmax, data: {train: digits}}")
    os.close(write)
    assert main(["run", f"/dev/fd/{read}", "--check"]) == 0
    os.close(read)
    assert "model: softmax" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("thing", ["device", "pipe"])
def test_a_model_that_is_no_file_is_not_read_for_ever(run, capsys, name, thing):
    (run / name).unlink()
    if thing == "device":
        (run / name).symlink_to("/dev/zero")
    else:
        os.mkfifo(run / name)
    assert f"{name}: is no regular file" in says(capsys, 2, "predict", run, "a.csv")


def test_steps_that_are_a_pipe_are_not_waited_for(run):
    (run / "steps.parquet").unlink()
    os.mkfifo(run / "steps.parquet")
    with pytest.raises(RunFolderError, match=r"steps\.parquet: cannot read: is no regular file"):
        trainer.load_run(run).steps()


def test_a_folder_in_the_place_of_the_report(run, capsys):
    (run / "report.html").unlink()
    (run / "report.html").mkdir()
    assert "report.html: a folder is in the page's way" in says(capsys, 2, "report", run)


def test_a_link_to_nothing_in_the_way_of_runs(capsys):
    Path("runs").symlink_to("nowhere")
    assert "runs: a link to nothing; a run folder must be" in says(capsys, 2, "run", "a.yaml")


@pytest.mark.parametrize(
    "argv", [["predict", "RUN", "a.csv"], ["explain"], ["report", "RUN", "RUN"]]
)
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a" * 300, "File name too long; name another file"),
        ("a\0b.csv", r"'a\x00b.csv' is no path"),
        ("", "'' is no path"),
        (".", "is a folder; name a file in it"),
        ("none/a.csv", "is no folder; make it first"),
    ],
)
def test_a_file_that_cannot_be_called_so(run, capsys, argv, name, why):
    argv = [str(run) if arg == "RUN" else arg for arg in argv]
    assert why in says(capsys, 2, *argv, "--out", name)


# ---------------------------------------------------------------- files that change while read

SOURCES = {
    "table": ("a.csv", "{table: a.csv, target: y}"),
    "npy": ("X.npy", "{npy: X.npy, target: y.npy}"),
    "target": ("y.npy", "{npy: X.npy, target: y.npy}"),
    "npz": ("a.npz", "{npz: a.npz, features: X, target: y}"),
    "libsvm": ("a.txt", "{libsvm: a.txt}"),
    "parquet": ("a.parquet", "{table: a.parquet, target: y}"),
}


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(path.read_bytes()[-8:])


def shrink(path: Path) -> None:
    Path("beside").write_bytes(path.read_bytes()[:-8])
    os.replace("beside", path)


@pytest.mark.parametrize("change", [Path.unlink, grow, shrink])
@pytest.mark.parametrize("source", SOURCES)
def test_a_file_that_changes_as_it_is_read(capsys, monkeypatch, source, change):
    import trainer.text.paths as paths

    X, y = np.arange(24.0).reshape(12, 2), np.arange(12) % 3
    np.save("X.npy", X)
    np.save("y.npy", y)
    np.savez("a.npz", X=X, y=y)
    Path("a.txt").write_text("".join(f"{label} 1:{x[0]}\n" for label, x in zip(y, X, strict=True)))
    pq.write_table(pa.table({"x": X[:, 0], "y": y}), "a.parquet")
    name, written = SOURCES[source]
    Path("a.yaml").write_text(f"{{model: softmax, data: {{train: {written}}}}}")
    open_file, left = paths.readable_file, [name]

    def then_changed(path, wanted):
        found = open_file(path, wanted)
        if left and found.name == left[0]:  # it was there, and whole, a moment ago
            change(found)
            left.clear()
        return found

    for module in ("npy", "tables", "libsvm"):
        monkeypatch.setattr(f"trainer.data.sources.{module}.readable_file", then_changed)
    line = says(capsys, 2, "run", "a.yaml", "--out", "out")
    assert not left
    assert name in line
    assert not Path("out").exists()


def test_the_digest_is_of_the_rows_that_were_read(capsys, monkeypatch):
    from trainer.data.sources import tables

    read = tables.read_table

    def read_and_change(*args, **keys):
        frame = read(*args, **keys)
        Path("a.csv").write_text(CSV.replace("0.5", "9.5"))
        return frame

    monkeypatch.setattr(tables, "read_table", read_and_change)
    line = says(capsys, 2, "run", "a.yaml")
    assert line.endswith("a.csv: changed while it was read; run again once it is written")


# ---------------------------------------------------------------- numbers past what there is


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("optimizer.lr=1e308", 3),
        ("optimizer={lr: 1e308, base_batch_size: 1}", (2, 3)),
        ("optimizer={lr: 1e-320, momentum: 0.0}", 0),
        ("penalty={C: 1e308}", 0),
        ("penalty={C: 1e-320}", (2, 3)),
        ("penalty={l2: 1e308}", (2, 3)),
        ("init={normal: 1e308}", (2, 3)),
        ("data.train={synthetic: {rows: 1000000000000}}", 2),
    ],
)
def test_a_number_that_overflows_warns_of_nothing(capsys, precision, override, code):
    argv = ["run", "a.yaml", override, f"precision={precision}", "optimizer.steps=9"]
    with contextlib.redirect_stdout(io.StringIO()):
        ended = main(argv)
    err = capsys.readouterr().err
    assert ended in (code if isinstance(code, tuple) else (code,)), err
    assert not list(broken_promises(ended, err, 0))


def test_the_cure_of_a_penalty_that_is_too_strong_can_be_copied(capsys):
    argv = ["run", "a.yaml", "penalty={C: 1e-320}", "precision=float64", "optimizer.steps=9"]
    assert main(argv) == 3
    err = capsys.readouterr().err
    cure = shlex.split(err.partition("; try ")[2].partition(": with lr")[0])
    assert main([*argv, *cure]) == 0


def test_a_validation_value_that_overflows_when_scaled_says_where(capsys):
    Path("b.csv").write_text("u,kind,y\n1e308,a,n\n")
    Path("a.csv").write_text(CSV.replace(".5", "e-5"))
    line = says(capsys, 2, "run", "a.yaml", "data.val={table: b.csv}", "precision=float64")
    assert "b.csv: row 0 (line 2), column 'u': the value is too large for float64" in line


def test_predictions_of_an_enormous_model_are_scored(run, capsys):
    from trainer.predict.tables import score

    model = trainer.load_model(run)
    z = np.full((2, 3), 1.7e308) * [1, -1, 1]
    assert score(model, z, np.array([1, 1]), np.ones(2))["loss"] == np.inf


# ---------------------------------------------------------------- run folders

FIELDS = {
    "classes of another number": {"classes": ["n"]},
    "a category without a column": {"categories": {"color": ["red"]}},
    "fill-in values for other columns": {"impute": [1.0]},
    "a fill-in value that is no category": {"impute": [0.0, "q"]},
    "a kind that does not fit the model": {"target": "numbers"},
    "names that are numbers": {"columns": [1, 2]},
    "indices that are none": {"keys": {"libsvm": "x"}},
    "keys that are a list": {"keys": []},
    "a model that is none": {"model": "forest"},
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_a_model_that_does_not_fit_itself(run, capsys, fields):
    changed(run / "model.json", **fields)
    assert "model.json: is damaged" in says(capsys, 2, "predict", run, "a.csv")


def test_a_manifest_without_a_status(run, capsys):
    changed(run / "manifest.json", status=None)
    assert "manifest.json: cannot read: its status is" in says(capsys, 2, "report", run)


@pytest.mark.parametrize("best", [7, [], {"trial": 0}, {"metrics": 1}])
def test_results_without_metrics(run, best):
    changed(run / "results.json", best=best or [1])
    with pytest.raises(RunFolderError, match=r"results\.json: cannot read: its best"):
        trainer.load_run(run).results  # noqa: B018
    assert main(["report", str(run)]) == 0


@pytest.mark.parametrize("text", ["a;b\n1;2\n", "trial,rank,status,reason\nx,1,finished,\n"])
def test_trials_without_numbers(run, text):
    (run / "trials.csv").write_text(text)
    with pytest.raises(
        RunFolderError,
        match=r"trials\.csv: cannot read: it.* column trial",
    ):
        trainer.load_run(run).trials  # noqa: B018
    assert main(["report", str(run)]) == 0


def test_a_history_with_two_columns_of_one_name(run):
    (run / "history.csv").write_text("trial,repeat,epoch,step,,\n0,0,1,1,2,3\n")
    with pytest.raises(RunFolderError, match=r"history\.csv: cannot read: two columns have one"):
        trainer.load_run(run).history()
    assert main(["report", str(run)]) == 0


def test_a_history_of_nonsense_is_one_short_line(run):
    (run / "history.csv").write_text("trial,val_loss\n0," + "[\x1b" * 5000 + "\n")
    with pytest.raises(RunFolderError, match="cannot read") as caught:
        trainer.load_run(run).history()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_a_table_with_names_that_are_no_text(run):
    path = run / "predictions.parquet"
    path.write_bytes(path.read_bytes().replace(b"target", b"t\xe9rget"))
    with pytest.raises(RunFolderError, match=r"predictions\.parquet: cannot read"):
        trainer.load_run(run).predictions()
    assert main(["report", str(run)]) == 0


# ---------------------------------------------------------------- what is shown


def test_a_long_text_is_not_proposed_back(capsys):
    line = says(capsys, 2, "run", "a.yaml", f"optimizer.schedule.milestones={'x' * 3000}")
    assert "expected a list" in line
    assert len(line) < 4000  # the override itself is shortened, too
    assert "x" * 100 not in line.partition("expected")[2]


def test_a_long_label_is_shortened_in_the_summary(capsys):
    Path("a.csv").write_text(CSV.replace("n\n", "n" * 6000 + "\n"))
    says(capsys, 0, "run", "a.yaml")
