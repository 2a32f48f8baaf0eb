"""What a worked case expects and a result does not say, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.guidance.expectations import Ends, Expectation
from service.guidance.result import Interval, Result


def faults_of_result(expect: Expectation, result: Result) -> tuple[str, ...]:
    """What is expected and not so, a sentence each."""
    return (*_interval_faults(expect, result), *_list_faults(expect, result), *_count_faults(expect, result))


def _interval_faults(expect: Expectation, result: Result) -> Iterator[str]:
    if expect.tier is not None:
        yield from _differs("tier", expect.tier, _words(result.tier, [tier.code for tier in result.tiers]))
    for risk in result.risks:
        if risk.outcome.code in expect.levels:
            found = _words(risk.level, [level.code for level in risk.outcome.levels])
            yield from _differs(risk.outcome.code, expect.levels[risk.outcome.code], found)
    if expect.settled is not None and expect.settled != result.settled:
        yield f"settled: expected {expect.settled}, found {result.settled}".lower()


def _list_faults(expect: Expectation, result: Result) -> Iterator[str]:
    fired = {fired.rule.name for fired in result.fired} | {
        fired.rule.name for risk in result.risks for fired in risk.fired
    }
    yield from (f"fires: expected {name}, which did not fire" for name in expect.fires if name not in fired)
    yield from (
        f"not-fires: expected that {name} does not fire, but it did"
        for name in expect.not_fires
        if name in fired
    )
    if expect.open is not None:
        yield from _open_faults(expect.open, [question.link_id for question in result.open])
    if expect.contradictions is not None:
        found = sorted(each.name for each in result.contradictions)
        if found != sorted(expect.contradictions):
            yield f"contradictions: expected {_listed(sorted(expect.contradictions))}, found {_listed(found)}"


def _open_faults(expected: tuple[str, ...], found: list[str]) -> Iterator[str]:
    if not expected and found:
        yield f"open: expected no open question, found {_listed(found)}"
    missing = [link_id for link_id in expected if link_id not in found]
    if missing:
        yield f"open: expected {_listed(missing)} among the open questions, found {_listed(found)}"
    elif [link_id for link_id in found if link_id in expected] != list(expected):
        yield f"open: expected the order {_listed(expected)}, found {_listed(found)}"


def _count_faults(expect: Expectation, result: Result) -> Iterator[str]:
    for tally in result.tables:
        counts = {"left": tally.left, "right": tally.right, "open": tally.open}
        for key, count in expect.tables.get(tally.comparison.name, {}).items():
            if counts[key] != count:
                yield f"tables: {tally.comparison.name}: expected {key} {count}, found {counts[key]}"
    for total in result.totals:
        if total.score.name in expect.scores:
            found = total.at_least, total.at_most
            yield from _differs(f"score: {total.score.name}", expect.scores[total.score.name], found)


def _differs(what: str, expected: Ends, found: Ends) -> Iterator[str]:
    if expected != found:
        yield f"{what}: expected {_interval(expected)}, found {_interval(found)}"


def _interval(ends: Ends) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _words(interval: Interval, names: list[str]) -> Ends:
    return names[interval.at_least], names[interval.at_most]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
