"""What the commands on the store take, and what they say when they cannot run."""

import pytest

from service import cli
from service.errors import StartupError
from service.retention.erasure import person_from
from service.storage.model import ReferenceTo, ReferenceToIdentifier, ReferenceToUrl
from service.storage.schema import REVISION

BASE = "https://fhir.example.org/r4"
COMMANDS = (["migrate"], ["export", "Patient/canary"], ["erase", "Patient/canary", "--yes"], ["expire"])


@pytest.fixture
def run(monkeypatch, capsys):
    """Returns a function that runs a command on a store and returns exit code, result and notes."""

    def done(url, *arguments):
        monkeypatch.setenv("SERVICE_STORE_URL", url)
        capsys.readouterr()
        return cli.main(arguments), *capsys.readouterr()

    return done


def test_migrate_creates_the_tables_and_says_so(run, empty_url):
    assert run(empty_url, "migrate") == (
        0,
        f"The schema of the store is {REVISION} now, and was not there before.\n",
        "",
    )
    assert run(empty_url, "migrate") == (0, f"The schema of the store is {REVISION} already.\n", "")


def test_expire_says_where_no_term_is_set(run, empty_url, monkeypatch):
    """Such as in the environment of a cron job, which is not that of the service."""
    kept = "Nothing expires: SERVICE_RETENTION_DAYS and SERVICE_AUDIT_RETENTION_DAYS are 0 here.\n"
    run(empty_url, "migrate")
    assert run(empty_url, "expire") == (0, "{}\n", kept)
    monkeypatch.setenv("SERVICE_RETENTION_DAYS", "1")
    assert run(empty_url, "expire") == (0, "{}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_store_there_is_nothing_to_do(run, command):
    assert run("none", *command) == (2, "", "error: SERVICE_STORE_URL is none: nothing is stored.\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_store_that_cannot_be_reached_is_exit_code_2_and_its_url_is_not_said(run, command):
    code, out, notes = run("postgresql://canary:canary@127.0.0.1:9/canary", *command)
    assert (code, out, notes) == (2, "", "error: SERVICE_STORE_URL: The store cannot be reached.\n")


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_a_file_that_is_not_there_is_not_made(run, command, tmp_path):
    code, _, notes = run(f"sqlite:///{tmp_path / 'canary.db'}", *command)
    assert (code, notes) == (2, "error: SERVICE_STORE_URL: The store cannot be reached.\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_a_store_without_tables_is_left_for_migrate(run, command, tmp_path):
    (tmp_path / "empty.db").touch()
    code, _, notes = run(f"sqlite:///{tmp_path / 'empty.db'}", *command)
    assert code == 2
    assert "migrate it first" in notes


def test_a_relative_path_begins_at_the_program_wherever_a_command_is_run(run, tmp_path, monkeypatch):
    monkeypatch.setattr("service.settings.HOME", tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("sqlite:///data/service.db", "migrate")[0] == 0
    assert (tmp_path / "data" / "service.db").is_file()


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        (["export"], ["Expected a PERSON or an --identifier."]),
        (["erase", "--yes"], ["Expected a PERSON or an --identifier."]),
        (["erase", "--response", "canary/1"], ["--response: expected the id of a QuestionnaireResponse."]),
        (["erase", "--response", ""], ["--response: expected the id of a QuestionnaireResponse."]),
        (
            ["erase", "Patient/1", "canary", "patient/canary", "--identifier", "canary"],
            [
                "PERSON 2: expected a type with an id, such as Patient/123, or an absolute URL.",
                "PERSON 3: expected a type with an id, such as Patient/123, or an absolute URL.",
                "--identifier 1: expected system|value.",
            ],
        ),
    ],
)
def test_arguments_that_name_nobody_are_refused_and_not_repeated(run, arguments, faults):
    code, out, notes = run("sqlite:///unused.db", *arguments)
    assert (code, out) == (2, "")
    assert notes.splitlines() == [f"error: {fault}" for fault in faults]


@pytest.mark.parametrize(
    "arguments",
    [
        ["erase", "Patient/canary", "--all", "canary"],
        ["export", "Patient/canary", "--identifer", "canary"],
        ["expire", "canary"],
        ["check", "canary"],
    ],
)
def test_arguments_that_were_not_expected_are_not_repeated(run, arguments):
    code, out, notes = run("none", *arguments)
    assert (code, out) == (2, "")
    assert "xpected" in notes
    assert "canary" not in notes


@pytest.mark.parametrize(
    ("name", "references"),
    [
        ("Patient/1", {ReferenceTo("1", "Patient"), ReferenceToUrl(f"{BASE}/Patient/1")}),
        (f"{BASE}/Patient/1", {ReferenceTo("1", "Patient"), ReferenceToUrl(f"{BASE}/Patient/1")}),
        (f"{BASE}/Patient/1/_history/2", {ReferenceTo("1", "Patient"), ReferenceToUrl(f"{BASE}/Patient/1")}),
        ("http://there/Patient/1", {ReferenceToUrl("http://there/Patient/1")}),
        ("urn:uuid:3f1c", {ReferenceToUrl("urn:uuid:3f1c")}),
    ],
)
def test_a_name_is_the_references_to_the_person(name, references):
    assert set(person_from([name], [], BASE)) == references


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("urn:s|1", ReferenceToIdentifier("1", "urn:s")),
        ("|1", ReferenceToIdentifier("1", "")),
        ("urn:s|a|b", ReferenceToIdentifier("a|b", "urn:s")),
    ],
)
def test_an_identifier_has_a_system_or_none(text, identifier):
    assert person_from([], [text], BASE) == (identifier,)


@pytest.mark.parametrize("text", ["1", "urn:s|", "", "|"])
def test_what_is_no_identifier_is_refused(text):
    with pytest.raises(StartupError):
        person_from([], [text], BASE)
