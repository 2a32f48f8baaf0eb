"""A second evaluator, slow and naive: it reads the YAML values each time and knows nothing of bits.

Values are True (present), False (absent) and None (unknown). It is written from the text of the
grammar, not from the engine, and shares no code with it beyond the classes of answers.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from service.datatypes.answers import Answer, Answers, Quantity
from service.datatypes.form import Form, Question

SECONDS = {"h": 3600, "d": 86400, "wk": 7 * 86400, "mo": Fraction(36525, 1200) * 86400}
MASS = {"ug/L": Fraction(1), "ng/mL": Fraction(1)}
AMOUNT = {"nmol/L": Fraction(1)}
PLAIN = {"1": Fraction(1), "{score}": Fraction(1)}
DIMENSIONS = (SECONDS, MASS, AMOUNT, PLAIN)

SMALL, LARGE = Fraction(1, 10**9), Fraction(10**12)

Value = bool | None


class Reference:
    """One response, evaluated as the grammar says, word by word."""

    def __init__(
        self, documents: Mapping[str, Any], form: Form, answers: Answers, *, only_what_fits: bool = False
    ) -> None:
        self.documents = documents
        self.form = form
        self.answers = answers
        self.words = documents["guidance"]["words"]
        self.parameters = documents["guidance"]["parameters"]
        self.whens = {entry["finding"]: entry for entry in documents["findings"]}
        self.forced: dict[str, Value] = {}
        self.unfit = self._unfit_values()
        rules = [rule["when"] for rule in documents["rules"] if self._alarms(rule)]
        self.raising = dict(pair for when in rules for pair in self._raising(when, present=False))
        values = [(entry, self._contradicts(entry)) for entry in documents["contradictions"]]
        self.holding = [contradiction for contradiction, value in values if value is True]
        possible = [contradiction for contradiction, value in values if value is None]
        self.forced = {name: None for contradiction in possible for name in contradiction["worse"]}
        self.forced |= {name: True for contradiction in self.holding for name in contradiction["worse"]}
        self.fitting: Reference | None = None
        if only_what_fits:
            self.raising, self.forced = {}, {}
        else:
            self.fitting = Reference(documents, form, answers, only_what_fits=True)

    def contradictions(self) -> list[str]:
        between = [part for contradiction in self.holding for part in contradiction["between"]]
        read = {part["answer"] for part in between if isinstance(part, dict) and "answer" in part}
        unfit = [f"unfit-{link}" for link in self.unfit if link not in read and self._raises(link)]
        return [contradiction["contradiction"] for contradiction in self.holding] + unfit

    def finding(self, name: str) -> Value:
        entry = self.whens[name]
        value = self.condition(entry["when"], present=entry.get("not-sure") == "present")
        if self.forced.get(name, False) is True:
            return True
        return None if name in self.forced and value is False else value

    def tier(self) -> tuple[str, str]:
        codes = [tier["tier"] for tier in self.documents["guidance"]["tiers"]]
        rules = [rule for rule in self.documents["rules"] if "tier" in rule]
        ends = []
        for wanted in ((True,), (True, None)):
            ranks = [codes.index(rule["tier"]) for rule in rules if self.rule(rule) in wanted]
            ends.append(codes[max([0, *ranks])])
        return ends[0], ends[1]

    def level(self, outcome: str) -> tuple[str, str]:
        ladder = next(
            entry for entry in self.documents["guidance"]["outcomes"] if entry["outcome"] == outcome
        )["levels"]
        reached: list[int] = []
        for rule in self.documents["rules"]:
            if rule.get("risk", {}).get("outcome") != outcome:
                continue
            value = self.rule(rule)
            if value is not False:
                reached.append(ladder.index(rule["risk"]["level"]))
            if value is True:
                break
        return ladder[min(reached)], ladder[max(reached)]

    def rule(self, rule: Mapping[str, Any]) -> Value:
        """What alarms holds with or without the answers that do not fit, what calms with and without."""
        if "otherwise" in rule:
            return True
        here = self.condition(rule["when"])
        if self.fitting is None:
            return here
        order = [False, None, True]
        both = sorted((here, self.fitting.condition(rule["when"])), key=order.index)
        alarms = self._alarms(rule)
        return here if alarms is None else both[1] if alarms else both[0]

    def _alarms(self, rule: Mapping[str, Any]) -> bool | None:
        """Whether the rule leads to a step, or to a level worse than otherwise; None: it is not said."""
        if "tier" in rule:
            return True
        outcomes = {entry["outcome"]: entry for entry in self.documents["guidance"]["outcomes"]}
        outcome = outcomes[rule["risk"]["outcome"]]
        (otherwise,) = (
            other["risk"]["level"]
            for other in self.documents["rules"]
            if "otherwise" in other and other["risk"]["outcome"] == outcome["outcome"]
        )
        above = outcome["levels"].index(rule["risk"]["level"]) - outcome["levels"].index(otherwise)
        return {"higher": above > 0, "lower": above < 0}.get(outcome.get("worse", ""))

    def due(self, *, possible: bool = False, tier: str = "") -> int | None:
        """The earliest date of the rules that fired, or could still; of one tier, if it is named."""
        wanted = (True, None) if possible else (True,)
        days = [
            self._days(rule)
            for rule in self.documents["rules"]
            if rule.get("tier", "") and tier in ("", rule["tier"]) and self.rule(rule) in wanted
        ]
        return min((day for day in days if day is not None), default=None)

    def _days(self, rule: Mapping[str, Any]) -> int | None:
        tiers = {entry["tier"]: entry for entry in self.documents["guidance"]["tiers"]}
        within = rule.get("within") or tiers[rule["tier"]].get("within")
        return None if within is None else int(self.parameters[within["parameter"]]["value"])

    def fired(self) -> list[str]:
        """The rules that hold; below the tier, those alone that hold with the answers that do not fit."""
        tier, _ = self.tier()
        held = [rule for rule in self.documents["rules"] if "tier" in rule and self.rule(rule) is True]
        return [rule["rule"] for rule in held if rule["tier"] == tier or self.condition(rule["when"]) is True]

    def total(self, name: str) -> tuple[Fraction, Fraction]:
        score = next(score for score in self.documents["scores"] if score["score"] == name)
        ranges = [self._part(part) for part in score["sum-of"]]
        return sum((low for low, _ in ranges), Fraction(0)), sum((high for _, high in ranges), Fraction(0))

    def _part(self, part: Any) -> tuple[Fraction, Fraction]:
        if isinstance(part, str):
            return self._added(part, {})
        if "answer" in part:
            return self._added(part["answer"], part)
        points, value = Fraction(part["points"]), self.condition(part["when"])
        reached = [points] * (value is not False) + [Fraction(0)] * (value is not True)
        return min(reached), max(reached)

    def row(self, row: Mapping[str, Any]) -> str:
        if "informs-only" in row:
            return "informs-only"
        left, right = (
            self.condition(row[side]["when"]) if "when" in row[side] else False for side in ("left", "right")
        )
        if left is True or right is True:
            return "both" if left is right else "left" if left is True else "right"
        not_done = self.condition(row["not-done"]) if "not-done" in row else False
        if not_done is True:
            return "not-done"
        return "open" if None in (left, right, not_done) else "neither"

    def advice(self) -> list[str]:
        shown, general = [], []
        for entry in self.documents["advice"]:
            if "when" not in entry:
                general.append(entry["advice"])
                continue
            value = self.condition(entry["when"])
            if value is True or (value is None and entry["group"] == "safety"):
                shown.append(entry["advice"])
        return shown + general

    def condition(  # noqa: PLR0911 - one line a word
        self, when: Any, *, present: bool = False, ignored: bool = False
    ) -> Value:
        if isinstance(when, str):
            return self.finding(when)
        if "answer" in when:
            return self._answer(when, present, ignored)
        if "score" in when:
            return self._score(when)
        if "unsure" in when:
            return self._unsure(when["unsure"])
        if "new-since-earlier" in when:
            return self._newly(when["new-since-earlier"], present)
        if "parameter" in when:
            return bool(self.parameters[when["parameter"]]["value"])
        if "tier-at-least" in when or "tier-at-most" in when or "level" in when:
            return self._result(when)
        return self._group(when, present)

    def _group(self, when: Mapping[str, Any], present: bool) -> Value:
        parts = next(when[word] for word in ("any", "all", "none", "not", "of") if word in when)
        values = [self.condition(part, present=present) for part in ([parts] if "not" in when else parts)]
        if "all" in when:
            return False if False in values else None if None in values else True
        if "at-least" in when:
            need = self.parameters[when["at-least"]["parameter"]]["value"]
            sure, maybe = values.count(True), values.count(True) + values.count(None)
            return True if sure >= need else False if maybe < need else None
        found = True if True in values else None if None in values else False
        return found if "any" in when else None if found is None else not found

    def _newly(self, parts: list[Any], present: bool) -> Value:
        """Of the conditions that an earlier response denied, whether one holds now."""
        before = [Reference(self.documents, self.form, answers) for answers in self.answers.earlier]
        denied = [part for part in parts if False in [one.condition(part, present=present) for one in before]]
        values = [self.condition(part, present=present) for part in denied]
        return True if True in values else None if None in values else False

    def _unsure(self, name: str) -> Value:
        """Whether somebody was unsure about a finding that tests one answer."""
        when = self.whens[name]["when"]
        values = self._values(when["answer"], ignored=False)
        if self.finding(name) is True:
            return False
        if values is None:
            return False if when["answer"] in self.answers.closed else None
        return None in [self._one(when, when["answer"], value, present=False) for value in values]

    def _values(self, link_id: str, ignored: bool) -> tuple[Answer, ...] | None:
        sources = [self.answers.given, self.answers.chart]
        if ignored:
            sources.append(self.answers.ignored)
        return next((source[link_id] for source in sources if source.get(link_id)), None)

    def _unfit_values(self) -> dict[str, tuple[Answer, ...]]:
        """Answers to questions that are not asked, and values of the chart beside an answer."""
        chart = {link: values for link, values in self.answers.chart.items() if self.answers.given.get(link)}
        return {**self.answers.ignored, **chart}

    def _raises(self, link_id: str) -> bool:
        """Whether what does not fit makes something worse than the answer that counts."""
        given = self.answers.given.get(link_id)
        return any(
            self._value_of(when, link_id, self.unfit[link_id], present) is True
            and not (given and self._value_of(when, link_id, given, present) is True)
            for when, present in self.raising.values()
            if when["answer"] == link_id
        )

    def _raising(self, when: Any, *, present: bool) -> list[tuple[str, tuple[Any, bool]]]:
        """The conditions on answers by which this condition is made to hold, not prevented."""
        if isinstance(when, str):
            entry = self.whens[when]
            return self._raising(entry["when"], present=entry.get("not-sure") == "present")
        if "answer" in when:
            return [(repr((sorted(when.items(), key=str), present)), (when, present))]
        parts = next((when[word] for word in ("any", "all", "of") if word in when), [])
        return [key for part in parts for key in self._raising(part, present=present)]

    def _answer(self, when: Mapping[str, Any], present: bool, ignored: bool) -> Value:
        link_id = when["answer"]
        values = self._values(link_id, ignored)
        value = self._value_of(when, link_id, values, present)
        if ignored:
            only = not self.answers.given.get(link_id) and not self.answers.chart.get(link_id)
            return value is True if only and values is not None else value
        key = repr((sorted(when.items(), key=str), present))
        unfit = self.unfit.get(link_id)
        if unfit and key in self.raising and self._value_of(when, link_id, unfit, present) is True:
            return True
        return value

    def _value_of(
        self, when: Mapping[str, Any], link_id: str, values: tuple[Answer, ...] | None, present: bool
    ) -> Value:
        if values is None:
            return False if link_id in self.answers.closed else None
        if "answered" in when:
            return True
        found = [self._one(when, link_id, value, present) for value in values]
        return True if True in found else None if None in found else False

    def _one(self, when: Mapping[str, Any], link_id: str, value: Answer, present: bool) -> Value:
        if "is" not in when:
            number = self._number(when, value)
            return True if present and number is None else number
        words = when["is"] if isinstance(when["is"], list) else [when["is"]]
        if isinstance(value, bool):
            return value in words
        options = {option.coding: option.coding.code for option in self.form.questions[link_id].options}
        if value not in options:
            return True if present else None
        code = options[value]
        if code in [self.words.get(word, word) for word in words]:
            return True
        if code == self.words["not-sure"]:
            return True if present else None
        return False

    def _number(self, when: Mapping[str, Any], value: Answer) -> Value:
        word = next(word for word in when if word != "answer")
        named = when[word]
        for name in named.get("parameters", [named.get("parameter")]):
            parameter = self.parameters[name]
            measured = value if isinstance(value, Quantity) else Quantity(Decimal(str(value)), "1")
            for dimension in DIMENSIONS:
                if measured.unit in dimension and parameter["unit"] in dimension:
                    mine = Fraction(measured.value) * dimension[measured.unit]
                    edge = Fraction(parameter["value"]) * dimension[parameter["unit"]]
                    found = {_beyond(word, one, edge) for one in _some_of(mine, measured.comparator, edge)}
                    return found.pop() if len(found) == 1 else None
        return None

    def _score(self, when: Mapping[str, Any]) -> Value:
        low, high = self.total(when["score"])
        if "band" in when:
            wanted = when["band"] if isinstance(when["band"], list) else [when["band"]]
            first, last = self.band(when["score"], low), self.band(when["score"], high)
            names = [band["band"] for band in self._bands(when["score"])]
            reached = names[names.index(first) : names.index(last) + 1]
            inside = [name in wanted for name in reached]
            return all(inside) if all(inside) or not any(inside) else None
        word = next(word for word in when if word != "score")
        edge = Fraction(self.parameters[when[word]["parameter"]]["value"])
        ends = {_beyond(word, low, edge), _beyond(word, high, edge)}
        return ends.pop() if len(ends) == 1 else None

    def band(self, score: str, value: Fraction) -> str:
        return [band["band"] for band in self._bands(score) if Fraction(band["from"]) <= value][-1]

    def _bands(self, score: str) -> list[Any]:
        return next(entry for entry in self.documents["scores"] if entry["score"] == score)["bands"]

    def _added(self, link_id: str, part: Mapping[str, Any]) -> tuple[Fraction, Fraction]:
        question = self.form.questions[link_id]
        values = self._values(link_id, ignored=False)
        points = {value: self._points(value, part, question) for value in values or ()}
        known = [one for one in points.values() if one is not None]
        if known and len(known) == len(points):
            return (sum(known, Fraction(0)),) * 2 if question.repeats else (min(known), max(known))
        if known and question.repeats and not question.numbers:
            others = [one for value, one in self._weights(part, question).items() if value not in points]
            low, high = (sum(end(one, 0) for one in others) for end in (min, max))
            return sum(known) + low, sum(known) + high
        if values is None and link_id in self.answers.closed:
            return Fraction(0), Fraction(0)
        every = list(self._weights(part, question).values())
        low, high = min(every), max(every)
        if question.repeats:
            low = sum(weight for weight in every if weight < 0) or low
            high = sum(weight for weight in every if weight > 0) or high
        return (min(low, Fraction(0)), max(high, Fraction(0))) if question.enabled_by else (low, high)

    def _points(self, value: Answer, part: Mapping[str, Any], question: Question) -> Fraction | None:
        if "from" not in part:
            return self._weights(part, question).get(value)
        if not isinstance(value, int | Decimal) or not part["from"] <= value <= part["to"]:
            return None
        turned = part["from"] + part["to"] - value if part.get("reversed") else value
        return Fraction(turned) * Fraction(part.get("times", 1))

    def _weights(self, part: Mapping[str, Any], question: Question) -> dict[Answer, Fraction]:
        """The points of every option, or of both ends of a number's range."""
        if "from" in part:
            plain: dict[Answer, Fraction] = {end: Fraction(end) for end in (part["from"], part["to"])}
        else:
            plain = {
                option.coding: Fraction(option.weight)
                for option in question.options
                if option.weight is not None
            }
            weighed = {number: weight for number, weight in question.numbers if weight is not None}
            every = {number: Decimal(number) for number, _ in question.numbers}
            plain |= {number: Fraction(weight) for number, weight in (weighed or every).items()}
        both = min(plain.values()) + max(plain.values())
        times = Fraction(part.get("times", 1))
        return {
            answer: times * (both - weight if part.get("reversed") else weight)
            for answer, weight in plain.items()
        }

    def _result(self, when: Mapping[str, Any]) -> bool:
        if "level" in when:
            outcome, least = when["level"]["outcome"], when["level"]["at-least"]
            ladder = next(
                entry for entry in self.documents["guidance"]["outcomes"] if entry["outcome"] == outcome
            )["levels"]
            return bool(ladder.index(self.level(outcome)[0]) >= ladder.index(least))
        codes = [tier["tier"] for tier in self.documents["guidance"]["tiers"]]
        low, high = (codes.index(code) for code in self.tier())
        if "tier-at-least" in when:
            return low >= codes.index(when["tier-at-least"])
        return high <= codes.index(when["tier-at-most"])

    def _contradicts(self, entry: Mapping[str, Any]) -> Value:
        values = [self.condition(part, ignored=True) for part in entry["between"]]
        return False if False in values else None if None in values else True


def _some_of(value: Fraction, comparator: str, edge: Fraction) -> list[Fraction]:
    """The value alone; of a range, numbers on both sides of everything that matters."""
    if not comparator:
        return [value]
    near = [one + step for one in (value, edge) for step in (-LARGE, -SMALL, 0, SMALL, LARGE)]
    words = {"<": "less-than", "<=": "at-most", ">=": "at-least", ">": "more-than"}
    return [one for one in near if _beyond(words[comparator], one, value)]


def _beyond(word: str, value: Fraction, edge: Fraction) -> bool:
    if word in ("more-than", "longer-than"):
        return value > edge
    if word == "at-least":
        return value >= edge
    return value < edge if word == "less-than" else value <= edge
