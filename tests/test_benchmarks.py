"""The benchmarks: processes, rounds and ratios; what is run, that ours runs right, the pages."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

import trainer

sys.path.append(str(Path(trainer.__file__).parent.parent))

from benchmarks.__main__ import PARTS as ALL_PARTS
from benchmarks.runs.commands import Command
from benchmarks.sgd import cases as steps
from benchmarks.sgd import command as sgd_command
from benchmarks.sgd.contenders import check as check_weights
from benchmarks.sgd.contenders import contenders as step_contenders
from benchmarks.sgd.contenders import difference
from benchmarks.sgd.loss import held_out, quickest
from benchmarks.sgd.ours import Loop as FitLoop
from benchmarks.sgd.ours import Stacked
from benchmarks.sgd.table import Measured as Steps
from benchmarks.sgd.table import page as step_page
from benchmarks.shared import arguments, text
from benchmarks.shared.processes import Contender, processes, stored
from benchmarks.shared.rounds import Limits, Timed, in_rounds
from benchmarks.shared.worker import Reply
from benchmarks.solvers import cases as solvers
from benchmarks.solvers.command import PARTS, tasks
from benchmarks.solvers.contenders import Way, ways
from benchmarks.solvers.table import page as solver_page
from benchmarks.solvers.tasks import lasso, penalties, ridge, sparse
from benchmarks.solvers.timing import measure
from benchmarks.sweep.cases import BATCH, SIZES, Case, case, grid
from benchmarks.sweep.contenders import WAYS
from benchmarks.sweep.ours import Loop, Trained, Whole
from benchmarks.sweep.table import Measured, page
from benchmarks.sweep.work import Work, few_steps, looped, stacked

NUMBERS = "loss", "error_rms", "error_max", "dz_rms", "grad_norm"
PATIENT = Limits(rounds=1, call=600, all=600)
FAKES = """
import os, subprocess, sys, time


class Named:
    def __init__(self, data, name):
        self.data, self.name = data, name

    def run(self, *words):
        print("a library talks")
        with open(self.data["log"], "a", encoding="utf-8") as file:
            file.write(f"{self.name} ")
        return self.data["number"], os.environ.get("XLA_FLAGS", ""), *words

    def cores(self):
        import psutil

        return psutil.Process().cpu_affinity()

    def wait(self):
        time.sleep(600)

    def die(self):
        os._exit(3)

    def fail(self):
        raise ValueError("no, not this")

    def child(self):
        spin = "import time; n = time.process_time\\nwhile n() < 0.3: pass"
        subprocess.run([sys.executable, "-c", spin], check=True)

    def start(self):
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


class Absent:
    def __init__(self, data):
        import no_such_package_at_all


class Late(Named):
    def run(self):
        time.sleep(600 if hasattr(self, "ran") else 0)
        self.ran = True
