"""A run on LIBSVM text from end to end, and predictions for more of it."""

import shutil

import pytest

from trainer.cli import main

TRAIN = "".join(f"{1 if i % 3 else -1:+d} 1:{i % 3} 3:1\n" for i in range(30))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("libsvm")
    (folder / "a9a").write_text(TRAIN)  # the data page's files have no ending
    (folder / "a9a.t").write_text("+1 1:2\n-1 3:1\n")
    (folder / "later").write_text("-1 3:1\n")
    (folder / "a.yaml").write_text(
        "model: logistic\ndata: {train: {libsvm: a9a}, val: {libsvm: a9a.t},"
        " test: [{name: later, libsvm: later}]}\n"
    )
    assert main(["run", str(folder / "a.yaml"), "--out", str(folder / "run"), "--quiet"]) == 0
    return folder


def predicted(trained, capsys, *args):
    code = main(["predict", str(trained / "run"), *map(str, args)])
    out, err = capsys.readouterr()
    return code, [line.split(",")[1] for line in out.splitlines()[1:]], err


@pytest.mark.parametrize("name", ["b", "b.t", "b.txt", "b.svm", "b.libsvm"])
def test_a_file_of_any_name_is_predicted_and_scored(trained, capsys, name):
    (trained / name).write_text("+1 1:2 3:1\nnan 3:1\n-1\n")
    code, labels, err = predicted(trained, capsys, trained / name)
    assert (code, labels) == (0, ["1", "-1", "-1"])
    assert "accuracy 1," in err  # of two: a label that is nan is not known


def test_names_in_a_table_are_indices(trained, capsys):
    (trained / "b.csv").write_text("x3,x2,x1\n1,0,2\n1,0,0\n")
    assert predicted(trained, capsys, trained / "b.csv") == (0, ["1", "-1"], "")


def test_an_index_that_training_did_not_have_is_passed_over_with_a_word(trained, capsys):
    (trained / "c.txt").write_text("+1 1:2 4:1\n")
    code, labels, err = predicted(trained, capsys, trained / "c.txt")
    assert (code, labels) == (0, ["1"])
    assert "index above" in err or "indices above" in err, err


def test_indices_say_nothing_to_a_model_of_other_columns(trained, capsys, tmp_path):
    (tmp_path / "d.csv").write_text("x1,y\n0,0\n1,1\n0,0\n1,1\n")
    (tmp_path / "d.yaml").write_text(
        "{model: logistic, data: {train: {table: d.csv, target: y}, val: none}}"
    )
    assert main(["run", str(tmp_path / "d.yaml"), "--out", str(tmp_path / "r"), "--quiet"]) == 0
    capsys.readouterr()
    shutil.copy(trained / "a9a", tmp_path / "d.svm")
    assert main(["predict", str(tmp_path / "r"), str(tmp_path / "d.svm")]) == 2
    assert "is LIBSVM text, and the training source is not" in capsys.readouterr().err
