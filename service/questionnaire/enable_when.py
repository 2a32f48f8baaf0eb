"""enableWhen: which items are enabled, and which are disabled whatever is still answered.

An item is *enabled* as FHIR says, from the answers that are there. It is *closed for certain* only
if no completion of the unanswered questions could enable it (Kleene's three values): an unanswered
question leaves a condition unknown, unless that question is itself closed. Answers of disabled
items count for nothing.

Where it cannot be decided whether an item is enabled (its condition cannot be compared, or its expression
cannot be evaluated), it is neither enabled nor disabled, and so is everything that depends on it. Its answers
count as given, and it is never closed: unknown is not no.

There are two ways to the same result. `EnableWhenTable` works on bits, two integers in and two out,
where every item occurs at most once: the accept path and the guidance use it. `set_enabled` works on
the occurrences of a paired response, repeating groups included: the full check uses it. Both evaluate
a single condition with `holds`.

Source: FHIR R4 Questionnaire.item.enableWhen and enableWhen.question; SDC validation rules;
http://hl7.org/fhir/R4/valueset-questionnaire-enable-operator.html: a condition holds when *at least
one* answer stands in the named relation to the expected one; `exists` compares whether there is an
answer at all. The order of evaluation is Kahn's algorithm, https://doi.org/10.1145/368996.369025
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, ge, gt, le, lt

import msgspec

from service.datatypes.answers import Answer
from service.datatypes.values import replace
from service.questionnaire.items import DISPLAY, EnableWhen, Item
from service.questionnaire.pairing import Container, Occurrence, PairedResponse
from service.questionnaire.values import answers_equal, possible_signs

_COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {">": gt, "<": lt, ">=": ge, "<=": le}
_TEXTS = frozenset({"string", "text", "url"})


# One condition.


def holds(condition: EnableWhen, answers: Sequence[Answer], type_: str) -> bool | None:
    """Returns whether the condition holds for these answers of a question of this item type.

    Returns:
        None where units, precision, a comparator or an answer that cannot be read do not allow to tell, or
        where the condition itself cannot be read. An answer that cannot be read exists all the same.
    """
    expected = condition.expected
    if expected is None:
        return None
    if condition.operator == "exists":
        return (len(answers) > 0) is expected
    return _any_of([_compares(condition.operator, answer, expected, type_) for answer in answers])


def _any_of(verdicts: Sequence[bool | None]) -> bool | None:
    """Returns whether one of several holds; None if that depends on one that is undecided."""
    return True if True in verdicts else None if None in verdicts else False


def _all_of(verdicts: Sequence[bool | None]) -> bool | None:
    """Returns whether all of several hold; None if that depends on one that is undecided."""
    return False if False in verdicts else None if None in verdicts else True


def is_decidable(condition: EnableWhen, items: Mapping[str, Item]) -> bool:
    """Returns whether the condition can be read, and names a question of the form."""
    return condition.expected is not None and condition.question in items


def holds_unanswered(condition: EnableWhen) -> bool:
    """Returns whether the condition holds exactly when its question has no answer."""
    return condition.operator == "exists" and condition.expected is False


def _compares(operator: str, answer: Answer, expected: Answer, type_: str) -> bool | None:
    if operator in ("=", "!="):
        exactly = type_ in _TEXTS and isinstance(answer, str)
        equal = answer == expected if exactly else answers_equal(answer, expected)
        return equal if equal is None or operator == "=" else not equal
    if type_ in _TEXTS and isinstance(answer, str) and isinstance(expected, str):
        return _COMPARISONS[operator]((answer > expected) - (answer < expected), 0)
    verdicts = {_COMPARISONS[operator](sign, 0) for sign in possible_signs(answer, expected)}
    return verdicts.pop() if len(verdicts) == 1 else None


# The order of evaluation.


def evaluation_order(items: Mapping[str, Item]) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Returns all items, each after its parent and the questions it depends on, and the linkIds in circles.

    A question that stands inside a conditional group depends on that group as well. Items whose
    conditions run in a circle follow at the end in document order.
    """
    needs = {link: needed_links(item) & items.keys() for link, item in items.items()}
    dependents: dict[str, list[str]] = {link: [] for link in items}
    for link, needed in needs.items():
        for other in needed:
            dependents[other].append(link)
    missing = {link: len(needed) for link, needed in needs.items()}
    ready = [link for link, count in missing.items() if count == 0][::-1]
    ordered: list[Item] = []
    while ready:
        link = ready.pop()
        ordered.append(items[link])
        for dependent in reversed(dependents[link]):
            missing[dependent] -= 1
            if missing[dependent] == 0:
                ready.append(dependent)
    reached = {item.link_id for item in ordered}
    circular = tuple(link for link in items if link not in reached)
    return (*ordered, *(items[link] for link in circular)), circular