"""


@pytest.fixture
def fakes(tmp_path):
    """What makes contenders of a module that stands beside no other."""
    (tmp_path / "fakes.py").write_text(FAKES, encoding="utf-8")

    def make(name, kind="Named", **more):
        settings = {} if kind == "Absent" else {"name": name}
        return Contender(name, f"fakes:{kind}", settings, paths=[str(tmp_path)], **more)

    make.data = {"log": str(tmp_path / "log"), "number": np.float32(4)}
    return make


def logged(fakes):
    return Path(fakes.data["log"]).read_text("utf-8").split()


def test_a_core_is_one_that_the_process_may_use(monkeypatch, capsys):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5}, raising=False)
    parser = arguments.parser("part", None, 7)
    assert parser.parse_args([]).core == 5
    assert parser.parse_args(["--core", "3"]).core == 3
    for wrong, says in [(["--core", "4"], "choose from 3, 5"), (["--rounds", "0"], "from 1")]:
        with pytest.raises(SystemExit):
            parser.parse_args(wrong)
        assert says in capsys.readouterr().err.replace("'", "")


def test_contenders_take_turns_and_what_does_not_run_is_said(fakes):
    who = [fakes("a"), fakes("b", once=True), fakes("gone", "Absent"), fakes("late", "Late")]
    found = in_rounds([*who, fakes("c", times=8.0)], fakes.data, Limits(2, call=4, first=60))
    assert logged(fakes) == ["a", "b", "c", "a", "b", "c", "a", "c"]
    words = [one.words for one in found]
    assert words == ["", "", "no_such_package_at_all is not installed", "over 4 s", ""]
    assert [len(one.cpu) for one in found] == [2, 1, 0, 0, 2]
    assert [len(one.wall) for one in found] == [2, 1, 0, 0, 2]
    assert found[0].value == (4, "")
    assert all(one.peak > 1 for one in found if one.cpu) or sys.platform != "linux"


def test_whose_result_is_another_is_not_timed(fakes):
    check = {"a": "", "b": "its weights differ"}
    found = in_rounds(
        [fakes("a"), fakes("b")],
        fakes.data,
        Limits(2),
        check=lambda ours, one: check[one.name] if ours.name == "a" else "who is ours?",
    )
    assert [one.words for one in found] == ["", "its weights differ"]
    assert logged(fakes) == ["a", "b", "a", "a"]


def test_no_round_begins_when_a_contender_has_had_its_time(fakes):
    found = in_rounds([fakes("a"), fakes("b")], fakes.data, Limits(5, all=0))
    assert [len(one.cpu) for one in found] == [1, 1]


def test_a_process_is_held_to_its_core_and_its_limit(fakes):
    with stored(fakes.data) as path, processes([fakes("a")] * 3, path, core=0) as started:
        one, two, three = started
        assert [process.make(60).words for process in started] == ["", "", ""]
        assert one.call("run", "word", limit=60).value == (
            4,
            "--xla_cpu_multi_thread_eigen=false",
            "word",
        )
        if hasattr(os, "sched_setaffinity"):
            assert one.call("cores", limit=60).value == [0]
        assert one.call("fail", limit=60).words == "ValueError: no, not this"
        spent = one.call("child", limit=60)
        assert spent.cpu >= 0.25  # the child's, in ticks of the clock
        assert one.call("wait", limit=0.2).words == "over 0.2 s"
        assert one.call("run", limit=60).words  # it is gone
        assert two.call("die", limit=60).words == "ended with exit code 3"
        pid = three.call("start", limit=60).value
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def timed(name, cpu, words="", times=1.0, **more):
    wall = [2 * x for x in reversed(cpu)]
    contender = Contender(name, "", times=times, **more)
    return Timed(contender, words, first=9.0, cpu=list(cpu), wall=wall)


def test_a_ratio_is_taken_round_by_round():
    ours, other = timed("a", [1.0, 2.0, 4.0]), timed("b", [3.0, 2.0, 8.0], times=2.0)
    assert other.ratio(ours) == (2.0, 1.0, 3.0)
    assert other.ratio(ours, "wall") == (2.0, 1.0, 3.0)
    assert timed("c", [3.0, 3.0]).ratio(ours) == (2.25, 1.5, 3.0)
    assert other.compiling == 9 - 3 / 2
    other.take(Reply(cpu=1.0, wall=2.0, peak=3.0))
    other.take(Reply(cpu=1.0, wall=2.0, words="over 2 s"))
    assert (other.cpu[3:], other.wall[3:]) == ([2.0], [4.0])  # twice what was run
    assert (other.peak, other.words) == (3.0, "over 2 s")


def test_numbers_and_ratios_as_the_pages_write_them(tmp_path):
    assert [text.number(x) for x in (1234.5, 12.345, 1.2345, 0.012345)] == [
        *("1,234", "12.3", "1.23", "0.012")
    ]
    assert text.number(float("nan")) == "–"
    ours = timed("a", [1.0, 2.0, 4.0])
    assert text.ratio(timed("b", [3.0, 2.0, 8.0]), ours) == "**2.00** (1.00–3.00)"
    assert text.ratio(timed("b", [3.0], words="over 3 s"), ours) == "over 3 s"
    assert text.ratio(timed("b", [3.0]), timed("a", [], words="over 3 s")) == "–"
    assert text.seconds("x", timed("b", []), ours) == "| x | b | – | – | – |"
    assert text.commit(tmp_path) == "an unknown commit"


def test_a_command_runs_its_own_checkout(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no scripts/run.py"):
        Command(["--help"], str(tmp_path))
    script = tmp_path / "scripts" / "run.py"
    script.parent.mkdir()
    says = "f'{os.environ[\"PYTHONPATH\"]} {sys.argv[2]}'"
    code = f"import os, sys\nopen(sys.argv[1] + '.seen', 'w').write({says})"
    script.write_text(code, encoding="utf-8")
    Command([str(tmp_path / "a.yaml")], str(tmp_path)).run()
    assert (tmp_path / "a.yaml.seen").read_text("utf-8") == f"{tmp_path} --out"


@pytest.mark.parametrize("name", steps.SHAPES)
def test_all_batches_of_steps_are_whole(name):
    rows, columns, outputs, batch, Ks = steps.SHAPES[name]
    empty = np.broadcast_to(np.float32(0), (rows // batch * batch, columns))
    whole = steps.Problem(name, "softmax", empty, np.zeros(len(empty), int), outputs, batch, 0)
    for K in Ks:
        problem = steps.timed_for(whole, K, 0.3)
        per_epoch = len(empty) // batch
        assert problem.steps >= 5
        assert problem.steps < per_epoch or problem.steps % per_epoch == 0
    train = held_out(whole).train
    assert len(train.X) == train.steps * batch <= len(empty)
    assert len(steps.SHAPES) == 5


def small(name="digits", K=3):
    return steps.timed_for(steps.problem(name, quick=True), K, 0.001)


def test_fits_of_a_loop_are_those_columns_of_the_stack():
    problem = small()
    stack, loop = Stacked(problem, 5).run(), FitLoop(problem, 5, np.array([0, 4])).run()
    np.testing.assert_allclose(loop, stack[:, :, [0, 4]], atol=2e-6 * abs(stack).max())
    whole = timed("ours", [1.0])
    part = timed("loop", [1.0], settings={"columns": np.array([0, 4])})
    whole.value, part.value = stack, loop
    assert difference(whole, part) <= 2e-6
    assert check_weights(whole, part) == ""
    part.value = stack[:, :, [0, 3]]
    assert "differ from ours by" in check_weights(whole, part)


def test_peers_take_our_steps_and_log_our_numbers():
    jaxes = pytest.importorskip("benchmarks.sgd.jaxes", exc_type=ImportError)
    torches = pytest.importorskip("benchmarks.sgd.torches", exc_type=ImportError)
    for name in ("digits", "binary"):
        problem = small(name)
        ours = Stacked(problem, 3).run()
        made = [kind(problem, 3, log) for kind in (jaxes.Scan, jaxes.ByHand) for log in (0, 1)]
        made += [torches.Eager(problem, 3), torches.Vmap(problem, 3)]
        for one in made:
            np.testing.assert_allclose(one.run(), ours, atol=1e-5 * abs(ours).max())
        stack = Stacked(problem, 3).stack
        records = stack.advance(stack.start(*Stacked(problem, 3).zeros), problem.steps)
        for one in (made[1], made[3]):
            _, logged = one.fit(one.lr, one.l2, one.X, one.y, problem.order())
            for name, values in zip(NUMBERS, logged, strict=True):
                held = records.values[name]
                np.testing.assert_allclose(values[: len(held)], held, rtol=1e-4, atol=1e-6)


def test_the_quickest_learning_rate_is_the_first_at_the_loss():
    curves = {0.1: [3.0, 2.0, 1.0], 0.3: [2.5, 1.0, 1.5], 1.0: [9.0, 9.0, 9.0]}
    assert quickest(curves, 1.2) == (0.3, 2)
    assert quickest(curves, 2.5) == (0.3, 1)
    assert quickest(curves, 0.5) is None


def test_the_page_of_steps_has_its_rows_and_our_share():
    problem = replace(small(), steps=1000)
    names = [one.name for one in step_contenders(problem, 1)]
    assert len(names) == len(set(names)) == 13
    assert len(step_contenders(problem, 64)) == 13
    assert len(step_contenders(problem, 256)) == 10
    found = [timed(name, [(i + 1) * 0.5] * 3) for i, name in enumerate(names)]
    found[-1].words = "sklearn is not installed"
    measured = [Steps(problem, 1, found, timed("products", [0.1]), found[:2])]
    lines = step_page(measured, "here", 3, "").splitlines()
    at = [line for line in lines if line.startswith("| JAX vmap+scan |")]
    assert at == [
        f"| JAX vmap+scan | 3,500 | **7.00** (7.00–7.00) | **7.00** (7.00–7.00) | 5.5 | "
        f"{4 * 128 * 64 * 10 / 3.5e-3 / (2 * 2048**3 / 0.1):.0%} | – |"
    ]
    missing = f"| {names[-1]} | 6,500 | sklearn is not installed | – | – | – | – |"
    assert missing in lines
    share = next(line for line in lines if line.startswith("| digits"))
    assert share.split(" | ")[2:4] == ["0.143", "0.125"]  # vmap+scan is seventh, by hand eighth
    assert "K = 1: all cores, by the clock" in "".join(lines)


def test_the_command_times_ours_alone_where_asked(tmp_path, capsys):
    words = ["--quick", "--problem", "binary", "--columns", "2", "--only", "nothing like it"]
    sgd_command.main([*words, "--rounds", "1", "--out", str(tmp_path), "--name", "here"])
    written = (tmp_path / "sgd-here.md").read_text("utf-8")
    assert "## 200000x28 binary, K = 2" in written
    assert written.count("\n| ours |") == 1
    assert written.strip() in capsys.readouterr().out


def test_every_part_has_a_command():
    from importlib import import_module

    assert len(ALL_PARTS) == 7
    for module, _ in ALL_PARTS.values():
        assert callable(import_module(module).main)


def empty(rows: int, columns: int, outputs: int, folds: int) -> Case:
    X = np.broadcast_to(np.float32(0), (rows, columns))
    return Case("empty", "softmax", X, np.zeros(rows, int), outputs, folds)


@pytest.mark.parametrize("folds", [1, 5])
@pytest.mark.parametrize("name", SIZES)
def test_all_batches_of_the_whole_and_of_its_parts_are_whole(name, folds):
    whole = empty(*SIZES[name], folds)
    assert len(SIZES) == 4
    for K in (16, 1024):
        work = stacked(whole, K, 0.4)
        cut = work.of(whole)
        assert cut.train_rows % BATCH == 0
        assert work.times == pytest.approx(len(whole.X) / len(cut.X) * 3 / cut.epochs)
        one = stacked(whole, K, 0.001, apart=True)
        assert one.of(whole).only == 1
        assert one.times / (3 / one.epochs) == folds * len(whole.X) / len(one.of(whole).X)
        assert len(work.lr) == K
        assert bool(work.words) == (len(cut.X) < len(whole.X))


def test_a_loop_runs_fewer_trials_then_folds_then_epochs():
    whole = empty(1000, 3, 2, 5)
    ran = [looped(whole, 16, seconds, 1.0) for seconds in (100, 10, 2, 0.1)]
    parts = [(len(w.lr), w.only, w.epochs) for w in ran]
    assert parts == [(16, None, 3), (2, 5, 3), (1, 2, 3), (1, 1, 1)]
    assert [w.times for w in ran] == [1, 8, 40, 240]
    assert ran[3].words == "1 trial, 1 of 5 folds, 1 of 3 epochs"
    assert len(looped(whole, 16, 0.1, 1.0, least=2).lr) == 2


def test_the_grid_has_every_pair_once():
    lr, l2 = grid(64)
    assert len(set(zip(lr, l2, strict=True))) == 64
    assert len(set(lr)) == len(set(l2)) == 8


@pytest.mark.parametrize("folds", [1, 5])
def test_our_sweep_is_our_loop_in_the_order_of_the_grid(folds):
    one, work = case("digits", folds, quick=True), Work(*grid(4))
    loop = Loop(one, work).run()
    assert len(set(loop.tolist())) == 4
    np.testing.assert_allclose(Trained(one, work).run(), loop, rtol=1e-5)
    np.testing.assert_allclose(Whole(one, work).run(), loop, rtol=1e-5)


def test_memory_is_measured_on_all_rows_and_a_few_steps():
    whole = case("327000", 1, quick=True)
    assert few_steps(whole, 16, looped=False).of(whole).fit_steps == 2
    assert len(few_steps(whole, 16, looped=False).lr) == 16
    assert len(few_steps(whole, 16, looped=True).lr) == 2


def test_the_page_of_sweeps_has_a_row_for_each_contender():
    names = [way.name for way in WAYS]
    timings = [timed(name, np.array([2.0, 3.0, 4.0]) * (i + 1)) for i, name in enumerate(names)]
    timings[1].contender = replace(timings[1].contender, words="250 rows")
    timings[2].words = "over 60 s"
    measured = Measured("3 x 2", 5, {16: timings, 64: timings}, dict.fromkeys(names, 0.5))
    measured.peaks[names[0], 64] = 1234.5
    lines = page([measured], "here", 3, "").splitlines()
    rows = [line for line in lines if line.startswith("| ") and "contender" not in line]
    assert len(rows) == 2 * len(names)
    assert "## 3 x 2, 5 folds, K = 64" in lines
    cells = "12.0 | **2.00** (2.00–2.00) | 6.00 | **2.00** (2.00–2.00) | – | 5e-01 |"
    assert f"| {names[1]} [250 rows] | {cells}" in rows
    assert f"| {names[2]} | – | over 60 s | – | – | – | 5e-01 |" in rows
    assert f"| {names[0]} | 6.00 | **1.00** (1.00–1.00) | 3.00 | " in rows[len(names)]
    assert "| 1,234 |" in rows[len(names)]


def two_classes(rows: int = 60) -> solvers.Case:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((rows, 4))
    y = (X[:, 0] + rng.standard_normal(rows) > 0).astype(np.int64)
    return solvers.Case("tiny", "logistic", X, y, 1)


def three_classes() -> solvers.Case:
    one = two_classes()
    return replace(one, model="softmax", y=one.y + (one.X[:, 1] > 1), outputs=3)


TASKS = {
    "logistic": penalties(two_classes(), 3, 1),
    "one penalty, softmax": penalties(three_classes(), 1, 1),
    "folds": penalties(three_classes(), 2, 5),
    "ridge": ridge(two_classes(), 1, K=3),
    "ridge, folds": ridge(two_classes(), 5, K=3),
    "lasso": lasso(two_classes(), K=4, ratio=0.1),
    "l1": sparse(two_classes(), K=3, ratio=0.1),
}


@pytest.mark.parametrize("name", TASKS)
def test_solvers_reach_the_same_objective(name):
    pytest.importorskip("sklearn")
    task = TASKS[name]
    others = ("others.", "search")  # not installed with the tests, or slow to start
    who = [way for way in ways(task) if not any(word in way.at for word in others)]
    measured = measure(task, PATIENT, who=who)
    slow = {"scikit-learn liblinear, cold", "scikit-learn saga, warm"}  # an intercept, the last bit
    for result in measured.results:
        if result.way.checked and result.way.name not in slow:
            assert not result.timed.words, result.way.name
            assert result.gap <= task.target
            assert task.form != "l1" or result.support >= task.K - 1  # where all weights just are 0
    assert len(measured.results) == len(who) >= 2 - (name == "folds")
    assert not measured.lowered
    made = solver_page([measured], "here", ["a note"], PATIENT, "")
    lines = [line for line in made.splitlines() if line.startswith(f"| {task.K} | ")]
    assert len(lines) == len(who)
    assert "\n- a note\n" in made


def test_zero_weights_are_where_gaps_are_counted_from():
    for task in TASKS.values():
        if task.folds == 1:
            shape = (4, task.case.outputs, task.K)
            bias = np.full(shape[1:], task.case.y.mean() if task.case.model == "linear" else 0)
            start = task.objective([(np.zeros(shape), bias)])
            np.testing.assert_allclose(start, np.repeat(task.start, task.K, axis=1))


def test_what_is_not_installed_or_fails_is_said():
    pytest.importorskip("sklearn")
    task = TASKS["logistic"]
    absent = Way("absent", "no_such_module.function")
    failing = Way("failing", "sklearns.logistic", settings={"solver": "none such"})
    measured = measure(task, PATIENT, who=[ways(task)[0], absent, failing])
    words = [result.timed.words for result in measured.results]
    assert words[:2] == ["", "benchmarks.solvers.no_such_module is not installed"]
    assert words[2].startswith("InvalidParameterError: ")
    assert words[2].endswith(" at 1e-02")
    assert not measured.results[1].timed.cpu
    made = solver_page([measured], "here", [], PATIENT, "")
    assert f"| 3 | absent | – | {words[1]} | – | – | – |" in made


def test_a_part_has_its_tasks():
    counts = {part: len(list(tasks(two_classes(), [part], [1, 2]))) for part in PARTS}
    assert counts == {"l2": 2, "folds": 2, "ridge": 0, "lasso": 0, "l1": 0}
    assert solvers.case("embeddings", None) is None
