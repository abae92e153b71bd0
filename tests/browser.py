"""Chromium for tests: opens a page from disk, runs JavaScript in it, keeps what its console says.

Driven through Chromium's own debugging protocol over a pair of pipes, so nothing but the browser
has to be installed. One browser serves all tests of a process; each page is a tab of its own.

    @needs_chromium
    def test_it_draws(tmp_path):
        with open_page(write_page(tmp_path), width=400, dark=True) as page:
            assert page.evaluate("document.querySelectorAll('.chart').length") == 3
            assert page.overflow() == []
            assert page.errors == [] and page.requests == []
            page.screenshot(tmp_path / "page.png")
"""

from __future__ import annotations

import atexit
import base64
import functools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"
)

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",  # else they take a part of the width, and not on every machine
    "--remote-debugging-pipe",
)
_PATIENCE = 30.0  # seconds for anything the browser is asked
# Whatever reaches beyond the page's width, unless it sits in a box that scrolls or clips.
_OVERFLOW = """
(() => {
  const width = document.documentElement.clientWidth, found = [];
  if (document.documentElement.scrollWidth > width) found.push('the page scrolls sideways');
  const contained = element => {
    for (let e = element.parentElement; e && e !== document.body; e = e.parentElement)
      if (getComputedStyle(e).overflowX !== 'visible') return true;
    return false;
  };
  for (const element of document.body.querySelectorAll('*')) {
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height || (box.right <= width + 1 && box.left >= -1)) continue;
    if (!contained(element) && !element.closest('#js-plotly-tester')) {  // which measures letters
      const name = element.getAttribute('class') || '';
      found.push(`${element.tagName} ${name} from ${box.left} to ${box.right}`);
    }
  }
  return found;
})()
"""


class Page:
    """A tab with one page.

    Attributes:
        errors: what the console was told as an error or a warning, and uncaught exceptions.
        requests: the URLs it asked for beyond the page itself; empty for a page that is offline.
    """

    def __init__(self, browser: _Browser, path: Path, width: int, height: int, dark: bool) -> None:
        self._browser = browser
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        self._url = Path(path).resolve().as_uri()
        self._target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        browser.pages[self._session] = self
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        self.scheme(dark)
        self.call("Page.navigate", url=self._url)
        browser.wait(lambda: self._loaded, f"{path} to load")
        self.settle()

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", targetId=self._target)
        self._browser.pages.pop(self._session, None)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Any command of the debugging protocol, in this tab."""
        return self._browser.call(method, self._session, **params)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, a promise's once it is settled; JSON types only."""
        done = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if fault := done.get("exceptionDetails"):
            raise AssertionError(f"{expression}: {_text_of(fault)}")
        return done["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 10.0) -> Any:
        """Evaluate until the value is true, and return it."""
        until = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < until, f"never came true: {expression}"
            time.sleep(0.02)
        return value

    def settle(self) -> None:
        """Wait until what was asked of the page so far has been drawn."""
        frame = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        self.evaluate(f"document.fonts.ready.then(() => {frame}).then(() => true)")

    def resize(self, width: int, height: int = 900) -> None:
        """Give the window a size, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def scheme(self, dark: bool) -> None:
        """Let the reader prefer a dark or a light page."""
        wish = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[wish])

    def overflow(self) -> list[str]:
        """What reaches beyond the window's width: nothing, on a page that fits."""
        found: list[str] = self.evaluate(_OVERFLOW)
        return found

    def click(self, selector: str) -> None:
        """Click the middle of the first element that a CSS selector finds, as a mouse does."""
        x, y = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2] })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.settle()

    def screenshot(self, path: Path) -> None:
        """Save the whole page, also what is below the window's edge, as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        Path(path).write_bytes(base64.b64decode(shot["data"]))

    def on_event(self, method: str, params: dict[str, Any]) -> None:
        """Take note of what the browser tells about this tab."""
        if method == "Page.loadEventFired":
            self._loaded = self._loaded or self.evaluate("location.href") != "about:blank"
        elif method == "Runtime.exceptionThrown":
            self.errors.append(_text_of(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            words = [str(arg.get("value", arg.get("description"))) for arg in params["args"]]
            self.errors.append(f"{params['type']}: {' '.join(words)}")
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            entry = params["entry"]
            self.errors.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}")
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            if url != self._url and not url.startswith(("data:", "blob:")):
                self.requests.append(url)


def open_page(path: Path, width: int, dark: bool = False, height: int = 900) -> Page:
    """Open an HTML file in a window of this size and wait until it is drawn.

    Args:
        path: the file.
        width: of the window, in CSS pixels.
        dark: whether the reader prefers dark pages.
        height: of the window.
    """
    return Page(_browser(), path, width, height, dark)


@functools.cache
def _browser() -> _Browser:
    browser = _Browser()
    atexit.register(browser.close)
    return browser


class _Browser:
    """One Chromium process: commands go down one pipe, answers and events come up another."""

    def __init__(self) -> None:
        assert CHROMIUM is not None
        self._home = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        read_commands, self._commands = os.pipe()
        self._answers, write_answers = os.pipe()
        # Chromium reads from 3 and writes to 4; only a shell gives a child these very numbers.
        line = f'exec "$@" 3<&{read_commands} 4>&{write_answers}'
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={self._home.name}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", line, "bash", *command],
            pass_fds=(read_commands, write_answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self._home.name},
        )
        os.close(read_commands)
        os.close(write_answers)
        self._number = 0
        self._rest = b""
        self._replies: dict[int, dict[str, Any]] = {}
        self._events: deque[dict[str, Any]] = deque()
        self._in_event = False
        self.pages: dict[str, Page] = {}

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        self.wait(lambda: number in self._replies, method)
        reply = self._replies.pop(number)
        assert "error" not in reply, f"{method}: {reply.get('error')}"
        result: dict[str, Any] = reply["result"]
        return result

    def wait(self, over: Any, what: str) -> None:
        until = time.monotonic() + _PATIENCE
        while True:
            self._tell_events()
            if over():
                return
            ready, _, _ = select.select([self._answers], [], [], max(until - time.monotonic(), 0))
            assert ready, f"Chromium did not answer in {_PATIENCE:g} s: {what}"
            self._receive()

    def _receive(self) -> None:
        data = os.read(self._answers, 1 << 20)
        assert data, "Chromium has ended"
        *messages, self._rest = (self._rest + data).split(b"\0")
        for text in messages:
            message = json.loads(text)
            if "id" in message:
                self._replies[message["id"]] = message
            else:
                self._events.append(message)

    def _tell_events(self) -> None:
        if self._in_event:  # an event's own question: the events behind it wait for its answer
            return
        self._in_event = True
        try:
            while self._events:
                event = self._events.popleft()
                page = self.pages.get(event.get("sessionId", ""))
                if page is not None:
                    page.on_event(event["method"], event["params"])
        finally:
            self._in_event = False

    def close(self) -> None:
        os.close(self._commands)  # the browser ends when its pipe does
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._answers)
        self._home.cleanup()


def _text_of(fault: dict[str, Any]) -> str:
    return str(fault.get("exception", {}).get("description") or fault["text"])
