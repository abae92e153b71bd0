"""The compiled minimum with l1 against the active set: the same numbers, or none at all."""

from pathlib import Path

import numpy as np
import pytest

from trainer.machine.interrupted import Interrupted
from trainer.model import compiled
from trainer.solvers import active_set, compiled_sparse
from trainer.solvers.compiled_sparse import proven_minimum

pytestmark = pytest.mark.skipif(compiled.load()[0] is None, reason=compiled.load()[1])
SOURCE = Path(compiled.__file__).with_name("sparse.c").read_text(encoding="utf-8")


def quadratic(n, rows, seed=0, correlation=0.0, odd=True):
    """M, −c and l2 of a regression; where `odd` the second feature is constant."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, n)) + correlation * rng.standard_normal((rows, 1))
    if odd and n > 2:
        X[:, 1] = 0
    y = X[:, : min(5, n)].sum(axis=1) + rng.standard_normal(rows)
    return X.T @ X / rows, -X.T @ y / rows, rng.uniform(0, 0.2, n) * (seed % 2)


def both(M, c, l2, l1, start):
    """What is proven, or None, and what the active set finds."""
    given = M, l2, c + M @ start + l2 * start, l1, start
    return proven_minimum(*given, start), active_set.minimize(*given)


SIZES = [1, 2, 7, 16, 33, 64, 200]


@pytest.mark.parametrize("correlation", [0.0, 3.0])
@pytest.mark.parametrize("n", SIZES)
def test_it_is_the_active_sets_minimum_from_anywhere(n, correlation):
    proven = 0
    for seed in range(4):
        M, c, l2 = quadratic(n, 3 * n + 20, seed, correlation)
        for share in (1.5, 0.5, 0.1, 0.003):
            l1 = np.full(n, share * np.abs(c).max())
            l1[-1] = 0 if n > 1 else l1[-1]  # free, as a bias is
            near = active_set.minimize(M, l2, c, l1, np.zeros(n)).x
            far = 3 * np.random.default_rng(seed).standard_normal(n)
            for start in (np.zeros(n), far, near):
                kept = start.copy()
                found, right = both(M, c, l2, l1, start)
                assert (start == kept).all()
                if found is None:
                    continue
                proven += 1
                largest = max(1e-300, np.abs(right.x).max())
                assert ((found.x == 0) == (right.x == 0)).all()
                assert np.abs(found.x - right.x).max() <= 1e-11 * largest
                slope = c + M @ found.x + l2 * found.x
                assert np.abs(found.slope - slope).max() <= 1e-13 * np.abs(c).max() * n
    assert proven >= 44  # of 48


@pytest.mark.parametrize("correlation", [0.0, 3.0])
def test_where_descent_begins_leaves_no_bit(correlation):
    M, c, l2 = quadratic(64, 100, 1, correlation)
    l1, start = np.full(64, 0.01 * np.abs(c).max()), np.zeros(64)
    start[::5] = 0.1  # some of these are 0 in the end
    given = M, l2, c + M @ start + l2 * start, l1, start
    first = proven_minimum(*given, start)
    assert (start[first.x == 0] != 0).any()
    for seed in range(6):
        near = np.random.default_rng(seed).standard_normal(64)
        other = proven_minimum(*given, near)
        assert (other.x == first.x).all()
        assert (other.slope == first.slope).all()


def twice():
    M, c, l2 = quadratic(12, 60, 2, odd=False)
    M[:, -1], c[-1] = M[:, 0], c[0]
    M[-1] = M[0]
    M[-1, -1] = M[0, 0]
    return M, c, l2, np.full(12, 0.1 * np.abs(c).max())


def at_the_first_corner():
    M, c, l2 = quadratic(12, 60)
    return M, c, l2, np.full(12, np.abs(c).max())


def fewer_rows_than_elements_without_l1():
    M, c, l2 = quadratic(30, 8)
    return M, c, l2, np.zeros(30)


def a_near_copy():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 6))
    X[:, -1] = X[:, 0] + 1e-4 * rng.standard_normal(60)
    return X.T @ X / 60, -X.T @ rng.standard_normal(60) / 60, np.zeros(6), np.zeros(6)


MADE = [twice, at_the_first_corner, fewer_rows_than_elements_without_l1, a_near_copy]


@pytest.mark.parametrize("made", MADE)
def test_what_may_not_be_the_only_one_is_the_active_sets(made):
    M, c, l2, l1 = made()
    assert both(M, c, l2, l1, np.zeros(len(c)))[0] is None


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_numbers_that_are_none_are_the_active_sets(odd):
    M, c, l2 = quadratic(12, 60)
    c[3] = odd
    start = np.zeros(12)
    assert proven_minimum(M, l2, c, np.full(12, 0.1), start, start) is None


def counted(monkeypatch, told):
    calls, (own, name) = [], compiled.load()
    library = own._replace(minimum=lambda n, *given: calls.append(n) or told)
    monkeypatch.setattr(compiled, "load", lambda: (library, name))
    return calls


GIVEN = *quadratic(12, 60)[::2], quadratic(12, 60)[1], np.full(12, 0.1), np.zeros(12)


def test_after_so_many_systems_it_gives_up(monkeypatch):
    calls = counted(monkeypatch, 0)
    assert proven_minimum(*GIVEN, GIVEN[-1]) is None
    assert len(calls) == compiled_sparse._TRIES


def test_it_asks_whether_to_stop_between_systems(monkeypatch):
    calls, asked = counted(monkeypatch, 0), []
    stop = lambda: asked.append(0) or len(asked) > 3  # noqa: E731
    with pytest.raises(Interrupted):
        proven_minimum(*GIVEN, GIVEN[-1], stop)
    assert (len(calls), len(asked)) == (3, 4)


def test_what_it_does_not_take(monkeypatch):
    assert proven_minimum(*GIVEN, GIVEN[-1]) is not None
    calls = counted(monkeypatch, 1)
    monkeypatch.setattr(compiled_sparse, "MOST", 11)
    assert proven_minimum(*GIVEN, GIVEN[-1]) is None
    monkeypatch.setattr(compiled_sparse, "MOST", 12)
    monkeypatch.setattr(compiled, "load", lambda: (None, "there is none"))
    assert proven_minimum(*GIVEN, GIVEN[-1]) is None
    assert calls == []


def test_a_path_is_laid_out_as_the_source_says():
    struct = SOURCE.partition("what stays from one corner to the next")[2]
    struct = struct.partition("typedef struct {")[2].partition("} path;")[0]
    lines = [line.partition("/*")[0] for line in struct.splitlines()]
    named = " ".join(lines)
    for word in ("const", "int64_t", "uint8_t", "double", "*", ",", ";"):
        named = named.replace(word, " ")
    assert named.split() == [name for name, _ in compiled_sparse._Path._fields_]
    assert len(named.split()) == 15
