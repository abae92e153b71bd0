"""The keys of a spec: types, bounds, defaults and descriptions. Every default lives here.

`Spec` is what the rest of the package reads; `trainer.config.load_spec` makes one. The word `none`
stays the string "none" where a key takes it as one of its words (`val: none`); a key or block that
is absent by default (`early_stopping`, `weight`, ...) is None, and takes `none` to say so.

Forms of a union (sgd or adam, a table or arrays) are told apart by a function of their keys, so
that a fault is reported once, for the form that was meant.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import Discriminator, Field, PrivateAttr, Tag, model_validator

from trainer.catalog import LOSSES, MODELS, OWN_LOSS
from trainer.config.schema.data import Data
from trainer.config.schema.fields import (
    METRIC_NAMES,
    Absent,
    Block,
    Count,
    Expected,
    FromZero,
    MetricName,
    OneOf,
    Positive,
    Seed,
    Switch,
    Text,
    tag,
    word_or_list,
    word_or_mapping,
)
from trainer.config.schema.intervals import Intervals, IntervalsOrNone
from trainer.config.schema.loss import Loss
from trainer.config.schema.optimizer import Optimizer, Sgd, _optimizer_form
from trainer.config.schema.penalty import L2L1, Penalty, _penalty_form
from trainer.config.schema.sweep import GROUPS, Repeat, Select, Sweep
from trainer.config.yaml.write import to_yaml
from trainer.text.printable import one_of


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
        json_schema_extra=METRIC_NAMES,
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


class Checkpoint(Block):
    """What a run has learned is kept while it goes on, so that `--resume` loses little."""

    minutes: Positive = Field(
        5.0, description="Minutes between checkpoints; they take at most 2 % of the time."
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
CheckpointWord = Annotated[Literal["none"], Expected("{minutes: 5} or none", choices=("none",))]
Checkpoints = Annotated[
    Annotated[CheckpointWord, Tag("<word>")] | Annotated[Checkpoint, Tag("<mapping>")],
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


@dataclass(frozen=True)
class Expansion:
    """The trials of a loaded spec, and what is to be said of them.

    Attributes:
        trials: numbered from 0, in order of expansion.
        axes: swept key -> its distinct values, in order of appearance.
        notes: what was left out or changed on the way, a sentence each.
        tree: of a config.yaml that loads as the same trials; None where the keys say it all.
    """

    trials: tuple[Trial, ...] = ()
    axes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    tree: dict[str, Any] | None = None


ModelName = Annotated[
    str, OneOf(tuple(MODELS)), Expected(one_of(tuple(MODELS)), choices=tuple(MODELS))
]


class Spec(Block):
    """One run: the keys of a config file with their defaults, in the same tree as the YAML."""

    name: RunName = Field("run", description="Name of the run; by default the file's.")
    notes: Text = Field("", description="Free text for the manifest.", examples=["first try"])
    model: ModelName = Field(
        description=f"{one_of(tuple(MODELS))} regression.", examples=["softmax"]
    )
    loss: Loss = Field(
        OWN_LOSS,
        description="auto: the model's own. logistic also takes squared_error,"
        " whose dL/dz is not ŷ − y.",
    )
    data: Data = Field(
        description="Where the rows come from, how they are split, encoded and scaled.",
        examples=[{"train": "digits"}],
    )
    targets: Annotated[Literal["joint", "separate"], Expected()] = Field(
        "joint",
        description="separate: every target is a problem of its own, with its own winner; a label"
        " that is missing leaves its row out for that target alone.",
    )
    metrics: Annotated[
        Annotated[Literal["auto"], Expected("auto, or a list of one metric or more"), Tag("<word>")]
        | Annotated[
            Annotated[tuple[MetricName, ...], MinLen(1), Field(strict=False)],
            Expected("auto, or a list of one metric or more"),
            Tag("<list>"),
        ],
        Discriminator(word_or_list),
    ] = Field(
        "auto",
        description="Metrics to compute beside those that every run has; one that trials are"
        " ranked or stopped by need not be listed.",
        examples=[["mcc", "ece"]],
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
        L2L1.model_construct(),
        description="The penalty on the weights: {l2, l1}, {C, l1_ratio} or {alpha, l1_ratio}.",
        examples=[{"l2": 1e-4}],
    )
    optimizer: Optimizer = Field(
        Sgd.model_construct(), description="How the weights move.", examples=[{"name": "sgd"}]
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
    precision: Annotated[Literal["float32", "float64", "tf32"], Expected()] = Field(
        "float32",
        description="Precision of the training; tf32, on a GPU alone: float32, but for the two"
        " products of a step, or of a round of lbfgs, which round what they multiply to 10 bits.",
    )
    checkpoint: Checkpoints = Field(
        Checkpoint.model_construct(),
        description="How often what has been learned is kept for --resume, or none.",
        examples=[{"minutes": 5}],
    )
    log: Log = Field(
        Log.model_construct(), description="What the run folder keeps.", examples=[{"every": 1}]
    )
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
    permutation_test: Annotated[
        int | None,
        Ge(1),
        Le(100_000),
        Absent,
        Expected("a whole number from 1 to 100,000", ("none",)),
    ] = Field(
        None,
        description="A p-value of the chosen trial: the labels are permuted so many times, and each"
        " time all is split, trained and chosen again.",
        examples=[1000],
    )
    intervals: IntervalsOrNone = Field(
        Intervals.model_construct(),
        description="Intervals of the metrics of val and test, by drawing rows anew; or none.",
        examples=[{"resamples": 1000}],
    )
    select: Select = Field(
        Select.model_construct(),
        description="How the chosen trial is found.",
        examples=[{"rule": "one_std_err"}],
    )

    @model_validator(mode="before")
    @classmethod
    def _folds_are_val(cls, value: Any) -> Any:
        """Leave the default of data.val out where repeats hold out rows of their own: val."""
        if not isinstance(value, dict) or not isinstance(value.get("repeat"), dict):
            return value
        data = value.get("data")
        repeat = value["repeat"]
        held = [repeat.get(key, "none") != "none" for key in ("folds", "bootstrap")]
        held += [repeat.get(key) is True for key in (GROUPS, "leave_one_out")]
        if any(held) and isinstance(data, dict):
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
    _expansion: Expansion = PrivateAttr(default_factory=Expansion)

    def with_expansion(self, expansion: Expansion) -> Spec:
        """Return an equal spec that knows its trials."""
        spec = self.model_copy()
        spec._expansion = expansion
        return spec

    def with_source_text(self, text: str | None) -> Spec:
        """Return an equal spec that knows the file it was read from, as written."""
        spec = self.model_copy()
        spec._source_text = text
        return spec

    @property
    def dtype(self) -> str:
        """The precision of arrays: float32 also where products of them are in TF32."""
        return "float32" if self.precision == "tf32" else self.precision

    @property
    def named_metrics(self) -> tuple[str, ...]:
        """The metrics that it names, to be computed beside those that every run has."""
        listed = () if isinstance(self.metrics, str) else self.metrics
        ranks = self.sweep.metric.name if self.sweep and self.sweep.metric else ""
        stops = self.early_stopping.metric if self.early_stopping else ""
        watched = [name.removeprefix("val_") for name in (ranks, stops) if name]
        tests = self.data.test if isinstance(self.data.test, tuple) else ()
        begin = [source.metric for source in tests if source.metric is not None]
        return tuple(dict.fromkeys((*listed, *watched, *begin)))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial of the sweep with its own spec; of a plain run the one."""
        return self._expansion.trials or (Trial(0, {}, self),)

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """The swept keys, each with its distinct values in order of appearance."""
        return self._expansion.axes

    @property
    def expansion_notes(self) -> tuple[str, ...]:
        """What was left out or changed on the way to the trials, a sentence each."""
        return self._expansion.notes

    def tree(self) -> dict[str, Any]:
        """Return the spec as dicts, tuples and scalars, a sweep as it was written."""
        tree = self._expansion.tree
        return super().tree() if tree is None else copy.deepcopy(tree)

    @property
    def source_text(self) -> str | None:
        """The YAML file as written; None for a spec made from a mapping."""
        return self._source_text

    def __eq__(self, other: object) -> bool:
        """Compare the settings; the text that they were written in does not count."""
        return isinstance(other, Spec) and dict(self) == dict(other)

    def to_yaml(self) -> str:
        """Return the resolved spec as YAML, every key written out; it loads as an equal spec."""
        return to_yaml(self.tree(), exact=("vars", "sweep"))  # tables show swept values as written

    @property
    def loss_name(self) -> str:
        """The loss by name; one with parameters is a block that has it."""
        name: str = self.loss if isinstance(self.loss, str) else self.loss.name
        return name

    @property
    def loss_parameters(self) -> dict[str, float]:
        """The loss's own parameters by name; most have none."""
        names = LOSSES[self.model, self.loss_name].parameters
        return {name: float(getattr(self.loss, name)) for name in names}

    def at(self, path: str) -> Any:
        """Return the value at a dotted path, such as `optimizer.lr`."""
        value: Any = self
        for key in path.split("."):
            value = getattr(value, key)
        return value


@dataclass(frozen=True)
class Trial:
    """One point of a sweep.

    Attributes:
        number: from 0, in order of expansion.
        settings: swept key -> value, in the order of the axes; empty in a plain run.
        spec: what a plain run of it would be; `repeat` stays, with one number of few_shot.
        fractions: keys given by a path -> fraction of lambda_max. Until `with_lambda_max` the
            settings and the spec hold the fraction in place of the value.
    """

    number: int
    settings: Mapping[str, Any]
    spec: Spec
    fractions: Mapping[str, float] = field(default_factory=dict)

    def with_lambda_max(self, lambda_max: float) -> Trial:
        """The trial with its penalties in place of fractions.

        Args:
            lambda_max: the least l1 at which all weights are 0.
        """
        penalty, settings = self.spec.penalty, dict(self.settings)
        for key, fraction in self.fractions.items():
            last = key.rpartition(".")[2]
            ratio = getattr(penalty, "l1_ratio", 1.0) or 1.0  # of alpha only a part is l1
            settings[key] = fraction * lambda_max / ratio
            penalty = penalty.model_copy(update={last: settings[key]})
        spec = self.spec.model_copy(update={"penalty": penalty})
        return replace(self, settings=settings, spec=spec)
