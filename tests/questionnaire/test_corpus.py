"""Every row of the corpus: small forms, small responses, and exactly the faults that must be found."""

from __future__ import annotations

from typing import Any

import pytest
import small_forms
from small_forms import CORPUS, compiled, copied, form, load, response, served, shown, structs

from service.questionnaire import lint, validate
from service.questionnaire.problems import COMPLETE_STATUSES

FILES = sorted(path.name for path in CORPUS.glob("*.yaml"))


def rows() -> list[Any]:
    found = []
    for name in FILES:
        for group in load(name):
            for sentence, row in group.get("rows", {}).items():
                found.append(pytest.param(group, row[0], row[1:], id=f"{name}: {sentence}"))
    return found


def lint_rows() -> list[Any]:
    return [
        pytest.param(group, faults, id=sentence)
        for name in FILES
        for group in load(name)
        for sentence, faults in group.get("lint", {}).items()
    ]


def parts(group: dict[str, Any], given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    questionnaire = copied(
        {k: v for k, v in form(*group["form"], **group.get("root", {})).items() if v is not None}
    )
    head = {"status": group.get("status", "completed")} | group.get("head", {})
    if "items" in given:
        return questionnaire, copied(response(questionnaire, {}, item=given["items"], **head))
    return questionnaire, copied(response(questionnaire, given, **head))


def test_the_corpus_has_at_least_250_rows() -> None:
    assert len(rows()) + len(lint_rows()) >= 250


def test_no_sentence_of_the_corpus_stands_twice() -> None:
    names = [row.id for row in [*rows(), *lint_rows()]]
    assert [name for name in names if names.count(name) > 1] == []


@pytest.mark.parametrize(("group", "given", "faults"), rows())
def test_exactly_the_faults_of_the_row_are_found(group: Any, given: Any, faults: Any) -> None:
    questionnaire, sent = parts(group, given)
    found = [
        problem
        for problem in validate(sent, questionnaire)
        if problem.expression.startswith("QuestionnaireResponse")
    ]
    assert shown(found) == sorted(faults)


@pytest.mark.parametrize(("group", "given", "faults"), rows())
def test_the_accept_path_takes_only_what_the_full_check_finds_faultless(
    group: Any, given: Any, faults: Any
) -> None:
    questionnaire, sent = parts(group, given)
    forms, typed = compiled(questionnaire), structs(sent)
    if typed is None:
        return
    status = sent.get("status", "completed")
    accepted = forms.accept(typed, complete=status in COMPLETE_STATUSES)
    if accepted is not None:
        checked = forms.check(sent, status)
        assert checked.problems == ()
        assert checked.answers == accepted


@pytest.mark.slow
@pytest.mark.parametrize(("group", "given", "faults"), rows())
def test_a_form_that_is_served_checks_like_one_that_only_came_with_its_response(
    group: Any, given: Any, faults: Any
) -> None:
    questionnaire, sent = parts(group, given)
    for status in (sent.get("status", "completed"), "in-progress", "entered-in-error"):
        assert served(questionnaire).check(sent, status) == compiled(questionnaire).check(sent, status)


@pytest.mark.parametrize(("group", "faults"), lint_rows())
def test_exactly_the_faults_of_the_form_are_found(group: Any, faults: Any) -> None:
    resource = form(*group["form"], **group.get("root", {}))
    written = copied(resource)
    for key in [key for key, value in written.items() if value is None]:
        del written[key]
    for item in written["item"]:
        for key in [key for key, value in item.items() if value is None]:
            del item[key]
    found = [fault.replace("Questionnaire", "", 1) for fault in shown(lint(written))]
    assert sorted(f"{fault}-" if fault.endswith(" ") else fault for fault in found) == sorted(faults)


def test_small_forms_reads_yaml_without_surprises() -> None:
    assert small_forms.yaml.load("[no, on, 1:30, 2024-01-01, 1.50]", small_forms.Loader)[:4] == [
        "no",
        "on",
        "1:30",
        "2024-01-01",
    ]
