"""A page on paper: light, whole, nothing folded; on the screen it is as it was."""

import pytest
from browser import needs_chromium, open_page
from page_colours import FAINT, schemes
from page_faults import DRAWN
from sweep_folders import write_large
from test_report_contrast import CSS

from trainer.workflow.report import write_compare, write_report

pytestmark = needs_chromium
A4 = 703  # CSS pixels between margins of 12 mm

# What is on the paper, asked while it is printed.
_ON_PAPER = """
window.onPaper = null;
addEventListener('beforeprint', () => { window.onPaper = {
  page: getComputedStyle(document.documentElement).getPropertyValue('--ink').trim(),
  ticks: [...document.querySelectorAll('.xtick text')].map(e => getComputedStyle(e).fill),
  widths: [...document.querySelectorAll('.plot > div')].map(e => e._fullLayout.width),
  folded: document.querySelectorAll('details:not([open])').length,
}});
true
"""
# Boxes that reach beyond the paper, and those of charts whose letters or cells do so.
_CUT = """
(() => {
  const width = document.documentElement.clientWidth, found = [];
  for (const e of document.querySelectorAll('main *')) {
    const box = e.getBoundingClientRect();
    if (box.width && box.height && (box.right > width + 1 || box.left < -1)
        && !e.closest('defs, clipPath, .hoverlayer'))
      found.push(`${e.tagName} ${e.getAttribute('class')} to ${box.right} of ${width}`);
  }
  for (const e of document.querySelectorAll('.scroll, .plot'))
    if (getComputedStyle(e).overflowX !== 'visible') found.push(`${e.className} is clipped`);
  return found;
})()
"""


def pages(runs, tmp_path, kind):
    if kind == "compare":
        return write_compare([run.folder for run in runs.values()], tmp_path / "compare.html")
    if kind == "sweep":
        return write_report(write_large(tmp_path / "large", trials=500, evaluations=5))
    return runs[kind].folder / "report.html"


KINDS = ["softmax", "interrupted", "multi-label", "sweep", "compare", "hostile"]


@pytest.mark.parametrize("kind", KINDS)
def test_paper_is_light_and_whole(runs, tmp_path, kind):
    with open_page(pages(runs, tmp_path, kind), width=1400, dark=True) as page:
        page.wait_for(DRAWN)
        page.evaluate(_ON_PAPER)
        before = page.evaluate("document.documentElement.scrollHeight")
        page.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
        told = page.evaluate("window.onPaper")
        light, dark = schemes(CSS)
        assert told["page"] == light["ink"]
        assert told["folded"] == 0
        soft = [int(light["soft"][i : i + 2], 16) for i in (1, 3, 5)]
        assert set(told["ticks"]) == {f"rgb({soft[0]}, {soft[1]}, {soft[2]})"}
        assert max(told["widths"]) <= A4
        # and the screen is as it was
        ink = "getComputedStyle(document.documentElement).getPropertyValue('--ink').trim()"
        assert page.evaluate(ink) == dark["ink"]
        page.wait_for(f"document.documentElement.scrollHeight === {before}")
        assert page.evaluate("document.querySelectorAll('details[open]').length") == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("paper", [A4, 560])
def test_nothing_is_cut_on_paper_of_any_width(runs, tmp_path, kind, paper):
    with open_page(pages(runs, tmp_path, kind), width=1400, dark=True) as page:
        page.wait_for(DRAWN)
        page.resize(paper)
        wish = [{"name": "prefers-color-scheme", "value": "dark"}]
        page.call("Emulation.setEmulatedMedia", media="print", features=wish)
        page.settle()
        page.wait_for("document.documentElement.classList.contains('paper')")
        page.settle()
        assert page.evaluate(_CUT) == []
        assert page.evaluate(FAINT)["found"] == []
        hidden = "[...document.querySelectorAll('[role=tabpanel]')].filter(e => !e.offsetWidth)"
        assert page.evaluate(f"{hidden}.length") == 0
        assert page.evaluate("document.querySelectorAll('.plot > div:not(.drawn)').length") == 0
        assert page.errors == []


def test_every_split_is_printed_under_its_name(runs):
    with open_page(runs["interrupted"].folder / "report.html", width=1400) as page:
        page.wait_for(DRAWN)
        page.call("Emulation.setEmulatedMedia", media="print")
        page.wait_for("document.documentElement.classList.contains('paper')")
        names = page.evaluate(
            "[...document.querySelectorAll('[role=tabpanel]')]"
            ".map(e => getComputedStyle(e, '::before').content)"
        )
        assert [name.split(",")[0] for name in names] == ['"validation', '"test']
