"""Write trainer/data/bundled/*.parquet anew: `pip install scikit-learn plotnine`, then run this."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from sklearn.datasets import load_breast_cancer, load_digits

FOLDER = Path(__file__).resolve().parents[1] / "trainer" / "data" / "bundled"


def write(name: str, table: pa.Table) -> None:
    pa.parquet.write_table(
        table, FOLDER / f"{name}.parquet", compression="zstd", write_page_checksum=True
    )


def main() -> None:
    digits = load_digits()
    pixels = {f"pixel_{i // 8}_{i % 8}": digits.data[:, i].astype("uint8") for i in range(64)}
    write("digits", pa.table(pixels | {"digit": digits.target.astype("int64")}))

    cancer = load_breast_cancer()
    names = [name.replace(" ", "_") for name in cancer.feature_names]
    columns = dict(zip(names, cancer.data.T, strict=True))
    diagnosis = cancer.target_names[cancer.target].astype(str)
    write("breast_cancer", pa.table(columns | {"diagnosis": diagnosis}))

    found = importlib.util.find_spec("plotnine")  # found, not imported: it would draw in pandas
    if found is None or found.origin is None:
        raise SystemExit("plotnine is not installed; pip install plotnine")
    diamonds = pa.csv.read_csv(Path(found.origin).parent / "data" / "diamonds.csv")
    write("diamonds", diamonds)


if __name__ == "__main__":
    main()
