"""Worked cases that a form can send."""

from service.catalogue import Catalogue, Pair, outcome_of
from service.datatypes.values import replace
from service.guidance.cases import Case


def pair_of(served: Catalogue, slug: str) -> Pair:
    return next(pair for pair in served.pairs.values() if pair.slug == slug and pair.is_active)


def can_be_typed(case: Case, pair: Pair) -> bool:
    """Whether a form can send these answers: all that it must, and what it does not ask changes nothing."""
    items, (enabled, _) = pair.compiled.items, pair.compiled.enabled(case.answers)
    asked = [item for link, item in items.items() if item.answerable and link in enabled]
    needed = {item.link_id for item in asked if item.min_occurs}
    open_ = {link: given for link, given in case.answers.items() if link in enabled}
    typed = outcome_of(replace(case, answers=open_), pair.guidance, pair.compiled)
    fits = not case.chart and not case.faults(typed) and needed <= open_.keys()
    return fits and not _clash(case, pair)


def _clash(case: Case, pair: Pair) -> bool:
    """Whether an option is chosen beside others that it excludes."""
    options = {link: item.options for link, item in pair.compiled.items.items()}
    return any(
        len(given) > 1
        and options[link] is not None
        and any(options[link].choices[a].exclusive for a in given)
        for link, given in case.answers.items()
        if options[link] is not None and set(given) <= options[link].choices.keys()
    )
