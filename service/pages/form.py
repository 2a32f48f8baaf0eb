"""The form of a Questionnaire, page by page: what a browser sends becomes the next page.

One address per form. A page is posted, and the answer is the next page; nothing is kept here meanwhile:
what was answered travels with the page, signed. At a safety step the form stops (see plan.py). No answer
stands in a URL, a log or an error.

Source:
    docs/decisions/0008-answers-travel-with-the-page.md; HTML, form submission; Fetch metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from io import BytesIO
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from service.assess import Assessor, Scored
from service.catalogue import Catalogue, Pair
from service.errors import Malformed, NotScorable, Problem, ServiceError
from service.fhir.extensions import text
from service.fhir.json import Json, read
from service.fhir.structure import check_response
from service.languages import ENGLISH, chosen, words_in
from service.pages.fields import Fields, Posted
from service.pages.model import CheckPage, Frame, MessagePage, QuestionPage, Row
from service.pages.model import Problem as Shown
from service.pages.plan import Page, Plan, Walk, fitting, not_shown
from service.pages.response import Responses, encoded, instant, link_at, resumed
from service.pages.result import ResultPage
from service.pages.state import (
    AMENDED,
    COMPLETED,
    IN_PROGRESS,
    FormState,
    StateRefused,
    StateSeal,
    StateWriter,
)
from service.pages.static_files import StaticFiles, compressed
from service.pages.templates import render
from service.questionnaire import translated
from service.results import BUNDLE, Numbers
from service.web import descriptions as does
from service.web.access import Access
from service.web.deployment import Deployment
from service.web.front_page import page_not_found
from service.web.negotiation import FHIR_JSON, HTML, preferred_languages
from service.web.problems import STATUS
from service.web.reply import NO_STORE, Header, Reply
from service.web.request import FORM, MULTIPART, Request
from service.web.routing import Route

CHECK, RESULT = "check", "result"
"""Names of the pages that ask nothing."""

_MOST_PARTS: Final = 2000
_REFUSALS: Final[Mapping[str, str]] = {"bad": "refused", "old": "old", "other": "other-version"}


@dataclass(frozen=True, slots=True)
class FormSettings:
    """How the forms of one deployment behave.

    Args:
        now: tells the time.
        numbers: telephone numbers that people are told.
        framing_origins: origins of pages that may show a form in a frame.
        language: of a page where neither the address nor the browser asks for one that there is.
    """

    now: Callable[[], datetime]
    numbers: Numbers
    framing_origins: frozenset[str] = frozenset()
    language: str = ENGLISH


class Spoken:
    """A form in one language."""

    def __init__(self, pair: Pair, numbers: Numbers) -> None:
        self.language = pair.guidance.language
        self.fields = Fields(pair.compiled, self.language, pair.guidance.date_questions)
        self.responses = Responses(pair.compiled, self.fields, self.language)
        self.result = ResultPage(pair, numbers)
        self.words = words_in(self.language)
        resource = pair.compiled.resource
        self.title = translated(resource, "title", self.language) or text(resource.get("title")) or pair.slug


class Form:
    """One form: its pages, and itself in each language."""

    def __init__(self, pair: Pair, numbers: Numbers) -> None:
        self.slug = pair.slug
        self.path = f"/questionnaires/{pair.slug}"
        self.plan = Plan(pair.compiled)
        self.writer = StateWriter(pair.compiled)
        told = {pair.guidance.language: pair, **pair.further}
        self.spoken: Mapping[str, Spoken] = {tag: Spoken(one, numbers) for tag, one in told.items()}
        self.title = next(iter(self.spoken.values())).title


def forms_of(catalogue: Catalogue, numbers: Numbers) -> tuple[Form, ...]:
    """Returns the forms of what is served: of each mapping that is active and can be shown."""
    newest = [catalogue.pairs[canonical] for canonical in catalogue.unversioned.values()]
    return tuple(Form(pair, numbers) for pair in newest if not not_shown(pair.compiled))


@dataclass(frozen=True, slots=True)
class Submission:
    """One page as it came back.

    Args:
        page: the page of questions that was sent; None where it was none of these.
    """

    form: Form
    spoken: Spoken
    state: FormState
    posted: Posted
    page: Page | None
    file: bytes = b""

    @property
    def walk(self) -> Walk:
        """Where the person stands, as far as that depends on enableWhen alone."""
        return Walk(self.form.plan, self.state)


class Refused(Exception):
    """A request that is answered by a page which says why not."""

    def __init__(self, name: str, status: int, faults: Iterable[str] = ()) -> None:
        super().__init__(name)
        self.name = name
        self.status = status
        self.faults = tuple(faults)


class FormViews:
    """The views of all forms.

    Args:
        forms: those that are served.
        assessor: scores what was answered.
        seal: signs what travels with the pages.
        statics: the files that pages load.
        deployment: its server and limits.
        settings: how the forms behave.
    """

    def __init__(
        self,
        forms: Iterable[Form],
        assessor: Assessor,
        seal: StateSeal,
        statics: StaticFiles,
        deployment: Deployment,
        settings: FormSettings,
    ) -> None:
        self._forms = {form.slug: form for form in forms}
        self._assessor = assessor
        self._seal = seal
        self._assets = statics.urls
        self._deployment = deployment
        self._settings = settings
        self._headers = page_headers(settings.framing_origins)
        self._actions: Mapping[str, Callable[[Submission], Reply]] = {
            "next": self._next,
            "back": self._back,
            "send": self._send,
            "show": self._show,
            "restart": lambda sent: self._first(sent.form, _fresh(sent.state.language, sent.state.parent)),
            "save": self._save,
            "resume": self._resume,
            "export": self._export,
            "response.json": self._response_file,
            "risk.json": self._risk_file,
        }

    # The two views.

    def begin(self, request: Request) -> Reply:
        """Returns the first page of a form."""
        form = self._forms.get(request.args["slug"])
        if form is None:
            return page_not_found()
        language = self._language(form, request)
        parent = request.option("parent") or request.option("messaging_origin") or ""
        if parent and parent not in self._settings.framing_origins:
            reply = self._refused(form, language, Refused("embedding", 403))
        else:
            reply = self._first(form, _fresh(language, parent))
        return compressed(reply, request)

    def answer(self, request: Request) -> Reply:
        """Returns the page that follows on what was sent."""
        form = self._forms.get(request.args["slug"])
        if form is None:
            return page_not_found()
        language = self._language(form, request)
        try:
            self._check_origin(request)
            sent = self._sent(form, request)
            language = sent.state.language
            reply = self._action(sent)(sent)
        except Refused as refusal:
            reply = self._refused(form, language, refusal)
        except ServiceError as error:
            status = STATUS[type(error)]
            name = "too-large" if status == 413 else "refused"
            reply = self._refused(form, language, Refused(name, status))
        return compressed(reply, request)

    # Reading a request.

    def _language(self, form: Form, request: Request) -> str:
        wanted = [*filter(None, [request.option("language")])]
        wanted += preferred_languages(request.header("ACCEPT_LANGUAGE") or "")
        otherwise = self._settings.language
        return chosen(wanted, form.spoken, otherwise if otherwise in form.spoken else ENGLISH)

    def _check_origin(self, request: Request) -> None:
        """Raises Refused where a page of another origin sends the form.

        Source:
            Fetch metadata, Sec-Fetch-Site. A page whose policy is no-referrer names its origin null.
        """
        site, origin = request.header("SEC_FETCH_SITE"), request.header("ORIGIN")
        if site is not None and site not in ("same-origin", "none"):
            raise Refused("refused", 403)
        if origin in (None, "null", self._deployment.server):
            return
        if urlsplit(origin or "").netloc != request.header("HOST"):
            raise Refused("refused", 403)

    def _sent(self, form: Form, request: Request) -> Submission:
        values, files = self._controls(request)
        posted = Posted(values)
        try:
            state = self._seal.opened(posted.one("state"), form.writer)
        except StateRefused as fault:
            raise Refused(_REFUSALS[fault.reason], 400) from fault
        if state.language not in form.spoken:
            state = replace(state, language=next(iter(form.spoken)))
        page = form.plan.by_name.get(posted.one("page"))
        return Submission(form, form.spoken[state.language], state, posted, page, files.get("file", b""))

    def _controls(self, request: Request) -> tuple[dict[str, list[str]], dict[str, bytes]]:
        """Returns the values and files of a posted form by name; raises Refused, TooLarge, Malformed."""
        media_type, options = parse_options_header(request.environ.get("CONTENT_TYPE", ""))
        if media_type not in (FORM, MULTIPART):
            raise Refused("refused", 415)
        limit = self._deployment.body.body_bytes
        body = request.body(limit)
        parser = FormDataParser(
            max_form_memory_size=limit, max_content_length=limit, max_form_parts=_MOST_PARTS, silent=False
        )
        try:
            _, values, files = parser.parse(BytesIO(body), media_type, len(body), options)
        except (HTTPException, ValueError) as fault:
            raise Refused("refused", 400) from fault
        return dict(values.lists()), {name: file.read() for name, file in files.items()}

    def _action(self, sent: Submission) -> Callable[[Submission], Reply]:
        name, _, page = sent.posted.one("action").partition(":")
        if name == "change" and page in sent.form.plan.by_name:
            return lambda sent: self._change(sent, sent.form.plan.by_name[page])
        if name == "language" and page in sent.form.spoken:
            return lambda sent: self._speak(sent, page)
        return self._actions.get(name or "next", self._show)

    # The actions.

    def _next(self, sent: Submission) -> Reply:
        if sent.page is None:
            return self._show(sent)
        leading = self._leading(sent.form, sent.spoken, sent.state)
        before = Walk(sent.form.plan, sent.state, leading)
        state, errors = self._with_page(sent, sent.page, before)
        leading = self._leading(sent.form, sent.spoken, state)
        walk = Walk(sent.form.plan, state, leading)
        if walk.is_at_end:
            return self._finish(sent.form, state, IN_PROGRESS)
        if errors:
            return self._question(sent.form, walk, sent.page, sent.posted, errors)
        following = walk.following(sent.page)
        return (
            self._check(sent.form, state) if following is None else self._question(sent.form, walk, following)
        )

    def _with_page(self, sent: Submission, page: Page, before: Walk) -> tuple[FormState, dict[str, str]]:
        """Returns the state with what was sent for a page, and what is wrong with that, by linkId."""
        fields, shown = sent.spoken.fields, before.shown(page)
        state, unread = _with_answers(sent, shown)
        enabled, _ = sent.form.plan.compiled.enabled(state.answers)
        asked = (shown if sent.posted.has("live") else before.asked(page)) & enabled
        errors = {link: unread[link] for link in sorted(unread) if link in enabled}
        errors = fields.missing(asked - errors.keys(), state.answers) | errors
        seen = state.seen | (asked - errors.keys())
        return replace(state, seen=seen), errors

    def _back(self, sent: Submission) -> Reply:
        plan = sent.form.plan
        if sent.page is None:
            walk = sent.walk
            return self._question(sent.form, walk, walk.pages[-1]) if walk.pages else self._show(sent)
        state, _ = _with_answers(sent, self._standing(sent).shown(sent.page))
        walk = Walk(plan, state, self._leading(sent.form, sent.spoken, state))
        return self._question(sent.form, walk, walk.before(sent.page) or sent.page)

    def _show(self, sent: Submission) -> Reply:
        """Shows a page of the state again; nothing of it is read."""
        name = sent.posted.one("page")
        if sent.state.authored:
            return self._finish(sent.form, sent.state, sent.state.status)
        walk = self._standing(sent)
        if walk.is_at_end:
            return self._finish(sent.form, sent.state, IN_PROGRESS)
        if name == CHECK and walk.following(None) is None:
            return self._check(sent.form, sent.state)
        page = sent.page if sent.page in walk.pages else walk.following(None)
        return self._check(sent.form, sent.state) if page is None else self._question(sent.form, walk, page)

    def _change(self, sent: Submission, page: Page) -> Reply:
        state = replace(sent.state, authored="", reviewing=True, head=_amended(sent.state))
        return self._question(sent.form, Walk(sent.form.plan, state), page)

    def _speak(self, sent: Submission, language: str) -> Reply:
        state = replace(sent.state, language=language)
        return self._show(replace(sent, state=state, spoken=sent.form.spoken[language]))

    def _send(self, sent: Submission) -> Reply:
        form, state = sent.form, sent.state
        walk = Walk(form.plan, state)
        missing = sent.spoken.fields.missing(walk.enabled.intersection(form.plan.page_of), state.answers)
        if missing:
            page = form.plan.by_name[form.plan.page_of[next(iter(missing))]]
            here = {link: text for link, text in missing.items() if link in page.questions}
            return self._question(form, walk, page, errors=here)
        return self._finish(form, state, AMENDED if state.head.get("done") else COMPLETED)

    def _finish(self, form: Form, state: FormState, status: str) -> Reply:
        """Returns the result page."""
        done = replace(state, status=status, authored=state.authored or instant(self._settings.now()))
        spoken = form.spoken[state.language]
        response = spoken.responses.of(done, status, done.authored)
        try:
            scored = self._scored(response, state.language)
        except NotScorable as fault:
            return self._unfit(form, state, response, fault)
        html = spoken.result.html(scored, response, self._frame(form, done), pages=form.plan.page_of)
        return self._page(html)

    def _unfit(self, form: Form, state: FormState, response: Json, fault: NotScorable) -> Reply:
        """Shows on the check page what does not fit together, each with its page."""
        fields = form.spoken[state.language].fields
        links = {problem: link_at(response, problem.expression) for problem in fault.problems}
        shown = tuple(
            Shown(fields.controls[link].shown.id if link else "", problem.text)
            for problem, link in links.items()
            if problem.severity in ("error", "fatal")
        )
        return self._check(form, state, shown)

    # Files.

    def _save(self, sent: Submission) -> Reply:
        state = sent.state
        if sent.page is not None:
            state, _ = _with_answers(sent, self._standing(sent).shown(sent.page))
        return self._file(f"{sent.form.slug}.json", encoded(self._response(replace(sent, state=state))))

    def _response_file(self, sent: Submission) -> Reply:
        return self._file(f"{sent.form.slug}-response.json", encoded(self._response(sent)))

    def _risk_file(self, sent: Submission) -> Reply:
        scored = self._scored(self._response(sent), sent.state.language)
        return self._file(f"{sent.form.slug}-risk.json", scored.document())

    def _export(self, sent: Submission) -> Reply:
        """Returns a Bundle of the response and all that is made of it."""
        response = self._response(sent)
        scored = self._scored(response, sent.state.language)
        bundle = orjson.loads(scored.document(BUNDLE))
        own = {"fullUrl": f"urn:uuid:{sent.state.form}", "resource": orjson.Fragment(encoded(response))}
        body = orjson.dumps({**bundle, "entry": [own, *bundle["entry"]]})
        return Reply(200, body, (("Content-Type", FHIR_JSON), NO_STORE))

    def _resume(self, sent: Submission) -> Reply:
        """Goes on with a response that was saved."""
        data = sent.file or sent.posted.one("response").encode()
        fresh = _fresh(sent.state.language, sent.state.parent)
        try:
            response = self._read(data, sent.form)
            state, left_out = resumed(response, sent.form.plan, fresh)
        except ServiceError as fault:
            raise Refused("file", 400, [problem.text for problem in fault.problems]) from fault
        problems = tuple(Shown("", problem.text) for problem in left_out)
        walk = Walk(sent.form.plan, state, self._leading(sent.form, sent.spoken, state))
        if walk.is_at_end:
            return self._finish(sent.form, state, IN_PROGRESS)
        page = walk.following(None)
        if page is None:
            return self._check(sent.form, replace(state, reviewing=True), problems)
        return self._question(sent.form, walk, page, problems=problems)

    def _read(self, data: bytes, form: Form) -> Json:
        """Returns a QuestionnaireResponse to a form; raises Malformed, NotScorable."""
        response = read(data, self._deployment.body)
        if response.get("resourceType") != "QuestionnaireResponse":
            raise Malformed(Problem("resource-type", "resourceType: expected QuestionnaireResponse."))
        faults = [found for found in check_response(response) if found.severity in ("error", "fatal")]
        if faults:
            raise Malformed(*faults)
        canonical = form.plan.compiled.canonical
        if response.get("questionnaire") != canonical:
            raise NotScorable(Problem("canonical-mismatch", f"Expected: questionnaire = {canonical}."))
        return response

    # Scoring.

    def _response(self, sent: Submission) -> Json:
        state = sent.state
        authored = state.authored or instant(self._settings.now())
        return sent.spoken.responses.of(state, state.status, authored)

    def _scored(self, response: Json, language: str) -> Scored:
        data = encoded(response)
        return self._assessor.accepted(data, (language,)) or self._assessor.scored(data, (language,))

    def _leading(self, form: Form, spoken: Spoken, state: FormState) -> frozenset[str] | None:
        """Returns at a safety step the questions that could still lead to a higher one, else None."""
        if not state.answers:
            return None
        response = spoken.responses.of(state, IN_PROGRESS, instant(self._settings.now()))
        try:
            result = self._scored(response, state.language).assessment().result
        except NotScorable:
            return None
        if not result.tiers[result.tier.at_least].overlay:
            return None
        return frozenset(question.link_id for question in result.open)

    def _standing(self, sent: Submission) -> Walk:
        return Walk(sent.form.plan, sent.state, self._leading(sent.form, sent.spoken, sent.state))

    # Pages.

    def _first(self, form: Form, state: FormState) -> Reply:
        walk = Walk(form.plan, state)
        page = walk.following(None)
        return self._check(form, state) if page is None else self._question(form, walk, page)

    def _question(
        self,
        form: Form,
        walk: Walk,
        page: Page,
        posted: Posted | None = None,
        errors: Mapping[str, str] | None = None,
        *,
        problems: tuple[Shown, ...] = (),
    ) -> Reply:
        state, fields = walk.state, form.spoken[walk.state.language].fields
        shown = fields.shown(page, walk, posted, errors)
        wrong = tuple(Shown(fields.controls[link].shown.id, text) for link, text in (errors or {}).items())
        number, last = walk.place(page)
        model = QuestionPage(
            frame=self._frame(form, state),
            name=page.name,
            heading=fields.label(page.heading) if page.heading else "",
            fields=shown,
            number=number,
            last=last,
            problems=(*problems, *wrong),
            has_back=walk.before(page) is not None,
            intro=walk.before(page) is None,
            to_check=state.reviewing,
        )
        return self._page(render("question.html", state.language, page=model), 422 if wrong else 200)

    def _check(self, form: Form, state: FormState, problems: tuple[Shown, ...] = ()) -> Reply:
        state = replace(state, reviewing=True, authored="")
        walk, fields = Walk(form.plan, state), form.spoken[state.language].fields
        groups = tuple((self._heading(page, fields), self._rows(page, walk, fields)) for page in walk.pages)
        model = CheckPage(self._frame(form, state), groups, problems)
        return self._page(render("check.html", state.language, page=model), 422 if problems else 200)

    def _heading(self, page: Page, fields: Fields) -> str:
        return fields.label(page.heading) if page.heading else ""

    def _rows(self, page: Page, walk: Walk, fields: Fields) -> tuple[Row, ...]:
        answers, sources = walk.state.answers, walk.state.sources
        return tuple(
            Row(
                question=fields.label(link),
                answers=fields.said(link, answers.get(link, ())),
                page=page.name,
                field=fields.controls[link].shown.id,
                source=sources.get(link, ""),
            )
            for link in page.questions
            if link in walk.enabled
        )

    def _frame(self, form: Form, state: FormState) -> Frame:
        spoken = form.spoken[state.language]
        others = tuple((tag, words_in(tag)["form.language"]) for tag in form.spoken if tag != state.language)
        return Frame(
            title=spoken.title,
            language=state.language,
            action=form.path,
            state=self._seal.sealed(state, form.writer),
            languages=others,
            assets=self._assets,
            parent=state.parent,
        )

    def _refused(self, form: Form, language: str, refusal: Refused) -> Reply:
        frame = Frame(form.spoken[language].title, language, form.path, "", assets=self._assets)
        model = MessagePage(frame, refusal.name, refusal.faults)
        return self._page(render("message.html", language, page=model), refusal.status)

    def _page(self, html: str, status: int = 200) -> Reply:
        return Reply(status, html.encode(), self._headers)

    def _file(self, name: str, body: bytes) -> Reply:
        attached = ("Content-Disposition", f'attachment; filename="{name}"')
        return Reply(200, body, (("Content-Type", FHIR_JSON), attached, NO_STORE))


def page_routes(
    forms: Sequence[Form], assessor: Assessor, seal: StateSeal, deployment: Deployment, settings: FormSettings
) -> tuple[Route, ...]:
    """Returns the routes of the forms and of the files that their pages load."""
    rule, path = Access.PUBLIC_FORM, "/questionnaires/<id:slug>"
    statics = StaticFiles()
    views = FormViews(forms, assessor, seal, statics, deployment, settings)
    return (
        Route("GET", path, views.begin, rule, does.FORM),
        Route("POST", path, views.answer, rule, does.FORM_PAGE),
        Route("GET", "/static/<id:name>", statics.read, rule, does.STATIC_FILE),
    )


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


def _fresh(language: str, parent: str) -> FormState:
    return FormState(form=str(uuid4()), language=language, parent=parent)


def _amended(state: FormState) -> Json:
    """Returns the head of a response that is changed after it was sent."""
    was_sent = state.status in (COMPLETED, AMENDED) and state.authored
    return {**state.head, "done": True} if was_sent else state.head


def _with_answers(sent: Submission, shown: frozenset[str]) -> tuple[FormState, Mapping[str, str]]:
    """Returns the state with what was sent for the questions of a page, and what cannot be taken of it."""
    items = sent.form.plan.compiled.items
    reading = sent.spoken.fields.read(shown, sent.posted)
    kept = {link: given for link, given in sent.state.answers.items() if link not in shown}
    answers = dict(sorted({**kept, **reading.answers}.items(), key=lambda pair: items[pair[0]].order))
    sources = {
        link: source
        for link, source in sent.state.sources.items()
        if answers.get(link) == sent.state.answers.get(link)
    }
    state = replace(sent.state, answers=answers, sources=sources, status=IN_PROGRESS, authored="")
    return fitting(state, sent.form.plan.compiled), reading.errors
