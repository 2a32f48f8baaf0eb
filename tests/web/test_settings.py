"""The settings."""

import dataclasses

import pytest

from service.errors import SettingsError
from service.settings import ROOT, Settings, from_environment


def test_without_variables_the_defaults_hold():
    assert from_environment({"PATH": "/bin"}) == Settings()


def test_every_variable_is_read(tmp_path):
    given = {
        "SERVICE_QUESTIONNAIRES_DIR": str(tmp_path),
        "SERVICE_MAPPINGS_DIR": str(tmp_path),
        "SERVICE_NEXT_MAPPINGS_DIR": str(tmp_path),
        "SERVICE_NEXT_QUESTIONNAIRES_DIR": str(tmp_path),
        "SERVICE_CHECKED_DIR": str(tmp_path),
        "SERVICE_TERMINOLOGY_DIR": str(tmp_path),
        "SERVICE_TERMINOLOGY_SERVER": "https://terminology.example.org/r4",
        "SERVICE_TERMINOLOGY_TIMEOUT_S": "9",
        "SERVICE_BASE_URL": "https://fhir.example.org/r4",
        "SERVICE_CANONICAL_BASE": "https://example.com/x",
        "SERVICE_LANGUAGE": "de-CH",
        "SERVICE_STORE_URL": "none",
        "SERVICE_STORE_TIMEOUT_S": "4",
        "SERVICE_STORE_CONNECTIONS": "8",
        "SERVICE_RETENTION_DAYS": "400",
        "SERVICE_AUDIT_RETENTION_DAYS": "4000",
        "SERVICE_MAX_BUNDLE_ENTRIES": "9",
        "SERVICE_CORS_ORIGINS": "https://app.example.org,http://127.0.0.1:9000",
        "SERVICE_EMERGENCY_NUMBER": "112",
        "SERVICE_CRISIS_LINE": "+44 20-7946",
        "SERVICE_HOST": "0.0.0.0",
        "SERVICE_PORT": "9000",
        "SERVICE_OPEN": "true",
        "SERVICE_REQUIRE_REVIEW": "true",
        "SERVICE_WORKERS": "3",
        "SERVICE_CONNECTIONS": "10",
        "SERVICE_MAX_BODY_BYTES": "2048",
        "SERVICE_MAX_DEPTH": "32",
        "SERVICE_REQUESTS_PER_MINUTE": "600",
        "SERVICE_TRUSTED_PROXIES": "10.0.0.0/8,2001:db8::1,unix",
        "SERVICE_SANDBOX_MEMORY_MIB": "512",
        "SERVICE_REQUEST_TIMEOUT_S": "5",
        "SERVICE_KEEPALIVE_S": "6",
        "SERVICE_DRAIN_S": "0",
        "SERVICE_GRACEFUL_TIMEOUT_S": "7",
        "SERVICE_PUBLIC_FORM": "false",
        "SERVICE_PUBLIC_DEFINITIONS": "true",
        "SERVICE_FORM_KEYS": f"{'k' * 32},{'l' * 40}",
        "SERVICE_FORM_MAX_AGE_H": "2",
        "SERVICE_FORM_SHORT": "true",
        "SERVICE_FORM_STORES": "true",
        "SERVICE_FORM_TENANT": "north",
        "SERVICE_PRIVACY_NOTICE_URL": "https://clinic.example.org/privacy?form=1",
        "SERVICE_EMBED_ORIGINS": "https://app.example.org",
        "SERVICE_EHRS_FILE": "ehrs.yaml",
        "SERVICE_AUDIT": "true",
        "SERVICE_FEEDBACK_KEY": "f" * 32,
        "SERVICE_METRICS": "true",
        "SERVICE_METRICS_TOKEN": "t" * 32,
        "SERVICE_TRACING": "true",
        "SERVICE_LOG_LEVEL": "ERROR",
        "SERVICE_RELOAD": "true",
    }
    settings = from_environment(given)
    assert {f"SERVICE_{field.name.upper()}" for field in dataclasses.fields(Settings)} == set(given)
    assert settings.open is True
    assert settings.require_review is settings.form_stores is settings.form_short is True
    assert settings.audit is settings.metrics is settings.tracing is settings.reload is True
    assert settings.public_form is False
    assert settings.public_definitions is True
    truths = {
        "SERVICE_OPEN",
        "SERVICE_REQUIRE_REVIEW",
        "SERVICE_PUBLIC_FORM",
        "SERVICE_PUBLIC_DEFINITIONS",
        "SERVICE_FORM_SHORT",
        "SERVICE_FORM_STORES",
        "SERVICE_AUDIT",
        "SERVICE_METRICS",
        "SERVICE_TRACING",
        "SERVICE_RELOAD",
    }
    others = given.keys() - truths
    assert all(
        str(getattr(settings, name.removeprefix("SERVICE_").lower())) == given[name] for name in others
    )


