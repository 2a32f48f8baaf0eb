"""What docs/access.md lists is what the registry takes, and what the routes ask for."""

import re
import subprocess
import sys

import pytest
from page_tables import rows

from service import app
from service.auth import ehrs
from service.settings import Settings

REGISTRY = """
ehrs:
  - issuer: https://ehr.example.org/fhir
    tenant: north
    tokens:
      issuer: https://login.example.org
      audience: [https://forms.example.org/fhir]
      jwks-url: https://login.example.org/jwks
      token-endpoint: https://login.example.org/token
"""
_VARIABLE = re.compile(r"<id:([a-z]+)>")


@pytest.fixture
def text(page):
    return page("docs/access.md")


def section(text, title):
    """Returns a part of a page, from its heading to the next."""
    return text.partition(f"\n{title}\n")[2].partition("\n## ")[0].partition("\n### ")[0]


def keys_of(schema):
    return {field.data_key for field in schema().fields.values()}


@pytest.mark.parametrize(
    ("title", "schema"),
    [("### `tokens`", ehrs._TokensEntry), ("### `cds-clients`", ehrs._CdsClientEntry)],
)
def test_every_key_of_access_is_listed(text, title, schema):
    assert {row[0] for row in rows(section(text, title), 3)} == keys_of(schema)


def test_every_key_of_an_entry_is_listed_here_or_where_the_app_is_explained(text, page):
    here = {row[0] for row in rows(section(text, "## The registry"), 3)}
    there = {row[0] for row in rows(section(page("docs/smart-app.md"), "## The file of EHRs"), 3)}
    assert here | there == keys_of(ehrs._Entry)


def asked_for(tmp_path):
    """Returns request and type, with the rule and the scope, of each route where access is controlled."""
    path = tmp_path / "ehrs.yaml"
    path.write_text(REGISTRY)
    controlled = app.create_app(Settings(store_url=f"sqlite:///{tmp_path}/store.db", ehrs_file=path))
    for route in controlled.routes:
        request = _VARIABLE.sub(r"{\1}", f"{route.method} {route.path}")
        yield request, (route.access.value, route.scope)


def listed(text):
    for request, types, rule, scope in rows(section(text, "## Routes"), 4):
        for kind in types.split(", "):
            yield request.replace("{type}", kind), (rule, scope.replace("{type}", kind))


def test_every_route_is_listed_with_its_rule_and_scope(text, tmp_path):
    assert dict(listed(text)) == dict(asked_for(tmp_path))


def test_the_example_of_a_registry_is_taken(text, tmp_path):
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    path = tmp_path / "ehrs.yaml"
    path.write_text(example)
    (ehr,) = ehrs.read_ehrs(path, server="https://forms.example.org", forms=())
    assert ehr.tokens is not None


def bearing(program, folder):
    """Returns the header with the token that a program makes, and has it write its key into the folder."""
    made = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    return {"Authorization": f"Bearer {made.stdout.strip()}"}


def test_a_token_of_ones_own_lets_in_and_one_of_another_scope_does_not(text, tmp_path):
    """With the key, the token and the registry of the page, and what it says of a second run."""
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    bearer = bearing(program, tmp_path)
    path = tmp_path / "ehrs.yaml"
    path.write_text(example.replace("jwks-url: https://login.example.org/jwks", "jwks-file: keys.json"))
    store = f"sqlite:///{tmp_path / 'store.db'}"
    client = app.create_app(Settings(store_url=store, ehrs_file=path)).test_client()
    assert client.get("/fhir/QuestionnaireResponse", headers=bearer).status_code == 200
    assert client.get("/fhir/QuestionnaireResponse").status_code == 401
    assert program.count("system/*.crus") == 1
    narrower = bearing(program.replace("system/*.crus", "system/Provenance.r"), tmp_path)
    assert client.get("/fhir/QuestionnaireResponse", headers=narrower).status_code == 403
