"""Contrast of letters, of the colours of a stylesheet and as a browser shows them."""

import re

LEAST = 4.5  # WCAG 2.2, level AA, of text of any size


def luminance(hexadecimal):
    """Relative luminance (WCAG 2.2) of #rrggbb."""
    parts = [int(hexadecimal[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    """(L1 + 0.05) / (L2 + 0.05) of the lighter and the darker colour."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def schemes(css):
    """({variable: #rrggbb} of the light page, the same of the dark one)."""
    blocks = re.findall(r":root[^{]*\{(.*?)\}", css, re.DOTALL)
    found = [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})(?=[;\s])", block)) for block in blocks]
    light, dark = found[0], found[1]
    return light, light | dark


# Letters in the page and in its charts that stand out by less than is right from what is behind
# them. A chart's letters lie on its card, those in cells on the cell's colour.
FAINT = """
(least => {
  const parse = text => {
    const found = /^rgba?\\(([\\d.]+), ([\\d.]+), ([\\d.]+)(?:, ([\\d.]+))?\\)$/.exec(text);
    return found && [+found[1], +found[2], +found[3], found[4] === undefined ? 1 : +found[4]];
  };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3]));
  const light = rgb => rgb.map(c => c / 255)
    .map(c => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour && colour[3]) layers.push(colour);
      if (colour && colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const found = [];
  let count = 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !element.getClientRects().length) continue;
    if (element.closest('script, style, noscript, .heatmap-label, .trace, #js-plotly-tester'))
      continue;
    const style = getComputedStyle(element), svg = element.closest('svg');
    const colour = parse(svg ? style.fill : style.color);
    let opacity = 1;
    for (let e = element; e; e = e.parentElement) opacity *= +getComputedStyle(e).opacity;
    const below = behind(svg ? svg.closest('.card') : element);
    const shown = over([...colour.slice(0, 3), colour[3] * opacity], below);
    const [a, b] = [light(shown), light(below)].sort((x, y) => x - y);
    count += 1;
    if ((b + 0.05) / (a + 0.05) < least)
      found.push(`${walk.currentNode.textContent.trim()}: ${shown} on ${below}`);
  }
  return { count, found };
})(4.5)
"""
