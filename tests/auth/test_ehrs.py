"""The registry of EHRs: what its file may say, and that every fault stands in one report."""

import pytest

from service.auth.ehrs import Ehr, connected_origins, frame_origins, read_ehrs, registered
from service.errors import SettingsError
from service.settings import origin_of

BLANK = "Expected the client id that the EHR gave, without blanks."
FORMS = ("first-form", "second-form")
WHOLE = """
ehrs:
  - issuer: https://ehr.example.org/fhir/r4
    name: General Hospital
    client-id: 3f2a-99
    redirect-url: https://forms.example.org/clinic/app
    frame-origins: [https://ehr.example.org, "https://portal.example.org:8443"]
    authorization-origins: [https://login.example.org]
    scopes: [openid, fhirUser, patient/Observation.rs]
    forms: [second-form]
  - issuer: http://127.0.0.1:8080/fhir
    client-id: here
    scopes: [patient/*.read]
"""


@pytest.fixture
def read(tmp_path):
    def reading(text):
        path = tmp_path / "ehrs.yaml"
        path.write_text(text)
        return read_ehrs(path, server="https://forms.example.org", forms=FORMS)

    return reading


def faults_of(read, text):
    with pytest.raises(SettingsError) as refused:
        read(text)
    return refused.value.faults


def entry(**changed):
    """Returns a file with one EHR; a key with the value None is left out."""
    keys = {"issuer": "https://ehr.example.org/fhir", "client-id": "app", "scopes": "[openid]"}
    keys |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"    {name}: {value}" for name, value in keys.items() if value is not None]
    return "\n".join(("ehrs:", "  -", *lines))


def test_an_ehr_is_read_as_it_is_written(read):
    ehr, _ = read(WHOLE)
    assert ehr == Ehr(
        issuer="https://ehr.example.org/fhir/r4",
        client_id="3f2a-99",
        redirect_url="https://forms.example.org/clinic/app",
        scopes=("openid", "fhirUser", "patient/Observation.rs"),
        name="General Hospital",
        forms=("second-form",),
        frame_origins=("https://ehr.example.org", "https://portal.example.org:8443"),
        authorization_origins=("https://login.example.org",),
    )


def test_what_is_left_out_follows_from_the_rest(read):
    _, ehr = read(WHOLE)
    assert ehr.name == "127.0.0.1:8080"
    assert ehr.redirect_url == "https://forms.example.org/app"
    assert ehr.forms == FORMS
    assert ehr.origins == ("http://127.0.0.1:8080",)


def test_the_app_may_speak_with_every_registered_origin_and_stand_in_every_registered_frame(read):
    ehrs = read(WHOLE)
    assert frame_origins(ehrs) == ("https://ehr.example.org", "https://portal.example.org:8443")
    assert connected_origins(ehrs) == (
        "https://ehr.example.org",
        "https://login.example.org",
        "http://127.0.0.1:8080",
    )


