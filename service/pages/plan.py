"""Which pages a form has, which of its questions each asks now, and which page comes next.

The page groups of a Questionnaire (itemControl `page`) are its pages. Without any, a group at the top with
few questions is a page, and else each question is one. What is only shown stands on the page before it. What
`enableWhen` closes is not asked: it is decided by the same engine that checks responses.

At a safety step nobody is asked to go on. Only questions that could still lead to a higher step are asked;
where there is none, the form is at its end.

A short form asks only what can still change the result, and in another order than that of the form: what
could lead to a safety step comes first.

Source:
    SDC 4.0, rendering.html (page); decisions in guidance of the mapping: tiers with `overlay`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final

import msgspec

from service.datatypes.answers import AnswersByLink
from service.datatypes.values import replace
from service.fhir import extensions as ext
from service.fhir.extensions import mappings, text
from service.guidance import Ahead
from service.pages.state import FormState
from service.questionnaire import DISPLAY, GROUP, CompiledQuestionnaire, Item
from service.questionnaire.items import is_out_of_sight

NOTHING_AHEAD: Final = Ahead((), ())

MOST_TOGETHER: Final = 5
"""Most questions of a group that stand on one page where the form does not say what a page is."""


def control_of(item: Item) -> str:
    """Returns the code of the itemControl of an item; empty if it has none."""
    concept = ext.value(item.source, ext.ITEM_CONTROL)
    codings = mappings(concept.get("coding")) if isinstance(concept, Mapping) else iter(())
    return next((text(coding.get("code")) for coding in codings), "")


class Page(msgspec.Struct, frozen=True):
    """A page of a form.

    Args:
        name: linkId of its group, or of its question.
        heading: linkId of the group whose text heads it; empty if there is none.
        items: linkIds of what stands on it, in order; what stands below them is not listed.
        questions: linkIds of all questions that it can ask, in order.
        told: linkIds of those that it shows and does not ask.
    """

    name: str
    heading: str
    items: tuple[str, ...]
    questions: tuple[str, ...]
    told: tuple[str, ...] = ()


class Plan:
    """The pages of one Questionnaire."""

    def __init__(self, compiled: CompiledQuestionnaire) -> None:
        self.compiled = compiled
        self._items = compiled.items
        top = [link for link, item in self._items.items() if item.parent is None]
        self.pages = tuple(self._with_questions(self._split(top, "")))
        self.by_name: Mapping[str, Page] = {page.name: page for page in self.pages}
        self.page_of: Mapping[str, str] = {link: page.name for page in self.pages for link in page.questions}

    def pages_with(self, links: Collection[str]) -> tuple[str, ...]:
        """Returns the names of the pages that can ask one of these questions, in order."""
        return tuple(dict.fromkeys(name for link, name in self.page_of.items() if link in links))

    def _with_questions(self, pages: Iterable[Page]) -> list[Page]:
        """Returns the pages with questions; texts of other pages go to the one before, or the first."""
        found: list[Page] = []
        first: tuple[str, ...] = ()
        for page in pages:
            if page.questions:
                found.append(replace(page, items=(*first, *page.items)) if first else page)
                first = ()
            elif page.told and found:
                found[-1] = replace(found[-1], items=(*found[-1].items, *self._as_part(page)))
            elif page.told:
                first = (*first, *self._as_part(page))
        return [replace(page, told=self._told(page.items)) for page in found]

    def _as_part(self, page: Page) -> tuple[str, ...]:
        """Returns the part of another page that shows a page: the texts before it, and its group."""
        own = (page.name, *self._below(self._items[page.name]))
        return (*(link for link in page.items if link not in own), page.name)

    def _split(self, links: Iterable[str], heading: str) -> list[Page]:
        """Returns the pages of the items at one level; texts come before the items that follow them."""
        pages: list[Page] = []
        texts: list[str] = []
        for link in links:
            item = self._items[link]
            if item.is_hidden:
                continue
            if item.type == DISPLAY:
                texts.append(link)
                continue
            found = self._pages_of(item, heading)
            if found:
                found[0] = replace(found[0], items=(*texts, *found[0].items))
                texts = []
            pages += found
        if texts and pages:
            pages[-1] = replace(pages[-1], items=(*pages[-1].items, *texts))
        return pages

    def _pages_of(self, item: Item, heading: str) -> list[Page]:
        if item.type != GROUP:
            return [self._page(item.link_id, heading, (item.link_id,))]
        has_pages = any(control_of(self._items[link]) == "page" for link in self._below(item))
        few = len(self._questions((item.link_id,))) <= MOST_TOGETHER
        if control_of(item) == "page" or (few and not has_pages):
            return [self._page(item.link_id, item.link_id, item.children)]
        return self._split(item.children, item.link_id if item.text else heading)

    def _page(self, name: str, heading: str, items: tuple[str, ...]) -> Page:
        return Page(name, heading, items, self._questions(items), self._told(items))

    def _questions(self, links: Iterable[str]) -> tuple[str, ...]:
        """Returns the questions among items and below them that people can answer."""
        return tuple(link for link in self._in_sight(links) if not self._items[link].is_told)

    def _told(self, links: Iterable[str]) -> tuple[str, ...]:
        """Returns the questions among items and below them that are shown and not asked."""
        return tuple(link for link in self._in_sight(links) if self._items[link].is_told)

    def _in_sight(self, links: Iterable[str]) -> Iterator[str]:
        found = (below for link in links for below in (link, *self._below(self._items[link])))
        items = self._items
        return (link for link in found if items[link].answerable and not is_out_of_sight(items[link], items))

    def _below(self, item: Item) -> Sequence[str]:
        """Returns the linkIds of all items below one, in order."""
        return tuple(self._items)[item.order + 1 : item.end]


class Walk:
    """Where one person stands in a form.

    Args:
        plan: of the form.
        state: what was answered so far.
        leading: at a safety step, the questions that could still lead to a higher one; else None.
        ahead: in a short form, the questions that can still change the result.
    """

    def __init__(
        self,
        plan: Plan,
        state: FormState,
        leading: Collection[str] | None = None,
        ahead: Ahead = NOTHING_AHEAD,
    ) -> None:
        self.plan = plan
        self.state = state
        self.enabled, _ = plan.compiled.enabled(state.answers)
        self._leading = leading
        self._ahead = ahead
        self._due: Collection[str] | None = ahead.now if state.is_short and leading is None else leading

    @cached_property
    def pages(self) -> tuple[Page, ...]:
        """The pages that have something to ask."""
        return tuple(page for page in self.plan.pages if self._ever_asked(page) or self._waiting(page))

    def asked(self, page: Page) -> frozenset[str]:
        """Returns the questions that a page asks now.

        At a safety step these are those that lead on, and in a short form those that can still change the
        result, if there are; else those that it has asked before.
        """
        return (
            self._waiting(page) if self._due is not None and self._waiting(page) else self._ever_asked(page)
        )

    def shown(self, page: Page) -> frozenset[str]:
        """Returns the questions that may appear on a page before it is sent: also those closed so far."""
        if self._leading is not None and self._waiting(page):
            return self._waiting(page)
        if self.state.is_short:
            opened = self._closed_so_far(page) if self._waiting(page) else frozenset()
            return self.asked(page) | opened
        return frozenset(page.questions)

    @property
    def unasked(self) -> tuple[str, ...]:
        """The questions that a short form has not asked, although nothing closes them, in form order."""
        asked = (link for page in self.plan.pages for link in page.questions if self.state.is_short)
        return tuple(link for link in asked if link in self.enabled and link not in self.state.seen)

    @property
    def left(self) -> int:
        """At most how many questions a short form still asks; 0 in the full one."""
        links = (*self._ahead.now, *self._ahead.later)
        return sum(link in self.plan.page_of for link in links) if self.state.is_short else 0

    @property
    def is_at_end(self) -> bool:
        """Whether a safety step is reached and nothing could lead to a higher one."""
        return self._leading is not None and not any(map(self._waiting, self.plan.pages))

    def following(self, page: Page | None) -> Page | None:
        """Returns the page after one (None: the first of all); None if every question was asked."""
        waiting = [found for found in self.pages if self._waiting(found)]
        if page in waiting:
            return page
        if self.state.is_short and self._leading is None:
            links = (link for link in self._ahead.now if link in self.enabled and link in self.plan.page_of)
            return next((self.plan.by_name[self.plan.page_of[link]] for link in links), None)
        if self._leading is None and not self.state.reviewing and page is not None:
            order = self.plan.pages.index(page)
            later = [found for found in self.pages if self.plan.pages.index(found) > order]
            if later:
                return later[0]
        return waiting[0] if waiting else None

    def reaches(self, page: Page) -> bool:
        """Returns whether a page is asked, and in the full form nothing before it is still to be asked."""
        next_ = None if self.state.is_short else self.following(None)
        order = self.plan.pages.index
        return page in self.pages and (next_ is None or order(page) <= order(next_))

    def before(self, page: Page) -> Page | None:
        """Returns the page before one, or None; in a short form that which was sent before it."""
        if self.state.is_short:
            sent = [name for name in self.state.trail if self.plan.by_name[name] in self.pages]
            place = sent.index(page.name) if page.name in sent else len(sent)
            return self.plan.by_name[sent[place - 1]] if place else None
        order = self.plan.pages.index(page)
        earlier = [found for found in self.pages if self.plan.pages.index(found) < order]
        return earlier[-1] if earlier else None

    @property
    def last(self) -> Page | None:
        """The page before the one on which answers are checked; None if there is none."""
        if not self.state.is_short:
            return self.pages[-1] if self.pages else None
        sent = [name for name in self.state.trail if self.plan.by_name[name] in self.pages]
        return self.plan.by_name[sent[-1]] if sent else None

    def place(self, page: Page) -> tuple[int, int]:
        """Returns the number of a page among those that there are by now, and how many these are."""
        order = self.plan.pages.index(page)
        number = sum(self.plan.pages.index(found) <= order for found in self.pages)
        return max(number, 1), max(len(self.pages), number, 1)

    def _enabled_on(self, page: Page) -> frozenset[str]:
        return self.enabled.intersection(page.questions)

    def _waiting(self, page: Page) -> frozenset[str]:
        """Returns the questions of a page that are still to be asked."""
        new = self._enabled_on(page) - self.state.seen
        return new if self._due is None else new.intersection(self._due)

    def _ever_asked(self, page: Page) -> frozenset[str]:
        """Returns the questions of a page that are asked at all: in a short form those asked before."""
        enabled = self._enabled_on(page)
        return enabled & self.state.seen if self.state.is_short else enabled

    def _closed_so_far(self, page: Page) -> frozenset[str]:
        """Returns the questions that answers on this very page may open, and that matter then."""
        return frozenset(page.questions).intersection(self._ahead.later) - self.enabled


def fitting(state: FormState, compiled: CompiledQuestionnaire) -> FormState:
    """Returns a state without the answers to questions that its other answers close.

    What is offered for a question is filled in when it opens.
    """
    enabled, _ = compiled.enabled(state.answers)
    answers = {link: given for link, given in state.answers.items() if link in enabled}
    told = enabled | state.offered.keys()
    opened = {link for link in state.offered if link in enabled and link not in state.seen}
    fits = replace(
        state,
        answers=in_order({link: state.offered[link] for link in opened} | answers, compiled),
        offered={link: given for link, given in state.offered.items() if link not in enabled},
        sources={link: said for link, said in state.sources.items() if link in told},
        seen=state.seen & enabled,
    )
    return fitting(fits, compiled) if opened - answers.keys() else fits


def in_order(answers: AnswersByLink, compiled: CompiledQuestionnaire) -> AnswersByLink:
    """Returns answers in the order of the Questionnaire."""
    return {link: answers[link] for link in sorted(answers, key=lambda link: compiled.items[link].order)}
