"""A command line that is none, and what it was meant to be."""

import pytest

from trainer.config.checks.fault_messages import paths_called
from trainer.text.program import meant_command, meant_option

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
        ("--batchSize 8", "write optimizer.batch_size=8"),
        ("--learning-rate 0.1", "write optimizer.lr=0.1"),  # another tool's word
        ("--devise=cpu", "did you mean --device?"),
        ("--gpu", "write --device gpu"),
        ("--cuda", "write --device gpu"),
        ("--cpu", "write --device cpu"),
        ("--cfg a.yaml", "write stacked-trainer run a.yaml"),
        ("--lr", None),
        ("--walk 3", None),
        ("--lr --quiet", None),
    ],
)
def test_a_key_as_an_option(line, right):
    argv = ["a.yaml", *line.split()]
    assert meant_option(argv[1:2], argv, OPTIONS, paths_called) == right


COMMANDS = [
    ("--config=a.yaml", "--config is no command; write stacked-trainer run a.yaml"),
    ("--config=a.yaml lr=1", "--config is no command; write stacked-trainer run a.yaml lr=1"),
    ("--optimizer.lr=0.1 a.yaml", "for example stacked-trainer run CONFIG optimizer.lr=0.1"),
    ("-v", "did you mean --version?"),
    ("-V", "did you mean --version?"),
    ("help run", "did you mean stacked-trainer run --help?"),
    ("help", "did you mean stacked-trainer --help?"),
]


@pytest.mark.parametrize(("line", "right"), COMMANDS)
def test_what_stands_where_the_command_does(line, right):
    assert meant_command(line.split(), ["run", "report"]).endswith(right)


def test_a_file_with_a_space_can_be_copied():
    what = meant_command(["my file.yml", "a=b c"], ["run"])
    assert what.endswith("write stacked-trainer run 'my file.yml' 'a=b c'")


def test_a_long_word_is_cut():
    assert len(meant_command(["x" * 500], ["run", "report"])) < 120
