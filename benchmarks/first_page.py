"""What Chromium's main thread does to show the first page of a form, against a page that has one line.

A page that has one line costs what Chromium costs by itself: a new document and its script world, the first
font, the first frame. Both are traced in the same run without throttling, and what is counted is processor
time, times how much slower the phone is: other work on this machine then counts for little.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from benchmarks.compressed_files import files_served

STEPS = {
    "begins": "DocumentLoader::CommitNavigation",
    "lays out": "LocalFrameView::performLayout",
    "runs scripts": "v8.run",
}
"""What a task is named here that holds an event of Chromium's."""
_CATEGORIES = ("toplevel", "devtools.timeline", "blink", "loading", "navigation", "v8")
_TASK = "ThreadControllerImpl::RunTask"
_SETTLED_MS = 700
_LINE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,"><title>A line</title></head><body><p>One line.</p></body></html>
"""

Event = dict[str, Any]


@contextmanager
def a_line() -> Iterator[str]:
    """Gives the address of a page that has one line."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "line.html").write_text(_LINE)
        with files_served(Path(folder)) as origin:
            yield f"{origin}/line.html"


def first_pages(tab: Callable[[], Page], url: str, *, rounds: int, slower: int) -> dict[str, float]:
    """Returns the ms of the longest task of each of STEPS, times `slower`: the middle of the rounds.

    Args:
        tab: opens an empty profile, each time another.
    """
    found = [tasks(_traced(tab(), url), url) for _ in range(rounds)]
    return {step: slower * statistics.median(each[step] for each in found) for step in STEPS}


def _traced(page: Page, url: str) -> list[Event]:
    """Opens an address in a tab and returns the events of the trace; closes the profile."""
    events: list[Event] = []
    ended: list[Event] = []
    context = page.context
    browser = context.browser
    assert browser is not None
    tracing = browser.new_browser_cdp_session()
    tracing.on("Tracing.dataCollected", lambda event: events.extend(event["value"]))
    tracing.on("Tracing.tracingComplete", lambda event: ended.extend([event]))
    wanted = {"includedCategories": list(_CATEGORIES), "excludedCategories": ["*"]}
    tracing.send("Tracing.start", {"transferMode": "ReportEvents", "traceConfig": wanted})
    page.goto(url)
    page.wait_for_timeout(_SETTLED_MS)
    tracing.send("Tracing.end")
    while not ended:
        page.wait_for_timeout(100)
    tracing.detach()
    context.close()
    return events


def tasks(events: Iterable[Event], url: str) -> dict[str, float]:
    """Returns the ms of processor time of the longest task of each of STEPS, in the thread of a page.

    An event belongs to the task in whose time it begins.
    """
    whole = [event for event in events if event.get("ph") == "X"]
    parsed = [event for event in whole if event["name"] == "ParseHTML" and url in _address(event)]
    thread = {_thread(event) for event in parsed[:1]}
    here = [event for event in whole if _thread(event) in thread]
    work = [event for event in here if event["name"] == _TASK]
    found = {}
    for step, name in STEPS.items():
        named = [event for event in here if event["name"] == name]
        held = [_ms(task) for task in work if any(_holds(task, event) for event in named)]
        found[step] = max(held, default=0.0)
    return found


def _address(event: Event) -> str:
    return str(event.get("args", {}).get("beginData", {}).get("url", ""))


def _thread(event: Event) -> tuple[int, int]:
    return event["pid"], event["tid"]


def _ms(task: Event) -> float:
    return float(task.get("tdur", 0)) / 1000


def _holds(task: Event, event: Event) -> bool:
    return bool(task["ts"] <= event["ts"] < task["ts"] + task["dur"])
