"""What a run that went to its optimum says: no epochs, no learning rates, how near it is."""

import json
import re
import shutil

import numpy as np
import pytest
from report_helpers import charts_of, features, make, page_of, words_of
from stacks import DEVICE

import trainer
from trainer.console.terminal import Terminal
from trainer.text.numbers import counted, number
from trainer.workflow.report import write_compare, write_report

BASE = {"model": "logistic", "data": {"train": "breast_cancer"}, "device": DEVICE.kind}


PLOTLY = re.compile(r"<script>/\*\*\n\* plotly\.js .*?</script>", re.DOTALL)  # has epochs


class Said(Terminal):
    """Keeps what it is told."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = {}

    def summary(self, lines):
        self.lines |= {name: str(value) for name, value in lines}


def run_and_read(spec, folder):
    said = Said()
    run = trainer.run(spec, out=folder, terminal=said)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    return run, PLOTLY.sub("", page), said.lines


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    spec = BASE | {"optimizer": {"name": "newton"}, "penalty": {"C": 1}}
    return run_and_read(spec, tmp_path_factory.mktemp("solver") / "r")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    spec = BASE | {
        "optimizer": {"name": "auto"},
        "penalty": {"l2": 0},
        "repeat": {"folds": 3},
        "log": {"weights": "all"},
        "sweep": {"parameters": {"penalty.l1": {"path": {"num": 8, "ratio": 0.01}}}},
    }
    return run_and_read(spec, tmp_path_factory.mktemp("solver") / "r")


def test_the_page_of_a_single_run_counts_iterations(single):
    _, page, _ = single
    assert "Converged: max|dJ/dW|" in page
    assert "Step length" in page
    assert "ŷ − y over all training rows" in page
    for word in ("Learning rate", "epochs count", "Validation metrics", "batch"):
        assert word not in page, word


def test_the_page_of_a_path_has_its_coefficients_and_how_near_each_trial_is(path):
    _, page, _ = path
    assert "Coefficient path" in page
    assert "J − J* at most" in page
    assert "max|dJ/dW|" in page
    assert "trained again on all training rows<" in page
    for word in ("Learning curves", "Learning rate", "epochs"):
        assert word not in page, word


def test_the_terminal_names_the_solver_and_says_no_epochs(single, path):
    _, _, lines = single
    assert lines["solver"] == "newton in float64: asked for"
    assert lines["outcome"].startswith("converged: max|dJ/dW|")
    assert "epoch" not in lines["outcome"]
    _, _, lines = path
    assert lines["solver"].startswith("newton in float64: with l1")
    assert lines["refit"] == "trained again on all training rows"


def test_a_trial_that_did_not_converge_says_what_to_do(tmp_path):
    spec = BASE | {"optimizer": {"name": "lbfgs", "max_iter": 2}}
    run, page, lines = run_and_read(spec, tmp_path / "r")
    assert run.status == "finished"
    assert lines["outcome"].startswith("not converged: not at its optimum after 2 iterations")
    assert "Not converged: not at its optimum" in page or "not at its optimum after 2" in page
    assert "optimizer.max_iter=20" in page


# --- what is drawn, and beside what ---------------------------------------------------------------

CURVES = ["Loss", "Error and dL/dz", "Gradient norm"]
TWO_POINTS = {
    "a closed form": ({"name": "exact"}, 2),
    "a solver that is there at once": ({"name": "lbfgs"}, 2),
    "one step": ({"batch_size": "full", "epochs": 1}, 1),
    "two steps": ({"steps": 2}, 2),
}


@pytest.mark.parametrize("kind", TWO_POINTS)
def test_two_points_are_no_curve(tmp_path, kind):
    assert len(TWO_POINTS) == 4
    optimizer, points = TWO_POINTS[kind]
    _, Z = features()
    run = make(tmp_path / "r", "linear", Z[:, 0], optimizer=optimizer)
    steps = run.steps().to_pydict()
    assert len(steps["step"]) == points
    text = page_of(run)
    assert not {*CURVES, "Learning rate", "Step length"} & set(charts_of(text))
    unit = "evaluation" if run.trials[0].get("iterations") else "step"
    words = words_of(text)
    assert f"{counted(points, unit)} w" in words
    assert "no curve to draw" in words
    for value in (steps["loss"][0], steps["loss"][-1], steps["grad_norm"][-1]):
        assert f" {number(value)} " in words
    assert "Validation metrics" not in charts_of(text) or kind == "two steps"


def test_a_solver_with_curves_counts_its_steps_from_the_first(single):
    run, page, _ = single
    charts = charts_of(page)
    steps = run.steps().to_pydict()
    assert list(charts)[:4] == [*CURVES, "Step length"]
    lengths = charts["Step length"]["views"][0]["data"][0]
    assert lengths["y"][0] is None  # the start, which no step led to
    assert lengths["y"][1:] == pytest.approx(steps["lr"][1:])
    (dot,) = (t for t in charts["Loss"]["views"][0]["data"] if t["name"] == "validation rows")
    assert dot["x"] == [steps["step"][-1]]  # of the optimum, where the log ends
    assert dot["y"] == pytest.approx([run.best["metrics"]["val_loss"]], rel=1e-4)


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_an_unfinished_solver_has_no_learning_rate(single, tmp_path, status):
    copy = shutil.copytree(single[0].folder, tmp_path / "copy")
    for name in ("trials.csv", "results.json", "model.json", "model.safetensors"):
        (copy / name).unlink()
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"status": status}))
    charts = charts_of(write_report(copy).read_text())
    assert list(charts) == [*CURVES, "Step length"]
    assert charts["Loss"]["views"][0]["layout"]["xaxis"]["title"]["text"] == "evaluation"


def test_runs_of_solvers_share_no_axis_with_those_of_steps(tmp_path):
    _, Z = features()
    label = np.where(Z[:, 0] > 0, "yes", "no")
    optimizers = {
        "sgd": {"epochs": 12},
        "adam": {"name": "adam", "epochs": 8},
        "newton": {"name": "newton"},
        "lbfgs": {"name": "lbfgs"},
    }
    runs = {
        name: make(tmp_path / name, "logistic", label, optimizer=optimizer)
        for name, optimizer in optimizers.items()
    }
    path = write_compare([run.folder for run in runs.values()], tmp_path / "compare.html")
    charts = charts_of(path.read_text())
    first, solved = {"sgd", "adam"}, {"newton", "lbfgs"}
    drawn = {
        title: (
            chart["views"][0]["layout"]["xaxis"]["title"]["text"],
            {trace["name"] for trace in chart["views"][0]["data"]},
        )
        for title, chart in charts.items()
    }
    assert drawn["Loss"] == drawn["Error"] == drawn["Gradient norm"] == ("step", first)
    assert drawn["Learning rate"] == ("step", first)
    of_solvers = ("Loss of solvers", "Error of solvers", "Gradient norm of solvers", "Step length")
    assert [drawn[title] for title in of_solvers] == [("evaluation", solved)] * 4
    assert {names <= first for title, (_, names) in drawn.items() if "Validation" in title} == {
        True
    }


def test_compared_closed_forms_are_named_and_not_drawn(tmp_path):
    _, Z = features()
    sgd = make(tmp_path / "sgd", "linear", Z[:, 0])
    exact = make(tmp_path / "exact", "linear", Z[:, 0], optimizer={"name": "exact"})
    text = write_compare([sgd.folder, exact.folder], tmp_path / "compare.html").read_text()
    charts = charts_of(text)
    assert [len(chart["views"][0]["data"]) for chart in charts.values()] == [1] * len(charts)
    assert all(title.endswith(": sgd") for title in charts)  # one curve has no legend
    assert "Without exact: too few steps for a curve." in words_of(text)
