"""Composes the parts: settings in, Flask application out.

Read from the top: the two ways in (gunicorn, and an author's changed files), `create_app`, then each part
in the order in which it is built.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from service import catalogue
from service.apply import Applier
from service.assess import Assessor
from service.audit import Trail
from service.auth.ehrs import (
    Ehr,
    apps,
    asked_origins,
    controls_access,
    names_access,
    names_clients,
    read_ehrs,
    tenants,
)
from service.catalogue import Catalogue
from service.cds_hooks import Cards, Links, ShownCards, all_triggers, services_of
from service.checked import Kept
from service.datatypes.values import replace
from service.errors import SettingsError, StartupError
from service.extract import Extractor
from service.fhir.json import BodyLimits
from service.interview import Interviewer
from service.languages import known_language
from service.pages.form import page_routes
from service.pages.form_store import FormStore
from service.pages.forms import FormSettings, forms_of, slugs_not_shown
from service.pages.preview import Previews, preview_routes
from service.pages.smart_app import LAUNCH_PATH, SmartApp, app_routes
from service.pages.state import seal_from
from service.pages.static_files import StaticFiles
from service.populate import Populator
from service.questionnaire import not_shown
from service.records import APPEND_ONLY, Repository, microseconds
from service.reloading import Edition, fingerprint, folders_of
from service.sandbox import PLACES, Sandbox, SandboxLimits
from service.settings import CONTROLLED_RATE, PREFIX, Settings
from service.settings import from_environment as settings_from
from service.shadow import Shadow, next_edition
from service.storage.database import StoreLimits
from service.storage.model import Store, StoreFault
from service.storage.opening import migrate_before_fork, open_store
from service.validate import Validator, server_from
from service.web.access import Operator
from service.web.application import Application
from service.web.auditing import Audit
from service.web.cds_hooks import CdsHooks, cds_routes
from service.web.chart_servers import ChartServers
from service.web.deployment import Deployment
from service.web.operations import populated
from service.web.proxies import Proxies
from service.web.routes import Parts, all_routes
from service.web.routing import Gatekeeper, Route
from service.web.smart_configuration import tokens_of

if TYPE_CHECKING:
    from service.web.gate import Gate
    from service.web.metrics import Metrics
    from service.web.tracing import Tracing

_MEBIBYTE = 1024 * 1024
_KEY_BYTES = 32
_LOG = logging.getLogger("service.start")


def from_environment() -> Application:
    """Returns the application for gunicorn; ends the process with status 1 where it must not start."""
    try:
        settings = settings_from(os.environ)
        settings.check_address(controlled=names_access(settings.ehrs_file))
        return _application_of(settings)
    except StartupError as error:
        sys.exit("\n".join(f"error: {fault}" for fault in error.faults))


def reloaded(before: Application) -> Application:
    """Returns the application of the files as an author has changed them; if they are faulty, the one before.

    Standard error and the preview pages say which of the two it is, and what is wrong.
    """
    settings = settings_from(os.environ)
    files = fingerprint(folders_of(settings))
    try:
        after = _application_of(settings)
    except StartupError as error:
        faults = tuple(error.faults)
    except OSError as error:  # a file has gone since its folder was listed
        faults = (f"{error.filename}: {error.strerror}",)
    except Exception as error:  # noqa: BLE001 - a half-written file must not end the server
        faults = (f"a file is of a shape that nobody thought of: {error!r}",)
    else:
        sys.stderr.write("reload: the changed files are served\n")
        return after
    lines = (*(f"error: {fault}" for fault in faults), "reload: what was served before is still served")
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    if before.edition is not None:
        before.edition.files, before.edition.faults = files, faults
    return before


def _application_of(settings: Settings) -> Application:
    """Returns the application; for authors, it remembers which files it has read."""
    files = fingerprint(folders_of(settings)) if settings.reload else ""
    application = create_app(_with_lasting_keys(settings))
    if application.edition is not None:
        application.edition.files = files
    return application


def _with_lasting_keys(settings: Settings) -> Settings:
    """Returns the settings with keys that outlast a reload, so that forms which are open can go on."""
    if not settings.reload or settings.signing_keys:
        return settings
    os.environ[f"{PREFIX}FORM_KEYS"] = key = secrets.token_urlsafe(_KEY_BYTES)
    return replace(settings, form_keys=key)


class Setup(msgspec.Struct, frozen=True):
    """What the parts of one application are built from.

    Args:
        ehrs: those registered.
        store: None if nothing is stored.
        deployment: what all views share.
        now: the clock of pages and cards.
    """

    settings: Settings
    served: Catalogue
    ehrs: tuple[Ehr, ...]
    store: Store | None
    deployment: Deployment
    now: Callable[[], datetime]

    @property
    def language(self) -> str:
        """The language where nobody asks for another."""
        return known_language(self.settings.language)


def _now() -> datetime:
    """Returns the time in the zone of this machine (TZ): by its days people read "today" and "by Friday"."""
    return datetime.now(UTC).astimezone()


def create_app(settings: Settings, now: Callable[[], datetime] = _now) -> Application:
    """Returns the application that these settings describe.

    The schema of the store is created or brought up to date. Connections are opened later, by each worker.

    Raises:
        GuidanceError: a questionnaire or mapping file is wrong, or fails its own worked cases.
        SettingsError, StartupError: the settings contradict each other, or the store cannot be used.
    """
    served = catalogue_from(settings)
    ehrs = ehrs_of(settings, served)
    store = store_from(settings)
    deployment = deployment_of(settings, served, ehrs, store)
    setup = Setup(settings, served, ehrs, store, deployment, now)
    assessor, repository = assessor_of(setup), None
    if store is not None:
        is_audited = deployment.audit is not None
        repository = Repository(store, assessor, settings.public_base, audited=is_audited)
    limits, sandbox = deployment.body, deployment.sandbox
    populator = Populator(served, limits, sandbox, language=setup.language)
    pages = pages_of(setup, assessor, populator, repository)
    parts = Parts(
        artifacts=tuple(served.artifacts.values()),
        assessor=assessor,
        validator=Validator(served, limits, sandbox, server=server_from(settings)),
        populator=populator,
        extractor=Extractor(served, limits, sandbox),
        interviewer=Interviewer(served, assessor, sandbox),
        applier=Applier(served, assessor, limits, sandbox),
        catalogue=served,
        repository=repository,
        pages=(*pages.routes, *cds_routes_of(setup, assessor, pages.launched)),
        forms=pages.forms,
    )
    return Application(all_routes(parts, deployment), deployment)


# The guidance, and where results are stored.


def catalogue_from(settings: Settings) -> Catalogue:
    """Returns the questionnaires and guidance that are served; raises GuidanceError.

    Worked cases that `check` has run are not run again, unless an author is at work.
    """
    kept = Kept(None if settings.reload else settings.checked_dir, settings)
    return catalogue.from_settings(settings, kept)


def store_from(settings: Settings) -> Store | None:
    """Returns the store, with its schema up to date; None if nothing is to be stored.

    Raises:
        SettingsError: the URL is not understood, or the database cannot be reached or changed.
        StartupError: its schema is newer than this program, or was not brought up to date to the end.
    """
    wait = settings.store_timeout_s
    limits = StoreLimits(connect_s=wait, lock_s=wait, connections=settings.store_connections)
    try:
        migrate_before_fork(settings.store, limits)
    except StoreFault as fault:
        text = "SERVICE_STORE_URL: the database cannot be reached, or its schema cannot be changed."
        raise SettingsError([text]) from fault
    return open_store(settings.store, limits, append_only=APPEND_ONLY)


def assessor_of(setup: Setup) -> Assessor:
    """Returns the part that scores responses."""
    deployment = setup.deployment
    return Assessor(
        setup.served,
        deployment.body,
        deployment.sandbox,
        language=setup.language,
        count_result=None if deployment.metrics is None else deployment.metrics.count_result,
        shadow=None if deployment.shadow is None else deployment.shadow.offer,
    )


# What all views share. Packages that only an option needs are imported once it is on.


def deployment_of(
    settings: Settings, served: Catalogue, ehrs: tuple[Ehr, ...], store: Store | None
) -> Deployment:
    """Returns the limits, and the access control, audit, metrics and tracing that the settings ask for.

    Raises:
        SettingsError: one of them lacks what it needs, such as a store.
        GuidanceError: the next guidance is faulty.
    """
    deployment = Deployment(
        base=settings.public_base,
        canonicals=served.canonicals,
        origins=settings.origins,
        body=BodyLimits(settings.max_body_bytes, settings.max_depth),
        bundle_entries=settings.max_bundle_entries,
        sandbox=Sandbox(_sandbox_limits(settings)),
        gate=_with_rate_limit(settings, gate_from(settings, ehrs, store)),
        tokens=tokens_of(ehrs),
        metrics=metrics_from(settings),
        tracing=tracing_from(settings),
        audit=audit_from(settings, ehrs, store),
        edition=Edition("") if settings.reload else None,
    )
    return replace(deployment, shadow=shadow_from(settings, served, deployment))


def _sandbox_limits(settings: Settings) -> SandboxLimits:
    return SandboxLimits(memory_bytes=settings.sandbox_memory_mib * _MEBIBYTE // PLACES)


def ehrs_of(settings: Settings, served: Catalogue) -> tuple[Ehr, ...]:
    """Returns the EHRs that are registered.

    Raises:
        SettingsError: their file is wrong, or they are to launch forms that are not served.
    """
    if settings.ehrs_file is None:
        return ()
    newest = [served.pairs[canonical] for canonical in served.unversioned.values()]
    slugs = [pair.slug for pair in newest if not not_shown(pair.compiled.items)]
    server = Deployment(base=settings.public_base).server
    ehrs = read_ehrs(settings.ehrs_file, server=server, forms=slugs)
    if apps(ehrs) and not serves_forms(settings, ehrs):
        text = "SERVICE_EHRS_FILE: expected SERVICE_PUBLIC_FORM=true: what EHRs launch are the forms."
        raise SettingsError([text])
    return ehrs


def gate_from(settings: Settings, ehrs: tuple[Ehr, ...], store: Store | None) -> Gate | None:
    """Returns the check of access tokens and signed calls; None if access is not controlled.

    Raises:
        SettingsError: CDS clients are registered, and there is no store that remembers their signed calls.
    """
    if not controls_access(ehrs):
        return None
    from service.auth.clients import ClientChecks
    from service.auth.keys import KeySets
    from service.auth.tokens import TokenChecks
    from service.outbound import Outbound
    from service.web.gate import Gate

    outbound = Outbound(asked_origins(ehrs))
    keys = KeySets(outbound)
    tokens = TokenChecks(ehrs, keys, outbound)
    if not names_clients(ehrs):
        return Gate(tokens, settings.public_definitions)
    if store is None:
        text = "expected a store, as what CDS clients sign is taken once, and that has to be remembered."
        raise SettingsError([f"SERVICE_STORE_URL: {text}"])
    server = Deployment(base=settings.public_base).server
    clients = ClientChecks(ehrs, keys, store)
    return Gate(tokens, settings.public_definitions, clients, server)


def _with_rate_limit(settings: Settings, gate: Gate | None) -> Gatekeeper | None:
    """Returns a gate that also limits the requests of each client, if there is a limit."""
    per_minute = settings.requests_per_minute
    if per_minute is None:
        per_minute = 0 if gate is None else CONTROLLED_RATE
    if not per_minute:
        return gate
    from service.web.rate_limits import LimitedGate, RateLimits, SharedMemory

    limits = RateLimits(per_minute, Proxies(settings.proxies), SharedMemory())
    return LimitedGate(gate, limits, Operator(settings.metrics_token))


def metrics_from(settings: Settings) -> Metrics | None:
    """Returns the counters of requests and results; None if they are off."""
    if not settings.metrics:
        return None
    from service.web.metrics import Metrics

    return Metrics(settings.metrics_token)


def tracing_from(settings: Settings) -> Tracing | None:
    """Returns the part that makes a span of each request; None if it is off.

    Raises:
        SettingsError: it is on, and OpenTelemetry is not installed.
    """
    if not settings.tracing:
        return None
    try:
        find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ModuleNotFoundError:  # one of the packages around it
        text = "SERVICE_TRACING: expected the packages of the extra `tracing` to be installed."
        raise SettingsError([text]) from None
    from service.web.tracing import Tracing

    return Tracing()


def audit_from(settings: Settings, ehrs: Iterable[Ehr], store: Store | None) -> Audit | None:
    """Returns the part that records who does what with whose data.

    Unless a setting says otherwise, it is on where access is controlled and there is a store.

    Raises:
        SettingsError: the setting asks for it, and there is no store.
    """
    wanted = settings.audit
    if wanted and store is None:
        raise SettingsError(["SERVICE_AUDIT: expected a store, but SERVICE_STORE_URL is none."])
    if store is None or wanted is False or (wanted is None and not controls_access(ehrs)):
        return None
    return Audit(Trail(store), settings.public_base, Proxies(settings.proxies).address)


def shadow_from(settings: Settings, served: Catalogue, deployment: Deployment) -> Shadow | None:
    """Returns the part that scores every response by the next guidance too; None if there is none.

    It has a sandbox of its own, so that it takes no place from requests.

    Raises:
        GuidanceError: as `next_edition` does.
        SettingsError: metrics are off, and they alone show what the next guidance says.
    """
    following = next_edition(settings)
    if following is None:
        return None
    if deployment.metrics is None:
        text = "expected SERVICE_METRICS=true, as what the next guidance makes of responses is counted there."
        raise SettingsError([f"SERVICE_NEXT_MAPPINGS_DIR: {text}"])
    sandbox = Sandbox(_sandbox_limits(settings), places=1)
    shadow = Shadow(served, following, deployment.body, deployment.metrics.count_shadow, sandbox)
    if not shadow.compared:
        note = "The next edition says the same as the one in use, or is of other questionnaires."
        _LOG.warning({"event": "shadow", "note": note})
    return shadow


# The pages for people.


class Pages(NamedTuple):
    """The pages for people.

    Args:
        forms: title and path of each form.
        launched: mapping folders whose forms EHRs launch.
    """

    routes: tuple[Route, ...] = ()
    forms: tuple[tuple[str, str], ...] = ()
    launched: frozenset[str] = frozenset()


def pages_of(setup: Setup, assessor: Assessor, populator: Populator, repository: Repository | None) -> Pages:
    """Returns the forms, the previews for authors and the SMART app; none of them where forms are off.

    Raises:
        SettingsError: as `form_store_from` does.
    """
    settings, deployment, served = setup.settings, setup.deployment, setup.served
    store = form_store_from(settings, setup.store, repository, setup.ehrs)
    if not serves_forms(settings, setup.ehrs):
        return Pages()
    how = FormSettings(
        now=setup.now,
        numbers=catalogue.numbers_from(settings),
        framing_origins=settings.framing_origins,
        language=setup.language,
        store=store,
        privacy_notice_url=settings.privacy_notice_url,
        is_short=settings.form_short,
    )
    forms = forms_of(served, how)
    seal = seal_from(settings.signing_keys, settings.form_max_age_h, setup.now)
    statics = StaticFiles()
    routes = page_routes(forms, assessor, seal, statics, deployment, how, slugs_not_shown(served))
    if deployment.edition is not None:
        previews = Previews(served, seal, statics, deployment, deployment.edition, how)
        routes += preview_routes(previews)
        deployment.edition.previews = tuple(f"{deployment.server}{path}" for path in previews.paths)
    launching = apps(setup.ehrs)
    if launching:
        populate = partial(populated, populator, deployment)
        routes += app_routes(SmartApp(launching, forms, statics.urls, deployment, how), populate)
    launched = frozenset(slug for ehr in launching for slug in ehr.forms)
    return Pages(routes, tuple((form.title, form.path) for form in forms), launched)


def serves_forms(settings: Settings, ehrs: Iterable[Ehr]) -> bool:
    """Says whether anybody may fill in the forms; without a setting, only where access is not controlled."""
    if settings.public_form is None:
        return not controls_access(ehrs)
    return settings.public_form


def form_store_from(
    settings: Settings, store: Store | None, repository: Repository | None, ehrs: Iterable[Ehr] = ()
) -> FormStore | None:
    """Returns where forms are stored if people agree to it; None if forms are not stored.

    Raises:
        SettingsError: they are to be stored, and there is no store, or their tenant is not clear.
    """
    if not settings.form_stores:
        return None
    tenant = _form_tenant(settings.form_tenant, ehrs)
    if store is None or repository is None:
        raise SettingsError(["SERVICE_FORM_STORES: expected a store, but SERVICE_STORE_URL is none."])
    return FormStore(repository, store, settings.public_base, microseconds, tenant=tenant)


def _form_tenant(named: str, ehrs: Iterable[Ehr]) -> str:
    known = tenants(ehrs)
    if known and named not in known:
        text = f"expected the tenant whose data stored forms are, one of: {', '.join(known)}."
        raise SettingsError([f"SERVICE_FORM_TENANT: {text}"])
    if named and not known:
        raise SettingsError(["SERVICE_FORM_TENANT: expected nothing, as no tokens are asked for."])
    return named


# CDS Hooks.


def cds_routes_of(setup: Setup, assessor: Assessor, launched: frozenset[str]) -> tuple[Route, ...]:
    """Returns the routes of CDS Hooks.

    Args:
        setup, assessor: what they stand on.
        launched: mapping folders whose forms EHRs launch: cards link to them.

    Raises:
        GuidanceError: a `cds.yaml` is wrong.
    """
    deployment, served = setup.deployment, setup.served
    shown = shown_cards_from(setup)
    links = Links(deployment.base, f"{deployment.server}{LAUNCH_PATH}", launched)
    cards = Cards(assessor, links, lambda: setup.now().date(), None if shown is None else shown.shows)
    services = services_of(served, all_triggers(setup.settings.mappings_dir, served))
    return cds_routes(CdsHooks(services, cards, deployment, ChartServers(setup.ehrs), shown))


def shown_cards_from(setup: Setup) -> ShownCards | None:
    """Returns the record of which cards were shown and overridden; None if nothing is stored.

    Without a key in the settings, a start makes one, which the workers share as they are forked later.
    """
    if setup.store is None:
        return None
    given = setup.settings.feedback_key
    if not given and names_clients(setup.ehrs):
        note = "SERVICE_FEEDBACK_KEY is not set: which cards were overridden does not outlast this process."
        _LOG.warning({"event": "feedback-key", "note": note})
    key = given or secrets.token_urlsafe(_KEY_BYTES)
    return ShownCards(setup.store, key.encode(), microseconds)