def test_the_token_of_the_metrics_comes_from_a_file_too_and_is_never_short(tmp_path):
    held = tmp_path / "token"
    held.write_text("t" * 32 + "\n")
    assert from_environment({"SERVICE_METRICS_TOKEN_FILE": str(held)}).metrics_token == "t" * 32
    for refused in ("t" * 31, "t" * 32 + " x", ""):
        with pytest.raises(SettingsError, match="SERVICE_METRICS_TOKEN"):
            from_environment({"SERVICE_METRICS_TOKEN": refused})


def test_proxies_are_named_by_address_network_or_as_a_unix_socket():
    given = from_environment({"SERVICE_TRUSTED_PROXIES": "10.0.0.0/8,192.0.2.1,2001:db8::/32,unix"})
    assert given.proxies == ("10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "unix")
    assert from_environment({"SERVICE_TRUSTED_PROXIES": ""}).proxies == ()
    for refused in ("proxy.example.org", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.1 ", "*", "unix:/run/x"):
        with pytest.raises(SettingsError, match="SERVICE_TRUSTED_PROXIES: Expected addresses and networks"):
            from_environment({"SERVICE_TRUSTED_PROXIES": refused})


@pytest.mark.parametrize("name", ["SERVICE_CORS_ORIGINS", "SERVICE_EMBED_ORIGINS"])
def test_an_origin_that_no_browser_writes_is_refused_as_it_would_never_be_let_in(name):
    own = (
        "https://app.example.org,https://app.example.org:8443,http://[::1]:9000,https://xn--bcher-kva.example"
    )
    from_environment({name: own})
    for refused in (
        "null",
        "*",
        "https://app.example.org/",
        "https://app.example.org:443",
        "http://app.example.org:80",
        "https://app.example.org:0443",
        "https://user@app.example.org",
        "https://App.example.org",
        "https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example",
        "https://app.example.org, https://other.example.org",
    ):
        with pytest.raises(SettingsError, match=f"{name}: Expected origins such as"):
            from_environment({name: refused})


LOOPBACK = ("127.0.0.1", "127.1.2.3", "localhost", "LocalHost", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1")
REACHABLE = (
    "0.0.0.0",
    "::",
    "",
    "10.0.0.1",
    "192.0.2.1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "fhir.example.org",
)
REACHABLE += ("127.0.0.1.example.org", "localhost.example.org", "1.127.0.0", "127.1", "0")


@pytest.mark.parametrize("host", LOOPBACK)
def test_the_service_listens_on_a_loopback_address_without_being_told(host):
    from_environment({"SERVICE_HOST": host}).check_address(controlled=False)


@pytest.mark.parametrize("host", REACHABLE)
def test_the_service_listens_where_others_reach_it_only_if_it_is_told_to(host):
    for given in ({}, {"SERVICE_OPEN": "false"}):
        with pytest.raises(SettingsError) as refused:
            from_environment({"SERVICE_HOST": host, **given}).check_address(controlled=False)
        (fault,) = refused.value.faults
        assert "SERVICE_HOST" in fault
        assert "SERVICE_OPEN=true" in fault
    from_environment({"SERVICE_HOST": host, "SERVICE_OPEN": "true"}).check_address(controlled=False)
    from_environment({"SERVICE_HOST": host}).check_address(controlled=True)


@pytest.mark.parametrize("text", ["", "1", "yes", "True", "TRUE", " true", "on"])
def test_what_is_true_or_false_is_said_in_these_words(text):
    with pytest.raises(SettingsError, match="SERVICE_OPEN: Expected true or false"):
        from_environment({"SERVICE_OPEN": text})


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


@pytest.mark.parametrize(
    "url",
    [
        "urn:uuid:2",
        "https://x.example/",
        "https://x.example/a|b",
        'https://x.example/"',
        "https://x.example/a b",
        "https://x.example/a&b",
        "https://x.example//a",
        "https://u@x.example",
        "",
    ],
)
def test_a_canonical_base_that_means_more_than_an_address_is_refused(url):
    with pytest.raises(SettingsError):
        from_environment({"SERVICE_CANONICAL_BASE": url})


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


@pytest.mark.parametrize(
    "url",
    [
        "none",
        "sqlite:///data/service.db",
        "sqlite:////var/lib/a folder/service.db",
        "postgresql://host/service",
        "postgresql://user@host:5433/service",
        "postgresql://user:p/a:s%40s@host/service?sslmode=require",
        "postgresql+psycopg://user:word@[::1]:5433/service",
        "postgresql:///service?host=/run/postgresql",
    ],
)
def test_a_store_of_each_kind_is_taken_and_opened(url):
    from service.storage.opening import open_store

    assert from_environment({"SERVICE_STORE_URL": url}).store_url == url
    open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "None",
        "canary",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///canary.db?mode=ro",
        "mysql://canary:canary@host/service",
        "postgresql://canary:canary@host",
        "postgresql://canary:canary@host/",
        "postgresql://canary:canary@host:port/service",
        "postgresql://canary:canary@host/service\npostgresql://host/service",
    ],
)
def test_a_store_of_another_kind_is_refused_with_the_other_faults_and_not_repeated(url):
    with pytest.raises(SettingsError) as error:
        from_environment({"SERVICE_STORE_URL": url, "SERVICE_PORT": "none"})
    assert [fault.split(":")[0] for fault in error.value.faults] == ["SERVICE_PORT", "SERVICE_STORE_URL"]
    assert "canary" not in str(error.value)


def test_the_store_may_be_named_by_a_file(tmp_path):
    (tmp_path / "url").write_text("postgresql://user:canary@host/service\n")
    settings = from_environment({"SERVICE_STORE_URL_FILE": str(tmp_path / "url")})
    assert settings == Settings(store_url="postgresql://user:canary@host/service")
    assert "canary" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "more", "expected"),
    [
        (None, {}, "path of a text file"),
        (b"\xff\xfe", {}, "path of a text file"),
        (b"canary", {}, "Expected none, sqlite:///"),
        (b"none", {"SERVICE_STORE_URL": "none"}, "Expected it or SERVICE_STORE_URL, not both"),
    ],
)
def test_a_file_that_does_not_name_a_store_is_refused_and_not_repeated(tmp_path, content, more, expected):
    path = tmp_path / "canary"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as error:
        from_environment({"SERVICE_STORE_URL_FILE": str(path), **more})
    [fault] = error.value.faults
    assert fault.startswith("SERVICE_STORE_URL_FILE: ")
    assert expected in fault
    assert "canary" not in fault


def test_a_relative_path_of_the_store_begins_at_the_program():
    assert Settings().store == f"sqlite:///{ROOT}/data/service.db"
    for url in ("none", "sqlite:////var/lib/service.db", "postgresql://host/service"):
        assert Settings(store_url=url).store == url


@pytest.mark.parametrize("number", ["call us", "112;", "", " 112", "1" * 30, "12 "])
def test_a_number_that_nobody_can_dial_is_refused(number):
    with pytest.raises(SettingsError, match="SERVICE_EMERGENCY_NUMBER: Expected a telephone number"):
        from_environment({"SERVICE_EMERGENCY_NUMBER": number})


def test_the_key_of_feedback_may_stand_in_a_file_and_is_long(tmp_path):
    held = tmp_path / "key"
    held.write_text("f" * 32 + "\n")
    assert from_environment({"SERVICE_FEEDBACK_KEY_FILE": str(held)}).feedback_key == "f" * 32
    assert "f" * 32 not in repr(from_environment({"SERVICE_FEEDBACK_KEY_FILE": str(held)}))
    with pytest.raises(SettingsError, match="at least 32 characters"):
        from_environment({"SERVICE_FEEDBACK_KEY": "f" * 31})
