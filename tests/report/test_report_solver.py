"""What a run that went to its optimum says: no epochs, no learning rates, how near it is."""

import re

import pytest
from stacks import DEVICE

import trainer
from trainer.console.terminal import Terminal

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
    for word in ("Learning rate", "epochs count", "Validation metrics", "rows of a batch"):
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
