"""What a run came to, in a number, a sentence and a table; and what a reader should know first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.catalog import LOSS, METRICS, MODELS, Apart, is_share, metric_of
from trainer.report.sweep.words import metric_words
from trainer.report.unfinished import NOT_ENDED, resume_text
from trainer.runs.liveness import DIED
from trainer.text.numbers import (
    counted,
    deviation,
    metric,
    number,
    percent,
    split_name,
    text,
)
from trainer.wording.bootstrap import wins_text
from trainer.wording.choice import of_training_rows_text, outcomes_text
from trainer.wording.intervals import ends_text, interval_texts
from trainer.wording.opening import device_text
from trainer.wording.repeats import repeat_word, repeats_texts
from trainer.wording.targets import of_refits, spread_of, std_between
from trainer.wording.undefined import over_text, undefined_texts

if TYPE_CHECKING:
    from trainer.report.run_data import RunData


class Headline(NamedTuple):
    """The head of a page.

    Attributes:
        figure: the result as a number, or a word where there is none.
        meaning: the rest of that sentence.
        how: how the run ended and whose weights count.
    """

    figure: str
    meaning: str
    how: str


def headline(run_data: RunData) -> Headline:
    """The result: on the test rows, else on the validation rows, else the training loss."""
    if run_data.status == "diverged":
        return Headline("Diverged", "The weights ran away: there is no model.", _end(run_data))
    if run_data.is_separate and run_data.results.get("groups"):
        return _over_targets(run_data)
    if run_data.status == "unranked":
        reason = _sentence(text(run_data.manifest.get("reason") or "no trial has a rank"))
        return Headline("No choice", reason, _end(run_data))
    split = next((s for s in _by_worth(run_data) if s in run_data.metrics), None)
    if split is None:
        return Headline("No result", "The folder has no metrics (yet).", _end(run_data))
    values = run_data.metrics[split]
    labels = run_data.labels
    asked = _asked_for(run_data, split)
    name = next((n for n in (asked, *_leading(run_data.kind, labels)) if n in values), None)
    if name is None:
        return Headline("No result", "The folder has no metrics (yet).", _end(run_data))
    rows, facts = _rows(run_data, split, name), METRICS[name]
    shown = facts.figure.format(value=metric(values[name], facts.is_share))
    meaning = facts.meaning.format(rows=rows)
    if labels > 1 and facts.meaning_of_labels:
        meaning = facts.meaning_of_labels.format(rows=rows, labels=labels)
    meaning = meaning or f"is the {facts.label} on {rows}."
    if facts.beside is not None and facts.beside[0] in values:
        other, sentence = facts.beside
        shown_beside = metric(values[other], is_share(other))
        meaning += " " + sentence.format(value=shown_beside, labels=labels)
    return Headline(shown, meaning, _end(run_data))


def _over_targets(run_data: RunData) -> Headline:
    """The median over targets: on test rows, else on validation rows, else of the loss."""
    names = [f"{split}_{name}" for name in _leading(run_data.kind, 1) for split in ("test", "val")]
    for column in (*names, "train_loss"):
        if (spread := spread_of(run_data.results, column)) is None:
            continue
        kind = metric_of(column) or column
        shown = metric(spread.median, is_share(column))
        split = column.split("_", 1)[0]
        where = f" on the {split_name(split)} rows" if split != "train" else " in training"
        over = counted(len(spread.groups), "target")
        ends = (metric(value, is_share(column)) for value in (spread.low, spread.high))
        label = METRICS[kind].label if kind in METRICS else column
        meaning = f"is the median {label} of {over}{where}, each by its own winner."
        if len(spread.groups) > 4:
            meaning += f" The middle 80 % go from {' to '.join(ends)}."
        if split == "test":
            meaning += _of_each_target(run_data, column)
        return Headline(shown, meaning, _sentence(outcomes_text(run_data.results["counts"])))
    return Headline("No result", "No winner has a metric that is a number.", "")


def _of_each_target(run_data: RunData, column: str) -> str:
    """What a target's test metric is where there are repeats, and what refits come to."""
    between = std_between(run_data.results["groups"], column)
    again = spread_of(of_refits(run_data.results), column)
    told = ""
    if between is not None:
        repeats = counted(run_data.results["repeats"], "repeat")
        share = deviation(between, is_share(column))
        told = f" Each is the mean of the own models of {repeats}, ± {share} between them."
    if again is not None:
        told += f" Models that were trained again have {metric(again.median, is_share(column))}."
    return told


