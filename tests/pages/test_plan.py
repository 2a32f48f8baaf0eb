"""Which pages a form has, what each asks, and which comes next."""

from service.datatypes.values import replace
from service.guidance import Ahead
from service.pages.plan import Plan, Walk, fitting
from service.pages.response import as_sent, resumed
from service.pages.state import FormState
from service.questionnaire import compile_questionnaire
from service.terminology import value_sets_from

CORE = "http://hl7.org/fhir/StructureDefinition/"
PAGE_SYSTEM = "http://hl7.org/fhir/questionnaire-item-control"


def extension(name: str, kind: str, value: object) -> dict:
    return {"url": f"{CORE}{name}", f"value{kind}": value}


def question(link: str, **more: object) -> dict:
    return {"linkId": link, "text": link, "type": "boolean", **more}


def group(link: str, *items: dict, control: str = "") -> dict:
    concept = {"coding": [{"system": PAGE_SYSTEM, "code": control}]}
    own = [extension("questionnaire-itemControl", "CodeableConcept", concept)] if control else []
    return {"linkId": link, "text": link, "type": "group", "item": [*items], "extension": own}


def text(link: str) -> dict:
    return {"linkId": link, "text": link, "type": "display"}


def only_if(link: str, *, is_true: bool = True) -> dict:
    return {"enableWhen": [{"question": link, "operator": "=", "answerBoolean": is_true}]}


def plan(*items: dict) -> Plan:
    resource = {
        "resourceType": "Questionnaire",
        "url": "https://example.org/q",
        "version": "1",
        "status": "active",
        "item": [{name: value for name, value in item.items() if value} for item in items],
    }
    return Plan(compile_questionnaire(resource, value_sets_from(())))


def questions(of: Plan) -> list[tuple[str, ...]]:
    return [page.questions for page in of.pages]


def walk(of: Plan, seen: str = "", leading: set[str] | None = None, **answers: bool) -> Walk:
    given = {link: (answer,) for link, answer in answers.items()}
    return Walk(of, FormState("id", "en", answers=given, seen=frozenset(seen)), leading)


def test_page_groups_are_the_pages_however_long_they_are():
    seven = [question(f"a{number}") for number in range(7)]
    found = plan(group("p", *seven, control="page"), group("q", question("b"), control="page"))
    assert [page.name for page in found.pages] == ["p", "q"]
    assert [len(page.questions) for page in found.pages] == [7, 1]


def test_page_groups_inside_of_a_group_are_pages_too():
    inner = group("p", question("a"), control="page"), group("q", question("b"), control="page")
    assert questions(plan(group("all", *inner))) == [("a",), ("b",)]


def test_without_page_groups_a_short_group_is_a_page_and_a_long_one_is_a_question_a_page():
    short = group("short", *(question(f"a{number}") for number in range(5)))
    long = group("long", *(question(f"b{number}") for number in range(6)))
    found = plan(short, long, question("c"))
    assert [len(page.questions) for page in found.pages] == [5, *[1] * 6, 1]
    assert [page.heading for page in found.pages] == ["short", *["long"] * 6, ""]


def test_texts_stand_on_the_page_of_what_follows_them_and_at_the_end_on_the_last():
    found = plan(text("before"), question("a"), question("b"), text("after"))
    assert [page.items for page in found.pages] == [("before", "a"), ("b", "after")]


def test_what_is_hidden_or_read_only_is_not_asked():
    hidden = {"extension": [extension("questionnaire-hidden", "Boolean", True)]}
    found = plan(question("a", **hidden), question("b", readOnly=True), question("c"))
    assert questions(found) == [("c",)]


def test_a_page_whose_questions_are_closed_is_left_out_and_not_counted():
    found = plan(question("a"), question("b", **only_if("a")), question("c"))
    assert [page.name for page in walk(found, a=False).pages] == ["a", "c"]
    assert walk(found, a=True).place(found.pages[2]) == (3, 3)
    assert walk(found, a=False).place(found.pages[2]) == (2, 2)


def test_pages_follow_in_order_and_what_an_answer_opens_before_them_is_asked_at_the_end():
    found = plan(question("a", **only_if("b")), question("b"), question("c"))
    first, second, third = found.pages
    assert walk(found).following(None) is second
    assert walk(found, seen="b", b=True).following(second) is third
    assert walk(found, seen="bc", b=True).following(third) is first
    assert walk(found, seen="abc", b=True).following(first) is second  # gone back: the next page, not the end
    assert walk(found, seen="abc", b=True).following(third) is None


def test_a_page_on_which_something_new_opens_comes_again():
    found = plan(group("p", question("a"), question("b", **only_if("a"))), question("c"))
    assert walk(found, seen="a", a=True).following(found.pages[0]) is found.pages[0]
    assert walk(found, seen="a", a=False).following(found.pages[0]) is found.pages[1]


