"""The library of the compiled step: found, refused with a reason, and left out when asked."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.model import compiled
from trainer.model.compiled import Plan

HEADER = Path(compiled.__file__).with_name("step.h").read_text(encoding="utf-8")


@pytest.fixture
def load():
    compiled.load.cache_clear()
    yield compiled.load
    compiled.load.cache_clear()


def test_the_plan_is_laid_out_as_the_header_says():
    struct = HEADER.partition("typedef struct {")[2].partition("} plan;")[0]
    lines = [line.partition("/*")[0] for line in struct.splitlines()]
    named = " ".join(lines).replace("const", " ").replace("int64_t", " ").replace("void", " ")
    names = named.replace("*", " ").replace(",", " ").replace(";", " ").split()
    assert names == [name for name, _ in Plan._fields_]
    assert len(names) == 34


def test_asked_for_or_not_there(load, monkeypatch, tmp_path):
    monkeypatch.setattr(compiled, "LIBRARY", tmp_path / "_step.so")
    assert load() == (None, "the package was built without a C compiler")
    assert compiled.told() == "steps in NumPy: the package was built without a C compiler"
    load.cache_clear()
    (tmp_path / "_step.so").write_bytes(b"no library")
    library, why = load()
    assert library is None
    assert why.startswith("_step.so cannot be loaded (")
    load.cache_clear()
    monkeypatch.setenv("STACKED_TRAINER_COMPILED", "0")
    assert load() == (None, "STACKED_TRAINER_COMPILED is 0")


@pytest.mark.skipif(compiled.load()[0] is None, reason=compiled.load()[1])
def test_a_library_of_another_version_is_refused(load, monkeypatch):
    library, name = load()
    assert library is not None
    assert compiled.told() == f"compiled step: {name}"
    assert set(library.step) == set(library.steps) == {"float32", "float64"}
    load.cache_clear()
    longer = type("Plan", (ctypes.Structure,), {"_fields_": [*Plan._fields_, ("x", ctypes.c_int)]})
    monkeypatch.setattr(compiled, "Plan", longer)
    assert load() == (None, "_step.so is of another version of the package")


def test_a_run_says_who_takes_its_steps(tmp_path):
    code = (
        "import trainer\n"
        "spec = {'name': 'a', 'model': 'softmax', 'data': {'train': 'digits'}, 'device': 'cpu',"
        " 'optimizer': {'name': 'sgd', 'epochs': 1}}\n"
        f"run = trainer.run(spec, out={str(tmp_path / 'a')!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"STACKED_TRAINER_COMPILED": "0", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "a" / "run.log").read_text(encoding="utf-8")
    assert "steps in NumPy: STACKED_TRAINER_COMPILED is 0" in log
    manifest = (tmp_path / "a" / "manifest.json").read_text(encoding="utf-8")
    assert '"compiled_step": "none"' in manifest
