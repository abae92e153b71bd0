"""Every path that a run prints stands in one piece on a terminal of 60 columns."""

import io
import re

import numpy as np
import pytest

import trainer
from trainer.console.terminal import Terminal

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two tables in a folder whose name has spaces, more than a row is wide."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "24")
    folder = tmp_path / "measurements of the spring" / "second half, both sites"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("north site.csv", "south site.csv"):
        rows = "\n".join(",".join(f"{x:.3f}" for x in row) for row in rng.normal(size=(60, 3)))
        (folder / name).write_text(f"a,b,y\n{rows}\n")
    return folder


def shown(spec, out):
    stream = Tty()
    run = trainer.run(spec, out=out, terminal=Terminal(stream=stream))
    text = ANSI.sub("", stream.getvalue())
    return run, text.replace("\r", "\n")


def plain(folder, table):
    return {
        "model": "linear",
        "device": "cpu",
        "data": {"train": {"table": table, "target": "y"}},
        "optimizer": {"epochs": 2},
    }


def test_of_a_run(folder):
    table = str(folder / "north site.csv")
    run, text = shown(plain(folder, table), folder / "the first run")
    assert f"{table}:\n" in text
    for path in (str(run.folder), str(run.folder / "report.html")):
        assert re.search(rf"  {re.escape(path)}\n", text), path
    assert f"predict '{run.folder}' DATA\n" in text


def test_of_a_run_that_drops_rows(folder):
    table = folder / "north site.csv"
    table.write_text(table.read_text().replace("\n", "\n,1,2\n", 1))
    spec = plain(folder, str(table))
    spec["data"]["missing"] = "drop"
    _, text = shown(spec, folder / "the first run")
    assert text.count(str(table)) >= 1
    assert "dropped" in text
    assert all("site.csv" not in row or str(table) in row for row in text.split("\n"))


def test_of_a_run_whose_test_rows_lack_weight(folder):
    north, south = folder / "north site.csv", folder / "south site.csv"
    for table in (north, south):
        head, *rows = table.read_text().splitlines()
        weighted = [f"{row},{i % 3}" for i, row in enumerate(rows)]
        table.write_text("\n".join([f"{head},w", *weighted]) + "\n")
    spec = plain(folder, str(north))
    spec["data"]["train"]["weight"] = "w"
    spec["data"]["test"] = {"table": str(south)}
    _, text = shown(spec, folder / "the first run")
    assert all(str(table) in text for table in (north, south))
    assert all("site.csv" not in row or str(folder) in row for row in text.split("\n"))


def test_of_a_sweep_over_files(folder):
    tables = [str(folder / name) for name in ("north site.csv", "south site.csv")]
    spec = plain(folder, tables[0])
    spec["sweep"] = {"parameters": {"data.train.table": tables}}
    run, text = shown(spec, folder / "the first sweep")
    won = run.best["settings"]["data.train.table"]
    (winner,) = (row for row in text.split("\n") if row.startswith("winner"))
    after = text[text.index(winner) :].split("\n")[1]
    assert won in f"{winner}\n{after}"
