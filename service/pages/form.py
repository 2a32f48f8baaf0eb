"""The form of a Questionnaire, page by page: what a browser sends becomes the next page.

One address per form. A page is posted, and the answer is the next page; nothing is kept here meanwhile:
what was answered travels with the page, signed. At a safety step the form stops (see plan.py). No answer
stands in a URL, a log or an error.

Source:
    docs/decisions/0008-answers-travel-with-the-page.md; HTML, form submission.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import msgspec
import orjson

from service.assess import Assessor
from service.datatypes.answers import AnswersByLink
from service.datatypes.values import replace
from service.errors import NotScorable, ServiceError, Unavailable
from service.fhir.dates import date_time
from service.fhir.json import Json, encoded
from service.languages import languages
from service.pages.downloads import CALENDAR_FILE, RESPONSE_FILE, RISK_FILE, Download, download
from service.pages.fields import RESPONDENTS, Fields
from service.pages.forms import PART_HEADERS, Form, FormSettings, Visit, page_headers
from service.pages.model import CheckPage, Frame, MessagePage, QuestionPage, Row
from service.pages.model import Problem as Shown
from service.pages.plan import Page, Walk, fitting, in_order
from service.pages.reading import Posted
from service.pages.response import AS_OF, asked_anew, is_by_clinician
from service.pages.scoring import EARLIER, AnswersOfForms, faults_of
from service.pages.state import AMENDED, COMPLETED, IN_PROGRESS, FormState, StateSeal
from service.pages.static_files import StaticFiles, compressed
from service.pages.submission import PageRefused, check_origin, controls_in, opened, unfit
from service.pages.templates import render
from service.pages.why import is_explained
from service.results import BUNDLE
from service.web import descriptions as does
from service.web.access import Access
from service.web.capability import SOFTWARE
from service.web.deployment import Deployment
from service.web.negotiation import FHIR_JSON
from service.web.reply import NO_STORE, STATUS, Reply
from service.web.request import Request
from service.web.routing import Route

CHECK: Final = "check"
"""Name of the page on which answers are checked."""
WHO: Final = "?"
"""Name of the page, and of its question, for whom one answers, where the form does not ask it itself."""
WHY: Final = "why"
"""Name of the page that says why the result is as it is, and of the action that asks for it."""

SHORT: Final = "short"
FULL: Final = "full"
"""The lengths in which a form can be had: only what can still change the result, or all questions."""

_NAMES: Final[Mapping[int, str]] = {413: "too-large", 503: "failed"}
"""Messages for errors that are not about what was sent, by status."""


class Submission(msgspec.Struct, frozen=True):
    """One page as it came back.

    Args:
        visit: who sent it, with the state that the page had.
        page: the page of questions that was sent; None where it was none of these.
    """

    visit: Visit
    posted: Posted
    page: Page | None
    file: bytes = b""


class FormViews:
    """The views of all forms.

    Args:
        forms: those that are served. not_shown: slugs of those that these pages cannot show.
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
        not_shown: Collection[str] = (),
    ) -> None:
        self._forms = {form.slug: form for form in forms}
        self._not_shown = frozenset(not_shown)
        self._seal = seal
        self._answers = AnswersOfForms(assessor, seal, deployment, settings)
        self._below = urlsplit(deployment.server).path
        self._assets = {name: self._below + url for name, url in statics.urls.items()}
        self._deployment = deployment
        self._settings = settings
        self._headers = page_headers(settings.framing_origins)
        self._actions: Mapping[str, Callable[[Submission], Reply]] = {
            "next": self._next,
            "back": self._back,
            "send": self._send,
            "show": self._show,
            "restart": self._restart,
            "save": self._save,
            "resume": self._resume,
            "compare": self._compare,
            "export": self._export,
            "delete": self._delete,
            WHY: self._why,
            **dict.fromkeys((RESPONSE_FILE, RISK_FILE, CALENDAR_FILE), self._download),
        }

    # The two views.

    def begin(self, request: Request) -> Reply:
        """Returns the first page of a form."""
        form = self._forms.get(request.args["slug"])
        if form is None:
            return compressed(self._absent(request), request)
        language = self._settings.language_of(request, form.spoken)
        parent = request.option("parent") or request.option("messaging_origin") or ""
        if parent and parent not in self._settings.framing_origins:
            reply = self._refused(form, language, PageRefused("embedding", 403))
        else:
            length = request.option("length")
            is_short = length == SHORT or (length != FULL and self._settings.is_short)
            reply = self._first(Visit(form, form.fresh(language, parent, is_short=is_short)))
        return compressed(reply, request)

    def answer(self, request: Request) -> Reply:
        """Returns the page that follows on what was sent."""
        form = self._forms.get(request.args["slug"])
        if form is None:
            return compressed(self._absent(request), request)
        language = self._settings.language_of(request, form.spoken)
        try:
            check_origin(request, self._deployment.server)
            sent = self._sent(form, request)
            language = sent.visit.state.language
            reply = self._action(sent)(sent)
            if sent.visit.part and reply.headers is self._headers:
                reply = reply._replace(headers=PART_HEADERS)
        except PageRefused as refusal:
            reply = self._refused(form, language, refusal)
        except ServiceError as error:
            status = STATUS[type(error)]
            reply = self._refused(form, language, PageRefused(_NAMES.get(status, "refused"), status))
        return compressed(reply, request)

    def _sent(self, form: Form, request: Request) -> Submission:
        posted, files = controls_in(request, self._deployment.body.body_bytes)
        state = opened(posted, self._seal, form.writer)
        if state.language not in form.spoken:
            state = replace(state, language=next(iter(form.spoken)))
        state = asked_anew(state, self._settings.now())
        page = form.plan.by_name.get(posted.one("page"))
        return Submission(Visit(form, state, posted.has("part")), posted, page, files.get("file", b""))

    def _action(self, sent: Submission) -> Callable[[Submission], Reply]:
        name, _, of = sent.posted.one("action").partition(":")
        form = sent.visit.form
        if name == "change" and of in form.plan.by_name:
            return lambda sent: self._change(sent.visit, form.plan.by_name[of])
        if name == "change" and of == WHO and sent.visit.asks_who:
            return lambda sent: self._who(sent.visit)
        if name == "length" and of in (SHORT, FULL):
            return lambda sent: self._resize(sent, of)
        if name == "language" and of in form.spoken:
            return lambda sent: self._speak(sent, of)
        return self._actions.get(name or "next", self._show)

    # The actions.

    def _next(self, sent: Submission) -> Reply:
        if sent.posted.one("page") == WHO:
            return self._begin_for(sent)
        if sent.page is None:
            return self._show(sent)
        read, errors = self._with_page(sent, sent.page)
        visit = self._answers.calculated(sent.visit.with_state(read))
        standing = self._answers.standing(visit)
        visit = visit.with_state(replace(visit.state, is_stopping=standing.leading is not None))
        walk = visit.walk(standing.leading, standing.ahead)
        if walk.is_at_end:
            return self._finish(visit, IN_PROGRESS)
        errors |= {link: fault for link, fault in standing.faults.items() if link in sent.page.questions}
        if errors and visit.state.is_short:  # the same questions again, not what their answers make of them
            visit = visit.with_state(replace(visit.state, seen=sent.visit.state.seen))
            walk = self._answers.walk(visit)
        if errors:
            return self._question(visit, walk, sent.page, sent.posted, errors)
        following = walk.following(sent.page)
        return self._check(visit) if following is None else self._question(visit, walk, following)

    def _begin_for(self, sent: Submission) -> Reply:
        """Takes for whom one answers, and shows the first page of the form."""
        who = sent.posted.one(f"q.{WHO}")
        state = replace(sent.visit.state, respondent=who if who in RESPONDENTS else "")
        visit = sent.visit.with_state(state)
        walk = self._answers.walk(visit)
        is_first = not state.reviewing and not state.is_short
        page = next(iter(walk.pages), None) if is_first else walk.following(None)
        return self._check(visit) if page is None else self._question(visit, walk, page)

    def _with_page(self, sent: Submission, page: Page) -> tuple[FormState, dict[str, str]]:
        """Returns the state with what was sent for a page, and what is wrong with that, by linkId.

        What an answer of the page has opened only now was not seen without a script: it is asked next.
        """
        before = self._answers.walk(sent.visit)
        fields, shown = sent.visit.spoken.fields, before.shown(page)
        state, unread = _with_answers(sent, shown)
        enabled, _ = sent.visit.form.plan.compiled.enabled(state.answers)
        asked = (shown if sent.posted.has("live") else before.asked(page)) & enabled
        errors = {link: error for link, error in unread.items() if link in enabled}
        errors |= fields.missing(asked - errors.keys(), state.answers)
        listed = {link: errors[link] for link in sorted(errors, key=page.questions.index)}
        trail = dict.fromkeys((*state.trail, page.name)) if state.is_short else ()
        return replace(state, seen=state.seen | (asked - errors.keys()), trail=tuple(trail)), listed

    def _back(self, sent: Submission) -> Reply:
        visit = self._answers.scored_visit(self._as_typed(sent))
        walk = self._answers.walk(visit)
        if walk.is_at_end:
            return self._finish(visit, IN_PROGRESS)
        if sent.page is not None and walk.before(sent.page) is None and visit.asks_who:
            return self._who(visit)
        page = walk.last if sent.page is None else walk.before(sent.page) or sent.page
        return self._show(sent) if page is None else self._question(visit, walk, page)

    def _show(self, sent: Submission) -> Reply:
        """Shows a page of the state again; nothing of it is read."""
        visit = sent.visit
        if visit.state.authored:
            is_why = sent.posted.one("page") == WHY
            return self._why(sent) if is_why else self._finish(visit, visit.state.status)
        walk = self._answers.walk(visit)
        if walk.is_at_end:
            return self._finish(visit, IN_PROGRESS)
        if sent.posted.one("page") == WHO and visit.asks_who:
            return self._who(visit)
        following = walk.following(None)
        is_check = sent.posted.one("page") == CHECK and following is None
        page = sent.page if sent.page and walk.reaches(sent.page) and not is_check else following
        return self._check(visit) if page is None else self._question(visit, walk, page)

    def _change(self, visit: Visit, page: Page) -> Reply:
        state = replace(
            visit.state, authored="", status=IN_PROGRESS, reviewing=True, head=_amended(visit.state)
        )
        changed = visit.with_state(asked_anew(state, self._settings.now()))
        walk = self._answers.walk(changed) if state.is_short else changed.walk()
        if state.is_short and page not in walk.pages:  # a page that was not asked, and does not matter
            return self._check(changed)
        return self._question(changed, walk, page)

    def _speak(self, sent: Submission, language: str) -> Reply:
        """Shows a page in another language, as it was typed; a script puts that back by itself."""
        visit = sent.visit if sent.posted.has("live") else self._as_typed(sent)
        spoken = visit.with_state(replace(visit.state, language=language))
        return self._show(replace(sent, visit=spoken))

    def _resize(self, sent: Submission, length: str) -> Reply:
        """Goes on with the same answers in the other length."""
        visit = self._as_typed(sent)
        is_short = length == SHORT and visit.form.can_be_short
        trail = visit.form.plan.pages_with(visit.state.seen) if is_short else ()
        state = replace(visit.state, is_short=is_short, trail=trail, reviewing=False)
        return self._first(visit.with_state(state))

    def _restart(self, sent: Submission) -> Reply:
        old = sent.visit.state
        fresh = sent.visit.form.fresh(old.language, old.parent, is_short=old.is_short)
        return self._first(sent.visit.with_state(fresh))

    def _send(self, sent: Submission) -> Reply:
        visit, plan = sent.visit, sent.visit.form.plan
        walk = self._answers.walk(visit)
        if walk.is_at_end:
            return self._finish(visit, IN_PROGRESS)
        asked = walk.enabled.intersection(visit.state.seen if visit.state.is_short else plan.page_of)
        missing = visit.spoken.fields.missing(asked, visit.state.answers)
        if missing:
            page = plan.by_name[plan.page_of[next(iter(missing))]]
            here = {link: fault for link, fault in missing.items() if link in page.questions}
            return self._question(visit, walk, page, errors=here)
        due = walk.following(None)
        if due is not None:
            return self._question(visit, walk, due)
        agrees = sent.posted.one("consent") == "yes"
        return self._finish(visit, AMENDED if visit.state.head.get("done") else COMPLETED, agrees=agrees)

    def _finish(self, visit: Visit, status: str, *, agrees: bool = False) -> Reply:
        """Returns the result page.

        Args:
            agrees: the person has agreed just now that it is stored.
        """
        authored = visit.state.authored or date_time(self._settings.now())
        head = {name: value for name, value in visit.state.head.items() if name != AS_OF}
        done = visit.with_state(replace(visit.state, status=status, authored=authored, head=head))
        response = self._answers.told(done)
        try:
            scored = self._answers.scored_for(done, response)
        except NotScorable as fault:
            return self._check(visit, _faults_shown(faults_of(response, fault), visit.spoken.fields))
        answers, pages = _answered(done), done.form.plan.page_of
        kept = self._kept(done, response, agrees=agrees)
        if not kept and not visit.state.authored:
            self._answers.given(scored)
        html = done.spoken.result.html(
            scored,
            self._frame(done),
            answers=answers,
            pages=pages,
            kept=kept,
            is_clinician=is_by_clinician(response),
            unasked=_unasked(done),
        )
        return self._page(html)

    def _why(self, sent: Submission) -> Reply:
        """Returns the page that says why; the result itself where there is none."""
        visit = sent.visit
        if not visit.state.authored:
            return self._show(sent)
        response = self._answers.told(visit)
        scored = self._answers.scored_for(visit, response)
        if not is_explained(scored.assessment().result):
            return self._finish(visit, visit.state.status)
        write = partial(
            visit.spoken.why.html,
            frame=self._frame(visit),
            pages=visit.form.plan.page_of,
            is_clinician=is_by_clinician(response),
        )
        return self._page(self._answers.told_why(visit, write))

    def _kept(self, visit: Visit, response: Json, *, agrees: bool) -> str:
        """Returns the id of what is stored, empty where nothing is."""
        store, state = self._settings.store, visit.state
        if store is None or EARLIER in state.head:  # the store would score it by itself
            return ""
        return store.kept(state.form, response, (state.language,), agrees=agrees)

    def _delete(self, sent: Submission) -> Reply:
        """Deletes what is stored, and forgets the form; a second press finds nothing left."""
        if self._settings.store is None:
            return self._show(sent)
        self._settings.store.delete(sent.visit.state.form)
        return self._refused(sent.visit.form, sent.visit.state.language, PageRefused("deleted", 200))

    # Files.

    def _save(self, sent: Submission) -> Reply:
        visit = self._as_typed(sent)
        body = encoded(self._answers.saved(visit))
        return self._file(Download(f"{visit.form.slug}.json", FHIR_JSON, body))

    def _download(self, sent: Submission) -> Reply:
        response = self._answers.told(sent.visit)
        scored = self._answers.scored_for(sent.visit, response)
        file = download(sent.posted.one("action"), scored, encoded(response))
        return self._show(sent) if file is None else self._file(file)

    def _export(self, sent: Submission) -> Reply:
        """Returns a Bundle of the response and all that is made of it."""
        visit = self._as_typed(sent)
        response = self._answers.saved(visit)
        scored = self._answers.scored_for(visit, response)
        bundle = orjson.loads(scored.document(BUNDLE))
        own = {"fullUrl": f"urn:uuid:{visit.state.form}", "resource": orjson.Fragment(encoded(response))}
        body = orjson.dumps({**bundle, "entry": [own, *bundle["entry"]]})
        return Reply(200, body, (("Content-Type", FHIR_JSON), NO_STORE))

    def _resume(self, sent: Submission) -> Reply:
        """Goes on with a response that was saved, compared with earlier ones that come beside it."""
        data = sent.file or sent.posted.one("response").encode()
        earlier = sent.posted.one("earlier").encode()
        try:
            state = self._answers.taken(data, sent.visit)
            if earlier:
                state = self._answers.comparing(earlier, sent.visit.with_state(state))
        except Unavailable:
            raise
        except ServiceError as fault:
            return self._unread(sent, fault if data else None)
        visit = self._answers.scored_visit(sent.visit.with_state(state))
        walk = self._answers.walk(visit)
        if walk.is_at_end:
            return self._finish(visit, IN_PROGRESS)
        page = walk.following(None)
        return self._check(visit) if page is None else self._question(visit, walk, page)

    def _compare(self, sent: Submission) -> Reply:
        """Begins anew; the answers are compared with those of a file that was saved before."""
        old = sent.visit.state
        visit = sent.visit.with_state(sent.visit.form.fresh(old.language, old.parent))
        try:
            state = self._answers.comparing(sent.file, visit)
        except Unavailable:
            raise
        except ServiceError as fault:
            return self._unread(sent, fault if sent.file else None)
        return self._first(visit.with_state(state))

    def _unread(self, sent: Submission, fault: ServiceError | None) -> Reply:
        """Shows the page again from which no file was sent, or one that does not fit, untouched by it."""
        visit = self._as_typed(sent)
        words = visit.spoken.words
        problems = (Shown("file", words["form.resume.none"]),) if fault is None else unfit(fault, words)
        walk = self._answers.walk(visit)
        page = sent.page or walk.following(None)
        if sent.posted.one("page") == WHO and visit.asks_who:
            return self._who(visit, problems)
        if page is None:
            return self._check(visit, problems)
        return self._question(visit, walk, page, notes=problems, status=422)

    def _as_typed(self, sent: Submission) -> Visit:
        """Returns the person with what stands on the page that was sent, as far as it can be read."""
        if sent.page is None:
            return sent.visit
        shown = self._answers.walk(sent.visit).shown(sent.page)
        return self._answers.calculated(sent.visit.with_state(_with_answers(sent, shown)[0]))

    # Pages.

    def _first(self, opened: Visit) -> Reply:
        visit = self._answers.calculated(opened)
        if visit.asks_who:
            return self._who(visit)
        walk = self._answers.walk(visit)
        page = walk.following(None)
        return self._check(visit) if page is None else self._question(visit, walk, page)

    def _who(self, visit: Visit, problems: tuple[Shown, ...] = ()) -> Reply:
        """Returns the page before all others: for whom one answers, where the form does not ask it itself."""
        fields, walk = visit.spoken.fields, visit.walk()
        model = QuestionPage(
            frame=self._frame(visit),
            name=WHO,
            heading="",
            fields=(fields.respondent(WHO, visit.state.respondent),),
            number=1,
            last=1 + len(walk.pages),
            problems=problems,
            intro=True,
            compares=visit.form.compares,
            compared=_compared_with(visit),
            other_length=_other_length(visit),
        )
        return self._page(render("question.html", visit.state.language, page=model), 422 if problems else 200)

    def _question(
        self,
        visit: Visit,
        walk: Walk,
        page: Page,
        posted: Posted | None = None,
        errors: Mapping[str, str] | None = None,
        *,
        notes: tuple[Shown, ...] = (),
        status: int = 200,
    ) -> Reply:
        fields, errors = visit.spoken.fields, errors or {}
        number, last = walk.place(page)
        is_first = walk.before(page) is None
        own = int(visit.asks_who)
        model = QuestionPage(
            frame=self._frame(visit),
            name=page.name,
            heading=fields.heading(page),
            fields=fields.shown(page, walk, posted, errors),
            number=number + own,
            last=last + own,
            problems=(*notes, *_faults_shown(errors, fields)),
            has_back=not is_first or visit.asks_who,
            intro=is_first and not visit.asks_who,
            compares=visit.form.compares,
            compared=_compared_with(visit),
            as_of=_as_of(visit),
            to_check=visit.state.reviewing,
            left=0 if is_first else walk.left,
            other_length=_other_length(visit) if is_first else "",
        )
        html = render("question.html", visit.state.language, page=model)
        return self._page(html, 422 if errors else status)

    def _check(self, visit: Visit, problems: tuple[Shown, ...] = ()) -> Reply:
        checking = visit.with_state(replace(visit.state, reviewing=True, authored="", status=IN_PROGRESS))
        walk, fields = checking.walk(), visit.spoken.fields
        asked = tuple((fields.heading(page), _rows(page, walk, fields)) for page in walk.pages)
        groups = (*_for_whom(checking), *asked)
        consent, notice = self._consent(visit)
        model = CheckPage(
            self._frame(checking), groups, problems, consent, notice, _unasked(checking), _as_of(visit)
        )
        return self._page(render("check.html", visit.state.language, page=model), 422 if problems else 200)

    def _consent(self, visit: Visit) -> tuple[str, str]:
        """Returns the consent text and where more about it stands; who agreed before is not asked again."""
        store = self._settings.store
        is_compared = EARLIER in visit.state.head
        if store is None or is_compared or not store.asks_for_consent(visit.state.form, visit.state.head):
            return "", ""
        return visit.spoken.words["form.consent.text"], self._settings.privacy_notice_url

    def _frame(self, visit: Visit) -> Frame:
        form, state = visit.form, visit.state
        return Frame(
            title=visit.spoken.title,
            language=state.language,
            action=self._below + form.path,
            state=self._seal.sealed(state, form.writer),
            languages=visit.other_languages,
            assets=self._assets,
            parent=state.parent,
            part=visit.part,
            emergency=self._settings.numbers.emergency,
        )

    def _absent(self, request: Request) -> Reply:
        """Returns what people read where no form is served, or one that these pages cannot show."""
        language = self._settings.language_of(request, languages())
        name = "not-shown" if request.args["slug"] in self._not_shown else "not-found"
        model = MessagePage(self._empty(SOFTWARE, language), name)
        return self._page(render("message.html", language, page=model), 404)

    def _refused(self, form: Form, language: str, refusal: PageRefused) -> Reply:
        frame = self._empty(form.spoken[language].title, language, self._below + form.path)
        model = MessagePage(frame, refusal.name)
        return self._page(render("message.html", language, page=model), refusal.status)

    def _empty(self, title: str, language: str, action: str = "") -> Frame:
        """Returns what stands around a page that belongs to no answers."""
        numbers = self._settings.numbers
        return Frame(title, language, action, "", assets=self._assets, emergency=numbers.emergency)

    def _page(self, html: str, status: int = 200) -> Reply:
        return Reply(status, html.encode(), self._headers)

    def _file(self, file: Download) -> Reply:
        attached = ("Content-Disposition", f'attachment; filename="{file.name}"')
        return Reply(200, file.body, (("Content-Type", file.content_type), attached, NO_STORE))


