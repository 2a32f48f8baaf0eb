"""Answers that do not fit the others: what is said about them where no author has written it."""

from __future__ import annotations

from service.guidance.form import Form, Question
from service.guidance.model import Contradiction, Says


def unfit_answers(form: Form) -> tuple[Contradiction, ...]:
    """The contradictions that need no author, one for each question, in form order; the worse answer counts.

    An answer to a question that other answers close, or a value from the chart beside another answer.
    """
    return tuple(_unfit(question) for question in form.questions.values())


def _unfit(question: Question) -> Contradiction:
    patient = (
        f"Your answer to \u201c{question.text}\u201d does not fit what else we know. We counted the more "
        "serious one. Please check your answers."
    )
    clinician = (
        f"An answer to \u201c{question.text}\u201d does not fit the other answers or the chart: the question "
        "was closed, or the chart says otherwise. The worse one is counted."
    )
    return Contradiction(f"unfit-{question.link_id}", (question.link_id,), Says(patient, clinician))
