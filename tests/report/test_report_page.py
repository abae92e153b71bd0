"""The page as text: each kind's charts, each status, what a stranger's names may not do."""

import json
import re
import shutil

import numpy as np
import pytest
from report_helpers import HOSTILE, charts_of, page_of, words_of
from sklearn.metrics import confusion_matrix, roc_auc_score

import trainer
from trainer.errors import DiskError, RunFolderError, UserError
from trainer.workflow.report import write_compare, write_report

TRAINING = ["Loss", "Error and dL/dz", "Gradient norm", "Learning rate"]
CHARTS = {
    "softmax": ["Validation metrics", "Confusion matrix", "Confidence", "Weights"],
    "logistic": [
        "Validation metrics",
        "ROC",
        "Precision and recall",
        "Calibration",
        "Confusion matrix",
    ],
    "linear": ["Validation R²", "Validation RMSE", "Predicted against true", "Residuals"],
    "multi-target": [
        "Validation R²",
        "Validation RMSE",
        "Predicted against true",
        "Residuals",
        "Weights",
    ],
    "multi-label": ["Validation metrics", "ROC", "Precision and recall", "Calibration", "Weights"],
    "soft labels": ["Validation metrics", "Confusion matrix", "Confidence", "Weights"],
    "squared error": [
        "Validation metrics",
        "ROC",
        "Precision and recall",
        "Calibration",
        "Confusion matrix",
    ],
    "diverged": [],
    "no validation": ["Weights"],
    "interrupted": ["Validation metrics", "Confusion matrix", "Confidence", "Weights"],
    "hostile": ["Validation metrics", "Confusion matrix", "Confidence", "Weights"],
}


@pytest.mark.parametrize("kind", CHARTS)
def test_every_kind_has_its_charts(runs, kind):
    assert set(CHARTS) == set(runs)
    assert list(charts_of(page_of(runs[kind]))) == TRAINING + CHARTS[kind] or kind == "diverged"
    if kind == "diverged":
        assert list(charts_of(page_of(runs[kind])))[:4] == TRAINING


def test_a_page_is_one_file_with_plotly_once(runs):
    text = page_of(runs["softmax"])
    assert text.count("<script>") == 2
    assert "<link" not in text[: text.index("<main>")]
    assert re.search(r"<(script|img|iframe)[^>]* src=", text[: text.index("</main>")]) is None
    assert len(text) < 6_000_000


def test_the_page_is_drawn_from_a_copy_of_the_folder_alone(runs, tmp_path):
    copy = shutil.copytree(runs["hostile"].folder, tmp_path / "hostile")
    before = (copy / "report.html").read_bytes()
    (copy / "report.html").unlink()
    assert trainer.load_run(copy).report() == copy / "report.html"
    assert (copy / "report.html").read_bytes() == before


# --- the numbers drawn are the folder's -----------------------------------------------------------


def test_the_loss_drawn_is_the_loss_logged(runs):
    steps = runs["softmax"].steps().to_pydict()
    first = charts_of(page_of(runs["softmax"]))["Loss"]["views"][0]["data"][0]
    assert first["x"] == steps["step"]
    np.testing.assert_allclose(first["y"], steps["loss"], rtol=1e-4)


def test_the_confusion_matrix_is_of_the_predictions(runs):
    table = runs["softmax"].predictions().to_pydict()
    right, wrong, _ = charts_of(page_of(runs["softmax"]))["Confusion matrix"]["views"][0]["data"]
    drawn = [[int(cell or 0) for cell in row] for row in right["text"]]
    assert wrong["text"] == right["text"]
    expected = confusion_matrix(table["target"], table["prediction"], labels=["ant", "bee", "cat"])
    np.testing.assert_array_equal(drawn, expected)


def test_the_roc_named_is_the_metric(runs):
    table = runs["logistic"].predictions().to_pydict()
    auc = roc_auc_score([t == "yes" for t in table["target"]], table["p_yes"])
    assert f"yes: AUC {auc:.4g}" in page_of(runs["logistic"])
    assert runs["logistic"].best["metrics"]["val_auc"] == pytest.approx(auc)