def test_at_a_safety_step_only_what_leads_on_is_asked_and_once():
    found = plan(group("p", question("a"), question("b")), question("c"), question("d"))
    there = walk(found, seen="a", leading={"b", "d"}, a=True)
    assert not there.is_at_end
    assert there.following(found.pages[0]) is found.pages[0]
    assert there.asked(found.pages[0]) == there.shown(found.pages[0]) == {"b"}
    later = walk(found, seen="ab", leading={"b", "d"}, a=True)
    assert later.following(found.pages[0]) is found.pages[2]
    assert walk(found, seen="abd", leading={"b", "d"}, a=True).is_at_end
    assert walk(found, leading=set(), a=True).is_at_end


def test_what_answers_close_is_forgotten_with_what_was_seen_of_it():
    found = plan(question("a"), question("b", **only_if("a")), question("c", **only_if("b")))
    state = FormState(
        "id",
        "en",
        answers={"a": (False,), "b": (True,), "c": (True,)},
        sources={"b": {"url": "urn:x"}},
        seen=frozenset("abc"),
    )
    kept = fitting(state, found.compiled)
    assert kept.answers == {"a": (False,)}
    assert kept.sources == {}
    assert kept.seen == {"a"}


def test_what_is_offered_is_filled_in_once_its_question_opens_and_so_is_what_that_opens():
    found = plan(question("a"), question("b", **only_if("a")), question("c", **only_if("b")))
    offered = {"b": (True,), "c": (False,)}
    closed = fitting(FormState("id", "en", answers={"a": (False,)}, offered=offered), found.compiled)
    assert closed.answers == {"a": (False,)}
    assert closed.offered == offered
    opened = fitting(FormState("id", "en", answers={"a": (True,)}, offered=offered), found.compiled)
    assert opened.answers == {"a": (True,), "b": (True,), "c": (False,)}
    assert opened.offered == {}


# A short form: only what can still change the result, in the order in which it is to be asked.


def short(of: Plan, now: str, later: str = "", seen: str = "", trail: str = "", **answers: bool) -> Walk:
    given = {link: (answer,) for link, answer in answers.items()}
    state = FormState("id", "en", answers=given, seen=frozenset(seen), is_short=True, trail=tuple(trail))
    return Walk(of, state, ahead=Ahead(tuple(now), tuple(later)))


def test_a_short_form_asks_what_comes_first_wherever_it_stands_and_nothing_that_does_not_matter():
    of = plan(group("p", question("a"), question("b")), group("q", question("c"), question("d")))
    walk = short(of, "ca")
    first = walk.following(None)
    assert first is of.by_name["q"]
    assert (walk.asked(first), walk.shown(first)) == ({"c"}, {"c"})
    after = short(of, "a", seen="c", trail="q")
    assert after.following(first) is of.by_name["p"]
    assert (after.before(of.by_name["p"]), after.last) == (first, first)
    assert (after.before(first), after.asked(first)) == (None, {"c"})
    assert short(of, "", seen="ca", trail="qp").following(None) is None
    assert (after.unasked, after.left, walk.left) == (("a", "b", "d"), 1, 2)
    assert short(of, "").last is None


def test_a_short_form_shows_what_its_own_page_may_open_and_matters_then():
    opened, useless = question("b", **only_if("a")), question("c", **only_if("a"))
    of = plan(group("p", question("a"), opened, useless), question("d", **only_if("a")))
    walk = short(of, "a", "bd")
    page = of.by_name["p"]
    assert (walk.asked(page), walk.shown(page)) == ({"a"}, {"a", "b"})
    assert short(of, "", "", seen="a", trail="p", a=False).shown(page) == {"a"}


def test_in_a_short_form_nothing_counts_that_nobody_has_sent():
    of = plan(question("a"), question("b", **only_if("a")), question("c", readOnly=True))
    state = FormState("id", "en", answers={"a": (True,), "b": (True,), "c": (True,)}, is_short=True)
    assert as_sent(replace(state, seen=frozenset("ab")), of).answers.keys() == {"a", "b", "c"}
    assert as_sent(replace(state, seen=frozenset("b")), of).answers.keys() == {"c"}


def test_what_stands_before_an_answer_was_passed_over_in_the_full_form_and_can_be_asked_in_a_short_one():
    of = plan(question("a"), question("b", required=True), question("c"))
    response = {"status": "in-progress", "item": [{"linkId": "c", "answer": [{"valueBoolean": True}]}]}
    fresh = FormState("id", "en")
    assert resumed(response, of, fresh, "urn:o").seen == {"a", "c"}
    short = replace(fresh, is_short=True)
    assert resumed(response, of, short, "urn:o").seen == {"c"}
    saved = resumed(response, of, fresh, "urn:o", frozenset("ab"))
    assert (saved.seen, saved.is_short, saved.trail) == ({"a", "c"}, True, ("a", "c"))
    done = resumed({**response, "status": "completed"}, of, short, "urn:o")
    assert (done.seen, done.reviewing) == ({"a", "c"}, True)
