"""A page for authors: the whole form beside its result beside why, of any mapping, drafts too.

It is served where changed files are served at once (docs/authoring.md), to programs of this machine alone.
Nothing is kept: all questions stand on the page, and what they hold comes with each request. Once the files
have changed, the script asks for the page again; where they are faulty, the page says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import orjson
from markupsafe import Markup

from service.assess import Assessor, Scored
from service.catalogue import Catalogue, Pair, answers_of_case, with_draft
from service.datatypes.answers import AnswersByLink
from service.datatypes.values import replace
from service.errors import NotFound, NotScorable, Problem
from service.fhir.response_context import context_from_resource
from service.guidance.cases import Case
from service.pages.fields import Fields
from service.pages.forms import Form, FormSettings, Visit, page_headers
from service.pages.model import Field, Frame
from service.pages.model import Problem as Shown
from service.pages.plan import fitting, in_order
from service.pages.reading import Posted
from service.pages.response import is_by_clinician
from service.pages.scoring import AnswersOfForms, faults_of
from service.pages.state import COMPLETED, IN_PROGRESS, FormState, StateSeal
from service.pages.static_files import StaticFiles, compressed
from service.pages.submission import PageRefused, check_origin, controls_in, opened
from service.pages.templates import render
from service.questionnaire import not_shown
from service.reloading import Edition
from service.results import EarlierResponse
from service.sandbox import in_child
from service.web import descriptions as does
from service.web.access import Access, Operator
from service.web.deployment import Deployment
from service.web.reply import NO_STORE, Reply
from service.web.request import Request
from service.web.routing import Route

PATH: Final = "/questionnaires/<id:slug>/preview"

_ABSENT: Final = Problem("route-unknown", "Nothing is served under this path.")


Parts = Mapping[str, list[Any]]
"""The parts of a parameter: by name, the values or the parts of each."""


class Chosen(msgspec.Struct, frozen=True):
    """A worked case as it can be chosen."""

    name: str
    about: str
    is_chosen: bool


class Link(msgspec.Struct, frozen=True):
    """A question: the id of its field in the page, its text, and its answers in words."""

    field: str
    text: str
    said: str


class PreviewPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the template writes.

    Args:
        edition: what is another text once the files have changed.
        faults: what is wrong with the files as they are now; the page shows those that were served before.
        cases: the worked cases. case: the one that is chosen. chart: what its chart holds, in words.
        groups: heading and fields of each page of the form.
        problems: why the answers have no result.
        result: the result page without its frame; empty if there is none.
        why: what `$explain` says of it: by name of the parameter, the parts of each.
        links: the question of each linkId.
    """

    frame: Frame
    edition: str
    faults: tuple[str, ...]
    status: str
    cases: tuple[Chosen, ...]
    case: Case | None
    chart: tuple[str, ...]
    groups: tuple[tuple[str, tuple[Field, ...]], ...]
    problems: tuple[Shown, ...]
    result: Markup
    why: Mapping[str, list[Parts]]
    links: Mapping[str, Link]


class _Previewed:
    """One mapping with its form, whether it is in use or not."""

    def __init__(
        self, pair: Pair, served: Catalogue, seal: StateSeal, deployment: Deployment, how: FormSettings
    ) -> None:
        alone = with_draft(served, pair)
        assessor = Assessor(alone, deployment.body, deployment.sandbox, language=how.language)
        self.pair = pair
        self.form = Form(pair, how)
        self.path = f"{self.form.path}/preview"
        self.answers = AnswersOfForms(assessor, seal, deployment, how)
        self.cases = {case.name: case for case in pair.guidance.cases}

    def of_case(self, case: Case, language: str) -> FormState:
        """Returns the state in which a worked case has been answered."""
        known = self.form.plan.compiled.items
        return self._state({link: given for link, given in case.answers.items() if link in known}, language)

    def read(self, posted: Posted, language: str, case: Case | None) -> tuple[FormState, Mapping[str, str]]:
        """Returns the state of a page, and its faults by linkId.

        What no control shows is as the worked case has it.
        """
        links = self.form.plan.page_of.keys()
        reading = self.form.spoken[language].fields.read(links, posted)
        unseen = {} if case is None else self.of_case(case, language).answers
        kept = {link: given for link, given in unseen.items() if link not in links}
        return self._state({**kept, **reading.answers}, language), reading.errors

    def _state(self, answers: AnswersByLink, language: str) -> FormState:
        plan = self.form.plan
        state = replace(self.form.fresh(language, ""), answers=in_order(answers, plan.compiled))
        return fitting(replace(state, seen=frozenset(plan.page_of)), plan.compiled)

    def scored(self, visit: Visit, case: Case | None) -> Scored:
        """Scores the answers, with the chart and the earlier answers of the worked case.

        Raises:
            NotScorable, Unavailable: as the Assessor does.
        """
        scored = self.answers.scored(self.answers.response(visit), visit.state.language)
        if case is None:
            return scored
        told = answers_of_case(case, self.pair.guidance, self.form.plan.compiled)
        answers = replace(scored.answers, chart=told.chart, earlier=told.earlier)
        days = (
            context_from_resource({"status": COMPLETED, "authored": authored}) for authored, _ in case.earlier
        )
        return replace(scored, answers=answers, earlier=tuple(map(EarlierResponse, days, told.earlier)))


