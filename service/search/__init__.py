"""FHIR search: resources as index entries, parameters as criteria, pages as Bundles; no HTTP, no SQL."""

from service.search.bundle import searchset
from service.search.elements import Shape
from service.search.entries import PERSON, SUBJECT, entries_of, person_entries, subject_entries, target_of
from service.search.parameters import SearchParameter, elements_of, includes_of, parameters_of, revincludes_of
from service.search.published import PublishedResources
from service.search.query import LAYOUT, Query, condition_from, in_words, query_from, shape_from
from service.search.values import date_range

__all__ = [
    "LAYOUT",
    "PERSON",
    "SUBJECT",
    "PublishedResources",
    "Query",
    "SearchParameter",
    "Shape",
    "condition_from",
    "date_range",
    "elements_of",
    "entries_of",
    "in_words",
    "includes_of",
    "parameters_of",
    "person_entries",
    "query_from",
    "revincludes_of",
    "searchset",
    "shape_from",
    "subject_entries",
    "target_of",
]
