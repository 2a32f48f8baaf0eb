"""The cards of one call: the result of the latest response, or that the chart gives a reason for one.

A card has a reason: a code in the chart, or a response. Its uuid is made of that reason, so the same card has
the same uuid until something changes, and who said no to it is not shown it again before.

Nothing of the input becomes markup: the summary is one plain line, and in the detail every character that
GitHub Flavored Markdown or HTML reads is escaped.

Source:
    CDS Hooks 2.0.1, section "CDS Service Response"; invariants cds-resp-1 to cds-resp-7.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

import msgspec

from service.assess import Assessor, Outlined
from service.cds_hooks.requests import Call
from service.cds_hooks.services import RESPONSES, CdsService
from service.cds_hooks.triggers import OverrideReason
from service.datatypes.days import day_of
from service.errors import Malformed, NotScorable, TooLarge
from service.fhir.extensions import text
from service.fhir.json import Json, decoded
from service.languages import ENGLISH, Words, chosen, languages, words_in
from service.questionnaire import COMPLETE_STATUSES

MOST_SUMMARY: Final = 139
"""Longest summary in code points: the specification wants fewer than 140."""

_CARDS: Final = UUID("6a4d9c0e-5b1f-5d0c-9a6a-0f4a9c8b7e21")
_MARKUP: Final = re.compile(r"([#$*@\[\\\]^_`{|}~]|^[-+]|(?<=[wW]{3})\.|:(?=[^\s\d]))")
"""What starts something in GitHub Flavored Markdown: a colon in a link does, one in a sentence does not."""
_NUMBERED: Final = re.compile(r"^(\d+)([.)])")
_ENTITIES: Final = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\s]+")

_OTHER_ZONES: Final = timedelta(1)
_MOST_LABEL: Final = 60
_OFFERED, _SILENT = -1, -2
_UNSCORED: Final = "unscored"
_UNREAD: Final = "unread"

SUGGESTIONS: Final = ("keep", "keep-and-refer")
"""Names of what a card may suggest; the uuid of a suggestion is made of the card's and of its name."""


class ShownCard(NamedTuple):
    """A card that is about to be shown.

    Args:
        tenant: whose it is.
        patient: the id of the patient that it is about.
        guidance: canonical of its guidance.
        says: code of the step of care that it tells of, or why it offers the form.
        uuid: the same until something changes.
    """

    tenant: str
    patient: str
    guidance: str
    says: str
    uuid: str


Shows = Callable[[ShownCard], bool]
"""Says whether a card is to be shown: not where somebody said no to it."""


class Links(msgspec.Struct, frozen=True):
    """Where the form opens.

    Args:
        base: the FHIR base of this service.
        launch_url: where EHRs launch the app.
        forms: names of the mapping folders whose forms they launch.
    """

    base: str
    launch_url: str = ""
    forms: frozenset[str] = frozenset()


class _Made(NamedTuple):
    """The card of one response, and how it stands beside those of others.

    Args:
        rank: the place of its step, or below.
        card: None for none.
        says: code of its step, or why it offers the form.
        stands_alone: it is of a safety step, beside which nothing is offered.
    """

    rank: int
    card: dict[str, Any] | None
    says: str = ""
    stands_alone: bool = False


