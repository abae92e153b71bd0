"""What people see: lines and bars that fit, and strings that are shown letter by letter."""

from __future__ import annotations

import io
import itertools
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from trainer.console import progress as progress_module
from trainer.console.terminal import Terminal
from trainer.errors import DiskError
from trainer.text.printable import Sentence, Verbatim, printable

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PATH = Path("/a/very/long/path/with some spaces/" + "and-parts/" * 20 + "model.json")


class Tty(io.StringIO):
    """A terminal to write to."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        return ANSI.sub("", self.getvalue())


class Broken(io.StringIO):
    """A stream that nobody reads any more."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


@pytest.fixture(autouse=True)
def a_terminal_of_40_columns(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "24")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    return now


# Lines.


@pytest.mark.parametrize("stream", [io.StringIO, Tty])
def test_a_line_is_shown_and_logged(stream):
    shown, logged = stream(), []
    Terminal(logged.append, stream=shown).line("digits: 1,797 rows")
    assert ANSI.sub("", shown.getvalue()) == "digits: 1,797 rows\n"
    assert logged == ["digits: 1,797 rows"]


@pytest.mark.parametrize("stream", [io.StringIO, Tty])
def test_the_user_s_strings_are_no_markup(stream):
    shown = stream()
    terminal = Terminal(stream=shown)
    odd = "[bold]x[/bold] [/] :smile: [link=http:a]b[/link] \x1b[31mred\a\r\t ŷ"
    as_shown = r"[bold]x[/bold] [/] :smile: [link=http:a]b[/link] \x1b[31mred\x07\r\t ŷ"
    terminal.line(odd)
    terminal.error(odd)
    terminal.summary([("odd", Path(odd))])
    plain = ANSI.sub("", shown.getvalue())
    assert plain.count(as_shown) == 3
    assert "\x07" not in shown.getvalue()
    assert "\r" not in shown.getvalue()


def test_printable_keeps_lines():
    assert printable("a\nb\u2028\ud800\u202e é日") == "a\nb\\u2028\\ud800\\u202e é日"


def test_a_path_is_never_broken():
    shown = Tty()
    terminal = Terminal(stream=shown)
    terminal.line(f"see {PATH}")
    terminal.summary([("run folder", PATH), ("predict", Verbatim(f"trainer predict {PATH}"))])
    with terminal.progress(10):
        terminal.line(f"during {PATH}")
    assert shown.text().count(str(PATH)) == 4
    assert f"trainer predict {PATH}" in shown.text()


def test_plain_lines_carry_no_codes():
    shown = io.StringIO()
    terminal = Terminal(stream=shown)
    terminal.summary([("a", "b " * 100)])
    with terminal.progress(10) as progress:
        progress.update(5, 1, 0.5)
    assert shown.getvalue() == f"{'a':13}{'b ' * 100}\n"


@pytest.mark.parametrize("name", ["dumb", "unknown"])
def test_a_terminal_that_cannot_redraw_gets_plain_lines(monkeypatch, clock, name):
    monkeypatch.setenv("TERM", name)
    shown = Tty()
    terminal = Terminal(stream=shown)
    terminal.line("a")
    with terminal.progress(10) as progress:
        clock[0] += 10
        progress.update(5, 1, 0.5)
    assert shown.getvalue() == "a\n 50%  step 5  epoch 1  loss 0.5000  0:10 left\n"


def test_a_summary_lines_up_and_wraps_words():
    shown, logged = Tty(), []
    terminal = Terminal(logged.append, stream=shown)
    terminal.summary([("data", "digits: 1,797 rows x 64 columns; 1,438 train, 359 val")])
    terminal.summary([("device", "cpu"), ("a longer label", "x" * 50)])
    lines = shown.text().splitlines()
    assert lines == [
        "data         digits: 1,797 rows x 64",
        "             columns; 1,438 train, 359",
        "             val",
        "device          cpu",
        "a longer label  " + "x" * 50,
    ]
    assert logged[0] == "data         digits: 1,797 rows x 64 columns; 1,438 train, 359 val"


SENTENCES = {
    "a path with spaces": (
        "/data of the spring/second half/my rows.csv",
        "{}: 240 rows x 6 columns",
    ),
    "a path at the end": (
        "C:\\My Documents\\the rows of spring.csv",
        "trial 0, the best: table {}",
    ),
    "a path that comes twice": ("runs/my first run", "{} has no model; {} has one in it, they say"),
    "a path as wide as two rows": ("/a b" * 40, "rows of {} dropped for missing values"),
    "a path between hyphens": ("a-b c-d/e-f g-h.parquet", "the file is called-{}-and no other"),
}


