"""What the pages name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AT_THE_TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*(ROOT / name for name in AT_THE_TOP), *(ROOT / "docs").rglob("*.md")]
)
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def prose(path: Path) -> str:
    return _CODE.sub("", path.read_text())


def is_in_an_example(path: str) -> bool:
    """Says whether a worked example of the pages has a file of this path."""
    return next((ROOT / "docs").rglob(path), None) is not None


def anchors(path: Path) -> set[str]:
    """Returns the anchors of the headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {re.sub(r"\s+", "-", heading.strip()) for heading in plain}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_page_and_its_heading(name):
    page, dead = ROOT / name, []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.is_file() or (anchor and anchor not in anchors(found)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("name", PAGES)
def test_every_path_that_a_page_names_exists(name):
    folders = "samples|questionnaires|mappings|tests|service|scripts|benchmarks|docs"
    named = set(re.findall(rf"`((?:{folders})/[\w./-]*)`", (ROOT / name).read_text()))
    assert [path for path in sorted(named) if not (ROOT / path).exists() and not is_in_an_example(path)] == []


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("docs/")])
def test_every_page_begins_with_the_question_that_it_answers(name):
    lines = [line for line in (ROOT / name).read_text().splitlines() if line]
    assert lines[0].startswith("# ")
    assert "?" in lines[1], "expected a question below the title"


def test_every_page_is_in_the_table_of_contents_of_the_site():
    listed = re.findall(r"[\w./-]+\.md$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted(pages)


def test_the_site_fetches_nothing_from_other_servers():
    assert "font: false" in (ROOT / "mkdocs.yml").read_text()


def test_readme_fits_a_reader():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 170


def test_the_promises_that_a_page_names_are_those_that_are_proved():
    text = (ROOT / "docs/intended-use.md").read_text()
    cells = [cell for cell in re.findall(r"proofs? (`[^|;]*)", text) if "-" in cell]
    named = {name for cell in cells for name in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", cell)}
    made = re.findall(
        r"^  - promise: (\S+)$",
        (ROOT / "mappings/muscle-twitching/guidance.yaml").read_text(),
        re.MULTILINE,
    )
    assert len(named) >= 5
    assert named - set(made) == set()
