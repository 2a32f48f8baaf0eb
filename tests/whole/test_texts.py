"""What a person saw was another question, or another answer, than the one that would be scored.

Every way to a score refuses it, `$validate` says the same, and none of them repeats what was sent.
"""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from service import catalogue, cli
from service.assess import Assessor
from service.catalogue import Catalogue
from service.errors import NotScorable, Problem
from service.validate import Validator

Json = dict[str, Any]
Sample = Callable[[str], Json]
Change = Callable[[Json, Catalogue], None]

SENT = "What somebody else asked"


def questions(items: list[Json]) -> Iterator[Json]:
    for item in items:
        if "answer" in item:
            yield item
        yield from questions(item.get("item", []))


def coded(response: Json) -> Json:
    """The last question of a response that is answered by one coding."""
    found = [item for item in questions(response["item"]) if "valueCoding" in item["answer"][0]]
    return next(item for item in reversed(found) if len(item["answer"]) == 1)


def coding(response: Json) -> Json:
    (answer,) = coded(response)["answer"]
    found: Json = answer["valueCoding"]
    return found


def shown_as(response: Json, display: str) -> None:
    coding(response)["display"] = display


def display_of_another(response: Json, served: Catalogue) -> str:
    options = served.find(response["questionnaire"]).compiled.items[coded(response)["linkId"]].options
    assert options is not None
    own = coding(response)["code"]
    return next(option.display for option in options.coded if option.coding.code != own)


def another_text(response: Json, _: Catalogue) -> None:
    coded(response)["text"] = SENT


def one_word_more(response: Json, _: Catalogue) -> None:
    coded(response)["text"] = coded(response)["text"].replace(" ", " not ", 1)


def another_text_of_a_group(response: Json, _: Catalogue) -> None:
    response["item"][0]["text"] = SENT


def another_display(response: Json, served: Catalogue) -> None:
    shown_as(response, display_of_another(response, served))


def another_display_in_capitals(response: Json, served: Catalogue) -> None:
    shown_as(response, f" {display_of_another(response, served).upper()}")


def other_spelling(response: Json, _: Catalogue) -> None:
    coded(response)["text"] = coded(response)["text"].upper().replace(" ", "  ").replace("?", " -")


def display_in_capitals(response: Json, _: Catalogue) -> None:
    shown_as(response, coding(response)["display"].upper())


def unknown_display(response: Json, _: Catalogue) -> None:
    shown_as(response, SENT)


REFUSED: list[tuple[Change, str]] = [
    (another_text, "item-text"),
    (one_word_more, "item-text"),
    (another_text_of_a_group, "item-text"),
    (another_display, "display-of-another"),
    (another_display_in_capitals, "display-of-another"),
]
TAKEN: list[tuple[Change, list[str]]] = [
    (other_spelling, []),
    (display_in_capitals, []),
    (unknown_display, ["display-wrong"]),
]


@pytest.fixture(params=["completed", "amended", "in-progress"])
def status(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def problems_of(work: Callable[[], object]) -> tuple[Problem, ...]:
    with pytest.raises(NotScorable) as error:
        work()
    return tuple(error.value.problems)


@pytest.mark.parametrize(("change", "kind"), REFUSED)
def test_it_is_refused_wherever_and_whenever_a_response_is_scored(
    change: Change,
    kind: str,
    status: str,
    assessor: Assessor,
    validator: Validator,
    sample: Sample,
    served: Catalogue,
) -> None:
    response = sample("plain-eyelid") | {"status": status}
    change(response, served)
    data = orjson.dumps(response)
    ways: list[Callable[[], object]] = [
        lambda: assessor.assess_body(data),
        lambda: assessor.judge(data, "1"),
        lambda: assessor.shown(data, "text"),
        lambda: validator.processed(data),
    ]
    said = [problems_of(way) for way in ways]
    assert [[problem.kind for problem in found] for found in said] == [[kind]] * len(ways)
    assert SENT not in str(said)
    assert {problem.severity for problem in validator.validated(data) if problem.kind == kind} == {"error"}


def test_the_error_names_the_item_and_shows_our_words_only(
    assessor: Assessor, sample: Sample, served: Catalogue
) -> None:
    response = sample("plain-eyelid")
    link, ours = coded(response)["linkId"], coded(response)["text"]
    another_text(response, served)
    (found,) = problems_of(lambda: assessor.assess_body(orjson.dumps(response)))
    assert found.text == f"item {link}: expected the text “{ours}”, or none."


@pytest.mark.parametrize("command", ["assess", "validate"])
@pytest.mark.parametrize(("change", "kind"), REFUSED)
def test_the_command_line_refuses_it(
    change: Change,
    kind: str,
    command: str,
    served: Catalogue,
    sample: Sample,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    response = sample("plain-eyelid")
    change(response, served)
    monkeypatch.setattr(catalogue, "read", lambda *_, **__: served)
    result = CliRunner().invoke(
        cli.program, [command, "-"], input=orjson.dumps(response), standalone_mode=False
    )
    issues = orjson.loads(result.stdout)["issue"]
    assert kind in {issue["details"]["coding"][0]["code"] for issue in issues}
    assert result.return_value == 1


@pytest.mark.parametrize(("change", "kinds"), TAKEN)
def test_what_is_only_written_differently_is_scored_the_same(
    change: Change,
    kinds: list[str],
    assessor: Assessor,
    validator: Validator,
    sample: Sample,
    served: Catalogue,
) -> None:
    response = sample("plain-eyelid")
    plain = assessor.scored(orjson.dumps(response))
    change(response, served)
    data = orjson.dumps(response)
    assert assessor.accepted(data) is None
    scored = assessor.scored(data)
    assert (scored.answers, [problem.kind for problem in scored.problems]) == (plain.answers, kinds)
    assert [problem.kind for problem in validator.validated(data)] == kinds
