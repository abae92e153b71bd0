"""The command line where nothing of POSIX is there: tests/as_on_windows.py says what is taken."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import as_on_windows
import pytest

ROOT = Path(__file__).parents[1]
if os.name == "nt":
    pytest.skip("this is Windows", allow_module_level=True)
CSV = "x,z,y\n" + "".join(f"{i},{i * i % 7},{'ŷ−' if i % 3 else 'λ'}\n" for i in range(60))
CONFIG = """model: logistic
data: {train: {table: rows.csv, target: y}, val: 0.25}
optimizer: {name: sgd, lr: 0.1, epochs: 2}
"""
SWEEP = "sweep={parameters: {optimizer.lr: [0.01, 0.1, 1]}}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("a folder")
    (path / "rows.csv").write_text(CSV, encoding="utf-8")
    (path / "c.yaml").write_text(CONFIG, encoding="utf-8")
    return path


@pytest.fixture
def command(folder):
    def run(*words):
        script = ROOT / "tests" / "as_on_windows.py"
        done = subprocess.run(
            [sys.executable, str(script), *words], cwd=folder, capture_output=True, timeout=600
        )
        said = done.stderr.decode("cp1252")
        assert "fault of ours" not in said, said
        assert "Traceback" not in said, said
        return done.returncode, done.stdout, said

    return run


def test_it_takes_what_it_says():
    code = (
        "import os, as_on_windows; as_on_windows.pretend()\n"
        "import os as ours\n"
        "scope = {'__name__': 'trainer.probe'}\n"
        "for line in ('import resource', 'import os; os.sysconf', 'import signal; signal.SIGKILL',"
        " 'from os import fork', 'import os; os.open(\".\", os.O_RDONLY)',"
        " 'import os; os.fsync(os.open(os.devnull, os.O_RDONLY))'):\n"
        "    try: exec(line, scope)\n"
        "    except Exception as error: print(type(error).__name__)\n"
        "    else: print('nothing', line)\n"
        "exec('import os; print(os.name, os.path.exists(\".\"))', scope)\n"
        "print(ours.name, hasattr(ours, 'sysconf'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT / "tests",
        check=True,
    )
    errors = "ModuleNotFoundError AttributeError AttributeError ImportError PermissionError OSError"
    assert done.stdout.split() == [*errors.split(), "nt", "True", "posix", "True"]


def test_a_whole_run_and_what_follows_it(command, folder):
    assert command("run", "c.yaml", "--check")[0] == 0
    assert command("run", "c.yaml", "--plan")[0] == 0
    assert command("run", "c.yaml", "--out", "plain")[0] == 0
    code, path, said = command("run", "c.yaml", SWEEP, "--out", "a sweep")
    assert (code, Path(path.decode().strip()).name) == (0, "a sweep")
    assert f'predict "{folder}{"/"}a sweep" DATA' in said
    assert json.loads((folder / "a sweep" / "manifest.json").read_text())["status"] == "finished"
    assert (folder / "a sweep" / "steps.parquet").exists()
    code, table, _ = command("predict", "a sweep", "rows.csv")
    assert code == 0
    assert table.decode("utf-8").splitlines()[0] == "row,prediction,p_ŷ−,p_λ"
    assert command("predict", "a sweep", "rows.csv", "--out", "p.parquet")[0] == 0
    assert command("report", "a sweep")[0] == 0
    assert command("report", "plain", "a sweep", "--out", "both.html")[0] == 0
    assert command("explain", "--out", "e.html")[0] == 0


@pytest.mark.parametrize("optimizer", ["lbfgs", "newton"])
def test_solvers_folds_and_gradients(command, folder, optimizer):
    words = ["early_stopping=none", f"optimizer={{name: {optimizer}}}", "repeat={folds: 3}"]
    assert command("run", "c.yaml", *words, "data.val=none", "--out", f"o {optimizer}")[0] == 0
    assert command("run", "c.yaml", "log.gradients=1", "--out", f"g {optimizer}")[0] == 0


NAMES = [
    ("CON", "CON is a device"),
    ("runs/nul.txt", "nul.txt is a device"),
    ("a<b", "Windows takes no < in"),
    ("12:30", "Windows takes no : in"),
]


@pytest.mark.parametrize(("out", "why"), NAMES)
def test_a_folder_that_windows_does_not_have(command, out, why):
    code, _, said = command("run", "c.yaml", "--out", out)
    assert (code, said.count("\n")) == (2, 1)
    assert why in said
    assert said.rstrip().endswith("name another folder")


@pytest.mark.parametrize("name", ["con", "aux.v2", "a:b", "λ?"])
def test_a_runs_name_is_a_folder_anywhere(command, name):
    code, path, _ = command("run", "c.yaml", f"name='{name}'", "--quiet")
    assert code == 0
    folder = Path(path.decode("utf-8").strip()).parent.name
    assert folder.split(".")[0].upper() not in ("CON", "AUX")
    assert not set(folder) & set('<>:"|?*')


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["predict", "--help"], ["run"]])
def test_help(command, words):
    assert command(*words)[0] in (0, 2)


def test_no_posix_name_is_used_without_a_guard():
    """Whatever the runs above do not come by: each such name in our code is listed, with why."""
    guarded = {
        ("trainer/machine/memory.py", "resource"),  # imported where it is
        ("trainer/machine/threads.py", "register_at_fork"),  # hasattr
        ("trainer/machine/threads.py", "sched_getaffinity"),  # hasattr
        ("trainer/text/system.py", "fcntl"),  # try
        ("trainer/text/system.py", "register_at_fork"),  # hasattr
    }
    names = {name for names in as_on_windows.NAMES.values() for name in names.split()}
    found = set()
    for path in [*(ROOT / "trainer").rglob("*.py"), ROOT / "scripts" / "run.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            used = [node.attr] if isinstance(node, ast.Attribute) else []
            if isinstance(node, ast.Import):
                used = [one.name for one in node.names if one.name in as_on_windows.MODULES]
            if isinstance(node, ast.ImportFrom) and node.module in as_on_windows.NAMES:
                used = [one.name for one in node.names]
            modules = as_on_windows.MODULES
            found |= {
                (path.relative_to(ROOT).as_posix(), name)
                for name in used
                if name in names or name in modules
            }
    assert found == guarded


def test_every_text_file_is_opened_with_its_encoding():
    """Windows would take cp1252."""
    bare = []
    for folder in ("trainer", "scripts", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and _opens_text(node):
                    bare.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert bare == []


def _opens_text(call):
    """Whether a call opens, reads or writes text and does not say in which encoding."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if any(keyword.arg in ("encoding", None) for keyword in call.keywords):
        return False
    if name in ("read_text", "write_text"):
        owner = getattr(call.func, "value", None)
        return owner is not None and len(call.args) < {"read_text": 1, "write_text": 2}[name]
    words = [one.value for one in call.args if isinstance(one, ast.Constant)]
    mode = next(
        (word for word in words if isinstance(word, str) and set(word) <= set("rwxab+t")), "r"
    )
    owner = getattr(getattr(call.func, "value", None), "id", "")
    binary = ("os", "gzip", "archive", "bz2", "tarfile")
    return name == "open" and owner not in binary and "b" not in mode
