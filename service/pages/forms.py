"""The forms of what is served: each Questionnaire with its pages, in every language that it has words in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final
from uuid import uuid4

import msgspec

from service.catalogue import Catalogue, Pair
from service.datatypes.values import replace
from service.earlier import comparable
from service.fhir.dates import date_time
from service.fhir.extensions import text
from service.guidance import Ahead
from service.languages import ENGLISH, chosen, words_in
from service.pages.fields import Fields
from service.pages.form_store import FormStore
from service.pages.plan import NOTHING_AHEAD, Plan, Walk, fitting
from service.pages.response import Responses
from service.pages.result import ResultPage
from service.pages.state import FormState, StateWriter
from service.pages.why import WhyPage
from service.questionnaire import CompiledQuestionnaire, not_shown, translated
from service.results import Numbers
from service.web.negotiation import HTML, preferred_languages
from service.web.reply import NO_STORE, Header
from service.web.request import Request

_LOG: Final = logging.getLogger("service.start")


class FormSettings(msgspec.Struct, frozen=True):
    """How the forms of one deployment behave.

    Args:
        now: tells the time.
        numbers: telephone numbers that people are told.
        framing_origins: origins of pages that may show a form in a frame.
        language: of a page where neither the address nor the browser asks for one that there is.
        store: of forms that people agree to have stored; None if nothing is stored.
        privacy_notice_url: where people read what happens to what is stored; empty for nowhere.
        is_short: whether a form is short unless somebody wants it in full.
    """

    now: Callable[[], datetime]
    numbers: Numbers
    framing_origins: frozenset[str] = frozenset()
    language: str = ENGLISH
    store: FormStore | None = None
    privacy_notice_url: str = ""
    is_short: bool = False

    def language_of(self, request: Request, offered: Collection[str]) -> str:
        """Returns the language of those offered that the address asks for, else the browser."""
        wanted = [*filter(None, [request.option("language")])]
        wanted += preferred_languages(request.header("ACCEPT_LANGUAGE") or "")
        return chosen(wanted, offered, self.language if self.language in offered else ENGLISH)


class Spoken:
    """A form in one language."""

    def __init__(self, pair: Pair, settings: FormSettings) -> None:
        guidance = pair.guidance
        self.language = guidance.language
        self.fields = Fields(
            pair.compiled,
            self.language,
            guidance.date_questions,
            settings.now,
            safety=guidance.safety_questions,
        )
        self.responses = Responses(pair.compiled, self.fields, self.language, guidance.written.respondent)
        self.result = ResultPage(pair)
        self.why = WhyPage(pair, self.fields)
        self.words = words_in(self.language)
        resource = pair.compiled.resource
        self.title = translated(resource, "title", self.language) or text(resource.get("title")) or pair.slug


class Version:
    """Another version of the questionnaire of a form; `alike` are the linkIds that both ask alike."""

    def __init__(self, compiled: CompiledQuestionnaire, pair: Pair) -> None:
        self.compiled = compiled
        self.alike = frozenset(comparable(compiled, pair.guidance))


class Form:
    """One form: its pages, itself in each language, and other versions of it that can be compared.

    Args:
        pair: the questionnaire and its guidance.
        settings: how the forms behave.
        versions: other versions of the questionnaire.
    """

    def __init__(
        self, pair: Pair, settings: FormSettings, versions: Iterable[CompiledQuestionnaire] = ()
    ) -> None:
        self._now = settings.now
        self.slug = pair.slug
        self.guidance = pair.guidance
        self.path = f"/questionnaires/{pair.slug}"
        self.asks_respondent = pair.guidance.written.respondent is not None
        self.compares = bool(pair.guidance.compared_questions)
        known = (Version(other, pair) for other in versions)
        self.versions = {
            other.compiled.canonical: other
            for other in known
            if other.alike & pair.guidance.compared_questions
        }
        self.plan = Plan(pair.compiled)
        self.writer = StateWriter(pair.compiled)
        told = {pair.guidance.language: pair, **pair.further}
        self.spoken: Mapping[str, Spoken] = {tag: Spoken(one, settings) for tag, one in told.items()}
        self.title = next(iter(self.spoken.values())).title
        self.can_be_short = not pair.compiled.calculates  # what it calculates from is not asked for by rules

    def fresh(self, language: str, parent: str, *, is_short: bool = False) -> FormState:
        """Returns the state of a form that is begun: only what it says itself is answered."""
        items = self.plan.compiled.items
        initial = {link: item.initial for link, item in items.items() if item.answerable and item.initial}
        state = FormState(
            form=str(uuid4()),
            language=language,
            parent=parent,
            answers=initial,
            is_short=is_short and self.can_be_short,
            begun=date_time(self._now()),
        )
        return fitting(state, self.plan.compiled)


def forms_of(catalogue: Catalogue, settings: FormSettings) -> tuple[Form, ...]:
    """Returns the forms of what is served: of each mapping that is active and can be shown."""
    newest = [catalogue.pairs[canonical] for canonical in catalogue.unversioned.values()]
    for pair in newest:
        for reason in not_shown(pair.compiled.items):
            _LOG.warning({"event": "form", "form": pair.slug, "note": f"not shown as a form: {reason}"})
    shown = [pair for pair in newest if not not_shown(pair.compiled.items)]
    return tuple(Form(pair, settings, _others(pair.compiled, catalogue)) for pair in shown)


def _others(compiled: CompiledQuestionnaire, catalogue: Catalogue) -> Iterator[CompiledQuestionnaire]:
    for canonical, other in catalogue.questionnaires.items():
        if canonical != compiled.canonical and other.url == compiled.url:
            yield other


def slugs_not_shown(catalogue: Catalogue) -> frozenset[str]:
    """Returns the names of the mappings that are active and have no form, since it could not be shown."""
    newest = (catalogue.pairs[canonical] for canonical in catalogue.unversioned.values())
    return frozenset(pair.slug for pair in newest if not_shown(pair.compiled.items))


class Visit(msgspec.Struct, frozen=True):
    """A person at a form.

    Args:
        state: what was answered so far.
        part: only what changes between pages is wanted; the script has the rest.
    """

    form: Form
    state: FormState
    part: bool = False

    @property
    def spoken(self) -> Spoken:
        """The form in the language of the pages."""
        return self.form.spoken[self.state.language]

    @property
    def other_languages(self) -> tuple[tuple[str, str], ...]:
        """The other languages of the form, each with its name in itself."""
        others = (tag for tag in self.form.spoken if tag != self.state.language)
        return tuple((tag, words_in(tag)["form.language"]) for tag in others)

    @property
    def asks_who(self) -> bool:
        """Whether it is asked apart for whom the person answers."""
        return not self.form.asks_respondent and "source" not in self.state.head

    def with_state(self, state: FormState) -> Visit:
        """Returns the same person with another state."""
        return replace(self, state=state)

    def walk(self, leading: frozenset[str] | None = None, ahead: Ahead = NOTHING_AHEAD) -> Walk:
        """Returns where the person stands; `leading` and `ahead` as Walk takes them."""
        return Walk(self.form.plan, self.state, leading, ahead)


PART_HEADERS: Final[tuple[Header, ...]] = (
    ("Content-Type", f"{HTML}; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    NO_STORE,
)
"""Headers of what the script of a page puts into it: should a browser show it alone, it may do nothing."""


def page_headers(framing: Iterable[str] = (), connect: Iterable[str] = ()) -> tuple[Header, ...]:
    """Returns the headers of a page: nothing runs or loads but the files of this server.

    Args:
        framing: origins of pages that may show it in a frame.
        connect: origins that its script may send requests to, beside this one.

    Source:
        CSP level 3; Trusted Types.
    """
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        " ".join(("connect-src 'self'", *sorted(connect))),
        "form-action 'self'",
        "base-uri 'none'",
        " ".join(("frame-ancestors", *(sorted(framing) or ["'none'"]))),
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return (
        ("Content-Type", f"{HTML}; charset=utf-8"),
        ("Content-Security-Policy", "; ".join(policy)),
        ("Referrer-Policy", "no-referrer"),
        NO_STORE,
    )
