"""The command line: what it prints and its exit codes."""

import io
import os
import runpy
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from service import catalogue, cli, serve
from service.assess import OUTPUTS
from service.settings import ROOT

SAMPLE = ROOT / "samples" / "plain-eyelid.json"


@pytest.fixture
def read_before(monkeypatch, served):
    monkeypatch.setattr(catalogue, "read", lambda *_, **__: served)


@pytest.mark.usefixtures("read_before")
def test_assess_prints_the_risk_assessment_of_a_file(capsys):
    assert cli.main(["assess", str(SAMPLE)]) == 0
    assert orjson.loads(capsys.readouterr().out)["resourceType"] == "RiskAssessment"


@pytest.mark.usefixtures("read_before")
def test_assess_reads_standard_input(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(SAMPLE.read_bytes())))
    assert cli.main(["assess", "-"]) == 0
    assert capsys.readouterr().out


@pytest.mark.usefixtures("read_before")
@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_can_be_asked_for(capsys, output):
    assert cli.main(["assess", str(SAMPLE), "--output", output]) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.usefixtures("read_before")
def test_a_refused_response_is_an_outcome_and_exit_code_1(capsys, tmp_path):
    path = tmp_path / "response.json"
    path.write_text('{"resourceType":"Patient"}')
    assert cli.main(["assess", str(path)]) == 1
    assert orjson.loads(capsys.readouterr().out)["resourceType"] == "OperationOutcome"


def test_a_file_that_is_not_there_is_exit_code_2(capsys, tmp_path):
    assert cli.main(["assess", str(tmp_path / "none.json")]) == 2
    assert "none.json: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["assess", str(SAMPLE)], ["serve"]])
def test_settings_that_are_wrong_are_exit_code_2_with_a_line_each(capsys, monkeypatch, command):
    monkeypatch.setenv("SERVICE_PORT", "none")
    monkeypatch.setenv("SERVICE_WORKERS", "none")
    assert cli.main(command) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_service_that_others_would_reach_is_not_started_before_it_is_told_that_they_may(
    capsys, monkeypatch
):
    monkeypatch.setenv("SERVICE_HOST", "0.0.0.0")
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("it started"))
    monkeypatch.setattr("gunicorn.app.wsgiapp.run", lambda **_: pytest.fail("it started"))
    assert cli.main(["serve"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: There is no access control.")
    assert "SERVICE_HOST" in line
    assert "SERVICE_OPEN=true" in line


def test_questionnaires_that_are_not_there_are_exit_code_2(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("SERVICE_QUESTIONNAIRES_DIR", str(tmp_path))
    assert cli.main(["assess", str(SAMPLE)]) == 2
    assert "no questionnaire found" in capsys.readouterr().err


def test_check_passes_on_its_exit_code(monkeypatch):
    monkeypatch.setattr("service.check.run", lambda settings, out, wanted: 1)
    assert cli.main(["check"]) == 1


class Became(Exception):
    """Stands for the end of this process."""


def test_serve_leaves_behind_what_other_commands_import(monkeypatch):
    def become(program, command):
        raise Became(program, command)

    monkeypatch.setattr("os.execv", become)
    monkeypatch.chdir(ROOT)
    with pytest.raises(Became) as became:
        cli.main(["serve"])
    program, command = became.value.args
    assert program == sys.executable
    assert command[1:] == ["-m", "service", "serve"]


def test_serve_becomes_gunicorn_with_the_projects_configuration(monkeypatch, tmp_path):
    """What it would be told on a command line of its own, by which it starts itself anew."""

    def become(prog):
        raise Became(prog, sys.argv)

    monkeypatch.setattr("gunicorn.app.wsgiapp.run", become)
    monkeypatch.setattr(sys, "argv", ["service", "serve"])
    monkeypatch.setenv("SERVICE_CHECKED_DIR", "checked")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Became) as became:
        runpy.run_module("service", run_name="__main__")
    program, (file, *arguments) = became.value.args
    assert program == "gunicorn"
    assert file == find_spec("gunicorn.__main__").origin
    assert arguments == ["--config", str(ROOT / "gunicorn.conf.py")]
    assert os.environ["SERVICE_CHECKED_DIR"] == str(tmp_path / "checked")
    assert Path.cwd() == ROOT


def test_serve_relies_on_what_check_keeps_for_the_user(monkeypatch, tmp_path):
    monkeypatch.setattr("gunicorn.app.wsgiapp.run", lambda prog: None)
    monkeypatch.setenv("SERVICE_CHECKED_DIR", "")  # so that what is set here is taken back
    monkeypatch.delenv("SERVICE_CHECKED_DIR")
    monkeypatch.setattr(sys, "argv", ["service", "serve"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        serve.serve()
    assert os.environ["SERVICE_CHECKED_DIR"] == str(tmp_path / "questionnaire-guidance")


@pytest.mark.parametrize("name", ["SERVICE_PORT", "SERVICE_EHRS_FILE"])
def test_serve_tells_what_is_wrong_as_every_command_does(capsys, monkeypatch, name):
    monkeypatch.setattr("gunicorn.app.wsgiapp.run", lambda prog: pytest.fail("it started"))
    monkeypatch.setattr(sys, "argv", ["service", "serve"])
    monkeypatch.setenv(name, "none")
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("service", run_name="__main__")
    assert stopped.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


COMMANDS = (
    "assess, audit, check, definitions, diff, dossier, erase, evaluate, expire, export, feedback, "
    "generate, migrate, new, rescore, schemas, score, serve, shadow, translations, validate"
)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], f"one of the commands {COMMANDS}."),
        (["canary"], f"one of the commands {COMMANDS}."),
        (["check", "canary"], "[FOLDER]."),
        (["diff", "canary", "canary"], "OLD."),
        (["dossier", "canary"], "SLUG."),
        (["new", "Canary!", "--from", "x"], "SLUG."),
        (["new", "canary", "--from", "x", "--bands", "1,canary"], "--bands N,N."),
        (["assess"], "FILE."),
        (["validate"], "FILE."),
        (["serve", "--canary"], "--reload, or --help."),
        (["migrate", "--canary"], "no option, or --help."),
        (
            ["assess", "x", "--output", "canary"],
            "--output, one of risk, full, bundle, explain, text, clinician.",
        ),
        (
            ["assess", "x", "--canary"],
            (
                "--output, one of risk, full, bundle, explain, text, clinician "
                "or --language TAG or --earlier FILE, or --help."
            ),
        ),
        (
            ["erase", "x", "--canary=1"],
            "--tenant NAME or --identifier SYSTEM|VALUE or --response ID or --yes, or --help.",
        ),
    ],
)
def test_what_is_wrong_on_the_command_line_is_told_by_what_was_expected(capsys, arguments, expected):
    assert cli.main(arguments) == 2
    notes = capsys.readouterr().err
    assert "Usage: python -m service" in notes
    assert notes.splitlines()[-1] == f"error: Expected {expected}"
    assert "canary" not in notes