def _asked_for(run_data: RunData, split: str) -> str:
    """The metric that a test set's result is to begin with; empty where its source names none."""
    data = run_data.config.get("data")
    tests = data.get("test") if isinstance(data, Mapping) else None
    for source in tests if isinstance(tests, list) else ():
        if isinstance(source, Mapping) and source.get("name") == split:
            return str(source.get("metric") or "")
    return ""


def _leading(model: str, labels: int) -> tuple[str, ...]:
    """What a page may open with, by preference: what the field reports of such a task."""
    if model not in MODELS:
        return (LOSS,)
    of_labels = MODELS[model].headline_of_labels if labels > 1 else ""
    return (of_labels, MODELS[model].headline, LOSS)


def _rows(run_data: RunData, split: str, name: str) -> str:
    """Which rows a metric is of."""
    repeats = run_data.results.get("repeats") or 1
    rows = counted(run_data.splits[split], f"{split_name(split)} row")
    if split not in ("train", "val"):
        if split != "test":
            rows = f"{counted(run_data.splits[split], 'test row')} ({text(split)})"
        spread = f"{_prefix(split)}{name}" in (run_data.scored.get("std") or {})
        own = "mean of the own winners of" if _each_chose(run_data) else "mean of"
        return f"{rows} ({own} {counted(repeats, 'repeat')})" if spread else rows
    if split == "val" and run_data.leaves_out:
        rows = f"{counted(run_data.splits[split], 'row')}, each by the model of all others"
    if repeats < 2:
        return rows
    if split == "val" and _folds(run_data):  # each repeat holds out others
        rows = "the held-out rows"
    count = (run_data.best.get("defined") or {}).get(f"{split}_{name}", repeats)
    return f"{rows} (mean of {over_text(count, repeats)})"


def _prefix(split: str) -> str:
    """What the names of a split's metrics begin with."""
    return f"{split}_" if split in ("train", "val", "test") else f"test_{split}_"


def _each_chose(run_data: RunData) -> bool:
    """Whether the result is of repeats that chose for themselves."""
    return run_data.scored is not run_data.best


def _folds(run_data: RunData) -> bool:
    repeat = run_data.config.get("repeat")
    return isinstance(repeat, Mapping) and bool(repeat.get("folds") or repeat.get("bootstrap"))


def _by_worth(run_data: RunData) -> list[str]:
    tests = [split for split in run_data.splits if split not in ("train", "val")]
    return [*(tests if len(tests) == 1 else []), "val", *tests, "train"]


def _end(run_data: RunData) -> str:
    row = run_data.best_row
    sentence = text(row.get("reason") or run_data.manifest.get("reason") or "")
    ended = str(row.get("status") or "").replace("_", " ").capitalize()
    ended = {"Early stopped": "Stopped early"}.get(ended, ended)
    repeated = run_data.status == "diverged" or sentence.startswith(ended.lower())
    if ended and sentence and not repeated:
        sentence = f"{ended}: {sentence}"
    best, epochs = row.get("best_epoch"), row.get("epochs")
    if run_data.solved or run_data.status in ("diverged", "unranked"):
        best = None  # its reason has said how far it went, or there are no weights that count
    if best and epochs and (run_data.best or not run_data.is_sweep):
        last = best >= epochs
        where = f"the last of {counted(epochs, 'epoch')}" if last else f"epoch {best} of {epochs}"
        sentence += (
            f"; the weights of {where} count" if sentence else f"The weights of {where} count"
        )
    return _sentence(sentence) if sentence else ""


class Notice(NamedTuple):
    """Something a reader should know before the numbers. `grave` for what spoils them."""

    title: str
    sentence: str
    grave: bool = False


