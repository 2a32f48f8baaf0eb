"""Events, and what stands in a trail, for the tests of the audit trail."""

from service.audit import Event, RecordedRequest, link_of, verify


def event(**changes):
    """Returns an event with whatever an event may have."""
    asked = RecordedRequest(
        request_id="0af7651916cd43dd8448eb211c80319c",
        kind="token",
        tenant=changes.pop("tenant", ""),
        issuer="https://ehr.example.org",
        subject=changes.pop("subject", "practitioner-canary"),
        client="growth-chart",
        address="192.0.2.7",
        interaction="read",
        resource="QuestionnaireResponse",
        route="/fhir/QuestionnaireResponse/<id:id>",
    )
    own = {"at": 4000, "status": 200, "patient": {"reference": "Patient/canary"}}
    return Event(asked=asked, **(own | {"references": ["QuestionnaireResponse/q/_history/1"]} | changes))


def written(store, *events, tenant="", now=5000):
    with store.writing(tenant) as transaction:
        for one in events:
            transaction.chain(link_of(one), now)


def links(store, tenant=""):
    with store.reading(tenant) as view:
        return view.links_after(0, limit=10_000)


def verdict(store, tenant="", anchors=()):
    with store.reading(tenant) as view:
        head = next(head for head in store.heads() if head.tenant == tenant)
        return verify(view, head, anchors)


def kinds(found):
    return [fault.kind for fault in found.faults]
