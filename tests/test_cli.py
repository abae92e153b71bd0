"""The commands: arguments, exit codes, and what goes to which stream."""

from __future__ import annotations

import csv
import gc
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import trainer
from trainer.cli import main
from trainer.errors import (
    DataError,
    DeviceError,
    DiskError,
    Fault,
    RunFolderError,
    SpecError,
    UserError,
)

ROOT = Path(__file__).parent.parent
SCRIPT = [sys.executable, str(ROOT / "scripts" / "run.py")]
MODULE = [sys.executable, "-m", "trainer"]
HEAVY = {
    *("numpy", "cupy", "sklearn", "scipy", "pandas", "pydantic", "pyarrow"),
    *("rich", "yaml", "safetensors"),
}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "few.yaml"
    path.write_text("model: softmax\ndata: {train: digits}\noptimizer: {epochs: 2}\n")
    return path


def call(command: list[str], *arguments: object, **options) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONUNBUFFERED", None)  # what is left in a buffer is written at the end
    environment["PYTHONIOENCODING"] = "utf-8:strict"  # some locales are more lenient
    return subprocess.run(
        [*command, *map(os.fspath, arguments)],
        env=environment,
        timeout=600,
        **({"capture_output": True, "text": True} | options),
    )


# Help is quick.


@pytest.mark.parametrize(
    "command",
    [
        [*SCRIPT, "--help"],
        [*MODULE, "--help"],
        [*MODULE, "predict", "--help"],
        [*MODULE, "--version"],
    ],
    ids=lambda command: " ".join(command[1:])[-20:],
)
def test_help_imports_nothing_heavy(command):
    done = call([command[0], "-X", "importtime", *command[1:]])
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "trainer.cli" in imported
    assert {name.partition(".")[0] for name in imported} & HEAVY == set()


def test_cycles_are_collected_while_a_run_trains_and_after_each_command(config, monkeypatch):
    seen = []

    def run(*_, **__):
        seen.append(gc.isenabled())
        raise UserError("enough")

    monkeypatch.setattr("trainer.workflow.run.run", run)
    assert main(["run", str(config)]) == 2
    assert seen == [True]
    gc.disable()
    assert main(["--help"]) == 0
    assert gc.isenabled()


def test_help_says_what_there_is(capsys):
    assert main(["run", "--help"]) == 0
    text = capsys.readouterr().out
    for word in (
        "CONFIG",
        "key=value",
        "--out",
        "--device",
        "--quiet",
        "--check",
        "--plan",
        "--resume",
    ):
        assert word in text
    assert main(["--help"]) == 0
    assert "predict RUN DATA" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{trainer.__version__}\n"


# Arguments.


@dataclass
class FakeRun:
    folder: Path
    status: str


class FakeSpec(str):
    def to_yaml(self):
        return f"check: {self}\n"


class Fakes:
    """Stand-ins for what a command calls; `asked` says with what."""

    def __init__(self, monkeypatch, tmp_path):
        self.asked = {}
        self.status = "finished"
        self.error = None
        self.folder = tmp_path / "run"
        monkeypatch.setattr("trainer.config.load.load_spec", self.load_spec)
        monkeypatch.setattr("trainer.workflow.run.run", self.run)
        monkeypatch.setattr("trainer.workflow.plan.plan", lambda spec, tell: f"plan: {spec}\n")

    def load_spec(self, config, overrides=()):
        self.asked |= {"config": config, "overrides": list(overrides)}
        return FakeSpec("the spec")

    def run(self, spec, **options):
        self.asked |= {"spec": spec, **options}
        if self.error is not None:
            raise self.error
        return FakeRun(self.folder, self.status)


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    return Fakes(monkeypatch, tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        "a.yaml b=1 c.d=-2 --out x --quiet",
        "--out x a.yaml --quiet b=1 c.d=-2",
        "a.yaml b=1 --quiet c.d=-2 --out=x",
        "a.yaml --out x b=1 c.d=-2 --quiet",
    ],
)
def test_options_may_stand_anywhere(fakes, arguments):
    assert main(["run", *arguments.split()]) == 0
    assert fakes.asked["config"] == "a.yaml"
    assert fakes.asked["overrides"] == ["b=1", "c.d=-2"]
    assert fakes.asked["out"] == "x"
    assert fakes.asked["spec"] == "the spec"
    assert fakes.asked["terminal"].quiet
    assert fakes.asked["should_stop"]() is None


