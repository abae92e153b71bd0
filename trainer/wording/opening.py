"""What a run says at its start: its config, its data, its objective, its size, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from trainer.catalog import LOSSES, MODELS
from trainer.text.names import cut_apart
from trainer.text.numbers import counted
from trainer.text.printable import Sentence
from trainer.wording.caveats import CoarseFacts, coarse_texts

Line = tuple[str, object]
_MOST = 40  # letters of a name
_NAMED = 5  # targets that are left out


class ChosenOptimizer(TypedDict, total=False):
    """An optimizer as it was asked for: `tol` and `max_iter` of a solver, of others the rest."""

    name: str
    tol: float
    max_iter: int
    lr: float
    steps: int | None
    epochs: int | None
    batch_size: int | str


class ConfigFacts(TypedDict):
    """What was asked for.

    Attributes:
        name, model, optimizer: of the run.
        trials: how many.
        axes: {swept path: how many values}.
        notes: sentences on what the sweep left out.
    """

    name: str
    model: str
    optimizer: ChosenOptimizer
    trials: int
    axes: Mapping[str, int]
    notes: Sequence[str]


class DataFacts(TypedDict):
    """What was read.

    Attributes:
        model: what it is for.
        source: of the training rows.
        rows: {split: how many}.
        columns, features, outputs: how many; a text column is a feature a category.
        expansions: {text column: its categories}.
        class_counts: {split: {class: rows}}; empty for numbers.
        index: columns that are a row index and no features.
        remarks: clauses on the training source.
        copies: splits that are the rows of the training source over again.
        weightless: {source: rows of weight 0, which are left out}.
        dropped: {source: rows with missing values}.
        imputed: {split: values filled in}.
        unseen: {split: {column: rows with a category that training does not have}}.
        coarse: columns that a precision has few steps for.
        targets: {target: why it is left out}, where `outputs` are problems of their own.
    """

    model: str
    source: str
    rows: Mapping[str, int]
    columns: int
    features: int
    outputs: int
    expansions: Mapping[str, int]
    class_counts: Mapping[str, Mapping[str, int]]
    index: Sequence[str]
    remarks: Sequence[str]
    copies: Sequence[str]
    weightless: Mapping[str, int]
    dropped: Mapping[str, int]
    imputed: Mapping[str, int]
    unseen: Mapping[str, Mapping[str, int]]
    coarse: Sequence[CoarseFacts]
    targets: NotRequired[Mapping[str, str]]


class NotedData(TypedDict):
    """Digests (sha256, hex) that differ: what the config notes of its data, and what was read."""

    noted: str
    read: str


class DeviceFacts(TypedDict):
    """Where it runs and why there; `steps`: whether its steps are compiled, or why not."""

    kind: str
    name: str
    reason: str
    steps: NotRequired[str]


class ObjectiveFacts(TypedDict):
    """The objective of the first column.

    Attributes:
        model, loss: as the config has them.
        weights: whether rows count differently: none, rows or classes, for what they do so.
        several: whether other trials may have other penalties.
        l2, l1: of the penalty.
        weight_decay: of the optimizer, outside of the objective.
        inverse_c: scikit-learn's C, infinite without a penalty.
        ridge_alpha: scikit-learn's alpha of Ridge.
    """

    model: str
    loss: str
    weights: str
    several: bool
    l2: float
    l1: float
    weight_decay: float
    inverse_c: float
    ridge_alpha: float


class ChosenSolver(TypedDict):
    """Which solver goes to the optimum and why; `float64_cost` where float64 is slow."""

    name: str
    reason: str
    float64_cost: NotRequired[int]


class SweepFacts(TypedDict):
    """How many columns train, in how many stacks, every how many steps are logged; sentences.

    `shared` is how many row sets have their rows in stacks of several, where there are such.

    `targets` are those that are problems of their own, `lacking` their columns on rows that lack
    something, which do not train; `inner` are columns of inner folds beside all others.
    """

    targets: NotRequired[int]
    lacking: NotRequired[int]
    shared: NotRequired[int]
    inner: NotRequired[int]
    trials: int
    repeats: int
    stacks: int
    log_every: int
    notes: NotRequired[Sequence[str]]


class Facts(TypedDict, total=False):
    """What is known of a run before it trains; each part comes as soon as it is known."""

    config: ConfigFacts
    data: DataFacts
    noted_data: NotedData
    device: DeviceFacts
    objective: ObjectiveFacts
    solver: ChosenSolver
    sweep: SweepFacts
    folder: Path


def opening(facts: Facts) -> list[Line]:
    """A line or more for each part that is there, in the order of a run."""
    lines: list[Line] = []
    if config := facts.get("config"):
        lines += [("config", config_text(config)), *(("sweep", n) for n in config["notes"])]
    if data := facts.get("data"):
        lines.append(("data", data_text(data)))
        lines += [("warning", told) for told in coarse_texts(data["coarse"], data["model"])]
    if noted := facts.get("noted_data"):
        lines.append(("data", noted_data_text(noted)))
    if device := facts.get("device"):
        lines.append(("device", device_text(device)))
    if objective := facts.get("objective"):
        lines.append(("objective", objective_text(objective)))
    if solver := facts.get("solver"):
        lines.append(("solver", solver_text(solver)))
    if sweep := facts.get("sweep"):
        lines.append(("sweep", sweep_text(sweep)))
        lines += [("repeats", note) for note in sweep.get("notes", ())]
    if folder := facts.get("folder"):
        lines.append(("folder", folder))
    return lines


def config_text(facts: ConfigFacts) -> str:
    """Name, model and optimizer in one line; of a sweep what is swept."""
    head = f"{facts['name']}: {facts['model']}"
    if facts["trials"] > 1:
        axes = ", ".join(f"{path} ({count:,})" for path, count in facts["axes"].items())
        return f"{head}, {facts['trials']:,} trials of {axes}"
    o = facts["optimizer"]
    if "tol" in o:
        most = f"at most {o['max_iter']:,} iterations"
        return f"{head}, {o['name']} to max|dJ/dW| {o['tol']:g}, {most}"
    length = counted(o["steps"], "step") if o["steps"] else counted(o["epochs"] or 0, "epoch")
    size = "full batch" if o["batch_size"] == "full" else f"batches of {o['batch_size']:,}"
    return f"{head}, {o['name']} with lr {o['lr']:g}, {length}, {size}"


def data_text(facts: DataFacts) -> Sentence:
    """Rows x columns, the split, class counts and one-hot expansions."""
    total = sum(facts["rows"].values())
    columns = counted(facts["columns"], "column")
    if facts["expansions"]:
        parts = ", ".join(f"{name} → {n}" for name, n in _cut(facts["expansions"]))
        columns += f" ({counted(facts['features'], 'feature')}; one-hot: {parts})"
    split = ", ".join(f"{n:,} {name}" for name, n in facts["rows"].items())
    text = f"{facts['source']}: {counted(total, 'row')} x {columns}; {split}"
    if counts := facts["class_counts"].get("train"):
        text += f"; {_classes(counts, not MODELS[facts['model']].output_a_class)}"
    elif (left_out := facts.get("targets")) is not None:
        text += f"; {separate_text(facts['outputs'], left_out)}"
    elif facts["outputs"] > 1:
        text += f"; {facts['outputs']:,} outputs"
    if facts["index"]:
        text += f"; row index {', '.join(cut_apart(facts['index'], _MOST))} is no feature"
    text += "".join(f"; {remark}" for remark in facts["remarks"])
    for name in facts["copies"]:
        text += f"; {name} reads the training source again, so it measures rows that were learnt"
    for name, n in facts["weightless"].items():
        text += f"; {counted(n, 'row')} of {name} left out, of weight 0"
    for name, n in facts["dropped"].items():
        text += f"; {counted(n, 'row')} of {name} dropped for missing values"
    for name, n in facts["imputed"].items():
        text += f"; {counted(n, 'missing value')} of {name} filled in"
    for name, columns_unseen in facts["unseen"].items():
        for column, n in _cut(columns_unseen):
            has = "has" if n == 1 else "have"
            text += f"; {counted(n, 'row')} of {name} {has} a {column} that training does not"
            text += ": all zeros"
    return Sentence(text, (facts["source"], *facts["weightless"], *facts["dropped"]))


def separate_text(count: int, left_out: Mapping[str, str]) -> str:
    """How many targets are problems of their own, and which are not trained and why."""
    text = f"{counted(count, 'target')} of their own"
    if not left_out:
        return text
    names = cut_apart(list(left_out)[:_NAMED], _MOST)
    told = "; ".join(f"{n}: {why}" for n, why in zip(names, left_out.values(), strict=False))
    more = f"; and {len(left_out) - _NAMED:,} more" if len(left_out) > _NAMED else ""
    return f"{text}, {len(left_out):,} left out ({told}{more})"


def noted_data_text(facts: NotedData) -> str:
    """That the data are others than those a config was written for."""
    return (
        f"these are not the data that this config notes: sha256 {facts['read'][:12]}… was read,"
        f" {facts['noted'][:12]}… is noted in it; the same files as then give the same run"
    )


def _classes(counts: Mapping[str, int], binary: bool) -> str:
    if len(counts) <= 5:
        parts = ", ".join(f"{label}: {n:,}" for label, n in _cut(counts))
        return f"training classes {parts}{' (positive)' if binary else ''}"
    least, most = min(counts.values()), max(counts.values())
    return f"{len(counts)} classes of {least:,} to {most:,} training rows"


def _cut(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    """Labels or columns, which may be of any length, as words among others; and their counts."""
    return zip(cut_apart(list(counts), _MOST), counts.values(), strict=True)


def device_text(facts: DeviceFacts) -> str:
    """Where it runs and why there."""
    steps = f"; {facts['steps']}" if "steps" in facts else ""
    return f"{facts['kind']}: {facts['name']} ({facts['reason']}){steps}"


def solver_text(facts: ChosenSolver) -> str:
    """The solver and why; of a GPU whose float64 is slow what that means."""
    text = f"{facts['name']} in float64: {facts['reason']}"
    if "float64_cost" not in facts:
        return text
    return (
        f"{text}; float64 takes this GPU {facts['float64_cost']} times as long as float32, so"
        " device: cpu may be quicker, and so may an optimizer, which trains in float32"
    )


def objective_text(facts: ObjectiveFacts) -> str:
    """The objective with its numbers, and scikit-learn's C for the penalty.

    Of several trials, whose numbers may differ, the penalty is named and not counted out.
    """
    mean = {"none": "mean", "rows": "weighted mean", "classes": "class-weighted mean"}
    text = f"J = {mean[facts['weights']]} {LOSSES[facts['model'], facts['loss']].formula}"
    l2, l1, decay = facts["l2"], facts["l1"], facts["weight_decay"]
    if facts["several"]:
        return f"{text} + l2/2·‖W‖² + l1·‖W‖₁, each trial with its own l2 and l1"
    if l2:
        text += f" + {l2:.4g}/2·‖W‖²"
    if l1:
        text += f" + {l1:.4g}·‖W‖₁"
    if l2 or l1:
        return f"{text}   ({_equivalent(facts)})"
    return text + (f"   (weight decay {decay:g}, outside J)" if decay else "   (no penalty)")


def _equivalent(facts: ObjectiveFacts) -> str:
    """The penalty, which is not 0, in another library's words."""
    l2, l1 = facts["l2"], facts["l1"]
    without, with_l1 = MODELS[facts["model"]].equivalent
    return (with_l1 if l1 else without).format(
        C=facts["inverse_c"], l2=l2, l2_sum=facts["ridge_alpha"], a=l2 + l1, ratio=l1 / (l2 + l1)
    )


def shared_text(row_sets: int) -> str:
    """How many row sets share a stack, behind how many stacks there are; nothing where none do."""
    return f", {row_sets:,} row sets on one copy of their rows" if row_sets else ""


def sweep_text(facts: SweepFacts) -> str:
    """Trials, repeats, columns and stacks in a line."""
    trials, repeats, every = facts["trials"], facts["repeats"], facts["log_every"]
    text = f"{counted(trials, 'trial')} x {counted(repeats, 'repeat')}"
    columns = trials * repeats
    if (targets := facts.get("targets")) is not None:
        text, columns = f"{text} x {counted(targets, 'target')}", columns * targets
    text += f" = {counted(columns, 'column')}"
    if inner := facts.get("inner"):
        text += f" and {counted(inner, 'column')} of inner folds"
    if lacking := facts.get("lacking"):
        text += f", without {lacking:,} whose rows lack something: {columns - lacking:,}"
    text += f" in {counted(facts['stacks'], 'stack')}" + shared_text(facts.get("shared", 0))
    return text if every == 1 else f"{text}; one step in {every} is logged"
