"""Curves against K, a panel each, as a picture; nothing where matplotlib is not installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

Curves = Mapping[str, Sequence[tuple[int, float]]]


def draw(path: Path, lines: Mapping[str, Mapping[str, Curves]]) -> None:
    """Draw curves, ours first and thick, with both axes logarithmic.

    Args:
        path: of the picture.
        lines: by what they show, panels by their title; each has points (K, value) by contender.
    """
    try:
        import matplotlib
    except ImportError:
        print('no picture: pip install "stacked-trainer[bench]" brings matplotlib')
        return
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "0"  # the same picture for the same numbers
    from matplotlib import pyplot

    panels = next(iter(lines.values()))
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    size = 2.7 * len(panels) + 1, 1.4 + 2.8 * len(lines)
    figure, axes = pyplot.subplots(
        len(lines), len(panels), figsize=size, squeeze=False, sharey="row"
    )
    for line, (shown, by_title) in zip(axes, lines.items(), strict=True):
        for axis, (title, curves) in zip(line, by_title.items(), strict=True):
            for i, name in enumerate(names):
                points = curves.get(name, [])
                style = {"color": f"C{i % 10}", "ls": "-" if name.startswith("ours") else "--"}
                xs, ys = [x for x, _ in points], [y for _, y in points]
                axis.plot(xs, ys, marker="o", lw=1 if i else 2.5, ms=3, label=name, **style)
            axis.set(xscale="log", yscale="log", xlabel="K")
            axis.set_title(title, fontsize=9)
        line[0].set_ylabel(shown)
    figure.legend(axes[0][0].lines, names, loc="lower center", ncol=4, fontsize=7)
    figure.tight_layout(rect=(0, 0.17 / len(lines), 1, 1))
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