class _Asked(msgspec.Struct, frozen=True):
    """What to show: a visit, the worked case that it began with, and the texts that were typed."""

    visit: Visit
    case: Case | None = None
    posted: Posted | None = None
    errors: Mapping[str, str] = msgspec.field(default_factory=dict)


class Previews:
    """The views of the preview pages.

    Args:
        served: what is served; each mapping in it has a preview.
        seal: signs the answers that the result page takes along.
        statics: the files that pages load.
        deployment: its server and limits.
        edition: what is known of the files.
        settings: how the forms behave.
    """

    def __init__(
        self,
        served: Catalogue,
        seal: StateSeal,
        statics: StaticFiles,
        deployment: Deployment,
        edition: Edition,
        settings: FormSettings,
    ) -> None:
        pairs = (*served.pairs.values(), *served.superseded)
        self._previewed = {
            pair.slug: _Previewed(pair, served, seal, deployment, settings)
            for pair in pairs
            if not not_shown(pair.compiled.items)
        }
        self._seal = seal
        self._edition = edition
        self._deployment = deployment
        self._settings = settings
        self._author = Operator("")
        self._below = urlsplit(deployment.server).path
        self._assets = {name: self._below + url for name, url in statics.urls.items()}
        self._headers = page_headers()

    @property
    def paths(self) -> tuple[str, ...]:
        """The path of each preview."""
        return tuple(one.path for one in self._previewed.values())

    def show(self, request: Request) -> Reply:
        """Returns the preview with nothing answered, or with a worked case; nothing if it is known.

        Raises:
            NotFound: there is no such mapping, or somebody else asks than a program of this machine.
        """
        of = self._of(request)
        if request.option("known") == self._edition.files:
            return Reply(204, b"", (NO_STORE,))
        language = self._settings.language_of(request, of.form.spoken)
        case = of.cases.get(request.option("case") or "")
        return compressed(self._page(of, self._begun(of, case, language)), request)

    def answer(self, request: Request) -> Reply:
        """Returns the preview with the answers that were given on it.

        Raises:
            NotFound: as `show` does. TooLarge, Malformed, Unsupported: as Request.body does.
        """
        of = self._of(request)
        language = self._settings.language_of(request, of.form.spoken)
        try:
            check_origin(request, self._deployment.server)
            posted, _ = controls_in(request, self._deployment.body.body_bytes)
            asked = self._asked(of, posted, language)
        except PageRefused:
            asked = self._begun(of, None, language)
        return compressed(self._page(of, asked), request)

    def _of(self, request: Request) -> _Previewed:
        of = self._previewed.get(request.args["slug"])
        if of is None or not self._author.sends(request.environ):
            raise NotFound(_ABSENT)
        return of

    def _begun(self, of: _Previewed, case: Case | None, language: str) -> _Asked:
        if case is None:
            return _Asked(Visit(of.form, of.form.fresh(language, "")))
        return _Asked(Visit(of.form, replace(of.of_case(case, language), authored=case.authored)), case)

    def _asked(self, of: _Previewed, posted: Posted, language: str) -> _Asked:
        """Returns the answers to show: those of the page, those behind its result, or another worked case."""
        action, _, wanted = posted.one("action").partition(":")
        asked_for = (wanted if action == "language" else "", posted.one("language"))
        language = next((tag for tag in asked_for if tag in of.form.spoken), language)
        case = of.cases.get(posted.one("case"))
        if action == "case":
            return self._begun(of, case, language)
        if posted.has("state"):
            if action == "restart":
                return self._begun(of, None, language)
            return _Asked(Visit(of.form, opened(posted, self._seal, of.form.writer)))
        state, errors = of.read(posted, language, case)
        if case is not None:
            state = replace(state, authored=case.authored)
        return _Asked(Visit(of.form, state), case, posted, errors)

    def _page(self, of: _Previewed, asked: _Asked) -> Reply:
        visit = of.answers.calculated(asked.visit)
        fields, walk = visit.spoken.fields, visit.walk()
        lacking = fields.missing(walk.enabled.intersection(of.form.plan.page_of), visit.state.answers)
        visit = visit.with_state(replace(visit.state, status=IN_PROGRESS if lacking else COMPLETED))
        problems, result, why = self._made(of, replace(asked, visit=visit))
        model = PreviewPage(
            frame=self._frame(of, visit),
            edition=self._edition.files,
            faults=self._edition.faults,
            status=of.pair.guidance.written.identity.status,
            cases=tuple(Chosen(case.name, case.about, case is asked.case) for case in of.pair.guidance.cases),
            case=asked.case,
            chart=_chart_of(asked.case, fields),
            groups=tuple(
                (fields.heading(page), fields.shown(page, walk, asked.posted, asked.errors))
                for page in of.form.plan.pages
                if page in walk.pages
            ),
            problems=tuple(Shown(_field(fields, link), text) for link, text in problems.items()),
            result=result,
            why=why,
            links=dict(_links(visit)),
        )
        html = render("preview.html", visit.state.language, page=model)
        return Reply(200, html.encode(), self._headers)

    def _made(
        self, of: _Previewed, asked: _Asked
    ) -> tuple[Mapping[str, str], Markup, Mapping[str, list[Parts]]]:
        """Returns the faults by linkId, or the result page and what `$explain` says."""
        visit = asked.visit
        response = of.answers.response(visit)
        try:
            scored = of.scored(visit, asked.case)
        except NotScorable as fault:
            return {**asked.errors, **faults_of(response, fault)}, Markup(""), {}
        frame = replace(
            self._frame(of, visit), part=True, state=self._seal.sealed(visit.state, of.form.writer)
        )
        html = visit.spoken.result.html(
            scored,
            frame,
            answers=(),
            pages={link: link for link in of.form.plan.page_of},  # all of them stand on this one
            is_clinician=is_by_clinician(response),
        )
        return asked.errors, _inside_main(html), self._why(scored)

    def _why(self, scored: Scored) -> Mapping[str, list[Parts]]:
        """Returns what `$explain` says; it is worked out in a child, as there."""
        expected = "Expected a response that takes at most {allowed} to explain."
        said = in_child(
            self._deployment.sandbox, lambda: scored.explanation().decode(), str, expected=expected
        )
        return parts_of(orjson.loads(said)["parameter"])

    def _frame(self, of: _Previewed, visit: Visit) -> Frame:
        return Frame(
            visit.spoken.title,
            visit.state.language,
            self._below + of.path,
            "",
            languages=visit.other_languages,
            assets=self._assets,
            emergency=self._settings.numbers.emergency,
        )


