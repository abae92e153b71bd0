"""Draw the pictures of the README anew, from a real run: needs `.[test]` and Chromium.

They go to docs/pictures/, each for a light and for a dark page: what the run says on a terminal,
the head of its report, and the last picture of the page that `explain` writes.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from trainer.explain import write_page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from browser import open_page  # type: ignore[import-not-found] # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
RUN = "scripts/run.py", "configs/softmax.yaml"
HOME = "/home/you/trainer"  # stands for the temporary folder that the run is made in
WIDTH = 100  # columns of the terminal
# Paper, ink and green, of trainer/report/assets/report.css.
THEMES = {
    "light": ((0xF6, 0xF6, 0xF3), (0x16, 0x18, 0x1D), (0x00, 0x9E, 0x73)),
    "dark": ((0x1B, 0x1E, 0x24), (0xEC, 0xEE, 0xF1), (0x2B, 0xBF, 0x95)),
}


def said_on_a_terminal(folder: Path) -> str:
    """Run the README's command in a terminal; return all it wrote, control sequences included."""
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    env |= {"TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    with subprocess.Popen(
        [sys.executable, *RUN], cwd=folder, env=env, stdout=theirs, stderr=theirs
    ):
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while part := os.read(ours, 1 << 16):
                said += part
    os.close(ours)
    return said.decode().replace("\r\n", "\n")


def terminal(said: str, theme: str) -> str:
    """Draw a terminal as SVG, its text as text; the bar is left as it was when last drawn."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text("$ ").append(" ".join(["python", *RUN]), "bold"))
    console.print(Text.from_ansi(said))
    paper, ink, green = THEMES[theme]
    colours = TerminalTheme(paper, ink, [ink, ink, green, ink, ink, ink, ink, ink])
    svg = console.export_svg(title="", theme=colours, unique_id="terminal")
    # rich's font would come from another server
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code", "ui-monospace, SFMono-Regular, Menlo, Consolas")


def screenshot(page: Path, first: str, last: str, width: int, dark: bool) -> bytes:
    """Take a WebP of a page, from the top of one element to the end of another."""
    # Readers mostly have Helvetica, Arial or their like, not what Linux takes for system-ui.
    page.write_text(page.read_text("utf-8").replace("system-ui, ", ""), "utf-8")
    with open_page(page, width, dark) as tab:
        box = f"document.querySelector('{first}').getBoundingClientRect()"
        top, left = tab.evaluate(f"[{box}.top, {box}.left]")
        bottom = tab.evaluate(f"document.querySelector('{last}').getBoundingClientRect().bottom")
        gap = 15  # the next element comes after 16
        clip = {"x": max(left - gap, 0), "y": max(top - gap, 0), "scale": 2}  # for dense screens
        clip |= {"width": width - 2 * clip["x"], "height": bottom + gap - clip["y"]}
        how = {"captureBeyondViewport": True, "format": "webp", "quality": 85}
        return base64.b64decode(tab.call("Page.captureScreenshot", clip=clip, **how)["data"])


def pictures() -> Iterator[tuple[str, bytes]]:
    """Run, and give each picture: the name of its file and what is in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("configs", "scripts"):
            (folder / part).symlink_to(ROOT / part)
        said = said_on_a_terminal(folder)
        (report,) = folder.glob("runs/*/*/report.html")
        explain = write_page(folder / "explain.html")
        for theme in THEMES:
            dark = theme == "dark"
            yield f"terminal-{theme}.svg", terminal(said.replace(name, HOME), theme).encode()
            yield (
                f"report-{theme}.webp",
                screenshot(report, "body", ".card:nth-child(2)", 1080, dark),
            )
            yield f"explain-{theme}.webp", screenshot(explain, "#plateau", "#plateau", 1200, dark)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for name, data in pictures():
        (PICTURES / name).write_bytes(data)
        print(f"{len(data) / 1000:5.0f} kB  {PICTURES / name}")