class Cards:
    """Makes the cards of a call.

    Args:
        assessor: scores the response.
        links: where the form opens.
        today: the day.
        shows: whether a card is to be shown; None where nothing is kept: always.
    """

    def __init__(
        self,
        assessor: Assessor,
        links: Links,
        today: Callable[[], date],
        shows: Shows | None = None,
    ) -> None:
        self._assessor = assessor
        self._links = links
        self._today = today
        self._shows = shows

    def answer(self, call: Call, wanted: tuple[str, ...] = ()) -> dict[str, Any]:
        """Returns the whole answer to a call; raises Unavailable where there is too much to score at once.

        Args:
            call: the call.
            wanted: language ranges, the dearest first; an empty one stands for that of the response.
        """
        cards = [(made.card, made.says) for made in self._made(call, wanted) if made.card is not None]
        return {"cards": [card for card, says in cards if self._is_shown(call, card, says)]}

    def _is_shown(self, call: Call, card: Mapping[str, Any], says: str) -> bool:
        if self._shows is None:
            return True
        guidance, patient = call.service.pair.guidance.written.identity.canonical, call.brought.patient
        return self._shows(ShownCard(call.caller, patient, guidance, says, card["uuid"]))

    def _made(self, call: Call, wanted: tuple[str, ...]) -> Sequence[_Made]:
        """Returns the card that comes first of all responses that may be the latest.

        One that cannot be scored may be the latest as well, and hold anything: its card stands beside a
        result, but not beside that of a safety step, where no form is offered. Nor does a form that somebody
        has only begun take back a finished result that is more urgent.
        """
        if not call.brought.is_alive:
            return ()
        responses = call.brought.responses
        stated = str(decoded(responses[0]).get("language", "")) if responses else ""
        ranges = [language or stated for language in wanted] or [stated]
        words = words_in(chosen(filter(None, ranges), languages(), ENGLISH))
        draft = _Draft(call, self._links, words)
        if not responses:
            return (draft.without_response(),)
        made = self._of_responses(draft, call.brought.responses, wanted)
        finished = self._of_responses(draft, call.brought.finished, wanted)
        first = max(made, key=lambda one: one.rank)
        above = [one for one in finished if one.rank > max(first.rank, _OFFERED)]
        if above:
            most = max(above, key=lambda one: one.rank)
            return (most,) if most.stands_alone else (most, first)
        if first.says == _UNSCORED or first.stands_alone:
            return (first,)
        return first, *[one for one in made if one.says == _UNSCORED][:1]

    def _of_responses(self, draft: _Draft, bodies: Sequence[bytes], wanted: tuple[str, ...]) -> list[_Made]:
        # Each may be the latest: with a new one beside it, a card is another one.
        reason = sorted(found.decode() for found in bodies)
        return [self._of_response(draft, body, reason, wanted) for body in bodies]

    def _of_response(self, draft: _Draft, body: bytes, bodies: list[str], wanted: tuple[str, ...]) -> _Made:
        time.sleep(0)  # others have their turn
        response, reason, brought = decoded(body), [*bodies], draft.call.brought
        earlier = tuple(one for one in brought.earlier if one != body)
        try:
            outlined = self._assessor.outlined(body, wanted or ("",), brought.chart, earlier)
        except (Malformed, NotScorable, TooLarge):
            card = draft.offer(_UNSCORED, draft.words["cards.unscored-detail"], reason)
            return _Made(_OFFERED, card, _UNSCORED)
        reason += [*outlined.chart, *outlined.changes, *brought.recorded, outlined.code]
        if outlined.recheck_days < 0 or not outlined.is_final:
            card = draft.result(response, outlined, reason)
            return _Made(outlined.rank, card, outlined.code, outlined.is_overlay)
        if self._may_rest(response, outlined.recheck_days):
            return draft.unread(reason) if brought.unread else _Made(_SILENT, None)
        card = draft.offer("again", draft.words["cards.again-detail"], [*reason, "again"])
        return _Made(_OFFERED, card, "again")

    def _may_rest(self, response: Json, days: int) -> bool:
        """Says whether the day on which to look again lies ahead; not where nobody knows when that is."""
        day, today = day_of(str(response.get("authored", ""))), self._today()
        return day is not None and day <= today + _OTHER_ZONES and today - day < timedelta(days)


