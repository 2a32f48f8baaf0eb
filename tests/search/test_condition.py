"""The condition of a conditional create, checks CR10 and CR11."""

import pytest

from service.errors import Malformed
from service.search import condition_from
from service.storage.model import Criterion, Search, TokenIs

BASE = "https://fhir.example.org/r4"
QR = "QuestionnaireResponse"
BY_IDENTIFIER = Search(QR, (Criterion("identifier", (TokenIs("v", "urn:s"),)),), limit=2)


@pytest.mark.parametrize(
    "text", ["identifier=urn:s|v", "?identifier=urn:s%7Cv", " identifier=urn%3As%7Cv ", "?identifier=urn:s|v"]
)
def test_cr10_a_condition_is_what_follows_the_question_mark(text):
    assert condition_from(QR, text, base=BASE) == BY_IDENTIFIER


def test_all_of_a_condition_must_hold():
    text = "identifier=urn:s|v&status=completed&patient=1&authored=ge2026&_id=a"
    assert len(condition_from(QR, text, base=BASE).criteria) == 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?",
        "identifier=",
        "identifier=,",
        "identifier",
        "identifier=urn:s|v&status=",
        "identifier=urn:s|v&foo=1",
        "identifier=urn:s|v&_count=1",
        "identifier=urn:s|v&_format=json",
        "identifier=urn:s|v&_sort=_id",
        "foo=1",
        f"{BASE}/{QR}?identifier=urn:s|v",
        f"{QR}?identifier=urn:s|v",
        "status:text=x",
        "authored=yesterday",
        "identifier=%FF",
        "&".join(["status=completed"] * 101),
        "&".join(["status=completed"] * 51),
    ],
)
def test_cr10_a_condition_that_cannot_be_used_whole_is_refused(text):
    with pytest.raises(Malformed) as refused:
        condition_from(QR, text, base=BASE)
    assert {problem.kind for problem in refused.value.problems} == {"if-none-exist"}
    assert "urn:s" not in str(refused.value)


def test_cr10_all_faults_of_a_condition_are_named():
    with pytest.raises(Malformed) as refused:
        condition_from(QR, "status:text=x&authored=yesterday", base=BASE)
    assert len(refused.value.problems) == 2
