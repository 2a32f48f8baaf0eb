"""What travels with a page: whoever holds it cannot change it, and it does not last for ever."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.datatypes.answers import Coding, Quantity, Uncoded
from service.pages.state import FormState, StateRefused, StateSeal, StateWriter, seal_from
from service.questionnaire import compile_questionnaire
from service.terminology import value_sets_from

KEY, OTHER = "k" * 32, "o" * 32
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def questionnaire(version: str = "1"):
    coded = [{"valueCoding": {"system": "urn:s", "code": code, "display": code}} for code in "abc"]
    items = [
        {"linkId": "yes", "type": "boolean"},
        {"linkId": "whole", "type": "integer"},
        {"linkId": "part", "type": "decimal"},
        {"linkId": "words", "type": "text"},
        {"linkId": "day", "type": "date"},
        {"linkId": "amount", "type": "quantity"},
        {"linkId": "some", "type": "choice", "repeats": True, "answerOption": coded},
        {
            "linkId": "more",
            "type": "open-choice",
            "answerOption": [*coded, {"valueCoding": {"display": "x"}}],
        },
        {"linkId": "numbers", "type": "choice", "answerOption": [{"valueInteger": 1}, {"valueInteger": 5}]},
    ]
    resource = {
        "resourceType": "Questionnaire",
        "url": "https://example.org/q",
        "version": version,
        "status": "active",
        "item": [{"text": item["linkId"], **item} for item in items],
    }
    return compile_questionnaire(resource, value_sets_from(()))


WRITER = StateWriter(questionnaire())


def seal(*keys: str, at: datetime = NOON) -> StateSeal:
    return StateSeal(keys or (KEY,), 3600, lambda: at)


def reason(text: str, sealer: StateSeal, writer: StateWriter = WRITER) -> str:
    with pytest.raises(StateRefused) as caught:
        sealer.opened(text, writer)
    return caught.value.reason


codes = st.sampled_from([Coding("urn:s", code) for code in "abc"])
words = st.text(min_size=1, max_size=40)
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=2)
quantities = st.builds(
    Quantity, numbers, st.sampled_from(["", "d", "mmol/L"]), st.sampled_from(["", "<", ">="])
)
ANSWERS = {
    "yes": st.tuples(st.booleans()),
    "whole": st.tuples(st.integers(-(2**31), 2**31 - 1)),
    "part": st.tuples(numbers),
    "words": st.tuples(words),
    "day": st.tuples(st.dates().map(str)),
    "amount": st.tuples(quantities),
    "some": st.lists(codes, min_size=1, unique=True).map(tuple),
    "more": st.tuples(codes | words | st.just(Uncoded("", "x")) | st.just(Coding("urn:t", "z"))),
    "numbers": st.tuples(st.sampled_from([1, 5])),
}
states = st.builds(
    FormState,
    form=st.uuids().map(str),
    language=st.sampled_from(["en", "de"]),
    parent=st.sampled_from(["", "https://app.example.org"]),
    answers=st.fixed_dictionaries({}, optional=ANSWERS),
    head=st.fixed_dictionaries({}, optional={"subject": st.just({"reference": "Patient/1"})}),
    sources=st.fixed_dictionaries({}, optional={"whole": st.just({"url": "urn:x"})}),
    seen=st.frozensets(st.sampled_from(list(ANSWERS))),
    respondent=st.sampled_from(["", "self", "other"]),
    reviewing=st.booleans(),
    is_stopping=st.booleans(),
    status=st.sampled_from(["in-progress", "completed"]),
    authored=st.sampled_from(["", "2026-11-01T12:00:00Z"]),
    is_short=st.booleans(),
    trail=st.lists(st.sampled_from(list(ANSWERS)), unique=True, max_size=3).map(tuple),
    unread=st.dictionaries(st.sampled_from(["q.whole", "u.amount"]), st.lists(words), max_size=2),
)


def kinds(state: FormState) -> dict:
    return {link: [type(answer) for answer in given] for link, given in state.answers.items()}


@given(states)
def test_a_state_comes_back_as_it_went(state):
    back = seal().opened(seal().sealed(state, WRITER), WRITER)
    assert back == state
    assert kinds(back) == kinds(state)
    assert [*back.answers] == [*state.answers]


@given(states, st.data())
def test_a_state_that_was_changed_at_any_place_is_refused(state, data):
    text = seal().sealed(state, WRITER)
    place = data.draw(st.integers(0, len(text) - 1))
    sign = data.draw(st.sampled_from("aZ09_-.é"))
    changed = text[:place] + sign + text[place + 1 :]
    if changed != text:
        assert _is_same(changed, state) or reason(changed, seal()) == "bad"


def _is_same(text: str, state: FormState) -> bool:
    """Whether a text still is the same state: the last sign of base64 has bits that mean nothing."""
    try:
        return seal().opened(text, WRITER) == state
    except StateRefused:
        return False


@pytest.mark.parametrize("text", ["", ".", "a.b", "None", "[]", "e30.x", "é" * 9, "." * 200])
def test_what_was_never_signed_is_refused(text):
    assert reason(text, seal()) == "bad"


def test_a_state_of_another_key_is_refused_and_one_of_an_older_key_is_taken():
    state = FormState("id", "en", answers={"part": (Decimal("1.50"),)})
    old = seal(OTHER).sealed(state, WRITER)
    assert reason(old, seal(KEY)) == "bad"
    assert seal(KEY, OTHER).opened(old, WRITER) == state
    new = seal(KEY, OTHER).sealed(state, WRITER)
    assert seal(KEY).opened(new, WRITER) == state
    assert reason(new, seal(OTHER)) == "bad"


def test_a_state_is_taken_until_its_maximum_age_and_not_after():
    text = seal().sealed(FormState("id", "en"), WRITER)
    assert seal(at=NOON + timedelta(hours=1)).opened(text, WRITER).form == "id"
    assert reason(text, seal(at=NOON + timedelta(hours=1, seconds=1))) == "old"


def test_a_state_of_another_version_of_the_questionnaire_is_refused():
    text = seal().sealed(FormState("id", "en"), WRITER)
    assert reason(text, seal(), StateWriter(questionnaire("2"))) == "other"


def test_without_a_key_each_start_makes_its_own_and_says_so(caplog):
    first, second = (seal_from((), 1, lambda: NOON) for _ in range(2))
    text = first.sealed(FormState("id", "en"), WRITER)
    assert first.opened(text, WRITER).form == "id"
    assert reason(text, second) == "bad"
    assert [record.msg["event"] for record in caplog.records] == ["form-keys", "form-keys"]
    caplog.clear()
    assert seal_from((KEY,), 1, lambda: NOON).sealed(FormState("id", "en"), WRITER)
    assert not caplog.records


def test_a_state_is_small():
    given = {"some": tuple(Coding("urn:s", code) for code in "abc"), "whole": (3,), "yes": (True,)}
    state = FormState("0b8f7d52-7d3c-4c52-9d4d-0b8f7d527d3c", "en", answers=given, seen=frozenset(given))
    assert len(seal().sealed(state, WRITER)) < 260


def of_value_set(*options: tuple[str, str]) -> StateWriter:
    """A question whose options are those of a value set that stands in a file of its own."""
    resource = {
        "resourceType": "Questionnaire",
        "url": "https://example.org/q",
        "version": "1",
        "status": "active",
        "item": [{"linkId": "q", "text": "q", "type": "choice", "answerValueSet": "https://example.org/v"}],
    }
    listed = [{"code": code, "display": display} for code, display in options]
    values = {
        "resourceType": "ValueSet",
        "url": "https://example.org/v",
        "status": "active",
        "compose": {"include": [{"system": "urn:s", "concept": listed}]},
    }
    return StateWriter(compile_questionnaire(resource, value_sets_from([values])))


@pytest.mark.parametrize(
    "options",
    [
        [("no", "No"), ("yes", "Yes")],
        [("yes", "Yes"), ("maybe", "Maybe"), ("no", "No")],
        [("yes", "No"), ("no", "Yes")],
    ],
)
def test_a_state_is_of_another_questionnaire_once_its_options_have_changed(options):
    """An answer travels as the place of its option: in a changed value set the same place is another."""
    before = of_value_set(("yes", "Yes"), ("no", "No"))
    sealed = seal().sealed(FormState("f", "en", answers={"q": (Coding("urn:s", "yes"),)}), before)
    assert seal().opened(sealed, of_value_set(("yes", "Yes"), ("no", "No"))).answers
    assert reason(sealed, seal(), of_value_set(*options)) == "other"
