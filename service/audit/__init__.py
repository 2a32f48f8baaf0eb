"""Who did what with whose data, as a chain in which tampering shows. Knows no HTTP and no SQL."""

from service.audit.contents import Content, contents_of, named, patient_of, patients_in
from service.audit.events import (
    AGENT,
    ENTITY,
    Event,
    RecordedRequest,
    erasure_links,
    expiry_link,
    export_link,
    link_of,
    names_of,
    records_expiry_link,
    results_export_link,
)
from service.audit.feed import line_of
from service.audit.trail import Trail
from service.audit.verify import Anchor, Fault, Verdict, verify

__all__ = [
    "AGENT",
    "ENTITY",
    "Anchor",
    "Content",
    "Event",
    "Fault",
    "RecordedRequest",
    "Trail",
    "Verdict",
    "contents_of",
    "erasure_links",
    "expiry_link",
    "export_link",
    "line_of",
    "link_of",
    "named",
    "names_of",
    "patient_of",
    "patients_in",
    "records_expiry_link",
    "results_export_link",
    "verify",
]
