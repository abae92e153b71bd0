"""Long names that differ in the middle stay apart, on the page and in the terminal."""

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from report_helpers import charts_of, features, page_of

import trainer
from trainer.config.schema.spec import Spec
from trainer.data.prepared import Summary
from trainer.report.sweep.axes import ChartAxis
from trainer.report.sweep.scales import x_axis
from trainer.wording.opening import data_text
from trainer.workflow.facts import data_facts
from trainer.workflow.report import write_compare

STEM, END = "embedding_of_the_layer_", "_of_the_larger_component_of_the_model"
NAMES = [f"{STEM}{i}{END}" for i in range(6)]


def table(X):
    return pa.table(dict(zip(NAMES, X.T, strict=True)))


def ticks_of(page):
    for title, drawn in charts_of(page).items():
        for view in drawn["views"]:
            for axis in ("xaxis", "yaxis"):
                yield title, view["layout"].get(axis, {}).get("ticktext") or []


def test_ticks_legends_and_tables_of_one_run(tmp_path):
    X, Z = features()
    labels = np.array(NAMES[:3])[Z.argmax(axis=1)]
    spec = {"model": "softmax", "device": "cpu", "optimizer": {"epochs": 2}}
    data = {"train": (table(X[:180]), labels[:180]), "val": (table(X[180:]), labels[180:])}
    page = page_of(trainer.run(spec, out=tmp_path / "one", data=data))
    named = {title: ticks for title, ticks in ticks_of(page) if any("…" in t for t in ticks)}
    assert set(named) >= {"Weights", "Confusion matrix"}
    for title, ticks in named.items():
        assert len(set(ticks)) == len(ticks), title
    mistakes = page[page.index("Most confident mistakes") :]
    shown = set(re.findall(r'<span title="(.*?)">(.*?)</span>', mistakes))
    assert 1 < len(shown) == len({full for full, _ in shown}) == len({cut for _, cut in shown})


def test_legends_of_several_labels(tmp_path):
    X, Z = features()
    rows = {f"x{i}": X[:, i] for i in range(6)}
    targets = {name: (Z[:, i] > 0).astype(float) for i, name in enumerate(NAMES[:3])}
    pq.write_table(pa.table({**rows, **targets}), tmp_path / "a.parquet")
    source = {"table": str(tmp_path / "a.parquet"), "target": NAMES[:3]}
    spec = {"model": "logistic", "device": "cpu", "data": {"train": source}}
    page = page_of(trainer.run(spec, out=tmp_path / "several"))
    for title in ("ROC", "Precision and recall"):
        (view,) = charts_of(page)[title]["views"]
        traces = [trace["name"] for trace in view["data"] if "layer" in trace.get("name", "")]
        assert len(traces) == len(set(traces)) == 3


def test_values_of_an_axis(tmp_path):
    axis = ChartAxis("vars.layer", "layer", tuple(NAMES), is_number=False, log=False)
    ticks = x_axis(axis)["ticktext"]
    assert len(set(ticks)) == len(NAMES)
    assert all(len(tick) <= 14 for tick in ticks)


def test_runs_that_are_compared(tmp_path):
    folders = []
    for i in (1, 2):
        spec = {
            "name": NAMES[i],
            "notes": NAMES[i] * 2,
            "model": "softmax",
            "device": "cpu",
            "data": {"train": "digits"},
            "optimizer": {"epochs": i},
            "init": "zeros",
        }
        folders.append(trainer.run(spec, out=tmp_path / str(i)).folder)
    page = write_compare(folders, tmp_path / "c.html").read_text(encoding="utf-8")
    legend = [
        trace["name"] for drawn in charts_of(page).values() for trace in drawn["views"][0]["data"]
    ]
    assert len(set(legend)) == 2
    cuts = dict(re.findall(r'<span title="(embedding.*?)">(?:<.*?>)*([^<]+)</span>', page))
    assert len(cuts) == 4  # names and notes
    assert len(set(cuts.values())) == 2  # one and the other, in both


def test_the_data_line():
    counts = {name: i for i, name in enumerate(NAMES[:3])}
    summary = Summary("a.csv", {"train": 3}, 3, 9, 3, {"train": counts})
    summary = replace(summary, expansions=counts, unseen={"val": counts}, index=tuple(NAMES[:2]))
    spec = Spec.model_validate({"model": "softmax", "data": {"train": "digits"}})
    words = re.findall(r"[\w…]*(?:layer_|omponent)[\w…]*", data_text(data_facts(summary, spec)))
    assert len(words) == 11
    assert len(set(words)) == 3
