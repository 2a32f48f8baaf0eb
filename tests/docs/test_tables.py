"""The tables of the pages say what the service says."""

import dataclasses
import re
import subprocess
import sys

import orjson
import pytest
from page_tables import rows

from service.errors import SettingsError
from service.settings import ROOT, Settings, from_environment


def default(field: dataclasses.Field) -> str:
    value = field.default
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    return value.relative_to(ROOT).as_posix() if field.name.endswith("_dir") else str(value)


def test_every_setting_is_listed_with_its_default(page):
    listed = {row[0]: row[1] for row in rows(page("docs/settings.md"), 4)}
    assert listed == {
        f"SERVICE_{field.name.upper()}": default(field) for field in dataclasses.fields(Settings)
    }


def test_the_least_and_the_most_of_a_setting_are_those_that_are_taken(page):
    ranges = {row[0]: row[2] for row in rows(page("docs/settings.md"), 4) if " to " in row[2]}
    assert len(ranges) >= 14
    for name, text in ranges.items():
        low, high = (int(each.replace(",", "")) for each in text.split(" to "))
        for taken in (low, high):
            from_environment({name: str(taken)})
        for refused in (low - 1, high + 1):
            with pytest.raises(SettingsError, match=name):
                from_environment({name: str(refused)})


def test_every_route_is_listed_and_nothing_else(page, service):
    paths = orjson.loads(service.get("/openapi.json"))["paths"]
    served = {
        f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method in methods
        if method != "parameters"
    }
    listed = set()
    for request, types, _ in rows(page("docs/http-api.md"), 3):
        listed |= {request.replace("{type}", type_) for type_ in types.split(", ")}
    assert listed == served


EVERY_TYPE = {"_id", "_lastUpdated", "_tag", "_security", "_profile"}


def test_the_search_parameters_of_every_type_are_listed(page, service):
    statement = orjson.loads(service.get("/fhir/metadata"))
    (said,) = re.findall(r"^Every type has (.*), and:$", page("docs/search.md"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", said)) == EVERY_TYPE
    for each in statement["rest"][0]["resource"]:
        if "searchParam" in each:
            assert {parameter["name"] for parameter in each["searchParam"]} >= EVERY_TYPE


def test_every_search_parameter_is_listed_by_type(page, service):
    statement = orjson.loads(service.get("/fhir/metadata"))
    declared = {
        each["type"]: {parameter["name"] for parameter in each.get("searchParam", [])}
        for each in statement["rest"][0]["resource"]
        if "searchParam" in each
    }
    table = [row for row in rows(page("docs/search.md"), 2) if row[0] in declared]
    listed = {type_: set(names.split("`, `")) for type_, names in table}
    assert listed == {type_: names - EVERY_TYPE for type_, names in declared.items()}


def test_every_include_is_listed(page, service):
    statement = orjson.loads(service.get("/fhir/metadata"))
    resources = statement["rest"][0]["resource"]
    declared = {
        name
        for each in resources
        for kind in ("searchInclude", "searchRevInclude")
        for name in each.get(kind, [])
    }
    assert set(re.findall(r"`(\w+:\w+)`", page("docs/search.md"))) >= declared


def test_every_kind_of_problem_is_listed_as_it_is_published(page, service):
    system = orjson.loads(service.get("/fhir/CodeSystem/problem-kind"))
    published = [
        (concept["code"], concept["property"][0]["valueCode"], concept["display"])
        for concept in system["concept"]
    ]
    expected = "\n".join("| `{}` | `{}` | {} |".format(*row) for row in published)
    assert rows(page("docs/problems.md"), 3) == published, f"expected:\n{expected}"


def test_every_command_is_listed(page):
    command = [sys.executable, "-m", "service", "--help"]
    help_ = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^ +(\w+) {2,}\w|^ {4}(\w+)$", help_, re.MULTILINE))
    first_table = page("docs/command-line.md").partition("\n## ")[0]
    listed = {row[0].partition(" ")[0] for row in rows(first_table, 2)}
    assert listed == {name for names in known for name in names if name}


def test_every_status_of_an_error_is_listed(page, service):
    paths = orjson.loads(service.get("/openapi.json"))["paths"]
    answered = {
        int(status)
        for methods in paths.values()
        for operation in methods.values()
        if isinstance(operation, dict)
        for status in operation["responses"]
        if status.isdigit() and int(status) >= 400
    }
    listed = {int(each) for row in rows(page("docs/http-api.md"), 2) for each in re.findall(r"\d{3}", row[0])}
    assert listed >= answered


def test_every_folder_of_tests_is_listed(page):
    listed = re.findall(r"`tests/([a-z0-9_]+)/`", page("docs/testing.md").partition("## The SMART app")[0])
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()} - {"__pycache__"}
    assert set(listed) == folders
