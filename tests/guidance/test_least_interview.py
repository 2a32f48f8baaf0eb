"""How few questions an interview can do with: never more than the best of all interviews with a person."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from itertools import chain, combinations

import pytest
import small_guidances

from service.catalogue import Pair
from service.datatypes.answers import AnswersByLink
from service.guidance.floor import Interviewed, floor_of, other_answers
from service.guidance.result import Result

AUTHORED = date(2026, 11, 1)


def date_before(days: int) -> str:
    return (AUTHORED - timedelta(days=days)).isoformat()


def result_of(pair: Pair, given: AnswersByLink) -> Result:
    return pair.guidance.evaluate(pair.compiled.answers_of(given, authored=AUTHORED.isoformat()))


def told(pair: Pair, given: AnswersByLink) -> tuple[object, ...]:
    """Returns step, dates and levels; at a safety step there is nothing more to say."""
    result = result_of(pair, given)
    days = [None if due is None else due.days for due in (result.due, result.step_due)]
    is_at_safety = result.tiers[result.tier.at_least].overlay
    return (result.tier,) if is_at_safety else (result.tier, *days, *(risk.level for risk in result.risks))


def everybody(pair: Pair) -> Iterator[AnswersByLink]:
    """Yields whoever answers everything that is asked, in every way that makes a difference."""
    waiting: list[tuple[tuple[str, ...], AnswersByLink]] = [(tuple(pair.guidance.form.questions), {})]
    while waiting:
        left, given = waiting.pop()
        if not left:
            yield given
            continue
        link, rest = left[0], left[1:]
        question = pair.guidance.form.questions[link]
        if link not in pair.compiled.enabled(given)[0]:
            waiting.append((rest, given))
            continue
        ways = other_answers(question, pair.guidance, date_before)
        waiting += [(rest, {**given, link: answers}) for answers in ways]


def least(pair: Pair, given: AnswersByLink) -> int:
    """Returns what is said to be the least."""
    enabled = pair.compiled.enabled
    authored = AUTHORED.isoformat()
    floor = floor_of(
        pair.guidance,
        given,
        asked=enabled(given)[0],
        result_of=partial(result_of, pair),
        date_before=date_before,
    )
    person = Interviewed(
        pair.guidance,
        given,
        enabled=lambda answers: enabled(answers)[0],
        goes_on=lambda answers: bool(
            pair.guidance.questions_ahead(pair.compiled.answers_of(answers, authored=authored)).now
        ),
        result_of=partial(result_of, pair),
        date_before=date_before,
    )
    groups = person.groups(floor)
    assert len(set(chain(*groups))) == len([*chain(*groups)])
    return len(groups)


class Best:
    """The shortest interview that there is for each person, found by trying every set of questions."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.people = list(everybody(pair))
        links = tuple(pair.guidance.form.questions)
        self.sets = [found for size in range(len(links) + 1) for found in combinations(links, size)]
        results = [told(pair, given) for given in self.people]
        self.results: dict[tuple[str, ...], dict[object, set[object]]] = {}
        for links in self.sets:
            by_answers = self.results[links] = defaultdict(set)
            for given, result in zip(self.people, results, strict=True):
                by_answers[self.seen(links, given)].add(result)

    @staticmethod
    def seen(links: tuple[str, ...], given: AnswersByLink) -> object:
        return tuple(given.get(link) for link in links)

    def of(self, given: AnswersByLink) -> int:
        """Returns how few answers of a person settle the result; each is asked for once it can be."""
        return next(
            len(links)
            for links in self.sets
            if len(self.results[links][self.seen(links, given)]) == 1
            and {*links}
            <= {*self.pair.compiled.enabled({link: given[link] for link in links if link in given})[0]}
        )


@pytest.mark.parametrize("dated", [True, False])
def test_no_interview_with_anybody_is_shorter_than_is_said(*, dated: bool) -> None:
    pair = small_guidances.pair(dated=dated)
    best, exact, tried = Best(pair), 0, 0
    for given in best.people:
        said, found = least(pair, given), best.of(given)
        assert said <= found, given
        exact += said == found
        tried += 1
    assert tried > 20
    assert exact > 0.7 * tried  # all of them with dates, 84 of 108 without
