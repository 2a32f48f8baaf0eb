"""Composes the parts: settings in, Flask application out."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from service import catalogue
from service.apply import Applier
from service.assess import Assessor
from service.audit import Trail
from service.auth.ehrs import (
    Ehr,
    Tokens,
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
from service.results import Numbers
from service.sandbox import PLACES, Sandbox, SandboxLimits
from service.settings import CONTROLLED_RATE, PREFIX, Settings
from service.settings import from_environment as settings_from
from service.shadow import Shadow, next_edition
from service.storage.database import StoreLimits
from service.storage.model import Store, StoreFault
from service.storage.opening import migrate_before_fork, open_store
from service.validate import Validator, server_from
from service.web.access import Gatekeeper, Operator
from service.web.application import Application
from service.web.auditing import Audit
from service.web.cds_hooks import CdsHooks, cds_routes
from service.web.chart_servers import ChartServers
from service.web.deployment import Deployment
from service.web.operations import Populations
from service.web.proxies import Proxies
from service.web.routes import Parts, all_routes
from service.web.routing import Route
from service.web.smart_configuration import tokens_of

if TYPE_CHECKING:
    from service.web.gate import Gate
    from service.web.metrics import Metrics
    from service.web.tracing import Tracing

_MEBIBYTE = 1024 * 1024
_KEY_BYTES = 32
_LOG = logging.getLogger("service.start")

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def create_app(settings: Settings, now: Clock = _now) -> Application:
    """Returns the application that serves what the settings name, by the time that `now` tells.

    The schema of the store is created or brought up to date; connections open later, in each worker.

    Raises:
        GuidanceError: a questionnaire or mapping file is wrong, or fails its own worked cases.
        SettingsError, StartupError: the store cannot be used.
    """
    served = catalogue_from(settings)
    ehrs = ehrs_of(settings, served)
    store = store_from(settings)
    gate = limited(settings, gate_from(settings, ehrs, store))
    deployment = deployment_from(settings, served, gate, tokens_of(ehrs))
    deployment = replace(deployment, audit=audit_from(settings, ehrs, store))
    deployment = replace(deployment, shadow=shadow_from(settings, served, deployment))
    limits, sandbox = deployment.body, deployment.sandbox
    language = known_language(settings.language)
    assessor = assessor_of(settings, served, deployment)
    base, audited = settings.public_base, deployment.audit is not None
    repository = None if store is None else Repository(store, assessor, base, audited=audited)
    kept = form_store_from(settings, store, repository, ehrs)
    populator = Populator(served, limits, sandbox, language=language)
    pages = pages_of(settings, ehrs, served, assessor, populator, deployment, now, kept)
    links = Links(deployment.base, f"{deployment.server}{LAUNCH_PATH}", pages.launched)
    shown = shown_cards_from(settings, ehrs, store)
    cards = Cards(assessor, links, lambda: now().date(), None if shown is None else shown.shows)
    cds = cds_routes_of(settings.mappings_dir, served, deployment, cards, ChartServers(ehrs), shown)
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
        pages=(*pages.routes, *cds),
        forms=pages.forms,
    )
    return Application(all_routes(parts, deployment), deployment)


def catalogue_from(settings: Settings) -> Catalogue:
    """Returns what is served; raises GuidanceError. Who writes guidance looks at its worked cases, too."""
    return catalogue.read_checked(
        Kept(None if settings.reload else settings.checked_dir, settings),
        settings.questionnaires_dir,
        settings.mappings_dir,
        canonical_base=settings.canonical_base,
        terminology=settings.terminology_dir,
        require_review=settings.require_review,
        numbers=Numbers(settings.emergency_number, settings.crisis_line),
    )


def shadow_from(settings: Settings, served: Catalogue, deployment: Deployment) -> Shadow | None:
    """Returns what scores every response by the next guidance too; None where there is none.

    Its costly work has a place of its own, so that it takes none of those that requests need.

    Raises:
        GuidanceError: as `next_edition` does.
        SettingsError: nothing is counted.
    """
    following = next_edition(settings)
    if following is None:
        return None
    if deployment.metrics is None:
        text = "expected SERVICE_METRICS=true, as what the next guidance makes of responses is counted there."
        raise SettingsError([f"SERVICE_NEXT_MAPPINGS_DIR: {text}"])
    memory = SandboxLimits(memory_bytes=settings.sandbox_memory_mib * _MEBIBYTE // PLACES)
    places = Sandbox(memory, places=1)
    shadow = Shadow(served, following, deployment.body, deployment.metrics.count_shadow, places)
    if not shadow.compared:
        note = "The next edition says the same as the one in use, or is of other questionnaires."
        _LOG.warning({"event": "shadow", "note": note})
    return shadow


def assessor_of(settings: Settings, served: Catalogue, deployment: Deployment) -> Assessor:
    """Returns what scores responses."""
    return Assessor(
        served,
        deployment.body,
        deployment.sandbox,
        language=known_language(settings.language),
        made=None if deployment.metrics is None else deployment.metrics.count_result,
        shadow=None if deployment.shadow is None else deployment.shadow.offer,
    )


def ehrs_of(settings: Settings, served: Catalogue) -> tuple[Ehr, ...]:
    """Returns the EHRs that are registered.

    Raises:
        SettingsError: their file is wrong; or EHRs are to launch the forms, and these are not served.
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


