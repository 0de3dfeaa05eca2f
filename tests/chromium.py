"""Chromium for tests: the machine's; else Debian's package, when we may install it; else a word on how to get it.

Playwright's own download is not used: the pinned requirements bring the driver, the machine brings the browser.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def found() -> str | None:
    """Return the path of the machine's Chromium: what ANZOL_CHROMIUM says, else the first on the PATH."""
    return os.environ.get("ANZOL_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def installed() -> str | None:
    """Install Debian's package and return its path, or None where that is not ours to do."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": False, "timeout": 600}
    subprocess.run(["apt-get", "update"], **quiet)
    subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", "chromium"], **quiet)
    return found()


@cache
def executable() -> str:
    """Return Chromium's path, or fail the test saying how to get one."""
    path = found() or installed()
    if path is None:
        pytest.fail(
            "This test drives Chromium, and there is none. Install it (Debian, Ubuntu: apt-get install chromium; "
            "macOS: brew install --cask chromium) or say where it is: ANZOL_CHROMIUM=/path/to/chromium make test",
            pytrace=False,
        )
    return path


@contextmanager
def launched() -> Iterator[Browser]:
    """Run Chromium headless until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=OPTIONS, headless=True)
        try:
            yield browser
        finally:
            browser.close()