@pytest.mark.parametrize("kind", SENTENCES)
def test_a_path_in_a_sentence_is_never_broken(monkeypatch, kind):
    assert len(SENTENCES) == 5
    path, words = SENTENCES[kind]
    said = words.format(*[path] * words.count("{}"))
    for columns in (40, 60, 61, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        stream, log = Tty(), []
        terminal = Terminal(log.append, stream=stream)
        terminal.summary([("data", Sentence(said, (path, "", "not in it")))])
        shown = stream.text()
        assert shown.count(path) == words.count("{}")
        assert " ".join(shown.split()) == " ".join(f"data {said}".split())
        assert log == [f"{'data':13}{said}"]
        rest = [row for row in shown.split("\n") if path not in row]
        assert all(len(row) <= columns for row in rest)


def test_quiet_shows_errors_only_and_logs_all():
    shown, logged = io.StringIO(), []
    terminal = Terminal(logged.append, quiet=True, stream=shown)
    terminal.line("line")
    terminal.summary([("label", "value")])
    with terminal.progress(10) as progress:
        progress.update(5, 1, 0.5)
    assert shown.getvalue() == ""
    terminal.error("a.yaml:1:1: wrong")
    assert shown.getvalue() == "a.yaml:1:1: wrong\n"
    assert logged == ["line", f"{'label':13}value", "a.yaml:1:1: wrong"]


def test_a_quiet_terminal_draws_no_bar():
    shown = Tty()
    with Terminal(quiet=True, stream=shown).progress(10) as progress:
        progress.update(5, 1, 0.5)
    assert shown.getvalue() == ""


def test_lines_before_the_folder_reach_its_log_first():
    logged = []
    terminal = Terminal(stream=io.StringIO())
    assert terminal.log_path is None
    terminal.line("one")
    terminal.attach(logged.append, Path("run.log"))
    terminal.line("two")
    assert logged == ["one", "two"]
    assert terminal.log_path == Path("run.log")


def test_a_log_that_refuses_is_heard_of_once():
    def refuse(text: str) -> None:
        raise DiskError("run.log: cannot write")

    shown = io.StringIO()
    terminal = Terminal(refuse, stream=shown)
    with pytest.raises(DiskError):
        terminal.line("a")
    terminal.error("run.log: cannot write")
    assert shown.getvalue() == "a\nrun.log: cannot write\n"


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(5, "EIO"), ValueError("closed file")], ids=repr
)
@pytest.mark.parametrize("tty", [True, False])
def test_a_stream_that_breaks_falls_silent(error, tty):
    stream, logged = Broken(error), []
    stream.isatty = lambda: tty
    terminal = Terminal(logged.append, stream=stream)
    terminal.line("a")
    terminal.error("b")
    with terminal.progress(10) as progress:
        progress.update(10, 1, 0.5)
    assert logged == ["a", "b"]


def test_no_standard_error_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    Terminal().line("a")


def test_a_stream_that_knows_few_letters():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    Terminal(stream=stream).line("ŷ and ÿ")
    assert raw.getvalue() == b"\\u0177 and \\xff\n"


# The bar.


