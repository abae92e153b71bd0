"""What is wrong with how a page is drawn, asked of the browser that shows it."""

DRAWN = """
[...document.querySelectorAll('figure.chart .plot > div')]
  .every(e => e.classList.contains('drawn') || !e.offsetWidth)
"""
# Letters that leave their chart, ticks that run into each other or are too few to read a log scale
# by, charts without anything in them.
_FAULTS = """
(() => {
  const found = [];
  for (const figure of document.querySelectorAll('figure.chart')) {
    const plot = figure.querySelector('.plot > div');
    if (!plot.offsetWidth) continue;
    const title = figure.querySelector('h3').textContent;
    const frame = plot.getBoundingClientRect();
    if (!plot.querySelector('.trace, .heatmaplayer image, .barlayer path'))
      found.push(`${title}: nothing drawn`);
    for (const letters of plot.querySelectorAll('svg text')) {
      const box = letters.getBoundingClientRect();
      if (!box.width || !letters.textContent) continue;
      if (box.left < frame.left - 1 || box.right > frame.right + 1
          || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
        found.push(`${title}: "${letters.textContent}" is clipped`);
    }
    for (const axis of ['x', 'y']) {
      const { type, range } = plot._fullLayout[`${axis}axis`];
      const labels = [...plot.querySelectorAll(`.${axis}tick text`)].map(e => e.textContent);
      if (type === 'log' && new Set(labels).size < 2)
        found.push(`${title}: the log axis ${axis} from 10^${range} has the ticks [${labels}]`);
    }
    for (const kind of ['.xtick', '.ytick', '.y2tick']) {
      const boxes = [...plot.querySelectorAll(`${kind} text`)].map(e => [
        e.textContent, e.getBoundingClientRect(), /rotate\\((?!0)/.test(e.getAttribute('transform'))
      ]);
      for (const [i, [a, one, turned]] of boxes.entries())
        for (const [b, two] of boxes.slice(i + 1))
          if (!turned && one.left < two.right && two.left < one.right
              && one.top + 2 < two.bottom && two.top + 2 < one.bottom)
            found.push(`${title}: ${kind} "${a}" and "${b}" overlap`);
    }
  }
  return found;
})()
"""


def faults(page):
    page.wait_for(DRAWN)
    page.settle()
    return page.errors + page.requests + page.overflow() + page.evaluate(_FAULTS)
