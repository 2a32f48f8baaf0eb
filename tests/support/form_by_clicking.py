"""A person at a form: reads which questions stand on a page, answers those that they know, and goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from playwright.sync_api import Locator, Page

from service.datatypes.answers import Answer, AnswersByLink, Coding, Quantity

MOST_PAGES = 60
_QUESTIONS = """() => [...new Set([...document.querySelectorAll('main [name^="q."], main [name^="d."]')]
  .filter(each => each.checkVisibility({visibilityProperty: true}) && !each.disabled)
  .map(each => each.name.slice(2)))]"""


class Form:
    """One form in one tab.

    Args:
        page: the tab. url: of the form.
        on_page: called with each page that comes up, before anything is done there.
    """

    def __init__(self, page: Page, url: str, on_page: Callable[[Page], None] | None = None) -> None:
        self.page = page
        self.url = url
        self._on_page = on_page or (lambda _: None)

    @property
    def main(self) -> Locator:
        return self.page.locator("main")

    @property
    def kind(self) -> str:
        """Returns what stands on the page: question, check, result, emergency or message."""
        return self.main.get_attribute("data-kind") or ""

    @property
    def name(self) -> str:
        return self.main.get_attribute("data-page") or ""

    @property
    def heading(self) -> str:
        return self.main.locator("h1").inner_text()

    @property
    def problems(self) -> list[str]:
        """Returns the lines of the error summary."""
        return self.main.locator("[role=alert] li").all_inner_texts()

    def open(self, query: str = "") -> "Form":
        self.page.goto(self.url + query)
        self._on_page(self.page)
        return self

    def questions(self) -> list[str]:
        """Returns the linkIds of the questions that can be seen on the page."""
        found: list[str] = self.page.evaluate(_QUESTIONS)
        return found

    def press(self, action: str) -> None:
        """Presses a button of the page and waits for the page that follows."""
        with self.leaving():
            self.button(action).click()

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """Waits after the block for the page that follows on what is done in it."""
        self.main.evaluate("main => main.firstElementChild.setAttribute('data-left', '')")
        yield
        self.page.locator("main:not(:has(> [data-left]))").wait_for()
        self.page.wait_for_load_state()
        self._on_page(self.page)

    def button(self, action: str) -> Locator:
        return self.page.locator(f'button[name="action"][value="{action}"]:not([aria-hidden])').first

    def answer(self, answers: AnswersByLink) -> list[str]:
        """Answers the questions that can be seen, those too that come up meanwhile; returns which."""
        done: list[str] = []
        while waiting := [each for each in self.questions() if each in answers and each not in done]:
            self._fill(waiting[0], answers[waiting[0]])
            done.append(waiting[0])
        return done

    def walk(self, answers: AnswersByLink) -> Iterator[str]:
        """Answers and goes on until no question comes up any more; names each page before leaving it."""
        for _ in range(MOST_PAGES):
            if self.kind != "question":
                return
            assert self.problems == []
            self.answer(answers)
            yield self.name
            self.press("next")
        raise AssertionError(f"still at {self.name} after {MOST_PAGES} pages")

    def finish(self, answers: AnswersByLink) -> str:
        """Answers all, sends where that is asked for, and returns the kind of the last page."""
        for _ in self.walk(answers):
            pass
        if self.kind == "check":
            self.press("send")
        return self.kind

    def download(self, action: str) -> Path:
        """Returns the file that a button of the result gives."""
        self.unfold(action)
        with self.page.expect_download() as awaited:
            self.button(action).click()
        return awaited.value.path()

    def unfold(self, action: str) -> None:
        """Opens whatever a button is folded away in."""
        folded = self.button(action).locator("xpath=ancestor::details[not(@open)]")
        while folded.count():
            folded.first.locator("> summary").click()

    def _fill(self, link_id: str, answers: tuple[Answer, ...]) -> None:
        if self._named("d", link_id).count():
            self._fill_date(link_id, str(answers[0]))
        elif isinstance(answers[0], Coding):
            self._choose(link_id, [each for each in answers if isinstance(each, Coding)])
        elif isinstance(answers[0], bool):
            self._tick(self._named("q", link_id, str(answers[0]).lower()))
        elif isinstance(answers[0], Quantity):
            self._fill_quantity(link_id, answers[0])
        else:
            self._type(self._named("q", link_id), str(answers[0]))

    def _choose(self, link_id: str, codings: list[Coding]) -> None:
        control = self._named("q", link_id)
        if control.first.evaluate("each => each.tagName") == "SELECT":
            control.select_option([each.code for each in codings])
            return
        for coding in codings:
            short = self._named("q", link_id, coding.code)
            self._tick(short if short.count() else self._named("q", link_id, "|".join(coding)))

    def _fill_quantity(self, link_id: str, quantity: Quantity) -> None:
        self._type(self._named("q", link_id), _plain(quantity.value))
        units = self._named("u", link_id)
        if units.count() > 1:
            self._tick(self._named("u", link_id, quantity.unit))
        elif units.count() == 1 and units.evaluate("each => each.tagName") == "SELECT":
            units.select_option(quantity.unit)

    def _fill_date(self, link_id: str, date: str) -> None:
        for part, text in zip("ymd", date.split("-"), strict=True):
            self._named(part, link_id).fill(str(int(text)))

    def _type(self, control: Locator, text: str) -> None:
        if control.first.get_attribute("type") == "radio":  # a scale of few numbers
            self._tick(control.and_(self.page.locator(f'[value="{text}"]')))
        else:
            control.fill(text)

    def _tick(self, control: Locator) -> None:
        control.check()

    def _named(self, letter: str, link_id: str, value: str | None = None) -> Locator:
        which = "" if value is None else f'[value="{value}"]'
        return self.main.locator(f'[name="{letter}.{link_id}"]{which}')


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")
