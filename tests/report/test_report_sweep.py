"""The page of a sweep, of every kind: what it says, what it draws, that it fits every window."""

import json
import re
import shutil

import numpy as np
import pytest
from browser import needs_chromium, open_page
from page_faults import DRAWN, faults
from report_helpers import charts_of, page_of, words_of
from sweep_folders import write_large
from sweep_runs import make_sweeps

from trainer.workflow.report import write_report

KINDS = {
    "two trials": ["Validation loss by lr", "Learning curves"],
    "64 trials": ["Validation loss by lr", "Validation loss by l2", "Validation loss over"],
    "folds": ["Validation loss by lr: chosen", "Validation loss over", "Every axis at once"],
    "halving": ["Validation loss by lr", "Learning curves"],
    "words": ["Validation loss by scale", "Validation loss by optimizer", "Every axis at once"],
    "random": ["Validation loss by momentum", "Validation loss by bias", "Every axis at once"],
    "winners": ["Validation loss by lr, for each batch_size", "Validation loss by batch_size"],
    "path": ["Validation loss by l1", "Coefficient path"],
    "few shots": ["Validation loss by l2, for each k", "Learning curve: validation loss by k"],
    "diverged": ["Loss"],
    "interrupted": ["Validation loss by lr: best", "Learning curves"],
}


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    return make_sweeps(tmp_path_factory.mktemp("sweeps"))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = write_large(tmp_path_factory.mktemp("large") / "run")
    write_report(folder)
    return folder


def test_every_kind_is_there(sweeps):
    assert sweeps.keys() == KINDS.keys()
    assert len(KINDS) == 11


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_has_the_charts_of_its_kind(sweeps, kind):
    titles = list(charts_of(page_of(sweeps[kind])))
    missing = [t for t in KINDS[kind] if not any(title.startswith(t) for title in titles)]
    assert missing == []


def test_the_verdict_comes_first(sweeps):
    words = words_of(page_of(sweeps["folds"]))
    best, other = sweeps["folds"].results["best"], sweeps["folds"].results["runner_up"]
    assert f"Winner trial {best['trial']}" in words
    assert f"trial {other['trial']} (" in words
    assert "standard errors of the paired difference over the folds, widened" in words
    assert (
        "within one standard error of the lowest validation loss (its own, over 4 repeats)" in words
    )
    assert "trained again on all training rows" in words
    assert words.index("Winner") < words.index("Settings tried")


def test_the_edge_of_the_grid_is_pointed_out(sweeps, tmp_path):
    edges = [e["advice"] for run in sweeps.values() for e in run.results["edges"]]
    assert edges
    run = next(run for run in sweeps.values() if run.results["edges"])
    assert run.results["edges"][0]["advice"] in words_of(page_of(run))


def data_of(text, title):
    """The first chart whose title starts so."""
    return next(chart for name, chart in charts_of(text).items() if name.startswith(title))


def test_the_line_along_an_axis_is_the_best_of_each_value(sweeps):
    run = sweeps["64 trials"]
    text = page_of(run)
    chart = data_of(text, "Validation loss by lr")
    drawn = next(t for t in chart["views"][0]["data"] if t["mode"] == "lines+markers")
    best = {}
    for row in run.trials:
        lr = row["optimizer.lr"]
        best[lr] = min(best.get(lr, np.inf), row["val_loss"])
    assert drawn["x"] == pytest.approx(sorted(best), rel=1e-4)
    assert drawn["y"] == pytest.approx([best[lr] for lr in sorted(best)], rel=1e-4)


def test_a_0_on_a_log_axis_has_a_place_of_its_own(sweeps):
    chart = data_of(page_of(sweeps["64 trials"]), "Validation loss by l2")
    axis = chart["views"][0]["layout"]["xaxis"]
    assert axis["type"] == "log"
    assert axis["ticktext"][0] == "0"
    drawn = next(t for t in chart["views"][0]["data"] if t["mode"] == "lines+markers")
    assert drawn["x"][0] == pytest.approx(axis["tickvals"][0], rel=1e-4)
    assert 0 < drawn["x"][0] < drawn["x"][1]


def test_the_heat_map_has_the_best_of_each_pair(sweeps):
    run = sweeps["folds"]
    (view,) = data_of(page_of(run), "Validation loss over")["views"]
    cells = np.array(view["data"][0]["z"], float)
    assert sorted(cells.shape) == [8, 8]
    assert cells.min() == pytest.approx(min(row["val_loss"] for row in run.trials), rel=1e-3)
    values = sorted(row["val_loss"] for row in run.trials)
    assert sorted(cells.ravel()) == pytest.approx(values, rel=1e-3)


def test_a_value_with_winners_of_its_own_has_a_line_each(sweeps):
    chart = data_of(page_of(sweeps["winners"]), "Validation loss by lr")
    names = [t["name"] for t in chart["views"][0]["data"] if t["mode"] == "lines+markers"]
    assert names == ["batch_size 20", "batch_size 60", "batch_size 180"]


def test_the_coefficient_path_is_of_the_weights(sweeps):
    run = sweeps["path"]
    (view,) = data_of(page_of(run), "Coefficient path")["views"]
    from safetensors.numpy import load_file

    arrays = load_file(run.folder / "weights.safetensors")
    l1 = {row["trial"]: row["penalty.l1"] for row in run.trials}
    order = np.argsort([l1[trial] for trial in arrays["trial"].tolist()])
    largest = np.abs(arrays["weights"][:, 0, :]).max(axis=1).argmax()
    right = arrays["weights"][largest, 0, order]
    assert view["data"][0]["y"] == pytest.approx(right.tolist(), rel=1e-3, abs=1e-6)
    assert abs(right[-1]) < 1e-5  # at lambda_max


