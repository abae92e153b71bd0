"""LIBSVM text: what scikit-learn's reader reads, and one line for what no reader should."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import pytest
from data_helpers import prepared, write
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import dump_svmlight_file, load_svmlight_file

from trainer.data.frame import Labels
from trainer.data.sources import libsvm
from trainer.data.sources.libsvm import read_libsvm
from trainer.errors import DataError

GOOD = "+1 1:1 3:0.5\n-1 2:2\n+1 3:-1e-3\n"


def frame(folder: Path, content: str | bytes, name: str = "a.txt", **settings):
    return read_libsvm(write(folder, name, content), labels=False, **settings)


def table(folder: Path, content: str | bytes, name: str = "a.txt"):
    """[[label, x, x, ...], ...]"""
    read = frame(folder, content, name)
    return np.column_stack([read.target, read.features]).tolist()


ROWS = [[1, 1, 0, 0.5], [-1, 0, 2, 0], [1, 0, 0, -1e-3]]
SAME = {
    "as it is": GOOD,
    "without an end": GOOD[:-1],
    "CRLF": GOOD.replace("\n", "\r\n"),
    "tabs and blanks": GOOD.replace(" ", " \t ").replace("\n", "  \n"),
    "blanks before": " " + GOOD.replace("\n", "\n  ").rstrip(" "),
    "empty lines": "\n\n" + GOOD.replace("\n", "\n \n"),
    "comments": "# é: 1:1\n" + GOOD.replace("\n", " # 4:1 :: \n") + "#",
    "byte order mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "numbers in other words": "1.0 01:+1. 3:5E-1\n-1e0 2:.2e1\n+1 1:0 3:-0.001\n",
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME)
def test_what_is_said_in_other_words_is_the_same(tmp_path, content):
    assert table(tmp_path, content) == ROWS


@pytest.mark.parametrize(("name", "pack"), [("a.gz", gzip.compress), ("a.bz2", bz2.compress)])
def test_compressed_files_are_read(tmp_path, name, pack):
    assert table(tmp_path, pack(GOOD.encode()), name) == ROWS


values = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-9, 9), st.just(0))


@given(
    st.integers(1, 6).flatmap(
        lambda D: st.lists(st.lists(values, min_size=D, max_size=D), min_size=1, max_size=8)
    ),
    st.booleans(),
    st.integers(1, 64),
)
@settings(deadline=None, max_examples=60)
def test_random_matrices_are_read_as_scikit_learn_reads_them(tmp_path_factory, X, from_zero, block):
    path = str(tmp_path_factory.mktemp("random") / "a.txt")
    dump_svmlight_file(np.array(X, float), np.arange(len(X)) / 3, path, zero_based=from_zero)
    right, y = load_svmlight_file(path, zero_based=from_zero)
    if right.nnz == 0:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(libsvm, "_BLOCK", block)  # rows across the ends of blocks
        read = read_libsvm(path, labels=False)
    first = int(read.names[0][1:])
    assert first == (0 if from_zero and right[:, 0].nnz else 1)
    shift = first - (0 if from_zero else 1)
    np.testing.assert_array_equal(read.features, right.toarray()[:, shift:])
    np.testing.assert_array_equal(read.target[:, 0], y)


def test_a_file_of_the_size_of_a9a_is_read_as_scikit_learn_does(tmp_path):
    rng = np.random.default_rng(0)
    lines = []
    for indices in np.argsort(rng.random((32_561, 123)), axis=1)[:, :14] + 1:
        lines.append(f"{rng.choice((-1, 1)):+d} " + " ".join(f"{i}:1" for i in np.sort(indices)))
    path = write(tmp_path, "a9a.txt", "\n".join(lines))
    read = read_libsvm(path, labels=True)
    right, y = load_svmlight_file(path)
    np.testing.assert_array_equal(read.features, right.toarray())
    assert isinstance(read.target, Labels)
    np.testing.assert_array_equal(np.array(read.target.values)[read.target.codes], y)


def test_columns_are_called_by_their_index(tmp_path):
    assert frame(tmp_path, "1 2:1 4:1\n").names == ("x1", "x2", "x3", "x4")
    assert frame(tmp_path, "1 0:1 2:1\n").names == ("x0", "x1", "x2")


def test_a_validation_file_is_read_by_index(tmp_path):
    train = {"libsvm": write(tmp_path, "a.txt", GOOD)}
    for text, rows in {"1 1:7\n": [[7, 0, 0]], "1 3:7\n-1\n": [[0, 0, 7], [0, 0, 0]]}.items():
        val = {"libsvm": write(tmp_path, "b.txt", text)}
        assert prepared("logistic", train, val=val).val.X.tolist() == rows
    done = prepared("logistic", train, val={"npz": write_npz(tmp_path), "features": "X",
                                            "target": "y"})  # fmt: skip
    assert done.val.X.tolist() == [[1, 2, 3]]  # a matrix: by position
    csv = {"table": write(tmp_path, "c.csv", "x3,y,x1,x2\n3,1,1,2\n"), "target": "y"}
    assert prepared("logistic", train, val=csv).val.X.tolist() == [[1, 2, 3]]


def write_npz(folder: Path) -> str:
    np.savez(folder / "v.npz", X=np.array([[1.0, 2, 3]]), y=np.array([1]))
    return str(folder / "v.npz")


def test_labels_are_numbers_or_classes_by_the_model(tmp_path):
    source = {"libsvm": write(tmp_path, "a.txt", "3 1:1\n1.0 1:2\n+3 1:3\n")}
    assert prepared("softmax", source).encoder.classes == [1, 3]
    assert prepared("softmax", source).train.y.tolist() == [1, 0, 1]
    assert prepared("linear", source).train.y.tolist() == [[3], [1], [3]]
    source = {"libsvm": write(tmp_path, "b.txt", "1 1:1\nnan 1:2\n2 1:3\n2 1:nan\n")}
    assert prepared("logistic", source, missing="drop").train.index.tolist() == [0, 2]
    assert prepared("logistic", source, missing="drop").encoder.classes == [1, 2]


BROKEN = {
    "no label": ("1 1:1\n2:1 3:1\n", "line 2: '2:1' stands where the label should"),
    "no label, blank": ("1 1:1\n  2:1\n", "line 2: '2:1' stands where the label should"),
    "text for a label": ("\ncat 1:1\n", "line 2: the label 'cat' is no number"),
    "several labels": ("1,2 1:1\n", "line 1: '1,2' is several labels, and one is read here; for"),
    "qid": ("1 qid:4 1:1\n", "line 1: 'qid:4' groups rows to be ranked"),
    "no colon": ("1 1:1 2\n", "line 1: '2' is not INDEX:VALUE"),
    "no value": ("1 1:1 2:\n", "line 1: '2:' is not INDEX:VALUE"),
    "no index": ("1 :1\n", "line 1: ':1' is not INDEX:VALUE"),
    "two colons": ("1 1:2:3\n", "line 1: the value '2:3' of index 1 is no number"),
    "blank after the colon": ("1 1: 5\n", "line 1: '1:' is not INDEX:VALUE"),
    "text for a value": ("1 1:1\n1 1:x\n", "line 2: the value 'x' of index 1 is no number"),
    "a sign twice": ("1 1:+-1\n", "line 1: the value '+-1' of index 1 is no number"),
    "a sign alone": ("1 1:+\n", "line 1: the value '+' of index 1 is no number"),
    "a label that is a sign": ("+ 1:1\n", "line 1: the label '+' is no number"),
    "hexadecimal": ("1 1:0x10\n", "line 1: the value '0x10' of index 1 is no number"),
    "negative index": ("1 -1:1\n", "line 1: the index '-1' is no whole number from 1"),
    "index with a fraction": ("1 1.5:1\n", "line 1: the index '1.5' is no whole number from 1"),
    "index out of reach": ("1 99999999999999999999:1\n", "line 1: the index '99999999999999999999"),
    "falling": ("1 1:1\n1 3:1 2:1\n", "line 2: index 2 comes after 3; indices must rise"),
    "repeated": ("1 3:1 3:2\n", "line 1: index 3 comes after 3; indices must rise"),
    "line ends of old": ("1 1:1\r-1 2:1\r", "line 1: '-1' is not INDEX:VALUE"),
    "letters": ("1 1:1 é:2\n".encode(), "line 1: the index 'é' is no whole number from 1"),
    "digits of elsewhere": ("1 1:٣\n".encode(), "line 1: the value '٣' of index 1 is no number"),
    "UTF-16": (GOOD.encode("utf-16"), "is no text, or UTF-16"),
    "zeros": (b"1 1:1\n" + bytes(40), "is no text, or UTF-16"),
    "no rows": ("# nothing\n\n", "has no rows"),
    "no values": ("1\n-1\n", "has labels and no values"),
    "too wide": ("1 1:1\n-1 9999999999999:1\n", "its first 2 rows of 9,999,999,999,999 columns"),
    "infinite": ("1 1:1\n\n0 1:inf\n", "row 1 (line 3), column 'x1': is infinite"),
    "missing": ("1 1:1\n\n0 1:nan\n", "row 1 (line 3), column 'x1': is missing or NaN"),
    "overflow": ("1 1:1\n\n0 1:1e999\n", "row 1 (line 3), column 'x1': is infinite"),
    "missing label": ("1 1:1\n\nnan 1:1\n", "row 1 (line 3), target 'y': is missing or NaN"),
    "infinite label": ("1 1:1\n\ninf 1:1\n", "row 1 (line 3): inf is no label"),
    "fraction for a label": ("1 1:1\n\n0.5 1:1\n", "row 1 (line 3): 0.5 is no label"),
    "three labels": ("0 1:1\n1 1:1\n2 1:1\n", "target 'y': has 3 classes (0, 1, 2); logistic"),
    "labels that no float holds": (
        "9007199254740993 1:1\n1 1:1\n", "row 0 (line 1): the label 9007199254740992 is too large"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_one_line_that_says_where(tmp_path, content, says):
    source = {"libsvm": write(tmp_path, "a.txt", content)}
    with pytest.raises(DataError) as caught:
        prepared("logistic", source)
    assert str(caught.value).startswith(f"{tmp_path / 'a.txt'}: {says}")
    assert len(str(caught.value).splitlines()) == 1


def test_the_line_is_counted_over_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(libsvm, "_BLOCK", 16)
    with pytest.raises(DataError, match="line 103: the value 'x'"):
        frame(tmp_path, "1 1:1\n#\n" + "1 1:1\n" * 100 + "1 2:x\n")


def test_a_line_without_an_end_is_not_read_to_the_end_of_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(libsvm, "_BLOCK", 1 << 10)
    monkeypatch.setattr(libsvm, "_LONGEST_LINE", 1 << 16)
    packed = gzip.compress(b"1 " * (1 << 20))
    with pytest.raises(DataError, match=r"has a line of over 0\.0625 MiB"):
        frame(tmp_path, packed, "a.gz")


HELD = {
    "beyond": ("1 1:1\n1 4:1\n", "line 2: the training source has no index 4, only 1 to 3; write"
               " 4:0 in a training row"),
    "before": ("1 0:1\n", "line 1: the training source has no index 0, only 1 to 3; add 1 to each"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "says"), HELD.values(), ids=HELD)
def test_an_index_that_training_does_not_have_is_a_fault(tmp_path, content, says):
    train = {"libsvm": write(tmp_path, "a.txt", GOOD)}
    val = {"libsvm": write(tmp_path, "b.txt", content)}
    with pytest.raises(DataError) as caught:
        prepared("logistic", train, val=val)
    assert f"b.txt: {says}" in str(caught.value)


def test_indices_say_nothing_about_the_columns_of_another_kind(tmp_path):
    val = {"libsvm": write(tmp_path, "b.txt", "0 1:1\n")}
    with pytest.raises(DataError, match=r"b\.txt: is LIBSVM text, and the training source is not"):
        prepared("softmax", "digits", val=val)


def test_the_dense_size_is_computed_before_it_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(libsvm, "available_memory", lambda: 64 * 2**20)
    path = write(tmp_path, "a.txt", "1 1:1\n1 4194304:1\n")  # 64 MiB, and 32 are allowed
    with pytest.raises(DataError, match=r"rows of 4,194,304 columns take 64 MiB as a dense matrix"
                                        r", more than 32 MiB, half of the memory"):  # fmt: skip
        read_libsvm(path, labels=False)
    write(tmp_path, "a.txt", "1 1:1\n1 2097152:1\n")
    assert read_libsvm(path, labels=False).features.nbytes == 32 * 2**20