def needed_links(item: Item) -> set[str]:
    """Returns the linkIds that decide whether an item is enabled: its parent and the questions it names."""
    needed = {condition.question for condition in item.enable_when}
    if item.parent is not None:
        needed.add(item.parent)
    return needed - {item.link_id}


# By bits, where every item occurs at most once. Items are numbered by their order. Conditions are
# numbered by the order of their questions, so those that read a subtree are a contiguous run of bits.


class ConditionalItem(msgspec.Struct, frozen=True):
    """An item with conditions, in bits.

    Args:
        item: bit of the item; `subtree`: bits of the item and all below it.
        conditions: bits of its conditions. `any`: one of them is enough.
        reading: conditions of other items that read questions of the subtree, without `reading_unanswered`.
        reading_unanswered: the same for conditions that hold when there is no answer.
        links: linkIds of the subtree, without display items.
    """

    item: int
    subtree: int
    conditions: int
    any: bool
    reading: int
    reading_unanswered: int
    links: frozenset[str]


class ReadQuestion(msgspec.Struct, frozen=True):
    """A question that conditions read: its item type, and (condition, its bit) each."""

    type: str
    conditions: tuple[tuple[EnableWhen, int], ...]


class EnableWhenTable(msgspec.Struct, frozen=True):
    """All conditions of a Questionnaire, in bits.

    Args:
        conditional: items with conditions, each after what it depends on; those that stand below the same one
            and have the same conditions as one, unless some condition holds when there is no answer.
        by_question: by linkId of the question that conditions read.
        unanswered: conditions that hold when there is no answer. undecided: those that can never be decided.
        links: linkIds of all items, by order.
    """

    conditional: tuple[ConditionalItem, ...]
    by_question: Mapping[str, ReadQuestion]
    unanswered: int
    undecided: int
    links: tuple[str, ...]

    def evaluate(self, question: str, answers: Sequence[Answer]) -> tuple[int, int]:
        """Returns bits of the conditions that hold for these answers, and of those that are known.

        A condition that cannot be decided for them is true, and not known.
        """
        read = self.by_question.get(question)
        if read is None:
            return 0, 0
        true = known = 0
        for condition, bit in read.conditions:
            verdict = holds(condition, answers, read.type)
            known |= bit if verdict is not None else 0
            true |= bit if verdict is not False else 0
        return true, known

    def disabled_and_closed(self, true: int, known: int) -> tuple[int, frozenset[str]]:
        """Returns bits of the disabled items, and the linkIds of the items closed for certain.

        Args:
            true: conditions that hold for the answers given, disabled items included; undecided ones too.
            known: conditions whose question is answered in a comparable way.
        """
        yes, no = true & known, known & ~true
        true |= (self.unanswered & ~known) | self.undecided
        disabled = closed = 0
        links: list[frozenset[str]] = []
        for entry in self.conditional:
            if not entry.item & ~closed:
                continue
            holds_now = true & entry.conditions if entry.any else not entry.conditions & ~true
            if holds_now and not (self.unanswered and disabled & entry.item):
                if self.unanswered and not _is_certain(entry, yes):
                    no &= ~entry.reading_unanswered
                    yes &= ~(entry.reading | entry.reading_unanswered)
                continue
            disabled |= entry.subtree
            true = (true | entry.reading_unanswered) & ~entry.reading
            if not entry.conditions & ~no if entry.any else no & entry.conditions:
                closed |= entry.subtree
                links.append(entry.links)
                no = (no | entry.reading) & ~entry.reading_unanswered
                yes = (yes | entry.reading_unanswered) & ~entry.reading
            else:
                no &= ~(entry.reading | entry.reading_unanswered)
                yes &= ~(entry.reading | entry.reading_unanswered)
        return disabled, frozenset().union(*links)

    def links_of(self, bits: int) -> frozenset[str]:
        """Returns the linkIds of items given as bits."""
        return frozenset(link for order, link in enumerate(self.links) if bits >> order & 1)


