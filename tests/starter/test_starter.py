"""`init`: a config that runs as it is, and its schema; nothing is overwritten."""

import errno
import json
from pathlib import Path

import pytest

import trainer
from trainer.cli import main
from trainer.config.json_schema import config_schema_text
from trainer.starter import KINDS, SCHEMA, write_starter


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_kinds(capfd):
    assert KINDS == ("softmax", "logistic", "linear", "sweep", "probe")
    assert main(["init", "--help"]) == 0
    assert f"{', '.join(KINDS)} (default: {KINDS[0]})" in capfd.readouterr().out


@pytest.mark.parametrize("kind", KINDS)
def test_a_starter_runs_as_it_is(kind, tmp_path, capfd):
    assert main(["init", kind]) == 0
    out, err = capfd.readouterr()
    path = tmp_path / f"{kind}.yaml"
    assert out == f"{path}\n"
    assert f"`stacked-trainer run {kind}.yaml` trains it" in err
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == f"# yaml-language-server: $schema={SCHEMA}"
    assert lines[1] == f"# stacked-trainer run {kind}.yaml"
    assert all(len(line) <= 100 for line in lines)
    assert (tmp_path / SCHEMA).read_text(encoding="utf-8") == config_schema_text()
    run = trainer.run(path, out=tmp_path / "run")
    assert run.status == "finished"
    best = run.best["metrics"]
    assert best.get("val_accuracy", best.get("val_r2")) > 0.9


def test_what_is_there_stays(tmp_path, capfd):
    (tmp_path / "softmax.yaml").write_text("mine")
    assert main(["init"]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "is there already, and init overwrites nothing; name another file with --out" in err
    assert (tmp_path / "softmax.yaml").read_text() == "mine"
    assert not (tmp_path / SCHEMA).exists()


@pytest.mark.parametrize(
    ("held", "words"), [(None, "is beside it already"), ("{}", "is another version's, and stays")]
)
def test_a_schema_that_is_there_stays(tmp_path, capfd, held, words):
    (tmp_path / SCHEMA).write_text(config_schema_text() if held is None else held, "utf-8")
    before = (tmp_path / SCHEMA).read_bytes()
    assert main(["init", "linear"]) == 0
    assert words in capfd.readouterr().err
    assert (tmp_path / SCHEMA).read_bytes() == before


def test_out_names_the_file_and_its_command(tmp_path, capfd):
    (tmp_path / "sub").mkdir()
    assert main(["init", "probe", "--out", "sub/my probe.yaml"]) == 0
    assert capfd.readouterr().out == f"{tmp_path / 'sub' / 'my probe.yaml'}\n"
    text = (tmp_path / "sub" / "my probe.yaml").read_text(encoding="utf-8")
    assert text.splitlines()[1] == "# stacked-trainer run 'my probe.yaml'"
    assert (tmp_path / "sub" / SCHEMA).exists()


@pytest.mark.parametrize(
    ("out", "words"),
    [("no/a.yaml", "is no folder; make it first"), (".", "is a folder"), ("", "is no path")],
)
def test_a_place_that_is_none_is_one_line(capfd, out, words):
    assert main(["init", "--out", out]) == 2
    err = capfd.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_a_full_disk_leaves_no_half_in_the_way(tmp_path, capfd, monkeypatch):
    true_open = Path.open

    def full(path, mode="r", *rest, **more):
        file = true_open(path, mode, *rest, **more)
        if "x" in mode:
            file.close()
            raise OSError(errno.ENOSPC, "No space left on device")
        return file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        assert main(["init", "linear"]) == 1
    assert "No space left on device; free some space" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main(["init", "linear"]) == 0


def test_a_name_in_odd_bytes(tmp_path):
    path, _ = write_starter("linear", b"a\xff.yaml".decode("utf-8", "surrogateescape"))
    assert path.read_bytes().count(b"a\xff.yaml") == 1


def test_schema_prints_it(capfd):
    assert main(["schema"]) == 0
    out, err = capfd.readouterr()
    assert out == config_schema_text()
    assert err == ""
    assert "properties" in json.loads(out)
