"""What the page of a sweep makes of known numbers."""

import json

import numpy as np
import pytest
from report_helpers import charts_of, words_of
from safetensors.numpy import save_file
from sweep_folders import write_large, write_sweep

import trainer
from trainer.report.read_run import read_run_data
from trainer.report.sweep.axis_charts import along_axes
from trainer.report.sweep.coefficient_path import coefficient_path
from trainer.report.sweep.heat_map import heat_map
from trainer.report.sweep.learning_curves import learning_curves
from trainer.report.sweep.parallel import parallel
from trainer.report.sweep.scales import x_axis
from trainer.report.sweep.selection import halving_rows, selection, winners
from trainer.report.sweep.view import view_sweep
from trainer.workflow.report import CONFIG_READER, write_compare, write_report

LR, L1, L2 = "optimizer.lr", "penalty.l1", "penalty.l2"


def view(folder):
    return view_sweep(read_run_data(folder, CONFIG_READER))


def traces(chart, view=0):
    return [trace for series in chart.views[view].series for trace in series.traces]


def grid(out, lr, l2, loss, **more):
    """A trial for each pair, ranked by loss(lr, l2)."""
    pairs = sorted(((a, b) for a in lr for b in l2), key=lambda pair: loss(*pair))
    rows = [({LR: a, L2: b}, loss(a, b), {}) for a, b in pairs]
    return write_sweep(out, rows, {LR: lr, L2: l2}, **more)


@pytest.mark.parametrize(
    ("values", "log"),
    [
        ([0.01, 0.1], True),
        ([20, 60, 180], True),
        ([1, 2, 4, 8], True),
        ([0, 1e-4, 1e-2], True),
        ([0.1, 0.2], False),
        ([10, 20, 30, 40], False),
        ([0, 0.5, 0.9], False),
        ([-1, 1, 100], False),
    ],
)
def test_values_that_grow_by_a_factor_are_on_a_log_scale(tmp_path, values, log):
    rows = [({LR: value}, 1.0 + i, {}) for i, value in enumerate(values)]
    (axis,) = view(write_sweep(tmp_path / "run", rows, {LR: values})).axes
    assert axis.log == log
    assert x_axis(axis).get("type", "linear") == ("log" if log else "linear")


def test_a_0_on_a_log_axis_is_left_of_the_rest_under_its_own_name(tmp_path):
    values = [0, 1e-6, 1e-5, 1e-4]
    rows = [({L2: value}, 1.0 + i, {}) for i, value in enumerate(values)]
    sweep = view(write_sweep(tmp_path / "run", rows, {L2: values}))
    plan = x_axis(sweep.axes[0])
    assert plan["ticktext"] == ["0", "1e-6", "1e-5", "0.0001"]
    assert plan["tickvals"][0] == pytest.approx(1e-7)
    assert plan["range"][0] < -7
    (line,) = [t for t in traces(along_axes(sweep)[0]) if t["mode"] == "lines+markers"]
    assert line["x"][0] == pytest.approx(1e-7)


def test_words_stand_in_the_order_of_the_file(tmp_path):
    words = ["none", "standard", "unit"]
    rows = [({"data.scale": word}, 1.0 + i, {}) for i, word in enumerate(reversed(words))]
    (axis,) = view(write_sweep(tmp_path / "run", rows, {"data.scale": words})).axes
    assert axis.values == tuple(words)
    assert axis.place("unit") == 2


def test_optimizers_are_not_an_axis_called_name(tmp_path):
    key = "optimizer.name"
    rows = [({key: "sgd"}, 1.0, {}), ({key: "adam"}, 2.0, {})]
    (axis,) = view(write_sweep(tmp_path / "run", rows, {key: ["sgd", "adam"]})).axes
    assert axis.name == "optimizer"


