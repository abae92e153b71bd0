"""scripts/gpu: what it measured is kept whatever ends it; a rehearsal goes through every part."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import psutil
import pytest

import trainer

ROOT = Path(trainer.__file__).parents[1]
sys.path.append(str(ROOT))

from benchmarks.gpu import command, page, records, runner, wheels  # noqa: E402
from benchmarks.gpu.bench import Bench  # noqa: E402
from benchmarks.gpu.command import main  # noqa: E402
from benchmarks.gpu.parts import PARTS, Part  # noqa: E402
from benchmarks.gpu.tests import SELECTION, read  # noqa: E402

MEASURED = "NVIDIA H200 (CuPy 14.2.0)"


def state(part, status, seconds=1.0, words=""):
    return {"kind": "state", "part": part, "status": status, "seconds": seconds, "words": words}


def check(part, name, ok, words=""):
    return {"kind": "check", "part": part, "name": name, "ok": ok, "words": words}


def value(part, name, number, unit, words=""):
    one = {"kind": "value", "part": part, "name": name, "value": number, "unit": unit}
    return one | {"words": words}


def note(part, name, words):
    return {"kind": "note", "part": part, "name": name, "words": words}


def written(path, found):
    for one in found:
        records.append(path, one)
    return path


# --- results --------------------------------------------------------------------------------------


def test_a_line_that_was_cut_short_costs_itself_alone(tmp_path):
    known = [note("device", "device", MEASURED), value("steps", "ŷ", 1.5, "µs")]
    path = written(tmp_path / "a.jsonl", known)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"kind": "val')
    assert records.read(path) == known


def test_a_line_that_a_full_disk_cut_costs_itself_and_the_next(tmp_path):
    known = [note("device", "device", MEASURED), value("steps", "a", 1.5, "µs")]
    path = written(tmp_path / "a.jsonl", known[:1])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"kind": "val')
    assert records.read(written(path, [known[1], known[1]])) == known


HOSTILE = {
    "no status": {"kind": "state", "part": "steps", "words": ""},
    "no words": {"kind": "check", "part": "steps", "name": "x", "ok": False},
    "words that are none": note("steps", "x", 5),
    "a kind that is none": {"kind": "odd", "part": "steps"},
    "a part that is a list": {**note("steps", "x", ""), "part": ["steps"]},
    "parts that are a number": {**note("run", "x", ""), "parts": 5},
    "parts that are numbers": {**note("run", "x", ""), "parts": [5]},
    "minutes in words": {**note("run", "x", ""), "minutes": "ten"},
    "seconds in words": state("steps", "done", "many"),
    "a value in words": value("steps", "x", "abc", "s"),
    "a value that no float can be": value("steps", "x", 10**400, "s"),
    "a value that is true": value("steps", "x", True, "s"),
    "a check that is 1": check("steps", "x", 1),
}


def test_the_table_is_whole():
    assert len(HOSTILE) == 13


@pytest.mark.parametrize("line", [*map(json.dumps, HOSTILE.values()), "[" * 100_000])
@pytest.mark.parametrize("option", ["--page", "--again"])
def test_results_that_somebody_else_made_up_are_refused_in_a_line(option, line, tmp_path, capsys):
    path = written(tmp_path / "a.jsonl", results())
    known = path.read_text(encoding="utf-8")
    path.write_text(f"{known}{line}\n{known}", encoding="utf-8")
    assert main([option, str(path), "--out", str(tmp_path / "o")]) == 2
    assert "is no result of scripts/gpu" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("text", ["no\n", '{"kind": "value"}\n', "[1]\n", 'x\n{"a": 1}\n'])
def test_what_is_no_file_of_results_is_refused_in_a_line(text, tmp_path, capsys):
    path = tmp_path / "a.jsonl"
    path.write_text(text, encoding="utf-8")
    assert main(["--again", str(path), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"scripts/gpu: {path}: line 1 is no result of scripts/gpu\n"
    assert main(["--page", str(tmp_path / "none")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_failed_is_a_line_each_and_is_to_be_done_again(tmp_path):
    found = [
        {**note("run", "scripts/gpu", ""), "parts": ["device", "right", "steps", "cold", "memory"]},
        *(state("device", "begun", None), state("device", "done")),
        *(state("right", "begun"), check("right", "x", False, "2e-1"), state("right", "done")),
        *(state("steps", "begun"), state("steps", "out of time", 90.0, "ended")),
        *(state("memory", "begun"), check("memory", "y", True), state("memory", "done")),
    ]
    faults = ["right: x: 2e-1", "steps: out of time: ended", "cold: not begun"]
    assert records.failures(found) == faults
    assert command._left(found) == {"device", "right", "steps", "cold"}
    cut = [*found, state("cold", "begun", None)]  # and here the machine went
    assert records.failures(cut)[-1] == "cold: begun"


@pytest.mark.parametrize(
    ("number", "told"),
    [
        *((43.0, "43"), (1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.0012, "0.001")),
        *((float("nan"), "–"), (float("inf"), "∞"), (float("-inf"), "-∞")),
    ],
)
def test_numbers_of_the_log_have_three_digits_or_are_whole(number, told):
    assert records.short(number) == told
    assert records.line(value("a", "b", number, "s")).split() == [told, "s", "b"]


# --- parts in processes ---------------------------------------------------------------------------


def put_part(monkeypatch, tmp_path, name, body, limit=60.0):
    """Have a part of this body, in the process of the part as well."""
    (tmp_path / f"made_{name}.py").write_text(body, encoding="utf-8")
    monkeypatch.setitem(PARTS, name, Part(name, f"made_{name}:do", 1, limit))
    table = "from benchmarks.gpu.parts import PARTS, Part\n"
    table += f"PARTS[{name!r}] = Part(*{tuple(PARTS[name])!r})\n"
    (tmp_path / "sitecustomize.py").write_text(table, encoding="utf-8")
    paths = [str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


def runs(pid):
    """Whether a process is there, and not only its end that nobody has asked for."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def carried_out(tmp_path, name, seconds=60.0):
    file, log = tmp_path / records.FILE, runner.Log(tmp_path / "gpu.log")
    runner.run_parts([name], tmp_path, time.monotonic() + seconds, True, log, lambda: None)
    return records.read(file)