def frame(width: int, encoding: str = "utf-8", **update: object) -> list[str]:
    """The bar as it is drawn."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, force_terminal=True)
    with Terminal(quiet=True).progress(1000, 30) as progress:
        progress.update(**{"step": 450, "epoch": 14, "loss": 0.1234567, **update})
        lines = console.render_lines(progress, console.options)
    return ["".join(segment.text for segment in line) for line in lines]


@pytest.mark.parametrize("width", range(20, 201, 4))
@pytest.mark.parametrize("name", ["val_r2", "val_accuracy", "val_balanced_accuracy"])
def test_the_bar_fits(width, name):
    lines = frame(width, metric_name=name, metric=0.98765)
    assert 1 <= len(lines) <= 3
    assert all(len(line) <= width for line in lines)
    text = " ".join(line.strip() for line in lines)
    assert "━" in lines[0]
    assert " 45%" in lines[0]
    assert "loss 0.1235" in text
    if width >= 28:
        assert f"{name} 0.9877" in text


def test_a_wide_bar_is_one_line():
    (line,) = frame(200, metric_name="val_accuracy", metric=0.98765)
    assert re.fullmatch(
        r"epoch 14/30  ━{18}─{22}   45%  loss 0\.1235  val_accuracy 0\.9877  \d:\d\d left *", line
    )


def test_a_narrow_bar_has_its_numbers_below():
    first, second = frame(40, metric_name="val_accuracy", metric=0.98765)
    assert re.fullmatch(r"━{10}─{13}   45%  \d:\d\d left", first)
    assert second.rstrip() == "loss 0.1235  val_accuracy 0.9877"


def test_a_bar_where_there_are_few_letters():
    (line,) = frame(200, encoding="ascii")
    assert "#" * 18 + "-" * 22 in line


@pytest.mark.parametrize(
    ("loss", "shown"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (0.0, "0.000"),
        (1e-9, "1.000e-09"),
        (123456.0, "1.235e+05"),
        (1234.0, "1234"),
    ],
)
def test_numbers(loss, shown):
    assert f"loss {shown}  " in frame(200, loss=loss)[0]


def test_before_the_first_step_and_after_the_last():
    assert "   0%  -:-- left" in frame(200, step=0, loss=None)[0].replace("─", "")
    assert "100%" in frame(200, step=1000)[0]
    with Terminal(stream=Tty()).progress(0) as progress:
        progress.update(0, 0)


def test_a_metric_stays_until_the_next(clock):
    shown = Tty()
    with Terminal(stream=shown).progress(100) as progress:
        progress.update(10, 1, 0.5, "val_r2", 0.25)
        clock[0] += 1
        progress.update(20, 1, 0.4)
    assert "val_r2 0.2500" in shown.text()


@pytest.mark.parametrize(
    ("step", "left"),
    [(1, "1:22:30 left"), (50, "0:50 left"), (99, "0:01 left"), (100, "0:00 left")],
)
def test_the_time_left(clock, step, left):
    shown = Tty()
    with Terminal(stream=shown).progress(100) as progress:
        clock[0] += 50.0
        progress.update(step, 1)
    assert left in shown.text()


def test_ten_redraws_a_second_at_most(clock, monkeypatch):
    with Terminal(stream=Tty()).progress(10_000) as progress:
        draws = []
        monkeypatch.setattr(progress.live, "refresh", lambda: draws.append(clock[0]))
        for step in range(1, 10_001):  # two seconds
            clock[0] += 0.0002
            progress.update(step, 1, 0.5)
    *timed, _ = draws  # the last one is that of the end
    assert 15 <= len(timed) <= 20
    assert min(b - a for a, b in itertools.pairwise(timed)) > 0.0999


def test_the_bar_is_gone_afterwards_and_the_cursor_back():
    shown = Tty()
    with Terminal(stream=shown).progress(10) as progress:
        progress.update(10, 1, 0.5)
    assert shown.getvalue().rindex("\x1b[?25h") > shown.getvalue().rindex("\x1b[?25l")
    assert shown.getvalue().endswith("\x1b[2K")


def lines_of(clock: list[float], seconds: float, steps: int, stream: io.StringIO) -> list[str]:
    logged: list[str] = []
    with Terminal(logged.append, stream=stream).progress(steps, 10) as progress:
        for step in range(1, steps + 1):
            clock[0] += seconds / steps
            progress.update(step, step * 10 // steps, 0.5)
    return logged


@pytest.mark.parametrize(
    ("seconds", "least", "most"), [(1.0, 0, 0), (10.0, 4, 5), (100.0, 9, 10), (3600.0, 110, 130)]
)
def test_lines_of_progress_come_now_and_then(clock, seconds, least, most):
    shown = io.StringIO()
    logged = lines_of(clock, seconds, 10_000, shown)
    assert least <= len(logged) <= most
    assert shown.getvalue().splitlines() == logged


def test_a_bar_leaves_the_same_lines_in_the_log(clock):
    logged = lines_of(clock, 100.0, 1000, Tty())
    assert logged == lines_of(clock, 100.0, 1000, io.StringIO())
    assert logged[0] == " 10%  step 100  epoch  1/10  loss 0.5000  1:30 left"


def test_the_time_left_of_a_run_that_goes_on_is_of_its_own_steps(clock):
    shown = Tty()
    with Terminal(stream=shown).progress(1000, goes_on=True) as progress:
        clock[0] += 5.0
        progress.update(800, 1)  # nearly all of them another process's
        clock[0] += 10.0
        progress.update(900, 1)
    assert "0:10 left" in shown.text()


def test_the_time_left_of_a_sweep_that_goes_on_is_of_its_own_columns(clock):
    shown = Tty()
    with Terminal(stream=shown).sweep_progress(100, "val_loss", goes_on=True) as progress:
        for done in (80.0, 90.0):
            clock[0] += 10.0
            progress.update(lambda done=done: done, dict, list)
    assert "0:10 left" in shown.text()


def test_a_training_that_knows_how_far_it_is_needs_no_steps_for_it(clock):
    logged: list[str] = []
    progress = Terminal(logged.append, stream=io.StringIO()).progress(1000, None, "iteration")
    with progress as bar:
        for iteration, done in ((20, 0.5), (30, 0.4)):  # a bar never shrinks
            clock[0] += 40.0
            bar.update(iteration, iteration, 0.5, done=done)
    assert logged == [
        " 50%  iteration 20  loss 0.5000  0:40 left",
        " 50%  iteration 30  loss 0.5000  1:20 left",
    ]