def test_drawn_values_are_joined_by_stretches(tmp_path):
    rng = np.random.default_rng(0)
    drawn = sorted(10 ** rng.uniform(-4, 0, 100))
    rows = [({LR: x, L2: rng.random()}, 0.01 * i, {}) for i, x in enumerate(drawn)]
    law = {"distribution": "log_uniform", "min": 1e-4, "max": 1}
    uniform = {"distribution": "uniform", "min": 0, "max": 1}
    config = {"sweep": {"method": "random", "parameters": {LR: law, L2: uniform}}}
    axes = {LR: drawn, L2: [row[0][L2] for row in rows]}
    sweep = view(write_sweep(tmp_path / "run", rows, axes, config=config))
    assert [axis.log for axis in sweep.axes] == [True, False]
    by_lr = traces(along_axes(sweep)[0])
    assert len(by_lr[0]["x"]) == 100
    assert len(by_lr[1]["x"]) == 10
    assert by_lr[1]["x"][0] == pytest.approx(drawn[0], rel=1e-4)  # the best of its stretch
    cells = np.array(traces(heat_map(sweep))[0]["z"], object)
    assert cells.shape == (10, 10)


def test_a_trial_that_diverged_is_a_cross_and_no_value(tmp_path):
    rows = [
        ({LR: 0.1}, 0.5, {}),
        ({LR: 0.2}, 0.6, {}),
        ({LR: 0.4}, 1e30, {"status": "diverged", "reason": "loss or weights not finite"}),
    ]
    sweep = view(write_sweep(tmp_path / "run", rows, {LR: [0.1, 0.2, 0.4]}))
    line, crosses = traces(along_axes(sweep)[0])
    assert line["y"] == [0.5, 0.6]
    assert crosses["x"] == [0.4]
    assert crosses["yaxis"] == "y2"
    assert crosses["text"] == ["1 trial diverged"]


def test_of_a_metric_to_maximize_the_highest_is_joined(tmp_path):
    rows = [({LR: a, L2: b}, a - b, {}) for a in (0.9, 0.5) for b in (0.0, 0.495)]
    axes = {LR: [0.5, 0.9], L2: [0.0, 0.495]}
    sweep = view(write_sweep(tmp_path / "run", rows, axes, name="val_accuracy"))
    chart = along_axes(sweep)[0]
    assert chart.title == "Validation accuracy by lr: best at 0.9"
    assert traces(chart)[1]["y"] == [0.5, 0.9]
    assert chart.views[0].layout["yaxis"]["type"] == "linear"  # 0.005 to 0.9, but a share
    assert traces(heat_map(sweep))[0]["text"][0] == ["50.0 %", "90.0 %"]
    shades = traces(heat_map(sweep))[0]["colorscale"]
    assert shades == [[0, "var(--pale)"], [1, "var(--cell)"]]


def test_the_chosen_cell_is_framed_not_the_best(tmp_path):
    lr, l2 = [0.01, 0.1, 1.0], [1e-4, 1e-2]
    best = {"trial": 1, "settings": {LR: 0.01, L2: 1e-2}, "metrics": {"val_loss": 1.1}, "std": {}}
    folder = grid(tmp_path / "run", lr, l2, lambda a, b: a + b, best=best, rule="one_std_err")
    sweep = view(folder)
    (shape,) = heat_map(sweep).views[0].layout["shapes"]
    assert (shape["x0"], shape["y0"]) == (-0.5, 0.5)
    assert along_axes(sweep)[1].title == "Validation loss by l2: chosen at 0.01"


def test_the_axes_that_matter_come_first(tmp_path):
    keys = [LR, L2, "optimizer.momentum"]
    found = [
        ({keys[0]: a, keys[1]: b, keys[2]: c}, 10.0 * c + a + 0.001 * b, {})
        for c in (1, 2, 3)
        for a in (1, 2, 3)
        for b in (1, 2, 3)
    ]
    folder = write_sweep(tmp_path / "run", found, {key: [1, 2, 3] for key in keys})
    chart = heat_map(view(folder))
    assert [each.name for each in chart.views] == [
        "lr by momentum",
        "l2 by momentum",
        "l2 by lr",
    ]
    assert chart.title == "Validation loss over two axes: momentum matters most"


