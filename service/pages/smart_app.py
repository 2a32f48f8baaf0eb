"""The SMART app: the same forms inside an EHR, opened from a record or by somebody who signs in there.

This server does little of it. It refuses what no registered EHR has sent, before anything goes out, and gives
the page. Signing in, reading the chart and writing to it happen in the browser (static/app.js), so that the
token of the EHR never comes here.

Source:
    SMART App Launch 2.2, app-launch.html; group AP of the conformance checklist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import orjson

from service.auth.ehrs import APP_PATH, Ehr, connected_origins, frame_origins, registered
from service.languages import chosen, languages, words_in
from service.pages.forms import Form, FormSettings, page_headers
from service.pages.model import Frame, MessagePage
from service.pages.static_files import compressed
from service.pages.templates import render
from service.questionnaire.chart_answers import chart_queries
from service.web import descriptions as does
from service.web.access import Access
from service.web.deployment import Deployment
from service.web.negotiation import preferred_languages
from service.web.reply import Reply
from service.web.request import Request
from service.web.routing import Route, View

LAUNCH_PATH: Final = f"{APP_PATH}/launch"
"""Where EHRs open the app."""

POPULATE_PATH: Final = f"{APP_PATH}/populate"
"""Where the app has a form filled in with what the chart knows."""

_WORDS: Final = "app."
_DAY: Final = "%Y-%m-%d"


def app_routes(app: SmartApp, populate: View) -> tuple[Route, ...]:
    """Returns the routes of the app.

    Args:
        app: its pages.
        populate: the view of `$populate`. The app has it beside its pages, since it holds a token for the
            EHR and none for this service; what it sends is not kept.
    """
    return (
        Route("GET", LAUNCH_PATH, app.launch, Access.PUBLIC_FORM, does.APP_LAUNCH),
        Route("GET", APP_PATH, app.page, Access.PUBLIC_FORM, does.APP),
        Route("POST", f"{POPULATE_PATH}/<id:id>", populate, Access.PUBLIC_FORM, does.POPULATE),
    )


class SmartApp:
    """The views of the app.

    Args:
        ehrs: those that are registered.
        forms: all forms; each EHR names those that are offered in it.
        assets: urls of the files that pages load, by name.
        deployment: its base.
        settings: how the forms behave.
    """

    def __init__(
        self,
        ehrs: Sequence[Ehr],
        forms: Sequence[Form],
        assets: Mapping[str, str],
        deployment: Deployment,
        settings: FormSettings,
    ) -> None:
        self._ehrs = tuple(ehrs)
        self._forms = tuple(form for form in forms if any(form.slug in ehr.forms for ehr in ehrs))
        self._assets = assets
        self._server = urlsplit(deployment.server).path
        self._settings = settings
        self._headers = page_headers(frame_origins(ehrs), connected_origins(ehrs))

    def launch(self, request: Request) -> Reply:
        """Returns the page that goes to the sign-in of the EHR that opened it.

        An issuer that is not registered, letter by letter, is refused here, before anything is sent to it.
        """
        query = request.query()
        issuers, launches = ([value for key, value in query if key == name] for name in ("iss", "launch"))
        if not any(issuers) or len(launches) != 1 or not launches[0]:
            return self._refused(request, "no-launch")
        ehr = registered(self._ehrs, issuers[0]) if len(issuers) == 1 else None
        if ehr is None:
            return self._refused(request, "unknown-issuer")
        return self._page(request, {"launch": True, "ehrs": [_ehr(ehr)], "forms": []})

    def page(self, request: Request) -> Reply:
        """Returns the app itself: where people come back to from the sign-in, or choose where to sign in."""
        language = self._language(request)
        shown = {
            "launch": False,
            "ehrs": [_ehr(ehr) for ehr in self._ehrs],
            "forms": [self._form(form, language) for form in self._forms],
        }
        return self._page(request, shown)

    def _form(self, form: Form, language: str) -> Mapping[str, Any]:
        compiled = form.plan.compiled
        spoken = form.spoken.get(language) or next(iter(form.spoken.values()))
        today = self._settings.now().strftime(_DAY)
        return {
            "slug": form.slug,
            "title": spoken.title,
            "canonical": compiled.canonical,
            "address": f"{form.path}?{urlencode({'language': spoken.language})}",
            "populate": f"{self._server}{POPULATE_PATH}/{compiled.resource['id']}",
            "compared": [compiled.canonical, *form.versions] if form.compares else [],
            "queries": [found._asdict() for found in chart_queries(compiled, today, form.guidance)],
        }

    def _page(self, request: Request, shown: Mapping[str, Any]) -> Reply:
        language = self._language(request)
        texts = words_in(language).texts.items()
        words = {key.removeprefix(_WORDS): text for key, text in texts if key.startswith(_WORDS)}
        settings = orjson.dumps({**shown, "language": language, "words": words}).decode()
        return self._written(request, language, 200, settings=settings, refusal="")

    def _refused(self, request: Request, reason: str) -> Reply:
        return self._written(request, self._language(request), 400, settings="", refusal=reason)

    def _written(self, request: Request, language: str, status: int, **model: str) -> Reply:
        frame = Frame(words_in(language)["app.title"], language, APP_PATH, "", assets=self._assets)
        html = render("app.html", language, page=MessagePage(frame, "app"), **model)
        return compressed(Reply(status, html.encode(), self._headers), request)

    def _language(self, request: Request) -> str:
        wanted = [*filter(None, [request.option("language")])]
        wanted += preferred_languages(request.header("ACCEPT_LANGUAGE") or "")
        return chosen(wanted, languages(), self._settings.language)


def _ehr(ehr: Ehr) -> Mapping[str, Any]:
    """Returns the settings of an EHR for the browser; none of them is secret."""
    return {
        "issuer": ehr.issuer,
        "name": ehr.name,
        "client": ehr.client_id,
        "redirect": ehr.redirect_url,
        "scopes": ehr.scopes,
        "origins": ehr.origins,
        "forms": ehr.forms,
    }