class _Draft(msgspec.Struct, frozen=True):
    """What the cards of one call have in common."""

    call: Call
    links: Links
    words: Words

    @property
    def form(self) -> str:
        """What people call the form, in the language of the card."""
        return self.call.service.title_in(self.words.language)

    def without_response(self) -> _Made:
        """Returns what is shown where no response was found: nothing, without a reason for one."""
        brought = self.call.brought
        if brought.reasons:
            card = self.offer("missing", self.words["cards.reasons"], brought.reasons)
            return _Made(_OFFERED, card, "missing")
        return self.unread(()) if RESPONSES in brought.unread else _Made(_OFFERED, None, "missing")

    def unread(self, reason: Iterable[str]) -> _Made:
        """Returns the card that stands where there would be none, had all been read."""
        return _Made(_OFFERED, self.offer(_UNREAD, "", reason), _UNREAD)

    def _unread_lines(self) -> list[str]:
        """Returns a line for each search of which not all was read, where that may change what is shown."""
        brought = self.call.brought
        shown = [key for key in brought.unread if key == RESPONSES or brought.responses]
        return [self.words[f"cards.unread-{key}"] for key in shown]

    def offer(self, kind: str, detail: str, reason: Iterable[str]) -> dict[str, Any]:
        """Returns a card that offers the form."""
        summary = plain(self.words[f"cards.{kind}"].format(form=self.form))
        told = " ".join(filter(None, (detail, *self._unread_lines())))
        card = self._card(kind, summary, "info", escaped(told), reason)
        return card | self._link()

    def result(self, response: Json, outlined: Outlined, reason: Iterable[str]) -> dict[str, Any]:
        """Returns the card of a result; an unfinished form is offered, unless nobody may wait."""
        finished = response.get("status") in COMPLETE_STATUSES
        name = "result" if finished else "preliminary"
        detail = "\n".join(f"- {escaped(line)}" for line in self._lines(outlined))
        card = self._card(name, self._summary(name, outlined), _indicator(outlined), detail, reason)
        if finished:
            card |= self._suggestions(card["uuid"], outlined)
        if not outlined.is_final and not outlined.is_overlay:
            card |= self._link()
        return card

    def _summary(self, name: str, outlined: Outlined) -> str:
        """Returns the form and the step, without dates or form if they would not fit.

        Both stand elsewhere on the card; what could still raise the step must not be cut off.
        """
        words, bare = self.words[f"cards.{name}"], outlined.steps[-1]
        lines = (*[words.format(form=self.form, step=step) for step in outlined.steps], bare)
        return plain(next((line for line in lines if len(line) <= MOST_SUMMARY), bare))

    def _lines(self, outlined: Outlined) -> list[str]:
        """Returns the lines of the result, and those about what of the record it does not count.

        At a safety step that is left out: what to do now stands alone.
        """
        recorded = self.call.brought.recorded
        lines, labels = outlined.text.splitlines(), _labels(outlined)
        if labels:
            lines.append(self.words["cards.labelled"].format(labels="; ".join(labels)))
        if outlined.is_overlay:
            return lines
        if recorded:
            lines.append(self.words["cards.recorded"].format(names="; ".join(recorded)))
        return lines + self._unread_lines()

    def _card(
        self, kind: str, summary: str, indicator: str, detail: str, reason: Iterable[str]
    ) -> dict[str, Any]:
        service = self.call.service
        card: dict[str, Any] = {
            "uuid": card_uuid(self.call, kind, reason),
            "summary": summary,
            "detail": detail,
            "indicator": indicator,
            "source": self._source(service),
        }
        reasons = service.triggers.override_reasons
        if reasons:
            card["overrideReasons"] = [
                {"system": found.system, "code": found.code, "display": self._worded(found)}
                for found in reasons
            ]
        return card

    def _worded(self, reason: OverrideReason) -> str:
        return reason.translations.get(self.words.language, reason.display)

    def _source(self, service: CdsService) -> dict[str, Any]:
        spoken = service.pair.further.get(self.words.language, service.pair)
        identity, form = spoken.guidance.written.identity, service.pair.compiled.resource
        label = self.words["cards.source"].format(title=identity.title, version=identity.version)
        source: dict[str, Any] = {"label": label, "url": f"{self.links.base}/Questionnaire/{form['id']}"}
        topics = [coding for coding in form.get("code", ()) if coding.get("code")]
        if topics:
            source["topic"] = {
                key: topics[0][key] for key in ("system", "code", "display") if key in topics[0]
            }
        return source

    def _link(self) -> dict[str, Any]:
        slug = self.call.service.pair.slug
        if slug not in self.links.forms:
            return {}
        context = msgspec.json.encode({"form": slug}).decode()
        link = {"label": self.words["cards.open"], "url": self.links.launch_url, "type": "smart"}
        return {"links": [link | {"appContext": context}]}

    def _suggestions(self, uuid: str, outlined: Outlined) -> dict[str, Any]:
        """Returns the suggestions: to record the result, and to draft its referrals with it."""
        resources = [entry["resource"] for entry in decoded(outlined.bundle)["entry"]]
        risks = [_alone(found) for found in resources if found["resourceType"] == "RiskAssessment"]
        orders = [_alone(found) for found in resources if found["resourceType"] == "ServiceRequest"]
        keep = [self._creates("keep-action", risk) for risk in risks]
        refer = [self._creates("refer-action", order | {"status": "draft"}) for order in orders]
        offers = [*zip(SUGGESTIONS, (keep, [*keep, *refer]), strict=True)][: 2 if refer else 1]
        listed: list[dict[str, Any]] = [
            {"label": self.words[f"cards.{name}"], "uuid": str(uuid5(UUID(uuid), name)), "actions": actions}
            for name, actions in offers
        ]
        listed[-1]["isRecommended"] = True
        return {"suggestions": listed, "selectionBehavior": "at-most-one"}

    def _creates(self, words: str, resource: Json) -> dict[str, Any]:
        return {"type": "create", "description": self.words[f"cards.{words}"], "resource": resource}


