"""Bootstrap of the fit: coefficients are those of a slow loop over the resamples, and said so."""

import io
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression
from stacks import DEVICE

import trainer
from trainer.console.terminal import Terminal
from trainer.errors import RunFolderError
from trainer.runs.reader import RunReader
from trainer.wording.bootstrap import coefficients_text, wins_text

N, R = 150, 12
DRAW = np.random.default_rng(3)
X = DRAW.standard_normal((N, 3)) * [1.0, 5.0, 0.2] + [0.0, 10.0, -1.0]
Y = (DRAW.random(N) < 1 / (1 + np.exp(-(X - X.mean(0)) / X.std(0) @ [1.5, -1.0, 0.0]))).astype(int)


def run(out, told=None, **keys):
    spec = {
        "model": "logistic",
        "data": {"train": "arrays"},
        "optimizer": {"name": "newton", "tol": 1e-9},
        "precision": "float64",
        "penalty": {"l2": 0},
        "repeat": {"bootstrap": R},
        "device": DEVICE.kind,
        **keys,
    }
    terminal = Terminal(stream=told) if told is not None else None
    return trainer.run(spec, out=out, data={"train": (X, Y)}, terminal=terminal)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    told = io.StringIO()
    return run(tmp_path_factory.mktemp("b") / "r", told), " ".join(told.getvalue().split())


def test_coefficients_are_those_of_a_loop_over_the_resamples(plain):
    found = plain[0]
    drawn = pq.read_table(found.folder / "rows.parquet").to_pydict()
    slow = []
    for r in range(R):
        counts = [count or 0 for count in drawn[f"drawn_{r}"]]
        i = np.repeat(np.arange(N), counts)
        fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000, solver="newton-cholesky")
        slow.append(fit.fit(X[i], Y[i]).coef_[0])
    scale = X.std(axis=0)
    rows = RunReader(found.folder).coefficients()
    assert [row["feature"] for row in rows] == ["x0", "x1", "x2"]
    ends = np.quantile(np.array(slow) * scale, [0.025, 0.975], axis=0)
    np.testing.assert_allclose([row["low"] for row in rows], ends[0], rtol=1e-5)
    np.testing.assert_allclose([row["high"] for row in rows], ends[1], rtol=1e-5)
    model = found.model()
    kept = (model.coef_[0] * scale).tolist()
    np.testing.assert_allclose([row["coefficient"] for row in rows], kept, rtol=1e-9)
    assert {row["resamples"] for row in rows} == {R}


def test_what_they_are_is_said_and_the_page_has_their_ends(plain):
    found, told = plain
    assert found.results["bootstrap"] == {
        "resamples": R, "level": 0.95, "penalised": False, "selects": False, "wins": []
    }  # fmt: skip
    assert f"[ ] has the middle 95 % of {R} resamples, settings fixed" in told
    assert "penalised" not in told
    page = (found.folder / "report.html").read_text("utf-8")
    low = RunReader(found.folder).coefficients()[0]["low"]
    assert f"[{low:.3g}, " in page
    assert '</i><b style="left:' in page


def test_l1_has_frequencies_alone_and_settings_their_share_of_wins(tmp_path):
    parameters = {"penalty.l1": [0.02, 0.3], "penalty.l2": [0]}
    found = run(tmp_path / "r", sweep={"parameters": parameters}, penalty={"l1": 0.02})
    rows = RunReader(found.folder).coefficients()
    assert all(row["low"] is None and row["high"] is None for row in rows)
    assert rows[0]["nonzero"] == 1.0
    assert rows[2]["nonzero"] < 1.0
    assert "with l1 there are no intervals" in coefficients_text(found.results)
    losses = {}
    for row in RunReader(found.folder).repeats():
        losses.setdefault(row["repeat"], {})[row["trial"]] = row["val_loss"]
    first = np.mean([of[0] <= of[1] for of in losses.values()])
    shares = {of["trial"]: of["share"] for of in found.results["bootstrap"]["wins"]}
    assert shares.get(0, 0) == pytest.approx(first)
    assert sum(shares.values()) == pytest.approx(1)
    assert wins_text(found.results).startswith(f"by the rows that each of {R} resamples did not")


def test_a_trial_that_halving_dropped_would_win_nowhere(tmp_path):
    """Its metrics are of fewer epochs, which may do better by chance: ranks have it last, too."""
    halving = {"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2}}
    found = run(
        tmp_path / "r",
        optimizer={"name": "adam", "lr": 0.3, "epochs": 16, "batch_size": "full"},
        sweep={"parameters": {"optimizer.lr": [0.3, 0.8, 1.5, 3.0]}, **halving},
        repeat={"bootstrap": 4},
    )
    status = {row["trial"]: row["status"] for row in RunReader(found.folder).trials()}
    lowest = {}
    for row in RunReader(found.folder).repeats():
        lowest.setdefault(row["repeat"], []).append((row["val_loss"], row["trial"]))
    assert "halved" in {status[min(of)[1]] for of in lowest.values()}  # there it would
    assert list(status.values()).count("finished") == 1
    assert found.results["bootstrap"]["wins"] == []  # one alone is left


def test_without_intervals_there_is_no_table(tmp_path):
    found = run(tmp_path / "r", intervals="none", repeat={"bootstrap": 3})
    assert not (found.folder / "coefficients.csv").exists()
    assert "bootstrap" not in found.results


def test_a_table_that_lacks_a_column_is_refused_in_a_line(plain, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(plain[0].folder, folder)
    for fault, text in {
        "it has no column feature": "output,low\ny,1.0\n",
        "its column low has a cell that is no number": (
            "output,feature,coefficient,low\ny,x0,1.0,much\n"
        ),
    }.items():
        (folder / "coefficients.csv").write_text(text)
        with pytest.raises(RunFolderError, match=fault):
            RunReader(folder).coefficients()
