"""Earlier responses: which of their answers say nothing, and how a worked case writes them.

What counts as new is a condition (`new-since-earlier`): it holds now, and an earlier response denied it. An
answer such as "not done" denies nothing, nor does what it hides.

Source: guidance/clinical-decisions.md, section 3, earlier responses.
"""

from __future__ import annotations

from collections.abc import Iterator

from service.datatypes.form import Form
from service.guidance.faults import Fault, not_in_the_questionnaire, unknown
from service.guidance.fields import Anything, ByName, ListOf, Name, Shape, Text, Word
from service.guidance.model import EarlierEntry, Written
from service.guidance.options import codings_of


class EarlierShape(Shape):
    """How earlier responses are read."""

    not_known = ByName(keys=Word(), values=ListOf(Word()), required=True, data_key="not-known")


class EarlierCaseShape(Shape):
    """What the person of a case had answered before."""

    makes = EarlierEntry

    authored = Text(required=True)
    like = Name(load_default="")
    answers = ByName(keys=Word(), values=Anything(allow_none=True), load_default=dict)


def not_known_faults(written: Written, form: Form) -> Iterator[Fault]:
    """Yields questions and answers that do not exist, among those by which nothing was found out."""
    for link, words in written.not_known.items():
        question, place = form.questions.get(link), ("earlier", "not-known", link)
        if question is None:
            yield "guidance.yaml", place, not_in_the_questionnaire(link)
            continue
        codes = [option.coding.code for option in question.options]
        for index, word in enumerate(words):
            if not codings_of(question, word, written.words):
                yield "guidance.yaml", (*place, index), unknown(word, codes)
