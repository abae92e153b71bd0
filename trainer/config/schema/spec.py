"""The keys of a spec: types, bounds, defaults and descriptions. Every default lives here.

`Spec` is what the rest of the package reads; `trainer.config.load_spec` makes one. The word `none`
stays the string "none" where a key takes it as one of its words (`val: none`); a key or block that
is absent by default (`early_stopping`, `weight`, ...) is None, and takes `none` to say so.

Forms of a union (sgd or adam, a table or arrays) are told apart by a function of their keys, so
that a fault is reported once, for the form that was meant.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import Discriminator, Field, PrivateAttr, Tag, model_validator

from trainer.config.checks.aliases import nearest, one_of
from trainer.config.schema.fields import (
    Absent,
    Block,
    Count,
    Decay,
    Expected,
    FromZero,
    Name,
    Names,
    OptionalCount,
    OptionalName,
    OptionalPath,
    PathText,
    Positive,
    Seed,
    Share,
    Switch,
    Text,
    tag,
    word_or_list,
    word_or_mapping,
)
from trainer.config.sweep.trial import Trial
from trainer.config.yaml.write import to_yaml

BUNDLED = ("diamonds", "breast_cancer", "digits")
FIRST_ORDER = ("sgd", "adam", "adamw")
SOLVERS = ("lbfgs", "newton", "exact", "auto")
OPTIMIZERS = (*FIRST_ORDER, *SOLVERS)
SOURCES = ("table", "npy", "npz", "libsvm", "synthetic")

# The metrics of each model, with val_ or test_ before them; the training rows have train_loss.
METRICS: dict[str, tuple[str, ...]] = {
    "linear": ("loss", "r2", "rmse"),
    "logistic": ("loss", "accuracy", "balanced_accuracy", "auc", "average_precision", "f1", "map"),
    "softmax": ("loss", "accuracy", "balanced_accuracy", "top5"),
}

_METRIC_NAMES: dict[str, Any] = {
    "enum": [
        "train_loss",
        *dict.fromkeys(f"val_{name}" for names in METRICS.values() for name in names),
    ]
}

# ---------------------------------------------------------------- data


class TableSource(Block):
    """A table with named columns."""

    form = "table"
    table: PathText = Field(
        description="Path of a .csv, .csv.gz, .tsv or .parquet file, relative to this file.",
        examples=["a.csv"],
    )
    target: Annotated[
        Annotated[Name, Tag("<word>")] | Annotated[Names, Tag("<list>")],
        Discriminator(word_or_list),
    ] = Field(description="The column to predict, or a list of them.", examples=["y"])
    columns: Annotated[Names | None, Absent] = Field(
        None,
        description="The feature columns; by default all but the target and the weight.",
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
        None, description="The column that holds row weights.", examples=["w"]
    )
    group: OptionalName = Field(
        None,
        description="The column that says which rows belong together: no split or fold parts them.",
        examples=["patient"],
    )


class NpySource(Block):
    """Arrays in .npy files, memory-mapped."""

    form = "npy"
    npy: PathText = Field(description="Path of X, (N, D).", examples=["X.npy"])
    target: PathText = Field(description="Path of y, (N,) or (N, C).", examples=["y.npy"])
    weight: OptionalPath = Field(
        None, description="Path of the row weights, (N,).", examples=["w.npy"]
    )
    group: OptionalPath = Field(
        None,
        description="Path of the groups, (N,): no split or fold parts the rows of one.",
        examples=["g.npy"],
    )


class NpzSource(Block):
    """Arrays in one .npz file."""

    form = "npz"
    npz: PathText = Field(description="Path of the archive.", examples=["f.npz"])
    features: Name = Field(description="Name of the array X, (N, D).", examples=["X"])
    target: Name = Field(description="Name of the array y, (N,) or (N, C).", examples=["y"])
    weight: OptionalName = Field(
        None, description="Name of the array of row weights, (N,).", examples=["w"]
    )
    group: OptionalName = Field(
        None,
        description="Name of the array of groups, (N,): no split or fold parts the rows of one.",
        examples=["g"],
    )


class LibsvmSource(Block):
    """LIBSVM text: the label of a row and its values that are not 0."""

    form = "libsvm"
    libsvm: PathText = Field(
        description="Path of the file, which may be compressed as .gz or .bz2.",
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


class NamedTable(TableSource, _Named):
    """A table among several test sets."""


class NamedNpy(NpySource, _Named):
    """Arrays in .npy files among several test sets."""


class NamedNpz(NpzSource, _Named):
    """Arrays in a .npz file among several test sets."""


class NamedLibsvm(LibsvmSource, _Named):
    """LIBSVM text among several test sets."""


class NamedSynthetic(SyntheticSource, _Named):
    """Made-up rows among several test sets."""


def _source_form(value: Any) -> str | None:
    """Tell the forms of train, val and test apart; None: a mapping without a key that tells."""
    if isinstance(value, Block):
        return tag(value.form)
    if isinstance(value, dict):
        return next((tag(form) for form in SOURCES if form in value), None)
    return word_or_list(value)


Source = (
    Annotated[TableSource, Tag("<table>")]
    | Annotated[NpySource, Tag("<npy>")]
    | Annotated[NpzSource, Tag("<npz>")]
    | Annotated[LibsvmSource, Tag("<libsvm>")]
    | Annotated[SyntheticSource, Tag("<synthetic>")]
)
NamedSource = Annotated[
    Annotated[NamedTable, Tag("<table>")]
    | Annotated[NamedNpy, Tag("<npy>")]
    | Annotated[NamedNpz, Tag("<npz>")]
    | Annotated[NamedLibsvm, Tag("<libsvm>")]
    | Annotated[NamedSynthetic, Tag("<synthetic>")],
    Discriminator(_source_form),
]
_Words = Literal["diamonds", "breast_cancer", "digits", "arrays"]
_FILES = "a source such as {table: a.csv, target: y}"
_HELD = Expected(f"a fraction between 0 and 1, none, or {_FILES}", choices=("none", *BUNDLED))
TrainWord = Annotated[_Words, Expected(f"{', '.join(BUNDLED)}, or {_FILES}", choices=BUNDLED)]
Fraction = Annotated[float, Gt(0), Lt(1)]
HeldWord = Annotated[Literal["none"] | _Words | Fraction, _HELD]
Train = Annotated[Annotated[TrainWord, Tag("<word>")] | Source, Discriminator(_source_form)]
Val = Annotated[Annotated[HeldWord, Tag("<word>")] | Source, Discriminator(_source_form)]
NamedSources = Annotated[tuple[NamedSource, ...], MinLen(1), Field(strict=False)]
Test = Annotated[
    Annotated[HeldWord, Tag("<word>")] | Annotated[NamedSources, Tag("<list>")] | Source,
    Discriminator(_source_form),
]
Stratify = Annotated[Literal["auto"] | bool, Expected("auto, true or false", choices=("auto",))]


class Data(Block):
    """The rows: sources, split, encoding, scaling."""

    train: Train = Field(
        description="A bundled data set, or a source: a table, .npy or .npz arrays, LIBSVM text,"
        " made-up rows."
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


# ---------------------------------------------------------------- penalty


class L2L1(Block):
    """l2/2 · ‖W‖² + l1 · ‖W‖₁."""

    form = "{l2, l1}"
    l2: FromZero = Field(1e-4, description="Adds l2/2 · ‖W‖² to the mean loss.")
    l1: FromZero = Field(0.0, description="Adds l1 · ‖W‖₁ to the mean loss; zeros are exact.")


class InverseC(Block):
    """a = 1/(C · S), S the sum of row weights; l2 = (1 − l1_ratio) · a, l1 = l1_ratio · a."""

    form = "{C, l1_ratio}"
    C: Positive = Field(
        description="C of scikit-learn's LogisticRegression: the penalty is 1/(C · rows).",
        examples=[1.0],
    )
    l1_ratio: Share = Field(0.0, description="Share of the penalty that is l1.")


class Alpha(Block):
    """l2 = (1 − l1_ratio) · alpha, l1 = l1_ratio · alpha."""

    form = "{alpha, l1_ratio}"
    alpha: FromZero = Field(
        description="alpha of scikit-learn's ElasticNet, lambda of glmnet.", examples=[0.1]
    )
    l1_ratio: Share = Field(0.0, description="Share of the penalty that is l1.")


def _penalty_form(value: Any) -> str:
    if isinstance(value, Block):
        return tag(value.form)
    for form in (InverseC, Alpha):
        if isinstance(value, dict) and next(iter(form.model_fields)) in value:
            return tag(form.form)
    return tag(L2L1.form)


Penalty = Annotated[
    Annotated[L2L1, Tag("<{l2, l1}>")]
    | Annotated[InverseC, Tag("<{C, l1_ratio}>")]
    | Annotated[Alpha, Tag("<{alpha, l1_ratio}>")],
    Discriminator(_penalty_form),
]

# ---------------------------------------------------------------- optimizer


class Schedule(Block):
    """How lr changes; times are in epochs, or in steps where the run is given in steps."""

    name: Annotated[Literal["constant", "cosine", "step"], Expected()] = Field(
        "constant", description="constant, cosine (from lr down to final · lr) or step."
    )
    warmup: FromZero = Field(
        0.0, description="Epochs (steps with steps:) over which lr rises from 0."
    )
    final: Share = Field(
        0.0, description="cosine: what lr falls to, as a factor of lr, reached as the run ends."
    )
    milestones: Annotated[tuple[Positive, ...], Field(strict=False)] = Field(
        (),
        description="step: the epochs (steps with steps:) after which lr is multiplied by gamma.",
        examples=[[10, 20]],
    )
    gamma: Positive = Field(0.1, description="step: the factor at each milestone.")
    length: OptionalCount = Field(
        None,
        description="cosine: the epochs (steps with steps:) it is spread over, where the run stops"
        " before its end; none: those of the run.",
        examples=[30],
    )


_NAMED = Expected(one_of(OPTIMIZERS), choices=OPTIMIZERS)
_NAME = (
    "sgd, adam or adamw; to the optimum: lbfgs, newton, exact, or auto, which takes one of these."
)


class FirstOrder(Block):
    """What sgd, adam and adamw share."""

    name: Any
    lr: Positive = Field(0.1, description="Learning rate.")
    base_batch_size: Annotated[
        Literal["none"] | Count, Expected("a whole number from 1, or none", choices=("none",))
    ] = Field("none", description="Where given, lr is multiplied by batch_size / base_batch_size.")
    batch_size: Annotated[
        Literal["full"] | Count, Expected("a whole number from 1, or full", choices=("full",))
    ] = Field(128, description="Rows of a batch, or full.")
    epochs: OptionalCount = Field(
        30, description="Passes over the training rows; epochs or steps.", examples=[30]
    )
    steps: OptionalCount = Field(
        None, description="Number of updates, in place of epochs.", examples=[1000]
    )
    schedule: Schedule = Field(
        Schedule(), description="How lr changes over the run.", examples=[{"name": "cosine"}]
    )

    @model_validator(mode="before")
    @classmethod
    def _steps_replace_epochs(cls, value: Any) -> Any:
        """Leave the default of epochs out where steps are given."""
        if isinstance(value, dict) and value.get("steps", "none") != "none":
            return {"epochs": "none", **value}
        return value


class Sgd(FirstOrder):
    """Stochastic gradient descent with momentum."""

    form = "sgd"
    name: Annotated[Literal["sgd"], _NAMED] = Field("sgd", description=_NAME)
    momentum: Decay = Field(0.9, description="Momentum; 0 for none.")
    nesterov: Switch = Field(False, description="Nesterov's form of momentum.")


class Adam(FirstOrder):
    """Adam (Kingma and Ba 2015)."""

    form = "adam"
    name: Annotated[Literal["adam"], _NAMED] = Field(description=_NAME)
    beta1: Decay = Field(0.9, description="Decay of the mean of gradients.")
    beta2: Decay = Field(0.999, description="Decay of the mean of squared gradients.")
    eps: Positive = Field(1e-8, description="Added to the root of the mean square.")


class AdamW(FirstOrder):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    form = "adamw"
    name: Annotated[Literal["adamw"], _NAMED] = Field(description=_NAME)
    beta1: Decay = Field(0.9, description="Decay of the mean of gradients.")
    beta2: Decay = Field(0.999, description="Decay of the mean of squared gradients.")
    eps: Positive = Field(1e-8, description="Added to the root of the mean square.")
    weight_decay: FromZero = Field(
        0.01, description="Decoupled decay: outside the objective, and not on the bias."
    )


class Solver(Block):
    """What goes to the optimum, with all rows at every iteration."""

    name: Any
    max_iter: Count = Field(1000, description="Most iterations.")
    tol: Positive = Field(
        1e-6, description="Where it stops: the largest |dJ/dW|, of scaled features."
    )

    # What a first-order optimizer would have for the same: steps of a full batch.

    @property
    def steps(self) -> int:
        """Most iterations."""
        return self.max_iter

    @property
    def epochs(self) -> None:
        """Iterations are counted in steps."""
        return None

    @property
    def batch_size(self) -> Literal["full"]:
        """All rows."""
        return "full"


class Lbfgs(Solver):
    """Limited-memory BFGS: any size."""

    form = "lbfgs"
    name: Annotated[Literal["lbfgs"], _NAMED] = Field(description=_NAME)


class Newton(Solver):
    """Newton's method: few features, few classes; with l1 on the weights that are not 0."""

    form = "newton"
    name: Annotated[Literal["newton"], _NAMED] = Field(description=_NAME)


