"""Exact conversion between units."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.datatypes.answers import Quantity
from service.datatypes.ucum import (
    ARBITRARY,
    BASES,
    DEFINED,
    OFFSET,
    Conversion,
    _meaning,
    brought_to,
    comparable,
    converted,
    convertible,
    names_another,
    unit,
    units_named,
)
from service.questionnaire.values import _in_unit, possible_signs


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [
        ("3", "wk", "d", 21),
        ("1", "mo", "d", Fraction(487, 16)),
        ("1", "a", "d", Fraction(1461, 4)),
        ("90", "min", "h", Fraction(3, 2)),
        ("120", "/min", "Hz", 2),
        ("5.5", "mmol/L", "umol/mL", Fraction(11, 2)),
        ("5", "mmol/L", "mol/m3", 5),
        ("100", "mg/dL", "g/L", 1),
        ("7.5", "10*3/uL", "10*9/L", Fraction(15, 2)),
        ("1", "[lb_av]", "kg", Fraction(45359237, 100000000)),
        ("5", "[in_i]", "cm", Fraction(127, 10)),
        ("1", "[mi_i]", "km", Fraction(1609344, 1000000)),
        ("1", "mm[Hg]", "Pa", Fraction(133322, 1000)),
        ("1", "cal", "J", Fraction(4184, 1000)),
        ("60", "U/L", "umol/L/s", 1),
        ("1", "[IU]/L", "m[IU]/mL", 1),
        ("50", "%", "1", Fraction(1, 2)),
        ("8", "{score}", "1", 8),
        ("70", "kg{dry}", "g", 70000),
        ("1", "kg.m/s2", "N", 1),
        ("1", "J/(kg.K)", "m2/(s2.K)", 1),
        ("98.6", "[degF]", "Cel", 37),
        ("37", "Cel", "K", Fraction("310.15")),
        ("0", "K", "Cel", Fraction("-273.15")),
        ("1", "[tsp_us]", "mL", Fraction(78862, 16000)),
        ("1", "l", "L", 1),
    ],
)
def test_a_value_is_converted_exactly(value: str, source: str, target: str, expected: int | Fraction) -> None:
    found = converted(Decimal(value), source, target)
    if source == "[tsp_us]":
        assert found is not None
        assert abs(found - expected) < Fraction(1, 1000)
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("kg", "m"),
        ("mmol/L", "mg/dL"),
        ("mmol", "1"),
        ("[IU]", "1"),
        ("[IU]", "mg"),
        ("Cel", "d"),
        ("Cel/d", "K/d"),
        ("furlong", "m"),
        ("furlong", "1"),
        ("", "1"),
        ("wk", ""),
        ("KG", "kg"),
        ("2m", "m"),
        ("m99999", "m"),
        ("m//s", "m/s"),
        ("(m", "m"),
        ("m)", "m"),
        ("m{a", "m"),
        ("m.", "m"),
        ("{a}{b}", "1"),
        ("0", "1"),
        ("µg", "ug"),
        ("m" * 65, "m"),
        ("m+", "m"),
        ("()", "1"),
    ],
)
def test_what_does_not_compare_is_never_converted(a: str, b: str) -> None:
    assert not comparable(a, b)
    assert not comparable(b, a)
    assert converted(1, a, b) is None


def test_an_unknown_unit_compares_with_itself_only() -> None:
    assert comparable("furlong", "furlong")
    assert converted(Decimal("1.5"), "furlong", "furlong") == Fraction(3, 2)


@pytest.mark.parametrize("code", [*BASES, *ARBITRARY, *DEFINED])
def test_every_unit_of_the_table_is_understood(code: str) -> None:
    found = unit(code)
    assert found is not None
    assert found.factor > 0


def test_scales_with_a_zero_of_their_own_are_not_units_to_multiply_with() -> None:
    assert [unit(code) for code in OFFSET if code != "Cel"] == [None]
    assert unit("Cel") is None


@given(
    st.decimals(-1000, 1000, places=4),
    st.sampled_from([("wk", "d"), ("mo", "h"), ("mg/dL", "g/L"), ("[degF]", "Cel")]),
)
def test_there_and_back_is_the_same_value(value: Decimal, units: tuple[str, str]) -> None:
    there = converted(value, *units)
    assert there is not None
    assert converted(there, units[1], units[0]) == Fraction(value)


@given(st.text(max_size=70))
def test_any_text_as_a_unit_is_answered(code: str) -> None:
    assert comparable(code, code)
    assert converted(1, code, "1") is None or unit(code) is not None


@given(st.text("mkgsLdu10*^/.(){}[]-+", max_size=20))
def test_any_text_that_looks_like_a_unit_is_answered(code: str) -> None:
    found = unit(code)
    assert found is None or found.factor > 0


def test_an_equivalent_is_never_taken_for_an_amount_of_substance() -> None:
    assert not comparable("meq/L", "mmol/L")
    assert converted(1, "meq/L", "eq/m3") == 1


BY_ANALYTE = (
    Conversion("mg/dL", "mmol/L", Fraction("0.2495")),
    Conversion("meq/L", "mmol/L", Fraction("0.5")),
)


@pytest.mark.parametrize(
    ("value", "source", "target", "wanted"),
    [
        ("10", "mg/dL", "mmol/L", "2.495"),
        ("100", "mg/L", "mmol/L", "2.495"),
        ("10", "mg/dL", "umol/L", "2495"),
        ("2.495", "mmol/L", "mg/dL", "10"),
        ("4", "meq/L", "mmol/L", "2"),
        ("2", "mmol/L", "meq/L", "4"),
        ("3", "mmol/L", "umol/L", "3000"),
    ],
)
def test_a_factor_of_the_analyte_brings_together_what_ucum_keeps_apart(
    value: str, source: str, target: str, wanted: str
) -> None:
    assert convertible(source, target, BY_ANALYTE)
    assert brought_to(Decimal(value), source, target, BY_ANALYTE) == Fraction(wanted)


@pytest.mark.parametrize(("source", "target"), [("mg/dL", "d"), ("mg/dL", "meq/L"), ("furlong", "mmol/L")])
def test_no_factor_leads_elsewhere(source: str, target: str) -> None:
    assert not convertible(source, target, BY_ANALYTE)
    assert brought_to(1, source, target, BY_ANALYTE) is None


def test_a_text_that_is_too_long_for_a_unit_is_not_kept():
    """Thousands of them, each as long as a body may be, would fill the memory of a worker."""
    limit = Quantity(Decimal(1), "kg")
    assert possible_signs(limit, limit) == (0,)
    possible_signs(Quantity(Decimal(1), "g"), limit)  # the unit of the limit is kept from here on
    before = _meaning.cache_info().currsize, _in_unit.cache_info().currsize
    long = [Quantity(Decimal(1), f"{'g' * 70}{number}") for number in range(3)]
    assert [possible_signs(answer, limit) for answer in long] == [(), (), ()]
    assert possible_signs(long[0], long[0]) == (0,)
    assert (_meaning.cache_info().currsize, _in_unit.cache_info().currsize) == before


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("d", "weeks"),
        ("d", "Wochen"),
        ("d", "WOCHE(N)"),
        ("d", "semaines"),
        ("d", "週間"),
        ("d", "wk"),
        ("d", "Mon."),
        ("d", "mo"),
        ("d", "J"),
        ("d", "J."),
        ("d", "a"),
        ("wk", "d"),
        ("kg", "lbs"),
        ("Cel", "°F"),
        ("mmol/L", "mg/dL"),
        ("mmol/L", "µmol/l"),
        ("mmol/L", "mEq/L"),
        ("ng/mL", "ng/dL"),
        ("/wk", "1/d"),
    ],
)
def test_a_text_that_names_another_unit_contradicts_a_code(code, name):
    assert names_another(code, name)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("d", "days"),
        ("d", "Tag(e)"),
        ("d", "Tagen"),
        ("d", "sunrise"),
        ("d", "24 h"),
        ("d", ""),
        ("mo", "m"),
        ("a", "J."),
        ("d", "j"),
        ("mmol/L", "MMOL/L"),
        ("mmol/L", "mM"),
        ("mmol/L", "mmol"),
        ("ng/mL", "µg/L"),
        ("U/L", "IU/L"),
        ("10*9/L", "K/uL"),
        ("10*9/L", "G/l"),
        ("10*9/L", "10^9/L"),
        ("Cel", "°C"),
        ("/min", "bpm"),
        ("{score}", "points"),
        ("furlong", "weeks"),
    ],
)
def test_a_text_that_names_the_unit_of_its_code_or_nothing_known_does_not(code, name):
    assert not names_another(code, name)


def test_a_unit_is_the_same_where_the_guidance_says_that_the_amounts_are():
    monovalent, divalent = (Conversion("meq/L", "mmol/L", factor) for factor in (Fraction(1), Fraction(1, 2)))
    assert not names_another("mmol/L", "mEq/L", [monovalent])
    assert names_another("mmol/L", "mEq/L", [divalent])


def test_every_name_in_the_table_is_that_of_a_unit_that_is_understood():
    names = ("Woche", "mmol", "mM", "IE", "K", "°F", "Pfund")
    assert all(unit(code) or code in OFFSET for name in names for code in units_named(name))
    assert units_named("J") == {"a"}
