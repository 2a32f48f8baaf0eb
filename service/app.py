"""Composes the parts: settings in, Flask application out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from service import catalogue
from service.assess import Assessor
from service.auth.ehrs import read_ehrs
from service.catalogue import Catalogue
from service.errors import SettingsError, StartupError
from service.fhir.json import BodyLimits
from service.languages import known_language
from service.pages.form import page_routes
from service.pages.form_store import FormStore
from service.pages.forms import FormSettings, forms_of
from service.pages.smart_app import SmartApp, app_routes
from service.pages.state import seal_from
from service.pages.static_files import StaticFiles
from service.populate import Populator
from service.records import APPEND_ONLY, Repository, microseconds
from service.results import Numbers
from service.sandbox import PLACES, Sandbox, SandboxLimits
from service.settings import Settings
from service.settings import from_environment as settings_from
from service.storage.database import StoreLimits
from service.storage.model import Store, StoreFault
from service.storage.opening import migrate_before_fork, open_store
from service.validate import Validator, server_from
from service.web.application import Application
from service.web.deployment import Deployment
from service.web.routes import Parts, all_routes
from service.web.routing import Route

_MEBIBYTE = 1024 * 1024

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
    folders = settings.questionnaires_dir, settings.mappings_dir
    served = catalogue.read(
        *folders,
        canonical_base=settings.canonical_base,
        terminology=settings.terminology_dir,
        require_review=settings.require_review,
        numbers=Numbers(settings.emergency_number, settings.crisis_line),
    )
    limits = BodyLimits(settings.max_body_bytes, settings.max_depth)
    sandbox = Sandbox(SandboxLimits(memory_bytes=settings.sandbox_memory_mib * _MEBIBYTE // PLACES))
    deployment = Deployment(
        base=settings.public_base,
        canonicals=served.canonicals,
        origins=settings.origins,
        body=limits,
        bundle_entries=settings.max_bundle_entries,
        sandbox=sandbox,
    )
    language = known_language(settings.language)
    assessor = Assessor(served, limits, sandbox, language=language)
    store = store_from(settings)
    repository = None if store is None else Repository(store, assessor, settings.public_base)
    kept = form_store_from(settings, store, repository)
    pages, forms = pages_of(settings, served, assessor, deployment, now, kept)
    parts = Parts(
        artifacts=tuple(served.artifacts.values()),
        assessor=assessor,
        validator=Validator(served, limits, sandbox, server=server_from(settings)),
        populator=Populator(served, limits, sandbox, language=language),
        catalogue=served,
        repository=repository,
        pages=pages,
        forms=forms,
    )
    return Application(all_routes(parts, deployment), deployment)


def pages_of(
    settings: Settings,
    served: Catalogue,
    assessor: Assessor,
    deployment: Deployment,
    now: Clock,
    store: FormStore | None = None,
) -> tuple[tuple[Route, ...], tuple[tuple[str, str], ...]]:
    """Returns the routes of the forms, and title and path of each; none where they are off.

    Raises:
        SettingsError: EHRs are named that are to launch the forms, and there are none.
    """
    if not settings.public_form:
        if settings.ehrs_file is not None:
            text = "SERVICE_EHRS_FILE: expected SERVICE_PUBLIC_FORM=true: what EHRs launch are the forms."
            raise SettingsError([text])
        return (), ()
    numbers = Numbers(settings.emergency_number, settings.crisis_line)
    how = FormSettings(
        now=now,
        numbers=numbers,
        framing_origins=settings.framing_origins,
        language=known_language(settings.language),
        store=store,
        privacy_notice_url=settings.privacy_notice_url,
    )
    forms = forms_of(served, how)
    seal = seal_from(settings.signing_keys, settings.form_max_age_h, now)
    statics = StaticFiles()
    routes = page_routes(forms, assessor, seal, statics, deployment, how)
    if settings.ehrs_file is not None:
        slugs = [form.slug for form in forms]
        ehrs = read_ehrs(settings.ehrs_file, server=deployment.server, forms=slugs)
        routes += app_routes(SmartApp(ehrs, forms, statics.urls, deployment, how))
    return routes, tuple((form.title, form.path) for form in forms)


def form_store_from(
    settings: Settings, store: Store | None, repository: Repository | None
) -> FormStore | None:
    """Returns where forms are stored that people agree to have stored; None where none is.

    Raises:
        SettingsError: they are to be stored, and there is no store.
    """
    if not settings.form_stores:
        return None
    if store is None or repository is None:
        raise SettingsError(["SERVICE_FORM_STORES: expected a store, but SERVICE_STORE_URL is none."])
    return FormStore(repository, store, settings.public_base, microseconds)


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
        settings.check_address()
        return create_app(settings)
    except StartupError as error:
        sys.exit("\n".join(f"error: {fault}" for fault in error.faults))