def test_the_points_of_a_linear_model_are_its_predictions(runs):
    table = runs["multi-target"].predictions().to_pydict()
    views = charts_of(page_of(runs["multi-target"]))["Predicted against true"]["views"]
    assert len(views) == 3
    for view, name in zip(views, ("y0", "y1", "y2"), strict=True):
        np.testing.assert_allclose(view["data"][0]["x"], table[f"target_{name}"], rtol=1e-4)
        np.testing.assert_allclose(view["data"][0]["y"], table[f"prediction_{name}"], rtol=1e-4)


def test_the_surest_mistake_comes_first(runs):
    table = runs["softmax"].predictions().to_pydict()
    wrong = [
        (max(table[f"p_{c}"][i] for c in ("ant", "bee", "cat")), row)
        for i, row in enumerate(table["row"])
        if table["target"][i] != table["prediction"][i]
    ]
    assert wrong
    rows = re.findall(
        r'<tr><th scope="row">(\d+)</th><td><span class="meter">', page_of(runs["softmax"])
    )
    assert [int(row) for row in rows] == [row for _, row in sorted(wrong, reverse=True)]


def test_coefficients_come_largest_first(runs):
    model = trainer.load_model(runs["linear"].folder)
    order = np.argsort(-np.abs(model.weights[:, 0]))
    names = re.findall(r'<span class="name" title="(.*?)">', page_of(runs["linear"]))
    assert names == [model.features_[d] for d in order]


def test_the_head_tells_the_result(runs):
    metrics = runs["softmax"].best["metrics"]
    words = words_of(page_of(runs["softmax"]))
    assert (
        f"{100 * metrics['val_accuracy']:.1f} % of 60 validation rows are classified right" in words
    )
    words = words_of(page_of(runs["linear"]))
    assert f"R² {runs['linear'].best['metrics']['val_r2']:.4g} on 60 validation rows" in words
    metrics = runs["multi-label"].best["metrics"]
    words = words_of(page_of(runs["multi-label"]))
    assert (
        f"mAP {metrics['val_map']:.4g} on 60 validation rows: average precision, mean over 3"
        f" labels. All 3 labels are right in {100 * metrics['val_accuracy']:.1f} % of the rows."
    ) in words
    assert "subset accuracy" in words


# --- what is special about a run ------------------------------------------------------------------


def test_where_dz_is_the_error_the_page_says_so(runs):
    words = words_of(page_of(runs["logistic"]))
    assert "It is also dL/dz, so those two curves are one." in words
    assert "Squared error on a sigmoid" not in words


