"""Proofs of what a guidance promises for every response. Imports z3 only when proofs are asked for."""

from service.proofs.proving import Proof, Report, prove

__all__ = ["Proof", "Report", "prove"]