class Exact(Solver):
    """Ridge regression in closed form."""

    form = "exact"
    name: Annotated[Literal["exact"], _NAMED] = Field(description=_NAME)


class Auto(Solver):
    """The solver that suits the model and its size; the manifest says which and why."""

    form = "auto"
    name: Annotated[Literal["auto"], _NAMED] = Field(description=_NAME)


def _optimizer_form(value: Any) -> str:
    """Tell the optimizers apart by name; a misspelt one counts as the nearest, else as sgd."""
    if isinstance(value, Block):
        return tag(value.form)
    name = value.get("name", "sgd") if isinstance(value, dict) else "sgd"
    if isinstance(name, str) and name not in OPTIMIZERS:
        name = nearest(name, OPTIMIZERS)
    return tag(name if isinstance(name, str) else "sgd")


Optimizer = Annotated[
    Annotated[Sgd, Tag("<sgd>")]
    | Annotated[Adam, Tag("<adam>")]
    | Annotated[AdamW, Tag("<adamw>")]
    | Annotated[Lbfgs, Tag("<lbfgs>")]
    | Annotated[Newton, Tag("<newton>")]
    | Annotated[Exact, Tag("<exact>")]
    | Annotated[Auto, Tag("<auto>")],
    Discriminator(_optimizer_form),
]

