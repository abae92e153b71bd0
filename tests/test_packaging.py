"""What an installation holds."""

import tomllib
from pathlib import Path

import pytest

from trainer.model import compiled

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_wheel_has_the_configs_and_the_schema_where_they_look_for_it():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert all((ROOT / folder).is_dir() for folder in wheel["only-include"])
    assert wheel["sources"].keys() < set(wheel["only-include"])
    configs, schema = (Path(wheel["sources"][name]) for name in ("configs", "schema"))
    first = (ROOT / "configs" / "softmax.yaml").read_text(encoding="utf-8").splitlines()[0]
    named = first.partition("$schema=")[2]
    assert (configs / named).parts == (*configs.parts, "..", "schema", "config.json")
    assert configs.parent == schema.parent == Path("trainer/starter")
    assert not (ROOT / configs).exists()  # two of one name would be one


def test_the_build_compiles_the_step_and_git_never_sees_it():
    assert "custom" in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
    hook = (ROOT / "hatch_build.py").read_text(encoding="utf-8")
    library = compiled.LIBRARY.relative_to(ROOT).as_posix()
    names = ["trainer/model/_step.so", "trainer/model/_step.dll"]
    assert library in names
    for name in names:
        assert f'"{Path(name).name}"' in hook
        assert f"/{name}" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    for name in ("step.c", "products.c", "squares.c", "sparse.c", "dispatch.c", "ranking.c"):
        assert name in hook
        assert (ROOT / "trainer" / "model" / name).exists()


def test_the_commands_of_an_installation():
    assert PROJECT["project"]["scripts"] == {"stacked-trainer": "trainer.cli:main"}
    assert "urls" not in PROJECT["project"]


def test_the_classifiers_are_those_of_pypi():
    known = pytest.importorskip("trove_classifiers").classifiers
    assert [name for name in PROJECT["project"]["classifiers"] if name not in known] == []