@pytest.mark.skipif(os.name != "posix", reason="processes are ended by their group")
def test_a_part_is_ended_at_its_limit_with_all_that_it_started_and_what_it_measured_is_kept(
    tmp_path, monkeypatch
):
    body = """
import subprocess, sys, time
def do(bench):
    bench.value("before", 1.5, "s")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    bench.value("process", child.pid, "")
    away = [sys.executable, "-c", "import time; time.sleep(40)"]
    gone = subprocess.Popen(away, start_new_session=True)  # and holds what this one prints to
    bench.value("gone", gone.pid, "")
    time.sleep(600)
"""
    put_part(monkeypatch, tmp_path, "slow", body, limit=5.0)
    begun, first, second, third, last = carried_out(tmp_path, "slow")
    gone = psutil.Process(int(third["value"]))  # nobody waited for its end
    gone.kill()
    for reader in [one for one in threading.enumerate() if one.name == "what slow prints"]:
        reader.join(30)
    assert (begun["status"], first["value"]) == ("begun", 1.5)
    assert (last["status"], last["words"]) == ("out of time", "ended at its limit of 5 s")
    assert not runs(int(second["value"]))
    assert "1.50 s" in (tmp_path / "gpu.log").read_text(encoding="utf-8")


@pytest.mark.skipif(os.name != "posix", reason="processes are ended by their group")
def test_nothing_waits_for_a_part_that_cannot_be_ended(tmp_path, monkeypatch):
    """As one that hangs in a driver: what comes after it has its turn."""
    body = """
import os, time
def do(bench):
    bench.value("process", os.getpid(), "")
    time.sleep(25)
"""
    put_part(monkeypatch, tmp_path, "stuck", body, limit=4.0)
    monkeypatch.setattr(runner, "_DRAIN", 0.2)
    begin, begun = subprocess.Popen, []
    with monkeypatch.context() as patch:
        patch.setattr(os, "killpg", lambda group, number: None)
        patch.setattr(subprocess, "Popen", lambda *a, **k: begun.append(begin(*a, **k)) or begun[0])
        *_, value, last = carried_out(tmp_path, "stuck")
    (process,) = begun
    assert process.pid == int(value["value"])
    assert process.poll() is None
    process.kill()
    process.wait(20)
    assert (last["status"], last["words"]) == ("out of time", "ended at its limit of 4 s")