def test_the_device_is_an_override_that_comes_last(fakes):
    assert main(["run", "a.yaml", "--device", "cpu", "device=gpu"]) == 0
    assert fakes.asked["overrides"] == ["device=gpu", "device=cpu"]


def test_the_command_line_can_be_copied(fakes):
    main(["run", "my file.yaml", "name='a b'", "--quiet"])
    assert fakes.asked["command"] == (
        """stacked-trainer run 'my file.yaml' 'name='"'"'a b'"'"'' --quiet"""
    )


def test_the_folder_is_the_last_line(fakes, capfd):
    assert main(["run", "a.yaml"]) == 0
    out, err = capfd.readouterr()
    assert out == f"{fakes.folder}\n"
    assert err == ""


@pytest.mark.parametrize("option", ["--check", "--plan"])
def test_check_and_plan_print_and_run_nothing(fakes, capfd, option):
    assert main(["run", "a.yaml", option]) == 0
    out, err = capfd.readouterr()
    assert (out, err) == (f"{option[2:]}: the spec\n", "")
    assert "spec" not in fakes.asked


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "the following arguments are required: COMMAND; see stacked-trainer --help"),
        (
            "walk",
            "'walk' is no command; write run, predict, report, explain, init, schema or warm; see",
        ),
        ("run", "CONFIG is missing: name a YAML file; see stacked-trainer run --help"),
        ("run --quiet", "CONFIG is missing"),
        ("run a.yaml --out", "argument --out: expected one argument"),
        (
            "run a.yaml --resume x",
            "--resume: takes the folder's own config.yaml; remove a.yaml; see",
        ),
        ("run a.yaml --qui", "unrecognized arguments: --qui; did you mean --quiet?"),
        ("run a.yaml --optimizer.lr=0.1", "--optimizer.lr=0.1; write optimizer.lr=0.1; see"),
        ("run a.yaml --optimizer.lr 0.1", "; write optimizer.lr=0.1; see"),
        ("run --lr 0.1 a.yaml", "; write optimizer.lr=0.1; see"),
        ("run a.yaml -lr 0.1", "; write optimizer.lr=0.1; see"),
        ("run a.yaml --batch-size=3 x=1", "; write optimizer.batch_size=3; see"),
        ("run a.yaml --seed=3 --quiet", "; write seed=3; see"),
        ("run --config a.yaml", "; write stacked-trainer run a.yaml; see"),
        (
            "--config a.yaml lr=1",
            "is no command; write stacked-trainer run a.yaml lr=1; see",
        ),
        ("base.yaml", "'base.yaml' is no command; write stacked-trainer run base.yaml; see"),
        ("conf/base.YML lr=1 --quiet", "write stacked-trainer run conf/base.YML lr=1 --quiet; see"),
        ("train a.yaml", "did you mean stacked-trainer run a.yaml?"),
        ("repot a", "did you mean stacked-trainer report a?"),
        ("evaluate a b.csv", "did you mean stacked-trainer predict a b.csv?"),
        ("version", "did you mean stacked-trainer --version?"),
        ("--quiet run a.yaml", "--quiet stands where the command does; for example"),
        ("init lasso", "argument KIND: invalid choice: 'lasso'"),
        ("schema x", "unrecognized arguments: x; see stacked-trainer schema --help"),
        ("run a.yaml --check --plan", "not allowed with argument"),
        ("predict", "required: RUN, DATA"),
        ("predict a", "required: DATA"),
        ("predict a b c", "unrecognized arguments: c"),
    ],
)
def test_wrong_arguments_are_one_line(capfd, arguments, words):
    assert main(arguments.split()) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
    assert err.endswith("--help\n")


