"""What a tracing system is told: one span per request, and of what a caller sent its trace ids alone.

Without the packages of the extra `tracing` these tests are left out; in CI they never are.
"""

import os

import pytest
from fhir_client import break_route
from gunicorn_server import get, serving, until
from loopback_servers import QuietHandler, listening
from sample_responses import strain

from service import app
from service.errors import SettingsError
from service.settings import Settings

if os.environ.get("CI") != "true":
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

FHIR = {"Content-Type": "application/fhir+json"}
ASSESS = "/fhir/QuestionnaireResponse/$assess"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


@pytest.fixture(scope="module")
def traced(root):
    folders = root / "tests" / "second_pair"
    return app.create_app(
        Settings(
            store_url="none",
            questionnaires_dir=folders / "questionnaires",
            mappings_dir=folders / "mappings",
            tracing=True,
        )
    )


@pytest.fixture
def spans(traced):
    """Returns the spans so far, each once."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traced.tracing.begin_worker(provider)

    def taken():
        finished = exporter.get_finished_spans()
        exporter.clear()
        return finished

    return taken


@pytest.fixture
def client(traced, spans):
    return traced.test_client()


def test_a_request_is_one_span_with_template_method_status_and_the_id_of_the_log(client, spans):
    answer = client.post(f"{ASSESS}?_pretty=true", json=strain(), headers=FHIR)
    (span,) = spans()
    assert (span.name, span.kind) == (f"POST {ASSESS}", SpanKind.SERVER)
    assert dict(span.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": ASSESS,
        "service.request.id": answer.headers["X-Request-Id"],
    }
    assert span.parent is None
    assert span.start_time < span.end_time
    assert span.status.status_code is StatusCode.UNSET


def test_pages_and_probes_are_spans_too(client, spans):
    client.get("/healthz")
    client.get("/static/form.css")
    assert [span.name for span in spans()] == ["GET /healthz", "GET /static/<id:name>"]


@pytest.mark.parametrize(
    ("method", "path", "name", "told"),
    [
        ("GET", "/fhir/Nothing", "GET", "GET"),
        ("GET", "/nothing", "GET", "GET"),
        ("BREW", "/fhir", "HTTP", "_OTHER"),
    ],
)
def test_what_no_route_takes_has_no_template(client, spans, method, path, name, told):
    client.open(path, method=method)
    (span,) = spans()
    assert span.name == name
    assert span.attributes["http.request.method"] == told
    assert "http.route" not in span.attributes
    assert span.status.status_code is StatusCode.UNSET


def test_a_failure_is_marked_and_not_described(traced, client, spans, monkeypatch):
    def failing(_request):
        raise ValueError("canary-answer")

    break_route(traced, monkeypatch, "GET", "/fhir/metadata", failing)
    assert client.get("/fhir/metadata").status_code == 500
    (span,) = spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert span.attributes["error.type"] == "500"
    assert not span.events


def test_the_callers_trace_goes_on(client, spans):
    client.get(
        "/fhir/metadata", headers={"traceparent": SAMPLED, "tracestate": "canary=x", "baggage": "canary=x"}
    )
    (span,) = spans()
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == SPAN
    assert span.context.trace_state == {}


def test_what_the_caller_does_not_sample_is_not_sampled(client, spans):
    client.get("/fhir/metadata", headers={"traceparent": NOT_SAMPLED})
    assert spans() == ()


@pytest.mark.parametrize(
    "parent", ["", "x", f"00-{'0' * 32}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01", SAMPLED * 100, "canary\xff"]
)
def test_a_parent_that_cannot_be_read_is_none(client, spans, parent):
    client.get("/fhir/metadata", headers={"traceparent": parent})
    (span,) = spans()
    assert span.parent is None


def test_no_span_holds_anything_that_a_caller_sent(traced, client, spans):
    canary = "canary-4711"
    headers = FHIR | {
        **dict.fromkeys(("Authorization", "X-Request-Id", "Cookie", "User-Agent", "Referer", "Host"), canary),
        "tracestate": f"{canary}=1",
        "baggage": f"{canary}=1",
        "X-Forwarded-For": canary,
    }
    for route in traced.routes:
        path = route.path.replace("<id:", "").replace(">", "").replace("id", canary)
        for method in (route.method, canary.upper()):
            client.open(f"{path}?{canary}={canary}", method=method, data=canary, headers=headers)
    made = spans()
    assert len(made) == 2 * len(traced.routes)
    assert canary not in "".join(span.to_json() for span in made).lower()


def test_before_a_worker_begins_nothing_is_made(root):
    folders = root / "tests" / "second_pair"
    named = {"questionnaires_dir": folders / "questionnaires", "mappings_dir": folders / "mappings"}
    made = app.create_app(Settings(store_url="none", tracing=True, **named))
    assert made.test_client().get("/healthz").status_code == 200


def test_without_the_packages_the_service_does_not_start(monkeypatch):
    def missing(_name):
        raise ModuleNotFoundError

    monkeypatch.setattr(app, "find_spec", missing)
    with pytest.raises(SettingsError, match="extra `tracing`"):
        app.tracing_from(Settings(tracing=True))


class Collector(QuietHandler):
    """Takes spans over OTLP and HTTP."""

    def do_POST(self):
        self.server.bodies.append((self.path, self.body()))
        self.tell(b"")


@pytest.fixture
def collector():
    with listening(Collector) as collecting:
        collecting.bodies = []
        yield collecting


@pytest.mark.slow
def test_workers_send_their_spans_to_the_collector_that_the_environment_names(collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    with serving("service.app:from_environment()", STORE_URL="none", WORKERS="2", TRACING="true") as server:
        assert server.ask(get("/healthz")).status == 200
        assert server.ask(get("/fhir/Nothing?name=canary-4711")).status == 404
        until(lambda: b"GET /healthz" in b"".join(body for _, body in collector.bodies))
    sent = b"".join(body for _, body in collector.bodies)
    assert {path for path, _ in collector.bodies} == {"/v1/traces"}
    assert b"canary" not in sent
