"""See the seed: one offline page that shows why the gradient is ŷ − y, and where it is not.

Drawn by hand as SVG: four small pictures need no plotting library of 5 MB, and a point, a tangent
and a bar that follow a slider at every step are easier to draw than to configure.
"""

from trainer.explain.page import page, write_page

__all__ = ["page", "write_page"]
