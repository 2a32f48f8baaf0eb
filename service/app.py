"""Composes the parts: settings in, Flask application out."""

from __future__ import annotations

import os
import sys

from service import catalogue
from service.assess import Assessor
from service.errors import StartupError
from service.fhir.body import Limits
from service.settings import Settings
from service.settings import from_environment as settings_from
from service.validate import Validator
from service.web.application import Application
from service.web.routes import all_routes
from service.web.validation import validation_routes


def create_app(settings: Settings) -> Application:
    """Returns the application that serves what the settings name.

    Raises:
        GuidanceError: a questionnaire or mapping file is wrong, or fails its own worked cases.
    """
    served = catalogue.read(settings.questionnaires_dir, settings.mappings_dir)
    limits = Limits(settings.max_body_bytes, settings.max_depth)
    forms = [id_ for kind, id_ in served.artifacts if kind == "Questionnaire"]
    validations = validation_routes(Validator(served, limits), forms, limits.body_bytes)
    base, assessor = settings.public_base, Assessor(served, limits)
    return Application(all_routes(served.artifacts.values(), assessor, base, limits.body_bytes, validations))


def from_environment() -> Application:
    """Returns the application for gunicorn; ends the process with status 1 where it must not start."""
    try:
        return create_app(settings_from(os.environ))
    except StartupError as error:
        sys.exit("\n".join(f"error: {fault}" for fault in error.faults))
