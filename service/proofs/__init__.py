"""Proofs of what a guidance promises for every response; they need z3, a tool of development."""

from service.proofs.proving import Proof, Report, prove

__all__ = ["Proof", "Report", "prove"]