# ---------------------------------------------------------------- sweeps


class SweepMetric(Block):
    """What trials are ranked by."""

    name: Text = Field(
        "val_loss",
        description="The metric; it says itself whether low or high is good.",
        examples=["val_accuracy"],
        json_schema_extra=_METRIC_NAMES,
    )
    goal: Annotated[
        Literal["minimize", "maximize"] | None, Absent, Expected("minimize or maximize")
    ] = Field(None, description="By default the metric's own.", examples=["minimize"])


class EarlyTerminate(Block):
    """Synchronous halving: after min_iter, min_iter·eta, … evaluations the best 1/eta stay."""

    type: Annotated[Literal["hyperband"], Expected()] = Field(
        "hyperband", description="hyperband: one bracket of it, with all trials in step."
    )
    min_iter: Count = Field(3, description="Evaluations before the first halving.")
    eta: Annotated[int, Ge(2), Le(1000), Expected("a whole number from 2 to 1000")] = Field(
        3, description="What the number of trials is divided by at each halving."
    )


# Axes and settings are read by config.sweep.axes and config.sweep.expand, which know the file.
Anything = Annotated[Any, Expected("a mapping of dotted keys to their values")]


class Sweep(Block):
    """Many trials in one run."""

    method: Annotated[
        Literal["grid", "random"],
        Expected("grid or random", choices=("grid", "random")),
    ] = Field("grid", description="grid: every combination; random: num_trials draws.")
    metric: SweepMetric | None = Field(
        None,
        description="What trials are ranked by; by default val_loss, train_loss without val.",
        examples=[{"name": "val_loss"}],
    )
    parameters: Anything = Field(
        None,
        description="{dotted key: values}, or a list of such blocks, whose trials are added up.",
        examples=[{"optimizer.lr": [0.01, 0.1]}],
    )
    zip: Anything = Field(
        None,
        description="Settings that go together, crossed with the rest.",
        examples=[[{"optimizer.name": "sgd", "optimizer.lr": 0.1}]],
    )
    num_trials: OptionalCount = Field(None, description="Draws of method random.", examples=[64])
    early_terminate: Annotated[EarlyTerminate | None, Absent] = Field(
        None,
        description="Drop trials that fall behind; none, the default, trains all to their ends.",
        examples=[{"type": "hyperband"}],
    )


