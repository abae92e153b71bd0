"""Runs that are stopped and gone on with: the same bytes; and what is refused, in a line."""

import io
import json
import shutil

import numpy as np
import pytest

import trainer
from trainer.cli import main
from trainer.console.terminal import Terminal
from trainer.runs import checkpoint
from trainer.sweep import build

SAME = (
    "model.safetensors", "steps.parquet", "history.csv", "trials.csv", "results.json",
    "predictions.parquet",
)  # fmt: skip
SMALL = {
    "model": "softmax",
    "data": {"train": "digits"},
    "device": "cpu",
    "optimizer": {"epochs": 12},
}
FOLDED = SMALL | {
    "data": {"train": "digits", "val": "none", "test": 0.2},
    "repeat": {"folds": 3},
    "select": {"per": ["repeat"]},
    "optimizer": {"epochs": 4},
    "sweep": {"parameters": {"optimizer.lr": [0.01, 0.1]}},
}


def stop_after(calls):
    """What says stop from so many questions on."""
    asked = 0

    def should_stop():
        nonlocal asked
        asked += 1
        return 15 if asked > calls else None

    return should_stop


def go_on(folder, **more):
    return trainer.resume(folder, should_stop=lambda: None, **more)


def told_by(run, *arguments, **more):
    """The lines that a call shows."""
    shown = io.StringIO()
    found = run(*arguments, terminal=Terminal(stream=shown), **more)
    return found, shown.getvalue().splitlines()