def page_routes(
    forms: Sequence[Form],
    assessor: Assessor,
    seal: StateSeal,
    statics: StaticFiles,
    deployment: Deployment,
    settings: FormSettings,
    not_shown: Collection[str] = (),
) -> tuple[Route, ...]:
    """Returns the routes of the forms and of the files that their pages load."""
    rule, path = Access.PUBLIC_FORM, "/questionnaires/<id:slug>"
    views = FormViews(forms, assessor, seal, statics, deployment, settings, not_shown)
    return (
        Route("GET", path, views.begin, rule, does.FORM),
        Route("POST", path, views.answer, rule, does.FORM_PAGE),
        Route("GET", "/static/<id:name>", statics.read, Access.PUBLIC, does.STATIC_FILE),
        Route("GET", "/embed.js", statics.embed, Access.PUBLIC, does.EMBED),
    )


def _compared_with(visit: Visit) -> str:
    """Returns the days of the responses that the answers are compared with; empty where there are none."""
    days = (visit.spoken.fields.day(known["authored"]) for known in visit.state.head.get(EARLIER, ()))
    return ", ".join(dict.fromkeys(days))


def _as_of(visit: Visit) -> str:
    """Returns that answers of another day are asked for again; empty where there are none."""
    words, dated = visit.spoken.words, visit.state.head.get(AS_OF)
    if not dated:
        return "" if dated is None else words["form.resume.undated"]
    return words["form.resume.dated"].format(date=visit.spoken.fields.day(dated))