def notices(run_data: RunData) -> list[Notice]:
    """What is special about this run, gravest first."""
    found = []
    reason = text(run_data.manifest.get("reason") or "")
    if run_data.status == "diverged" and reason:
        said = text(run_data.best_row.get("reason") or "") + "; "  # in the head of the page
        mend = _sentence(reason.removeprefix(said))
        found.append(Notice("What would mend it", mend, grave=True))
    elif run_data.status == "failed":
        told = f"{reason or 'The run did not end'}; run.log has more."
        if elsewhere := run_data.manifest.get("elsewhere"):
            told += f" What this folder refused is in {text(elsewhere)}."
        found.append(Notice("Failed", told + resume_text(run_data), grave=True))
    elif run_data.status in NOT_ENDED:
        told = NOT_ENDED[run_data.status] + resume_text(run_data)
        found.append(Notice(run_data.status.capitalize(), told, run_data.status == DIED))
    elif run_data.status == "interrupted":
        told = _interrupted(run_data) + resume_text(run_data)
        found.append(Notice("Interrupted", told))
    if warning := text(run_data.manifest.get("warning") or ""):
        found.append(Notice("Warning", _sentence(warning), grave=True))
    found += [Notice("Not read", sentence, grave=True) for sentence in run_data.unread]
    found += [Notice("Not defined everywhere", _sentence(each)) for each in _undefined(run_data)]
    found += [Notice("Repeats", _sentence(each)) for each in _repeats(run_data)]
    if won := wins_text(run_data.results):
        found.append(Notice("Would win", _sentence(won)))
    if "val" not in run_data.splits and run_data.splits:
        found.append(Notice("No validation", _no_validation(run_data)))
    if run_data.results.get("best") and (caution := of_training_rows_text(run_data.results)):
        found.append(Notice("Choice", _sentence(caution)))
    if (apart := run_data.apart) is not None:
        found.append(Notice(_sentence(apart.name).removesuffix("."), _other_loss(apart)))
    return found


def _repeats(run_data: RunData) -> list[str]:
    """What is to be said of means over repeats."""
    repeats, left_out = run_data.results.get("repeats") or 1, run_data.results.get("left_out") or {}
    inner = run_data.results.get("inner_left_out") or {}
    return repeats_texts(run_data.config.get("repeat"), int(repeats), left_out, inner=inner)


def _undefined(run_data: RunData) -> list[str]:
    repeats = int(run_data.results.get("repeats") or 1)
    word = repeat_word(run_data.config.get("repeat"))
    return undefined_texts(run_data.best, repeats, word, metric_words)


def _other_loss(apart: Apart) -> str:
    return (
        "For the models' own losses dL/dz is ŷ − y: the further off, the stronger the pull."
        f" Here it is {apart.dz}, {apart.effect}. In “Error and dL/dz” the two curves part by that"
        " factor. With loss: auto they are one."
    )


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "." * (not words.endswith("."))


def _interrupted(run_data: RunData) -> str:
    trial = run_data.best_row
    if (trial.get("best_epoch") or 0) < (trial.get("epochs") or 0):
        return "Stopped before its end: the model and the numbers are those of its best evaluation."
    if run_data.model is not None:
        return "Stopped before its end: the model and the numbers are those of its last step."
    return "Stopped before its end, and without a model."


def _no_validation(run_data: RunData) -> str:
    tests = [split for split in run_data.splits if split != "train"]
    if tests:
        return "No rows were held out to choose by; the test rows are the only ones not trained on."
    return "No rows were held out, so nothing here says how the model does on rows it has not seen."


def metrics_table(run_data: RunData) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """(what each column is of, rows of (metric, its value there)) for the head of the page."""
    found, refit = run_data.metrics, run_data.refit_metrics
    names = [name for name in METRICS if any(name in values for values in found.values())]
    rows = [
        (
            run_data.metric_label(name),
            [_spread(run_data, split, name) for split in found]
            + [_of_refit(run_data, split, name) for split in refit],
        )
        for name in sorted(names, key=lambda name: not METRICS[name].is_loss)
    ]
    selected = " (selected)" if _each_chose(run_data) and not run_data.is_nested else ""
    heads = [split_name(split) + selected * (split == "val") for split in found]
    return [*heads, *(f"{split_name(split)}, refit" for split in refit)], rows