def test_an_installed_wheel_is_told_of_by_the_name_of_its_command(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/srv/service/bin/questionnaire-guidance"])
    assert cli.main(["assess"]) == 2
    assert capsys.readouterr().err.startswith("Usage: questionnaire-guidance assess ")


def test_an_option_without_its_value_is_named(capsys):
    assert cli.main(["validate", "x", "--questionnaire"]) == 2
    assert capsys.readouterr().err == "error: Expected --questionnaire as --help shows it.\n"


def test_help_is_exit_code_0(capsys):
    assert cli.main(["assess", "--help"]) == 0
    assert "--output" in capsys.readouterr().out


def test_the_package_runs_as_a_program(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["service", "fly"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("service", run_name="__main__")
    assert stopped.value.code == 2
    assert "Usage" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "command"), [("stdin", ["assess", "-"]), ("stdout", ["schemas", "."])])
def test_a_stream_that_was_closed_is_told_and_not_taken_for_a_refusal(
    capsys, monkeypatch, tmp_path, name, command
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["service", *command])
    monkeypatch.setattr(sys, name, None)
    with pytest.raises(SystemExit) as stopped:
        cli.run()
    with suppress(OSError):
        getattr(sys, name).close()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: Bad file descriptor\n"


@pytest.mark.parametrize(
    ("command", "unread"),
    [(["schemas", "{}"], "stdout"), (["check", "--help"], "stdout"), (["fly"], "stderr")],
)
def test_a_command_ends_quietly_where_nobody_reads_what_it_says(tmp_path, command, unread):
    """As the tools beside it do: `python -m service ... | head` says nothing of a broken pipe."""
    read, write = os.pipe()
    os.close(read)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {unread: write}
    asked = [sys.executable, "-m", "service", *(part.format(tmp_path) for part in command)]
    done = subprocess.run(asked, cwd=ROOT, check=False, **streams)
    os.close(write)
    assert done.returncode == 128 + signal.SIGPIPE
    assert not done.stdout
    assert not done.stderr


def test_a_full_disk_under_the_output_is_told_once():
    with Path("/dev/full").open("wb") as full:
        asked = [sys.executable, "-m", "service", "check", "--help"]
        done = subprocess.run(asked, cwd=ROOT, check=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, b"error: No space left on device\n")


@pytest.mark.parametrize("module", ["click", "pyarrow"])
def test_a_command_that_is_stopped_by_ctrl_c_says_nothing(module, tmp_path):
    """While the program is imported, and while it runs: what the signal raises comes from a module."""
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt\n")
    (tmp_path / "in.ndjson").write_text("{}\n")
    asked = ["score", str(tmp_path / "in.ndjson"), str(tmp_path / "out.csv")]
    command = [sys.executable, "-m", "service", *asked]
    within = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=within, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_without_the_environment_it_says_which_python_to_use(tmp_path):
    """-S and -I hide the packages of this environment, as a Python without them would."""
    program = "import runpy, sys; sys.path.insert(0, sys.argv[1]); "
    program += "runpy.run_module('service', run_name='__main__')"
    command = [sys.executable, "-I", "-S", "-c", program, str(ROOT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith(".venv/bin/python -m service\n")
    assert len(done.stderr.splitlines()) == 1
