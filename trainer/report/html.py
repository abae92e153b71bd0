"""The page as text: every string that comes from outside goes through `esc`."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

from trainer.report.charts.chart import Chart, Series
from trainer.text.printable import printable

PLOTLY = "plotly/plotly-cartesian.min.js"  # with its licence beside it, by scripts/vendor_plotly.py


def esc(value: object) -> str:
    """Text for HTML, in an element or a quoted attribute, letter by letter."""
    return html.escape(printable(str(value)))


def document(title: str, body: str) -> bytes:
    """A whole page, with plotly.js and all else in it: it opens offline, and asks nobody.

    Its policy lets no script run but the two in it, whatever stands in the user's files.
    """
    script = _asset("report.js")
    scripts = [_asset(PLOTLY), script] if '<figure class="chart' in body else [script]
    policy = "; ".join(
        [
            "default-src 'none'",
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "script-src " + " ".join(_digest(text) for text in scripts),
        ]
    )
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{esc(title)}</title>
<style>
{_asset("report.css")}</style>
</head>
<body>
<main>
{body}
<noscript><p class="notice">The charts are drawn by a script in this page; it may not run here.</p>
</noscript>
</main>
{"".join(f"<script>{text}</script>" for text in scripts)}
</body>
</html>
"""
    return page.encode("utf-8", "backslashreplace")


def section(title: str, *parts: str, layout: str = "cards") -> str:
    """A heading and what belongs under it; nothing if that is nothing."""
    inner = "\n".join(part for part in parts if part)
    if not inner:
        return ""
    return f'<section>\n<h2>{esc(title)}</h2>\n<div class="{layout}">\n{inner}\n</div>\n</section>'


def chart(drawing: Chart) -> str:
    """A chart's frame, with its data beside it; report.js draws it."""
    first = drawing.views[0]
    logged = first.layout["yaxis"].get("type") == "log"
    control = ""
    if drawing.log:
        control = f'<button class="scale" aria-pressed="{str(logged).lower()}">log</button>'
    if len(drawing.views) > 1:
        options = "".join(f"<option>{esc(view.name)}</option>" for view in drawing.views)
        control = f'<select aria-label="{esc(drawing.choice)}">{options}</select>'
    data = {
        "height": drawing.height,
        "views": [
            {
                "note": view.note,
                "data": [trace for series in view.series for trace in series.traces],
                "layout": view.layout,
            }
            for view in drawing.views
        ],
    }
    shape = (
        f'style="height:{drawing.height + 8}px"' if drawing.height else 'style="min-height:300px"'
    )
    return f"""<figure class="chart card{" wide" * drawing.wide}">
<figcaption>
<div class="title"><h3>{esc(drawing.title)}</h3>{control}</div>
<p class="note">{esc(drawing.note)} <span class="view-note">{esc(first.note)}</span></p>
{_legend(first.series)}</figcaption>
<div class="plot" {shape}><div role="img" aria-label="{esc(drawing.title)}"></div></div>
<script type="application/json">{embedded(data)}</script>
</figure>"""


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "", label: str = ""
) -> str:
    """A table that scrolls within itself where it is too wide.

    Args:
        head: of its columns: HTML already, like the cells. None is empty.
        rows: the first cell of each names it.
        kind: its classes: `full` is as wide as the page, `sticky` keeps its first column in sight,
            `words` is aligned to the left.
        label: what it is called by a screen reader.
    """
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(f"<td>{cell}</td>" for cell in rest)
        + "</tr>\n"
        for first, *rest in rows
    )
    inner = f'<table class="{kind}"><thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody></table>'
    return scrolling(inner, label, pinned="sticky" in kind)


def scrolling(inner: str, label: str, *, pinned: bool = False) -> str:
    """A box that scrolls sideways; report.js shades the edges behind which it goes on.

    Args:
        inner: HTML that may be wider than the page.
        label: what it is called by a screen reader.
        pinned: whether its first column stays in sight.
    """
    return (
        f'<div class="scrolls{" pinned" * pinned}"><div class="scroll" tabindex="0" role="region"'
        f' aria-label="{esc(label)}">{inner}</div></div>'
    )


def swatch(colour: str, dash: str = "solid", box: bool = False) -> str:
    """A sample of a curve's stroke."""
    kind = "box" if box else dash
    return f'<span class="swatch {kind}" style="--of: {colour}"></span>'


def tabs(panels: Sequence[tuple[str, str]], label: str) -> str:
    """One of several panels (name, HTML) at a time; one alone without its tab."""
    if len(panels) == 1:
        return panels[0][1]
    buttons = "".join(
        f'<button role="tab" aria-selected="{str(i == 0).lower()}" aria-controls="panel-{i}"'
        f' tabindex="{0 if i == 0 else -1}">{esc(name)}</button>'
        for i, (name, _) in enumerate(panels)
    )
    shown = "".join(
        f'<div role="tabpanel" id="panel-{i}" data-name="{esc(name)}"{" hidden" * (i > 0)}>'
        f"{inner}</div>\n"
        for i, (name, inner) in enumerate(panels)
    )
    return f'<div class="tabs" role="tablist" aria-label="{esc(label)}">{buttons}</div>\n{shown}'


def _legend(series: Sequence[Series]) -> str:
    """Names beside samples of their strokes; a click hides a curve. One alone needs none."""
    named = [entry for entry in series if entry.label]
    if len(named) < 2 and not any(": " in entry.label for entry in named):
        return ""
    items, start = [], 0
    for entry in series:
        places = range(start, start + len(entry.traces))
        start = places.stop
        sample = swatch(entry.colour, entry.dash, entry.marker and entry.dash == "solid")
        traces = " ".join(map(str, places))
        inner = f"{sample}{esc(entry.label)}"
        if traces:
            inner = f'<button aria-pressed="true" data-traces="{traces}">{inner}</button>'
        items.append(f"<li>{inner}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>\n'


def embedded(value: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return files("trainer.report").joinpath("assets", name).read_text(encoding="utf-8")
