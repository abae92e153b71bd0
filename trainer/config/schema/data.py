"""Where rows come from, how they are split, scaled and checked."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AfterValidator, Discriminator, Field, Tag

from trainer.catalog import BUNDLED, source_of
from trainer.config.schema.fields import (
    Absent,
    Block,
    Count,
    Expected,
    Name,
    Names,
    OneOf,
    OptionalName,
    PathText,
    Seed,
    Text,
    tag,
    word_or_list,
)


def _known_encoding(name: str) -> str:
    """Refuse what Python has no text encoding of that name for."""
    try:
        "".encode(name)
    except LookupError:
        raise ValueError from None
    return name


_Index = Annotated[int, Ge(0), Le(1_000_000)]
_Column = Annotated[Name | _Index, Expected("a name")]
_Columns = Annotated[tuple[_Column, ...], MinLen(1), Field(strict=False)]
_Word = Annotated[str | int | float, Expected("text or a number")]
_LETTER = r"^[\x01-\x09\x0b\x0c\x0e-\x7f]$"
_SEPARATOR = Expected('one character, such as ";" or "\\t"', ("none",))
_QUOTE = Expected('one character, such as "\'", or none', ("none",))

# One file, or shards of rows: a list of files, or a pattern such as a-*.csv.
_PATHS = Expected("the path of a file, a pattern or a list of paths")
FilePaths = Annotated[
    Annotated[PathText, _PATHS, Tag("<word>")]
    | Annotated[Annotated[tuple[PathText, ...], MinLen(1), Field(strict=False)], Tag("<list>")],
    Discriminator(word_or_list),
]
OptionalPaths = Annotated[FilePaths | None, Absent]


# Side by side: each file has some of the columns of all rows.
_BESIDE = Expected("a list of the paths of .npy files")
_Slice = Annotated[
    Annotated[str | None, Field(pattern=r"^[0-9]{0,9}:[0-9]{0,9}$")],
    Absent,
    Expected('a slice of columns, such as "0:768"', ("none",)),
    Field(
        description="The columns of X that are features, from the first to before the last.",
        examples=["0:768"],
    ),
]


class TableSource(Block):
    """A table with named columns."""

    form = "table"
    table: FilePaths = Field(
        description="Path of a .csv, .csv.gz, .tsv or .parquet file, relative to this file; or of"
        " several, shards of rows.",
        examples=["a.csv"],
    )
    target: Annotated[
        Annotated[_Column, Tag("<word>")] | Annotated[_Columns, Tag("<list>")],
        Discriminator(word_or_list),
    ] = Field(
        description="The column to predict, or a list of them, or a pattern of names such as"
        " gene_*; an index with `header: none`.",
        examples=["y"],
    )
    columns: Annotated[Names | None, Absent] = Field(
        None,
        description="The feature columns; by default all but the target, the weight and the index"
        " of a pandas table.",
        examples=[["x1", "x2"]],
    )
    drop: Annotated[tuple[Text, ...], Field(strict=False)] = Field(
        (), description="Columns to leave out; '' is one without a name.", examples=[["id"]]
    )
    categorical: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        (),
        description="Columns of numbers to one-hot encode; text columns are, always.",
        examples=[["zip_code"]],
    )
    weight: OptionalName = Field(
        None,
        description="The column of row weights: of 2 a row is there twice, of 0 not at all.",
        examples=["w"],
    )
    group: OptionalName = Field(
        None,
        description="The column that says which rows belong together: no split or fold parts them.",
        examples=["patient"],
    )
    separator: Annotated[str | None, Field(pattern=_LETTER), Absent, _SEPARATOR] = Field(
        None,
        description="Between the cells of a text file; by default a tab in .tsv, else a comma.",
        examples=[";"],
    )
    decimal: Annotated[Literal[".", ","], Expected("a point or a comma", (".", ","))] = Field(
        ".", description="Before the fraction of a number in a text file.", examples=[","]
    )
    thousands: Annotated[
        str | None,
        Field(pattern=r"^[^\x00-\x1f0-9+eE-]$"),
        Absent,
        Expected('one character, such as ","', ("none",)),
    ] = Field(None, description="Between the thousands of a number in a text file.", examples=[","])
    header: Annotated[Literal["first", "none"], Expected()] = Field(
        "first",
        description="The first line of a text file names its columns; none: it is a row, and they"
        " are called x0, x1, …",
    )
    na_values: Annotated[tuple[_Word, ...] | None, Field(strict=False), Absent] = Field(
        None,
        description="Cells of a text file that are missing values, besides empty ones; a number is"
        " one however it is written (-999, -999.00). By default NA, N/A, n/a, NaN, nan, null and"
        " NULL.",
        examples=[["NA", "?"]],
    )
    encoding: Annotated[
        str, AfterValidator(_known_encoding), Expected("the name of an encoding, such as cp1252")
    ] = Field("utf-8", description="Of a text file.", examples=["cp1252"])
    quote: Annotated[str, Field(pattern=f"{_LETTER}|^none$"), _QUOTE] = Field(
        '"',
        description="Around cells of a text file that hold a separator; none: nothing is.",
        examples=["'"],
    )

    @property
    def target_names(self) -> tuple[str, ...]:
        """The target columns; one that is given by its index is called so, as in x3."""
        several = self.target if isinstance(self.target, tuple) else (self.target,)
        return tuple(name if isinstance(name, str) else f"x{name}" for name in several)


class NpySource(Block):
    """Arrays in .npy files, memory-mapped."""

    form = "npy"
    npy: FilePaths = Field(
        description="Path of X, (N, D); or of several, shards of rows.", examples=["X.npy"]
    )
    target: FilePaths = Field(description="Path of y, (N,) or (N, C).", examples=["y.npy"])
    weight: OptionalPaths = Field(
        None, description="Path of the row weights, (N,).", examples=["w.npy"]
    )
    group: OptionalPaths = Field(
        None,
        description="Path of the groups, (N,): no split or fold parts the rows of one.",
        examples=["g.npy"],
    )
    columns: _Slice = None


class SideBySideSource(Block):
    """Arrays in several .npy files side by side, memory-mapped."""

    form = "features"
    features: Annotated[tuple[PathText, ...], MinLen(1), Field(strict=False), _BESIDE] = Field(
        description="Paths of X, each (N, d): their columns one after another.",
        examples=[["a.npy", "b.npy"]],
    )
    target: PathText = Field(description="Path of y, (N,) or (N, C).", examples=["y.npy"])
    weight: Annotated[PathText | None, Absent] = Field(
        None, description="Path of the row weights, (N,).", examples=["w.npy"]
    )
    group: Annotated[PathText | None, Absent] = Field(
        None,
        description="Path of the groups, (N,): no split or fold parts the rows of one.",
        examples=["g.npy"],
    )
    columns: _Slice = None


# the arrays of a file that holds several
_Features = Annotated[Name, Field(description="Name of the array X, (N, D).", examples=["X"])]
_Targets = Annotated[
    Name, Field(description="Name of the array y, (N,) or (N, C).", examples=["y"])
]
_Weights = Annotated[
    OptionalName, Field(description="Name of the array of row weights, (N,).", examples=["w"])
]
_Groups = Annotated[
    OptionalName,
    Field(
        description="Name of the array of groups, (N,): no split or fold parts the rows of one.",
        examples=["g"],
    ),
]


class NpzSource(Block):
    """Arrays in one .npz file."""

    form = "npz"
    npz: FilePaths = Field(
        description="Path of the archive; or of several, shards of rows.", examples=["f.npz"]
    )
    features: _Features
    target: _Targets
    weight: _Weights = None
    group: _Groups = None
    columns: _Slice = None


class SafetensorsSource(Block):
    """Arrays in one .safetensors file, memory-mapped; bfloat16 is read as float32."""

    form = "safetensors"
    safetensors: FilePaths = Field(
        description="Path of the file; or of several, shards of rows.", examples=["f.safetensors"]
    )
    features: _Features
    target: _Targets
    weight: _Weights = None
    group: _Groups = None
    columns: _Slice = None


class LibsvmSource(Block):
    """LIBSVM text: the label of a row and its values that are not 0."""

    form = "libsvm"
    libsvm: FilePaths = Field(
        description="Path of the file, which may be compressed as .gz or .bz2; or of several,"
        " shards of rows.",
        examples=["a9a.txt"],
    )


class Synthetic(Block):
    """The size of made-up data."""

    rows: Count = Field(60_000, description="Number of rows.")
    columns: Count = Field(784, description="Number of features.")
    outputs: Count = Field(10, description="Number of outputs: targets, labels or classes.")
    seed: Seed = Field(0, description="Seed of the rows and of the true weights.")


class SyntheticSource(Block):
    """Rows made up from a known model, for timing and tests."""

    form = "synthetic"
    synthetic: Synthetic = Field(description="The size of the data.", examples=[{"rows": 1000}])


class _Named(Block):
    name: Name = Field(description="Name of this test set in the results.", examples=["shifted"])
    classes: Annotated[Literal["all", "present"], Expected()] = Field(
        "all",
        description="Classes that are predicted here: all, or those alone that its labels have.",
    )
    metric: OptionalName = Field(
        None, description="The metric that its result begins with.", examples=["balanced_accuracy"]
    )


class NamedTable(TableSource, _Named):
    """A table among several test sets."""


class NamedNpy(NpySource, _Named):
    """Arrays in .npy files among several test sets."""


class NamedSideBySide(SideBySideSource, _Named):
    """Arrays in .npy files side by side among several test sets."""


class NamedNpz(NpzSource, _Named):
    """Arrays in a .npz file among several test sets."""


class NamedSafetensors(SafetensorsSource, _Named):
    """Arrays in a .safetensors file among several test sets."""


class NamedLibsvm(LibsvmSource, _Named):
    """LIBSVM text among several test sets."""


class NamedSynthetic(SyntheticSource, _Named):
    """Made-up rows among several test sets."""


def _source_form(value: Any) -> str | None:
    """Tell the forms of train, val and test apart; None: a mapping without a key that tells."""
    if isinstance(value, Block):
        return tag(value.form)
    if isinstance(value, dict):
        form = source_of(value)
        return tag(form) if form is not None else None
    return word_or_list(value)


Source = (
    Annotated[TableSource, Tag("<table>")]
    | Annotated[NpySource, Tag("<npy>")]
    | Annotated[NpzSource, Tag("<npz>")]
    | Annotated[SafetensorsSource, Tag("<safetensors>")]
    | Annotated[LibsvmSource, Tag("<libsvm>")]
    | Annotated[SyntheticSource, Tag("<synthetic>")]
    | Annotated[SideBySideSource, Tag("<features>")]
)


NamedSource = Annotated[
    Annotated[NamedTable, Tag("<table>")]
    | Annotated[NamedNpy, Tag("<npy>")]
    | Annotated[NamedNpz, Tag("<npz>")]
    | Annotated[NamedSafetensors, Tag("<safetensors>")]
    | Annotated[NamedLibsvm, Tag("<libsvm>")]
    | Annotated[NamedSynthetic, Tag("<synthetic>")]
    | Annotated[NamedSideBySide, Tag("<features>")],
    Discriminator(_source_form),
]


_Words = Annotated[str, OneOf((*BUNDLED, "arrays"))]


_FILES = "a source such as {table: a.csv, target: y}"


_HELD = Expected(f"a fraction between 0 and 1, none, or {_FILES}", choices=("none", *BUNDLED))


TrainWord = Annotated[
    _Words, Expected(f"{', '.join(BUNDLED)}, or {_FILES}", choices=tuple(BUNDLED))
]


Fraction = Annotated[float, Gt(0), Lt(1)]


HeldWord = Annotated[Literal["none"] | _Words | Fraction, _HELD]


Train = Annotated[Annotated[TrainWord, Tag("<word>")] | Source, Discriminator(_source_form)]


Val = Annotated[Annotated[HeldWord, Tag("<word>")] | Source, Discriminator(_source_form)]


NamedSources = Annotated[tuple[NamedSource, ...], MinLen(1), Field(strict=False)]


Test = Annotated[
    Annotated[HeldWord, Tag("<word>")] | Annotated[NamedSources, Tag("<list>")] | Source,
    Discriminator(_source_form),
]


# Longer texts are no keys of YAML, and so no labels of class_weight.
PositiveLabel = Annotated[
    bool | int | float | Annotated[str, MaxLen(150)],
    Expected("auto, or the label that is 1", choices=("auto",)),
]


Stratify = Annotated[Literal["auto"] | bool, Expected("auto, true or false", choices=("auto",))]


class Data(Block):
    """The rows: sources, split, encoding, scaling."""

    train: Train = Field(
        description="A bundled data set, or a source: a table, .npy, .npz or .safetensors arrays,"
        " LIBSVM text, made-up rows."
        " `arrays` stands for arrays passed from Python.",
        examples=["digits"],
    )
    val: Val = Field(
        0.2, description="A fraction of train, a source (missing keys taken from train), or none."
    )
    test: Test = Field(
        "none",
        description="A fraction of train, a source, a list of named sources, or none."
        " Scored once, by the chosen model.",
    )
    stratify: Stratify = Field(
        "auto",
        description="Split each class in the same shares; auto: on for single-label classes.",
    )
    positive: PositiveLabel = Field(
        "auto",
        description="Of two classes the one that is 1, of which f1, average_precision and the"
        " probabilities are; auto: the second in sorted order.",
        examples=["fraud"],
    )
    scale: Annotated[Literal["none", "standard", "unit"], Expected()] = Field(
        "standard",
        description="standard: mean 0 and standard deviation 1 over the training rows;"
        " unit: each row to length 1; none.",
    )
    scale_target: Annotated[Literal["none", "standard"], Expected()] = Field(
        "none", description="Scale the target of a linear model; predictions come back unscaled."
    )
    missing: Annotated[Literal["error", "drop", "mean"], Expected()] = Field(
        "error",
        description="A missing value is an error, drops its row,"
        " or becomes the mean of the training rows (text: the most frequent value).",
    )
    max_categories: Count = Field(
        100, description="A text column with more distinct values is an error."
    )
    seed: Seed = Field(0, description="Seed of the split and of the folds, and of nothing else.")

    @cached_property
    def text(self) -> str:
        """Equal for equal settings. Trials share their data: it is written once for all.

        A copy with an update takes it along: it must be made before this is asked for.
        """
        return str(self)