def serves_forms(settings: Settings, ehrs: Iterable[Ehr]) -> bool:
    """Says whether anybody may fill in the forms: where access is controlled, only if a setting says so."""
    if settings.public_form is None:
        return not controls_access(ehrs)
    return settings.public_form


def gate_from(settings: Settings, ehrs: Iterable[Ehr], store: Store | None) -> Gate | None:
    """Returns what holds requests to their access rules; None, and nothing is loaded, where none are.

    Raises:
        SettingsError: CDS clients are named, and there is no store to remember what was used once.
    """
    registered = tuple(ehrs)
    if not controls_access(registered):
        return None
    from service.auth.clients import ClientChecks
    from service.auth.keys import KeySets
    from service.auth.tokens import TokenChecks
    from service.outbound import Outbound
    from service.web.gate import Gate

    outbound = Outbound(asked_origins(registered))
    keys = KeySets(outbound)
    tokens = TokenChecks(registered, keys, outbound)
    if not names_clients(registered):
        return Gate(tokens, settings.public_definitions)
    if store is None:
        text = "expected a store, as what CDS clients sign is taken once, and that has to be remembered."
        raise SettingsError([f"SERVICE_STORE_URL: {text}"])
    server = Deployment(base=settings.public_base).server
    clients = ClientChecks(registered, keys, store)
    return Gate(tokens, settings.public_definitions, clients, server)


def audit_from(settings: Settings, ehrs: Iterable[Ehr], store: Store | None) -> Audit | None:
    """Returns what records who does what with whose data; None where that is not recorded.

    Raises:
        SettingsError: it is to be recorded, and there is no store.
    """
    wanted = settings.audit
    if wanted and store is None:
        raise SettingsError(["SERVICE_AUDIT: expected a store, but SERVICE_STORE_URL is none."])
    if store is None or wanted is False or (wanted is None and not controls_access(ehrs)):
        return None
    return Audit(Trail(store), settings.public_base, Proxies(settings.proxies).address)


def limited(settings: Settings, gate: Gate | None) -> Gatekeeper | None:
    """Returns the gate with a limit of how many requests a client may send; as it is, where there is none."""
    per_minute = settings.requests_per_minute
    if per_minute is None:
        per_minute = 0 if gate is None else CONTROLLED_RATE
    if not per_minute:
        return gate
    from service.web.rate_limits import LimitedGate, RateLimits, SharedMemory

    limits = RateLimits(per_minute, Proxies(settings.proxies), SharedMemory())
    return LimitedGate(gate, limits, Operator(settings.metrics_token))