class FewShot(Block):
    """k rows of each class, drawn several times."""

    k: Annotated[
        Annotated[Count, Tag("<word>")]
        | Annotated[Annotated[tuple[Count, ...], MinLen(1), Field(strict=False)], Tag("<list>")],
        Discriminator(word_or_list),
    ] = Field(description="Rows of each class; of several each is a trial.", examples=[[1, 2, 4]])
    tries: Count = Field(10, description="Draws, over which metrics are averaged.")
    val_k: Annotated[
        Literal["none"] | Count, Expected("a whole number from 1, or none", choices=("none",))
    ] = Field("none", description="Rows of each class drawn from val, in place of all of it.")


class Repeat(Block):
    """What each trial is averaged over, and never selected over."""

    folds: Annotated[int | None, Ge(2), Absent, Expected("a whole number from 2", ("none",))] = (
        Field(None, description="Cross-validation: the part held out is val.", examples=[5])
    )
    times: Count = Field(1, description="How many times the folds are drawn anew.")
    few_shot: Annotated[FewShot | None, Absent] = Field(
        None,
        description="Draws of a few rows a class, in place of folds; full batch.",
        examples=[{"k": [1, 2, 4]}],
    )
    seeds: Count = Field(1, description="The run again with seed, seed + 1, ….")


