"""What the pages show is what the service says."""

import re
import subprocess
from pathlib import Path

import orjson
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
)


def has_examples(name: str) -> bool:
    return "```console\n" in (ROOT / name).read_text()


@pytest.mark.parametrize("name", [name for name in PAGES if has_examples(name)])
def test_every_example_prints_what_the_page_shows(page, examples_in, agrees, outputs, name):
    examples = [each for each in examples_in(page(name)) if not each.command.startswith("scripts/")]
    printed = outputs(examples)
    wrong = [
        f"$ {example.command}\nthe page shows:\n{example.expected}\nit prints:\n{output[:4000]}"
        for example, output in zip(examples, printed, strict=True)
        if not agrees(example.expected, output)
    ]
    assert wrong == []


def test_readme_and_the_pages_for_users_have_examples():
    for name in (
        "README.md",
        *(f"docs/{page}.md" for page in ("quickstart", "http-api", "assess", "search", "storage")),
    ):
        assert has_examples(name), name


@pytest.mark.parametrize("name", PAGES)
def test_every_block_of_commands_and_output_is_found(page, examples_in, name):
    """One that is indented, or holds no command, would never run."""
    text = page(name)
    assert text.count("```console") == len(re.findall(r"^```console\n\$ ", text, re.MULTILINE))
    assert len(examples_in(text)) == len(re.findall(r"^\$ ", text, re.MULTILINE))


@pytest.mark.slow
def test_the_demo_prints_what_readme_shows(root, page, examples_in, agrees):
    (demo,) = [each for each in examples_in(page("README.md")) if each.command == "scripts/demo"]
    done = subprocess.run([root / "scripts/demo"], capture_output=True, text=True, check=True)
    assert agrees(demo.expected, done.stdout), done.stdout


def test_the_complete_answer_is_the_answer_to_the_sample(root, outputs, examples_in):
    post = (
        "curl -s -H 'Content-Type: application/fhir+json' --data-binary @samples/plain-eyelid.json "
        "'http://127.0.0.1:8000/fhir/QuestionnaireResponse/$assess'"
    )
    [answer] = outputs(examples_in(f"```console\n$ {post}\n```\n"))
    expected = orjson.loads((root / "samples/plain-eyelid.expected.json").read_bytes())
    assert orjson.loads(answer) == expected


@pytest.mark.parametrize("name", PAGES)
def test_a_block_that_does_not_run_holds_only_commands_that_set_something_up(page, name):
    """A request stands in a block that runs; what installs, builds or deploys cannot run in a test."""
    known = re.compile(
        r"([A-Z]+=true )*scripts/\w+|docker |export SERVICE_|([A-Z_]+=[\w/]+ )*\.venv(-spark)?/bin/|#|$"
        r"|\(umask 077 && (python3 -c 'import sqlite3|pg_dump )|createdb |pg_restore "  # tests/durability
        r"|sha256sum --check |python3 -m venv |service/bin/"  # tests/setup does the same with a release
    )
    for block in re.findall(r"^```sh\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL):
        subprocess.run(["bash", "-n", "-c", block], check=True)
        commands = block.replace("\\\n", " ").splitlines()
        assert [command for command in commands if not known.match(command)] == []


@pytest.mark.parametrize(
    ("expected", "output", "same"),
    [
        ("one\ntwo", "one\ntwo\n", True),
        ("one", "one\ntwo", False),
        ("one\n...", "one\ntwo\nthree", True),
        ("...\ntwo", "one\nthree", False),
        ("status ...", "status 200", True),
        ("status ...!", "status 200", False),
        ("", "anything", False),
        ("a.c", "abc", False),
    ],
)
def test_three_dots_stand_for_anything_and_nothing_else_does(agrees, expected, output, same):
    assert agrees(expected, output) is same


def test_commands_and_what_they_print_are_told_apart(examples_in):
    text = "```console\n$ one \\\n    more\nfirst\n$ two\n```\n\n```sh\n$ three\n```\n"
    found = [(each.command, each.expected) for each in examples_in(text)]
    assert found == [("one \\\n    more", "first"), ("two", "")]
