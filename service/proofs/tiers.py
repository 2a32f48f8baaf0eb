"""The ends of the tier as formulas, and how a broken promise is shown."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import z3

from service.proofs.encoding import FALSE, TRUE, Encoding, Value
from service.proofs.proving import Proof


class Ends:
    """Both ends of the tier, for given values of the nodes.

    Args:
        without: names of rules that are left aside.
    """

    def __init__(self, encoding: Encoding, values: list[Value], without: Collection[str] = ()) -> None:
        rules = [rule for rule in encoding.guidance.written.rules if rule.tier is not None]
        self.rules = [rule for rule in rules if rule.name not in without]
        self.nodes = encoding.guidance.graph.rules
        self.values = values

    def at_least(self, rank: int) -> z3.BoolRef:
        """Whether the lower end of the tier is this rank or higher."""
        return self._any(rank, 0)

    def at_most(self, rank: int) -> z3.BoolRef:
        """Whether the upper end of the tier is this rank or higher."""
        return self._any(rank, 1)

    def settled_at(self, rank: int) -> z3.BoolRef:
        """Whether both ends of the tier are this rank."""
        return z3.And(self.at_least(rank), z3.Not(self.at_most(rank + 1)))

    def _any(self, rank: int, end: int) -> z3.BoolRef:
        if rank == 0:
            return TRUE
        found = [self.values[self.nodes[rule.name]][end] for rule in self.rules if (rule.tier or 0) >= rank]
        return z3.Or(found) if found else FALSE


def impossible(encoding: Encoding, promise: str, broken: z3.BoolRef) -> Proof:
    """The proof that no response makes `broken` true, or a smallest response that does."""
    if encoding.solver.check(broken) == z3.unsat:
        return Proof(promise, proved=True)
    return Proof(promise, proved=False, counterexample=tuple(_smallest(encoding, broken)))


def possible(encoding: Encoding, promise: str, reached: z3.BoolRef, *, complete: bool = True) -> Proof:
    """The proof that some response (by default a completely answered one) makes `reached` true."""
    needed = [reached, encoding.full] if complete else [reached]
    return Proof(promise, encoding.solver.check(*needed) == z3.sat)


def _smallest(encoding: Encoding, broken: z3.BoolRef) -> Iterator[str]:
    """The answers of a response in which no further question can be left open."""
    kept: list[z3.BoolRef] = [broken]
    for space in encoding.spaces.values():
        if encoding.solver.check(*kept, space.open) == z3.sat:
            kept.append(space.open)
    encoding.solver.check(*kept)
    model = encoding.solver.model()
    for link_id, space in encoding.spaces.items():
        answers = [case.words for case in space.cases if z3.is_true(model.eval(case.holds))]
        if answers:
            yield f"{link_id}: {', '.join(answers)}"
