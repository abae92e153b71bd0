"""What a run came to, in a number, a sentence and a table; and what a reader should know first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.report.run_data import Material
from trainer.text.numbers import METRICS, counted, deviation, metric, number, split_name, text

_FIRST = {"linear": ("r2",), "logistic": ("accuracy",), "softmax": ("accuracy",)}
_MEANING = {
    "r2": "on {rows}.",
    "accuracy": "of {rows} are classified right.",
    "loss": "is the loss on {rows}.",
}


@dataclass(frozen=True)
class Verdict:
    """The head of a page.

    Attributes:
        figure: the result as a number, or a word where there is none.
        meaning: the rest of that sentence.
        how: how the run ended and whose weights count.
    """

    figure: str
    meaning: str
    how: str


def verdict(material: Material) -> Verdict:
    """The result: on the test rows, else on the validation rows, else the training loss."""
    if material.status == "diverged":
        return Verdict("Diverged", "The weights ran away: there is no model.", _end(material))
    split = next((s for s in _by_worth(material) if s in material.metrics), None)
    if split is None:
        return Verdict("No result", "The folder has no metrics (yet).", _end(material))
    values = material.metrics[split]
    name = next((n for n in (*_FIRST.get(material.kind, ()), "loss") if n in values), None)
    if name is None:
        return Verdict("No result", "The folder has no metrics (yet).", _end(material))
    rows = _rows(material, split)
    shown = metric(name, values[name])
    meaning = _MEANING[name].format(rows=rows)
    if name == "r2":
        shown = f"R² {shown}"
        meaning = f"on {rows}: the share of the target's variance that is explained."
        if "rmse" in values:
            meaning += f" Typical miss (RMSE): {number(values['rmse'])}."
    elif name == "accuracy" and _labels_of_a_row(material) > 1:
        meaning = f"of {rows} have all {_labels_of_a_row(material)} labels right."
    return Verdict(shown, meaning, _end(material))


def _rows(material: Material, split: str) -> str:
    """Which rows a metric is of."""
    if split not in ("train", "val", "test"):
        return f"{counted(material.splits[split], 'test row')} ({text(split)})"
    rows = counted(material.splits[split], f"{split_name(split)} row")
    repeats = material.results.get("repeats") or 1
    if split == "test" or repeats < 2:
        return rows
    if split == "val" and _folds(material):  # each repeat holds out others
        rows = "the held-out rows"
    return f"{rows} (mean of {repeats} repeats)"


def _folds(material: Material) -> bool:
    repeat = material.config.get("repeat")
    return isinstance(repeat, Mapping) and bool(repeat.get("folds"))


def _labels_of_a_row(material: Material) -> int:
    model = material.model
    several = model is not None and model.encoder.target.kind == "multilabel"
    return len(model.encoder.outputs) if model is not None and several else 1


def _by_worth(material: Material) -> list[str]:
    tests = [split for split in material.splits if split not in ("train", "val")]
    return [*(tests if len(tests) == 1 else []), "val", *tests, "train"]


def _end(material: Material) -> str:
    row = material.best_row
    sentence = text(row.get("reason") or material.manifest.get("reason") or "")
    ended = str(row.get("status") or "").replace("_", " ").capitalize()
    ended = {"Early stopped": "Stopped early"}.get(ended, ended)
    told = material.status == "diverged" or sentence.startswith(ended.lower())
    if ended and sentence and not told:
        sentence = f"{ended}: {sentence}"
    best, epochs = row.get("best_epoch"), row.get("epochs")
    if material.solved:
        best = None  # its reason has said how far it went
    if best and epochs and (material.best or not material.is_sweep):
        last = best >= epochs
        where = f"the last of {counted(epochs, 'epoch')}" if last else f"epoch {best} of {epochs}"
        sentence += (
            f"; the weights of {where} count" if sentence else f"The weights of {where} count"
        )
    return _sentence(sentence) if sentence else ""


@dataclass(frozen=True)
class Notice:
    """Something a reader should know before the numbers. `grave` for what spoils them."""

    title: str
    sentence: str
    grave: bool = False


def notices(material: Material) -> list[Notice]:
    """What is special about this run, gravest first."""
    found = []
    reason = text(material.manifest.get("reason") or "")
    if material.status == "diverged" and reason:
        said = text(material.best_row.get("reason") or "") + "; "  # in the head of the page
        mend = _sentence(reason.removeprefix(said))
        found.append(Notice("What would mend it", mend, grave=True))
    elif material.status == "failed":
        found.append(
            Notice("Failed", f"{reason or 'The run did not end'}; run.log has more.", True)
        )
    elif material.status == "running":
        found.append(Notice("Running", "Drawn while the run was going on, or after it was killed."))
    elif material.status == "interrupted":
        found.append(Notice("Interrupted", _interrupted(material)))
    if warning := text(material.manifest.get("warning") or ""):
        found.append(Notice("Warning", _sentence(warning), grave=True))
    found += [Notice("Not read", sentence, grave=True) for sentence in material.unread]
    if "val" not in material.splits and material.splits:
        found.append(Notice("No validation", _no_validation(material)))
    if material.other_loss:
        found.append(Notice("Squared error on a sigmoid", _OTHER_LOSS))
    return found


_OTHER_LOSS = (
    "For the three models' own losses dL/dz is ŷ − y: the further off, the stronger the pull. Here"
    " it is (ŷ − y)·ŷ·(1 − ŷ), nearly 0 wherever ŷ is near 0 or 1, right or wrong. In “Error"
    " and dL/dz” the two curves part by that factor. With loss: auto they are one."
)


def _sentence(told: str) -> str:
    return told[:1].upper() + told[1:] + "." * (not told.endswith("."))


def _interrupted(material: Material) -> str:
    trial = material.best_row
    if (trial.get("best_epoch") or 0) < (trial.get("epochs") or 0):
        return "Stopped before its end: the model and the numbers are those of its best evaluation."
    if material.model is not None:
        return "Stopped before its end: the model and the numbers are those of its last step."
    return "Stopped before its end, and without a model."


def _no_validation(material: Material) -> str:
    tests = [split for split in material.splits if split != "train"]
    if tests:
        return "No rows were held out to choose by; the test rows are the only ones not trained on."
    return "No rows were held out, so nothing here says how the model does on rows it has not seen."


def metrics_table(material: Material) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """(splits, rows of (metric, its value on each)) for the head of the page."""
    found = material.metrics
    splits = list(found)
    names = [name for name in METRICS if any(name in values for values in found.values())]
    rows = [
        (METRICS[name][0], [_spread(material, split, name) for split in splits])
        for name in sorted(names, key=lambda name: name != "loss")
    ]
    return splits, rows


def _spread(material: Material, split: str, name: str) -> str:
    """A metric, with its standard deviation over repeats where it has one."""
    shown = metric(name, material.metrics[split].get(name))
    std = (material.best.get("std") or {}).get(f"{split}_{name}")
    return shown if std is None else f"{shown} ± {deviation(name, std)}"


def facts(material: Material) -> list[tuple[str, str]]:
    """(what, value) of the run, for the folded part of the page."""
    manifest = material.manifest
    device = manifest.get("device")
    device = device if isinstance(device, Mapping) else {}
    versions = manifest.get("versions")
    commit = manifest.get("git_commit")
    found: dict[str, Any] = {
        "command": manifest.get("command"),
        "started": manifest.get("started"),
        "seconds": manifest.get("seconds"),
        "device": f"{device['kind']}: {device.get('name')} ({device.get('reason')})"
        if device.get("kind")
        else None,
        "data": material.data.get("source"),
        "data digest": material.data.get("digest"),
        "commit": commit and f"{commit}{' and changes' if manifest.get('git_dirty') else ''}",
        "versions": ", ".join(f"{k} {v}" for k, v in versions.items())
        if isinstance(versions, Mapping)
        else None,
    }
    return [(name, text(value)) for name, value in found.items() if value not in (None, "")]


def subtitle(material: Material) -> list[str]:
    """The run in a few words: data, size, optimizer, time."""
    data, optimizer = material.data, material.config.get("optimizer")
    found = [text(data["source"]).rsplit("/", 1)[-1]] if data.get("source") else []
    repeat = material.config.get("repeat")
    drawn = isinstance(repeat, Mapping) and repeat.get("few_shot")  # each repeat its own few
    if "train" in material.splits and data.get("features") and not drawn:
        rows = counted(material.splits["train"], "training row")
        found.append(f"{rows} × {counted(data['features'], 'feature')}")
    if isinstance(optimizer, Mapping):
        name, lr = optimizer.get("name"), optimizer.get("lr")
        found.append(f"{text(name)}, lr {text(lr)}" if name and lr else text(name or ""))
    if len(material.trials) > 1:
        found.append(counted(len(material.trials), "trial"))
    seconds = manifest_seconds(material)
    return [*found, seconds] if seconds else found


def manifest_seconds(material: Material) -> str:
    """How long the run took."""
    seconds = material.manifest.get("seconds")
    if not isinstance(seconds, int | float):
        return ""
    if seconds < 60:
        return f"{seconds:.2g} seconds" if seconds < 10 else f"{seconds:.0f} seconds"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} hours" if hours else f"{minutes}:{rest:02d} minutes"
