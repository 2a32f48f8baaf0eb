"""The way from mapping documents to a guidance that evaluates answers: read, check, compile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from service.datatypes.answers import Answers
from service.datatypes.form import Form
from service.guidance.cases import Case
from service.guidance.checks import Checked
from service.guidance.compile import compiled_from
from service.guidance.evaluate import evaluate
from service.guidance.graph import Graph, graph_from
from service.guidance.model import Contradiction, Written, unfit_answers
from service.guidance.result import Result
from service.guidance.schema import written_from
from service.guidance.tables import Compiled


@dataclass(frozen=True, slots=True)
class Guidance:
    """A guidance that passed every check.

    Args:
        written: what the mapping files say.
        form: the questionnaire that it scores.
        cases: its worked cases, in file order.
        graph, compiled: what the proofs read; nothing else needs them.
    """

    written: Written
    form: Form
    cases: tuple[Case, ...]
    graph: Graph
    compiled: Compiled

    @property
    def contradictions(self) -> tuple[Contradiction, ...]:
        """All contradictions that a result can name: those of the files, then answers that do not fit."""
        return self.written.contradictions + unfit_answers(self.form)

    def evaluate(self, answers: Answers) -> Result:
        """Returns what the guidance makes of the answers; the same answers give an equal result."""
        return evaluate(self.compiled, answers)


def load(
    documents: Mapping[str, object],
    form: Form,
    *,
    slug: str = "",
    hashed: Mapping[str, object] | None = None,
) -> Guidance:
    """Returns the guidance that the mapping files write.

    Args:
        documents: parsed YAML values by file stem; numbers are int or Decimal.
        form: the questionnaire that they score.
        slug: name of the mapping folder; without it the last part of the guidance's url.
        hashed: the documents as the files have them, where `documents` names other canonical urls. The
            hash is over these: the same files have the same hash wherever they are served.

    Raises:
        GuidanceError: one line per fault, `file.yaml: key path: what was expected`.
    """
    checked = Checked(written_from(documents), form)
    graph = graph_from(checked)
    identity = checked.written.identity
    digest = _hash_of(documents if hashed is None else hashed)
    written = replace(checked.written, identity=replace(identity, slug=slug or identity.slug, hash=digest))
    return Guidance(written, form, checked.cases, graph, compiled_from(checked, graph))


def _hash_of(documents: Mapping[str, object]) -> str:
    """Returns SHA-256 in hex over the documents as JSON with sorted keys; a decimal keeps its digits."""
    text = json.dumps(documents, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return sha256(text.encode()).hexdigest()
