"""The form as a slow phone gets it, against LHC-Forms and Smart Forms with the same Questionnaire.

Chromium with an empty profile, its processor four times slower, 1.6 Mbit/s and 150 ms of latency. All three
are loaded in turn, in the same run, and the middle of the rounds is printed. A form is usable when the first
control that takes an answer can be clicked.

Goals: from the first page to the result under 40 KB, what the form posts and headers left out; usable in
under a fifth of the time of the faster of the other two; no layout shift; no long task. Long tasks are looked
for in visits of their own, where nothing else runs in the page: to find out whether a control can be clicked
makes the browser lay the page out again, and a driver's scripts take longer than the page's. What Chromium
itself takes to show a page at all is measured beside it, with a page that has one line.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
SETTLED_S = 0.5
RENDERERS = ROOT / "tests/renderers/built"
"""LHC-Forms and Smart Forms: pages that show the Questionnaire of a url; tests/renderers/build makes them."""

# Notes in each document when its first control that takes an answer is there and would get a click, and what
# moved although nobody had touched anything.
OBSERVE = """(() => {
  const noted = globalThis.noted = {usable: 0, shifts: 0};
  const controls = ["input:not([type=hidden]):not([type=file])", "textarea", "select", "[role=radio]"].join();
  const observe = (type, take) => new PerformanceObserver(list => list.getEntries().forEach(take))
    .observe({type, buffered: true});
  observe("layout-shift", entry => { if (!entry.hadRecentInput) noted.shifts += entry.value; });
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
# Notes which tasks kept the page from answering for 50 ms and more.
OBSERVE_TASKS = """(() => {
  const noted = globalThis.noted = {tasks: []};
  const note = list => list.getEntries().forEach(task => noted.tasks.push(Math.round(task.duration)));
  new PerformanceObserver(note).observe({type: "longtask", buffered: true});
})()"""


@dataclass
class Visit:
    """What one visit cost: bytes over the network, ms until usable, layout shifts.

    Args:
        all_bytes: of all answers, compressed as they came, headers included. heads: their headers.
    """

    all_bytes: int = 0
    heads: int = 0
    usable_ms: float = 0
    shifts: float = 0

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
    while not (usable := seen_in(session, "noted.usable")):
        time.sleep(LOOK_AGAIN_S)
    seen.usable_ms = usable
    go_on(page)
    page.wait_for_load_state("networkidle")
    seen.shifts = seen_in(session, "noted.shifts")
    context.close()
    return seen


def seen_in(session: CDPSession, expression: str) -> Any:
    """Returns what an expression gives in the page; costs the page next to nothing."""
    asked = session.send("Runtime.evaluate", {"expression": expression, "returnByValue": True})
    return asked["result"]["value"]


class Turns(Form):
    """A form in which each button is pressed from inside, so that nothing else runs in the page meanwhile.

    `tasks` has for each turn the ms of its long tasks.
    """

    def __init__(self, page: Page, session: CDPSession) -> None:
        super().__init__(page, page.url)
        self._session = session
        self.tasks: list[list[int]] = []

    def press(self, action: str) -> None:
        """Presses a button of the page, waits for the page that follows and lets it settle."""
        button = f"document.querySelector('main button[value={action}]')"
        with self.leaving():
            time.sleep(SETTLED_S)
            seen_in(self._session, "noted.tasks.length = 0")
            seen_in(self._session, f"setTimeout(() => {button}.click())")
            while seen_in(self._session, "Boolean(document.querySelector('main > [data-left]'))"):
                time.sleep(LOOK_AGAIN_S)
            time.sleep(SETTLED_S)
            self.tasks.append(seen_in(self._session, "noted.tasks"))


@contextmanager
def undisturbed(browser: Browser, url: str) -> Iterator[tuple[Page, CDPSession]]:
    """Opens a page in an empty profile, touches nothing, and gives it when it has settled."""
    context = browser.new_context(viewport=PHONE, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    session = slowed(page)
    page.add_init_script(OBSERVE_TASKS)
    page.goto(url, wait_until="networkidle")
    time.sleep(SETTLED_S)
    yield page, session
    context.close()


def long_tasks_of_first_page(browser: Browser, url: str) -> list[int]:
    """Returns the ms of each long task until a page stands."""
    with undisturbed(browser, url) as (_, session):
        return list(seen_in(session, "noted.tasks"))


def long_tasks_of_turns(browser: Browser, url: str, answers: AnswersByLink) -> list[list[int]]:
    """Returns for each turn of a page, from the first to the result, the ms of its long tasks."""
    with undisturbed(browser, url) as (page, session):
        form = Turns(page, session)
        assert form.finish(answers) == "result"
        return form.tasks


def filled_in(answers: AnswersByLink) -> Callable[[Page], None]:
    """Answers every page of the service's form as one worked patient does, up to the result."""

    def go_on(page: Page) -> None:
        assert Form(page, page.url).finish(answers) == "result"

    return go_on


def nothing_more(_page: Page) -> None:
    """Leaves a page that needs nothing more from the network."""


def middle(visits: list[Visit], figure: str) -> float:
    return float(statistics.median(getattr(each, figure) for each in visits))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with addresses() as urls, a_line() as line, launched() as browser:
        visits: dict[str, list[Visit]] = {name: [] for name in urls}
        for _ in range(asked.rounds):
            for name, (url, go_on) in urls.items():
                visits[name].append(visit(browser, url, go_on))
        alone = {
            name: [long_tasks_of_first_page(browser, url) for _ in range(asked.rounds)]
            for name, (url, _) in urls.items()
        }
        ours = urls["the service"][0]
        answers = cases_of(FORM)[PATIENT].answers
        turns = [turn for _ in range(asked.rounds) for turn in long_tasks_of_turns(browser, ours, answers)]
        traced = [
            first_pages(lambda: first_tab(browser), url, rounds=asked.rounds, slower=SLOWER)
            for url in (ours, line)
        ]
    report(visits)
    for name, seen in alone.items():
        report_long_tasks(f"{name}: first pages", seen)
    report_long_tasks("the service: turns of a page", turns)
    report_first_page(*traced)


def report_long_tasks(what: str, seen: list[list[int]]) -> None:
    """Prints how many pages had a long task, and the longest: one that other work interrupts counts too."""
    held = [tasks for tasks in seen if tasks]
    longest = max((task for tasks in held for task in tasks), default=0)
    print(f"  {what} with a long task: {len(held)} of {len(seen)}, the longest {longest} ms  (goal: none)")


def report_first_page(ours: dict[str, float], bare: dict[str, float]) -> None:
    for step, ms in ours.items():
        print(f"  the first page {step}: {ms:.0f} ms of processor time", end="")
        print(f"  (a page that has one line: {bare[step]:.0f} ms)")


def report(visits: dict[str, list[Visit]]) -> None:
    for name, seen in visits.items():
        size, usable = middle(seen, "bodies") / 1000, middle(seen, "usable_ms") / 1000
        print(f"{name:<12} {size:7.1f} KB and {middle(seen, 'heads') / 1000:.1f} KB of headers", end="")
        print(f"  usable after {usable:5.2f} s", end="")
        print(f"  layout shift {middle(seen, 'shifts'):.3f}")
    ours, *others = visits.values()
    share = middle(ours, "usable_ms") / min(middle(other, "usable_ms") for other in others)
    shifts = max(each.shifts for each in ours)
    print(f"  until usable / the faster of the other two  {share:.2f}  (goal: {MOST_OF_THE_FASTER} or less)")
    print(f"  KB from the first page to the result  {middle(ours, 'bodies') / 1000:.1f}", end="")
    print(f"  (goal: under {MOST_BYTES / 1000:.0f})")
    print(f"  layout shift {shifts:.3f}  (goal: none)")


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
