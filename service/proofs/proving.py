"""Proves what a guidance promises for every response, complete or not, or finds one that breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from service.guidance import Guidance

if TYPE_CHECKING:
    from service.proofs.answer_space import Asked

SKIPPED = "proofs skipped: z3-solver is not installed"


@dataclass(frozen=True, slots=True)
class Proof:
    """One promise and how it ended; `counterexample` names the answers of a response that breaks it."""

    promise: str
    proved: bool
    counterexample: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The outcome in one line."""
        if self.proved:
            return f"proved: {self.promise}"
        answers = "; ".join(self.counterexample)
        return f"FAILED: {self.promise}" + (f" (for example: {answers})" if answers else "")


@dataclass(frozen=True, slots=True)
class Report:
    """All proofs of a guidance; `skipped` says why there are none."""

    proofs: tuple[Proof, ...]
    skipped: str = ""

    @property
    def failed(self) -> tuple[Proof, ...]:
        """The promises that are broken."""
        return tuple(proof for proof in self.proofs if not proof.proved)

    @property
    def lines(self) -> tuple[str, ...]:
        """The report: every promise that is broken, and how many are proved."""
        if self.skipped:
            return (self.skipped,)
        proved = len(self.proofs) - len(self.failed)
        return (*[proof.line for proof in self.failed], f"{proved} of {len(self.proofs)} promises proved")


def prove(guidance: Guidance, asked: Asked | None = None) -> Report:
    """Proves the promises of guidance.yaml, and that every tier, level and rule can be reached.

    Args:
        asked: by linkId, when a question is asked (`service.guidance.conditions`: groups of `Is` and
            `Answered`); by default every question always is.

    Returns:
        A report; without z3-solver one that says that proofs are skipped.
    """
    if find_spec("z3") is None:
        return Report((), SKIPPED)
    from service.proofs.encoding import Encoding
    from service.proofs.promises import promise_proofs
    from service.proofs.reach import reach_proofs

    encoding = Encoding(guidance, asked)
    return Report((*promise_proofs(encoding), *reach_proofs(encoding)))
