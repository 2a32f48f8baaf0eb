"""Debian's Chromium without a window, for measurements, screenshots and tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

MISSING = "chromium is not on this machine (Debian: apt-get install chromium)"


def where() -> str | None:
    """Returns where it is; None where it is not installed."""
    return shutil.which("chromium")


def arguments() -> list[str]:
    """Returns what it is started with: no sandbox as root, and little shared memory."""
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    return ["--disable-dev-shm-usage", *alone]


@contextmanager
def launched() -> Iterator[Browser]:
    """Gives a running browser, which ends with the block.

    Raises:
        SystemExit: it is not installed.
    """
    found = where()
    if found is None:
        raise SystemExit(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=arguments())
        yield browser
        browser.close()
