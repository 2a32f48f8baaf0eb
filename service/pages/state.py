"""What was answered so far: it travels signed with each page, and nothing of it stays on the server.

Whoever fills in a form may read it: these are their own answers. Nobody can change it unnoticed, and after
the maximum age it is not taken any more. It is written small, because it goes with every page: answers are
numbers of items and options of the very Questionnaire whose fingerprint it carries, with the options that its
value sets had.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import msgspec
import orjson
from itsdangerous import BadData, URLSafeSerializer

from service.datatypes.answers import Answer, AnswersByLink, Coding, Quantity, Uncoded
from service.fhir.json import Json
from service.questionnaire import CompiledQuestionnaire, Item

_LOG: Final = logging.getLogger("service.start")
_KEY_BYTES: Final = 32
_HOUR_S: Final = 3600
_SALT: Final = "questionnaire-form"
_LAYOUT: Final = 4
"""Changes whenever what is written below changes."""
_FINGERPRINT: Final = 12

IN_PROGRESS, COMPLETED, AMENDED = "in-progress", "completed", "amended"


class FormState(msgspec.Struct, frozen=True):
    """What one person has answered so far, and how far they are.

    Args:
        form: random id of this filling in.
        language: of the pages (BCP 47).
        parent: origin of the page that shows the form in a frame; empty where none does.
        answers: by linkId, of questions that are enabled.
        offered: by linkId, what is filled in once the question is asked.
        sources: by linkId, the extension that says from where an answer was filled in.
        head: elements of an earlier response that this one goes on with; under `earlier` what is known of
            those that it is compared with.
        seen: questions that were asked, and then answered or passed over.
        respondent: who fills in, where the form does not ask it itself: self, other or empty.
        reviewing: the answers were checked once; what is changed now leads back there.
        is_stopping: a safety step is reached.
        status: of the response; authored: when it was finished, empty until then.
        is_short: only what can still change the result is asked.
        trail: names of the pages that were sent so far, in that order; a short form alone needs them.
        begun: when the oldest answer was given (FHIR dateTime); empty where nobody knows.
        unread: by name of the control, what was typed and is no answer; it stands in its box again, and is
            nowhere else.
    """

    form: str
    language: str
    parent: str = ""
    answers: AnswersByLink = msgspec.field(default_factory=dict)
    offered: AnswersByLink = msgspec.field(default_factory=dict)
    sources: Mapping[str, Json] = msgspec.field(default_factory=dict)
    head: Json = msgspec.field(default_factory=dict)
    seen: frozenset[str] = frozenset()
    respondent: str = ""
    reviewing: bool = False
    is_stopping: bool = False
    status: str = IN_PROGRESS
    authored: str = ""
    is_short: bool = False
    trail: tuple[str, ...] = ()
    begun: str = ""
    unread: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)


class StateRefused(Exception):
    """A state that is not taken: `bad`, `old` or of `other` Questionnaire or version."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StateSeal:
    """Signs states, and opens those that are signed.

    Args:
        keys: the first one signs, all are taken.
        max_age_s: seconds after which a state is too old.
        now: tells the time.
    """

    def __init__(self, keys: Sequence[str], max_age_s: int, now: Callable[[], datetime]) -> None:
        self._max_age_s = max_age_s
        self._now = now
        oldest_first = [*reversed(keys)]
        how = {"key_derivation": "hmac", "digest_method": sha256}
        self._serializer = URLSafeSerializer(oldest_first, _SALT, orjson, signer_kwargs=how)

    def sealed(self, state: FormState, written: StateWriter) -> str:
        """Returns a state as text that is safe in HTML."""
        at = int(self._now().timestamp())
        sealed: bytes | str = self._serializer.dumps(
            [_LAYOUT, written.fingerprint, at, *written.parts(state)]
        )
        return sealed.decode() if isinstance(sealed, bytes) else sealed

    def opened(self, text: str, written: StateWriter) -> FormState:
        """Returns the state of a text; raises StateRefused."""
        try:
            layout, fingerprint, at, *parts = self._serializer.loads(text)
        except (BadData, ValueError, TypeError) as fault:
            raise StateRefused("bad") from fault
        if self._now().timestamp() - at > self._max_age_s:
            raise StateRefused("old")
        if layout != _LAYOUT or fingerprint != written.fingerprint:
            raise StateRefused("other")
        return written.state(parts)


