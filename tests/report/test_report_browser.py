"""The pages in Chromium: no error, wide and narrow, light and dark, nothing clipped."""

import pytest
from browser import needs_chromium, open_page
from page_faults import DRAWN, faults
from report_helpers import charts_of, page_of

from trainer.workflow.report import write_compare

pytestmark = needs_chromium

KINDS = [
    "softmax",
    "logistic",
    "linear",
    "multi-target",
    "multi-label",
    "soft labels",
    "squared error",
    "diverged",
    "no validation",
    "interrupted",
    "hostile",
]
# The colour of the first curve, and what the page's variable says it should be.
_BLUES = """
(() => {
  const hex = getComputedStyle(document.documentElement).getPropertyValue('--blue').trim();
  const [r, g, b] = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
  const strokes = [...document.querySelectorAll('figure.chart .scatterlayer path.js-line')];
  return [`rgb(${r}, ${g}, ${b})`, strokes.map(e => getComputedStyle(e).stroke)];
})()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_fits_both_windows_in_light_and_dark(runs, kind):
    assert set(KINDS) == set(runs)
    with open_page(runs[kind].folder / "report.html", width=1400) as page:
        assert faults(page) == []
        drawn = page.evaluate("document.querySelectorAll('figure.chart .drawn svg').length")
        assert drawn >= len(charts_of(page_of(runs[kind]))) >= 4
        light, strokes = page.evaluate(_BLUES)
        assert light in strokes
        page.scheme(dark=True)
        page.wait_for(f"!({_BLUES})[1].includes('{light}')")
        dark, strokes = page.evaluate(_BLUES)
        assert dark != light
        assert dark in strokes
        page.resize(400)
        page.wait_for("[...document.querySelectorAll('.drawn')].every(e => e.offsetWidth < 400)")
        page.wait_for(
            "[...document.querySelectorAll('.drawn')].every(e => !e.offsetWidth"
            " || Math.abs(e.querySelector('svg').clientWidth - e.offsetWidth) < 2)"
        )
        assert faults(page) == []


def test_no_script_of_a_stranger_runs(runs):
    with open_page(runs["hostile"].folder / "report.html", width=1400) as page:
        page.wait_for(DRAWN)
        assert page.evaluate("document.querySelectorAll('main img, main b b').length") == 0
        ticks = page.evaluate(
            "[...document.querySelectorAll('.xtick text')].map(e => e.textContent)"
        )
        assert {"<scrip…ript>", "a & b", "$x^2$"} <= set(ticks)
        assert page.evaluate("document.querySelector('h1').textContent") == (
            "<img src=x onerror=alert(2)> & 'q'"
        )


def test_controls(runs):
    with open_page(runs["multi-target"].folder / "report.html", width=1400) as page:
        page.wait_for(DRAWN)
        first = "document.querySelector('figure.chart .plot > div')"
        kind = f"{first}._fullLayout.yaxis.type"
        before = page.evaluate(kind)
        page.click("figure.chart .scale")
        page.wait_for(f"{kind} !== '{before}'")
        assert {before, page.evaluate(kind)} == {"log", "linear"}

        traces = f"{first}.querySelectorAll('.scatterlayer .trace').length"
        count = page.evaluate(traces)
        page.click("figure.chart .legend button")
        page.wait_for(f"{traces} < {count}")
        page.click("figure.chart .legend button")
        page.wait_for(f"{traces} === {count}")

        chosen = "document.querySelector('select').closest('figure')"
        points = f"{chosen}.querySelector('.plot > div').data[0].x[0]"
        value = page.evaluate(points)
        page.evaluate(
            "(s => { s.selectedIndex = 2; s.dispatchEvent(new Event('change')) })"
            "(document.querySelector('select'))"
        )
        page.wait_for(f"{points} !== {value}")
        assert faults(page) == []


def test_tabs_show_one_split_at_a_time(runs):
    with open_page(runs["interrupted"].folder / "report.html", width=400) as page:
        page.wait_for(DRAWN)
        shown = "[...document.querySelectorAll('[role=tabpanel]')].map(e => e.offsetWidth > 0)"
        assert page.evaluate(shown) == [True, False]
        page.click("[role=tab]:nth-child(2)")
        assert page.evaluate(shown) == [False, True]
        page.wait_for("document.querySelector('#panel-1 .plot > div').classList.contains('drawn')")
        assert faults(page) == []


def test_compare(runs, tmp_path):
    path = write_compare([run.folder for run in runs.values()], tmp_path / "compare.html")
    with open_page(path, width=1400) as page:
        assert faults(page) == []
        page.scheme(dark=True)
        page.resize(400)
        page.wait_for("[...document.querySelectorAll('.drawn')].every(e => e.offsetWidth < 400)")
        assert faults(page) == []