def preview_routes(previews: Previews) -> tuple[Route, ...]:
    """Returns the routes of the preview pages."""
    return (
        Route("GET", PATH, previews.show, Access.OPERATOR, does.PREVIEW),
        Route("POST", PATH, previews.answer, Access.OPERATOR, does.PREVIEW_ANSWERED),
    )


def parts_of(parameters: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Returns parameters by name: of each its value, or its parts by name; nothing under any other name."""
    found: dict[str, list[Any]] = defaultdict(list)
    for parameter in parameters:
        (value,) = (value for name, value in parameter.items() if name != "name")
        found[parameter["name"]].append(parts_of(value) if "part" in parameter else value)
    return found


def _links(visit: Visit) -> Iterator[tuple[str, Link]]:
    """Yields every question by its linkId."""
    fields, answers = visit.spoken.fields, visit.state.answers
    for link, control in fields.controls.items():
        said = ", ".join(fields.said(link, answers.get(link, ())))
        yield link, Link(control.shown.id, fields.label(link), said)


def _field(fields: Fields, link: str) -> str:
    return fields.controls[link].shown.id if link in fields.controls else ""


def _chart_of(case: Case | None, fields: Fields) -> tuple[str, ...]:
    """Returns the chart of a worked case in words."""
    told = {} if case is None else case.chart
    return tuple(
        f"{fields.label(link)}: {', '.join(fields.said(link, given))}"
        for link, given in told.items()
        if link in fields.controls
    )


def _inside_main(html: str) -> Markup:
    """Returns the inside of the main element of a page that our templates have written."""
    inside = html.partition("<main")[2].partition(">")[2].rpartition("</main>")[0]
    return Markup(inside)  # noqa: S704 - it is escaped where it was written
