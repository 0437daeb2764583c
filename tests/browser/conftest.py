"""A browser without a window, for what only a browser can tell."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MEASURE = Path(__file__).with_name("measure.js")
TIMELINE = Path(__file__).with_name("timeline.js")
# What steps on a timeline's page can use.
READER = "model, state, press, see, facts, shade, $"
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    What the browser made of a picture.

    Attributes:
        facts: What `measure.js` or `timeline.js` found.
        screenshot: The page as PNG.

    """

    facts: dict[str, Any]
    screenshot: bytes


class Browser:
    """Opens pictures, each in a browser of its own."""

    def __init__(self, program: str, directory: Path) -> None:
        self._program = program
        self._directory = directory

    def look(self, svg: str, *more: str) -> Seen:
        """Return what a picture looks like."""
        script = MEASURE.read_text()
        return self._open(
            f'<!doctype html><meta charset="utf-8"><body style="margin:0">{svg}'
            f"<pre id=facts></pre><script>{script}</script>",
            *more,
        )

    def read(self, page: str, *more: str, steps: str = "", at: str = "") -> Seen:
        """
        Return what a timeline's page does.

        Args:
            page: The page.
            more: Options of the browser.
            steps: A script of what its reader does.
            at: The end of its address, such as `#t=3`.

        """
        reader = f"window.steps = async ({{{READER}}}) => {{ {steps} }};"
        script = f"<script>{reader}</script><script>{TIMELINE.read_text()}</script>"
        return self._open(page.replace("</body>", f"{script}</body>"), *more, at=at)

    def _open(self, text: str, *more: str, at: str = "") -> Seen:
        page, shot = self._directory / "page.html", self._directory / "page.png"
        page.write_text(text)
        command = [
            self._program, "--headless", "--no-sandbox", "--disable-gpu",
            "--hide-scrollbars", "--window-size=1600,1000",
            f"--user-data-dir={self._directory / 'profile'}",
            "--virtual-time-budget=20000", "--dump-dom", f"--screenshot={shot}",
            *more, page.as_uri() + at,
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        )
        found = re.search(r'<pre id="facts">(.*?)</pre>', done.stdout, re.DOTALL)
        assert found, f"the script did not run: {done.stderr[-2000:]}"
        facts = json.loads(html.unescape(found[1]))
        return Seen(facts=facts, screenshot=shot.read_bytes())


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """Return a browser; without one the test is skipped and the summary names it."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no browser: apt-get install chromium")
    return Browser(program, tmp_path)
