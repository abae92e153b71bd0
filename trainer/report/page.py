"""The page of one run: what came of it, how it went, what the model says, what it has learned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from trainer.errors import RunFolderError
from trainer.report import headline
from trainer.report.charts import coefficients, predictions, training
from trainer.report.charts.curves import mistakes
from trainer.report.charts.permutation import null_chart
from trainer.report.html import chart, document, esc, scrolling, section, table, tabs
from trainer.report.influence import influence_section
from trainer.report.label_table import label_table
from trainer.report.prediction_data import PredictionData, read_predictions
from trainer.report.sweep.view import view_sweep
from trainer.report.sweep.words import metric_words
from trainer.report.targets import spread_list, target_sections
from trainer.runs.names import CONFIG
from trainer.runs.provenance import __version__
from trainer.text.names import cut_apart
from trainer.text.numbers import counted, number, percent, split_name
from trainer.text.program import PROGRAM
from trainer.wording.intervals import ends_text
from trainer.wording.permutation import permutation_texts

if TYPE_CHECKING:
    from trainer.report.run_data import RunData
    from trainer.report.sweep.view import SweepView

_MOST_SPLITS = 8


def run_page(run_data: RunData) -> bytes:
    """The page as HTML."""
    if run_data.is_separate:
        return targets_page(run_data)
    sweep = view_sweep(run_data)
    choice, sections = _of_sweep(sweep)
    parts = [
        _head(run_data, choice),
        _notices(run_data),
        *sections,
        section(
            _of_winner("Training", sweep),
            *map(chart, training.step_charts(run_data)),
            _short_log(run_data),
        ),
        section(_of_winner("Validation", sweep), *map(chart, training.epoch_charts(run_data))),
        _permutations(run_data),
        _predictions(run_data),
        influence_section(run_data),
        _coefficients(run_data),
        _settings(run_data),
        f"<footer>Drawn by {PROGRAM} {esc(__version__)} from the run folder"
        f" {esc(run_data.folder.name)} alone.</footer>",
    ]
    return document(f"{run_data.name}: {run_data.status}", "\n".join(filter(None, parts)))


def targets_page(run_data: RunData) -> bytes:
    """The page of a run whose targets are problems of their own."""
    parts = [
        _head(run_data, spread_list(run_data)),
        _notices(run_data),
        *target_sections(run_data),
        influence_section(run_data),
        _settings(run_data),
        f"<footer>Drawn by {PROGRAM} {esc(__version__)} from the run folder"
        f" {esc(run_data.folder.name)} alone.</footer>",
    ]
    return document(f"{run_data.name}: {run_data.status}", "\n".join(filter(None, parts)))


def _of_sweep(sweep: SweepView | None) -> tuple[str, Iterable[str]]:
    """What only a sweep has: its choice, for the head, and its sections."""
    if sweep is None:
        return "", ()
    from trainer.report.sweep.sections import choice_list, sweep_sections

    return choice_list(sweep), sweep_sections(sweep)


def _head(run_data: RunData, choice: str) -> str:
    found = headline.headline(run_data)
    grave = " grave" if run_data.status in ("diverged", "unranked", "failed", "killed") else ""
    words = [run_data.kind, *headline.subtitle(run_data)]
    kicker = f'<li class="status {esc(run_data.status)}">{esc(run_data.status)}</li>'
    kicker += "".join(f"<li>{esc(word)}</li>" for word in words if word)
    splits, rows = headline.metrics_table(run_data)
    numbers = ""
    if splits:
        names = [esc(split) for split in splits]
        cells = [[esc(name), *map(esc, values)] for name, values in rows]
        note = headline.interval_note(run_data)
        told = f'<p class="note intervals">{esc(note)}</p>' if note else ""
        numbers = f"<div>{table(['metric', *names], cells, label='Metrics')}{told}</div>"
    notes = run_data.manifest.get("notes")
    free = f'<p class="free-text">{esc(notes)}</p>' if notes else ""
    return f"""<header class="result">
