"""The settings, and that README lists them as they are."""

import dataclasses
import re

import pytest

from service.errors import SettingsError
from service.settings import ROOT, Settings, from_environment


def test_without_variables_the_defaults_hold():
    assert from_environment({"PATH": "/bin"}) == Settings()


def test_every_variable_is_read(tmp_path):
    given = {
        "SERVICE_QUESTIONNAIRES_DIR": str(tmp_path),
        "SERVICE_MAPPINGS_DIR": str(tmp_path),
        "SERVICE_BASE_URL": "https://fhir.example.org/r4",
        "SERVICE_CANONICAL_BASE": "https://example.com/x",
        "SERVICE_STORE_URL": "none",
        "SERVICE_STORE_TIMEOUT_S": "4",
        "SERVICE_STORE_CONNECTIONS": "8",
        "SERVICE_RETENTION_DAYS": "400",
        "SERVICE_AUDIT_RETENTION_DAYS": "4000",
        "SERVICE_MAX_BUNDLE_ENTRIES": "9",
        "SERVICE_CORS_ORIGINS": "https://app.example.org,http://127.0.0.1:9000",
        "SERVICE_HOST": "0.0.0.0",
        "SERVICE_PORT": "9000",
        "SERVICE_WORKERS": "3",
        "SERVICE_CONNECTIONS": "10",
        "SERVICE_MAX_BODY_BYTES": "2048",
        "SERVICE_MAX_DEPTH": "32",
        "SERVICE_REQUEST_TIMEOUT_S": "5",
        "SERVICE_KEEPALIVE_S": "6",
        "SERVICE_DRAIN_S": "0",
        "SERVICE_GRACEFUL_TIMEOUT_S": "7",
        "SERVICE_LOG_LEVEL": "ERROR",
    }
    settings = from_environment(given)
    assert {f"SERVICE_{field.name.upper()}" for field in dataclasses.fields(Settings)} == set(given)
    assert all(
        str(getattr(settings, name.removeprefix("SERVICE_").lower())) == text for name, text in given.items()
    )


def test_all_faults_are_reported_together():
    given = {
        "SERVICE_PORT": "80000",
        "SERVICE_WORKERS": "many",
        "SERVICE_MAX_BODYBYTES": "1",
        "SERVICE_LOG_LEVEL": "loud",
        "SERVICE_MAPPINGS_DIR": "/no/such/folder",
        "SERVICE_BASE_URL": "fhir.example.org",
    }
    with pytest.raises(SettingsError) as error:
        from_environment(given)
    assert [fault.split(":")[0] for fault in error.value.faults] == sorted(given)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x.example/fhir",
        "https:///fhir",
        "https://x.example/fhir/",
        "https://x.example/?a",
        "https://u:p@x.example/fhir",
        "",
    ],
)
def test_a_base_that_links_cannot_be_built_from_is_refused(url):
    with pytest.raises(SettingsError):
        from_environment({"SERVICE_BASE_URL": url})


def test_the_base_of_links_is_the_configured_one_or_the_address():
    assert Settings().public_base == "http://127.0.0.1:8000/fhir"
    assert Settings(host="::1", port=1).public_base == "http://[::1]:1/fhir"
    assert Settings(base_url="https://x.example/fhir").public_base == "https://x.example/fhir"


def test_a_fault_never_repeats_the_value():
    with pytest.raises(SettingsError) as error:
        from_environment(
            {"SERVICE_PORT": "hunter2", "SERVICE_BASE_URL": "hunter2", "SERVICE_LOG_LEVEL": "hunter2"}
        )
    assert "hunter2" not in str(error.value)


def test_readme_lists_every_setting_with_its_default():
    rows = re.findall(
        r"^\| `(SERVICE_\w+)` \| *`?([^|`]*?)`? *\|", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert dict(rows) == {f"SERVICE_{name.upper()}": text for name, text in _defaults()}


def _defaults():
    for field in dataclasses.fields(Settings):
        value = field.default
        in_root = field.name.endswith("_dir")
        yield field.name, str(value.relative_to(ROOT)) if in_root else str(value)