class Select(Block):
    """Which trial is chosen, and whether it is trained again on more rows."""

    rule: Annotated[Literal["best", "one_std_err"], Expected()] = Field(
        "best",
        description="one_std_err: the strongest penalty within one standard error of the best.",
    )
    per: Annotated[tuple[Name, ...], Field(strict=False)] = Field(
        (),
        description="Swept keys whose every value gets a winner of its own.",
        examples=[["vars.layer"]],
    )
    refit: Annotated[
        Literal["auto", "none", "train", "train+val"],
        Expected(choices=("auto", "none", "train", "train+val")),
    ] = Field(
        "auto",
        description="Train the chosen trial again on all training rows, or those of val too;"
        " auto: train with folds, else none.",
    )


# ---------------------------------------------------------------- the rest, and the whole


class NormalInit(Block):
    """Weights drawn from N(0, normal²)."""

    normal: Positive = Field(
        description="Standard deviation of the first weights.", examples=[0.01]
    )


class EarlyStopping(Block):
    """Stop when the metric has not improved for `patience` evaluations."""

    metric: Text = Field(
        "val_loss",
        description="The metric watched; it says itself whether low or high is good.",
        json_schema_extra=_METRIC_NAMES,
    )
    patience: Count = Field(5, description="Evaluations without an improvement before the stop.")
    min_delta: FromZero = Field(0.0, description="The least change that counts as an improvement.")
    restore_best: Switch = Field(True, description="Go back to the weights of the best evaluation.")


