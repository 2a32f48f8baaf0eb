"""One printable document about a guidance, for the clinician who reviews it.

HTML without script and without anything from elsewhere: every browser prints it, an email carries it,
and a table stays a table, which Markdown leaves to whatever shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from service.authoring.diff import diff, text_of
from service.authoring.editions import Edition, listed, outcome_in
from service.authoring.in_words import InWords, Words, flat, plain

_STYLE = """
body { font: 11pt/1.45 serif; max-width: 48em; margin: 2em auto; padding: 0 1em; }
h1, h2, h3 { font-family: sans-serif; line-height: 1.2; }
h2 { border-bottom: 1px solid; margin-top: 2em; }
h3 { margin-bottom: 0.3em; }
table { border-collapse: collapse; width: 100%; margin: 0.5em 0; }
th, td { border: 1px solid #999; padding: 0.25em 0.5em; text-align: left; vertical-align: top; }
section.entry { break-inside: avoid; margin-bottom: 1em; }
dt { font-weight: bold; }
dd { margin: 0 0 0.3em 1.5em; }
.source { color: #444; font-size: 10pt; }
.sign td { height: 3em; width: 50%; }
pre { white-space: pre-wrap; font-size: 9pt; }
@media print { h2 { break-before: page; } body { margin: 0; max-width: none; } }
"""


def dossier(edition: Edition, old: Edition | None = None) -> str:
    """Returns the document about one version of a guidance, and what differs from an old one."""
    title = plain(edition.guidance.get("title"))
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f"<title>{_text(title)}: for review</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_text(title)}</h1>",
        *_chapters(edition, old),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _chapters(edition: Edition, old: Edition | None) -> Iterator[str]:
    words = InWords(edition)
    statements = {plain(entry.get("statement")): entry for entry in edition.entries("sources")}
    yield from _identity(edition)
    yield from _steps(edition, words)
    yield from _questions(edition)
    yield from _numbers(edition, statements)
    yield from _scores(edition, statements, words)
    yield from _findings(edition, statements, words)
    yield from _rules(edition, statements, words)
    yield from _changed_reasons(edition, words)
    yield from _comparisons(edition, words)
    yield from _contradictions(edition, words)
    yield from _advice(edition, statements, words)
    yield from _promises(edition, words)
    yield from _patients(edition, words)
    yield from _unused(statements.values())
    if old is not None:
        yield from _differences(edition, old)
    yield from _signature(edition)


# What it is.


def _identity(edition: Edition) -> Iterator[str]:
    guidance = edition.guidance
    source, review = guidance.get("source"), guidance.get("review")
    written = edition.pair.guidance.written.identity if edition.pair is not None else None
    yield _facts(
        ("Guidance", edition.name),
        ("Date and status", f"{plain(guidance.get('date'))}, {plain(guidance.get('status'))}"),
        ("Questionnaire", plain(guidance.get("questionnaire"))),
        ("Content (SHA-256)", "" if written is None else written.hash),
        ("Source", "" if not isinstance(source, Mapping) else " ".join(map(plain, source.values()))),
        ("Review so far", ", ".join(map(plain, review.values())) if isinstance(review, Mapping) else ""),
        *_readers(guidance.get("intended-use"), "Intended use, "),
    )
    yield from (f"<p><strong>Fault:</strong> {_text(fault)}</p>" for fault in edition.faults)


def _steps(edition: Edition, words: InWords) -> Iterator[str]:
    yield "<h2>Steps of care</h2><p>The lowest first. The highest of all rules that hold is the result.</p>"
    rows = []
    for tier in listed(edition.guidance.get("tiers")):
        when = "; ".join(words.told(key, tier[key]) for key in ("target", "within", "to") if key in tier)
        rows.append((tier.get("display"), when, tier.get("patient"), tier.get("clinician")))
    yield _table(("Step", "By when, for whom", "The patient reads", "The clinician reads"), rows)


def _questions(edition: Edition) -> Iterator[str]:
    yield "<h2>Questions</h2>"
    rows = []
    for item in edition.items():
        options = [_option(option) for option in listed(item.get("answerOption"))]
        asked = [_asked(rule) for rule in listed(item.get("enableWhen"))]
        word = " or " if item.get("enableBehavior") == "any" else " and "
        name = f"{plain(item.get('prefix'))} {plain(item.get('text'))}".strip()
        answers = "; ".join(options) or plain(item.get("answerValueSet")) or plain(item.get("type"))
        rows.append((item.get("linkId"), name, answers, word.join(asked)))
    yield _table(("linkId", "Question", "Answers", "Asked only when"), rows)


def _option(option: Mapping[str, Any]) -> str:
    coding = option.get("valueCoding")
    if isinstance(coding, Mapping):
        return plain(coding.get("display") or coding.get("code"))
    return next((plain(value) for key, value in option.items() if key.startswith("value")), "")


def _asked(rule: Mapping[str, Any]) -> str:
    answer = next((value for key, value in rule.items() if key.startswith("answer")), "")
    if isinstance(answer, Mapping):
        answer = answer.get("display") or answer.get("code") or answer.get("value")
    return f"{plain(rule.get('question'))} {plain(rule.get('operator'))} {plain(answer)}"


def _numbers(edition: Edition, statements: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    parameters = edition.guidance.get("parameters")
    yield "<h2>Numbers</h2>"
    rows = []
    for name, entry in parameters.items() if isinstance(parameters, Mapping) else ():
        value = f"{plain(entry.get('value'))} {plain(entry.get('unit'))}".strip()
        rows.append((name, value, entry.get("edge"), entry.get("means"), _cited(entry, statements)))
    yield _table(("Name", "Value", "Edge", "Means", "Source"), rows)


# What the files say: scores, findings, rules, tables, contradictions, advice, promises.


def _scores(edition: Edition, statements: Mapping[str, Mapping[str, Any]], words: InWords) -> Iterator[str]:
    scores = edition.entries("scores")
    yield from ["<h2>Scores</h2>"] * bool(scores)
    for score in scores:
        added = [_addend(part, words) for part in score.get("sum-of", ())]
        facts = [("Adds up", "; ".join(added)), ("While something is missing", plain(score.get("missing")))]
        keys = ("band", "display", "from", "to", "tier", "level", "patient", "clinician")
        rows = [[band.get(key) for key in keys] for band in listed(score.get("bands"))]
        yield _entry(plain(score.get("display")), facts, _cited(score, statements))
        yield _table([key.capitalize() for key in keys], rows)


def _addend(part: object, words: InWords) -> str:
    if not isinstance(part, Mapping):
        return words.question(plain(part))
    if "when" in part:
        return f"{plain(part.get('points'))} if {flat(words.condition(part['when']))}"
    rest = {key: value for key, value in part.items() if key != "answer"}
    more = ", ".join(f"{key} {plain(value)}" for key, value in rest.items())
    return words.question(plain(part.get("answer"))) + (f" ({more})" if more else "")


def _findings(edition: Edition, statements: Mapping[str, Mapping[str, Any]], words: InWords) -> Iterator[str]:
    yield "<h2>Findings</h2><p>What answers mean, named once.</p>"
    for finding in edition.entries("findings"):
        facts = [("Means", plain(finding.get("means"))), ("Kind", plain(finding.get("kind")))]
        if finding.get("not-sure"):
            facts.append(("An answer \u201cnot sure\u201d makes it", plain(finding["not-sure"])))
        yield _entry(plain(finding.get("finding")), facts, _cited(finding, statements), _when(finding, words))


def _rules(edition: Edition, statements: Mapping[str, Mapping[str, Any]], words: InWords) -> Iterator[str]:
    rules = edition.entries("rules")
    yield "<h2>Rules for the step</h2>"
    for tier in reversed(listed(edition.guidance.get("tiers"))):
        own = [rule for rule in rules if rule.get("tier") == tier.get("tier")]
        yield from [f"<h3>{_text(tier.get('display'))}</h3>"] * bool(own)
        for rule in own:
            keys = ("kind", "within", "to", "priority", "shows", "beside")
            facts = [(key.capitalize(), words.told(key, rule[key])) for key in keys if key in rule]
            facts += _readers(rule.get("says"), "Says to the ")
            yield _entry(plain(rule.get("rule")), facts, _cited(rule, statements), _when(rule, words))
    for outcome in listed(edition.guidance.get("outcomes")):
        yield f"<h2>Rules for: {_text(outcome.get('display'))}</h2><p>The first that holds decides.</p>"
        for rule in rules:
            risk = rule.get("risk")
            if isinstance(risk, Mapping) and risk.get("outcome") == outcome.get("outcome"):
                facts = [("Level", plain(risk.get("level"))), *_readers(rule.get("says"), "Says to the ")]
                yield _entry(plain(rule.get("rule")), facts, _cited(rule, statements), _when(rule, words))


def _changed_reasons(edition: Edition, words: InWords) -> Iterator[str]:
    """Yields the rules that remove a reason or redirect a step, and the derived quantities."""
    guidance = edition.guidance
    exceptions, redirects = listed(guidance.get("exceptions")), listed(guidance.get("redirects"))
    yield from ["<h2>What takes a reason away, or sends a step to somebody else</h2>"] * bool(
        exceptions + redirects
    )
    for entry in exceptions:
        yield _entry(plain(entry.get("finding")), [("Cancels", plain(entry.get("cancels")))])
    for entry in redirects:
        facts = [(key.capitalize(), words.told(key, entry[key])) for key in ("tier", "to") if key in entry]
        yield _entry(plain(entry.get("redirect")), facts, when=_when(entry, words))
    derived = guidance.get("derived")
    if isinstance(derived, Mapping) and derived:
        yield "<h2>Quantities that are worked out</h2>"
        yield _table(("Name", "From"), derived.items())


def _comparisons(edition: Edition, words: InWords) -> Iterator[str]:
    for table in edition.entries("comparisons"):
        yield f"<h2>Table: {_text(table.get('title'))}</h2>"
        rows = []
        for row in listed(table.get("rows")):
            sides = [_side(row.get(side), words) for side in ("left", "right")]
            rows.append((row.get("feature"), *sides, row.get("informs-only")))
        heads = [plain(_first(table.get(side))) for side in ("left", "right")]
        yield _table(("Feature", *heads, "Informs only, because"), rows)


def _side(side: object, words: InWords) -> str:
    if not isinstance(side, Mapping):
        return ""
    when = f" [matches: {flat(words.condition(side['when']))}]" if "when" in side else ""
    return plain(side.get("says")) + when


def _contradictions(edition: Edition, words: InWords) -> Iterator[str]:
    entries = edition.entries("contradictions")
    yield from ["<h2>Answers that cannot both be true</h2>"] * bool(entries)
    for entry in entries:
        between = [flat(words.condition(part)) for part in entry.get("between", ())]
        facts = [("Between", " and ".join(between)), ("Counts then", plain(entry.get("worse")))]
        yield _entry(plain(entry.get("contradiction")), [*facts, *_readers(entry, "Says to the ")])


def _advice(edition: Edition, statements: Mapping[str, Mapping[str, Any]], words: InWords) -> Iterator[str]:
    yield "<h2>Advice</h2>"
    for advice in edition.entries("advice"):
        facts = [("Group", plain(advice.get("group"))), *_readers(advice, "Says to the ")]
        yield _entry(plain(advice.get("advice")), facts, _cited(advice, statements), _when(advice, words))


def _promises(edition: Edition, words: InWords) -> Iterator[str]:
    promises = listed(edition.guidance.get("promises"))
    yield from ["<h2>Promises</h2><p>Proved for every possible response.</p>"] * bool(promises)
    for promise in promises:
        rest = {key: value for key, value in promise.items() if key != "promise"}
        facts = [
            (key, flat(words.condition(value)) if key in ("when", "only-if") else plain(value))
            for key, value in rest.items()
        ]
        yield _entry(plain(promise.get("promise")), facts)


# Worked patients, statements that nothing cites, differences, and the signature.


def _patients(edition: Edition, words: InWords) -> Iterator[str]:
    yield "<h2>Worked patients</h2><p>Every one of them is tried by <code>check</code>.</p>"
    results = {}
    if edition.pair is not None:
        results = {case.name: outcome_in(edition.pair, case) for case in edition.pair.guidance.cases}
    for case in edition.entries("cases"):
        name = plain(case.get("case"))
        answers = [
            words.answer(link_id, value)
            for key in ("answers", "chart")
            for link_id, value in (case.get(key) or {}).items()
        ]
        facts = [("Patient", plain(case.get("about"))), ("Like", plain(case.get("like")))]
        facts += [("Answers" if not case.get("like") else "But", "; ".join(answers))]
        facts += [("Must come out", _listing(case.get("expect")))]
        facts += [("Comes out", _listing(results[name].values))] if name in results else []
        yield _entry(name, facts)


def _unused(statements: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    rows = [
        (entry.get("statement"), entry.get("claim"), entry["unused"])
        for entry in statements
        if entry.get("unused")
    ]
    yield from ["<h2>Statements of the source that decide nothing</h2>"] * bool(rows)
    yield _table(("Statement", "Claim", "Why it is not used"), rows)


def _differences(edition: Edition, old: Edition) -> Iterator[str]:
    yield "<h2>What differs from the last version</h2>"
    yield f"<pre>{_text(chr(10).join(text_of(diff(old, edition))))}</pre>"


def _signature(edition: Edition) -> Iterator[str]:
    digest = edition.pair.guidance.written.identity.hash if edition.pair is not None else ""
    yield "<h2>Signature</h2>"
    yield f"<p>I have reviewed {_text(edition.name)} (content {digest[:12]}).</p>"
    choices = ("It may be used as it is", "It may be used after these changes", "It may not be used")
    yield "".join(f"<p>\u2610 {choice}</p>" for choice in choices)
    rows = "".join(f"<tr><td>{cell}</td><td></td></tr>" for cell in ("Name", "Role", "Date", "Signature"))
    yield f'<table class="sign">{rows}</table>'
    yield "<p>Recorded in <code>review</code> of guidance.yaml, with <code>by</code>, <code>role</code> and "
    yield "<code>on</code>; every result then says so.</p>"


# HTML. Whatever stands in a file is text here, never markup.


def _text(value: object) -> str:
    return escape(plain(value))


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{_text(cell)}</th>" for cell in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>" if body else ""


def _facts(*facts: tuple[str, str]) -> str:
    shown = [f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts if value]
    return f"<dl>{''.join(shown)}</dl>"


def _entry(name: str, facts: Iterable[tuple[str, str]], source: str = "", when: str = "") -> str:
    cited = f'<p class="source">{_text(source)}</p>' if source else ""
    return f'<section class="entry"><h3>{_text(name)}</h3>{when}{_facts(*facts)}{cited}</section>'


def _when(entry: Mapping[str, Any], words: InWords) -> str:
    if entry.get("otherwise"):
        return "<p>Otherwise</p>"
    return f"<p>When:</p>{_tree(words.condition(entry['when']))}" if "when" in entry else "<p>Always</p>"


def _tree(words: Words) -> str:
    if isinstance(words, str):
        return f"<ul><li>{_text(words)}</li></ul>"
    heading, parts = words
    inner = "".join(_tree(part).removeprefix("<ul>").removesuffix("</ul>") for part in parts)
    return f"<ul><li>{_text(heading)}<ul>{inner}</ul></li></ul>"


def _cited(entry: Mapping[str, Any], statements: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the source of an entry: each statement with what it claims, or that it is the project's own."""
    own = ["The project's own choice."] if entry.get("origin") == "project" else []
    cited = [f"{name}: {plain(statements.get(name, {}).get('claim'))}" for name in entry.get("sources") or ()]
    return " ".join([*own, *cited])


def _readers(says: object, before: str) -> list[tuple[str, str]]:
    if not isinstance(says, Mapping):
        return []
    keys = ("patient", "patient-unsure", "clinician")
    return [(f"{before}{key.replace('-', ', ')}", plain(says[key])) for key in keys if says.get(key)]


def _first(value: object) -> object:
    return next(iter(value.values()), "") if isinstance(value, Mapping) else value


def _listing(values: object) -> str:
    if not isinstance(values, Mapping):
        return ""
    return "; ".join(f"{key}: {'none' if value is None else plain(value)}" for key, value in values.items())
