"""Loads a guidance: mapping documents and the form in, something that evaluates answers out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.datatypes.answers import Answers
from service.datatypes.form import Form
from service.errors import GuidanceError
from service.guidance.build import identity_from, written_from
from service.guidance.cases import Case, cases_from
from service.guidance.checks import faults_of
from service.guidance.compile import compiled_from
from service.guidance.draft import Draft
from service.guidance.evaluate import evaluate
from service.guidance.graph import Graph, graph_from
from service.guidance.model import Written
from service.guidance.result import Result
from service.guidance.schema import draft_from
from service.guidance.tables import Compiled


@dataclass(frozen=True, slots=True)
class Guidance:
    """A guidance that passed every check.

    Args:
        written: what the mapping files say.
        form: the questionnaire that it scores.
        cases: its worked cases, in file order.
        draft, graph, compiled: what the proofs read; nothing else needs them.
    """

    written: Written
    form: Form
    cases: tuple[Case, ...]
    draft: Draft
    graph: Graph
    compiled: Compiled

    def evaluate(self, answers: Answers) -> Result:
        """What the guidance makes of the answers; the same answers give an equal result."""
        return evaluate(self.compiled, answers)


def load(
    documents: Mapping[str, object],
    form: Form,
    *,
    slug: str = "",
    hashed: Mapping[str, object] | None = None,
) -> Guidance:
    """The guidance that the mapping files write.

    Args:
        documents: parsed YAML values by file stem; numbers are int or Decimal.
        form: the questionnaire that they score.
        slug: name of the mapping folder; without it the last part of the guidance's url.
        hashed: the documents as the files have them, where `documents` names other canonical urls. The
            hash is over these: the same files have the same hash wherever they are served.

    Raises:
        GuidanceError: one line per fault, `file.yaml: key path: what was expected`.
    """
    draft = draft_from(documents)
    cases, case_faults = cases_from(draft, form)
    faults = (*faults_of(draft, form), *case_faults)
    if faults:
        raise GuidanceError(faults)
    graph = graph_from(draft, form)
    identity = identity_from(draft, documents if hashed is None else hashed, slug)
    written = written_from(draft, graph, form, identity)
    return Guidance(written, form, cases, draft, graph, compiled_from(draft, graph, written, form))
