"""A command line that is none, and what it was meant to be."""

import pytest

from trainer.text.program import meant_command, meant_option

PATHS = ["seed", "data.seed", "optimizer.lr", "optimizer.batch_size", "penalty.l2"]
OPTIONS = ["--out", "--device", "--quiet"]


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("--optimizer.lr=0.1", "write optimizer.lr=0.1"),
        ("--optimizer.lr 0.1", "write optimizer.lr=0.1"),
        ("--seed 3", "write seed=3"),  # the shortest of two
        ("--batch-size=8", "write optimizer.batch_size=8"),
        ("--l2=[1,2]", "write 'penalty.l2=[1,2]'"),
        ("--of.mine=1", "write of.mine=1"),
        ("--devise=cpu", "did you mean --device?"),
        ("--cfg a.yaml", "write stacked-trainer run a.yaml"),
        ("--lr", None),
        ("--walk 3", None),
        ("--lr --quiet", None),
    ],
)
def test_a_key_as_an_option(line, right):
    argv = ["a.yaml", *line.split()]
    assert meant_option(argv[1:2], argv, OPTIONS, PATHS) == right


def test_a_file_with_a_space_can_be_copied():
    what = meant_command(["my file.yml", "a=b c"], ["run"])
    assert what.endswith("write stacked-trainer run 'my file.yml' 'a=b c'")


def test_a_long_word_is_cut():
    assert len(meant_command(["x" * 500], ["run", "report"])) < 120