def _amended(state: FormState) -> Json:
    """Returns the head of a response that is changed after it was sent."""
    was_sent = state.status in (COMPLETED, AMENDED) and state.authored
    return {**state.head, "done": True} if was_sent else state.head


def _with_answers(sent: Submission, shown: frozenset[str]) -> tuple[FormState, Mapping[str, str]]:
    """Returns the state with what was sent for questions of a page, and what cannot be taken of it."""
    compiled, old = sent.visit.form.plan.compiled, sent.visit.state
    reading = sent.visit.spoken.fields.read(shown, sent.posted)
    kept = {link: given for link, given in old.answers.items() if link not in shown}
    answers = in_order({**kept, **reading.answers}, compiled)
    before = {**old.offered, **old.answers}
    sources = {
        link: said
        for link, said in old.sources.items()
        if answers.get(link) == before.get(link) or link not in shown
    }
    unread = {name: typed for name, typed in old.unread.items() if name[2:] not in shown}
    state = replace(
        old,
        answers=answers,
        seen=old.seen - reading.errors.keys(),
        unread={**unread, **sent.posted.of(reading.errors)},
        offered=_still_offered(sent, shown, answers),
        sources=sources,
        status=IN_PROGRESS,
        authored="",
    )
    return fitting(state, compiled), reading.errors


