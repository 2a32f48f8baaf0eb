"""Fills in a form page by page as a browser without script does: reads the HTML, sends what it can see.

Which answer goes into which control is worked out here; tests in a real browser use the same plan of answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

from service.datatypes.answers import Answer, Coding, Quantity, Uncoded

Controls = dict[str, list[str]]

_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)


@dataclass
class Control:
    """A control of a page that a person can use, or that is sent with it."""

    kind: str
    options: list[str] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)


class ParsedPage(HTMLParser):
    """What stands on a page.

    Controls inside of what is hidden are kept apart: nobody without script can reach them.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.main: dict[str, str] = {}
        self.controls: dict[str, Control] = {}
        self.closed: dict[str, Control] = {}
        self.hidden: dict[str, str] = {}
        self.buttons: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._open: list[tuple[str, bool]] = []
        self._name = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        is_hidden = "hidden" in given or any(hidden for _, hidden in self._open)
        if tag not in _VOID:
            self._open.append((tag, is_hidden))
        if tag == "main":
            self.main = given
        elif tag == "a":
            self.links.append(given.get("href", ""))
        elif tag == "button" and given.get("name") == "action":
            self.buttons.append(given["value"])
        elif tag == "input" and given.get("type") == "hidden":
            self.hidden[given["name"]] = given.get("value", "")
        elif tag in ("input", "select", "textarea"):
            self._add(tag, given, self.closed if is_hidden else self.controls)
        elif tag == "option":
            self._option(given, self.closed if is_hidden else self.controls)

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            if self._open.pop()[0] == tag:
                return

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open and self._open[-1][0] == "textarea" and self._name in self.controls:
            self.controls[self._name].chosen = [data]

    def _add(self, tag: str, given: Mapping[str, str], to: dict[str, Control]) -> None:
        kind = given.get("type", "text") if tag == "input" else tag
        self._name = given.get("name", "")
        control = to.setdefault(self._name, Control(kind))
        if kind in ("radio", "checkbox"):
            control.options.append(given.get("value", ""))
            control.chosen += [given["value"]] if "checked" in given else []
        elif "value" in given and kind != "select":
            control.chosen = [given["value"]]

    def _option(self, given: Mapping[str, str], among: dict[str, Control]) -> None:
        control = among.get(self._name)
        if control is not None:
            control.options.append(given.get("value", ""))
            control.chosen += [given["value"]] if "selected" in given else []


def controls_for(link: str, answers: Sequence[Answer], page: Mapping[str, Control]) -> Controls:
    """Returns what to put into the controls of a question, by name of the control."""
    named = page.get(f"q.{link}")
    if named is not None and named.options:
        return {f"q.{link}": [_option_for(answer, named.options) for answer in answers]}
    if f"y.{link}" in page:
        day, _, time = str(answers[0]).partition("T")
        parts = dict(zip("ymd", day.split("-"), strict=False))
        return {
            f"{part}.{link}": [value] for part, value in (parts | ({"t": time[:5]} if time else {})).items()
        }
    first = answers[0]
    if isinstance(first, Quantity):
        unit = {f"u.{link}": [first.unit]} if f"u.{link}" in page else {}
        return {f"q.{link}": [f"{first.comparator}{first.value:f}"]} | unit
    return {f"q.{link}": ["\n".join(_typed(answer) for answer in answers)]}


def _option_for(answer: Answer, options: Sequence[str]) -> str:
    match answer:
        case bool():
            return str(answer).lower()
        case Coding(system, code):
            return code if code in options else f"{system}|{code}"
        case Uncoded(_, display):
            return display
    return str(answer)


def _typed(answer: Answer) -> str:
    return f"{answer:f}" if isinstance(answer, Decimal) else str(answer)


class FormDriver:
    """A person without script at a form.

    Args:
        client: the test client.
        path: of the form.
    """

    def __init__(self, client: Any, path: str) -> None:
        self.client = client
        self.path = path
        self.visited: list[str] = []
        self.asked: list[str] = []

    def open(self, query: str = "") -> ParsedPage:
        """Opens the first page."""
        return self._took(self.client.get(self.path + query, headers={"Accept": "text/html"}))

    def press(self, action: str, controls: Controls | None = None, **more: Any) -> ParsedPage:
        """Sends the page with what stands in its controls and what is put into them now."""
        return self._took(self.post(action, controls, **more))

    def post(self, action: str, controls: Controls | None = None, **more: Any) -> Any:
        """Sends the page, and returns the whole answer."""
        standing = {name: control.chosen for name, control in self.page.controls.items() if control.chosen}
        data: dict[str, Any] = {**self.page.hidden, **standing, **(controls or {}), **more, "action": action}
        return self.client.post(self.path, data=data, content_type="multipart/form-data")

    def answer(self, answers: Mapping[str, Sequence[Answer]]) -> ParsedPage:
        """Answers what the page asks and goes on."""
        controls: Controls = {}
        for link in [link for link in answers if self._is_asked(link)]:
            controls |= controls_for(link, answers[link], self.page.controls)
            self.asked.append(link)
        return self.press("next", controls)

    def finish(self, answers: Mapping[str, Sequence[Answer]], most: int = 80) -> ParsedPage:
        """Answers page after page to the end; raises AssertionError where it does not come to one."""
        for _ in range(most):
            kind = self.page.main["data-kind"]
            if kind == "check":
                self.press("send")
            elif kind == "question":
                self.answer(answers)
            else:
                return self.page
        raise AssertionError(f"no end after {most} pages: {self.visited[-5:]}")

    def _is_asked(self, link: str) -> bool:
        return f"q.{link}" in self.page.controls or f"y.{link}" in self.page.controls

    def _took(self, answer: Any) -> ParsedPage:
        self.answered = answer
        self.page = ParsedPage(answer.get_data(as_text=True))
        self.visited.append(self.page.main.get("data-page", ""))
        return self.page
