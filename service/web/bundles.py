"""Batches and transactions: several requests in one body, answered apart or all together.

What is in them takes the way of any other request: each entry becomes one, and the router finds its view.

Source: R4 http.html#transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.errors import Malformed, Problem
from service.fhir.canonicals import AS_WRITTEN, Canonicals
from service.web.body import read_body
from service.web.bundle_answers import Answers
from service.web.bundle_batch import Batch
from service.web.bundle_reading import BATCH, BundleLimits, bundle_from
from service.web.bundle_transaction import Transaction
from service.web.negotiation import check_body_type
from service.web.reply import NO_STORE, Reply
from service.web.route import BASE_PATH, Route
from service.web.router import Router

if TYPE_CHECKING:
    from service.repository import Repository
    from service.web.call import Call

__all__ = ["BundleLimits", "bundle_route"]


def bundle_route(
    router: Router,
    repository: Repository | None,
    limits: BundleLimits,
    *,
    base: str,
    urls: Canonicals = AS_WRITTEN,
) -> Route:
    """Returns the route of batches and, with a repository, transactions.

    Args:
        router: over all other routes; what is not among them cannot be asked for in a Bundle.
        repository: what is stored; None where nothing is.
        limits: what a Bundle may cost.
        base: public FHIR base.
        urls: the canonical urls of what this service defines itself.
    """
    interactions = ("batch",) if repository is None else ("batch", "transaction")
    view = Bundles(router, repository, limits, base=base, urls=urls)
    return Route(BASE_PATH, {"POST": view.answer}, interactions=interactions)


@dataclass(frozen=True, slots=True)
class Bundles:
    """The view on `POST [base]`; fields as in bundle_route."""

    router: Router
    repository: Repository | None
    limits: BundleLimits
    base: str
    urls: Canonicals

    def answer(self, call: Call) -> Reply:
        """Returns a batch-response or transaction-response.

        Raises:
            Malformed, TooLarge: the body is no batch and no transaction, or over a limit.
            ServiceError: an entry of a transaction is refused, and so is all of it.
        """
        check_body_type(call.environ.get("CONTENT_TYPE"))
        content_type = call.answer_type()
        posted = bundle_from(read_body(call.environ, self.limits.body_bytes), self.limits)
        answers = Answers(self.base, self.limits.answer_bytes)
        self._way(posted.type, call.header("PREFER")).process(posted.entries, answers)
        body = answers.bundle(posted.type, posted.entries)
        return Reply(200, body, (("Content-Type", content_type), NO_STORE))

    def _way(self, kind: str, prefer: str | None) -> Batch | Transaction:
        if kind == BATCH:
            return Batch(self.router, prefer, self.urls)
        if self.repository is None:
            text = "type: expected batch. Nothing is stored here, so there are no transactions."
            raise Malformed(Problem("bundle-type", text, "Bundle.type"))
        return Transaction(self.router, self.repository, self.base, prefer)
