"""CDS Hooks: cards in the workflow of an EHR about a form and the person whose record is open.

An EHR names a hook and sends the part of its chart that a service asked for; the service answers with cards.
What is not sent may be read from the FHIR server of a registered EHR. Nothing of a chart is kept here: of a
card that was shown only digests are.

Source:
    CDS Hooks 2.0.1 (https://cds-hooks.hl7.org/2.0.1/).
"""

from service.cds_hooks.cards import Cards, Links, ShownCard
from service.cds_hooks.feedback import Feedback, feedback_in
from service.cds_hooks.requests import Brought, Call, Fetched, Needed, Reading, brought_by
from service.cds_hooks.services import CdsService, discovery, services_of
from service.cds_hooks.shown import CARD, ShownCards, cards_of
from service.cds_hooks.triggers import (
    CDS_FILE,
    FileShape,
    Triggers,
    all_triggers,
    read_triggers,
    trigger_faults,
    trigger_warnings,
)

__all__ = [
    "CARD",
    "CDS_FILE",
    "Brought",
    "Call",
    "Cards",
    "CdsService",
    "Feedback",
    "Fetched",
    "FileShape",
    "Links",
    "Needed",
    "Reading",
    "ShownCard",
    "ShownCards",
    "Triggers",
    "all_triggers",
    "brought_by",
    "cards_of",
    "discovery",
    "feedback_in",
    "read_triggers",
    "services_of",
    "trigger_faults",
    "trigger_warnings",
]
