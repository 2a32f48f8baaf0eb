"""What people read at the address of a form that there is not, or that these pages cannot show."""

import json
import shutil
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from service import app
from service.settings import ROOT, Settings

SLUG = "workday-strain"
PATH = f"/questionnaires/{SLUG}"
HEADING = '<h1 tabindex="-1">{}</h1>'


@pytest.fixture(scope="module")
def with_a_file(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """The service with a questionnaire that asks for a file as well."""
    folder = tmp_path_factory.mktemp("with-a-file")
    for name in ("questionnaires", "mappings"):
        shutil.copytree(ROOT / "tests/second_pair" / name, folder / name)
    path = Path(folder / f"questionnaires/{SLUG}.json")
    resource = json.loads(path.read_text())
    resource["item"].append({"linkId": "photo", "type": "attachment", "text": "A photo"})
    path.write_text(json.dumps(resource))
    folders = {f"{name}_dir": folder / name for name in ("questionnaires", "mappings")}
    settings = Settings(store_url="none", emergency_number="112", **folders)
    return app.create_app(settings).test_client()


@pytest.mark.parametrize(
    ("language", "heading"),
    [
        ("en", "This questionnaire cannot be filled in here"),
        ("de-AT, en;q=0.5", "Dieser Fragebogen lässt sich hier nicht ausfüllen"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_questionnaire_that_cannot_be_shown_says_so_and_asks_nothing(
    with_a_file: FlaskClient, language: str, heading: str, method: str
) -> None:
    answer = with_a_file.open(PATH, method=method, headers={"Accept-Language": language})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert HEADING.format(heading) in page
    assert f'<html lang="{language[:2]}">' in page
    assert "<form" not in page
    assert "photo" not in page.lower()
    assert 'href="tel:112"' in page


def test_the_front_page_does_not_lead_to_it(with_a_file: FlaskClient) -> None:
    assert PATH not in with_a_file.get("/").get_data(as_text=True)


def test_other_renderers_still_get_it(with_a_file: FlaskClient) -> None:
    assert with_a_file.get(f"/fhir/Questionnaire/{SLUG}").status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_form_that_there_is_not_is_told_in_words_for_people(client: FlaskClient, method: str) -> None:
    answer = client.open("/questionnaires/canary", method=method, headers={"Accept-Language": "de"})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 404
    assert '<h1 tabindex="-1">Dieses Formular gibt es hier nicht</h1>' in page
    assert "canary" not in page
