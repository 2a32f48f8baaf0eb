"""The registry's keys about tokens and CDS clients: what they say, and that faults are told together."""

import pytest

from service.auth.ehrs import (
    ALGORITHMS,
    CdsClient,
    Tokens,
    apps,
    asked_origins,
    controls_access,
    read_ehrs,
)
from service.errors import SettingsError

SIGNED = """
ehrs:
  - issuer: https://ehr.example.org/fhir
    tenant: north
    tokens:
      issuer: https://login.example.org
      audience: [https://forms.example.org/fhir]
      jwks-url: https://login.example.org/jwks
      algorithms: [RS384, ES384]
      authorization-endpoint: https://login.example.org/authorize
      token-endpoint: https://login.example.org/token
    cds-clients:
      - issuer: https://ehr.example.org
        jwks-url: https://keys.example.org/cds
"""
ASKED = """
ehrs:
  - issuer: https://ehr.example.org/fhir
    tenant: north
    tokens:
      issuer: https://login.example.org
      audience: [https://forms.example.org/fhir]
      introspection-url: https://login.example.org/introspect
      introspection-client-id: forms
      introspection-client-secret-file: secret
      token-endpoint: https://login.example.org/token
"""


@pytest.fixture
def read(tmp_path):
    (tmp_path / "secret").write_text("canary-secret\n")

    def reading(text):
        path = tmp_path / "ehrs.yaml"
        path.write_text(text)
        return read_ehrs(path, server="https://forms.example.org", forms=("first-form",))

    return reading


def faults_of(read, text):
    with pytest.raises(SettingsError) as refused:
        read(text)
    return [fault.removeprefix("ehrs.yaml: ehrs[0].") for fault in refused.value.faults]


def test_an_entry_may_have_tokens_alone(read):
    (ehr,) = read(SIGNED)
    assert ehr.tenant == "north"
    assert ehr.tokens == Tokens(
        issuer="https://login.example.org",
        audiences=("https://forms.example.org/fhir",),
        keys="https://login.example.org/jwks",
        algorithms=("RS384", "ES384"),
        authorization_endpoint="https://login.example.org/authorize",
        token_endpoint="https://login.example.org/token",
    )
    assert ehr.cds_clients == (
        CdsClient("https://ehr.example.org", "https://keys.example.org/cds", ("ES384", "RS384")),
    )
    assert apps([ehr]) == ()
    assert controls_access([ehr])
    assert asked_origins([ehr]) == {"https://login.example.org", "https://keys.example.org"}


def test_the_secret_stands_in_a_file_and_shows_nowhere(read):
    (ehr,) = read(ASKED)
    assert ehr.tokens.introspection_secret == "canary-secret"
    assert ehr.tokens.algorithms == ALGORITHMS
    assert "canary" not in repr(ehr)


def test_an_app_alone_controls_no_access(read):
    ehrs = read("ehrs: [{issuer: 'https://e.example.org/fhir', client-id: app, scopes: [openid]}]")
    assert apps(ehrs) == ehrs
    assert not controls_access(ehrs)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("    tenant: north\n", "", "tenant: Is missing."),
        ("tenant: north", "tenant: 'north/south'", "tenant: Expected a name of at most 64"),
        ("jwks-url: https://login.example.org/jwks", "colour: red", "tokens.colour: No such key"),
        ("      jwks-url: https://login.example.org/jwks\n", "", "tokens: Expected one of: jwks-url"),
        (
            "jwks-url: https://login.example.org/jwks",
            "jwks-url: http://login.example.org/jwks",
            "tokens.jwks-url",
        ),
        ("[RS384, ES384]", "[HS256]", "tokens.algorithms[0]: Expected one of"),
        ("[RS384, ES384]", "[none]", "tokens.algorithms[0]: Expected one of"),
        ("audience: [https://forms.example.org/fhir]", "audience: []", "tokens.audience: Is empty."),
        ("      audience: [https://forms.example.org/fhir]\n", "", "tokens.audience: Is missing."),
        ("    tenant: north", "    tenant: north\n    scopes: [openid]", "client-id: Is missing."),
        ("      token-endpoint: https://login.example.org/token\n", "", "tokens.token-endpoint: Is missing."),
        ("jwks-url: https://keys.example.org/cds", "jwks-file: x", "cds-clients[0].jwks-"),
    ],
)
def test_a_fault_is_told_with_its_key(read, old, new, fault):
    assert old in SIGNED
    assert any(found.startswith(fault) for found in faults_of(read, SIGNED.replace(old, new)))


def test_who_asks_about_tokens_needs_a_secret_that_can_be_read(read):
    without = ASKED.replace("      introspection-client-secret-file: secret\n", "")
    assert faults_of(read, without)[0].startswith("tokens: Expected introspection-client-id")


@pytest.mark.parametrize("bytes_", [None, b"\xff"])
def test_a_file_of_a_secret_or_of_keys_that_cannot_be_read_is_named(read, tmp_path, bytes_):
    if bytes_ is not None:
        (tmp_path / "gone").write_bytes(bytes_)
    of_keys = SIGNED.replace("jwks-url: https://login.example.org/jwks", "jwks-file: gone")
    for text in (ASKED.replace("secret-file: secret", "secret-file: gone"), of_keys):
        (fault,) = faults_of(read, text)
        assert fault == "ehrs.yaml: gone: Expected a file in UTF-8 that can be read, beside this one."


def test_a_token_leads_to_one_entry(read):
    second = ASKED.removeprefix("\nehrs:\n").replace("ehr.example.org", "other.example.org")
    faults = faults_of(read, ASKED + second)
    assert any("each issuer of tokens once" in fault for fault in faults)
    assert any("one entry at most" in fault for fault in faults)


def test_a_client_leads_to_one_entry_cf09(read):
    client = "cds-clients: [{issuer: 'https://c.example.org', jwks-url: 'https://c.example.org/jwks'}]"
    entries = [
        f"  - issuer: https://{name}.example.org/fhir\n    tenant: {name}\n    {client}\n"
        for name in ("north", "south")
    ]
    faults = faults_of(read, "ehrs:\n" + "".join(entries))
    assert any("cds-clients[0].issuer: Expected each issuer of clients once" in fault for fault in faults)