class Log(Block):
    """What is written while a run goes on."""

    every: Annotated[
        Literal["auto"] | Count, Expected("a whole number from 1, or auto", choices=("auto",))
    ] = Field(
        "auto",
        description="Steps between records of the step log; auto: 1, in a sweep what keeps it under"
        " 10 million rows.",
    )
    gradients: Annotated[
        Literal["none"] | Count, Expected("a whole number from 1, or none", choices=("none",))
    ] = Field("none", description="Every how many steps ŷ − y and dJ/dW are saved whole, or none.")
    eval_every: Count = Field(
        1,
        description="Epochs (steps with steps:) between evaluations on val; solvers have one, at"
        " the end.",
    )
    weights: Annotated[Literal["best", "all"], Expected()] = Field(
        "best", description="Keep the weights of the best trial, or of all."
    )


# A key of YAML may have 1,024 characters, of which an escape takes up to six.
_LabelText = Annotated[str, MaxLen(150)]
Label = Annotated[
    bool | int | float | _LabelText, Expected("a label of at most 150 characters, and its weight")
]
Labels = dict[Label, FromZero]
WeightWord = Annotated[Literal["none", "balanced"], Expected("none, balanced or {label: weight}")]
ClassWeight = Annotated[
    Annotated[WeightWord, Tag("<word>")] | Annotated[Labels, Tag("<mapping>")],
    Discriminator(word_or_mapping),
]
InitWord = Annotated[
    str,
    Field(pattern=r"^[^\x00]+$"),
    Expected("zeros, {normal: 0.01} or a run folder", choices=("zeros",)),
]
Init = Annotated[
    Annotated[InitWord, Tag("<word>")] | Annotated[NormalInit, Tag("<mapping>")],
    Discriminator(word_or_mapping),
]
Scalar = Annotated[bool | int | float | str, Expected("text, a number, true or false")]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Variables = dict[VariableName, Scalar]
# A folder is named after it: no separators, no control characters, not "." or "..".
RunName = Annotated[
    str,
    Field(
        pattern=r"^[^/\\\x00-\x1f\x7f]*[^/\\\x00-\x1f\x7f.][^/\\\x00-\x1f\x7f]*$", max_length=100
    ),
    Expected("a name that a folder can have, of at most 100 characters, without / or \\"),
]