def card_uuid(call: Call, kind: str, reason: Iterable[str]) -> str:
    """Returns the uuid of a card: the same for the same caller, patient, guidance and reason."""
    guidance = call.service.pair.guidance.written.identity
    told = [call.caller, call.brought.server, call.brought.patient, guidance.canonical, kind, *reason]
    return str(uuid5(_CARDS, msgspec.json.encode(told).decode()))


# How it is written.


def _indicator(outlined: Outlined) -> str:
    if outlined.is_overlay:
        return "critical"
    return "warning" if outlined.has_referral else "info"


def _labels(outlined: Outlined) -> list[str]:
    """Returns the security labels of all that a result was made from, by name."""
    if b'"security"' not in outlined.bundle:
        return []
    labels = decoded(outlined.bundle).get("meta", {}).get("security", ())
    return [(text(label.get("display")) or text(label.get("code")))[:_MOST_LABEL] for label in labels]


def _alone(resource: Json) -> dict[str, Any]:
    """Returns a resource without references to others of its Bundle: an EHR creates it by itself."""
    kept = {
        key: [found for found in value if not _is_beside(found)] if isinstance(value, list) else value
        for key, value in resource.items()
    }
    return {key: value for key, value in kept.items() if value not in ([], None)}


def _is_beside(value: object) -> bool:
    return isinstance(value, Mapping) and str(value.get("reference", "")).startswith("urn:uuid:")


def plain(text: str) -> str:
    """Returns a text as one line that is short enough for a summary."""
    line = _CONTROL.sub(" ", text).strip()
    return line if len(line) <= MOST_SUMMARY else f"{line[: MOST_SUMMARY - 1].rstrip()}…"


def escaped(text: str) -> str:
    """Returns a text as Markdown that shows it and nothing else: no link, no image, no HTML."""
    line = _CONTROL.sub(" ", text).strip()
    return _NUMBERED.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", line)).translate(_ENTITIES)