def test_halving_tells_what_it_dropped(sweeps):
    words = words_of(page_of(sweeps["halving"]))
    assert "What halving dropped" in words
    assert "22 of 64" in words


def rows_of(text):
    card = text[text.index('<div class="card wide trials">') :]
    found = re.search(r'<script type="application/json">(.*?)</script>', card, re.DOTALL)
    return json.loads(found[1])["rows"]


def test_a_sweep_without_any_trials_is_drawn_as_far_as_it_can_be(sweeps, tmp_path):
    copy = shutil.copytree(sweeps["folds"].folder, tmp_path / "copy")
    (copy / "trials.csv").unlink()
    (copy / "history.csv").write_text("not,a,history\n1,2,3\n")
    words = words_of(write_report(copy).read_text())
    assert "trials.csv: not there" in words
    assert "history.csv: cannot read" in words


def test_the_table_has_every_trial(sweeps):
    for kind, run in sweeps.items():
        rows = rows_of(page_of(run))
        shown, right = [row[1] for row in rows], [t["trial"] for t in run.trials]
        if kind == "interrupted":  # that which is ahead comes first
            shown, right = sorted(shown), sorted(right)
        assert shown == right, kind


@needs_chromium
@pytest.mark.parametrize("kind", [*KINDS, "2,000 trials"])
def test_every_page_fits_both_windows_in_light_and_dark(sweeps, large, kind):
    folder = large if kind == "2,000 trials" else sweeps[kind].folder
    with open_page(folder / "report.html", width=1400) as page:
        assert faults(page) == []
        page.scheme(dark=True)
        page.resize(400)
        page.wait_for("[...document.querySelectorAll('.drawn')].every(e => e.offsetWidth < 400)")
        page.wait_for(
            "[...document.querySelectorAll('.drawn')].every(e => !e.offsetWidth"
            " || Math.abs(e.querySelector('svg').clientWidth - e.offsetWidth) < 2)"
        )
        assert faults(page) == []


@needs_chromium
def test_the_table_sorts_filters_and_shows_more(large):
    count = "document.querySelectorAll('.trials tbody tr').length"
    with open_page(large / "report.html", width=1400) as page:
        heads = page.evaluate(
            "[...document.querySelectorAll('.trials th[scope=col]')].map(h => h.textContent)"
        )
        at = heads.index("lr")
        first = f"Number(document.querySelector('.trials tbody tr').children[{at}].textContent)"
        sort = f"document.querySelectorAll('.trials th[scope=col]')[{at}].getAttribute('aria-sort')"
        assert page.evaluate(count) == 25
        page.click(".trials .more button")
        assert page.evaluate(count) == 225
        page.click(f".trials th:nth-child({at + 1}) button")
        assert page.evaluate(first) == pytest.approx(1e-3)
        assert page.evaluate(sort) == "ascending"
        page.evaluate(f"document.querySelectorAll('.trials th button')[{at}].focus()")
        press(page, "Enter", "\r")  # the same by the keyboard
        assert page.evaluate(first) == pytest.approx(1)
        assert page.evaluate(sort) == "descending"
        look_for(page, "optimizer.lr<0.0011")
        shown = page.evaluate("document.querySelector('.trials .shown').textContent")
        assert shown == "25 of 40 that match, of 2000 shown."
        page.click(".trials .more button")
        assert page.evaluate(count) == 40  # one value of lr, forty of l2
        look_for(page, "status=diverged")
        assert page.evaluate(count) == 0
        assert page.errors == []


def press(page, key, text):
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=key, text=text, windowsVirtualKeyCode=13)
    page.settle()


def look_for(page, words):
    page.evaluate(
        f"(() => {{ const i = document.querySelector('.trials input'); i.value = '{words}';"
        " i.dispatchEvent(new Event('input')); })()"
    )


@needs_chromium
def test_the_table_is_quick_with_two_thousand_rows(large):
    with open_page(large / "report.html", width=1400) as page:
        click = "document.querySelectorAll('.trials th button')[3].click()"
        took = f"(() => {{ const t = performance.now(); {click}; return performance.now() - t }})()"
        assert min(page.evaluate(took) for _ in range(3)) < 250  # 10 ms on a core


@needs_chromium
def test_the_switch_shows_all_trials(sweeps):
    figure = (
        "[...document.querySelectorAll('figure.chart')]"
        ".find(f => f.querySelector('h3').textContent === 'Every axis at once')"
    )
    count = f"{figure}.querySelector('.plot > div').data.map(t => t.y.length)"
    lines = f"{count}.reduce((a, b) => a + b) / 7"  # five axes, the metric and a gap
    with open_page(sweeps["random"].folder / "report.html", width=1400) as page:
        page.wait_for(DRAWN)
        assert page.evaluate(lines) == 10
        page.evaluate(
            f"(s => {{ s.selectedIndex = 1; s.dispatchEvent(new Event('change')) }})"
            f"({figure}.querySelector('select'))"
        )
        page.wait_for(f"{lines} === 40")
        assert page.errors == []