<div>
<ul class="kicker">{kicker}</ul>
<h1>{esc(run_data.name)}</h1>
{free}
<p class="figure{grave}">{esc(found.figure)}</p>
<p class="meaning">{esc(found.meaning)}</p>
<p class="how">{esc(found.how)}</p>
{choice}
</div>
{numbers}
</header>"""


def _short_log(run_data: RunData) -> str:
    """What a log of a step or two says: a closed form has no way to its optimum."""
    told, head, rows = training.first_and_last(run_data)
    if not rows:
        return ""
    cells = [[esc(cell) for cell in row] for row in rows]
    inner = table([esc(cell) for cell in head], cells, label="Training")
    return f'<div class="card wide"><p class="note">{esc(told)}</p>{inner}</div>'


def _of_winner(title: str, sweep: SweepView | None) -> str:
    chosen = sweep.run_data.chosen if sweep else None
    return title if chosen is None else f"{title} of trial {chosen}"


def _notices(run_data: RunData) -> str:
    found = headline.notices(run_data)
    if not found:
        return ""
    inner = "\n".join(_notice(notice.title, notice.sentence, notice.grave) for notice in found)
    return f'<div class="notices">\n{inner}\n</div>'


def _notice(title: str, sentence: str, grave: bool) -> str:
    kind = "notice grave" if grave else "notice"
    return f'<p class="{kind}"><b>{esc(title)}</b> {esc(sentence)}</p>'


def _permutations(run_data: RunData) -> str:
    """The scores with permuted labels, and the p-value."""
    test = run_data.results.get("permutation_test") or {}
    told = " ".join(
        f"{one[:1].upper()}{one[1:]}." for one in permutation_texts(run_data.results, metric_words)
    )
    drawn = null_chart(test, run_data.permutations, told) if test else None
    return section("Permutation test", chart(drawn)) if drawn else ""


def _predictions(run_data: RunData) -> str:
    panels = []
    try:
        found = list(islice(read_predictions(run_data), _MOST_SPLITS))
    except RunFolderError as error:
        return section("Predictions", _notice("Not read", str(error), grave=True), layout="notices")
    for data in found:
        name = f"{split_name(data.split)}, {counted(len(data), 'row')}"
        charts = [chart(drawing) for drawing in predictions.charts(data)]
        layout = "cards three" if len(charts) == 3 else "cards"
        mistakes = _mistakes(data) or label_table(run_data.best, data.split)
        inner = "\n".join(filter(None, [_pooled(data), *charts, mistakes]))
        panels.append((name, f'<div class="{layout}">\n{inner}\n</div>'))
    if not panels:
        return ""
    of = f" on {panels[0][0]}" if len(panels) == 1 else ""
    return section(f"Predictions{of}", tabs(panels, "split"), layout="panels")


def _pooled(data: PredictionData) -> str:
    """What the charts are of where several folds predict; empty where one model does."""
    if not data.folds:
        return ""
    first = f", the first of {counted(data.times, 'drawing')}" if data.times > 1 else ""
    return (
        '<div class="card wide"><p class="note">Each row as the model predicts it that did not see'
        f" it: {counted(data.folds, 'fold')} pooled{first}. The metrics above are means within"
        " folds, so nothing read off here need equal them.</p></div>"
    )


def _mistakes(data: PredictionData) -> str:
    """The most confident mistakes, as a table."""
    if data.kind not in ("labels", "distribution"):
        return ""
    found = mistakes(data.target, data.prediction, data.p)
    wrong = int((data.target != data.prediction).sum())
    if not len(found):
        inner = '<p class="note">None: every row is classified right.</p>'
    else:
        rows, names = [], _names(data.names)
        for i in found:
            true, predicted = int(data.target[i]), int(data.prediction[i])
            sure = float(data.p[i, predicted])
            meter = f'<span class="meter"><i style="width:{100 * sure:.0f}%"></i></span>'
            rows.append(
                [
                    f"{data.row[i]:,}",
                    meter + esc(percent(sure)),
                    names[predicted],
                    names[true],
                    esc(percent(float(data.p[i, true]))),
                ]
            )
        head = ["row", "probability", "predicted", "true", "probability of the true class"]
        inner = (
            f'<p class="note">{len(rows)} of {counted(wrong, "mistake")}, the surest first.'
            " Rows count from 0 in their source.</p>"
        ) + table(head, rows, kind="full words", label="The most confident mistakes")
    return f'<div class="card wide"><h3>Most confident mistakes</h3>{inner}</div>'


def _names(names: Sequence[str]) -> list[str]:
    pairs = zip(names, cut_apart(names, 40), strict=True)
    return [f'<span title="{esc(name)}">{esc(shown)}</span>' for name, shown in pairs]


def _coefficients(run_data: RunData) -> str:
    found = coefficients.coefficients(run_data)
    if found is None:
        return ""
    if len(found.outputs) > 1 and found.weights.shape[1] > 1:
        return section("Largest coefficients", chart(coefficients.grid(found)))
    shown = coefficients.bars(found)
    rows = "\n".join(map(_bar, shown))
    of = len(found.features)
    count = f" The {len(shown)} largest of {counted(of, 'feature')}." if len(shown) < of else ""
    return section(
        "Largest coefficients",
        f'<div class="card"><p class="note">{esc(found.note)}{count}</p>\n'
        f'<div class="bars">\n{rows}\n</div></div>',
    )


def _bar(bar: coefficients.Bar) -> str:
    """A coefficient's name, its bar with its interval, and both as numbers."""
    value = esc(number(bar.value))
    span = ""
    if bar.ends is not None and bar.share_of_ends is not None:
        low, high = bar.share_of_ends
        span = f'<b style="left:{50 + 50 * low:.2f}%;width:{50 * (high - low):.2f}%"></b>'
        ends = ends_text(bar.ends, lambda end: number(end, 3))
        value += f' <span class="ends">{esc(ends)}</span>'
    return (
        f'<span class="name" title="{esc(bar.name)}">{esc(bar.name)}</span>'
        f'<span class="track"><i class="{"up" if bar.value >= 0 else "down"}"'
        f' style="width:{50 * abs(bar.share):.2f}%"></i>{span}</span>'
        f'<span class="number">{value}</span>'
    )


def _settings(run_data: RunData) -> str:
    facts = "".join(
        f"<dt>{esc(name)}</dt><dd>{esc(value)}</dd>" for name, value in headline.facts(run_data)
    )
    config = "\n".join(map(_config_line, run_data.config_text.splitlines()))
    folded = (
        f"<details><summary>{CONFIG}</summary>{scrolling(f'<pre>{config}</pre>', CONFIG)}</details>"
        if config
        else ""
    )
    return section(
        "Settings",
        folded,
        f'<details><summary>Where it ran</summary><dl class="facts">{facts}</dl></details>',
        layout="folds",
    )


def _config_line(line: str) -> str:
    key, colon, rest = line.partition(":")
    if colon and key.strip(" -").replace("_", "").isalnum():
        return f'<span class="key">{esc(key)}</span>:{esc(rest)}'
    return esc(line)