def _is_certain(entry: ConditionalItem, yes: int) -> bool:
    """Returns whether the item stays enabled whatever is still answered."""
    return bool(yes & entry.conditions) if entry.any else not entry.conditions & ~yes


def compile_enable_when(items: Mapping[str, Item], ordered: Iterable[Item]) -> EnableWhenTable:
    """Compiles all conditions to bits; `ordered` has every item after what it depends on."""
    conditions = sorted(
        {condition for item in items.values() for condition in item.enable_when},
        key=lambda condition: _question_order(condition, items),
    )
    bits = {condition: 1 << position for position, condition in enumerate(conditions)}
    question_orders = [_question_order(condition, items) for condition in conditions]
    unanswered = sum(bit for condition, bit in bits.items() if holds_unanswered(condition))
    undecided = sum(bit for condition, bit in bits.items() if not is_decidable(condition, items))
    links = tuple("" if item.type == DISPLAY else link for link, item in items.items())
    conditional = [
        (_nearest_above(item, items), _conditional_item(item, links, bits, question_orders, unanswered))
        for item in ordered
        if item.enable_when
    ]
    return EnableWhenTable(
        conditional=tuple(entry for _, entry in conditional) if unanswered else _together(conditional),
        by_question=_read_questions(items, bits),
        unanswered=unanswered,
        undecided=undecided,
        links=tuple(items),
    )


def _nearest_above(item: Item, items: Mapping[str, Item]) -> str | None:
    """Returns the nearest item with conditions that an item stands in."""
    above = item.parent
    while above is not None and not items[above].enable_when:
        above = items[above].parent
    return above


def _together(conditional: Iterable[tuple[str | None, ConditionalItem]]) -> tuple[ConditionalItem, ...]:
    """Returns items that stand below the same one, and have the same conditions, as one item.

    It stands where the first of them stood. Whatever changes their conditions, or holds them, comes before
    that; what is in them, or reads it, comes after them: in between nothing has to do with them.
    """
    found: dict[tuple[str | None, int, bool], ConditionalItem] = {}
    for above, entry in conditional:
        same = found.setdefault((above, entry.conditions, entry.any), entry)
        if same is not entry:
            found[above, entry.conditions, entry.any] = replace(
                same,
                item=same.item | entry.item,
                subtree=same.subtree | entry.subtree,
                reading=same.reading | entry.reading,
                links=same.links | entry.links,
            )
    return tuple(found.values())


def _question_order(condition: EnableWhen, items: Mapping[str, Item]) -> int:
    item = items.get(condition.question)
    return item.order if item is not None else len(items)


def _read_questions(items: Mapping[str, Item], bits: Mapping[EnableWhen, int]) -> dict[str, ReadQuestion]:
    by_question: dict[str, list[tuple[EnableWhen, int]]] = {}
    for condition, bit in bits.items():
        by_question.setdefault(condition.question, []).append((condition, bit))
    return {
        link: ReadQuestion(items[link].type, tuple(conditions))
        for link, conditions in by_question.items()
        if link in items
    }


def _conditional_item(
    item: Item,
    links: tuple[str, ...],
    bits: Mapping[EnableWhen, int],
    question_orders: Sequence[int],
    unanswered: int,
) -> ConditionalItem:
    first, end = bisect_left(question_orders, item.order), bisect_left(question_orders, item.end)
    reading = (1 << end) - (1 << first)
    return ConditionalItem(
        item=1 << item.order,
        subtree=(1 << item.end) - (1 << item.order),
        conditions=sum({bits[condition] for condition in item.enable_when}),
        any=item.enable_any,
        reading=reading & ~unanswered,
        reading_unanswered=reading & unanswered,
        links=frozenset(links[item.order : item.end]) - {""},
    )


