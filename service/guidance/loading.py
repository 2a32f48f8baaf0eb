"""The way from mapping documents to a guidance that evaluates answers: read, check, compile."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from hashlib import sha256

import msgspec

from service.datatypes.answers import Answer, Answers, AnswersByLink, Coding
from service.datatypes.days import is_late
from service.datatypes.form import Form
from service.datatypes.ucum import Conversion
from service.datatypes.values import replace
from service.guidance.answer_tables import Verdict
from service.guidance.arguments import Argued, Enabled, Minimal, argued_from, decided_by, minimal_reasons
from service.guidance.cases import Case
from service.guidance.checks import Checked
from service.guidance.compile import compiled_from
from service.guidance.conditions import links_of
from service.guidance.evaluate import Ahead, evaluate, questions_ahead
from service.guidance.graph import Graph, graph_from
from service.guidance.messages import ENGLISH, Messages, Telling, Translation, translation
from service.guidance.model import Contradiction, Written, unfit_answers
from service.guidance.options import codings_of
from service.guidance.result import Result
from service.guidance.schema import written_from
from service.guidance.tables import Compiled


class Guidance(msgspec.Struct, frozen=True):
    """A guidance that passed every check.

    Args:
        written: what the mapping files say.
        form: the questionnaire that it scores.
        cases: its worked cases, in file order.
        graph, compiled: what the proofs read, and what is asked about the guidance as a whole.
        argued: what the search for minimal reasons reads.
        translation: its texts in another language; None in English.
    """

    written: Written
    form: Form
    cases: tuple[Case, ...]
    graph: Graph
    compiled: Compiled
    argued: Argued
    translation: Translation | None = None

    @property
    def language(self) -> str:
        """The language of its texts."""
        return ENGLISH if self.translation is None else self.translation.messages.language

    @property
    def contradictions(self) -> tuple[Contradiction, ...]:
        """All contradictions that a result can name: those of the files, then answers that do not fit."""
        if self.translation is not None:
            return tuple(self.translation.contradictions.values())
        return self.written.contradictions + unfit_answers(self.form)

    @property
    def date_questions(self) -> frozenset[str]:
        """The questions whose answers it reads as days before the response was written."""
        return self.compiled.dates.links

    def not_known(self, answers: AnswersByLink) -> frozenset[str]:
        """Returns the questions whose answers say that nothing was found out (guidance.yaml, `earlier`)."""
        questions, words = self.form.questions, self.written.words
        return frozenset(
            link
            for link, listed in self.written.not_known.items()
            if any(
                coding in answers.get(link, ())
                for word in listed
                for coding in codings_of(questions[link], word, words)
            )
        )

    @property
    def compared_questions(self) -> frozenset[str]:
        """The questions that are compared with earlier responses."""
        nodes = self.graph.below(denial.now for denial in self.compiled.denials.values())
        atoms = [self.graph.nodes[node].atom for node in nodes]
        return frozenset(link for atom in atoms if atom for link in links_of(atom.test, {}))

    @property
    def reads_earlier(self) -> bool:
        """Whether anything is compared with earlier responses."""
        return bool(self.compiled.denials)

    @property
    def safety_questions(self) -> frozenset[str]:
        """The questions that the rules of safety steps (`overlay`) read."""
        overlays = {tier.code for tier in self.written.tiers if tier.overlay}
        rules = [self.graph.rules[rule.name] for rule in self.written.rules if rule.tier in overlays]
        atoms = [self.graph.nodes[node].atom for node in self.graph.below(rules)]
        return frozenset(link for atom in atoms if atom for link in links_of(atom.test, {}))

    def reads_late_date(self, answers: Answers) -> bool:
        """Whether one of those days lies more than a day after the response was written."""
        return any(
            isinstance(value, str) and is_late(value, answers.authored)
            for link_id in self.compiled.dates.links.intersection(answers.given)
            for value in answers.given[link_id]
        )

    def chart_date(self, link_id: str) -> str:
        """Returns the linkId of the question that takes the date of a value from the chart, or nothing."""
        entry = self.written.chart.get(link_id)
        return "" if entry is None else entry.date

    def conversions(self, link_id: str) -> tuple[Conversion, ...]:
        """Returns the conversions between units for what a question asks for."""
        return self.written.conversions(link_id)

    def other_codes(self, link_id: str) -> tuple[Coding, ...]:
        """Returns the codes of values of the same that were measured otherwise than a question asks for."""
        entry = self.written.chart.get(link_id)
        return () if entry is None else entry.other_codes

    def reads(self, link_id: str) -> bool:
        """Whether the guidance asks anything of a question."""
        return link_id in self.compiled.answers.by_link

    def decides(self, link_id: str, answer: Answer) -> bool:
        """Whether an answer decides everything that the guidance asks of the question."""
        table = self.compiled.answers.by_link.get(link_id)
        if table is None:
            return True
        verdict = table.verdict((answer,))
        return not verdict.undecided | verdict.unread

    def raises(self, link_id: str, answer: Answer) -> bool:
        """Whether an answer makes something hold by which a rule raises the tier, or makes a level worse."""
        table = self.compiled.answers.by_link.get(link_id)
        if table is None:
            return False
        present = Verdict(table.verdict((answer,)).present)
        return bool(table.mask_of(present) & self.compiled.worse.atoms)

    def evaluate(self, answers: Answers) -> Result:
        """Evaluates the guidance; the same answers give an equal result."""
        result = evaluate(self.compiled, answers)
        return result if self.translation is None else self.translation.of(result)

    def minimal_reasons(self, answers: Answers, *, enabled: Enabled) -> tuple[Minimal, ...]:
        """Returns the smallest sets of answers that alone force the step, and each level that is listed.

        Args:
            enabled: says which items some answers enable and hide for certain, as the questionnaire has it.
        """
        return minimal_reasons(self.compiled, self.argued, answers, enabled=enabled)

    def next_questions(self, answers: Answers, asked: Collection[str] = ()) -> tuple[str, ...]:
        """Returns the linkIds of the questions to ask next, in that order; none if all is settled."""
        return self.questions_ahead(answers, asked).now

    def questions_ahead(self, answers: Answers, asked: Collection[str] = ()) -> Ahead:
        """Returns the questions that can still change the result, as `evaluate.py` does."""
        return questions_ahead(self.compiled, answers, asked)

    def decided_by(self, answers: Answers, *, enabled: Enabled) -> dict[str, tuple[str, ...]]:
        """Returns by finding the linkIds of the answers that decide it, or that keep it unknown.

        Args:
            enabled: as `minimal_reasons` takes it.
        """
        return decided_by(self.compiled, self.argued, answers, enabled=enabled)

    def told_in(self, messages: Messages, form: Form, telling: Telling) -> Guidance:
        """Returns this guidance with its texts in another language.

        Args:
            messages: the texts.
            form: the questionnaire, in that language.
            telling: what the language says where there are no messages.
        """
        found = translation(self.written, messages, form, telling)
        return replace(self, written=found.written, form=form, translation=found)


def load(
    documents: Mapping[str, object],
    form: Form,
    *,
    slug: str = "",
    hashed: Mapping[str, object] | str | None = None,
) -> Guidance:
    """Returns the guidance that the mapping files write.

    Args:
        documents: parsed YAML values by file stem; numbers are int or Decimal.
        form: the questionnaire that they score.
        slug: name of the mapping folder; without it the last part of the guidance's url.
        hashed: the documents as the files have them, where `documents` names other canonical urls. The
            hash is over these: the same files have the same hash wherever they are served. Or that hash.

    Raises:
        GuidanceError: one line per fault, `file.yaml: key path: what was expected`.
    """
    checked = Checked(written_from(documents), form)
    graph = graph_from(checked)
    identity = checked.written.identity
    digest = hashed if isinstance(hashed, str) else _hash_of(documents if hashed is None else hashed)
    written = replace(checked.written, identity=replace(identity, slug=slug or identity.slug, hash=digest))
    compiled = compiled_from(checked, graph)
    return Guidance(written, form, checked.cases, graph, compiled, argued_from(compiled, graph))


def _hash_of(documents: Mapping[str, object]) -> str:
    """Returns SHA-256 in hex over the documents as JSON with sorted keys; a decimal keeps its digits."""
    text = json.dumps(documents, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return sha256(text.encode()).hexdigest()
