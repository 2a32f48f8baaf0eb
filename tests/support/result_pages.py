"""Pages of results, made of worked cases and samples without a server."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser

from golden_patients import assessed

from service.assess import Scored
from service.catalogue import Pair
from service.datatypes.answers import Coding, Quantity
from service.datatypes.form import Question
from service.pages.model import Frame, Row
from service.pages.result import ResultPage

STATE = "signed-state"
ASSETS = {name: f"/static/{name}" for name in ("form.css", "form.js", "why.css")}


def scored_case(pair: Pair, name: str) -> Scored:
    """A worked case as the response that was scored."""
    found = assessed(pair, name)
    return Scored(pair, found.context, found.answers, found.chart, found.problems)


def page_of(
    scored: Scored, *, kept: str = "", pages: Mapping[str, str] | None = None, is_clinician: bool = False
) -> str:
    """The page of a result; every question stands on a page of its own name unless `pages` says more."""
    pair = scored.pair
    questions = pair.guidance.form.questions
    frame = Frame("A form", pair.guidance.language, "/questionnaires/a-form", STATE, assets=ASSETS)
    named = {link: link for link in questions} if pages is None else pages
    return ResultPage(pair).html(
        scored, frame, answers=answers_of(scored), pages=named, kept=kept, is_clinician=is_clinician
    )


def answers_of(scored: Scored) -> list[tuple[str, tuple[Row, ...]]]:
    """Everything that was answered, as rows."""
    questions = scored.pair.guidance.form.questions
    rows = [
        Row(questions[link].text, tuple(_said(questions[link], value) for value in values), link, "")
        for link, values in scored.answers.given.items()
    ]
    return [("", tuple(rows))]


def _said(question: Question, value: object) -> str:
    if isinstance(value, Coding):
        return next(option.display for option in question.options if option.coding == value)
    return f"{value.value} {value.unit}" if isinstance(value, Quantity) else str(value)


class Reader(HTMLParser):
    """What a page holds: its text by parts, its buttons, and its elements."""

    VOID = frozenset(("input", "meta", "link", "path", "br"))

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert self.open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        marks = tuple(f"{tag}.{attrs.get('class') or ''}" for tag, attrs in self.open)
        self.texts.append((marks, data))

    def text(self, *, inside: str = "main.", outside: str = "none") -> str:
        """The text of an element with that tag and class, without the parts in another one."""
        found = [data for marks, data in self.texts if inside in marks and outside not in marks]
        return " ".join("".join(found).split())

    @property
    def actions(self) -> list[str]:
        """What the buttons of the page send."""
        return [attrs["value"] or "" for tag, attrs in self.elements if tag == "button" and "value" in attrs]