def deployment_from(
    settings: Settings, served: Catalogue, gate: Gatekeeper | None = None, tokens: Tokens | None = None
) -> Deployment:
    """Returns what all views share."""
    return Deployment(
        base=settings.public_base,
        canonicals=served.canonicals,
        origins=settings.origins,
        body=BodyLimits(settings.max_body_bytes, settings.max_depth),
        bundle_entries=settings.max_bundle_entries,
        sandbox=Sandbox(SandboxLimits(memory_bytes=settings.sandbox_memory_mib * _MEBIBYTE // PLACES)),
        metrics=metrics_from(settings),
        gate=gate,
        tokens=tokens,
        tracing=tracing_from(settings),
        edition=Edition("") if settings.reload else None,
    )


class Pages(NamedTuple):
    """The pages for people.

    Args:
        routes: theirs.
        forms: title and path of each form.
        launched: names of the mapping folders whose forms EHRs launch.
    """

    routes: tuple[Route, ...] = ()
    forms: tuple[tuple[str, str], ...] = ()
    launched: frozenset[str] = frozenset()


def pages_of(
    settings: Settings,
    ehrs: Sequence[Ehr],
    served: Catalogue,
    assessor: Assessor,
    populator: Populator,
    deployment: Deployment,
    now: Clock,
    store: FormStore | None = None,
) -> Pages:
    """Returns the pages; none where they are off."""
    if not serves_forms(settings, ehrs):
        return Pages()
    numbers = Numbers(settings.emergency_number, settings.crisis_line)
    how = FormSettings(
        now=now,
        numbers=numbers,
        framing_origins=settings.framing_origins,
        language=known_language(settings.language),
        store=store,
        privacy_notice_url=settings.privacy_notice_url,
        is_short=settings.form_short,
    )
    forms = forms_of(served, how)
    seal = seal_from(settings.signing_keys, settings.form_max_age_h, now)
    statics = StaticFiles()
    routes = page_routes(forms, assessor, seal, statics, deployment, how, slugs_not_shown(served))
    if deployment.edition is not None:
        previews = Previews(served, seal, statics, deployment, deployment.edition, how)
        routes += preview_routes(previews)
        deployment.edition.previews = tuple(f"{deployment.server}{path}" for path in previews.paths)
    launching = apps(ehrs)
    if launching:
        populate = Populations(populator, deployment).populate
        routes += app_routes(SmartApp(launching, forms, statics.urls, deployment, how), populate)
    launched = frozenset(slug for ehr in launching for slug in ehr.forms)
    return Pages(routes, tuple((form.title, form.path) for form in forms), launched)


def metrics_from(settings: Settings) -> Metrics | None:
    """Returns what counts the answers; None, and nothing is loaded for it, where that is off."""
    if not settings.metrics:
        return None
    from service.web.metrics import Metrics

    return Metrics(settings.metrics_token)


def tracing_from(settings: Settings) -> Tracing | None:
    """Returns what makes spans of the requests; None, and nothing is loaded for it, where that is off.

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


def cds_routes_of(
    mappings: Path,
    served: Catalogue,
    deployment: Deployment,
    cards: Cards,
    servers: ChartServers,
    shown: ShownCards | None,
) -> tuple[Route, ...]:
    """Returns the routes of CDS Hooks.

    Raises:
        GuidanceError: a `cds.yaml` is wrong.
    """
    services = services_of(served, all_triggers(mappings, served))
    return cds_routes(CdsHooks(services, cards, deployment, servers, shown))


def shown_cards_from(settings: Settings, ehrs: Iterable[Ehr], store: Store | None) -> ShownCards | None:
    """Returns what is known of cards that were shown; None where nothing is kept.

    Without a key of the settings it has one of this start: workers, which are forked later, have the same.
    """
    if store is None:
        return None
    if not settings.feedback_key and names_clients(ehrs):
        note = "SERVICE_FEEDBACK_KEY is not set: which cards were overridden does not outlast this process."
        _LOG.warning({"event": "feedback-key", "note": note})
    key = settings.feedback_key or secrets.token_urlsafe(_KEY_BYTES)
    return ShownCards(store, key.encode(), microseconds)


def form_store_from(
    settings: Settings, store: Store | None, repository: Repository | None, ehrs: Sequence[Ehr] = ()
) -> FormStore | None:
    """Returns where forms are stored that people agree to have stored; None where none is.

    Raises:
        SettingsError: they are to be stored, and there is no store, or it is not clear whose data they are.
    """
    if not settings.form_stores:
        return None
    tenant = _form_tenant(settings.form_tenant, ehrs)
    if store is None or repository is None:
        raise SettingsError(["SERVICE_FORM_STORES: expected a store, but SERVICE_STORE_URL is none."])
    return FormStore(repository, store, settings.public_base, microseconds, tenant=tenant)


def _form_tenant(named: str, ehrs: Sequence[Ehr]) -> str:
    known = tenants(ehrs)
    if known and named not in known:
        text = f"expected the tenant whose data stored forms are, one of: {', '.join(known)}."
        raise SettingsError([f"SERVICE_FORM_TENANT: {text}"])
    if named and not known:
        raise SettingsError(["SERVICE_FORM_TENANT: expected nothing, as no tokens are asked for."])
    return named


def store_from(settings: Settings) -> Store | None:
    """Returns the store that the settings name, its schema up to date; None where nothing is kept.

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


def from_environment() -> Application:
    """Returns the application for gunicorn; ends the process with status 1 where it must not start."""
    try:
        settings = settings_from(os.environ)
        settings.check_address(controlled=names_access(settings.ehrs_file))
        return _served_by(settings)
    except StartupError as error:
        sys.exit("\n".join(f"error: {fault}" for fault in error.faults))


# For authors.


def reloaded(before: Application) -> Application:
    """Returns the application of the files as they are now; where they are faulty, the one before.

    Standard error says which it is and what is wrong, and so do the preview pages.
    """
    settings = settings_from(os.environ)
    files = fingerprint(folders_of(settings))
    try:
        after = _served_by(settings)
    except StartupError as error:
        faults = tuple(error.faults)
    except OSError as error:  # a file has gone since its folder was listed
        faults = (f"{error.filename}: {error.strerror}",)
    else:
        sys.stderr.write("reload: the changed files are served\n")
        return after
    lines = (*(f"error: {fault}" for fault in faults), "reload: what was served before is still served")
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    if before.edition is not None:
        before.edition.files, before.edition.faults = files, faults
    return before


def _served_by(settings: Settings) -> Application:
    """Returns the application; where changed files are served at once, it knows which it has read."""
    files = fingerprint(folders_of(settings)) if settings.reload else ""
    application = create_app(_with_lasting_keys(settings))
    if application.edition is not None:
        application.edition.files = files
    return application


def _with_lasting_keys(settings: Settings) -> Settings:
    """Returns the settings with keys that this process keeps when its files change: open forms go on."""
    if not settings.reload or settings.signing_keys:
        return settings
    os.environ[f"{PREFIX}FORM_KEYS"] = key = secrets.token_urlsafe(_KEY_BYTES)
    return replace(settings, form_keys=key)