def test_a_part_that_raises_says_so_and_what_raises_within_costs_its_own_line(
    tmp_path, monkeypatch
):
    body = """
def do(bench):
    with bench.attempt("first"):
        1 / 0
    bench.check("second", True)
    raise ValueError("no more\\nof this")
"""
    put_part(monkeypatch, tmp_path, "bad", body)
    _, first, second, last = carried_out(tmp_path, "bad")
    assert (first["ok"], first["words"]) == (False, "ZeroDivisionError: division by zero")
    assert second["ok"]
    assert (last["status"], last["words"]) == ("failed", "ValueError: no more")


def test_a_part_is_not_begun_without_the_time_that_it_needs(tmp_path):
    (skipped,) = carried_out(tmp_path, "right", seconds=10.0)
    assert skipped["status"] == "skipped"
    assert skipped["words"] == "5 s are left of all minutes, it needs 20"


def test_every_part_has_room_in_the_minutes_of_again():
    minutes = command._AGAIN
    device, *others = PARTS.values()
    assert max(one.limit for one in others) + device.limit + runner._GRACE <= 60 * minutes
    assert (
        PARTS["cold"].limit >= 180
    )  # some 250 kernels, and each takes the better part of a second


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_what_ends_the_command_ends_its_part(name, tmp_path):
    words = [sys.executable, "-m", "benchmarks.gpu", "--rehearse", "--out", str(tmp_path / "o")]
    popen = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for line in popen.stdout:
        if "begun" in line:
            break
    begun = time.monotonic()
    while not (children := psutil.Process(popen.pid).children()):  # it is said just before
        assert time.monotonic() < begun + 60
        time.sleep(0.01)
    (child,) = children
    number = getattr(signal, name)
    popen.send_signal(number)
    assert popen.wait(60) == 128 + number
    told = popen.stdout.read().splitlines()
    popen.stdout.close()
    assert "NOT: cold: not begun" in told
    assert told[-1].startswith("to do the rest: ")
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running()
    assert records.read(tmp_path / "o" / records.FILE)[1]["status"] == "begun"


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.skipif(os.environ.get("STACKED_TRAINER_TEST_DEVICE") == "gpu", reason="here is a GPU")
def test_without_a_gpu_there_is_one_reason_and_nothing_else_is_begun(tmp_path, capfd):
    assert main(["--out", str(tmp_path)]) == 1
    found = records.read(tmp_path / records.FILE)
    assert found[0]["parts"] == list(PARTS)
    states = records.states(found)
    assert states["device"]["words"].startswith("device: gpu: ")
    assert {one["status"] for name, one in states.items() if name != "device"} == {"skipped"}
    told = capfd.readouterr().out
    assert "Traceback" not in told
    assert told.splitlines()[-1] == f"to do the rest: scripts/gpu --again {tmp_path / records.FILE}"
    assert not list(tmp_path.glob("*.md"))
    assert main(["--out", str(tmp_path)]) == 2  # what is there is not overwritten
    assert "has results already" in capfd.readouterr().err


