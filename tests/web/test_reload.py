"""`serve --reload`: changed files are served at once, faulty ones are named, and nobody loses a request."""

import os
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
from gunicorn_server import answer_from, post, serving, started, until
from patience import PATIENCE_S
from sample_responses import SECOND, strain

from service import app, cli
from service.reloading import Edition, fingerprint, folders_of, watch
from service.settings import Settings

APP = "service.app:from_environment()"
ASSESS = "/fhir/QuestionnaireResponse/$assess"
BODY = orjson.dumps(strain())


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Settings that name a copy of the second pair, for this process too."""
    named = {}
    for kind in ("questionnaires", "mappings"):
        shutil.copytree(SECOND / kind, tmp_path / kind)
        named[f"{kind.upper()}_DIR"] = str(tmp_path / kind)
    for name, value in {**named, "STORE_URL": "none", "RELOAD": "true"}.items():
        monkeypatch.setenv(f"SERVICE_{name}", value)
    monkeypatch.setenv("SERVICE_FORM_KEYS", "")  # so that what is set here is taken back
    monkeypatch.delenv("SERVICE_FORM_KEYS")
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def guidance(folders):
    return folders / "mappings/workday-strain/guidance.yaml"


# Watching.


def told_of(*seen, known="a"):
    """Returns what was seen last whenever a change was told."""
    waiting, at, told = list(seen), [known], []

    def look():
        at[0] = waiting.pop(0)
        return at[0]

    watch(look, known, lambda: told.append(at[0]), lambda: bool(waiting))
    return told


def test_a_change_is_told_once_when_the_files_have_come_to_rest():
    assert told_of("a", "b", "b", "b", "b") == ["b"]
    assert told_of("b", "c", "d", "d") == ["d"]
    assert told_of("b", "b", "c", "c") == ["b", "c"]


def test_what_is_as_it_was_and_what_is_gone_is_not_told():
    assert told_of("a", "a") == []
    assert told_of("b", "a", "a") == []
    assert told_of("", "", "") == []
    assert told_of("", "", "b", "b") == ["b"]


def test_files_that_have_changed_while_the_server_started_are_told():
    assert told_of("b", "b", known="a") == ["b"]


def test_the_fingerprint_follows_every_file_that_is_read_and_no_other(folders, guidance):
    seen = [fingerprint([folders])]

    def is_new():
        seen.append(fingerprint([folders]))
        return seen[-1] not in seen[:-1]

    assert not is_new()
    guidance.with_name(".#guidance.yaml").write_text("")
    guidance.with_name("guidance.yaml~").write_text("")
    assert not is_new()
    edit(guidance, "Workday", "Year")
    assert is_new()
    (guidance.parent / "messages/fr.yaml").write_text("{}")
    assert is_new()
    (folders / "questionnaires/CodeSystem-workday-strain-answers.json").rename(
        folders / "questionnaires/x.json"
    )
    assert is_new()
    (folders / "mappings/workday-strain").rename(folders / "elsewhere")
    (folders / "mappings/workday-strain").symlink_to(folders / "elsewhere")
    seen.append(fingerprint([folders / "mappings"]))
    edit(folders / "elsewhere/guidance.yaml", "Year", "Workday")
    assert fingerprint([folders / "mappings"]) != seen[-1]
    (folders / "elsewhere/messages").rename(folders / "texts")
    (folders / "elsewhere/messages").symlink_to(folders / "texts")
    seen.append(fingerprint([folders / "mappings"]))
    (folders / "texts/it.yaml").write_text("{}")
    assert fingerprint([folders / "mappings"]) != seen[-1]
    assert fingerprint([folders, folders / "gone"]) == ""


def test_a_link_that_leads_elsewhere_is_a_change(folders, tmp_path):
    """As where one edition after another takes the place of `current`."""
    for edition in ("one", "two"):
        shutil.copytree(folders / "mappings", tmp_path / edition / "mappings")
    link = tmp_path / "current"
    link.symlink_to("one")
    watched = folders_of(
        Settings(questionnaires_dir=folders / "questionnaires", mappings_dir=link / "mappings")
    )
    before = fingerprint(watched)
    assert fingerprint(watched) == before
    link.unlink()
    link.symlink_to("two")
    assert fingerprint(watched) != before


# What is served then.


def test_changed_files_make_another_application_and_faulty_ones_leave_it_as_it_is(folders, guidance, capsys):
    before = app.from_environment()
    files = fingerprint([folders / "questionnaires", folders / "mappings"])
    preview = "http://127.0.0.1:8000/questionnaires/workday-strain/preview"
    assert before.edition == Edition(files, (), (preview,))
    edit(guidance, "title: Workday strain", "title: [")
    assert app.reloaded(before) is before
    assert before.edition.files == fingerprint([folders / "questionnaires", folders / "mappings"])
    (fault,) = before.edition.faults
    assert "workday-strain/guidance.yaml: line " in fault
    assert capsys.readouterr().err.splitlines() == [
        f"error: {fault}",
        "reload: what was served before is still served",
    ]
    edit(guidance, "title: [", "title: Strain")
    after = app.reloaded(before)
    assert after is not before
    assert after.edition.faults == ()
    assert capsys.readouterr().err == "reload: the changed files are served\n"


def test_a_worked_case_that_fails_leaves_what_is_served_as_it_is(folders, capsys):
    before = app.from_environment()
    cases = folders / "mappings/workday-strain/cases.yaml"
    edit(cases, "total: 15}", "total: 14}")
    assert app.reloaded(before) is before
    assert "workday-strain/cases.yaml: " in before.edition.faults[0]


def test_a_file_that_goes_while_it_is_read_is_a_fault(folders, monkeypatch, capsys):
    before = app.from_environment()

    def goes(*_, **__):
        raise FileNotFoundError(2, "No such file or directory", "rules.yaml")

    monkeypatch.setattr(app, "create_app", goes)
    assert app.reloaded(before) is before
    assert before.edition.faults == ("rules.yaml: No such file or directory",)


def test_a_file_that_nobody_thought_of_does_not_end_the_server(folders, monkeypatch):
    before = app.from_environment()
    monkeypatch.setattr(app, "create_app", lambda *_: {}["resourceType"])
    assert app.reloaded(before) is before
    assert before.edition.faults == ("a file is of a shape that nobody thought of: KeyError('resourceType')",)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("resourceType", None, "resourceType: expected a text"),
        ("date", 2026, "date: expected a text"),
        ("url", ["a"], "url: expected a text"),
        ("meta", "a", "meta: expected an object"),
        ("concept", [True], "concept: expected the code "),
    ],
)
def test_a_resource_that_is_half_written_is_a_fault(folders, name, value, expected):
    before = app.from_environment()
    file = folders / "questionnaires/CodeSystem-workday-strain-answers.json"
    changed = {**orjson.loads(file.read_bytes()), name: value}
    if name == "concept":
        changed["url"] = "https://guidance.example.org/fhir/CodeSystem/workday-strain-guidance"
        file = file.with_name("CodeSystem-workday-strain-guidance.json")
    if value is None:
        del changed[name]
    file.write_bytes(orjson.dumps(changed))
    assert app.reloaded(before) is before
    assert any(f"{file.name}: " in fault and expected in fault for fault in before.edition.faults)


def test_a_form_that_is_open_goes_on_after_a_change(folders, guidance):
    before = app.from_environment()
    page = before.test_client().get("/questionnaires/workday-strain").text
    state = page.partition('name="state" value="')[2].partition('"')[0]
    edit(guidance, "title: Workday strain", "title: Strain")
    sent = {"state": state, "page": "", "action": "next"}
    after = app.reloaded(before).test_client().post("/questionnaires/workday-strain", data=sent)
    assert after.status_code == 200


def test_without_the_setting_nothing_is_read_again(folders, monkeypatch):
    monkeypatch.setenv("SERVICE_RELOAD", "false")
    assert app.from_environment().edition is None
    assert "SERVICE_FORM_KEYS" not in os.environ


# The server.


def version_served(server):
    return server.ask(post(BODY, path=ASSESS)).headers["x-guidance"].rpartition("|")[2]


def watcher_of(server):
    """Returns the folder of the process that watches the files for a server."""
    command = ["ps", "-o", "pid=,args=", "--ppid", str(server.process.pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    (watcher,) = [line.split()[0] for line in listed if "service.reloading" in line]
    return Path("/proc") / watcher


@pytest.mark.slow
def test_the_server_serves_what_is_changed_and_names_what_is_faulty(folders, guidance):
    """Each worker may still answer for a moment: what counts is that the new one does in the end."""
    with serving(APP, RELOAD="true", WORKERS="2") as server, server.connect() as half:
        whole = post(BODY, path=ASSESS)
        half.sendall(whole[:-10])
        old = version_served(server)
        assert old != "9.9.9"
        edit(guidance, f"version: {old}", "version: 9.9.9")
        until(lambda: version_served(server) == "9.9.9")
        half.sendall(whole[-10:])
        answer = answer_from(half)
        assert answer.headers["x-guidance"].endswith(f"|{old}")
        assert orjson.loads(answer.body)["resourceType"] == "RiskAssessment"

        rules = guidance.with_name("rules.yaml")
        sound = rules.read_text()
        rules.write_text(sound + "\n- [\n")
        until(lambda: "reload: what was served before is still served\n" in server.log)
        (fault,) = [line for line in server.log if line.startswith("error: ")]
        assert fault.startswith("error: workday-strain/rules.yaml: line ")
        assert version_served(server) == "9.9.9"

        rules.write_text(sound)
        edit(guidance, "version: 9.9.9", "version: 9.9.10")
        until(lambda: version_served(server) == "9.9.10")
        assert any(line.startswith("reload: preview at http://") for line in server.log)
        watcher = watcher_of(server)
    until(lambda: not watcher.exists())


def test_it_is_refused_where_others_reach_the_service(monkeypatch, capsys):
    monkeypatch.setenv("SERVICE_RELOAD", "false")  # so that what the option sets is taken back
    monkeypatch.setenv("SERVICE_LOG_LEVEL", "ERROR")
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("it started"))
    for more in ({}, {"SERVICE_OPEN": "true"}):
        for name, value in {"SERVICE_HOST": "0.0.0.0", **more}.items():
            monkeypatch.setenv(name, value)
        assert cli.main(["serve", "--reload"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: SERVICE_RELOAD: expected a loopback address as SERVICE_HOST")


@pytest.mark.slow
def test_it_is_refused_on_an_address_that_the_settings_do_not_name(folders):
    with started(APP, "--bind", "0.0.0.0:0", RELOAD="true", OPEN="true") as process:
        _, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "error: SERVICE_RELOAD: expected a loopback address" in log


def test_the_option_sets_what_gunicorn_reads(monkeypatch):
    class Became(Exception):
        """Stands for the end of this process."""

    def become(*_):
        raise Became

    monkeypatch.setenv("SERVICE_RELOAD", "false")
    monkeypatch.setenv("SERVICE_LOG_LEVEL", "")  # so that what is set here is taken back
    monkeypatch.delenv("SERVICE_LOG_LEVEL")
    monkeypatch.setattr("os.execv", become)
    monkeypatch.chdir(Path.cwd())
    with pytest.raises(Became):
        cli.main(["serve", "--reload"])
    assert os.environ["SERVICE_RELOAD"] == "true"
    assert os.environ["SERVICE_LOG_LEVEL"] == "WARNING"