def test_a_line_break_in_an_argument_tears_no_line(capfd):
    assert main(["walk\nabout"]) == 2
    assert main(["run", "a.yaml", "--x\ny=1"]) == 2
    assert capfd.readouterr().err.count("\n") == 2


def test_one_program_name_everywhere():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "trainer").rglob("*.py")]
    assert len(texts) > 100
    named = [text for text in texts if "python -m trainer " in text]
    assert len(named) == 1  # __main__, which says that it is the same
    named = ["run", "predict", "report", "explain", "init", "schema", "warm"]
    for command in ([], *([name] for name in named)):
        done = call(MODULE, *command, "--help")
        assert done.stdout.startswith(f"usage: {' '.join(['stacked-trainer', *command])}")


# Exit codes.


@pytest.mark.parametrize(
    ("status", "code"), [("finished", 0), ("diverged", 3), ("interrupted", 130), ("failed", 1)]
)
def test_the_status_is_the_exit_code(fakes, capfd, status, code):
    fakes.status = status
    assert main(["run", "a.yaml"]) == code
    assert capfd.readouterr().out == f"{fakes.folder}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("a.yaml: no such file"), 2),
        (DataError("a.csv: row 3"), 2),
        (DeviceError("device: gpu"), 2),
        (RunFolderError("runs: a file"), 2),
        (DiskError("run/history.csv: cannot write"), 1),
    ],
    ids=repr,
)
@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_an_expected_error_is_its_own_line(fakes, capfd, error, code, quiet):
    fakes.error = error
    assert main(["run", "a.yaml", *quiet]) == code
    out, err = capfd.readouterr()
    assert (out, err) == ("", f"{error}\n")


def test_every_fault_of_a_spec_is_a_line(fakes, capfd):
    faults = [Fault("a.yaml", line, 3, f"key{line}", "wrong; right") for line in (1, 2)]
    fakes.error = SpecError(faults)
    assert main(["run", "a.yaml"]) == 2
    assert capfd.readouterr().err == (
        "a.yaml:1:3: key1: wrong; right\na.yaml:2:3: key2: wrong; right\n"
    )


def test_a_fault_of_ours_is_one_line_and_a_file(fakes, capfd):
    fakes.error = RuntimeError("odd\nthing")
    assert main(["run", "a.yaml"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    found = re.fullmatch(
        r"a fault of ours: RuntimeError: odd; please report it with (\S+\.log)\n", err
    )
    assert found is not None
    log = Path(found[1])
    assert "Traceback" in log.read_text()
    log.unlink()


def test_memory_that_runs_out_is_no_fault_of_ours(fakes, capfd):
    fakes.error = MemoryError("Unable to allocate 7 GiB\nfor an array")
    assert main(["run", "a.yaml"]) == 1
    assert capfd.readouterr().err == (
        "memory ran out (Unable to allocate 7 GiB); fewer rows or trials take less\n"
    )


def test_a_fault_of_ours_in_a_run_is_in_its_log(fakes, capfd, tmp_path):
    lines = []

    def run(spec, terminal, **_):
        terminal.attach(lines.append, tmp_path / "run.log")
        raise ValueError

    fakes.run = run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.workflow.run.run", run)
        assert main(["run", "a.yaml"]) == 1
    assert capfd.readouterr().err == (
        f"a fault of ours: ValueError; please report it with {tmp_path / 'run.log'}\n"
    )
    assert "Traceback" in "\n".join(lines)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_the_training_ends_the_command(fakes, capfd, monkeypatch, signum, code):
    def load_spec(*_):
        os.kill(os.getpid(), signum)
        time.sleep(10)

    monkeypatch.setattr("trainer.config.load.load_spec", load_spec)
    assert main(["run", "a.yaml"]) == code
    assert capfd.readouterr() == ("", "interrupted\n")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_training_ends_the_run(fakes, capfd, monkeypatch, signum, code):
    def run(spec, should_stop, **_):
        assert should_stop() is None
        os.kill(os.getpid(), signum)
        assert should_stop() == signum
        return FakeRun(fakes.folder, "interrupted")

    monkeypatch.setattr("trainer.workflow.run.run", run)
    assert main(["run", "a.yaml"]) == code
    assert capfd.readouterr().out == f"{fakes.folder}\n"


def test_a_signal_after_the_training_does_not_unfinish_it(fakes, monkeypatch):
    def run(spec, should_stop, **_):
        should_stop()
        os.kill(os.getpid(), signal.SIGINT)
        return FakeRun(fakes.folder, "finished")

    monkeypatch.setattr("trainer.workflow.run.run", run)
    assert main(["run", "a.yaml"]) == 0


def test_a_thread_may_call_a_command(fakes):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(main(["run", "a.yaml"])))
    thread.start()
    thread.join()
    assert codes == [0]


# Real runs.


@pytest.mark.parametrize("command", [SCRIPT, [*MODULE, "run"]], ids=["script", "module"])
def test_a_run_from_anywhere(config, tmp_path, command):
    done = call(command, config, "optimizer.epochs=3")
    assert done.returncode == 0, done.stderr
    (folder,) = map(Path, done.stdout.splitlines())
    assert folder.is_absolute()
    assert folder.parent == tmp_path / "cwd" / "runs" / "few"
    run = trainer.load_run(folder)
    assert run.status == "finished"
    assert run.trials[0]["epochs"] == 3
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    for word in ("digits", "cpu", str(folder)):
        assert word in done.stderr
    log = (folder / "run.log").read_text()
    assert [line.split("  ", 1)[1] for line in log.splitlines()] == done.stderr.splitlines()
    command_line = manifest_of(folder)["command"]
    assert command_line == f"stacked-trainer run {config} optimizer.epochs=3"


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_bytes())