def test_without_a_folder_it_is_the_environments(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("OUT", raising=False)
    assert main(["--rehearse"]) == 2
    assert "--out FOLDER says where" in capsys.readouterr().err
    monkeypatch.setenv("OUT", str(tmp_path))
    assert records.output_folder(None) == tmp_path
    assert records.output_folder(Path("a")) == Path("a")


def test_again_keeps_what_was_done_and_does_the_rest(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(
        command, "run_parts", lambda names, out, until, *_: done.append((names, until))
    )
    known = [
        {**note("run", "scripts/gpu", "old"), "parts": ["device", "right", "steps"]},
        *(note("device", "device", "old"), state("device", "done")),
        *(value("right", "kept", 1.0, "s"), state("right", "done")),
        *(value("steps", "dropped", 1.0, "s"), state("steps", "failed")),
    ]
    path = written(tmp_path / "old.jsonl", known)
    begun = time.monotonic()
    assert main(["--again", str(path), "--out", str(tmp_path / "new")]) == 1
    ((names, until),) = done
    assert names == ["device", "steps"]
    assert 200 < until - begun < 241
    found = records.read(tmp_path / "new" / records.FILE)
    assert found[:2] == [known[3], known[4]]
    assert (len(found), found[2]["parts"]) == (3, ["device", "steps"])


def test_again_goes_on_in_the_folder_of_the_results_and_loses_none_on_the_way(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("OUT", raising=False)
    monkeypatch.setattr(command, "run_parts", lambda *_: None)
    run = {**note("run", "scripts/gpu", "old"), "parts": ["device", "right", "steps", "cold"]}
    known = [run, value("right", "kept", 1.0, "s"), state("right", "done")]
    path = written(tmp_path / records.FILE, known)
    with monkeypatch.context() as patch:
        patch.setattr(records, "_bytes_of", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
        assert main(["--again", str(path)]) == 2
    assert records.read(path) == known
    assert main(["--again", str(path), "--part", "steps"]) == 1
    found = records.read(path)
    assert found[:2] == known[1:]
    assert found[2]["parts"] == ["device", "steps", "cold"]  # `cold` is still to be done
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_what_another_gpu_measured_is_not_kept_beside_this_ones(tmp_path, monkeypatch):
    names, measured = ["device", "right", "steps"], [MEASURED]

    def run(name, file, *_):
        if name == "device":
            records.append(file, note("device", "device", measured[0]))
        return ("done", "")

    monkeypatch.setattr(runner, "_run", run)
    known = [
        {**note("run", "scripts/gpu", ""), "parts": names},
        *(note("device", "device", MEASURED), state("device", "done"), state("right", "done")),
    ]
    path = written(tmp_path / records.FILE, known)
    for gpu, status in (
        ("NVIDIA L4 (CuPy 14.2.0)", "skipped"),
        ("NVIDIA H200 (CuPy 15.0)", "done"),
    ):
        measured[0] = gpu
        main(["--again", str(path)])
        found = records.read(path)
        assert records.states(found)["steps"]["status"] == status
        said = [one["words"] for one in found if one.get("name") == command._SAME]
        assert said == [f"results that are kept are of {MEASURED}, this is {gpu}"] * (
            status != "done"
        )


@pytest.mark.parametrize("rehearsal", [False, True])
def test_what_was_rehearsed_is_not_kept_beside_what_is_measured(rehearsal, tmp_path, capsys):
    path = written(tmp_path / "a.jsonl", results()[1:])
    records.append(path, {**note("run", "scripts/gpu", ""), "rehearsal": rehearsal})
    words = ["--again", str(path), "--out", str(tmp_path / "o")]
    assert main(words if rehearsal else [*words, "--rehearse"]) == 2
    told = "is of a rehearsal" if rehearsal else "is of no rehearsal"
    assert told in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.skipif(os.name != "posix" or not os.path.exists("/dev/full"), reason="/dev/full")
def test_a_full_disk_and_a_terminal_that_has_gone_cost_the_line_alone(tmp_path, monkeypatch):
    def gone(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", gone)
    runner.Log(Path("/dev/full"))("no line")
    runner.Log(tmp_path / "gpu.log")("a line")
    assert (tmp_path / "gpu.log").read_text(encoding="utf-8") == "a line\n"


def test_a_folder_that_is_none_is_one_line(tmp_path, capsys):
    (tmp_path / "o").write_text("", encoding="utf-8")
    path = written(tmp_path / "a.jsonl", results())
    for words in (["--rehearse"], ["--page", str(path)]):
        assert main([*words, "--out", str(tmp_path / "o")]) == 2
        assert capsys.readouterr().err.startswith("scripts/gpu: [Errno ")


def test_failing_tests_are_checks_and_what_pytest_begins_is_no_line(tmp_path, capsys):
    lines = [
        "collecting ... collected 3 items",
        "tests/a.py::test_a[x y-1] ",
        "[gw1] [  3%] PASSED tests/a.py::test_a[x y-1] ",
        "[gw0] [ 66%] FAILED tests/a.py::test_b[x y-1] ",
        "tests/b.py::test_c ERROR                                  [100%]",
        "E   assert 1 == 2",
    ]
    file = tmp_path / "a.jsonl"
    device = type("Device", (), {"xp": None})()
    assert read(Bench("tests", file, device), lines) == {"passed": 1, "failed": 1, "error": 1}
    assert [(one["name"], one["ok"]) for one in records.read(file)] == [
        ("tests/a.py::test_b[x y-1]", False),
        ("tests/b.py::test_c", False),
    ]
    out = capsys.readouterr().out
    assert "    collecting" in out
    assert "    E   assert 1 == 2" in out
    assert "PASSED" not in out


def test_the_tests_that_are_told_exist():
    assert len(SELECTION) > 10
    for name in SELECTION:
        path, _, test = name.partition("::")
        assert f"def {test}" in (ROOT / "tests" / path).read_text(encoding="utf-8")


# --- the page -------------------------------------------------------------------------------------


def results():
    return [
        {**note("run", "scripts/gpu", "now"), "minutes": 10.0, "rehearsal": False},
        *(note("device", "device", MEASURED), note("device", "trainer", "abc1234")),
        state("device", "done", 3.0),
        *(check("right", "softmax, sgd", True), check("right", "a | b", False, "0.2 apart")),
        state("right", "done", 20.0),
        value("steps", "K = 64, by kernels, logged", 58.04, "µs a step"),
        value("steps", "K = 64, by functions, logged", 325.0, "µs a step"),
        state("steps", "done", 60.0),
        value("peers", "K = 64, ours", 58.0, "µs a step", "5 rounds"),
        value("peers", "K = 64, JAX", 29.0, "µs a step", "5 rounds"),
        value("peers", "K = 64, JAX, of ours", 0.5, "times", "0.45 to 0.6"),
        note("peers", "K = 64, torch", "torch is not installed"),
        state("peers", "out of time", 90.0, "ended"),
    ]


def test_a_page_has_the_numbers_and_what_does_not_hold(tmp_path, capsys):
    path = written(tmp_path / "a.jsonl", results())
    assert main(["--page", str(path), "--out", str(tmp_path)]) == 0
    made = tmp_path / "gpu-nvidia-h200.md"
    assert capsys.readouterr().out == f"{made}\n"
    text = made.read_text(encoding="utf-8")
    assert text.startswith(f"# {MEASURED}\n\nMeasured by `scripts/gpu` in 10 minutes.")
    for line in (
        "1 checks hold. What does not, and what is not done:",
        "- right: a \\| b: 0.2 apart",
        "- peers: out of time: ended",
        "| µs a step | by kernels, logged | by functions, logged |",
        "| K = 64 | 58.0 | 325 |",
        "| K = 64, JAX | 29 | **0.500** (0.45–0.6) |",
        "- K = 64, torch: torch is not installed",
    ):
        assert line in text.splitlines(), line


@pytest.mark.skipif(os.name != "posix", reason="a shell's script")
def test_files_are_named_from_where_the_script_is_called(tmp_path):
    written(tmp_path / "a.jsonl", results())
    (tmp_path / "benchmarks").mkdir()  # somebody else's
    (tmp_path / "benchmarks" / "__init__.py").write_text("raise SystemExit('not ours')", "utf-8")
    paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
    done = subprocess.run(
        [ROOT / "scripts" / "gpu", "--page", "a.jsonl", "--out", "."],
        cwd=tmp_path,
        env=os.environ | {"PATH": os.pathsep.join(paths), "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "gpu-nvidia-h200.md").exists()


def test_a_page_of_what_was_ended_in_the_middle_says_so(tmp_path):
    found = results()[:-1]
    found[0]["parts"] = ["device", "right", "steps", "peers", "memory"]
    lines = page.page(found).splitlines()
    assert lines[lines.index("- peers: not begun") + 1] == "- memory: not begun"


def test_a_page_has_numbers_that_are_none_and_no_code_of_whoever_made_it(tmp_path, capsys):
    found = [
        *results(),
        value("steps", "K = 1, TF32 beside float32", float("nan"), "of max|W| apart"),
        value("steps", "K = 64, TF32 beside float32", 0.000123, "of max|W| apart"),
        value("steps", "![a](http://b/c)", float("inf"), "<script>d</script>"),
        check("right", "\x1b[2Je", False, "<img src=f onerror=g>"),
    ]
    path = written(tmp_path / "a.jsonl", found)
    assert main(["--page", str(path), "--out", str(tmp_path)]) == 0
    text = (tmp_path / "gpu-nvidia-h200.md").read_text(encoding="utf-8")
    assert "| K = 1, TF32 beside float32 | – | of max\\|W\\| apart |  |" in text
    assert "| K = 64, TF32 beside float32 | 0.000123 | of" in text
    assert "| !\\[a\\](http://b/c) | ∞ | &lt;script>d&lt;/script> |  |" in text
    assert not {"<", "\x1b", "!["} & {*text, *(text[at : at + 2] for at in range(len(text)))}


def test_a_rehearsal_has_no_page(tmp_path, capsys):
    found = results()
    found[0]["rehearsal"] = True
    assert page.write(found, tmp_path) is None
    path = written(tmp_path / "a.jsonl", found)
    assert main(["--page", str(path), "--out", str(tmp_path)]) == 2
    assert "a page is made of one alone" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.md"))


# --- wheels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuda", [12, 13])
def test_wheels_are_what_pyproject_says(cuda, capsys):
    assert main(["--wheels", str(cuda)]) == 0
    lines = [one for one in capsys.readouterr().out.splitlines() if not one.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert lines[: len(project["dependencies"])] == project["dependencies"]
    assert extras[f"cuda{cuda}"][0] in lines
    names = {wheels.name_of(line) for line in lines}
    assert names >= {"hatchling", "pytest", "pytest-xdist", "hypothesis", "torch", "jax"}
    assert f"jax[cuda{cuda}]" in "\n".join(lines)
    assert {line for line in extras["test"] if wheels.name_of(line) in names} <= set(lines)


def test_a_wheelhouse_gives_what_is_missing_and_names_what_it_lacks(tmp_path, monkeypatch):
    installed = {wheels.name_of(line) for line in wheels.requirements(12)}
    installed -= {"torch", "jax", "pydantic"}
    monkeypatch.setattr(wheels, "_installed", lambda name: name in installed)
    called, told = [], []
    done = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(
        wheels.subprocess, "run", lambda command, **_: called.append(command) or done
    )
    assert "there is no wheel" in wheels.install(tmp_path, told.append)
    for name in ("pydantic-2.13.0-py3-none-any.whl", "torch-2.9.0-cp312-cp312-linux_x86_64.whl"):
        (tmp_path / name).touch()
    assert wheels.install(tmp_path, told.append) == ""
    ((*before, first, second),) = called
    assert before[1:] == [
        *("-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(tmp_path))
    ]
    assert (first, second) == ("pydantic>=2.7", "torch>=2.4")
    assert told[0] == f"neither installed nor in {tmp_path}: jax, cuml-cu12, cuml-cu13"
    done.returncode, done.stderr = 1, "WARNING: x\nERROR: no torch for this Python\n"
    assert wheels.install(tmp_path, told.append) == "--wheelhouse: ERROR: no torch for this Python"


# --- all of it ------------------------------------------------------------------------------------

NOT_ON_THE_DOUBLE = {("primitives", "a launch, and a node of a graph")}


@pytest.mark.slow
def test_a_rehearsal_does_every_part(tmp_path):
    words = [sys.executable, "-m", "benchmarks.gpu", "--rehearse", "--out", str(tmp_path)]
    environment = os.environ | {"COLUMNS": "60", "STACKED_TRAINER_TEST_DEVICE": "cpu"}
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=590, check=False
    )
    found = records.read(tmp_path / records.FILE)
    assert records.failures(found) == []
    assert done.returncode == 0, done.stdout + done.stderr
    states = records.states(found)
    assert list(states) == list(PARTS)
    assert len(states) == 12
    assert {one["status"] for one in states.values()} == {"done"}
    told = {part: [one for one in found if one["part"] == part] for part in PARTS}
    silent = [part for part in PARTS if not any(one["kind"] != "state" for one in told[part])]
    assert silent == []
    left_out = {
        (one["part"], one["name"])
        for one in found
        if one["kind"] == "note" and "double has" in one["words"]
    }
    assert left_out == NOT_ON_THE_DOUBLE
    assert sum(one["kind"] == "check" for one in found) > 40
    assert sum(one["kind"] == "value" for one in found) > 100
    assert not list(tmp_path.glob("*.md"))
    assert (tmp_path / "gpu.log").read_text("utf-8").splitlines() == done.stdout.splitlines()
    json.dumps(found)
