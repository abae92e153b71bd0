"""Runs of every kind for the report's tests, and what a page holds, read back from its text."""

import json
import re

import numpy as np

import trainer

HOSTILE = [
    "<script>alert(1)</script>",
    "a & b",
    "\"q\" 'x'",
    "$x^2$",
    "<b>bold</b>" * 6,
    "\u202eabc",
]


def features(rows=240, columns=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns))
    return X, X @ rng.normal(size=(columns, 3)) + 0.3 * rng.normal(size=(rows, 3))


def make(out, model, y, columns=6, **keys):
    """A run of a twentieth of a second on arrays: 180 rows to train on, 60 to validate."""
    X, _ = features(columns=columns)
    data = {"train": (X[:180], y[:180]), "val": (X[180:], y[180:])}
    spec = {"name": out.name, "model": model, "device": "cpu", "optimizer": {"epochs": 12}, **keys}
    return trainer.run(spec, out=out, data=data)


def make_all(folder):
    """{kind: its run}, of every kind of target and every status."""
    X, Z = features()
    words = np.array(["ant", "bee", "cat"])[Z.argmax(axis=1)]
    soft = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    yes = (Z > 0).astype(float)
    runs = {
        "softmax": make(folder / "softmax", "softmax", words),
        "logistic": make(folder / "logistic", "logistic", np.where(yes[:, 0] > 0, "yes", "no")),
        "linear": make(folder / "linear", "linear", Z[:, 0]),
        "multi-target": make(folder / "multi-target", "linear", Z),
        "multi-label": make(folder / "multi-label", "logistic", yes),
        "soft labels": make(folder / "soft", "softmax", soft),
        "squared error": make(
            folder / "squared", "logistic", yes[:, 0], loss="squared_error", init={"normal": 3}
        ),
        "diverged": make(
            folder / "diverged", "linear", Z[:, 0], optimizer={"epochs": 60, "lr": 50}
        ),
        "no validation": trainer.run(
            {"model": "softmax", "device": "cpu"}, out=folder / "bare", data={"train": (X, words)}
        ),
        "interrupted": interrupted(folder / "interrupted"),
        "hostile": hostile(folder / "hostile"),
    }
    assert len(runs) == 11
    return runs


def interrupted(out):
    steps = iter([None] * 20 + [2] * 1000)
    spec = {"model": "softmax", "device": "cpu", "data": {"train": "digits", "test": 0.1}}
    return trainer.run(spec, out=out, should_stop=lambda: next(steps))


def hostile(out):
    """A run whose every name is written by somebody who means harm."""
    X, Z = features(columns=len(HOSTILE))
    table = out.with_name("hostile.csv")
    names = [name.replace('"', "'") + f" {i}" for i, name in enumerate(HOSTILE)]
    labels = np.array(HOSTILE)[(np.abs(Z[:, 0]) * 3).astype(int) % len(HOSTILE)]
    lines = [",".join(f'"{name}"' for name in [*names, "label"])]
    for row, label in zip(X, labels, strict=True):
        escaped = label.replace('"', '""')
        lines.append(",".join([*(f"{x:.4f}" for x in row), f'"{escaped}"']))
    table.write_text("\n".join(lines), encoding="utf-8")
    spec = {
        "name": "<img src=x onerror=alert(2)> & 'q'",
        "notes": "</script><script>alert(3)</script>",
        "model": "softmax",
        "device": "cpu",
        "data": {"train": {"table": str(table), "target": "label"}},
    }
    return trainer.run(spec, out=out)


def page_of(run):
    return (run.folder / "report.html").read_text(encoding="utf-8")


def charts_of(text):
    """{title: what is drawn} of a page; of a title that comes twice the first."""
    found = re.findall(
        r'<figure class="chart.*?<h3>(.*?)</h3>.*?<script type="application/json">(.*?)</script>',
        text,
        re.DOTALL,
    )
    charts = {}
    for title, data in found:
        charts.setdefault(title, json.loads(data))
    return charts


def words_of(text):
    """The page's text without its scripts and styles, tags taken out."""
    body = text[text.index("<main>") :]
    body = re.sub(r"<(script|style).*?</\1>", "", body, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))