def test_an_issuer_is_known_only_letter_by_letter(read):
    ehrs = read(WHOLE)
    assert registered(ehrs, "https://ehr.example.org/fhir/r4") == ehrs[0]
    for other in ("", "https://ehr.example.org/fhir/r4/", "https://EHR.example.org/fhir/r4"):
        assert registered(ehrs, other) is None


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Ehr.example.org:443/fhir", "https://ehr.example.org"),
        ("http://localhost:80/fhir", "http://localhost"),
        ("https://ehr.example.org:8443/fhir", "https://ehr.example.org:8443"),
        ("http://[::1]:9/fhir", "http://[::1]:9"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(url, origin):
    assert origin_of(url) == origin


@pytest.mark.parametrize("key", ["issuer", "redirect-url", "frame-origins", "authorization-origins"])
@pytest.mark.parametrize(
    "url",
    [
        "http://ehr.example.org/app",
        "http://169.254.169.254/app",
        "https://user@ehr.example.org/app",
        "https://ehr.example.org/app?x=1",
        "https://ehr.example.org/app#x",
        "ftp://ehr.example.org/app",
        "//ehr.example.org/app",
        "https://ehr.example.org/app;\\r\\nx",
        "https://*/app",
    ],
)
def test_an_address_that_others_could_read_or_that_says_more_is_refused(read, key, url):
    value = f'["{url}"]' if key.endswith("origins") else f'"{url}"'
    (fault,) = faults_of(read, entry(**{key: value}))
    assert fault.startswith(f"ehrs.yaml: ehrs[0].{key}")
    assert "Expected an" in fault


@pytest.mark.parametrize(
    "origin", ["https://ehr.example.org/", "https://ehr.example.org:443", "https://EHR.example.org"]
)
def test_an_origin_that_no_browser_would_write_is_refused(read, origin):
    (fault,) = faults_of(read, entry(frame_origins=f'["{origin}"]'))
    assert "Expected an origin" in fault


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"issuer": None}, "ehrs[0].issuer: Is missing."),
        ({"client-id": None}, "ehrs[0].client-id: Is missing."),
        ({"scopes": None}, "ehrs[0].scopes: Is missing."),
        (
            {"client-id": '"a b"'},
            f"ehrs[0].client-id: {BLANK}",
        ),
        ({"client-id": "12"}, "ehrs[0].client-id: Expected text."),
        ({"name": ""}, "ehrs[0].name: Is empty."),
        ({"scopes": "[]"}, "ehrs[0].scopes: Is empty."),
        ({"scopes": "openid"}, "ehrs[0].scopes: Expected a list."),
        ({"scopes": '["a b"]'}, "ehrs[0].scopes[0]: Expected one scope, such as patient/Observation.rs."),
        (
            {"scopes": "[openid, offline_access]"},
            "ehrs[0].scopes[1]: The app needs nothing when nobody is there: leave this scope out.",
        ),
        (
            {"redirect-url": "https://forms.example.org/other"},
            "ehrs[0].redirect-url: Expected the public address of this service's own page /app.",
        ),
        ({"forms": "[]"}, "ehrs[0].forms: Is empty."),
        ({"forms": "[third-form]"}, "ehrs[0].forms[0]: Expected one of: first-form, second-form."),
        ({"colour": "red"}, "ehrs[0].colour: No such key; docs/smart-app.md lists those that there are."),
    ],
)
def test_a_fault_names_its_file_and_key(read, changed, fault):
    assert faults_of(read, entry(**changed)) == [f"ehrs.yaml: {fault}"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "ehrs: Is missing."),
        ("- ehrs", "ehrs: Is missing."),
        ("ehrs: {}", "ehrs: Expected a list."),
        ("ehrs: []", "ehrs: Is empty."),
        ("ehrs: [one]", "ehrs[0]: Expected keys and values."),
        ("ehrs: &a []", "line 1: expected no anchor (&) and no alias (*)"),
        ("ehrs: []\nehrs: []", "line 2: expected each key once; ehrs stands here again"),
    ],
)
def test_a_file_of_another_shape_is_refused(read, text, fault):
    assert faults_of(read, text) == [f"ehrs.yaml: {fault}"]


def test_every_fault_is_told_at_once(read):
    text = entry(client_id="''", name="3") + "\n  - issuer: http://ehr.example.org\n    scopes: [x]"
    assert [fault.partition(": ")[2].partition(":")[0] for fault in faults_of(read, text)] == [
        "ehrs[0].client-id",
        "ehrs[0].name",
        "ehrs[1].issuer",
        "ehrs[1].client-id",
    ]


def test_an_issuer_stands_there_once(read):
    text = WHOLE.replace("http://127.0.0.1:8080/fhir", "https://ehr.example.org/fhir/r4")
    assert faults_of(read, text) == ["ehrs.yaml: ehrs[1].issuer: Expected each issuer once."]


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.yaml: expected a readable file"):
        read_ehrs(tmp_path / "none.yaml", server="https://forms.example.org", forms=FORMS)
