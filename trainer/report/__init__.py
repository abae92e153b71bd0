"""Pages from run folders: one of a run, one that compares several.

`write_report` and `write_compare` are the way in; `trainer.workflow.report` calls them with what
reads configs. Within: `read_run` reads a folder into a `RunData`, `unfinished` one without tables;
`headline` says what came of it, `charts/` draws what is in it, `html` holds the look of the page,
with assets/. What only a sweep has is put together in `sweep/sections`.
"""

from trainer.report.run_data import ConfigReader
from trainer.report.write import draw_report, write_compare, write_report

__all__ = ["ConfigReader", "draw_report", "write_compare", "write_report"]