def test_a_quiet_run_says_its_folder_and_nothing_else(config, tmp_path):
    done = call(SCRIPT, config, "--quiet", "--out", "here/it/is")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout == f"{tmp_path / 'cwd' / 'here' / 'it' / 'is'}\n"


def test_a_name_leads_nowhere(config, tmp_path):
    call(SCRIPT, config, "name=../../x", "--quiet")
    done = call(SCRIPT, config, "name='..a b: c*'", "--quiet")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent == tmp_path / "cwd" / "runs" / "..a b_ c_"
    assert sorted(os.listdir(tmp_path)) == ["cwd", "few.yaml"]
    assert os.listdir(tmp_path / "cwd") == ["runs"]


def test_check_prints_a_config_that_runs(config, tmp_path):
    done = call(SCRIPT, config, "--check", "optimizer.lr=0.5")
    assert done.returncode == 0
    assert done.stderr == ""
    assert os.listdir(tmp_path / "cwd") == []
    again = tmp_path / "again.yaml"
    again.write_text(done.stdout)
    assert trainer.load_spec(again).optimizer.lr == 0.5


def test_plan_prints_and_leaves_nothing(config, tmp_path):
    done = call(SCRIPT, config, "--plan")
    assert done.returncode == 0
    assert re.search(r"^peak memory: \d+ MiB$", done.stdout, re.M)
    assert os.listdir(tmp_path / "cwd") == []


def test_a_file_that_is_not_there(config, tmp_path):
    done = call(SCRIPT, "../fwe.yaml")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "fwe.yaml") in done.stderr
    assert "few.yaml" in done.stderr


def test_a_folder_that_is_taken(config, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    for out in (tmp_path / "full", config):
        done = call(SCRIPT, config, "--out", out)
        assert done.returncode == 2
        assert done.stdout == ""
        assert str(out) in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path / "full") == ["mine"]


def test_all_faults_at_once(config):
    done = call(SCRIPT, config, "optimizer.lr=-1", "nmae=x", "--quiet")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2


