"""The version: one place, where the build finds it too."""

import json
import re
import tomllib
from pathlib import Path

import trainer
from trainer.machine.threads import cores, one_thread_a_product, told_libraries
from trainer.runs.provenance import machine_facts, versions

ROOT = Path(trainer.__file__).parents[1]


def test_the_version_stands_where_the_build_looks_for_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    path = ROOT / project["tool"]["hatch"]["version"]["path"]
    (found,) = re.findall(r'^__version__ = "(\d+\.\d+\.\d+)"', path.read_text(), re.M)
    assert found == trainer.__version__ == versions()["trainer"]
    everywhere = [p for p in (ROOT / "trainer").rglob("*.py") if "__version__ =" in p.read_text()]
    assert everywhere == [path]


def test_the_machine_is_told_as_a_run_finds_it():
    with one_thread_a_product():
        found = machine_facts()
        assert found == {"cores": cores(), "matrix_libraries": told_libraries()}
        for library in found["matrix_libraries"]:
            assert list(library) == ["name", "version", "kernels", "threads"]
            assert library["threads"] == 1
    assert json.loads(json.dumps(found)) == found
