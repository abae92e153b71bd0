"""Tables of trials that anybody may have written: what no writer of ours puts there is refused."""

import pytest

from trainer.runs.tables import read_rows

HEADER = "trial,rank,status,reason,optimizer.lr,bias,epochs,grad_norm,val_loss,val_loss_count\n"
ROW = "0,1,finished,all epochs,0.1,true,3,0.5,0.25,2\n"


def test_a_table_of_ours():
    found = read_rows(HEADER + ROW + "1,,diverged,,sgd,false,0,nan,,\n", ("trial",))
    assert found[0]["optimizer.lr"] == 0.1
    assert found[1] == {
        "trial": 1, "rank": None, "status": "diverged", "reason": None, "optimizer.lr": "sgd",
        "bias": False, "epochs": 0, "grad_norm": found[1]["grad_norm"], "val_loss": None,
        "val_loss_count": None,
    }  # fmt: skip
    assert read_rows(HEADER, ("trial",)) == []


CASES = {
    "status": ("finished", "fine"),
    "trial": ("0,", "-1,"),
    "rank": (",1,", ",1.5,"),
    "epochs": (",3,", ",-3,"),
    "grad_norm": ("0.5", "x"),
    "val_loss": ("0.25", "<b>"),
    "val_loss_count": (",2\n", ",9007199254740993\n"),
    "digits": (",3,", f",{'9' * 5000},"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_cell_that_no_writer_writes(name):
    old, new = CASES[name]
    row = ROW.replace(old, new, 1)
    assert row != ROW
    with pytest.raises(ValueError, match=r"cannot be one|does not number|4300 digits"):
        read_rows(HEADER + row, ("trial",))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEADER.replace("rank", "trial") + ROW, "two columns have one name"),
        (HEADER + ROW + ROW, "two rows have the same trial"),
        (HEADER.replace("trial", "x") + ROW, "it has no column trial"),
        (HEADER + "0,1\n", "its rows are of different length"),
    ],
)
def test_a_table_that_no_writer_writes(text, why):
    with pytest.raises(ValueError, match=why):
        read_rows(text, ("trial",))


def test_a_long_text_is_no_fault():
    assert read_rows(HEADER + ROW.replace("all epochs", "x" * 200_000), ("trial",))