def test_a_run_that_diverges(config, tmp_path):
    config.write_text("model: linear\ndata: {train: diamonds}\noptimizer: {lr: 1000, steps: 200}\n")
    done = call(SCRIPT, config, "--out", tmp_path / "run")
    assert done.returncode == 3, done.stderr
    assert done.stdout == f"{tmp_path / 'run'}\n"
    assert trainer.load_run(tmp_path / "run").status == "diverged"
    assert "optimizer.lr=" in done.stderr


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_everything_it_did(config, tmp_path, signum, code):
    out = tmp_path / "run"
    process = subprocess.Popen(
        [*SCRIPT, config, "optimizer.epochs=1000000", "--out", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not (out / "history.csv").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signum)
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == code, stderr
    assert stdout == f"{out}\n"
    assert "interrupted" in stderr
    run = trainer.load_run(out)
    assert run.status == "interrupted"
    assert [trial["status"] for trial in run.trials] == ["interrupted"]
    assert (out / "steps.arrows").exists()
    assert not (out / "steps.parquet").exists()
    steps = run.steps()["step"].to_pylist()
    assert steps == list(range(1, len(steps) + 1))
    assert run.history()["step"].to_pylist()[-1] <= steps[-1]
    assert run.model().classes_.tolist() == list(range(10))
    assert [name for name in os.listdir(out) if name.endswith(".tmp")] == []


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_leaves_an_interrupted_run(config, tmp_path, second):
    """Killed while it writes its tables, which may take long; while it trains is no other case."""
    out = tmp_path / "run"
    code = (
        "import sys, time\nfrom trainer.cli import main\n"
        "import trainer.workflow.carry_out as part\n"
        "part.write_outputs = lambda *args: (print('writes', flush=True), "
        "time.sleep(60))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", config, "--out", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout.readline() == "writes\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(second)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 128 + second, stderr
    run = trainer.load_run(out)
    assert run.status == "interrupted"
    assert run.steps().num_rows > 0
    assert "killed by a second signal" in (out / "run.log").read_text()
    assert run.report().is_file()


def test_nobody_reads_the_output(config, tmp_path):
    """As `run ... --check | head -0`."""
    for arguments in (["--check"], ["--out", str(tmp_path / "run"), "--quiet"], ["--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = call(SCRIPT, config, *arguments, capture_output=False, stdout=writer, stderr=-1)
        os.close(writer)
        assert done.returncode == 0
        assert done.stderr == ""


def test_nobody_reads_the_messages(config, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    out = tmp_path / "run"
    done = call(SCRIPT, config, "--out", out, capture_output=False, stdout=-1, stderr=writer)
    os.close(writer)
    assert done.returncode == 0
    assert done.stdout == f"{out}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_an_output_on_a_full_disk(config):
    with open("/dev/full", "w") as full:
        done = call(SCRIPT, config, "--check", capture_output=False, stdout=full, stderr=-1)
    assert done.returncode == 1
    assert done.stderr == (
        "standard output: cannot write: No space left on device; "
        "free some space, or write to another disk\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_folder_whose_name_is_no_text(config, tmp_path):
    out = os.fsencode(tmp_path) + b"/caf\xe9"
    done = call(SCRIPT, config, "--quiet", "--out", out, text=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == out + b"\n"
    assert done.stderr == b""
    run = trainer.load_run(os.fsdecode(out))
    assert run.status == "finished"
    assert run.steps().num_rows == 24
    assert run.predictions().num_rows == 359


# predict.


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    """A run on a table with a text column, and the table."""
    folder = tmp_path_factory.mktemp("flowers")
    rows = ["size,colour,kind"]
    rows += [f"{i % 7 + 3 * (i % 2)},{'red' if i % 3 else 'blue'},{'ab'[i % 2]}" for i in range(60)]
    (folder / "all.csv").write_text("\n".join(rows) + "\n")
    (folder / "c.yaml").write_text(
        "model: logistic\ndata: {train: {table: all.csv, target: kind}}\noptimizer: {epochs: 5}\n"
    )
    assert main(["run", str(folder / "c.yaml"), "--quiet", "--out", str(folder / "run")]) == 0
    return folder


def test_predict_prints_csv_and_scores(flowers, capfd):
    assert main(["predict", str(flowers / "run"), str(flowers / "all.csv")]) == 0
    out, err = capfd.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 60
    assert {"prediction", "p_a", "p_b"} <= rows[0].keys()
    assert {row["prediction"] for row in rows} <= {"a", "b"}
    for row in rows:
        assert float(row["p_a"]) + float(row["p_b"]) == pytest.approx(1)
        assert row["prediction"] == ("b" if float(row["p_b"]) > 0.5 else "a")
    assert "accuracy" in err


def test_predict_finds_columns_by_name_and_needs_no_target(flowers, tmp_path, capfd):
    (tmp_path / "new.csv").write_text("extra,colour,size\n9,red,3\n9,green,4\n")
    assert main(["predict", str(flowers / "run"), str(tmp_path / "new.csv")]) == 0
    out, err = capfd.readouterr()
    assert len(out.splitlines()) == 3
    assert "accuracy" not in err


class Piped(io.StringIO):
    """Standard input that is a pipe, or a terminal."""

    def __init__(self, content, terminal=False):
        super().__init__()
        self.buffer, self.isatty = io.BytesIO(content), lambda: terminal


@pytest.mark.parametrize("how", ["text", "tabs", "gzip", "parquet"])
def test_predict_reads_standard_input(flowers, tmp_path, monkeypatch, capfd, how):
    text = b"colour,size,kind\nred,3,a\nblue,,b\n"
    pq.write_table(pa.table({"colour": ["red", "blue"], "size": [3, None]}), tmp_path / "p")
    content = {
        "text": text,
        "tabs": text.replace(b",", b"\t"),
        "gzip": gzip.compress(text),
        "parquet": (tmp_path / "p").read_bytes(),
    }[how]
    monkeypatch.setattr(sys, "stdin", Piped(content))
    assert main(["predict", str(flowers / "run"), "-"]) == 0
    out, err = capfd.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["prediction"] != "" for row in rows] == [True, False]
    assert "1 row has no prediction, as a value is missing or infinite: row 1" in err
    assert ("(of 1 of 2 rows)" in err) == (how != "parquet")


@pytest.mark.parametrize(
    ("stdin", "words"),
    [
        (Piped(b"", terminal=True), "is a terminal; CSV text with a header line, as in `cat"),
        (Piped(b"\n \n"), "is empty; CSV text"),
        (None, "is closed; CSV text"),
        (Piped(b"size,colour\n1,red\nx,red\n"), "row 1 (line 3), column 'size': 'x' is text"),
        (Piped(b"a,b\n1,red\n"), "there are no columns 'size', 'colour'"),
    ],
)
def test_faults_of_standard_input(flowers, monkeypatch, capfd, stdin, words):
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["predict", str(flowers / "run"), "-"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"standard input: {words}")
    assert err.count("\n") == 1


def test_predict_without_a_target(flowers, tmp_path, capfd):
    (tmp_path / "new.csv").write_text("colour,size,kind\nred,3,a\nblue,2,?\n")
    arguments = ["predict", str(flowers / "run"), str(tmp_path / "new.csv")]
    assert main(arguments) == 0
    scored, said = capfd.readouterr()
    assert main([*arguments, "--no-target"]) == 0
    assert capfd.readouterr() == (scored, "")
    assert said.splitlines()[1] == "1 row has a label that training did not have ('?')"
    assert said.splitlines()[0].endswith("(of 1 of 2 rows)")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_predict_into_a_file(flowers, tmp_path, capfd, ending):
    out = tmp_path / f"p{ending}"
    arguments = ["predict", str(flowers / "run"), str(flowers / "all.csv"), "--out", str(out)]
    assert main(arguments) == 0
    assert capfd.readouterr().out == ""
    if ending == ".csv":
        assert len(out.read_text().splitlines()) == 61
    else:
        table = pq.ParquetFile(out).read()
        assert table.num_rows == 60
        assert pa.types.is_floating(table.schema.field("p_b").type)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("nowhere all.csv", "nowhere"),
        ("run nowhere.csv", "nowhere.csv"),
        ("run all.csv --out p.txt", "p.txt"),
        ("run c.yaml", "c.yaml"),
    ],
)
def test_predict_faults_are_one_line(flowers, monkeypatch, capfd, arguments, words):
    monkeypatch.chdir(flowers)
    assert main(["predict", *arguments.split()]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1
