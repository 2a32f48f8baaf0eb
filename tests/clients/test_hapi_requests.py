"""What HAPI's generic client sends that others do not, sent by hand: these need no Java."""

import pytest
import requests
from patience import PATIENCE_S

JSON = "application/fhir+json"
EITHER = (
    "application/fhir+xml;q=1.0, application/fhir+json;q=1.0, "
    "application/xml+fhir;q=0.9, application/json+fhir;q=0.9"
)
JSON_ONLY = "application/fhir+json;q=1.0, application/json+fhir;q=0.9"
SENT = {"Content-Type": "application/fhir+json; charset=UTF-8", "Accept-Encoding": "gzip"}


@pytest.fixture
def create(service, response):
    def sent(accept=JSON_ONLY, **more):
        url = f"{service.base}/QuestionnaireResponse"
        return requests.post(
            url, json=response(), headers=SENT | {"Accept": accept} | more, timeout=PATIENCE_S
        )

    return sent


@pytest.mark.parametrize("accept", [EITHER, JSON_ONLY])
def test_its_lists_of_types_are_answered_in_json(service, create, accept):
    """CN04 CN09."""
    read = requests.get(f"{service.base}/metadata", headers={"Accept": accept}, timeout=PATIENCE_S)
    assert (read.status_code, read.headers["Content-Type"]) == (200, JSON)
    assert read.json()["fhirVersion"] == "4.0.1"
    made = create(accept)
    assert (made.status_code, made.headers["Content-Type"]) == (201, JSON)


def test_the_format_that_it_asks_for_goes_before_its_header(service):
    """CN08."""
    answers = [
        requests.get(
            f"{service.base}/metadata?_format={name}", headers={"Accept": EITHER}, timeout=PATIENCE_S
        )
        for name in ("json", "xml")
    ]
    assert [answer.status_code for answer in answers] == [200, 406]


def test_its_strong_tag_means_the_version(create):
    """RD07."""
    location = create().headers["Location"].partition("/_history")[0]
    assert requests.get(location, headers={"If-None-Match": '"1"'}, timeout=PATIENCE_S).status_code == 304


def test_its_whole_url_as_a_condition_is_refused(service, create):
    """CR10: the parameter is only what follows the question mark."""
    url = f"{service.base}/QuestionnaireResponse?identifier=a%7Cb"
    refused = create(**{"If-None-Exist": url})
    assert refused.status_code == 400
    assert refused.json()["resourceType"] == "OperationOutcome"
    found = requests.get(url, timeout=PATIENCE_S).json()
    assert found["total"] == 0
