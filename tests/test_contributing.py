"""What CONTRIBUTING.md, AGENTS.md and .github say of the house is so."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from test_imports import STOREYS

ROOT = Path(__file__).parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
AGENTS = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
GITHUB = ROOT / ".github"
HOW_TO = CONTRIBUTING.partition("## How to add")[2].partition("\n## ")[0]
WORDS = {"geomspace", "predict"}  # of a config and of the command line


def in_backticks(text):
    without_blocks = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"`([^`\n]+)`", without_blocks)


@pytest.mark.parametrize(("page", "least"), [(CONTRIBUTING, 40), (AGENTS, 3)])
def test_every_path_is_there(page, least):
    words = {word for text in in_backticks(page) for word in text.split()}
    top = ("trainer", "tests", "scripts", "docs", "configs", "schema", ".ci", ".github")
    paths = [word for word in words if "/" in word and word.split("/")[0] in top]
    assert len(paths) >= least
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_name_of_how_to_add_is_in_the_code():
    names = {text for text in in_backticks(HOW_TO) if re.fullmatch(r"[A-Za-z_]+", text)} - WORDS
    code = [path.read_text("utf-8") for path in (ROOT / "trainer").rglob("*.py")]
    code.append((ROOT / "tests" / "stacks.py").read_text("utf-8"))
    known = {word for text in code for word in re.findall(r"\w+", text)}
    assert len(names) > 15
    assert names - known == set()


def test_how_to_add_is_whole():
    assert re.findall(r"^### (.+)$", HOW_TO, re.MULTILINE) == [
        "A loss",
        "A model",
        "An optimizer",
        "A metric",
        "A data source",
        "A report chart",
        "A sweep axis",
    ]
    assert HOW_TO.count("\nForgotten: ") == 7


def test_the_rooms_stand_as_the_imports_have_them():
    (block,) = re.findall(r"^```text\n(.*?)^```", CONTRIBUTING, re.DOTALL | re.MULTILINE)
    storeys = [re.findall(r"^\w+", storey, re.MULTILINE) for storey in block.split("\n\n")]
    assert [sorted(rooms) for rooms in reversed(storeys)] == [sorted(rooms) for rooms in STOREYS]


def test_agents_is_short():
    assert len(AGENTS.splitlines()) <= 15


def test_github_runs_what_is_run_here_on_the_oldest_python_too():
    workflow = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text("utf-8"))
    job = workflow["jobs"]["test"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    oldest, newest = job["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={oldest}"
    assert newest == "3.x"


def test_github_runs_the_commands_on_windows_and_macos_too():
    workflow = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text("utf-8"))
    assert set(workflow["jobs"]) == {"test", "elsewhere"}
    job = workflow["jobs"]["elsewhere"]
    assert job["strategy"]["matrix"]["system"] == ["windows-latest", "macos-latest"]
    commands = [step["run"] for step in job["steps"] if "run" in step]
    # neither shell of the two systems reads what only the other has
    assert [one for one in commands if set(one) & set("$;|&<>'`\\\n")] == []
    words = [word for one in commands for word in one.split()]
    files = [
        word for word in words if word.split("/")[0] in ("configs", "scripts", "tests", "trainer")
    ]
    files = [word for word in files if word != "trainer"]
    assert len(files) > 12
    assert [file for file in files if not (ROOT / file).exists()] == []
    for name in ("run.py", "predict", "report", "explain", "pytest"):
        assert any(name in one for one in commands)


def test_the_issue_forms_are_forms():
    forms = sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))
    assert [form.stem for form in forms] == ["bug", "feature"]
    for path in forms:
        form = yaml.safe_load(path.read_text("utf-8"))
        assert form.keys() == {"name", "description", "labels", "body"}
        ids = [part["id"] for part in form["body"]]
        assert len(ids) == len(set(ids)) >= 3
        assert all(part["attributes"]["label"] for part in form["body"])
