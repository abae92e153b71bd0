"""Every command where letters are ASCII: nothing ends as a fault of ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LENIENT = {"LANG": "C", "PYTHONIOENCODING": "ascii"}
STRICT = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def call(folder, settings, *arguments):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG"))}
    command = [sys.executable, "-m", "trainer", *arguments]
    return subprocess.run(
        command,
        env=environment | {"PYTHONPATH": str(ROOT)} | settings,
        cwd=folder,
        capture_output=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder, a table and a config with letters that ASCII lacks, and a run of them."""
    folder = tmp_path_factory.mktemp("ä")
    rows = [f"{i / 10:.1f},{'größe' if i % 3 else 'naïve'}" for i in range(60)]
    (folder / "dät.csv").write_text("größe,ŷ\n" + "\n".join(rows) + "\n", "utf-8")
    (folder / "dß.yaml").write_text(
        "model: logistic\nname: übung\nnotes: ŷ − y\ndata: {train: {table: dät.csv, target: ŷ}}\n"
        "optimizer: {epochs: 2}\n",
        "utf-8",
    )
    (folder / "plain.yaml").write_text(
        "model: softmax\nnotes: ŷ − y\ndata: {train: digits}\noptimizer: {epochs: 1}\n", "utf-8"
    )
    done = call(folder, LENIENT, "run", "dß.yaml", "--out", "r")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == f"{folder / 'r'}\n"
    return folder


# (the arguments, the exit code, what is on standard output as UTF-8)
COMMANDS = [
    ("--help", 0, "usage: stacked-trainer"),
    ("run --help", 0, "usage: stacked-trainer run"),
    ("run dß.yaml --check", 0, "ŷ − y"),
    ("run dß.yaml --plan", 0, "peak memory"),
    ("predict r dät.csv", 0, "p_naïve"),
    ("predict r dät.csv --out ü.csv", 0, ""),
    ("report r", 0, "ä"),
    ("report r r", 0, "compare.html"),
    ("explain --out ö.html", 0, "ö.html"),
    ("schema", 0, "ŷ"),
    ("init linear --out ü.yaml", 0, "ü.yaml"),
    ("run dß.yaml öps=1", 2, ""),
    ("run nö.yaml", 2, ""),
    ("döh", 2, ""),
]


@pytest.mark.parametrize(("line", "code", "words"), COMMANDS, ids=[line for line, *_ in COMMANDS])
def test_ascii_streams(folder, line, code, words):
    done = call(folder, LENIENT, *line.split())
    assert done.returncode == code, done.stderr
    assert words in done.stdout.decode("utf-8")
    assert b"fault of ours" not in done.stderr


# Where the file system's letters are ASCII too, names come as odd bytes: refused or used.
BARE = [
    ("run plain.yaml --out b --quiet", 0),
    ("run plain.yaml öps=1", 2),
    ("run plain.yaml notes=ö", 2),
    ("run dß.yaml --out b", 2),
    ("schema", 0),
    ("init linear --out ö.yaml", 0),
    ("döh", 2),
]


@pytest.mark.parametrize(("line", "code"), BARE, ids=[line for line, _ in BARE])
def test_an_ascii_file_system(folder, line, code):
    for settings in (STRICT, STRICT | {"PYTHONIOENCODING": "ascii:strict"}):
        written = [folder / "ö.yaml", folder / "b"]
        for path in written:
            if path.is_dir():
                path.rename(path.with_name(f"b{os.urandom(4).hex()}"))
            path.unlink(missing_ok=True)
        done = call(folder, settings, *line.split())
        assert done.returncode == code, done.stderr
        assert b"fault of ours" not in done.stderr


def test_a_file_that_an_ascii_file_system_cannot_name(tmp_path):
    (tmp_path / "dät.csv").write_text("x,y\n1,2\n", "utf-8")
    (tmp_path / "a.yaml").write_text(
        "model: linear\ndata: {train: {table: dät.csv, target: y}}\n", "utf-8"
    )
    done = call(tmp_path, STRICT, "run", "a.yaml")
    assert done.returncode == 2
    assert b"cannot be read where names are ASCII; set PYTHONUTF8=1" in done.stderr


def test_the_tables_are_whole():
    assert (len(COMMANDS), len(BARE)) == (14, 7)
