"""Whether a code is a member: three answers, how they are put together, and what they cost."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.datatypes.answers import Coding
from service.terminology.membership import CodeSet, Doubt, Member, Said, difference, intersection, union
from service.terminology.value_sets import ValueSets, value_sets_from

Json = dict[str, Any]

IN, OUT, UNKNOWN = "member", "outside", "undecided"
CODES = [Coding(system, code) for system in ("s", "t") for code in ("in", "out", "doubt", "other")]


def verdict(said: Said) -> str:
    return OUT if said is None else IN if isinstance(said, Member) else UNKNOWN


def part(*, systems: tuple[str, ...] = (), anywhere: bool = False) -> CodeSet:
    said: dict[Coding, Said] = {
        Coding("s", "in"): Member(Coding("s", "in"), ""),
        Coding("s", "out"): None,
        Coding("s", "doubt"): Doubt("listed", (("ValueSet", "listed"),)),
    }
    doubt = Doubt("anywhere", (("ValueSet", "anywhere"),)) if anywhere else None
    return CodeSet(said, {system: Doubt(system, (("CodeSystem", system),)) for system in systems}, doubt)


PARTS = [
    CodeSet(),
    part(),
    part(systems=("s",)),
    part(systems=("s", "t")),
    part(anywhere=True),
    part(systems=("t",), anywhere=True),
    CodeSet(systems={"s": Doubt("s")}),
    CodeSet({coding: Member(coding, "") for coding in CODES}),
]


def either(one: str, other: str) -> str:
    return IN if IN in (one, other) else UNKNOWN if UNKNOWN in (one, other) else OUT


def both(one: str, other: str) -> str:
    return OUT if OUT in (one, other) else UNKNOWN if UNKNOWN in (one, other) else IN


def less(one: str, other: str) -> str:
    return both(one, {IN: OUT, OUT: IN, UNKNOWN: UNKNOWN}[other])


@pytest.mark.parametrize("one", PARTS, ids=range(len(PARTS)))
@pytest.mark.parametrize("other", PARTS, ids=range(len(PARTS)))
@pytest.mark.parametrize(
    ("made", "expected"),
    [(lambda a, b: union([a, b]), either), (intersection, both), (difference, less)],
    ids=["union", "intersection", "difference"],
)
def test_sets_are_put_together_as_three_valued_logic_has_it(
    one: CodeSet,
    other: CodeSet,
    made: Callable[[CodeSet, CodeSet], CodeSet],
    expected: Callable[[str, str], str],
) -> None:
    found = made(one, other)
    for coding in [*CODES, Coding("u", "other")]:
        wanted = expected(verdict(one.of(coding)), verdict(other.of(coding)))
        assert (coding, verdict(found.of(coding))) == (coding, wanted)


def test_a_server_is_asked_only_where_its_answer_settles_the_doubt() -> None:
    one = CodeSet(systems={"s": Doubt("one", (("CodeSystem", "s"),))})
    other = CodeSet(anywhere=Doubt("other", (("ValueSet", "v"),)))
    coding = Coding("s", "x")
    assert asks(union([one, other]), coding) == (("CodeSystem", "s"), ("ValueSet", "v"))
    assert asks(union([one, CodeSet(anywhere=Doubt("nobody knows"))]), coding) == ()
    assert asks(intersection(one, other), coding) == ()
    assert asks(difference(one, other), coding) == ()
    assert asks(difference(one, CodeSet()), coding) == (("CodeSystem", "s"),)
    assert asks(difference(other, one), coding) == ()
    assert asks(difference(other, one), Coding("t", "x")) == (("ValueSet", "v"),)


def test_too_many_questions_about_one_code_are_not_asked() -> None:
    parts = [CodeSet(anywhere=Doubt("x", (("ValueSet", str(number)),))) for number in range(5)]
    assert len(asks(union(parts[:4]), Coding("s", "x"))) == 4
    assert asks(union(parts), Coding("s", "x")) == ()


def asks(codes: CodeSet, coding: Coding) -> tuple[tuple[str, str], ...]:
    said = codes.of(coding)
    assert isinstance(said, Doubt)
    return said.asks


def value_set(url: str, *includes: Json, **more: Any) -> Json:
    return {"resourceType": "ValueSet", "url": url, "compose": {"include": [*includes], **more}}


def code_system(*concepts: Json, **more: Any) -> Json:
    found = {"resourceType": "CodeSystem", "url": "http://s", "content": "complete"}
    return found | {"concept": [*concepts]} | more


def listing(*codes: str, system: str = "http://s") -> Json:
    return {"system": system, "concept": [{"code": code} for code in codes]}


def test_a_verdict_has_its_member_or_its_reason() -> None:
    known = value_sets_from([value_set("http://v", listing("a"), {"system": "http://t"})])
    member = known.membership("http://v", Coding("http://s", "a"))
    assert (member.is_member, member.member and member.member.coding.code) == (True, "a")
    assert known.membership("http://v", Coding("http://s", "b")).is_member is False
    doubt = known.membership("http://v", Coding("http://t", "b"))
    assert (doubt.is_member, doubt.reason, doubt.about) == (None, "a code system is not at hand", "http://t")
    assert doubt.asks == (("ValueSet", "http://v"),)


def test_a_server_is_not_asked_about_a_value_set_that_a_form_contains() -> None:
    inner = value_set("http://v", {"system": "http://t"}) | {"id": "v"}
    known = ValueSets().with_contained({"url": "http://q", "contained": [inner]})
    assert known.membership("#v", Coding("http://t", "b")).asks == (("CodeSystem", "http://t"),)
    assert known.membership("#w", Coding("http://t", "b")).asks == ()
    assert known.membership("http://w", Coding("http://t", "b")).asks == (("ValueSet", "http://w"),)


def test_contained_resources_are_in_front_and_named_by_their_container() -> None:
    served = value_sets_from([value_set("http://v", listing("served"))])
    inner = value_set("http://v", listing("inner")) | {"id": "v"}
    known = served.with_contained({"url": "http://q", "version": "1", "contained": [inner, {"id": "x"}]})
    coding = Coding("http://s", "inner")
    names = ("#v", "http://v", "http://q#v", "http://q|1#v", "http://q|2#v", "http://p#v")
    assert [known.membership(name, coding).is_member for name in names] == [True] * 4 + [None] * 2
    assert served.membership("http://v", coding).is_member is False
    assert served.with_contained({"contained": [{"resourceType": "Patient"}]}) is served


def test_a_code_system_that_ignores_case_has_codes_in_any_case() -> None:
    system = code_system({"code": "Abc"}, caseSensitive=False)
    sets = [
        value_set("http://whole", {"system": "http://s"}),
        value_set("http://listed", listing("ABC", "x")),
        value_set(
            "http://filtered",
            {"system": "http://s", "filter": [{"property": "code", "op": "=", "value": "abC"}]},
        ),
    ]
    known = value_sets_from([system, *sets])
    for url in ("http://whole", "http://listed", "http://filtered"):
        assert known.membership(url, Coding("http://s", "aBc")).is_member is True
    assert known.membership("http://listed", Coding("http://s", "X")).is_member is True
    assert known.membership("http://listed", Coding("http://s", "y")).is_member is False
    assert known.names(Coding("http://s", "ABC")) == ()


def test_the_names_of_a_code_are_its_code_systems_unless_a_form_brought_that() -> None:
    concept = {"code": "a", "display": "A", "designation": [{"value": "Ah"}, {"language": "de"}]}
    system = code_system(concept)
    assert value_sets_from([system]).names(Coding("http://s", "a")) == ("A", "Ah")
    assert value_sets_from([system]).names(Coding("http://s", "b")) == ()
    assert ValueSets().with_contained({"contained": [system]}).names(Coding("http://s", "a")) == ()


# What it costs: calls of Python and of C, counted.


def steps(work: Callable[[], object]) -> int:
    count = 0

    def tick(*_: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(tick)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def each_includes_the_next_twenty_times(size: int) -> Iterator[Json]:
    for number in range(size):
        following = {"valueSet": [f"http://v/{number + 1}"]}
        yield value_set(f"http://v/{number}", *[following] * 20)
    yield value_set(f"http://v/{size}", listing("a"))


def chain(size: int) -> Iterator[Json]:
    for number in range(size):
        yield value_set(f"http://v/{number}", {"valueSet": [f"http://v/{number + 1}"]})
    yield value_set(f"http://v/{size}", listing("a"))


def ring(size: int) -> Iterator[Json]:
    for number in range(size):
        yield value_set(f"http://v/{number}", {"valueSet": [f"http://v/{(number + 1) % size}"]}, listing("a"))


def excludes(size: int) -> Iterator[Json]:
    taken_out = [listing(f"x{number}") for number in range(size)]
    yield value_set("http://v/0", listing("a", *(f"x{number}" for number in range(size))), exclude=taken_out)


def filter_in(size: int) -> Iterator[Json]:
    listed = ",".join(f"c{number}" for number in range(size))
    filters = [{"property": "code", "op": "in", "value": f"a,{listed}"}]
    yield code_system({"code": "a"}, *({"code": f"c{number}"} for number in range(size)))
    yield value_set("http://v/0", {"system": "http://s", "filter": filters})


def system_included_again_and_again(size: int) -> Iterator[Json]:
    yield code_system({"code": "a"}, *({"code": f"c{number}"} for number in range(size)))
    yield value_set("http://v/0", *[{"system": "http://s"}] * size)


def filters_of_one_code_each(size: int) -> Iterator[Json]:
    yield code_system({"code": "a"}, *({"code": f"c{number}"} for number in range(size)))
    yield value_set(
        "http://v/0",
        listing("a"),
        *(
            {"system": "http://s", "filter": [{"property": "concept", "op": "is-a", "value": f"c{number}"}]}
            for number in range(size)
        ),
    )


def deep_hierarchy(size: int) -> Iterator[Json]:
    concept: Json = {"code": "a"}
    for number in range(size):
        concept = {"code": f"c{number}", "concept": [concept]}
    filters = [{"property": "concept", "op": "is-a", "value": f"c{size - 1}"}]
    yield code_system(concept)
    yield value_set("http://v/0", {"system": "http://s", "filter": filters})


SHAPES = [
    each_includes_the_next_twenty_times,
    chain,
    ring,
    excludes,
    filter_in,
    system_included_again_and_again,
    filters_of_one_code_each,
    deep_hierarchy,
]


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_ten_times_the_size_costs_about_ten_times_as_much(shape: Callable[[int], Iterator[Json]]) -> None:
    costs = []
    for size in (200, 2000):
        known = value_sets_from(shape(size))
        asked = Coding("http://s", "a")
        costs.append(steps(lambda: known.membership("http://v/0", asked)))  # noqa: B023 - called here and now
    assert costs[1] < 15 * costs[0]


@pytest.mark.parametrize(
    "shape", [shape for shape in SHAPES if shape is not excludes], ids=lambda s: s.__name__
)
def test_the_code_is_found_whatever_the_shape(shape: Callable[[int], Iterator[Json]]) -> None:
    known = value_sets_from(shape(3000))
    assert known.membership("http://v/0", Coding("http://s", "a")).is_member is True


def test_what_is_taken_out_many_times_is_out() -> None:
    known = value_sets_from(excludes(4000))
    assert known.membership("http://v/0", Coding("http://s", "a")).is_member is True
    assert known.membership("http://v/0", Coding("http://s", "x3999")).is_member is False