# By occurrences, where items occur several times. Where the question of a condition occurs several
# times, the nearest one counts: first an ancestor, then the last one before, then the first one after.

ExpressionHolds = Callable[[Occurrence], bool | None]
"""Whether the enableWhenExpression of an occurrence holds; empty is False, None is undecided."""

_Verdict = tuple[bool | None, int]
"""Whether something holds now (None: undecided), and 1, -1 or 0 as it is true, false or neither for good."""


def set_enabled(
    paired: PairedResponse,
    items: Mapping[str, Item],
    ordered: Iterable[Item],
    expression_holds: ExpressionHolds,
) -> None:
    """Sets `enabled` and `certain` of every occurrence.

    Args:
        ordered: all items, each after its parent and the questions it depends on.
    """
    for item in ordered:
        for occurrence in paired.by_link[item.link_id]:
            occurrence.enabled, occurrence.certain = _state(occurrence, items, paired, expression_holds)


def _state(
    occurrence: Occurrence,
    items: Mapping[str, Item],
    paired: PairedResponse,
    expression_holds: ExpressionHolds,
) -> _Verdict:
    item, owner = occurrence.item, occurrence.container.owner
    enabled: bool | None = True
    certain = 1
    if item.enable_when:
        verdicts = [_verdict(condition, occurrence, items, paired) for condition in item.enable_when]
        enabled = (_any_of if item.enable_any else _all_of)([verdict[0] for verdict in verdicts])
        certain = (max if item.enable_any else min)(verdict[1] for verdict in verdicts)
    if owner is not None:
        if owner.enabled is not True:
            enabled = _all_of((enabled, owner.enabled))
        certain = min(certain, owner.certain)
    if item.enable_expression:
        certain = min(certain, 0)
        if enabled is not False:
            enabled = _all_of((enabled, expression_holds(occurrence)))
    return enabled, certain


def _verdict(
    condition: EnableWhen, occurrence: Occurrence, items: Mapping[str, Item], paired: PairedResponse
) -> _Verdict:
    unanswered = holds_unanswered(condition)
    question = items.get(condition.question)
    found, may_multiply = _nearest(question, occurrence, paired) if question is not None else (None, False)
    if question is None or not is_decidable(condition, items):
        return None, 0
    if found is None:
        return unanswered, 0
    answers = found.answers if found.enabled is not False else ()
    verdict = holds(condition, answers, question.type)
    if found.enabled is None and (not answers or verdict is not unanswered):
        return None, 0
    if found.certain < 0:
        return verdict, _sign(truth=unanswered)
    if not answers or verdict is None or may_multiply or (found.certain == 0 and verdict is not unanswered):
        return verdict, 0
    return verdict, _sign(truth=verdict)


def _sign(*, truth: bool) -> int:
    return 1 if truth else -1


def _nearest(
    question: Item, occurrence: Occurrence, paired: PairedResponse
) -> tuple[Occurrence | None, bool]:
    """Returns the nearest occurrence of a question, and whether further ones could come nearer."""
    found = paired.by_link[question.link_id]
    if len(found) == 1 and found[0].container is occurrence.container:
        return found[0], False
    container = occurrence.container
    while container.owner is not None and not _contains(container.owner.item, question):
        container = container.owner.container
    owner = container.owner
    if owner is not None and owner.item is question:
        return owner, False
    first, end = (owner.position, owner.end) if owner is not None else (0, len(paired.occurrences) + 1)
    by_position = attrgetter("position")
    low, high = (bisect_left(found, position, key=by_position) for position in (first, end))
    before = bisect_left(found, occurrence.position, low, high, key=by_position)
    if low == high:
        return None, False
    nearest = found[before - 1] if before > low else found[before]
    return nearest, _repeats_between(container, nearest)


def _contains(item: Item, other: Item) -> bool:
    return item.order <= other.order < item.end


def _repeats_between(container: Container, occurrence: Occurrence) -> bool:
    """Returns whether an item repeats on the way from a container down to an occurrence in it."""
    owner = occurrence.container.owner
    while owner is not None and owner is not container.owner:
        if owner.item.repeats:
            return True
        owner = owner.container.owner
    return False
