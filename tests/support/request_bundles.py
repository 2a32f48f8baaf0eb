"""Bundles that are sent, and what their answers say."""

from uuid import uuid4

from fhir_client import path_of
from sample_responses import small

TYPE = "QuestionnaireResponse"


def bundle(kind, *entries, **more):
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries), **more}


def entry(method, url, resource=None, full_url=None, **request):
    made = {"fullUrl": full_url, "resource": resource, "request": {"method": method, "url": url} | request}
    return {name: value for name, value in made.items() if value is not None}


def create(resource=None, full_url=None, **request):
    return entry("POST", TYPE, resource or small(), full_url, **request)


def urn():
    return f"urn:uuid:{uuid4()}"


def statuses(answer):
    return [int(each["response"]["status"][:3]) for each in answer.json["entry"]]


def id_in(entry):
    return path_of(entry["response"]["location"]).split("/")[3]
