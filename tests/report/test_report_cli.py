"""The command `report`: paths on standard output, faults in one line."""

from pathlib import Path

import pytest

from trainer.cli import main


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_report_of_one_run_goes_into_its_folder(runs, capsys):
    page = runs["linear"].folder / "report.html"
    page.unlink()
    assert main(["report", str(runs["linear"].folder)]) == 0
    assert capsys.readouterr() == (f"{page}\n", "")
    assert page.read_bytes().startswith(b"<!doctype html>")
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("out", [None, "others.html"])
def test_report_of_several_is_a_page_here(runs, capsys, out):
    folders = [str(runs[kind].folder) for kind in ("softmax", "linear", "diverged")]
    assert main(["report", *folders, *(["--out", out] if out else [])]) == 0
    page = Path.cwd() / (out or "compare.html")
    assert capsys.readouterr() == (f"{page}\n", "")
    assert "3 runs compared" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: RUN"),
        (["nowhere"], "nowhere: no such folder"),
        (["."], "not a run folder: it has no manifest.json"),
        (["RUN", "nowhere"], "nowhere: no such folder"),
        (["RUN", "--out", "a.html"], "--out: the report of one run is drawn into its folder"),
        (["RUN", "RUN", "--out", "."], "a folder; name a file in it"),
        (["RUN", "RUN", "--out", "no/a.html"], "no is no folder; make it first"),
    ],
)
def test_faults_are_one_line(runs, capsys, arguments, words):
    given = [str(runs["linear"].folder) if a == "RUN" else a for a in arguments]
    assert main(["report", *given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
    assert list(Path.cwd().iterdir()) == []


def test_a_disk_that_refuses_is_a_fault_of_the_disk(runs, capsys, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainer.text.atomic.os.replace", refuse)
    before = sorted(runs["linear"].folder.iterdir())
    assert main(["report", str(runs["linear"].folder)]) == 1
    assert "report.html: cannot write: No space left" in capsys.readouterr().err
    assert sorted(runs["linear"].folder.iterdir()) == before