def seal_from(keys: Sequence[str], max_age_h: int, now: Callable[[], datetime]) -> StateSeal:
    """Returns the seal that signs the pages; without keys it makes one, which lasts until the next start.

    It is made before workers fork, so that all of them have the same; other machines have another.
    """
    if not keys:
        note = "SERVICE_FORM_KEYS is not set: forms that are being filled in do not outlast this process."
        _LOG.warning({"event": "form-keys", "note": note})
    return StateSeal(keys or (secrets.token_urlsafe(_KEY_BYTES),), max_age_h * _HOUR_S, now)


class StateWriter:
    """Writes the states of one Questionnaire as small plain values, and reads them."""

    def __init__(self, compiled: CompiledQuestionnaire) -> None:
        self._items = compiled.items
        self._links = tuple(compiled.items)
        resource = orjson.dumps(compiled.resource, default=str, option=orjson.OPT_SORT_KEYS)
        options = (item.options.choices for item in self._items.values() if item.options is not None)
        offered = [[(answer, choice.display) for answer, choice in one.items()] for one in options]
        self.fingerprint = sha256(resource + repr(offered).encode()).hexdigest()[:_FINGERPRINT]

    def parts(self, state: FormState) -> list[Any]:
        """Returns a state as plain values."""
        seen = sum(1 << self._items[link].order for link in state.seen)
        sources = {self._items[link].order: source for link, source in state.sources.items()}
        return [
            state.form,
            state.language,
            state.parent,
            self.plain(state.answers),
            self.plain(state.offered),
            [[order, source] for order, source in sources.items()],
            state.head,
            f"{seen:x}",
            state.respondent,
            4 * state.is_short + 2 * state.is_stopping + state.reviewing,
            state.status,
            state.authored,
            [self._items[link].order for link in state.trail],
            state.begun,
            *filter(None, [state.unread]),
        ]

    def plain(self, answers: AnswersByLink) -> list[list[Any]]:
        """Returns answers as plain values, each behind the number of its item."""
        return [
            [self._items[link].order, *(_written(self._items[link], answer) for answer in given)]
            for link, given in answers.items()
        ]

    def state(self, parts: Sequence[Any]) -> FormState:
        """Returns the state of plain values that `parts` has made."""
        form, language, parent, answers, offered, sources, head, seen, *rest = parts
        respondent, flags, status, authored, trail, begun, *unread = rest
        return FormState(
            form=form,
            language=language,
            parent=parent,
            answers=self.answers(answers),
            offered=self.answers(offered),
            sources={self._links[order]: source for order, source in sources},
            head=head,
            seen=frozenset(self._links_in(int(seen, 16))),
            respondent=respondent,
            reviewing=bool(flags & 1),
            is_stopping=bool(flags & 2),
            status=status,
            authored=authored,
            is_short=bool(flags & 4),
            trail=tuple(self._links[order] for order in trail),
            begun=begun,
            unread=dict(*unread),
        )

    def answers(self, plain: Iterable[Sequence[Any]]) -> AnswersByLink:
        """Returns the answers of plain values that `plain` has made."""
        return {self._links[order]: self._read(order, given) for order, *given in plain}

    def _read(self, order: int, given: Iterable[Any]) -> tuple[Answer, ...]:
        item = self._items[self._links[order]]
        return tuple(_answer(item, value) for value in given)

    def _links_in(self, bits: int) -> Iterable[str]:
        return (link for order, link in enumerate(self._links) if bits >> order & 1)


def _written(item: Item, answer: Answer) -> Any:
    """Returns an answer as a plain value; an option is its place among the options."""
    options = () if item.options is None else tuple(item.options.choices)
    if answer in options:
        return options.index(answer)
    match answer:
        case Quantity(value, unit, comparator):
            return {"q": [str(value), unit, comparator]}
        case Coding(system, code):
            return {"c": [system, code]}
        case Uncoded(system, display):
            return {"u": [system, display]}
        case Decimal():
            return {"d": str(answer)}
        case _:
            return answer


def _answer(item: Item, value: Any) -> Answer:
    if not isinstance(value, dict):
        is_option = item.options is not None and isinstance(value, int)
        plain: Answer = tuple(item.options.choices)[value] if is_option and item.options else value
        return plain
    [(kind, content)] = value.items()
    match kind:
        case "q":
            return Quantity(Decimal(content[0]), content[1], content[2])
        case "c":
            return Coding(*content)
        case "u":
            return Uncoded(*content)
        case _:
            return Decimal(content)