def test_settings_that_go_together_make_no_heat_map(tmp_path):
    rows = [({LR: 10.0**-i, L2: 10.0**-i}, float(i), {}) for i in range(1, 6)]
    axes = {key: [10.0**-i for i in range(1, 6)] for key in (LR, L2)}
    assert heat_map(view(write_sweep(tmp_path / "run", rows, axes))) is None


def test_the_best_tenth_or_all(tmp_path):
    lr, l2 = np.geomspace(1e-3, 1, 20).tolist(), np.geomspace(1e-6, 1, 10).tolist()
    chart = parallel(view(grid(tmp_path / "run", lr, l2, lambda a, b: a + b)))
    tenth, whole = chart.views
    assert [tenth.name, whole.name] == ["the best tenth: 20", "all 200"]
    count = sum(trace["y"].count(None) for trace in traces(chart, 0))  # a gap behind each line
    assert count == 20
    assert sum(trace["y"].count(None) for trace in traces(chart, 1)) == 200


def test_learning_curves_are_means_and_the_rest_a_band(tmp_path):
    rows = [({LR: 0.01 * (i + 1)}, float(i), {}) for i in range(40)]
    history = [
        {"trial": t, "repeat": r, "epoch": e, "step": e, "val_loss": t + r + 1 / e}
        for e in (1, 2, 3)
        for t in range(40)
        for r in range(3)
    ]
    axes = {LR: [row[0][LR] for row in rows]}
    folder = write_sweep(tmp_path / "run", rows, axes, history=history, repeats=3)
    chart = learning_curves(view(folder))
    low, high, first, *others = traces(chart)
    assert len(others) == 19
    assert first["y"] == pytest.approx([2, 1.5, 1.3333], rel=1e-4)
    at_end = [t + 1 + 1 / 3 for t in range(20, 40)]
    right = np.quantile(at_end, [0.1, 0.9])
    assert [low["y"][-1], high["y"][-1]] == pytest.approx(right.tolist(), rel=1e-4)
    assert chart.title == "Learning curves: the winner was at its best at the end"


def test_the_coefficient_path_differs_in_the_penalty_alone(tmp_path):
    l1 = [0.4, 0.1, 0.0, 0.2]
    rows = [({L1: b, LR: a}, a + b, {"trial": int(10 * b + 100 * a)}) for a in (0.1, 1) for b in l1]
    folder = write_sweep(tmp_path / "run", rows, {L1: l1, LR: [0.1, 1]})
    trial = np.array([row[2]["trial"] for row in rows] * 2)
    repeat = np.repeat([0, 1], len(rows))
    weights = np.stack([1.0 * trial + 1000 * repeat, np.where(trial % 10 > 1, 0, 2.0)])
    bias = np.zeros((1, len(trial)))
    arrays = {"weights": weights[:, None, :], "bias": bias, "trial": trial, "repeat": repeat}
    save_file(arrays, folder / "weights.safetensors")
    chart = coefficient_path(view(folder))
    first, second = traces(chart)
    assert first["y"] == [10, 11, 12, 14]  # lr 0.1, the first repeat, from weak to strong
    assert second["y"] == [2, 2, 0, 0]
    assert chart.title == "Coefficient path: from 0 to 1 of 2 weights exactly 0"
    assert chart.views[0].layout["shapes"][0]["x0"] == pytest.approx(0.4)


def test_what_halving_dropped_the_best_first(tmp_path):
    rows = [({LR: 0.1}, 0.1, {"trial": 2}), ({LR: 0.2}, 0.4, {"trial": 0, "status": "halved"})]
    rows += [({LR: 0.3}, 0.8, {"trial": 1, "status": "halved"})]
    halving = [{"evaluation": 3, "alive": 3, "kept": 1, "dropped": [1, 0]}]
    folder = write_sweep(tmp_path / "run", rows, {LR: [0.1, 0.2, 0.3]}, halving=halving)
    assert halving_rows(view(folder)) == [["3", "1 of 3", "0.4", "0, 1"]]


