"""What a browser reports while a test uses it: everything that a page must not do."""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from patience import PATIENCE_S
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Request, WebError, expect

_PATIENCE_MS = PATIENCE_S * 1000
expect.set_options(timeout=_PATIENCE_MS)
PHONE = {"width": 390, "height": 844}
OPENS_NO_CONNECTION = ("about", "blob", "data")


@dataclass
class Watch:
    """Collects what went wrong in one context: reports are lines that begin with their kind.

    Kinds: `CSP` (a violation of the Content Security Policy or of Trusted Types), `console` (an error that
    stands in the console), `exception` (that a script did not catch), `request` (to another host), `cookie`.

    Args:
        origins: where its pages may ask.
        expected: patterns of the reports that this test expects.
    """

    origins: frozenset[str]
    expected: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)

    def expect(self, pattern: str) -> None:
        """Takes note that reports in which this pattern is found are no fault of this test."""
        self.expected.append(pattern)

    def faults(self) -> list[str]:
        """Returns the reports that the test does not expect."""
        return [
            report for report in self.reports if not any(re.search(each, report) for each in self.expected)
        ]

    def attach(self, context: BrowserContext) -> None:
        """Listens to every page of a context."""
        context.on("console", self._heard)
        context.on("weberror", self._threw)
        context.on("request", self._asked)

    def close(self, context: BrowserContext) -> None:
        """Reads the cookies of a context that is about to be closed."""
        self.reports += [f"cookie {cookie.get('name')}" for cookie in context.cookies()]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            is_policy = re.search(r"Content Security Policy|Trusted ?(Type|HTML|Script)", message.text)
            self.reports.append(f"{'CSP' if is_policy else 'console'} {message.text}")

    def _threw(self, error: WebError) -> None:
        self.reports.append(f"exception {error.error.message}")

    def _asked(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in OPENS_NO_CONNECTION:
            return
        if f"{address.scheme}://{address.netloc}" not in self.origins:
            self.reports.append(f"request {request.method} {request.url}")


NewContext = Callable[..., tuple[BrowserContext, Watch]]


@contextmanager
def watched_contexts(browser: Browser, origins: Collection[str]) -> Iterator[NewContext]:
    """Gives a function that makes contexts with an empty profile; fails after the block on what they report.

    Its arguments: `script` (False: as in a browser without JavaScript), `expects` (patterns of reports),
    `origins` (further ones that may be asked), and those of Playwright's `new_context`.
    """
    made: list[tuple[BrowserContext, Watch]] = []

    def new_context(
        *,
        script: bool = True,
        expects: Collection[str] = (),
        further: Collection[str] = (),
        **options: Any,
    ) -> tuple[BrowserContext, Watch]:
        given = {"viewport": PHONE, "locale": "en-GB", "reduced_motion": "reduce"} | options
        context = browser.new_context(java_script_enabled=script, **given)
        context.set_default_timeout(_PATIENCE_MS)
        watch = Watch(frozenset([*origins, *further]), list(expects))
        watch.attach(context)
        made.append((context, watch))
        return context, watch

    yield new_context
    for context, watch in made:
        watch.close(context)
        context.close()
    if faults := [fault for _, watch in made for fault in watch.faults()]:
        raise AssertionError("\n".join(faults))
