"""The form as a slow phone gets it, against LHC-Forms and Smart Forms with the same Questionnaire.

Chromium with an empty profile, its processor four times slower, 1.6 Mbit/s and 150 ms of latency. All three
are loaded in turn, in the same run, and the middle of the rounds is printed. A form is usable when the first
control that takes an answer can be clicked.

Goals: from the first page to the result under 40 KB, what the form posts and headers left out; usable in
under a fifth of the time of the faster of the other two; no layout shift; no long task. What Chromium itself
takes to show a page at all is measured beside it, with a page that has one line.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, CDPSession, Page

from benchmarks.chromium import launched
from benchmarks.compressed_files import files_served
from benchmarks.first_page import a_line, first_pages
from benchmarks.http import SERVICE, serving
from service.datatypes.answers import AnswersByLink
from service.settings import ROOT
from tests.support.form_by_clicking import Form
from tests.support.worked_cases import cases_of

SLOWER, BITS_PER_S, LATENCY_MS = 4, 1_600_000, 150
PHONE = {"width": 390, "height": 844}
MOST_BYTES, MOST_OF_THE_FASTER = 40_000, 0.2
FORM, PATIENT = "muscle-twitching", "plain-eyelid-three-days"
PATIENCE_MS = 120_000
LOOK_AGAIN_S = 0.05
RENDERERS = ROOT / "tests/renderers/built"
"""LHC-Forms and Smart Forms: pages that show the Questionnaire of a url; tests/renderers/build makes them."""

# Notes in each document when its first control that takes an answer is there and would get a click, what
# moved although nobody had touched anything, and which tasks kept the page from answering for 50 ms and more.
OBSERVE = """(() => {
  const noted = globalThis.noted = {usable: 0, shifts: 0, tasks: []};
  const controls = ["input:not([type=hidden]):not([type=file])", "textarea", "select", "[role=radio]"].join();
  const observe = (type, take) => new PerformanceObserver(list => list.getEntries().forEach(take))
    .observe({type, buffered: true});
  observe("layout-shift", entry => { if (!entry.hadRecentInput) noted.shifts += entry.value; });
  observe("longtask", entry => noted.tasks.push(Math.round(entry.duration)));
  const gets_clicks = control => [control, ...(control.labels || [])].some(each => {
    each.scrollIntoView({block: "nearest"});
    const box = each.getBoundingClientRect();
    const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return box.width && hit && (each.contains(hit) || hit.contains(control));
  });
  const look = () => {
    const all = [...document.querySelectorAll(controls)];
    if (all.some(each => !each.disabled && gets_clicks(each))) noted.usable = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})()"""


@dataclass
class Visit:
    """What one visit cost: bytes over the network, ms until usable, layout shifts, ms of each long task.

    Args:
        all_bytes: of all answers, compressed as they came, headers included. heads: their headers.
    """

    all_bytes: int = 0
    heads: int = 0
    usable_ms: float = 0
    shifts: float = 0
    long_tasks: list[int] = field(default_factory=list)

    @property
    def bodies(self) -> int:
        """Bytes without headers, which are fewer with HTTP/2."""
        return self.all_bytes - self.heads

    def answered(self, event: dict[str, Any]) -> None:
        """Takes note of the headers of an answer; its body is still to come."""
        self.heads += int(event["response"]["encodedDataLength"])

    def received(self, event: dict[str, Any]) -> None:
        """Takes note of a whole answer."""
        self.all_bytes += int(event["encodedDataLength"])


def slowed(page: Page) -> CDPSession:
    """Makes a tab as slow as a cheap phone on a poor line."""
    session = on_a_poor_line(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    return session


def on_a_poor_line(page: Page) -> CDPSession:
    """Makes the line of a tab slow, and its processor no slower."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    speed = BITS_PER_S / 8
    conditions = {
        "offline": False,
        "latency": LATENCY_MS,
        "downloadThroughput": speed,
        "uploadThroughput": speed,
    }
    session.send("Network.emulateNetworkConditions", conditions)
    return session


def first_tab(browser: Browser) -> Page:
    """Opens an empty profile on a poor line: what a page loads comes one after the other, as on a phone."""
    page = browser.new_context(viewport=PHONE, locale="en-GB").new_page()
    on_a_poor_line(page)
    return page


def visit(browser: Browser, url: str, go_on: Callable[[Page], None]) -> Visit:
    """Opens a page in an empty profile, waits until it is usable, and goes on."""
    seen = Visit()
    context = browser.new_context(viewport=PHONE, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    session = slowed(page)
    session.on("Network.responseReceived", seen.answered)
    session.on("Network.loadingFinished", seen.received)
    page.add_init_script(OBSERVE)
    page.goto(url)
    while not (at_first := noted_in(session))["usable"]:
        time.sleep(LOOK_AGAIN_S)
    seen.usable_ms = at_first["usable"]
    without_driver(page, session)
    go_on(page)
    page.wait_for_load_state("networkidle")
    noted = noted_in(session)
    seen.shifts, seen.long_tasks = noted["shifts"], at_first["tasks"] + noted["tasks"]
    context.close()
    return seen


def noted_in(session: CDPSession) -> dict[str, Any]:
    """Returns what OBSERVE has noted by now; costs the page next to nothing."""
    asked = session.send("Runtime.evaluate", {"expression": "noted", "returnByValue": True})
    found: dict[str, Any] = asked["result"]["value"]
    return found


def without_driver(page: Page, session: CDPSession) -> None:
    """Lets Playwright load its own script into the page, which takes 90 ms, and forgets that task."""
    page.locator("main").count()
    page.evaluate("() => new Promise(resolve => setTimeout(resolve, 200))")
    session.send("Runtime.evaluate", {"expression": "noted.tasks.length = 0"})


def filled_in(answers: AnswersByLink) -> Callable[[Page], None]:
    """Answers every page of the service's form as one worked patient does, up to the result."""

    def go_on(page: Page) -> None:
        assert Form(page, page.url).finish(answers) == "result"

    return go_on


def nothing_more(_page: Page) -> None:
    """Leaves a page that needs nothing more from the network."""


def middle(visits: list[Visit], figure: str) -> float:
    return float(statistics.median(getattr(each, figure) for each in visits))


def longest(visits: list[Visit]) -> int:
    return max((task for each in visits for task in each.long_tasks), default=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with addresses() as urls, a_line() as line, launched() as browser:
        visits: dict[str, list[Visit]] = {name: [] for name in urls}
        for _ in range(asked.rounds):
            for name, (url, go_on) in urls.items():
                visits[name].append(visit(browser, url, go_on))
        traced = (
            first_pages(lambda: first_tab(browser), url, rounds=asked.rounds, slower=SLOWER)
            for url in (urls["the service"][0], line)
        )
        ours, bare = traced
    report(visits)
    report_first_page(ours, bare)


def report_first_page(ours: dict[str, float], bare: dict[str, float]) -> None:
    for step, ms in ours.items():
        print(f"  the first page {step}: {ms:.0f} ms of processor time", end="")
        print(f"  (a page that has one line: {bare[step]:.0f} ms)")


def report(visits: dict[str, list[Visit]]) -> None:
    for name, seen in visits.items():
        size, usable = middle(seen, "bodies") / 1000, middle(seen, "usable_ms") / 1000
        print(f"{name:<12} {size:7.1f} KB and {middle(seen, 'heads') / 1000:.1f} KB of headers", end="")
        print(f"  usable after {usable:5.2f} s", end="")
        print(f"  layout shift {middle(seen, 'shifts'):.3f}  longest task {longest(seen)} ms")
    ours, *others = visits.values()
    share = middle(ours, "usable_ms") / min(middle(other, "usable_ms") for other in others)
    shifts = max(each.shifts for each in ours)
    print(f"  until usable / the faster of the other two  {share:.2f}  (goal: {MOST_OF_THE_FASTER} or less)")
    print(f"  KB from the first page to the result  {middle(ours, 'bodies') / 1000:.1f}", end="")
    print(f"  (goal: under {MOST_BYTES / 1000:.0f})")
    print(f"  layout shift {shifts:.3f}, longest long task {longest(ours)} ms  (goal: none)")


@contextmanager
def addresses() -> Iterator[dict[str, tuple[str, Callable[[Page], None]]]]:
    """Gives by name the address of each form, and what a person does there."""
    if not RENDERERS.is_dir():
        sys.exit("LHC-Forms and Smart Forms are not built: tests/renderers/build does it")
    with serving(SERVICE) as service, files_served(RENDERERS, ROOT / "questionnaires") as others:
        ours = f"http://127.0.0.1:{service.port}/questionnaires/{FORM}"
        asked = f"index.html?questionnaire={quote(f'{others}/{FORM}.json', safe='')}"
        yield {
            "the service": (ours, filled_in(cases_of(FORM)[PATIENT].answers)),
            "LHC-Forms": (f"{others}/lhc-forms/{asked}", nothing_more),
            "Smart Forms": (f"{others}/smart-forms/{asked}", nothing_more),
        }


if __name__ == "__main__":
    main()