def test_winners_of_each_value_with_their_test_scores(tmp_path):
    k = "repeat.few_shot.k"
    rows = [({L2: b, k: n}, b / n, {}) for n in (4, 1) for b in (0.1, 0.2)]
    groups = [
        {"per": {k: n}, "trial": t, "settings": {}, "metrics": {}} for n, t in ((1, 2), (4, 0))
    ]
    folder = write_sweep(tmp_path / "run", rows, {L2: [0.1, 0.2], k: [1, 4]}, groups=groups)
    table = [f"{k},trial,penalty.l2,val_loss,val_loss_std,test_accuracy"]
    table += ["1,2,0.1,0.1,0.02,0.5", "4,0,0.1,0.025,0.01,0.75"]
    (folder / "groups.csv").write_text("\n".join(table) + "\n")
    sweep = view(folder)
    head, cells = winners(sweep)
    assert head == ["k", "trial", "l2", "test accuracy", "validation loss"]
    assert cells == [
        ["1", "2", "0.1", "50.0 %", "0.1 ± 0.02"],
        ["4", "0", "0.1", "75.0 %", "0.025 ± 0.01"],
    ]
    by_l2, by_k = along_axes(sweep)
    lines = [t for t in traces(by_l2) if t["mode"] == "lines+markers"]
    assert [line["name"] for line in lines] == ["k 1", "k 4"]
    assert lines[0]["y"] == [0.1, 0.2]
    assert "What" not in words_of(write_report(folder).read_text())  # nothing was halved
    assert by_k.title == "Learning curve: validation loss by k"


def test_what_was_chosen_and_by_how_much(tmp_path):
    rows = [({LR: 0.1}, 0.5, {"val_loss_std": 0.0123}), ({LR: 0.2}, 0.6, {"val_loss_std": 0.01})]
    runner_up = {
        "trial": 1,
        "settings": {LR: 0.2},
        "metrics": {},
        "margin": 0.1,
        "standard_errors": 1.5,
    }
    edges = [{"path": LR, "side": "low", "value": 0.1, "advice": "widen optimizer.lr downward"}]
    folder = write_sweep(
        tmp_path / "run", rows, {LR: [0.1, 0.2]}, runner_up=runner_up, edges=edges, repeats=5
    )
    assert selection(view(folder)) == [
        ("Winner", "trial 0: lr 0.1"),
        ("Validation loss", "0.5 ± 0.012 (standard deviation over 5 repeats)"),
        (
            "Lead",
            "0.1 of validation loss ahead of trial 1 (lr 0.2), 1.5 standard errors of the paired"
            " difference over the repeats: a tie by these",
        ),
        ("Rule", "the lowest validation loss, mean over 5 repeats"),
        ("Edge", "widen optimizer.lr downward"),
        ("Model", "that of the winner's first repeat"),
        ("Outcomes", "2 trials × 5 repeats: 2 finished"),
    ]


def test_a_sweep_that_was_killed_tells_what_its_history_tells(tmp_path):
    rows = [({LR: value}, 1.0, {}) for value in (0.01, 0.1)]
    history = [
        {"trial": t, "repeat": 0, "epoch": e, "step": e, "val_loss": 2.0 - t - 0.1 * e}
        for e in (1, 2)
        for t in (0, 1)
    ]
    config = {"sweep": {"parameters": {LR: [0.01, 0.1]}}}
    folder = write_sweep(tmp_path / "run", rows, {}, history=history, steps=5, config=config)
    for name in ("trials.csv", "results.json"):
        (folder / name).unlink()
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"status": "running"}))
    (folder / "checkpoint").mkdir()
    run_data = read_run_data(folder, CONFIG_READER)
    assert run_data.chosen == 1
    assert run_data.status == "killed"
    assert set(run_data.steps["trial"].to_pylist()) == {1}
    sweep = view_sweep(run_data)
    assert [row[LR] for row in sweep.rows] == [0.1, 0.01]
    assert sweep.value.tolist() == pytest.approx([0.8, 1.8])
    words = words_of(write_report(folder).read_text())
    assert "Ahead trial 1: lr 0.1, validation loss 0.8; not chosen" in words
    assert "--resume DIR`, of this folder, goes on from its last checkpoint." in words


