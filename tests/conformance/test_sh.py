"""Headers, links, limits and text from outside, checks SH01 to SH05 and SH08."""

import json
import logging
import re

import pytest
from fhir_client import BASE, FHIR, PUBLISHED, issues_of, path_of, result_of
from sample_responses import SECOND, answered, new_patient, response, small

from service.app import create_app
from service.settings import Settings

TYPE = "QuestionnaireResponse"
PERSONAL = [
    *(TYPE, "{at}", "{at}/_history", "{at}/_history/1", "RiskAssessment", "RiskAssessment/{risk}"),
    *("Provenance", "AuditEvent", f"{TYPE}?_id=none", f"{TYPE}/none", f"{TYPE}?_count=x"),
]
REGISTRY = """
ehrs:
  - issuer: https://ehr.example.org/fhir
    name: General Hospital
    client-id: the-app
    redirect-url: https://forms.example.org/app
    authorization-origins: [https://login.example.org]
    scopes: [openid, patient/Observation.rs]
"""
FORGED = {
    "host": "evil.example.org",
    "x_forwarded_host": "evil.example.org",
    "x_forwarded_proto": "gopher",
    "x_forwarded_prefix": "/evil",
    "forwarded": "host=evil.example.org;proto=http",
}


@pytest.fixture
def where(request, known):
    return request.param.format(at=known.at, risk=known.risk["id"])


@pytest.mark.parametrize("where", PERSONAL, indirect=True)
def test_sh01_what_is_about_a_person_is_not_stored_by_caches(ehr, where):
    assert "no-store" in ehr.get(where).headers["Cache-Control"]


def test_sh01_neither_is_what_a_write_answers(ehr, kept):
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": kept.at}}],
    }
    answers = (
        kept.answer,
        ehr.put(kept.at, kept.response),
        ehr.post(TYPE, b"{"),
        ehr.post(f"{TYPE}/$assess", response()),
        ehr.post(f"{TYPE}/$validate", response()),
        ehr.post("", bundle),
        ehr.form(f"{TYPE}/_search", [("_id", kept.id)]),
        ehr.get(kept.at, if_none_match='W/"2"'),
    )
    assert all("no-store" in each.headers["Cache-Control"] for each in answers)


@pytest.mark.parametrize("where", ["metadata", "Questionnaire", *(f"{kind}?_count=1" for kind in PUBLISHED)])
def test_sh01_what_is_published_may_be_kept_and_asked_for_again(ehr, where):
    assert "no-store" not in ehr.get(where).headers.get("Cache-Control", "")


