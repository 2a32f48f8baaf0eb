"""`smart-configuration` and `rest.security`: what they say follows from the registry, and holds."""

from urllib.parse import urlsplit

import fakes
import orjson
import pytest

from service.auth.ehrs import Ehr, Tokens
from service.web.smart_configuration import smart_configuration, tokens_of

PATH = "/fhir/.well-known/smart-configuration"
LOGIN = "https://login.example.org"
SIGNED_IN = Tokens(
    issuer=LOGIN,
    audiences=(fakes.BASE,),
    token_endpoint=f"{LOGIN}/token",
    keys=f"{LOGIN}/jwks",
    authorization_endpoint=f"{LOGIN}/authorize",
    scopes=("launch/patient", "patient/QuestionnaireResponse.crus", "user/*.read", "system/*.rs"),
)
BACKEND = Tokens(issuer=LOGIN, audiences=(fakes.BASE,), token_endpoint=f"{LOGIN}/token", keys=f"{LOGIN}/jwks")
ASKED = Tokens(
    issuer=LOGIN,
    audiences=(fakes.BASE,),
    token_endpoint=f"{LOGIN}/token",
    introspection_url=f"{LOGIN}/introspect",
    introspection_client_id="us",
    introspection_secret="canary-secret",
    authorization_endpoint=f"{LOGIN}/authorize",
)
EACH = pytest.mark.parametrize("tokens", [SIGNED_IN, BACKEND, ASKED], ids=["signed-in", "backend", "asked"])
ACCEPTED = (None, "application/fhir+json", "text/html", "application/fhir+xml", "image/png", "*/*;q=0")


@pytest.fixture(scope="module")
def controlled():
    return fakes.composed(tokens=SIGNED_IN, origins=frozenset(("https://app.example.org",))).test_client()