def _still_offered(sent: Submission, shown: frozenset[str], answers: AnswersByLink) -> AnswersByLink:
    """Returns what is offered, without what a script has shown and somebody has taken out."""
    offered = sent.visit.state.offered
    if not offered or not sent.posted.has("live"):
        return offered
    enabled, _ = sent.visit.form.plan.compiled.enabled(answers)
    return {link: given for link, given in offered.items() if link not in shown & enabled}


def _other_length(visit: Visit) -> str:
    """Returns the other length in which a form can be had; empty where it has one alone."""
    if not visit.form.can_be_short:
        return ""
    return FULL if visit.state.is_short else SHORT


def _unasked(visit: Visit) -> tuple[str, ...]:
    """Returns the questions that a short form has not asked, in words."""
    return tuple(map(visit.spoken.fields.label, visit.walk().unasked))


def _answered(visit: Visit) -> tuple[tuple[str, tuple[Row, ...]], ...]:
    """Returns the questions that have an answer, page by page."""
    walk, fields = visit.walk(), visit.spoken.fields
    rows = {page: [row for row in _rows(page, walk, fields) if row.answers] for page in walk.pages}
    found = tuple((fields.heading(page), tuple(said)) for page, said in rows.items() if said)
    return (*_for_whom(visit), *found) if visit.state.respondent else found