@pytest.mark.parametrize(
    "where", [*PERSONAL, "metadata", "Questionnaire", "/nothing", "Patient/1", "/healthz"], indirect=True
)
def test_sh02_no_answer_may_be_guessed_at_or_names_its_maker(ehr, where):
    for method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        answer = ehr.ask(method, where)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "html" not in answer.headers.get("Content-Type", "")
        assert not {"werkzeug", "gunicorn", "python", "flask"} & set(
            answer.headers.get("Server", "").lower().split("/")
        )


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A service with everything that can be turned on, and a path for each of its routes."""
    folder = tmp_path_factory.mktemp("complete")
    (folder / "ehrs.yaml").write_text(REGISTRY)
    url = f"sqlite:///{folder / 'service.db'}"
    made = create_app(Settings(store_url=url, base_url=BASE, metrics=True, ehrs_file=folder / "ehrs.yaml"))
    filled = {"<id:id>": "x", "<id:version>": "1", "<id:slug>": "muscle-twitching", "<id:name>": "form.css"}
    paths = dict.fromkeys(re.sub("<.+?>", lambda name: filled[name[0]], route.path) for route in made.routes)
    return made.test_client(), [*paths]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS", "DELETE"])
def test_sh01_sh02_every_route_says_what_its_answer_is_and_how_long_it_may_be_kept(complete, method):
    client, paths = complete
    assert {"/metrics", "/cds-services", "/app", "/app/launch", "/", "/static/form.css"} <= {*paths}
    for path in paths:
        answer = client.open(path, method=method)
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert "max-age=" in answer.headers["Strict-Transport-Security"], path
        assert "Server" not in answer.headers, path
        if method != "OPTIONS":
            assert re.search("no-store|no-cache|public", answer.headers["Cache-Control"]), path
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path
        else:
            assert not answer.data.lstrip().startswith(b"<"), path


def test_sh02_browsers_stay_on_tls_where_the_public_base_is_on_it(ehr):
    for where in ("metadata", TYPE, f"{TYPE}/none", "/nothing"):
        assert "max-age=" in ehr.get(where).headers["Strict-Transport-Security"]


def test_sh02_browsers_are_not_sent_to_tls_where_the_public_base_is_not_on_it():
    folders = {"questionnaires_dir": SECOND / "questionnaires", "mappings_dir": SECOND / "mappings"}
    plain = create_app(Settings(store_url="none", base_url="http://127.0.0.1:8000/fhir", **folders))
    assert "Strict-Transport-Security" not in plain.test_client().get("/fhir/metadata").headers


def test_sh03_sh04_links_are_built_from_the_public_base_alone(ehr):
    patient = new_patient()
    created = ehr.post(TYPE, small(patient), **FORGED)
    assert created.headers["Location"].startswith(f"{BASE}/")
    assert result_of(created).startswith(f"{BASE}/")
    ehr.create(small(patient))
    for query in (f"{TYPE}?patient={patient}&_count=1", "StructureDefinition?_count=1"):
        bundle = ehr.get(query, **FORGED).json
        stated = [each["url"] for each in bundle["link"]] + [each["fullUrl"] for each in bundle["entry"]]
        assert all(each.startswith(f"{BASE}/") for each in stated)
        assert len(bundle["link"]) == 2
    history = ehr.get(path_of(created.headers["Location"]).rpartition("/")[0], **FORGED)
    assert "evil" not in history.data.decode()
    assert "evil" not in ehr.get("metadata", **FORGED).data.decode()


def test_sh04_no_answer_repeats_a_forged_host(ehr, known):
    for method, where in (
        ("GET", known.at),
        ("GET", TYPE),
        ("GET", "metadata"),
        ("GET", "Patient/1"),
        ("OPTIONS", TYPE),
    ):
        answer = ehr.ask(method, where, **FORGED)
        assert "evil" not in str(answer.headers)
        assert b"evil" not in answer.data


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/..%2f..%2fetc%2fpasswd",
        "/fhir/%00",
        "/fhir/Questionnaire/%2e%2e",
        "/fhir//metadata",
        "/fhir/metadata//x",
    ],
)
def test_sh04_no_path_reaches_a_file(ehr, path):
    issues_of(ehr.get(path), 400, 404)


def test_sh04_trace_and_odd_verbs_are_refused(ehr):
    for method in ("TRACE", "CONNECT", "BREW", "get"):
        answer = ehr.ask(method, "metadata", origin="https://x.example.org")
        issues_of(answer, 400, 405, 501)


@pytest.mark.parametrize("where", [TYPE, f"{TYPE}/$assess", f"{TYPE}/$validate", "", "Questionnaire/_search"])
def test_sh05_a_body_over_the_limit_is_refused(ehr, where):
    form = "application/x-www-form-urlencoded" if where.endswith("_search") else FHIR
    before = ehr.totals()
    issues_of(ehr.post(where, b"x" * 1_048_577, content_type=form), 413)
    assert ehr.totals() == before


def test_sh05_an_update_over_the_limit_is_refused(ehr, kept):
    issues_of(ehr.put(kept.at, b"x" * 1_048_577), 413)


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;\r\nX-Injected: 1\r\n=cmd|calc"


def test_sh08_text_from_outside_is_escaped_in_what_is_made_of_it(ehr, trail):
    document = answered(response(), "concerns", "notes", {"valueString": HOSTILE.replace("\r\n", " ")})
    document |= {
        "subject": {"reference": new_patient(), "display": "<b onclick=x>Name</b>"},
        "author": {"display": "<script>a</script>"},
        "source": {"display": "<script>b</script>"},
    }
    created = ehr.create(document)
    for kind, ids in trail(created["id"]).items():
        for id_ in ids:
            div = ehr.read(f"{kind}/{id_}").get("text", {}).get("div", "")
            assert "<script" not in div
            assert "onerror" not in div.replace("&lt;img src=x onerror", "")
            assert "onclick" not in div.replace("&lt;b onclick", "")


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<p onclick="alert(1)">x</p>',
        '<a href="javascript:alert(1)">x</a>',
        '<iframe src="https://evil.example.org"></iframe>',
        "<style>p{}</style>",
        "<object></object>",
        '<form action="x"></form>',
        "<!--><img src=x onerror=alert(1)>--><p>a comment of XML that HTML takes to end at once</p>",
        "<p>x</p><![CDATA[><img src=x onerror=alert(1)>]]>",
        '<h:script xmlns:h="http://www.w3.org/1999/xhtml">x</h:script>',
        '<img src="javascript:alert(1)"/>',
        '<a href=" java&#10;script:alert(1)">x</a>',
    ],
)
def test_sh08_a_narrative_that_would_run_is_not_stored(ehr, inside):
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{inside}</div>'
    before = ehr.totals()
    answer = ehr.post(TYPE, small(text={"status": "generated", "div": div}))
    issues_of(answer, 400, 422)
    assert ehr.totals() == before


def test_sh08_a_narrative_of_a_contained_resource_is_held_to_the_same(ehr):
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></div>'
    doctor = {"resourceType": "Practitioner", "id": "d", "text": {"status": "generated", "div": div}}
    issues_of(ehr.post(TYPE, small(contained=[doctor], author={"reference": "#d"})), 400, 422)


REMOTE = "https://elsewhere.example.org/seen.png"
ACTING = f'<p style="position: fixed">x</p><img alt="x" src="{REMOTE}"/><img alt="y" src="#pic"/>'
SHOWN = '<p>x</p><img alt="x"/><img alt="y" src="#pic"/>'


def divided(content):
    return {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{content}</div>'}


def with_narratives(content):
    picture = {"resourceType": "Binary", "id": "pic", "contentType": "image/png", "data": "iVBORw0KGgo="}
    doctor = {"resourceType": "Practitioner", "id": "d", "text": divided(content)}
    return small(text=divided(content), contained=[picture, doctor], author={"reference": "#d"})


def test_sh08_no_reader_is_sent_the_style_or_the_remote_images_of_a_sender(ehr):
    answer = ehr.post(TYPE, with_narratives(ACTING))
    assert answer.status == 201
    id_ = answer.json["id"]
    said = [
        answer.json,
        ehr.put(f"{TYPE}/{id_}", with_narratives(ACTING) | {"id": id_}).json,
        ehr.read(f"{TYPE}/{id_}"),
        ehr.read(f"{TYPE}/{id_}/_history/1"),
        ehr.read(f"{TYPE}/{id_}/_history"),
        ehr.read(f"{TYPE}?_id={id_}"),
        ehr.read(f"RiskAssessment?_id={id_}&_include=RiskAssessment:basis"),
        ehr.read(f"{TYPE}/{id_}?_summary=text"),
    ]
    for document in said:
        text = str(document)
        assert SHOWN in text
        assert (REMOTE in text, "position: fixed" in text) == (False, False)


def test_sh08_a_bundle_stores_narratives_in_the_same_way(ehr):
    for kind in ("batch", "transaction"):
        entry = {"resource": with_narratives(ACTING), "request": {"method": "POST", "url": TYPE}}
        answer = ehr.post("", {"resourceType": "Bundle", "type": kind, "entry": [entry]}).json
        location = answer["entry"][0]["response"]["location"]
        assert ehr.read(location[location.index(TYPE) :])["text"] == divided(SHOWN)


def test_sh08_the_sender_is_told_that_a_narrative_was_changed(ehr):
    told = ehr.post(TYPE, with_narratives(ACTING), prefer="return=OperationOutcome").json["issue"]
    assert [issue["details"]["coding"][0]["code"] for issue in told] == ["stored", "narrative-changed"]
    told = ehr.post(TYPE, with_narratives(SHOWN), prefer="return=OperationOutcome").json["issue"]
    assert [issue["details"]["coding"][0]["code"] for issue in told] == ["stored"]


def test_sh08_of_a_narrative_that_may_be_shown_no_byte_changes(ehr):
    document = with_narratives(SHOWN)
    stored = ehr.create(document)
    assert {name: stored[name] for name in ("text", "contained")} == {
        name: document[name] for name in ("text", "contained")
    }


def test_sh08_no_line_of_the_log_can_be_made_from_outside(ehr, caplog):
    with caplog.at_level(logging.DEBUG):
        ehr.get(f"{TYPE}/%0d%0aInjected", x_request_id="abc")
        ehr.get(f"{TYPE}?patient=%0d%0aInjected")
        ehr.post(TYPE, answered(response(), "concerns", "notes", {"valueString": "Injected"}))
    assert "Injected" not in json.dumps([str(each.msg) + each.getMessage() for each in caplog.records])


def test_sh08_a_control_character_does_not_come_in(ehr):
    for sign in ("\x00", "\x07", "\x1b"):
        issues_of(
            ehr.post(TYPE, answered(response(), "concerns", "notes", {"valueString": f"a{sign}b"})), 400
        )