def test_two_thousand_trials_are_small(tmp_path):
    folder = write_large(tmp_path / "run")
    path = write_report(folder)
    assert path.stat().st_size < 6_500_000
    charts = charts_of(path.read_text())
    curves = next(c for title, c in charts.items() if title.startswith("Learning curves"))
    assert len(curves["views"][0]["data"]) == 22
    points = sum(
        len(t["x"]) for c in charts.values() for v in c["views"] for t in v["data"] if "x" in t
    )
    assert points < 20_000


def test_only_the_chosen_trials_steps_are_read(tmp_path):
    rows = [({LR: 0.1 * (i + 1)}, float(i), {"trial": 4 - i}) for i in range(5)]
    folder = write_sweep(tmp_path / "run", rows, {LR: [0.1, 0.2, 0.3, 0.4, 0.5]}, steps=40)
    steps = read_run_data(folder, CONFIG_READER).steps
    assert steps["trial"].to_pylist() == [4] * 40


def test_compare_shows_the_winner_of_a_sweep(tmp_path):
    history = [
        {"trial": t, "repeat": 0, "epoch": e, "step": e, "val_loss": t + 1 / e}
        for e in (1, 2, 3)
        for t in (0, 1)
    ]
    more = {"history": history, "rule": "one_std_err"}
    best = {"trial": 1, "settings": {LR: 0.7}, "metrics": {"val_loss": 1.3333}, "std": {}}
    rows = [({LR: 0.3}, 0.3333, {}), ({LR: 0.7}, 1.3333, {})]
    one = write_sweep(tmp_path / "one", rows, {LR: [0.3, 0.7]}, best=best, **more)
    two = write_sweep(tmp_path / "two", rows, {LR: [0.3, 0.7]}, **more)
    text = write_compare([one, two], tmp_path / "compare.html").read_text()
    curves = charts_of(text)["Validation loss"]["views"][0]["data"]
    assert [trace["y"][-1] for trace in curves] == pytest.approx([1.3333, 0.33333])
    assert "optimizer.lr 0.7 0.3" in words_of(text)


def test_repeats_that_differ_by_the_same_amount_are_no_single_value(tmp_path):
    rows = [({LR: 0.1}, 0.5, {"val_loss_std": 0.1}), ({LR: 0.2}, 0.6, {"val_loss_std": 0.1})]
    runner_up = {
        "trial": 1,
        "settings": {LR: 0.2},
        "metrics": {},
        "margin": 0.1,
        "standard_errors": None,
    }
    folder = write_sweep(tmp_path / "run", rows, {LR: [0.1, 0.2]}, runner_up=runner_up, repeats=2)
    lead = dict(selection(view(folder)))["Lead"]
    assert lead == "0.1 of validation loss ahead of trial 1 (lr 0.2), the same in every repeat"


def test_axes_of_two_blocks_that_never_meet_make_no_heat_map(tmp_path):
    momentum, warmup = "optimizer.momentum", "optimizer.schedule.warmup"
    rows = [({momentum: 0.1 * i, warmup: None}, 1.0 + i, {}) for i in (1, 2, 3)]
    rows += [({momentum: None, warmup: 0.1 * i}, 4.0 + i, {}) for i in (1, 2, 3)]
    axes = {momentum: [0.1, 0.2, 0.3], warmup: [0.1, 0.2, 0.3]}
    folder = write_sweep(tmp_path / "run", rows, axes)
    assert heat_map(view(folder)) is None
    assert "Every axis at once" in charts_of(write_report(folder).read_text())  # drawn to its end