@pytest.mark.parametrize("accept", ACCEPTED)
def test_it_is_json_whatever_is_accepted(controlled, accept):
    """CS08."""
    answer = controlled.get(PATH, headers={} if accept is None else {"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert orjson.loads(answer.data)["token_endpoint"] == f"{LOGIN}/token"


@pytest.mark.parametrize("base", ["https://host.example.org/a/fhir", "https://host.example.org/guidance/r4"])
def test_it_stands_below_a_base_with_a_path(base):
    """CS08: what a proxy shows at [base] is below `/fhir` here, and the OpenAPI document names it."""
    client = fakes.composed(tokens=SIGNED_IN, base=base).test_client()
    assert client.get(PATH).status_code == 200
    document = orjson.loads(client.get("/openapi.json").data)
    shown = {document["servers"][0]["url"] + path for path in document["paths"]}
    assert f"{base}/.well-known/smart-configuration" in shown


def test_pages_of_every_origin_may_read_it_and_its_tag_saves_a_transfer(controlled):
    """CO02 CS08: a HEAD and a preflight are answered as well, and nobody needs a token for it."""
    answer = controlled.get(PATH, headers={"Origin": "https://anywhere.example.org"})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert controlled.get(PATH, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert controlled.head(PATH).headers["Content-Type"] == "application/json"
    preflight = {"Origin": "https://anywhere.example.org", "Access-Control-Request-Method": "GET"}
    assert controlled.options(PATH, headers=preflight).headers["Access-Control-Allow-Origin"] == "*"


def test_without_tokens_it_is_cleanly_not_there(client, is_outcome):
    """CS08 ER01."""
    answer = client.get(PATH)
    assert answer.status_code == 404
    is_outcome(answer)


def test_it_is_no_entry_of_a_bundle(controlled):
    """BU01: it is no part of the FHIR API."""
    entry = {"request": {"method": "GET", "url": ".well-known/smart-configuration"}}
    batch = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    answer = controlled.post("/fhir", json=batch, headers={"Content-Type": fakes.FHIR})
    assert orjson.loads(answer.data)["entry"][0]["response"]["status"].startswith("404")


@EACH
def test_its_fields_are_those_that_the_guide_requires(tokens):
    """CS09: as Inferno's well_known_capabilities_stu2_test looks at them."""
    said = smart_configuration(tokens)
    for name in ("grant_types_supported", "capabilities", "code_challenge_methods_supported"):
        assert said[name]
        assert all(isinstance(each, str) for each in said[name])
    assert "S256" in said["code_challenge_methods_supported"]
    assert "plain" not in said["code_challenge_methods_supported"]
    assert set(said["grant_types_supported"]) <= {"authorization_code", "client_credentials"}
    launches = [each for each in said["capabilities"] if each.startswith("launch-")]
    assert bool(launches) == ("authorization_endpoint" in said)
    assert ("authorization_code" in said["grant_types_supported"]) == ("authorization_endpoint" in said)
    signs_in = "sso-openid-connect" in said["capabilities"]
    assert ({"issuer", "jwks_uri"} & said.keys() != set()) == signs_in
    urls = [value for name, value in said.items() if name.endswith(("_endpoint", "_uri"))]
    assert all(urlsplit(url).scheme == "https" and urlsplit(url).netloc for url in urls)
    assert "canary" not in str(said)


def test_what_it_says_follows_from_the_scopes_that_apps_may_ask_for():
    """CS09."""
    assert smart_configuration(SIGNED_IN) == {
        "authorization_endpoint": f"{LOGIN}/authorize",
        "token_endpoint": f"{LOGIN}/token",
        "grant_types_supported": ["authorization_code", "client_credentials"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": list(SIGNED_IN.scopes),
        "capabilities": [
            "launch-standalone",
            "context-standalone-patient",
            "permission-patient",
            "permission-user",
            "permission-v1",
            "permission-v2",
        ],
    }


def test_a_service_for_programs_alone_names_no_place_to_sign_in():
    """CS09: Backend Services need no authorization endpoint."""
    assert smart_configuration(BACKEND) == {
        "token_endpoint": f"{LOGIN}/token",
        "grant_types_supported": ["client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["permission-v1", "permission-v2"],
    }


def test_where_tokens_are_asked_about_is_told():
    """CS09: recommended."""
    said = smart_configuration(ASKED)
    assert said["introspection_endpoint"] == f"{LOGIN}/introspect"
    assert said["capabilities"] == [
        "launch-standalone",
        "permission-patient",
        "permission-user",
        "permission-v1",
        "permission-v2",
    ]


def test_of_several_ehrs_the_first_whose_tokens_are_taken_is_named():
    def ehr(tokens):
        return Ehr("https://ehr.example.org", "", "", (), "", (), tokens=tokens)

    assert tokens_of([ehr(None), ehr(BACKEND), ehr(SIGNED_IN)]) is BACKEND
    assert tokens_of([ehr(None)]) is None


def test_the_capability_statement_names_the_same_endpoints(controlled):
    """CS06."""
    (rest,) = orjson.loads(controlled.get("/fhir/metadata").data)["rest"]
    security = rest["security"]
    assert security["cors"] is True
    assert [coding["code"] for coding in security["service"][0]["coding"]] == ["SMART-on-FHIR"]
    (uris,) = security["extension"]
    assert uris["url"].endswith("/StructureDefinition/oauth-uris")
    said = {part["url"]: part["valueUri"] for part in uris["extension"]}
    assert said == {"authorize": f"{LOGIN}/authorize", "token": f"{LOGIN}/token"}


def test_the_capability_statement_is_valid_with_it(controlled, union):
    """CS01 CS06: judged by the validators for R4."""
    assert union([orjson.loads(controlled.get("/fhir/metadata").data)]) == [[]]


def test_the_capability_statement_claims_only_what_is_there(client):
    """CS06: the extension needs a place to sign in, and without tokens there is nothing to say."""
    for tokens, expected in ((BACKEND, {"cors", "service"}), (None, {"cors"})):
        answer = fakes.composed(tokens=tokens).test_client().get("/fhir/metadata")
        assert orjson.loads(answer.data)["rest"][0]["security"].keys() == expected
