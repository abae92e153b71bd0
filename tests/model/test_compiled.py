"""The library of the compiled step: found, refused with a reason, and left out when asked."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import trainer
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
    assert len(names) == 38


def test_what_is_exported_is_said_once():
    """On Windows a function without `dllexport` stays inside, once another one has it."""
    sources = {path.name: path.read_text("utf-8") for path in compiled.FOLDER.glob("*.[ch]")}
    assert [name for name, text in sources.items() if "define EXPORT" in text] == ["step.h"]
    for name in ("ranking.c", "squares.c", "sparse.c", "step.c", "dispatch.c"):
        assert '#include "step.h"' in sources[name]


def test_asked_for_or_not_there(load, monkeypatch, tmp_path):
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)  # of a suite without the library
    monkeypatch.setattr(compiled, "LIBRARY", tmp_path / "_step.so")
    assert load() == (None, "the package was built without a working C compiler")
    assert compiled.told() == "steps in NumPy: the package was built without a working C compiler"
    load.cache_clear()
    (tmp_path / "_step.so").write_bytes(b"no library")
    library, why = load()
    assert library is None
    assert why.startswith("_step.so cannot be loaded (")
    load.cache_clear()
    monkeypatch.setenv("STACKED_TRAINER_COMPILED", "0")
    assert load() == (None, "STACKED_TRAINER_COMPILED is 0")


there = pytest.mark.skipif(not compiled.LIBRARY.exists(), reason="nothing is compiled")


@there
def test_the_library_is_of_the_sources_beside_it(load, monkeypatch):
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)
    library, name = load()
    assert library is not None, f"{name}: `python hatch_build.py` compiles it again"
    assert compiled.told() == f"compiled step: {name}"
    told = compiled.version()
    assert told.startswith(f"{name}, sources {compiled.sources_digest()}, compiler ")
    assert told[-1] not in " ,"
    assert set(library.step) == set(library.steps) == {"float32", "float64"}


@there
def test_a_library_of_other_sources_is_refused(load, monkeypatch, tmp_path):
    for source in compiled.FOLDER.glob("*.[ch]"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)
    monkeypatch.setattr(compiled, "FOLDER", tmp_path)
    assert load()[0] is not None
    load.cache_clear()
    (tmp_path / "rules.h").write_text("/* of another version */\n", encoding="utf-8")
    why = f"{compiled.LIBRARY.name} was compiled from other sources: build it again"
    assert load() == (None, why)
    assert compiled.version() == "none"


def test_a_library_of_before_the_digest_is_refused(load, monkeypatch):
    other = next(iter(Path(np.__file__).parent.glob("_core/_multiarray_umath*")))
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)
    monkeypatch.setattr(compiled, "LIBRARY", other)  # a library, and none of ours
    assert load() == (
        None,
        f"{other.name} was compiled from other sources: build it again",
    )


@there
def test_an_instruction_set_that_is_not_there_is_refused(load, monkeypatch):
    monkeypatch.setenv("STACKED_TRAINER_COMPILED", "sse9")
    library, why = load()
    assert library is None
    assert why.startswith("STACKED_TRAINER_COMPILED=sse9: there are 0, 1, ")
    assert why.endswith("baseline")
    load.cache_clear()
    monkeypatch.setattr(compiled, "_runs", lambda found, name: name == "baseline")
    assert load() == (None, "STACKED_TRAINER_COMPILED=sse9: there are 0, 1, baseline")
    load.cache_clear()
    monkeypatch.delenv("STACKED_TRAINER_COMPILED")
    assert load()[1] == "baseline"


@there
def test_1_is_the_best_there_is(load, monkeypatch):
    monkeypatch.delenv("STACKED_TRAINER_COMPILED", raising=False)
    best = load()[1]
    load.cache_clear()
    monkeypatch.setenv("STACKED_TRAINER_COMPILED", "1")
    library, name = load()
    assert library is not None
    assert name == library.instructions == best


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


@pytest.mark.parametrize(
    ("names", "told"), [(["lbfgs", "sgd"], True), (["sgd", "lbfgs"], True), (["lbfgs"], False)]
)
def test_who_takes_steps_is_said_where_any_are_taken(names, told, tmp_path):
    optimizers = {"zip": [{"optimizer.name": name} for name in names]}
    spec = {"model": "softmax", "data": {"train": "digits"}, "device": "cpu", "sweep": optimizers}
    run = trainer.run(spec, out=tmp_path / "a")
    manifest = json.loads((run.folder / "manifest.json").read_text("utf-8"))
    assert manifest["device"].get("steps") == (compiled.told() if told else None)
    assert (compiled.told() in (run.folder / "run.log").read_text("utf-8")) == told