def test_solvers_among_the_trials_have_no_learning_curve(tmp_path):
    """Their one evaluation is counted in iterations, the others in epochs."""
    name = "optimizer.name"
    rows = [({name: "newton"}, 0.1, {"trial": 0, "iterations": 40})]
    rows += [({name: "sgd"}, 0.2, {"trial": 1}), ({name: "adam"}, 0.3, {"trial": 2})]
    history = [{"trial": 0, "repeat": 0, "epoch": 40, "step": 40, "val_loss": 0.1}]
    history += [
        {"trial": t, "repeat": 0, "epoch": e, "step": 9 * e, "val_loss": t / 10 + 1 / e}
        for e in (1, 2, 3)
        for t in (1, 2)
    ]
    axes = {name: ["newton", "sgd", "adam"]}
    chart = learning_curves(view(write_sweep(tmp_path / "run", rows, axes, history=history)))
    assert [trace["x"] for trace in traces(chart)] == [[1, 2, 3], [1, 2, 3]]
    assert [series.label for series in chart.views[0].series] == ["trial 1", "trial 2"]
    assert chart.views[0].layout["xaxis"]["range"][1] < 4
    assert chart.title == "Learning curves"
    assert chart.note.endswith("Without those of solvers, which have one evaluation.")


def test_a_path_leaves_out_the_weights_of_trials_that_diverged(tmp_path):
    l1 = [1e-3, 1e-2, 1e-1, 1.0]
    rows = [({L1: value}, 0.1 + i, {"trial": i}) for i, value in enumerate(l1)]
    rows[3][2]["status"] = "diverged"
    folder = write_sweep(tmp_path / "run", rows, {L1: l1})
    weights = np.ones((2, 1, 4), "f4")
    weights[:, :, 3] = 1e30
    arrays = {
        "weights": weights,
        "bias": np.zeros((1, 4), "f4"),
        "trial": np.arange(4),
        "repeat": np.zeros(4, np.int64),
    }
    save_file(arrays, folder / "weights.safetensors")
    chart = coefficient_path(view(folder))
    assert [trace["x"] for trace in traces(chart)] == [[1e-3, 1e-2, 1e-1]] * 2
    assert max(max(trace["y"]) for trace in traces(chart)) == 1
    assert "Without those of trials that diverged." in chart.note


def test_a_loss_over_decades_is_spread_over_its_upright_axis(tmp_path):
    """One trial about to diverge would press all others onto one point."""
    lr, l2 = [0.1, 1.0], [0.0, 0.1]
    losses = [0.1, 0.2, 0.4, 1e7]
    rows = [({LR: lr[i % 2], L2: l2[i // 2]}, v, {"trial": i}) for i, v in enumerate(losses)]
    chart = parallel(view(write_sweep(tmp_path / "run", rows, {LR: lr, L2: l2})))
    heights = sorted(trace["y"][2] for trace in traces(chart))  # of a trial on the metric's axis
    assert heights == pytest.approx([0, 0.9248, 0.9624, 1], abs=1e-3)
    assert chart.views[0].layout["margin"]["r"] >= 7 * len("10,000,000")


def test_the_head_counts_the_rows_that_the_chosen_trial_was_held_to(tmp_path):
    spec = {
        "model": "linear",
        "data": {"train": {"synthetic": {"rows": 200, "columns": 3, "outputs": 1}}},
        "optimizer": {"name": "auto"},
        "sweep": {"parameters": {"data.val": [0.02, 0.5]}},
        "select": {"per": ["data.val"]},
    }
    heads = {}
    for values in ([0.02, 0.5], [0.5, 0.02]):
        spec["sweep"]["parameters"]["data.val"] = values
        run = trainer.run(spec, out=tmp_path / str(values[0]))
        best = run.results["best"]["settings"]["data.val"]
        heads[values[0]] = f"on {round(200 * best)} validation rows"
    for first, words in heads.items():
        assert words in words_of((tmp_path / str(first) / "report.html").read_text())