def test_squared_error_on_a_sigmoid_is_explained_in_numbers(runs):
    steps = runs["squared error"].steps()
    last = max(steps.num_rows // 20, 1)
    error, dz = (steps[name].to_numpy()[-last:].mean() for name in ("error_rms", "dz_rms"))
    words = words_of(page_of(runs["squared error"]))
    assert f"In the last steps {100 * dz / error:.2g} % of it arrives" in words
    assert "dL/dz = (ŷ − y)·ŷ·(1 − ŷ)" in words
    assert "Squared error on a sigmoid For the models" in words
    data = charts_of(page_of(runs["squared error"]))["Error and dL/dz"]["views"][0]["data"]
    assert {"ŷ − y, rms", "dL/dz, rms"} <= {trace["name"] for trace in data}


def test_a_diverged_run_says_what_would_mend_it(runs):
    words = words_of(page_of(runs["diverged"]))
    assert "there is no model" in words
    assert " count." not in words
    assert "Diverged The weights ran away: there is no model." in words
    assert "not finite at step" in words
    assert "What would mend it Try optimizer.lr=" in words
    assert "Not read" not in words


def test_an_interrupted_run_says_so(runs):
    words = words_of(page_of(runs["interrupted"]))
    assert "Interrupted Stopped before its end: the model and the numbers are those of" in words
    assert "of 180 test rows are classified right" in words


def test_a_run_without_validation_says_so(runs):
    words = words_of(page_of(runs["no validation"]))
    assert "No validation No rows were held out" in words
    assert "is the loss on 240 training rows" in words


@pytest.mark.parametrize("status", ["running", "unknown", "failed"])
def test_a_run_without_an_end_is_drawn_as_far_as_it_went(runs, tmp_path, status):
    copy = shutil.copytree(runs["softmax"].folder, tmp_path / "copy")
    for name in ("model.json", "model.safetensors", "predictions.parquet", "results.json"):
        (copy / name).unlink()
    (copy / "trials.csv").unlink()
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest |= {"status": status, "reason": "the disk is full"}
    if status == "failed":
        manifest["elsewhere"] = "/some/where"
    if status == "unknown":  # of a version that took no lock
        manifest = {k: v for k, v in manifest.items() if k != "pid"} | {"status": "running"}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    write_report(copy)
    text = (copy / "report.html").read_text()
    assert list(charts_of(text)) == [*TRAINING, "Validation metrics"]
    words = words_of(text)
    assert "Not read" not in words
    assert ("the disk is full" in words) == (status == "failed")
    assert ("What this folder refused is in /some/where." in words) == (status == "failed")
    assert ("Killed Its process ended before the run did" in words) == (status == "running")
    assert ("--resume DIR`, of this folder, starts it over." in words) == (status == "running")
    assert ("Unknown Drawn while the run was going on, or after" in words) == (status == "unknown")
    assert "No result" in words


@pytest.mark.parametrize(
    "name", ["steps.parquet", "predictions.parquet", "model.json", "results.json", "history.csv"]
)
def test_a_damaged_file_is_named_and_the_rest_is_drawn(runs, tmp_path, name):
    copy = shutil.copytree(runs["softmax"].folder, tmp_path / "copy")
    (copy / name).write_bytes(b"\xff\x00 nonsense")
    write_report(copy)
    text = (copy / "report.html").read_text()
    assert f"{name}: " in words_of(text)
    assert "Not read" in words_of(text)
    assert charts_of(text)


def test_a_model_that_does_not_fit_its_predictions_is_named(runs, tmp_path):
    copy = shutil.copytree(runs["softmax"].folder, tmp_path / "copy")
    shutil.copy(runs["linear"].folder / "predictions.parquet", copy)
    write_report(copy)
    assert "predictions.parquet: does not fit the model" in words_of(
        (copy / "report.html").read_text()
    )


# --- names ----------------------------------------------------------------------------------------


def test_no_name_becomes_markup(runs):
    text = page_of(runs["hostile"])
    main = text[text.index("<main>") : text.index("</main>")]
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", main))
    assert "img" not in tags
    assert "b" not in tags or "<b>bold" not in main
    assert "alert(1)</script>" not in main
    scripts = re.findall(r"<script(.*?)>", main)
    assert set(scripts) == {' type="application/json"'}
    assert "\u202e" not in text
    assert "&lt;img src=x onerror=alert(2)&gt; &amp; &#x27;q&#x27;" in main
    assert "&lt;/script&gt;&lt;script&gt;alert(3)" in main


def test_plotly_reads_no_markup_either(runs):
    labels = charts_of(page_of(runs["hostile"]))["Confusion matrix"]["views"][0]["layout"]
    drawn = "".join(labels["xaxis"]["ticktext"])
    assert "&lt;" in drawn
    assert "<" not in drawn
    assert len(labels["xaxis"]["ticktext"]) == len(HOSTILE)


def test_no_script_but_the_two_may_run(runs):
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', page_of(runs["hostile"]))[1]
    assert policy.startswith("default-src 'none'")
    assert policy.count("sha256-") == 2
    assert "script-src 'sha256-" in policy


# --- comparing ------------------------------------------------------------------------------------


def test_compare_shows_what_differs_and_no_more(runs, tmp_path):
    again = trainer.run(
        {"name": "softmax", "model": "softmax", "device": "cpu", "optimizer": {"lr": 0.01}},
        out=tmp_path / "again",
        data=dict(zip(["train"], [(np.eye(6), np.array(list("aabbcc")))], strict=True)),
    )
    path = write_compare([runs["softmax"].folder, again.folder], tmp_path / "c.html")
    text = path.read_text()
    rows = re.findall(r'<tr><th scope="row"><code>(.*?)</code></th>(.*?)</tr>', text)
    found = {key: re.findall(r'title="(.*?)"', cells) for key, cells in rows}
    assert found["optimizer.lr"] == ["0.1", "0.01"]
    assert found["optimizer.epochs"] == ["12", "30"]
    assert found["data.val"] == ["arrays", "none"]
    assert set(found) == {"optimizer.lr", "optimizer.epochs", "data.val"}
    assert "softmax, again" in text  # one name: told apart by their folders
    assert "Different data" in text
    assert [len(c["views"][0]["data"]) for c in charts_of(text).values()][:4] == [2, 2, 2, 2]


def test_compare_marks_the_best(runs, tmp_path):
    spec = {"model": "softmax", "device": "cpu", "data": {"train": "digits"}}
    one = trainer.run({**spec, "optimizer": {"epochs": 1}}, out=tmp_path / "one")
    five = trainer.run({**spec, "optimizer": {"epochs": 5}}, out=tmp_path / "five")
    text = write_compare([one.folder, five.folder], tmp_path / "c.html").read_text()
    rows = re.findall(r'<tr><th scope="row">.*?</tr>', text[: text.index("Paired differences")])
    assert [row.count('class="best"') for row in rows] == [0, 5]


def test_compare_of_every_kind(runs, tmp_path):
    folders = [run.folder for run in runs.values()]
    text = write_compare(folders, tmp_path / "all.html").read_text()
    assert f"{len(folders)} runs compared" in text
    assert "<img src=x" not in text
    assert "alert(1)</script>" not in text


def test_compare_refuses_what_it_cannot_do(runs, tmp_path):
    folder = runs["linear"].folder
    with pytest.raises(UserError, match="two run folders or more"):
        write_compare([folder], tmp_path / "c.html")
    with pytest.raises(UserError, match="name a file in it"):
        write_compare([folder, folder], tmp_path)
    with pytest.raises(UserError, match="make it first"):
        write_compare([folder, folder], tmp_path / "no" / "c.html")
    with pytest.raises(RunFolderError):
        write_compare([folder, tmp_path], tmp_path / "c.html")
    assert list(tmp_path.iterdir()) == []


def test_no_report_of_no_run(tmp_path):
    with pytest.raises(RunFolderError, match="not a run folder"):
        write_report(tmp_path)


# --- at the end of a run --------------------------------------------------------------------------


def test_a_disk_too_full_for_the_report_fails_a_run_and_costs_no_model(monkeypatch, tmp_path):
    def refuse(folder, page):
        raise DiskError("full")

    monkeypatch.setattr("trainer.runs.writer.write_page", refuse)
    spec = {"model": "softmax", "data": {"train": "digits"}, "optimizer": {"epochs": 1}}
    with pytest.raises(DiskError, match="full"):
        trainer.run(spec, out=tmp_path / "r")
    run = trainer.load_run(tmp_path / "r")
    assert run.status == "failed"
    assert run.trials[0]["status"] == "finished"
    assert run.model().coef_.shape == (10, 64)


@pytest.mark.parametrize(
    ("error", "traceback"),
    [
        (ValueError("a fault\nof two lines"), True),
        (RunFolderError("its steps: cannot read"), False),
    ],
)
def test_a_report_that_fails_costs_no_run(monkeypatch, tmp_path, capsys, error, traceback):
    def refuse(folder):
        raise error

    monkeypatch.setattr("trainer.workflow.carry_out.draw_report", refuse)
    from trainer.console.terminal import Terminal

    run = trainer.run(
        {
            "model": "softmax",
            "device": "cpu",
            "data": {"train": "digits"},
            "optimizer": {"epochs": 1},
        },
        out=tmp_path / "r",
        terminal=Terminal(quiet=True),
    )
    assert run.status == "finished"
    told = capsys.readouterr().err
    line = f"report.html is not drawn: {str(error).splitlines()[0]}; `stacked-trainer report "
    assert told.startswith(line)
    assert told.count("\n") == 1
    log = (run.folder / "run.log").read_text()
    assert line in log
    assert ("Traceback" in log) == traceback


def test_runs_of_several_labels_are_compared_by_subset_accuracy(runs, tmp_path):
    copy = shutil.copytree(runs["multi-label"].folder, tmp_path / "copy")
    path = write_compare([runs["multi-label"].folder, copy], tmp_path / "a.html")
    assert "validation subset accuracy" in words_of(path.read_text())
    assert "Validation subset accuracy" in charts_of(path.read_text())
    mixed = [runs["multi-label"].folder, runs["logistic"].folder]
    text = write_compare(mixed, tmp_path / "b.html").read_text()
    assert "subset accuracy" not in words_of(text)
    assert "Validation accuracy" in charts_of(text)
