"""The version: one place, where the build finds it too."""

import re
import tomllib
from pathlib import Path

import trainer
from trainer.runs.provenance import versions

ROOT = Path(trainer.__file__).parents[1]


def test_the_version_stands_where_the_build_looks_for_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    path = ROOT / project["tool"]["hatch"]["version"]["path"]
    (found,) = re.findall(r'^__version__ = "(\d+\.\d+\.\d+)"', path.read_text(), re.M)
    assert found == trainer.__version__ == versions()["trainer"]
    everywhere = [p for p in (ROOT / "trainer").rglob("*.py") if "__version__ =" in p.read_text()]
    assert everywhere == [path]
