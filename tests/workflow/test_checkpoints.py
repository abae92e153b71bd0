"""When checkpoints are written: on a clock that the test sets."""

import contextlib

import pytest

from trainer.config import load_spec
from trainer.workflow.checkpoints import FACTS, REFIT, SWEEP, Checkpoints

SMALL = {"model": "softmax", "data": {"train": "digits"}}


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Folder:
    """A folder whose checkpoints take some seconds each."""

    def __init__(self, clock, takes=0.0):
        self.clock, self.takes, self.written = clock, takes, []

    @contextlib.contextmanager
    def spared(self, part):
        yield

    def checkpoint(self, saved):
        self.clock.now += self.takes
        self.written.append((self.clock.now, saved))


class Scheduled:
    """A scheduler at the end of a round."""

    def __init__(self, name="n"):
        self.name = name

    def saved(self):
        return {"name": self.name}


def made(takes=0.0, **settings):
    clock = Clock()
    folder = Folder(clock, takes)
    spec = load_spec(SMALL | settings)
    return Checkpoints(folder, spec, {"data": "d"}, clock=clock), folder, clock


def at_round(checkpoints, stops=False, part=SWEEP):
    checkpoints.at_round(part, Scheduled(part), stops)


def test_one_is_due_every_five_minutes():
    checkpoints, folder, clock = made()
    for second in range(1200):
        clock.now = 1000.0 + second
        at_round(checkpoints)
    assert [at - 1000 for at, _ in folder.written] == [300, 600, 900]
    assert checkpoints.count == 3


def test_those_that_take_long_are_written_less_often():
    checkpoints, folder, clock = made(takes=20.0)
    for second in range(3000):
        clock.now = max(clock.now, 1000.0 + second)
        at_round(checkpoints)
    first, second, third = (at - 1000 for at, _ in folder.written)
    assert (first, second, third) == (320, 1340, 2360)
    assert checkpoints.seconds == 60
    assert checkpoints.seconds / 3000 <= 0.02 + 0.01  # the first counts before its cost is known


def test_as_often_as_is_asked_for():
    checkpoints, folder, clock = made(checkpoint={"minutes": 0.1})
    for second in range(60):
        clock.now = 1000.0 + second
        at_round(checkpoints)
    assert len(folder.written) == 9


@pytest.mark.parametrize(
    ("seconds", "stops", "written"), [(0.5, False, 0), (2.0, False, 1), (0.5, True, 1)]
)
def test_before_a_refit_where_there_is_something_to_lose(seconds, stops, written):
    checkpoints, folder, clock = made()
    clock.now += seconds
    checkpoints.before_refit(Scheduled(), stops)
    assert len(folder.written) == written


def test_at_a_signal_at_once():
    checkpoints, folder, _ = made()
    at_round(checkpoints, stops=True)
    assert len(folder.written) == 1


def test_none_are_none():
    checkpoints, folder, clock = made(checkpoint="none")
    clock.now += 1e6

    at_round(checkpoints)
    at_round(checkpoints, stops=True)
    checkpoints.before_refit(Scheduled(), stops=True)
    assert folder.written == []
    assert checkpoints.told() == {}


def test_that_of_a_refit_has_the_sweep_as_well():
    checkpoints, folder, _ = made()
    at_round(checkpoints)
    at_round(checkpoints, stops=True, part=REFIT)
    ((_, saved),) = folder.written
    assert saved == {FACTS: {"data": "d"}, SWEEP: {"name": SWEEP}, REFIT: {"name": REFIT}}


def test_what_they_cost_is_told():
    checkpoints, _, _ = made(takes=0.25)
    at_round(checkpoints, stops=True)
    assert checkpoints.told() == {"checkpoints": {"count": 1, "seconds": 0.25}}