def _for_whom(visit: Visit) -> tuple[tuple[str, tuple[Row, ...]], ...]:
    """Returns for whom somebody answers, as the first part of the answers; nothing where the form asks it."""
    if not visit.asks_who:
        return ()
    who = visit.spoken.fields.respondent(WHO, visit.state.respondent)
    named = tuple(choice.label for choice in who.choices if choice.is_chosen)
    return (("", (Row(who.label, named, WHO, who.id),)),)


def _rows(page: Page, walk: Walk, fields: Fields) -> tuple[Row, ...]:
    """Returns the questions of a page with their answers in words."""
    answers, sources, asked = walk.state.answers, walk.state.sources, walk.asked(page)
    place = {link: item.order for link, item in walk.plan.compiled.items.items()}
    return tuple(
        Row(
            question=fields.label(link),
            answers=fields.said(link, answers.get(link, ())),
            page="" if link in page.told else page.name,
            field=fields.controls[link].shown.id,
            source=fields.origin(sources.get(link)),
        )
        for link in sorted((*page.questions, *page.told), key=place.__getitem__)
        if link in walk.enabled and (link in answers if link in page.told else link in asked)
    )


def _faults_shown(faults: Mapping[str, str], fields: Fields) -> tuple[Shown, ...]:
    """Returns faults by linkId as the lines of an error summary."""
    return tuple(
        Shown(fields.controls[link].shown.id if link else "", fault) for link, fault in faults.items()
    )
