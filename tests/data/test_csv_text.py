"""Text files through Arrow: float64 where a column is numbers, text where it is not."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from data_helpers import prepared, write

from trainer.data.sources import csv_text, tables
from trainer.data.sources.column_roles import Roles
from trainer.data.sources.csv_options import DEFAULT
from trainer.errors import DataError


def numeric_spellings(count: int) -> list[str]:
    """Cells that are hard to read: all bits of a double, long digits, huge exponents, codes."""
    r = random.Random(0)
    makers = (
        lambda: repr(struct.unpack("d", struct.pack("Q", r.getrandbits(64)))[0]),
        lambda: str(r.randrange(10**25)),
        lambda: f"{r.randrange(10**18)}.{r.randrange(10**18)}",
        lambda: f"{r.randrange(10**19)}e{r.randrange(-340, 310)}",
        lambda: f"00{r.randrange(1000)}",
    )
    return [cell for _ in range(count) if "nan" not in (cell := r.choice(makers)())]


@pytest.mark.parametrize("odd", ["", "0,9,oops\n"], ids=["typed", "as text"])
def test_every_number_is_what_float_makes_of_its_cell(odd: str, tmp_path: Path) -> None:
    cells = numeric_spellings(5000)
    lines = "".join(f"{cell},{i},2\n" for i, cell in enumerate(cells))
    path = write(tmp_path, "a.csv", "x,y,z\n" + lines + odd)
    roles = Roles(("y",), categorical=("z",) if odd else ())
    frame = tables.read_table(path, roles, labels=False)
    assert isinstance(frame.features, tuple)
    x = frame.features[0]
    assert isinstance(x, np.ndarray)
    assert x.dtype == np.float64
    wanted = np.array([float(cell) for cell in cells])
    assert x[: len(cells)].tobytes() == wanted.tobytes()


def types_of(path: str, *names: str, texts: tuple[str, ...] = ()) -> dict[str, str]:
    head = csv_text.read_head(Path(path), DEFAULT)
    table = csv_text.read_columns(Path(path), DEFAULT, head, names, texts, 1 << 30)
    return {name: str(table[name].type) for name in names}


def test_columns_that_begin_with_numbers_are_read_as_numbers(tmp_path: Path) -> None:
    content = "a,b,c,d\n1,x,007,\n2.5,y,008,3\nNA,x,009,4\n"
    coded = str(pa.dictionary(pa.int32(), pa.string()))
    path = write(tmp_path, "a.csv", content)
    assert types_of(path, "a", "b", "c", "d", texts=("c",)) == {
        "a": "double",
        "b": coded,
        "c": coded,
        "d": "double",
    }


def test_a_word_late_in_a_column_of_numbers_is_found(tmp_path: Path) -> None:
    content = "x,z,y\n" + "".join(f"{i},{i},{i}\n" for i in range(500)) + "1,oops,2\n"
    path = write(tmp_path, "a.csv", content)
    assert types_of(path, "x", "z", "y")["x"] == "string"
    with pytest.raises(DataError, match=r"row 500 \(line 502\), column 'z': 'oops'"):
        prepared("linear", {"table": path, "target": "y"})
    frame = tables.read_table(path, Roles(("y",), drop=("z",)), labels=False)
    assert isinstance(frame.features, tuple)
    assert isinstance(frame.features[0], np.ndarray)


def test_a_header_over_several_lines_and_blank_lines_before_it(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", '\n\n"two\nlines",y\n\n1,2\n3,4\n')
    frame = tables.read_table(path, Roles(("y",)), labels=False)
    assert frame.names == ("two\nlines",)
    assert frame.rows == 2
    assert frame.place(1) == "row 1 (line 7)"


def test_more_cells_than_the_header_in_every_row(tmp_path: Path) -> None:
    """As R's write.table has it: the first column, of row names, has no name."""
    path = write(tmp_path, "a.csv", "x,y\n1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match=r"row 0 \(line 2\): has 3 cells, the header has 2"):
        tables.read_table(path, Roles(("y",)), labels=False)


def test_true_and_false_are_1_and_0_beside_those(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "x,y\nTrue,1\nfalse,2\n1,3\n0.0,4\n,5\n")
    frame = tables.read_table(path, Roles(("y",)), labels=False)
    assert isinstance(frame.features, tuple)
    assert str(frame.features[0].tolist()) == "[1.0, 0.0, 1.0, 0.0, nan]"  # type: ignore[union-attr]
