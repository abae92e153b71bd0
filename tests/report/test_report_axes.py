"""Axes show what did not run away, in ticks that can be read."""

import numpy as np
import pytest
from browser import needs_chromium, open_page
from page_faults import faults
from report_helpers import charts_of, features, make
from sweep_folders import write_sweep

from trainer.workflow.report import write_compare, write_report

LR = "optimizer.lr"
_TICKS = """
Object.fromEntries([...document.querySelectorAll('figure.chart')].map(figure => {
  const plot = figure.querySelector('.plot > div'), { type, range } = plot._fullLayout.yaxis;
  const labels = [...plot.querySelectorAll('.ytick text')].map(e => e.textContent);
  return [figure.querySelector('h3').textContent, { type, range, labels }];
}))
"""


def one_axis(out, lr, values, **results):
    """A sweep over the learning rate, evaluated eight times a trial."""
    rows = [
        ({LR: float(a)}, float(v), {"trial": i})
        for i, (a, v) in enumerate(zip(lr, values, strict=True))
    ]
    history = [
        {"trial": i, "repeat": 0, "epoch": e, "step": 10 * e, "val_loss": v * (1 + 1 / e)}
        for e in range(1, 9)
        for i, (_, v, _) in enumerate(rows)
    ]
    axes = {LR: [float(a) for a in lr]}
    folder = write_sweep(out, rows, axes, history=history, **results)
    return write_report(folder)


WILD = {
    "two trials of thirty about to diverge": [*np.linspace(0.31, 0.45, 28), 1e20, 3e30],
    "one of four": [0.31, 0.33, 0.36, 1e20],
    "within a stretch that has no 1, 2 or 5": np.linspace(0.31, 0.44, 12),
    "of a billionth": 0.693147181 + 1e-9 * np.arange(6),
    "over many decades": np.geomspace(1e-9, 1e9, 12),
}


@needs_chromium
@pytest.mark.parametrize("kind", WILD)
@pytest.mark.parametrize("width", [400, 1400])
def test_a_log_axis_has_two_labels_or_more(tmp_path, kind, width):
    assert len(WILD) == 5
    values = WILD[kind]
    path = one_axis(tmp_path / "run", np.geomspace(1e-3, 1, len(values)), values)
    with open_page(path, width=width) as page:
        assert faults(page) == []
        if page.evaluate("document.querySelectorAll('[aria-pressed=false].scale').length"):
            page.evaluate(
                "document.querySelectorAll('[aria-pressed=false].scale').forEach(e => e.click())"
            )
        assert faults(page) == []
        assert {axis["type"] for axis in page.evaluate(_TICKS).values()} == {"log"}


@needs_chromium
def test_what_is_in_sight_is_not_stretched_by_a_trial_that_runs_away(tmp_path):
    values = WILD["two trials of thirty about to diverge"]
    path = one_axis(tmp_path / "run", np.geomspace(1e-3, 1, len(values)), values)
    with open_page(path, width=1400) as page:
        assert faults(page) == []
        found = page.evaluate(_TICKS)
    assert len(found) == 2
    for title, axis in found.items():
        ends = 10.0 ** np.array(axis["range"]) if axis["type"] == "log" else axis["range"]
        assert ends[1] < 2, title
        assert len(axis["labels"]) > 2, title


@needs_chromium
def test_switching_the_scale_keeps_what_is_in_sight(tmp_path):
    values = np.geomspace(0.1, 3, 8)
    path = one_axis(tmp_path / "run", np.geomspace(1e-3, 1, 8), values)
    with open_page(path, width=1400) as page:
        assert faults(page) == []
        (title,) = (name for name in page.evaluate(_TICKS) if " by lr" in name)
        before = page.evaluate(_TICKS)[title]
        assert before["type"] == "log"
        page.click("figure.chart .scale")
        page.wait_for(f"({_TICKS})['{title}'].type === 'linear'")
        after = page.evaluate(_TICKS)[title]
        np.testing.assert_allclose(after["range"], 10.0 ** np.array(before["range"]), rtol=1e-3)
        assert len(after["labels"]) > 2


@needs_chromium
def test_ticks_follow_a_zoom(tmp_path):
    path = one_axis(tmp_path / "run", np.geomspace(1e-3, 1, 12), WILD["over many decades"])
    plot = "document.querySelector('figure.chart .plot > div')"
    with open_page(path, width=1400) as page:
        assert faults(page) == []
        low, high = np.log10([0.31, 0.44])
        page.evaluate(
            f"Plotly.relayout({plot}, {{'yaxis.range': [{low}, {high}]}}).then(() => true)"
        )
        page.wait_for(f"{plot}.querySelectorAll('.ytick text').length >= 2")
        labels = page.evaluate(
            f"[...{plot}.querySelectorAll('.ytick text')].map(e => e.textContent)"
        )
        assert labels == ["0.35", "0.4"]


@needs_chromium
def test_a_run_that_diverged_stretches_no_axis_of_those_beside_it(tmp_path):
    _, Z = features()
    good = make(tmp_path / "good", "linear", Z[:, 0], optimizer={"epochs": 60})
    bad = make(tmp_path / "bad", "linear", Z[:, 0], optimizer={"epochs": 60, "lr": 50})
    assert bad.status == "diverged"
    path = write_compare([good.folder, bad.folder], tmp_path / "compare.html")
    with open_page(path, width=1400) as page:
        assert faults(page) == []
        found = page.evaluate(_TICKS)
        loss = good.steps()["loss"].to_numpy()
    ends = found["Loss"]["range"]
    ends = 10.0 ** np.array(ends) if found["Loss"]["type"] == "log" else ends
    assert ends[1] < 2 * loss.max()
    assert ends[0] <= loss.min()


def test_the_axis_of_a_drawn_value_has_two_labels_wherever_it_lies(tmp_path):
    drawn = {"method": "random", "parameters": {LR: {"distribution": "log_uniform"}}}
    for n, (low, high) in enumerate([(2.1, 4.9), (0.21, 0.49), (5.1, 9.9), (0.3, 0.301), (1, 9)]):
        lr = np.geomspace(low, high, 12)
        path = one_axis(tmp_path / f"{n}", lr, np.linspace(1, 2, 12), config={"sweep": drawn})
        plan = charts_of(path.read_text())["Validation loss by lr: best at " + f"{low:g}"]
        axis = plan["views"][0]["layout"]["xaxis"]
        assert axis["type"] == "log"
        assert 2 <= len(axis["tickvals"]) <= 8, axis
        assert low <= axis["tickvals"][0] < axis["tickvals"][-1] <= high
        assert len(set(axis["ticktext"])) == len(axis["ticktext"])
        assert [float(label) for label in axis["ticktext"]] == axis["tickvals"]


def test_steps_are_counted_whole(tmp_path):
    _, Z = features()
    run = make(tmp_path / "r", "linear", Z[:, 0], optimizer={"epochs": 4, "batch_size": "full"})
    axis = charts_of((run.folder / "report.html").read_text())["Loss"]["views"][0]["layout"]
    assert axis["xaxis"]["dtick"] == 1


def test_the_scale_is_chosen_by_what_is_in_sight(tmp_path):
    """31 decades lie between the trials, and a fifth of one between those in sight."""
    values = WILD["two trials of thirty about to diverge"]
    path = one_axis(tmp_path / "run", np.geomspace(1e-3, 1, len(values)), values)
    chart = charts_of(path.read_text())["Validation loss by lr: best at 0.001"]
    axis = chart["views"][0]["layout"]["yaxis"]
    assert axis["type"] == "linear"
    assert axis["range"][1] < 1