def narrow_stacks(monkeypatch):
    """Let memory run out in stacks of more than one column, once they have taken a step."""
    advance = build.Stack.advance

    def narrow(stack, state, *more):
        if state.step and stack.columns > 1:
            raise MemoryError("Unable to allocate 7 GiB")
        return advance(stack, state, *more)

    monkeypatch.setattr(build.Stack, "advance", narrow)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_run_that_is_stopped_and_gone_on_with_has_the_same_bytes(share, tmp_path):
    asked = []
    whole = trainer.run(SMALL, tmp_path / "whole", should_stop=lambda: asked.append(1))
    calls = int(share * (len(asked) - 5))
    run = trainer.run(SMALL, tmp_path / "run", should_stop=stop_after(calls))
    assert run.status == "interrupted"
    assert (run.folder / "checkpoint").is_dir()
    done = go_on(run.folder)
    assert done.status == "finished"
    for name in SAME:
        assert (done.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name
    assert not (run.folder / "checkpoint").exists()
    assert json.loads((run.folder / "manifest.json").read_text())["resumed"]


def test_a_sweep_that_is_stopped_again_and_again_has_the_same_bytes(tmp_path):
    whole = trainer.run(FOLDED, tmp_path / "whole")
    run = trainer.run(FOLDED, tmp_path / "run", should_stop=stop_after(8))
    stops = 0
    while run.status == "interrupted":
        stops += 1
        run = trainer.resume(run.folder, should_stop=stop_after(8))
    assert stops > 2
    for name in SAME:
        assert (run.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert manifest["stacks"] == {"widths": [[2, 3]], "threads": 1}


def test_a_refit_that_is_stopped_is_gone_on_with(tmp_path):
    whole = trainer.run(FOLDED, tmp_path / "whole")
    asked = []
    trainer.run(FOLDED, tmp_path / "counted", should_stop=lambda: asked.append(1))
    run = trainer.run(FOLDED, tmp_path / "run", should_stop=stop_after(len(asked) - 8))
    assert run.status == "interrupted"
    trials = {trial["status"] for trial in run.trials}
    assert trials == {"finished"}  # all but the refit is done
    done = go_on(run.folder)
    assert done.status == "finished"
    for name in SAME:
        assert (done.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


@pytest.mark.parametrize("no_signal", [0, False])
def test_what_is_no_signal_stops_nothing(no_signal, tmp_path):
    run = trainer.run(FOLDED, tmp_path / "r", should_stop=lambda: no_signal)
    assert run.status == "finished"
    assert json.loads((run.folder / "manifest.json").read_text()).get("checkpoints") is None


def test_the_last_line_proposes_to_go_on(tmp_path):
    _, lines = told_by(trainer.run, SMALL, tmp_path / "r", should_stop=stop_after(10))
    proposed = next(line for line in lines if line.startswith("resume"))
    assert proposed.split(maxsplit=1)[1] == f"stacked-trainer run --resume {tmp_path / 'r'}"


def test_a_run_that_is_over_is_left_as_it_is(tmp_path):
    run = trainer.run(SMALL, tmp_path / "r")
    before = {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    again, lines = told_by(trainer.resume, run.folder)
    assert again.status == "finished"
    assert lines == [f"{run.folder}: the run is over (finished); there is nothing to go on with"]
    assert {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()} == before


def test_without_a_checkpoint_it_starts_over_and_says_so(tmp_path):
    whole = trainer.run(SMALL, tmp_path / "whole")
    spec = SMALL | {"checkpoint": "none"}
    run = trainer.run(spec, tmp_path / "r", should_stop=stop_after(30))
    assert not (run.folder / "checkpoint").exists()
    done, lines = told_by(trainer.resume, run.folder, should_stop=lambda: None)
    assert any("it starts over in its folder, as it has no checkpoint" in one for one in lines)
    assert done.status == "finished"
    for name in SAME:
        assert (done.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


@pytest.fixture
def stopped(tmp_path):
    """The folder of a run on a table of the user's, stopped amid its steps."""
    draw = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'u' if a > b else 'v'}" for a, b in draw.normal(size=(200, 2))]
    (tmp_path / "a.csv").write_text("\n".join(["x,z,y", *rows]))
    data = {"train": {"table": str(tmp_path / "a.csv"), "target": "y"}}
    spec = SMALL | {"model": "logistic", "data": data, "optimizer": {"epochs": 60}}
    return trainer.run(spec, tmp_path / "r", should_stop=stop_after(10)).folder


def refused(folder, **more):
    """The one line of what is refused; nothing in the folder may have changed."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(trainer.UserError) as error:
        go_on(folder, **more)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    (line,) = str(error.value).splitlines()
    return line


def test_other_data_are_refused(stopped, tmp_path):
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text(text.replace("u", "w", 1).replace("w", "u") + "\n1,2,u")
    assert refused(stopped).startswith(f"{stopped}: its data are not what they were (sha256 ")


def test_other_data_of_a_trial_that_is_not_the_first_are_refused(tmp_path):
    draw, tables = np.random.default_rng(0), [str(tmp_path / f"{name}.csv") for name in "ab"]
    for table in tables:
        rows = [f"{a:.3f},{b:.3f},{'u' if a > b else 'v'}" for a, b in draw.normal(size=(200, 2))]
        (tmp_path / table).write_text("\n".join(["x,z,y", *rows]))
    spec = SMALL | {
        "model": "logistic",
        "data": {"train": {"table": tables[0], "target": "y"}},
        "sweep": {"parameters": {"data.train.table": tables}},
    }
    run = trainer.run(spec, tmp_path / "r", should_stop=stop_after(10))
    assert run.status == "interrupted"
    with open(tables[1], "a") as file:
        file.write("\n1,2,u")
    assert "its data are not what they were" in refused(run.folder)


def test_another_model_to_begin_with_is_refused(tmp_path):
    first = trainer.run(SMALL, tmp_path / "first")
    spec = SMALL | {"init": str(first.folder)}
    run = trainer.run(spec, tmp_path / "r", should_stop=stop_after(30))
    assert go_on(shutil.copytree(run.folder, tmp_path / "copy")).status == "finished"
    shutil.rmtree(first.folder)
    trainer.run(SMALL | {"seed": 1}, first.folder)
    assert "the model that its init names is not what it was" in refused(run.folder)


def test_another_config_is_refused(stopped):
    config = stopped / "config.yaml"
    config.write_text(config.read_text().replace("epochs: 60", "epochs: 90"))
    assert "config.yaml is not what it was when the run began" in refused(stopped)


def test_another_config_with_other_trials_is_refused(tmp_path):
    run = trainer.run(FOLDED, tmp_path / "r", should_stop=stop_after(20))
    config = run.folder / "config.yaml"
    config.write_text(config.read_text().replace("folds: 3", "folds: 4"))
    assert "config.yaml" in refused(run.folder)


def test_another_device_is_refused(stopped, monkeypatch):
    from trainer.workflow import resume

    facts = resume.facts_of
    monkeypatch.setattr(resume, "facts_of", lambda ready: facts(ready) | {"device": "gpu"})
    told = f"{stopped}: it was trained on a cpu, and goes on there alone; this would be a gpu"
    assert refused(stopped) == told


def test_a_folder_without_a_run_is_refused(tmp_path):
    (tmp_path / "r").mkdir()
    assert "not a run folder" in refused(tmp_path / "r")


def test_a_damaged_checkpoint_falls_back_with_a_word(stopped):
    last = sorted((stopped / "checkpoint").glob("*.json"))[-1]
    last.write_bytes(last.read_bytes()[:-40])
    done, lines = told_by(trainer.resume, stopped, should_stop=lambda: None)
    assert done.status == "finished"
    assert any("no checkpoint: it is no whole JSON" in one for one in lines)


def test_data_from_python_are_passed_again(tmp_path):
    draw = np.random.default_rng(0)
    data = {"train": (draw.normal(size=(300, 4)), draw.integers(0, 3, 300))}
    spec = SMALL | {"data": {"val": "none"}, "optimizer": {"epochs": 40}}
    whole = trainer.run(spec, tmp_path / "whole", data=data)
    run = trainer.run(spec, tmp_path / "r", data=data, should_stop=stop_after(50))
    assert "arrays" in refused(run.folder)
    done = go_on(run.folder, data=data)
    assert done.status == "finished"
    for name in SAME:
        assert (done.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name


def test_versions_that_differ_mean_to_rounding(stopped):
    manifest = json.loads((stopped / "manifest.json").read_text())
    manifest["versions"]["numpy"] = "1.0"
    (stopped / "manifest.json").write_text(json.dumps(manifest))
    _, lines = told_by(trainer.resume, stopped, should_stop=lambda: None)
    told = next(line for line in lines if line.startswith("resumed"))
    assert f"to rounding, not to the bit: numpy 1.0 then, {np.__version__} now" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a.yaml"], "--resume: takes the folder's own config.yaml; remove a.yaml"),
        (
            ["a.yaml", "seed=1"],
            "--resume: takes the folder's own config.yaml; remove a.yaml seed=1",
        ),
        (["--out", "x"], "--resume: a run goes on as it began; remove --out"),
        (["--device", "cpu"], "--resume: a run goes on as it began; remove --device"),
        (["--check"], "--resume: a run goes on as it began; remove --check"),
        (["--plan"], "--resume: a run goes on as it began; remove --plan"),
    ],
)
def test_resume_stands_alone(arguments, told, capsys):
    assert main(["run", "--resume", "r", *arguments]) == 2
    assert capsys.readouterr().err.startswith(told)


def test_the_command_prints_the_folder(stopped, capsys):
    assert main(["run", "--resume", str(stopped), "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(stopped)
    shutil.rmtree(stopped)
    assert main(["run", "--resume", str(stopped), "--quiet"]) == 2


@pytest.mark.parametrize("calls", [8, 14, 20])
def test_a_sweep_that_memory_has_cut_is_gone_on_with_in_its_halves(calls, tmp_path, monkeypatch):
    narrow_stacks(monkeypatch)
    whole = trainer.run(FOLDED, tmp_path / "whole")
    run = trainer.run(FOLDED, tmp_path / "run", should_stop=stop_after(calls))
    assert run.status == "interrupted"
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert "two halves" in manifest["warning"]
    assert manifest["stacks"] == {"widths": [[2, 2], [1, 2]], "threads": 1}
    done = go_on(run.folder)
    assert done.status == "finished"
    for name in SAME:
        assert (done.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name
    done, whole = (json.loads((one.folder / "manifest.json").read_text()) for one in (done, whole))
    assert done["warning"] == whole["warning"]
    assert done["stacks"] == whole["stacks"] == {"widths": [[1, 6]], "threads": 1}


def test_what_a_stop_has_warned_of_is_no_warning_of_the_end(tmp_path):
    spec = {
        "model": "linear",
        "data": {"train": "diamonds"},
        "device": "cpu",
        "optimizer": {"steps": 300, "lr": 0.003},
        "log": {"eval_every": 1},
    }
    whole = trainer.run(spec, tmp_path / "whole")
    run = trainer.run(spec, tmp_path / "run", should_stop=stop_after(12))
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert "worse than the mean" in manifest["warning"]
    done = go_on(run.folder)
    told = [json.loads((one.folder / "manifest.json").read_text()) for one in (whole, done)]
    assert [one["status"] for one in told] == ["finished", "finished"]
    assert not any("warning" in one for one in told)


def test_logs_that_lack_the_end_are_gone_on_with_from_before_memory_cut_the_stacks(
    tmp_path, monkeypatch
):
    run = trainer.run(FOLDED, tmp_path / "run", should_stop=stop_after(8))
    narrow_stacks(monkeypatch)
    trainer.resume(run.folder, should_stop=stop_after(14))
    before, last = (
        json.loads((run.folder / "checkpoint" / f"{n}.json").read_text())["saved"] for n in (1, 2)
    )
    stacks = [len(one["sweep"]["arrangement"]["stacks"]) for one in (before, last)]
    assert stacks[0] < stacks[1]
    assert before["folder"]["steps"] < last["folder"]["steps"]
    with open(run.folder / "steps.arrows", "r+b") as file:
        file.truncate(last["folder"]["steps"] - 8)
    done, lines = told_by(trainer.resume, run.folder, should_stop=lambda: None)
    assert done.status == "finished"
    assert any("steps.arrows lacks steps that were there; the one before it" in o for o in lines)


def test_a_run_that_goes_on_is_refused_before_its_data_are_read(tmp_path, monkeypatch):
    from trainer.workflow import resume

    def reads(*given):
        raise AssertionError("its data are read")

    told = []

    def should_stop():
        if not told and (tmp_path / "r" / "config.yaml").exists():
            with monkeypatch.context() as patch:
                patch.setattr(resume, "get_ready", reads)
                with pytest.raises(trainer.UserError) as error:
                    go_on(tmp_path / "r")
            told.append(str(error.value))

    assert trainer.run(SMALL, tmp_path / "r", should_stop=should_stop).status == "finished"
    assert "the run goes on in process" in told[0]


def test_a_checkpoint_is_read_once_and_nobody_else_goes_on_meanwhile(stopped, monkeypatch):
    from trainer.workflow import resume

    read, ready, reads, told = checkpoint._read, resume.get_ready, [], []

    def reading(*given):
        reads.append(1)
        return read(*given)

    def getting(*given):
        with pytest.raises(trainer.UserError) as error:
            trainer.resume(stopped)
        told.append(str(error.value))
        return ready(*given)

    monkeypatch.setattr(checkpoint, "_read", reading)
    monkeypatch.setattr(resume, "get_ready", getting)
    assert go_on(stopped).status == "finished"
    assert len(reads) == 1
    assert "the run goes on in" in told[0]


def changed(saved, name, value):
    """What was saved with another value at a flat name."""
    *above, last = name.split(".")
    node = saved
    for key in above:
        node = node[key]
    node[last] = value(node[last])
    return saved


STATE = "sweep.stacks.0.training.state"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"{STATE}.arrays.parameters", lambda array: array[:5]),  # which a twin would write beyond
        (f"{STATE}.arrays.parameters", lambda array: array.astype(np.float64)),
        (f"{STATE}.live", lambda array: np.ones(7, bool)),
        (f"{STATE}.step", lambda step: "x"),
        (f"{STATE}.arrays", lambda arrays: {}),
        ("sweep.stacks.0.training.result.metrics.val_loss", lambda array: array[:0]),
        ("sweep.stacks.0.training.every", lambda every: 0),
        ("sweep.groups", lambda groups: [1, "x"]),
        ("sweep.stacks.0.facts", lambda facts: None),
        (f"{STATE}.step", lambda step: 1 << 62),  # which is past every evaluation
        ("sweep.groups", lambda groups: [[[0], -(1 << 62)]]),
        ("sweep.room", lambda room: 0),  # of which no stack would have its turn
        ("sweep.room", lambda room: 0.5),
    ],
)
def test_numbers_that_do_not_fit_the_run_are_a_line(name, value, tmp_path, capsys):
    assert_line(
        trainer.run(SMALL, tmp_path / "run", should_stop=stop_after(10)), name, value, capsys
    )


def assert_line(run, name, value, capsys):
    """A run with another value in its checkpoint is refused in a line, and starts over without."""
    saved, _ = checkpoint.read_last(run.folder)
    shutil.rmtree(run.folder / "checkpoint")
    checkpoint.write(run.folder, changed(saved, name, value))
    assert main(["run", "--resume", str(run.folder), "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{run.folder / 'checkpoint'}: the run cannot go on from it (")
    assert "Traceback" in (run.folder / "run.log").read_text()
    shutil.rmtree(run.folder / "checkpoint")
    assert go_on(run.folder).status == "finished"


@pytest.mark.parametrize("facts", [{}, {"x": "y"}, {"config": 1, "data": [2], "device": {}}])
def test_facts_that_are_none_are_a_line(facts, tmp_path):
    run = trainer.run(SMALL, tmp_path / "run", should_stop=stop_after(10))
    saved, _ = checkpoint.read_last(run.folder)
    checkpoint.write(run.folder, {**saved, "facts": facts})
    with pytest.raises(trainer.RunFolderError, match="is not of a run of this program"):
        go_on(run.folder)


@pytest.mark.parametrize(
    ("solver", "name", "number"),
    [
        *(("lbfgs", name, float("nan")) for name in ("evaluations", "before", "iterations")),
        *(("lbfgs", name, 1e300) for name in ("before", "tries", "stalled")),
        ("newton", "before", float("nan")),
        ("newton", "before", 2.0),
        ("newton", "evaluations", -1.0),
    ],
)
def test_counts_by_which_a_solver_would_never_end_are_a_line(
    solver, name, number, tmp_path, capsys
):
    spec = {
        "model": "logistic",
        "data": {"train": "breast_cancer"},
        "device": "cpu",
        "optimizer": {"name": solver},
        "sweep": {"parameters": {"penalty.l2": [1e-6, 1e-4]}},
    }
    run = trainer.run(spec, tmp_path / "run", should_stop=stop_after(9 if solver == "lbfgs" else 1))
    assert run.status == "interrupted"

    def value(array):
        array[0] = number
        return array

    assert_line(run, f"{STATE}.progress.{name}", value, capsys)