class Spec(Block):
    """One run: the keys of a config file with their defaults, in the same tree as the YAML."""

    name: RunName = Field("run", description="Name of the run; by default the file's.")
    notes: Text = Field("", description="Free text for the manifest.", examples=["first try"])
    model: Annotated[Literal["linear", "logistic", "softmax"], Expected()] = Field(
        description="linear, logistic or softmax regression.", examples=["softmax"]
    )
    loss: Annotated[Literal["auto", "squared_error"], Expected()] = Field(
        "auto",
        description="auto: the model's own. logistic also takes squared_error,"
        " whose dL/dz is not ŷ − y.",
    )
    data: Data = Field(
        description="Where the rows come from, how they are split, encoded and scaled.",
        examples=[{"train": "digits"}],
    )
    class_weight: ClassWeight = Field(
        "none",
        description="none, balanced or a weight for each label; in training only, not in metrics.",
    )
    bias: Switch = Field(True, description="Fit a bias; it is never penalised.")
    init: Init = Field(
        "zeros",
        description="First weights: zeros, {normal: standard deviation}, or those of a run folder.",
    )
    penalty: Penalty = Field(
        L2L1(),
        description="The penalty on the weights: {l2, l1}, {C, l1_ratio} or {alpha, l1_ratio}.",
        examples=[{"l2": 1e-4}],
    )
    optimizer: Optimizer = Field(
        Sgd(), description="How the weights move.", examples=[{"name": "sgd"}]
    )
    early_stopping: Annotated[EarlyStopping | None, Absent] = Field(
        None,
        description="Stop when a metric no longer improves; none, the default, never does.",
        examples=[{"metric": "val_loss"}],
    )
    seed: Seed = Field(0, description="Seed of the batch order and of {normal} init.")
    device: Annotated[Literal["auto", "gpu", "cpu"], Expected()] = Field(
        "auto", description="auto takes the GPU where one works, and says why not; gpu insists."
    )
    precision: Annotated[Literal["float32", "float64"], Expected()] = Field(
        "float32", description="Precision of the training."
    )
    log: Log = Field(Log(), description="What the run folder keeps.", examples=[{"every": 1}])
    vars: Variables = Field(
        {},
        description="Words for ${name} in any text of the file; sweep one as vars.name.",
        examples=[{"layer": 0}],
    )
    sweep: Annotated[Sweep | None, Absent] = Field(
        None,
        description="Many trials in one run; none, the default, trains one.",
        examples=[{"parameters": {"optimizer.lr": [0.01, 0.1]}}],
    )
    repeat: Annotated[Repeat | None, Absent] = Field(
        None,
        description="Folds, draws or seeds that each trial is averaged over; none: one fit each.",
        examples=[{"folds": 5}],
    )
    select: Select = Field(
        Select(), description="How the chosen trial is found.", examples=[{"rule": "one_std_err"}]
    )

    @model_validator(mode="before")
    @classmethod
    def _folds_are_val(cls, value: Any) -> Any:
        """Leave the default of data.val out where folds are given: what a fold holds out is val."""
        if not isinstance(value, dict) or not isinstance(value.get("repeat"), dict):
            return value
        data = value.get("data")
        if value["repeat"].get("folds", "none") != "none" and isinstance(data, dict):
            return {**value, "data": {"val": "none", **data}}
        return value

    @model_validator(mode="before")
    @classmethod
    def _adamw_has_no_penalty(cls, value: Any) -> Any:
        """Make adamw's default penalty none: its weight_decay stands in for it."""
        if not isinstance(value, dict) or _optimizer_form(value.get("optimizer")) != tag("adamw"):
            return value
        penalty = value.get("penalty", {})
        if isinstance(penalty, dict) and _penalty_form(penalty) == tag(L2L1.form):
            return {**value, "penalty": {"l2": 0, "l1": 0, **penalty}}
        return value

    _source_text: str | None = PrivateAttr(None)
    _trials: tuple[Trial, ...] = PrivateAttr(())
    _axes: dict[str, tuple[Any, ...]] = PrivateAttr(default_factory=dict)
    _expansion_notes: tuple[str, ...] = PrivateAttr(())
    _written: dict[str, Any] | None = PrivateAttr(None)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial of the sweep with its own spec; of a plain run the one."""
        return self._trials or (Trial(0, {}, self),)

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """The swept keys, each with its distinct values in order of appearance."""
        return self._axes

    @property
    def expansion_notes(self) -> tuple[str, ...]:
        """What was left out or changed on the way to the trials, a sentence each."""
        return self._expansion_notes

    def tree(self) -> dict[str, Any]:
        """Return the spec as dicts, tuples and scalars, a sweep as it was written."""
        return copy.deepcopy(self._written) if self._written is not None else super().tree()

    @property
    def source_text(self) -> str | None:
        """The YAML file as written; None for a spec made from a mapping."""
        return self._source_text

    def __eq__(self, other: object) -> bool:
        """Compare the settings; the text that they were written in does not count."""
        return isinstance(other, Spec) and dict(self) == dict(other)

    def to_yaml(self) -> str:
        """Return the resolved spec as YAML, every key written out; it loads as an equal spec."""
        return to_yaml(self.tree())

    def at(self, path: str) -> Any:
        """Return the value at a dotted path, such as `optimizer.lr`."""
        value: Any = self
        for key in path.split("."):
            value = getattr(value, key)
        return value