def _spread(run_data: RunData, split: str, name: str) -> str:
    """A metric, with its interval and its standard deviation over repeats where it has one."""
    shown = metric(run_data.metrics[split].get(name), is_share(name))
    shown += _ends(run_data.best, run_data.column(split, name), is_share(name))
    std = (run_data.scored.get("std") or {}).get(f"{_prefix(split)}{name}")
    return shown if std is None else f"{shown} ± {deviation(std, is_share(name))}"


def _of_refit(run_data: RunData, split: str, name: str) -> str:
    """A metric of the model that was trained again, with its interval where it has one."""
    shown = metric(run_data.refit_metrics[split].get(name), is_share(name))
    again = run_data.best.get("refit") or {}
    return shown + _ends(again, f"{_prefix(split)}{name}", is_share(name))


def _ends(record: Mapping[str, Any], column: str, share: bool) -> str:
    """` [0.91, 0.95]` of a record's metric; empty where it has no interval."""
    ends = (record.get("intervals") or {}).get(column)
    return f" {ends_text(ends, percent if share else lambda end: number(end, 3))}" if ends else ""


def interval_note(run_data: RunData) -> str:
    """How the intervals of the table were made; empty without any."""
    return " ".join(map(_sentence, interval_texts(run_data.results, metric_words)))


def facts(run_data: RunData) -> list[tuple[str, str]]:
    """(what, value) of the run, for the folded part of the page."""
    manifest = run_data.manifest
    versions = manifest.get("versions")
    commit = manifest.get("git_commit")
    found: dict[str, Any] = {
        "command": manifest.get("command"),
        "started": manifest.get("started"),
        "seconds": manifest.get("seconds"),
        "device": _device(manifest.get("device")),
        "data": run_data.data.get("source"),
        "data digest": run_data.data.get("digest"),
        "commit": commit and f"{commit}{' and changes' if manifest.get('git_dirty') else ''}",
        "versions": ", ".join(f"{k} {v}" for k, v in versions.items())
        if isinstance(versions, Mapping)
        else None,
    }
    return [(name, text(value)) for name, value in found.items() if value not in (None, "")]


def _device(found: Any) -> str | None:
    if not isinstance(found, Mapping) or not found.get("kind"):
        return None
    kind, name, reason = (str(found.get(key)) for key in ("kind", "name", "reason"))
    return device_text({"kind": kind, "name": name, "reason": reason})


def subtitle(run_data: RunData) -> list[str]:
    """The run in a few words: data, size, optimizer, time."""
    data, optimizer = run_data.data, run_data.config.get("optimizer")
    found = [text(data["source"]).rsplit("/", 1)[-1]] if data.get("source") else []
    repeat = run_data.config.get("repeat")
    drawn = repeat_word(repeat) in ("draw", "resample")  # each repeat its own few
    if "train" in run_data.splits and data.get("features") and not drawn:
        rows = counted(run_data.splits["train"], "training row")
        found.append(f"{rows} × {counted(data['features'], 'feature')}")
    if isinstance(optimizer, Mapping):
        name, lr = optimizer.get("name"), optimizer.get("lr")
        found.append(f"{text(name)}, lr {text(lr)}" if name and lr else text(name or ""))
    if len(run_data.trials) > 1:
        found.append(counted(len(run_data.trials), "trial"))
    seconds = manifest_seconds(run_data)
    return [*found, seconds] if seconds else found


def manifest_seconds(run_data: RunData) -> str:
    """How long the run took."""
    seconds = run_data.manifest.get("seconds")
    if not isinstance(seconds, int | float):
        return ""
    if seconds < 60:
        return f"{seconds:.2g} seconds" if seconds < 10 else f"{seconds:.0f} seconds"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} hours" if hours else f"{minutes}:{rest:02d} minutes"
